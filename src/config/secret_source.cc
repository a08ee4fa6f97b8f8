#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>

#include <fcntl.h>
#include <fmt/core.h>
#include <string.h>  // explicit_bzero
#include <sys/stat.h>
#include <unistd.h>

#include "config/load.h"

namespace sluice::config {
namespace {

Error refused(ErrorKind kind, const std::string& path, std::string_view why) {
  return Error(kind, fmt::format("{} {}", path, why));
}

Error unreadable(const std::string& path, int code) {
  const ErrorKind kind = code == ENOENT   ? ErrorKind::kNotFound
                         : code == EACCES ? ErrorKind::kPermissionDenied
                                          : ErrorKind::kUnavailable;
  return refused(kind, path, fmt::format("can't be read: {}", std::strerror(code)));
}

/// Reads until the end or until the buffer is full; -1 and errno if that fails.
ssize_t read_some(int fd, char* into, std::size_t size) {
  std::size_t got = 0;
  while (got < size) {
    const ssize_t n = ::read(fd, into + got, size - got);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return -1;
    if (n == 0) break;
    got += static_cast<std::size_t>(n);
  }
  return static_cast<ssize_t>(got);
}

Result<Secret> read_secret(int fd, const std::string& path) {
  struct stat info{};
  if (::fstat(fd, &info) != 0) return unreadable(path, errno);
  if (!S_ISREG(info.st_mode)) {
    return refused(ErrorKind::kInvalidArgument, path, "is not a regular file");
  }
  // The descriptor is asked, not the path: nobody can exchange the file in between.
  if ((info.st_mode & 07) != 0) {
    return refused(ErrorKind::kPermissionDenied, path,
                   fmt::format("is open to every user (mode {:04o}); chmod o= takes that away",
                               info.st_mode & 07777u));
  }
  const auto buffer = std::make_unique<char[]>(kMaxSecretBytes + 2);
  const ssize_t got = read_some(fd, buffer.get(), kMaxSecretBytes + 2);
  if (got < 0) return unreadable(path, errno);
  std::string_view bytes(buffer.get(), static_cast<std::size_t>(got));
  if (bytes.ends_with('\n')) bytes.remove_suffix(bytes.ends_with("\r\n") ? 2 : 1);
  Secret secret(bytes.size() <= kMaxSecretBytes ? bytes : std::string_view());
  const bool too_long = bytes.size() > kMaxSecretBytes;
  explicit_bzero(buffer.get(), kMaxSecretBytes + 2);
  if (too_long) {
    return refused(ErrorKind::kTooLarge, path,
                   fmt::format("has more than {} bytes; is it the right file?", kMaxSecretBytes));
  }
  if (secret.empty()) return refused(ErrorKind::kInvalidArgument, path, "is empty");
  return secret;
}

}  // namespace

std::optional<Secret> SystemSecrets::environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr) return std::nullopt;
  return Secret(value);
}

Result<Secret> SystemSecrets::file(const std::string& path) {
  // Not blocking: a FIFO in place of the file must not hold the start.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return unreadable(path, errno);
  Result<Secret> secret = read_secret(fd, path);
  ::close(fd);
  return secret;
}

}  // namespace sluice::config
