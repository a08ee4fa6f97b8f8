// What a Service does with its connection: the greeting, heartbeats, and the end.

#include <algorithm>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "services/service.h"

namespace sluice::services {

namespace json = boost::json;

Connection::Handlers Service::handlers() {
  Connection::Handlers out;
  out.on_life = [this] { last_life_ = loop_.now(); };
  out.on_end = [this] { attention_.pulse(); };
  out.on_request = [this](std::string method, json::value params) {
    return answer_request(std::move(method), std::move(params));
  };
  out.on_notification = [this](const std::string& method, const json::value&) {
    on_notification(method);
  };
  out.cancellation = [protocol = settings_.protocol](std::int64_t id) {
    return services::cancellation(protocol, id);
  };
  out.passes_over_noise = settings_.passes_over_noise;
  return out;
}

Task<Service::Answer> Service::answer_request(std::string method, json::value params) {
  if (method == "ping") co_return Answer(json::object());
  co_return co_await callbacks_.serve(name_, std::move(method), std::move(params));
}

void Service::on_notification(const std::string& method) {
  if (method == kToolsChanged) {
    tools_changed_ = true;
    attention_.pulse();
  } else if (method == "heartbeat") {
    heartbeat();
  }
}

void Service::heartbeat() {
  if (retry()) return;
  last_life_ = loop_.now();
  attempts_ = 0;
  events_.emit(event(ServiceEvent::What::kHeartbeat));
}

Task<Result<void>> Service::connect(MonoTime deadline) {
  auto link = co_await connector_->connect(deadline, &ring_);
  if (!link) co_return link.error();
  ++generation_;
  // Where run() drops it, however this ends.
  connection_ =
      std::make_shared<Connection>(loop_, std::move(*link), handlers(), settings_.timeout);
  const std::shared_ptr<Connection> connection = connection_;
  ring_.note(fmt::format("connected (generation {}{})", generation_,
                         connection->process_id() == 0
                             ? std::string()
                             : fmt::format(", process {}", connection->process_id())));
  connection->start();
  RpcCall hello =
      initialize_call(settings_.protocol, name_, version_, settings_.heartbeat_interval);
  const Answer said = co_await Connection::call(connection, std::move(hello.method),
                                                std::move(hello.params), deadline);
  if (!said) co_return connection->has_ended() ? connection->why() : said.error();
  auto greeting = read_greeting(settings_.protocol, *said);
  if (!greeting) co_return greeting.error();
  if (settings_.protocol == Protocol::kMcp) {
    const Result<void> told = connection->notify(kInitialized, nullptr);
    if (!told) co_return told.error();
  }
  std::vector<ToolInfo> tools;
  if (greeting->tools) tools = std::move(*greeting->tools);
  if (greeting->list_tools) {
    auto listed = co_await list_tools(connection, deadline);
    if (!listed) co_return connection->has_ended() ? connection->why() : listed.error();
    tools = std::move(*listed);
  }
  greeting_ = std::move(*greeting);
  tools_ = std::move(tools);
  tools_changed_ = false;
  co_return Result<void>();
}

Task<Result<std::vector<ToolInfo>>> Service::list_tools(std::shared_ptr<Connection> connection,
                                                        MonoTime deadline) {
  std::vector<ToolInfo> tools;
  std::string cursor;
  for (std::size_t page = 0; page < kToolPagesMost; ++page) {
    RpcCall list = list_tools_call(cursor);
    const Answer said = co_await Connection::call(connection, std::move(list.method),
                                                  std::move(list.params), deadline);
    if (!said) co_return said.error();
    const auto next = read_tools(*said, tools);
    if (!next) co_return next.error();
    cursor = *next;
    if (cursor.empty()) co_return tools;
  }
  co_return Error(ErrorKind::kBadResponse, "tools/list does not end", ErrorSource::kPeer);
}

Task<Service::Lost> Service::serve() {
  MonoTime next_ping = loop_.now() + settings_.heartbeat_interval;
  for (;;) {
    if (stop_.is_set()) co_return Lost::kStopped;
    if (connection_->has_ended()) co_return Lost::kEnded;
    const MonoTime now = loop_.now();
    const MonoTime silent_at = last_life_ + settings_.heartbeat_timeout;
    if (now >= silent_at) co_return Lost::kSilent;
    if (now >= next_ping) {
      next_ping = now + settings_.heartbeat_interval;
      if (!ping_under_way_) chores_.spawn("service_ping", ping(connection_));
    }
    if (tools_changed_) {
      tools_changed_ = false;
      chores_.spawn("service_tools", refresh_tools(connection_));
      continue;
    }
    co_await attention_.wait_until(std::min(next_ping, silent_at));
  }
}

Task<void> Service::ping(std::shared_ptr<Connection> connection) {
  ping_under_way_ = true;
  const MonoTime sent = loop_.now();
  RpcCall call = ping_call(settings_.protocol, ++pings_, loop_.wall());
  const Answer answer =
      co_await Connection::call(connection, std::move(call.method), std::move(call.params),
                                sent + settings_.heartbeat_timeout);
  ping_under_way_ = false;
  // Who does not know this method has answered all the same.
  const bool answered =
      answer || (answer.error().kind() != ErrorKind::kTimeout && !connection->has_ended() &&
                 answer.error().source() == ErrorSource::kPeer);
  if (!answered) co_return;
  round_trip_ = loop_.now() - sent;
  heartbeat();
}

Task<void> Service::refresh_tools(std::shared_ptr<Connection> connection) {
  auto listed = co_await list_tools(connection, loop_.now() + settings_.timeout);
  if (listed) {
    tools_ = std::move(*listed);
  } else {
    ring_.note("its new tools are not known: " + listed.error().to_string());
  }
}

Task<void> Service::say_goodbye() {
  become(ServiceStatus::kStopping);
  chores_.cancel();
  ping_under_way_ = false;
  const std::shared_ptr<Connection> connection = std::exchange(connection_, nullptr);
  if (!connection) co_return;
  // Calls under way may end in half of the time; the rest is for the service itself.
  const Duration all = std::max(Duration(0), stop_deadline_ - loop_.now());
  const MonoTime drained = loop_.now() + all / 2;
  for (bool in_time = true; in_time && connection->calls() > 0;) {
    in_time = co_await connection->call_ended().wait_until(drained);
  }
  // A peer serves others too, the next generation of ours among them.
  const bool ours = settings_.protocol == Protocol::kSluice && connection->process_id() != 0 &&
                    !connection->has_ended();
  if (ours) {
    (void)co_await Connection::call(connection, "shutdown", nullptr, loop_.now() + all / 8);
  }
  const std::unique_ptr<Link> link =
      connection->cut(Error(ErrorKind::kUnavailable, "the service is being stopped"));
  if (!link) co_return;
  if (ours) {
    (void)co_await link->send(encode_notification("exit", nullptr), loop_.now() + all / 8);
  }
  co_await link->close(stop_deadline_);
}

}  // namespace sluice::services
