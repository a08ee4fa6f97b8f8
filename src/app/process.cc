#include "app/process.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include <malloc.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/assert.h"

namespace sluice::app {
namespace {

// What is outside is a mistake: we would do nothing but tell that we live.
constexpr long long kLeastWatchdogMicros = 10'000;
constexpr long long kMostWatchdogMicros = 86'400'000'000;

std::uint64_t raise_descriptors() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) ::getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

}  // namespace

std::uint64_t prepare_process() {
  ::umask(077);
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
#ifndef SLUICE_SANITIZED
  // Also keeps other processes of the user from attaching; LeakSanitizer has to.
  ::prctl(PR_SET_DUMPABLE, 0);
  // Three threads need no arena each, and a freed megabyte is worth more to others.
  ::mallopt(M_ARENA_MAX, 1);
  ::mallopt(M_TRIM_THRESHOLD, 256 << 10);
  ::mallopt(M_MMAP_THRESHOLD, 256 << 10);
#endif
  std::signal(SIGPIPE, SIG_IGN);
  return raise_descriptors();
}

std::uint64_t random_seed() {
  std::uint64_t seed = 0;
  ssize_t n = 0;
  do {
    n = ::getrandom(&seed, sizeof seed, 0);
  } while (n < 0 && errno == EINTR);
  SLUICE_ASSERT(n == static_cast<ssize_t>(sizeof seed));
  return seed;
}

void UnixSystem::notify(std::string_view state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || (path[0] != '/' && path[0] != '@')) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::size_t length = std::strlen(path);
  if (length >= sizeof address.sun_path) return;
  std::memcpy(address.sun_path, path, length);
  if (path[0] == '@') address.sun_path[0] = '\0';  // the abstract namespace
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  const ssize_t sent = ::sendto(fd, state.data(), state.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
                                reinterpret_cast<const sockaddr*>(&address), size);
  (void)sent;
  ::close(fd);
}

std::optional<Duration> UnixSystem::watchdog() {
  const char* const text = std::getenv("WATCHDOG_USEC");
  if (text == nullptr) return std::nullopt;
  const char* const meant_for = std::getenv("WATCHDOG_PID");
  if (meant_for != nullptr && std::atoll(meant_for) != ::getpid()) return std::nullopt;
  const long long microseconds = std::atoll(text);
  if (microseconds < kLeastWatchdogMicros || microseconds > kMostWatchdogMicros)
    return std::nullopt;
  return std::chrono::microseconds(microseconds);
}

std::int64_t UnixSystem::process_id() { return ::getpid(); }

}  // namespace sluice::app
