#include "ctl/replies.h"

#include <boost/json.hpp>

namespace sluice::ctl {

std::string target(std::string_view path) { return std::string("/v1/admin/").append(path); }

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
