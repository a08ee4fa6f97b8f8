#include "lifecycle_setup.h"

#include <memory>
#include <vector>

#include <fmt/core.h>

#include "measure.h"

namespace sluice::bench {

const std::string kLifecycleConfig =
    "rollback_window = \"200ms\"\nupgrade_timeout = \"5s\"\n"
    "[core]\nmax_concurrent_turns = 512\nmax_turns_per_person = 512\n"
    "max_turns_per_account_percent = 100\nhistory_messages = 0\ninbox_capacity = 100000\n"
    "pending_per_conversation = 1000000\npending_per_person = 10000000\n"
    "pending_per_account = 10000000\n"
    "[agents.echo]\nkind = \"echo\"\nplayground = true\nmax_turns = 512\n"
    "[channels.http]\nkind = \"http\"\nagent = \"echo\"\nstreams_per_person = 8000\n";

ShortLoad::Plan health_load(std::uint16_t port) {
  ShortLoad::Plan plan;
  plan.port = port;
  plan.make = [port](std::size_t) {
    return fmt::format("GET /health/live HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n\r\n", port);
  };
  return plan;
}

ShortLoad::Plan post_load(const RestartedDaemon& daemon,
                          std::function<void(std::string)> accepted) {
  ShortLoad::Plan plan;
  plan.port = daemon.port();
  plan.status = "HTTP/1.1 202";
  // Another load's ids are others.
  const auto mark = static_cast<std::uint64_t>(wall_seconds() * 1e6);
  auto said = std::make_shared<std::vector<std::string>>(plan.at_once);
  plan.make = [said, authorization = daemon.authorization(), port = daemon.port(), mark,
               n = std::uint64_t{0}](std::size_t client) mutable {
    (*said)[client] = fmt::format("{}-{}", mark, ++n);
    const std::string body = fmt::format(R"({{"id":"{0}","text":"{0}"}})", (*said)[client]);
    return fmt::format(
        "POST /v1/conversations/c{}/messages HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{}Content-Type: "
        "application/json\r\nContent-Length: {}\r\n\r\n{}",
        client, port, authorization, body.size(), body);
  };
  plan.on_answer = [said, accepted = std::move(accepted)](std::size_t client, const std::string&) {
    accepted((*said)[client]);
  };
  return plan;
}

bool restart_often(RestartedDaemon& daemon, std::size_t times) {
  for (std::size_t i = 0; i < times; ++i) {
    const RestartedDaemon::Restart restart = daemon.restart();
    if (restart.failed.empty()) continue;
    fmt::print(stderr, "no restart: {}\n", restart.failed);
    return false;
  }
  return true;
}

}  // namespace sluice::bench
