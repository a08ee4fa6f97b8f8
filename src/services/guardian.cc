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

#include "services/process_mark.h"

namespace sluice::services {
namespace {

struct Order {
  std::uint64_t mark = 0;
  std::int32_t group = 0;  // to watch, or to forget if it is negative
};
constexpr std::size_t kOrdersAtOnce = 64;

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
  std::array<std::int32_t, Guardian::kGroupsMost> groups;
  std::array<std::uint64_t, Guardian::kGroupsMost> marks;  // of the groups
  std::size_t count = 0;
  std::array<Order, kOrdersAtOnce> orders_read;
  for (;;) {
    // Each is written whole, and so are they read.
    const ssize_t got = ::read(3, orders_read.data(), sizeof orders_read);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    std::array<std::uint64_t, kOrdersAtOnce> ended;
    std::size_t ended_count = 0;
    for (std::size_t n = 0; n < static_cast<std::size_t>(got) / sizeof(Order); ++n) {
      const Order& order = orders_read[n];
      if (order.group > 0 && count < groups.size()) {
        groups[count] = order.group;
        marks[count++] = order.mark;
      }
      if (order.group > 0) continue;
      ended[ended_count++] = order.mark;
      for (std::size_t i = 0; i < count; ++i) {
        if (marks[i] != order.mark) continue;
        groups[i] = groups[--count];
        marks[i] = marks[count];
        break;
      }
    }
    kill_marked(ended.data(), ended_count);
  }
  for (std::size_t i = 0; i < count; ++i) ::kill(-groups[i], SIGKILL);
  kill_marked(marks.data(), count);
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

void Guardian::tell(std::int64_t group, std::uint64_t mark) {
  if (!orders_.is_open()) return;
  const Order order{mark, static_cast<std::int32_t>(group)};
  // Less than PIPE_BUF: all of it or nothing; it reads faster than we start processes.
  ssize_t wrote = 0;
  do {
    wrote = ::write(orders_.get(), &order, sizeof order);
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
