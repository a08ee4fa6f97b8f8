#include "app/file_watch.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

namespace sluice::app {
namespace {

std::int64_t nanoseconds(const timespec& time) {
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

FileWatch::Look FileWatch::Look::at(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return {};
  return {true,
          info.st_dev,
          info.st_ino,
          info.st_size,
          nanoseconds(info.st_mtim),
          nanoseconds(info.st_ctim)};
}

Result<std::unique_ptr<FileWatch>> FileWatch::make(Shard& shard, std::string path, Look seen) {
  const std::string folder = std::filesystem::absolute(path).parent_path();
  const auto failed = [&] {
    return Error(ErrorKind::kUnavailable, "watching " + folder + ": " + std::strerror(errno));
  };
  const int fd = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (fd < 0) return failed();
  std::unique_ptr<FileWatch> made(new FileWatch(shard, std::move(path), seen, fd));
  constexpr std::uint32_t kEvents =
      IN_CLOSE_WRITE | IN_MODIFY | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE;
  if (::inotify_add_watch(fd, folder.c_str(), kEvents) < 0) return failed();
  if (auto watched = made->watch_.start(fd); !watched) return watched.error();
  return made;
}

FileWatch::FileWatch(Shard& shard, std::string path, Look seen, int fd)
    : shard_(shard),
      path_(std::move(path)),
      seen_(seen),
      fd_(fd),
      poller_(shard),
      watch_(poller_) {}

FileWatch::~FileWatch() {
  watch_.stop();
  ::close(fd_);
}

void FileWatch::take_events() {
  alignas(inotify_event) std::array<char, 4096> buffer;
  ssize_t size = 0;
  while ((size = ::read(fd_, buffer.data(), buffer.size())) > 0) {
    for (ssize_t at = 0; at < size;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
      over_ = over_ || (event->mask & IN_IGNORED) != 0;
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
    }
  }
  watch_.exhausted(net::Watch::Side::kRead);
}

Task<Result<void>> FileWatch::changed() {
  for (;;) {
    // First: it may have changed since the reader has seen it.
    const Look now = Look::at(path_);
    if (now != seen_) {
      seen_ = now;
      co_return Result<void>();
    }
    if (over_) co_return Error(ErrorKind::kUnavailable, "the folder of " + path_ + " has gone");
    co_await watch_.wait(net::Watch::Side::kRead, MonoTime::max());
    const MonoTime patience = shard_.now() + kPatience;
    for (bool quiet = false; !quiet && shard_.now() < patience;) {
      take_events();
      const MonoTime until = std::min(patience, shard_.now() + kQuiet);
      const net::Wake wake = co_await watch_.wait(net::Watch::Side::kRead, until);
      quiet = wake == net::Wake::kTimeout;
    }
  }
}

}  // namespace sluice::app
