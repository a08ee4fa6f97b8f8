// Operations on extension services.

#include <boost/json.hpp>

#include "admin/operations.h"
#include "admin/rows.h"

namespace sluice::admin {

namespace json = boost::json;

namespace {

std::int64_t milliseconds_of(Duration d) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
}

Error no_services() { return Error(ErrorKind::kUnsupported, "this daemon has no services"); }

Param service_name() { return Param::text("name", "the service").needed(); }

}  // namespace

json::object service_json(const services::ServiceInfo& service, bool whole) {
  json::array tools;
  for (const services::ToolInfo& tool : service.tools) {
    if (whole) {
      tools.push_back(
          {{"name", tool.name}, {"description", tool.description}, {"arguments", tool.schema}});
    } else {
      tools.emplace_back(tool.name);
    }
  }
  json::object object{{"name", service.name},
                      {"kind", service.kind},
                      {"from", service.registered ? "registered" : "configuration"},
                      {"protocol", to_string(service.protocol)},
                      {"status", to_string(service.status)},
                      {"critical", service.critical},
                      {"generation", service.generation},
                      {"in_status_ms", milliseconds_of(service.in_status)},
                      {"attempts", service.attempts},
                      {"losses", service.losses},
                      {"calls", service.calls},
                      {"strays", service.strays},
                      {"last_error", service.last_error},
                      {"capabilities", json::value_from(service.capabilities)},
                      {"tools", std::move(tools)}};
  object["process"] = service.process_id == 0 ? json::value() : json::value(service.process_id);
  object["silent_ms"] =
      service.silent_for ? json::value(milliseconds_of(*service.silent_for)) : json::value();
  object["round_trip_us"] =
      service.round_trip
          ? json::value(
                std::chrono::duration_cast<std::chrono::microseconds>(*service.round_trip).count())
          : json::value();
  object["server"] = {{"name", service.greeting.name},
                      {"version", service.greeting.version},
                      {"protocol_version", service.greeting.protocol_version}};
  return object;
}

void Operations::add_services() {
  add("services.list", "GET services",
      {Param::text("capability", "only those that have it; nothing: all")},
      "Extension services, and how they are.", &Operations::services_list);
  add("services.show", "GET services/{name}", {service_name()},
      "One service, with its tools and their arguments.", &Operations::services_show);
  add("services.start", "POST services/{name}/start", {service_name()},
      "Starts a service that was stopped, or tries one again that was given up.",
      &Operations::services_start);
  add("services.stop", "POST services/{name}/stop", {service_name()},
      "Stops a service: its calls may end, then it is told to go. It stays stopped until it is "
      "started, or the daemon is.",
      &Operations::services_stop);
  Param arguments = Param::text("arguments", "a JSON object; nothing: {}");
  arguments.most = kCallBytes;
  add("services.call", "POST services/{name}/call",
      {service_name(), Param::text("tool", "its name").needed(), std::move(arguments),
       Param::count("timeout_ms", "how long it may take; nothing: the service's own time",
                    kCallMsMost)},
      "Calls a tool, and answers what it answered.", &Operations::services_call);
  add("services.logs", "GET services/{name}/logs", {service_name()},
      "The last lines of a service's standard error, and what became of it.",
      &Operations::services_logs);
}

Operations::Answered Operations::services_list(Arguments arguments) {
  json::array list;
  if (parts_.services != nullptr) {
    for (const services::ServiceInfo& one : parts_.services->list(arguments.text("capability"))) {
      list.push_back(service_json(one, false));
    }
  }
  co_return json_answer({{"services", std::move(list)}});
}

Operations::Answered Operations::services_show(Arguments arguments) {
  if (parts_.services == nullptr) co_return no_services();
  const auto found = parts_.services->find(arguments.text("name"));
  if (!found) co_return found.error();
  co_return json_answer(service_json(*found, true));
}

Operations::Answered Operations::services_start(Arguments arguments) {
  if (parts_.services == nullptr) co_return no_services();
  const std::string name = arguments.text("name");
  const Result<void> started = parts_.services->start(name);
  if (!started) co_return started.error();
  co_return json_answer({{"service", name}, {"started", true}});
}

Operations::Answered Operations::services_stop(Arguments arguments) {
  if (parts_.services == nullptr) co_return no_services();
  const std::string name = arguments.text("name");
  const Result<void> stopped = co_await parts_.services->stop(name);
  if (!stopped) co_return stopped.error();
  co_return json_answer({{"service", name}, {"stopped", true}});
}

Operations::Answered Operations::services_call(Arguments arguments) {
  if (parts_.services == nullptr) co_return no_services();
  json::value given = json::object();
  if (arguments.has("arguments") && !arguments.text("arguments").empty()) {
    boost::system::error_code wrong;
    given = json::parse(arguments.text("arguments"), wrong);
    if (wrong || !given.is_object()) {
      co_return Error(ErrorKind::kInvalidArgument, "\"arguments\" is no JSON object",
                      ErrorSource::kPeer);
    }
  }
  const std::chrono::milliseconds timeout(arguments.integer("timeout_ms"));
  auto result = co_await parts_.services->call(arguments.text("name"), arguments.text("tool"),
                                               std::move(given), timeout);
  if (!result) co_return result.error();
  co_return json_answer({{"result", std::move(*result)}});
}

Operations::Answered Operations::services_logs(Arguments arguments) {
  if (parts_.services == nullptr) co_return no_services();
  const auto lines = parts_.services->log_of(arguments.text("name"));
  if (!lines) co_return lines.error();
  json::array list;
  for (const services::LogRing::Line& line : *lines) {
    list.push_back({{"at", time_json(line.at)}, {"ours", line.ours}, {"text", line.text}});
  }
  co_return json_answer({{"lines", std::move(list)}});
}

}  // namespace sluice::admin
