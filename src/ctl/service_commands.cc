// The commands on extension services, and their pages.

#include <boost/json.hpp>
#include <fmt/format.h>

#include "base/units.h"
#include "ctl/console.h"
#include "ctl/fields.h"
#include "ctl/operator_commands.h"
#include "ctl/render.h"
#include "ctl/replies.h"
#include "net/http_types.h"

namespace sluice::ctl {

namespace json = boost::json;

std::string services_page(const json::value& services) {
  std::vector<std::vector<std::string>> rows;
  for (const json::value& one : list_of(services, "services")) {
    const json::value& process = field_of(one, "process");
    rows.push_back({text_of(one, "name"), text_of(one, "kind"), text_of(one, "from"),
                    text_of(one, "status"), took_text(number_of(one, "in_status_ms")),
                    process.is_null() ? "-" : fmt::format("{}", number_of(one, "process")),
                    fmt::format("{}", list_of(one, "tools").size()),
                    fmt::format("{}", number_of(one, "calls")),
                    fmt::format("{}", number_of(one, "losses")), text_of(one, "last_error")});
  }
  if (rows.empty()) return "no services; [services.NAME] in the configuration makes one\n";
  return table({"SERVICE", "KIND", "FROM", "STATUS", "SINCE", "PROCESS", "TOOLS", "CALLS", "LOSSES",
                "LAST ERROR"},
               rows);
}

std::string service_page(const json::value& service) {
  std::string page = services_page(json::object{{"services", {service}}}) + "\n";
  const json::value& server = field_of(service, "server");
  page += safe_line(fmt::format("{} {}, {} {}", text_of(server, "name"), text_of(server, "version"),
                                text_of(service, "protocol"), text_of(server, "protocol_version")));
  page += "\n";
  for (const json::value& tool : list_of(service, "tools")) {
    page += fmt::format("\n{}\n", safe_line(text_of(tool, "name")));
    const std::string description = safe_line(text_of(tool, "description"));
    if (!description.empty()) page += "    " + description + "\n";
    const json::value& arguments = field_of(tool, "arguments");
    if (!arguments.is_null()) page += "    " + safe_json(arguments) + "\n";
  }
  return page;
}

std::string service_log_page(const json::value& log) {
  std::string page;
  for (const json::value& line : list_of(log, "lines")) {
    page += fmt::format("{}  {}{}\n", time_text(number_of(line, "at")),
                        flag_of(line, "ours") ? "* " : "  ", safe_line(text_of(line, "text")));
  }
  return page.empty() ? "nothing yet\n" : page;
}

std::string tool_result_page(const json::value& answer) {
  const json::value& result = field_of(answer, "result");
  std::string page;
  for (const json::value& part : list_of(result, "content")) {
    if (text_of(part, "type") != "text") return safe_json(result) + "\n";
    page += safe_text(text_of(part, "text"));
    if (!page.ends_with('\n')) page += "\n";
  }
  return page.empty() ? safe_json(result) + "\n" : page;
}

namespace {

std::string target_of(const Values& values, std::string_view what) {
  std::string out = target("services/" + net::percent_encode(values.get("service")));
  return what.empty() ? out : out.append("/").append(what);
}

}  // namespace

namespace command {

Task<int> services_list(Session* session, Values values) {
  const Reply reply =
      co_await session->client.get(target("services" + query(values, {"capability"})));
  co_return show(*session, reply, &services_page);
}

Task<int> services_show(Session* session, Values values) {
  const Reply reply = co_await session->client.get(target_of(values, ""));
  co_return show(*session, reply, &service_page);
}

Task<int> services_logs(Session* session, Values values) {
  const Reply reply = co_await session->client.get(target_of(values, "logs"));
  co_return show(*session, reply, &service_log_page);
}

Task<int> services_start(Session* session, Values values) {
  const Reply reply = co_await session->client.post(target_of(values, "start"), {});
  co_return say(*session, reply, "started: " + values.get("service"));
}

Task<int> services_stop(Session* session, Values values) {
  const Reply reply =
      co_await session->client.post(target_of(values, "stop"), {}, Client::kPatient);
  co_return say(*session, reply, "stopped: " + values.get("service"));
}

Task<int> services_call(Session* session, Values values) {
  json::object body{{"tool", values.get("tool")}};
  if (values.has("arguments")) body["arguments"] = values.get("arguments");
  if (values.has("timeout")) {
    const auto timeout = parse_duration(values.get("timeout"));
    if (!timeout || timeout->count() == 0) {
      co_return usage(*session, "TIME is a time with its unit, like 90s");
    }
    body["timeout_ms"] = timeout->count();
  }
  const Reply reply =
      co_await session->client.post(target_of(values, "call"), std::move(body), Client::kPatient);
  const int code = show(*session, reply, &tool_result_page);
  // A tool says by this that it could not do what it was asked.
  co_return code == kDone&& flag_of(field_of(reply.body, "result"), "isError") ? kFailed : code;
}

}  // namespace command

}  // namespace sluice::ctl
