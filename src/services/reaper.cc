#include "services/reaper.h"

#include <cerrno>
#include <csignal>

#include <fmt/format.h>
#include <sys/wait.h>

namespace sluice::services {

void ChildProcess::send(int signal) const {
  if (!ended.is_set()) ::kill(static_cast<pid_t>(-id), signal);
}

Reaper::Reaper(net::Poller& poller, Logger& log)
    : poller_(poller), log_(log), tasks_(poller.shard()) {}

Reaper::~Reaper() {
  tasks_.cancel();
  for (const auto& child : children_) bury(*child);
}

void Reaper::prepare() {
  const Result<void> started = guardian_.start();
  if (!started) log_.warn("no_guardian", {{"error", started.error().to_string()}});
}

std::shared_ptr<ChildProcess> Reaper::adopt(std::int64_t id, Descriptor handle,
                                            std::uint64_t mark) {
  auto child = std::make_shared<ChildProcess>(poller_.shard());
  child->id = id;
  child->mark = mark;
  guardian_.watch(id, mark);
  children_.push_back(child);
  tasks_.spawn("service_reaper", wait(child, std::move(handle)));
  return child;
}

Task<void> Reaper::wait(std::shared_ptr<ChildProcess> child, Descriptor handle) {
  net::Watch watch(poller_);
  const Result<void> watched = watch.start(handle.get());
  if (watched) {
    co_await watch.wait(net::Watch::Side::kRead, MonoTime::max());
  } else {
    log_.error("service_not_watched", {{"error", watched.error().to_string()}});
  }
  watch.stop();
  bury(*child);
  std::erase(children_, child);
}

void Reaper::bury(ChildProcess& child) {
  if (child.ended.is_set()) return;
  // While it is a zombie its number is nobody else's: what it left behind goes now.
  child.send(SIGKILL);
  int status = 0;
  pid_t got = 0;
  do {
    got = ::waitpid(static_cast<pid_t>(child.id), &status, 0);
  } while (got < 0 && errno == EINTR);
  child.how = WIFSIGNALED(status) ? fmt::format("signal {}", WTERMSIG(status))
                                  : fmt::format("exit code {}", WEXITSTATUS(status));
  guardian_.forget(child.id, child.mark);
  child.lock.reset();
  child.ended.set();
}

}  // namespace sluice::services
