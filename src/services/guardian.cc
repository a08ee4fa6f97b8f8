#include "services/guardian.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

namespace sluice::services {
namespace {

using Order = std::int32_t;  // a group to watch, or to forget if it is negative

/// In the copy of our process, of which only this thread lives: system calls and its own stack
/// only.
[[noreturn]] void guard(int orders) {
  ::setsid();  // away from the terminal's signals
  struct sigaction ignore{};
  ignore.sa_handler = SIG_IGN;
  for (const int number : {SIGHUP, SIGINT, SIGTERM, SIGQUIT, SIGUSR1, SIGUSR2}) {
    ::sigaction(number, &ignore, nullptr);
  }
  ::prctl(PR_SET_NAME, "sluice-guardian");
  // Its one descriptor is 3, none of ours stays open.
  ::dup3(orders, 3, 0);
  for (int fd = 0; fd < 3; ++fd) ::close(fd);
  ::syscall(SYS_close_range, 4, ~0U, 0);
  std::array<Order, Guardian::kGroupsMost> groups;
  std::size_t count = 0;
  Order order = 0;
  for (;;) {
    const ssize_t got = ::read(3, &order, sizeof order);
    if (got < 0 && errno == EINTR) continue;
    if (got != static_cast<ssize_t>(sizeof order)) break;
    if (order > 0 && count < groups.size()) groups[count++] = order;
    for (std::size_t i = 0; order < 0 && i < count; ++i) {
      if (groups[i] == -order) groups[i--] = groups[--count];
    }
  }
  for (std::size_t i = 0; i < count; ++i) ::kill(-groups[i], SIGKILL);
  ::_exit(0);
}

}  // namespace

Result<void> Guardian::start() {
  if (process_ != 0) return {};
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    return Error(ErrorKind::kUnavailable, std::string("pipe: ") + std::strerror(errno));
  }
  Descriptor read(ends[0]);
  Descriptor write(ends[1]);
  const pid_t child = ::fork();
  if (child == 0) {
    // A guardian that held the writing end itself would never hear of our end.
    ::close(write.get());
    guard(read.get());
  }
  if (child < 0) {
    return Error(ErrorKind::kUnavailable, std::string("fork: ") + std::strerror(errno));
  }
  process_ = child;
  orders_ = std::move(write);
  return {};
}

void Guardian::tell(std::int64_t order) {
  if (!orders_.is_open()) return;
  const auto small = static_cast<Order>(order);
  // Less than PIPE_BUF: all of it or nothing; it reads faster than we start processes.
  ssize_t wrote = 0;
  do {
    wrote = ::write(orders_.get(), &small, sizeof small);
  } while (wrote < 0 && errno == EINTR);
}

Guardian::~Guardian() {
  if (process_ == 0) return;
  orders_.reset();
  // It ends by itself as soon as it reads that.
  while (::waitpid(static_cast<pid_t>(process_), nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace sluice::services
