#include "ctl/replies.h"

#include <boost/json.hpp>
#include <fmt/format.h>

#include "net/http_types.h"

namespace sluice::ctl {

std::string target(std::string_view path) { return std::string("/v1/admin/").append(path); }

std::string query(const Values& values, std::initializer_list<std::string_view> names) {
  std::string out;
  for (std::string_view name : names) {
    if (!values.has(name)) continue;
    const std::string_view key = name == "person" ? "sender" : name;
    out +=
        fmt::format("{}{}={}", out.empty() ? "?" : "&", key, net::percent_encode(values.get(name)));
  }
  return out;
}

int usage(Session& session, std::string_view text) {
  session.console.err << "sluice: " << text << "\n";
  return kUsage;
}

int failed(Session& session, const Reply& reply) {
  session.console.err << "sluice: " << reply.error << "\n";
  if (!reply.hint.empty()) session.console.err << "  " << reply.hint << "\n";
  return reply.status == 400 ? kUsage : reply.exit_code;
}

int show(Session& session, const Reply& reply, Page page) {
  if (!reply.ok()) return failed(session, reply);
  session.console.out << (session.json ? safe_json(reply.body) + "\n" : page(reply.body));
  return kDone;
}

int say(Session& session, const Reply& reply, const std::string& sentence) {
  if (!reply.ok()) return failed(session, reply);
  session.console.out << (session.json ? safe_json(reply.body) : safe_line(sentence)) << "\n";
  return kDone;
}

}  // namespace sluice::ctl
