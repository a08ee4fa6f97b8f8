// What an operation may be asked, from any bytes: query and body alike. Nothing that is refused may
// crash, and nothing that is accepted may be over its bounds.

#include <cstddef>
#include <cstdint>
#include <string>

#include "admin/arguments.h"
#include "base/assert.h"
#include "base/utf8.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice;
  using admin::Param;
  static const std::vector<Param> kParams = {Param::id("id", ""), Param::text("name", "").needed(),
                                             Param::flag("stop", ""), Param::strings("scopes", ""),
                                             Param::count("limit", "", 500)};
  if (size == 0) return 0;
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  net::HttpRequest request;
  request.method = data[0] % 2 == 0 ? "POST" : "GET";
  if (request.method == "POST") {
    request.body = text;
  } else {
    auto query = net::parse_query(text);
    if (!query) return 0;
    request.query = std::move(*query);
  }
  const auto read = admin::read_arguments(kParams, "/x", request, {});
  if (!read) {
    SLUICE_ASSERT(is_utf8(read.error().context()));
    return 0;
  }
  SLUICE_ASSERT(!read->text("name").empty() && read->text("name").size() <= 1024);
  SLUICE_ASSERT(read->integer("limit", 1) >= 1 && read->integer("limit", 1) <= 500);
  SLUICE_ASSERT(read->strings("scopes").size() <= Param::kListMax);
  for (const std::string& scope : read->strings("scopes")) SLUICE_ASSERT(is_utf8(scope));
  return 0;
}
