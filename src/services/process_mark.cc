#include "services/process_mark.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>
#include <cstring>
#include <string_view>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace sluice::services {
namespace {

constexpr std::uint64_t kOurs = std::uint64_t{0x51} << 55;  // no limit that a person would set
constexpr int kLooksMost = 10;
constexpr std::string_view kLine = "\nMax file locks";

/// As the kernel fills it; see getdents64(2).
struct Entry {
  std::uint64_t inode;
  std::int64_t offset;
  std::uint16_t size;
  std::uint8_t type;
  char name[1];
};

/// The hard limit in what /proc/PID/limits says; 0: none.
std::uint64_t mark_in(std::string_view limits) {
  const std::size_t at = limits.find(kLine);
  if (at == std::string_view::npos) return 0;
  limits.remove_prefix(at + kLine.size());
  const auto number = [&limits] {
    std::uint64_t value = 0;
    limits.remove_prefix(std::min(limits.find_first_not_of(' '), limits.size()));
    const auto read = std::from_chars(limits.data(), limits.data() + limits.size(), value);
    limits.remove_prefix(static_cast<std::size_t>(read.ptr - limits.data()));
    return value;
  };
  number();  // the soft one; "unlimited" reads as nothing, and so does what follows it
  return number();
}

std::uint64_t mark_of(int proc, const char* process) {
  std::array<char, 64> path{};
  const std::string_view file = "/limits";
  const std::size_t size = std::strlen(process);
  if (size + file.size() >= path.size()) return 0;
  std::memcpy(path.data(), process, size);
  std::memcpy(path.data() + size, file.data(), file.size());
  const int fd = ::openat(proc, path.data(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  std::array<char, 4096> text{};
  const ssize_t got = ::read(fd, text.data(), text.size());
  ::close(fd);
  return got <= 0 ? 0 : mark_in(std::string_view(text.data(), static_cast<std::size_t>(got)));
}

/// How many it killed.
int look(const std::uint64_t* marks, std::size_t count) {
  const int proc = ::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (proc < 0) return 0;
  int killed = 0;
  alignas(Entry) std::array<char, 8192> buffer;
  for (;;) {
    const long got = ::syscall(SYS_getdents64, proc, buffer.data(), buffer.size());
    if (got <= 0) break;
    for (long at = 0; at < got;) {
      const auto* entry = reinterpret_cast<const Entry*>(buffer.data() + at);
      at += entry->size;
      const char* name = entry->name;
      pid_t pid = 0;
      const auto read = std::from_chars(name, name + std::strlen(name), pid);
      if (*read.ptr != '\0' || pid <= 1) continue;
      const std::uint64_t mark = mark_of(proc, name);
      const bool meant = mark != 0 && std::find(marks, marks + count, mark) != marks + count;
      if (meant && ::kill(pid, SIGKILL) == 0) ++killed;
    }
  }
  ::close(proc);
  return killed;
}

}  // namespace

std::uint64_t make_mark(std::uint32_t number) {
  return kOurs | (static_cast<std::uint64_t>(::getpid()) << 32) | number;
}

void put_mark(std::uint64_t mark) {
  const rlimit limit{mark, mark};
  // A service of a service of ours has one that is lower, perhaps: it goes with that one then.
  (void)::setrlimit(RLIMIT_LOCKS, &limit);
}

void kill_marked(const std::uint64_t* marks, std::size_t count) {
  // What forks while we look is found by the next look.
  for (int i = 0; i < kLooksMost && count > 0 && look(marks, count) > 0; ++i) {
  }
}

}  // namespace sluice::services
