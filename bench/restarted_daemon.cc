#include "restarted_daemon.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>

#include <fmt/core.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "measure.h"

namespace sluice::bench {
namespace {

constexpr double kLook = 0.0005;  // seconds

std::string with_log(const std::string& directory, const std::string& config) {
  return config + fmt::format("[log]\nfile = \"{}/log\"\n", directory);
}

double number_behind(const std::string& line, std::string_view mark) {
  const std::size_t at = line.find(mark);
  return at == std::string::npos ? 0 : std::strtod(line.c_str() + at + mark.size(), nullptr);
}

}  // namespace

void adopt_orphans() { SLUICE_ASSERT(::prctl(PR_SET_CHILD_SUBREAPER, 1) == 0); }

void wait_for_end(int pid) {
  const double until = wall_seconds() + RestartedDaemon::kPatience;
  for (bool killed = false;;) {
    const pid_t ended = ::waitpid(pid, nullptr, WNOHANG);
    // Not ours yet, or not any more.
    if (ended == pid || (ended < 0 && ::kill(pid, 0) != 0)) return;
    if (!killed && wall_seconds() > until) killed = ::kill(pid, SIGKILL) == 0;
    rest(kLook);
  }
}

RestartedDaemon::RestartedDaemon(const std::string& program, const std::string& directory,
                                 const std::string& config)
    : directory_(directory),
      first_(program, directory, with_log(directory, config)),
      log_(directory + "/log"),
      holder_(first_.pid()) {}

RestartedDaemon::~RestartedDaemon() {
  if (holder_ == first_.pid()) return;  // its own object's business
  ::kill(holder_, SIGTERM);
  end_earlier();
  wait_for_end(holder_);
}

void RestartedDaemon::end_earlier() {
  if (earlier_ == first_.pid()) {
    first_.wait_for_end();
  } else if (earlier_ != 0) {
    wait_for_end(earlier_);
  }
  earlier_ = 0;
}

std::string RestartedDaemon::wait_for(std::initializer_list<std::string_view> events) {
  const double until = wall_seconds() + kPatience;
  for (std::string line;;) {
    const std::streampos begin = log_.tellg();
    if (!std::getline(log_, line) || log_.eof()) {
      log_.clear();
      log_.seekg(begin);
      if (wall_seconds() > until) return {};
      rest(kLook);
      continue;
    }
    for (const std::string_view event : events) {
      if (line.find(fmt::format(" {} ", event)) != std::string::npos) return line;
    }
  }
}

void RestartedDaemon::ask() {
  asked_at_ = wall_seconds();
  ::kill(holder_, SIGUSR1);
}

RestartedDaemon::Restart RestartedDaemon::wait() {
  Restart out;
  const std::string line = wait_for({"restarted", "restart_failed", "restart_refused"});
  out.command_ms = (wall_seconds() - asked_at_) * 1e3;
  first_.pass_over_output();
  if (line.find(" restarted ") == std::string::npos) {
    out.failed = line.empty() ? "the daemon says nothing" : line;
    return out;
  }
  out.pause_ms = number_behind(line, " pause_ms=");
  earlier_ = holder_;
  holder_ = static_cast<int>(number_behind(line, " pid="));
  return out;
}

void RestartedDaemon::wait_until_alone() {
  if (earlier_ == 0) return;
  (void)wait_for({"earlier_process_ended"});
  end_earlier();
}

bool RestartedDaemon::wait_until_replaced() {
  const std::string line = wait_for({"successor_replaced"});
  // Who that is, the store's lock says.
  std::ifstream(data() + "/store.lock") >> holder_;
  return line.find(" ok=true") != std::string::npos;
}

RestartedDaemon::Restart RestartedDaemon::restart() {
  wait_until_alone();
  ask();
  return wait();
}

}  // namespace sluice::bench
