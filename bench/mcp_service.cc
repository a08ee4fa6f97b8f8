#include "mcp_service.h"

#include <iostream>
#include <string>

#include <boost/json.hpp>
#include <fmt/core.h>

namespace sluice::bench {
namespace json = boost::json;

int mcp_service() {
  for (std::string line; std::getline(std::cin, line);) {
    const json::object message = json::parse(line).as_object();
    const json::value* id = message.if_contains("id");
    if (id == nullptr) continue;
    const std::string_view method = message.at("method").as_string();
    std::string result = "{}";
    if (method == "initialize") {
      result = R"({"protocolVersion":"2025-06-18","capabilities":{"tools":{}},)"
               R"("serverInfo":{"name":"bench","version":"1"}})";
    } else if (method == "tools/list") {
      result = R"({"tools":[{"name":"nothing","inputSchema":{"type":"object"}}]})";
    }
    fmt::print(R"({{"jsonrpc":"2.0","id":{},"result":{}}})"
               "\n",
               json::serialize(*id), result);
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace sluice::bench
