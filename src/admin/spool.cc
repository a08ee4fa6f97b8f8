#include "admin/spool.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace sluice::admin {
namespace {

constexpr std::size_t kBufferBytes = 64 * 1024;

Error failed(std::string_view what, int code) {
  const bool full = code == ENOSPC || code == EDQUOT;
  return Error(full ? ErrorKind::kDiskFull : ErrorKind::kInternal,
               fmt::format("{}: {}", what, std::strerror(code)));
}

}  // namespace

Result<std::shared_ptr<Spool>> Spool::open(const std::string& directory) {
  const int fd = ::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);
  if (fd >= 0) return std::shared_ptr<Spool>(new Spool(fd));
  if (errno == EOPNOTSUPP || errno == EISDIR) {
    return Error(ErrorKind::kUnsupported,
                 "the file system of " + directory + " has no files without a name");
  }
  return failed("a file without a name in " + directory, errno);
}

Spool::~Spool() { ::close(fd_); }

Result<void> Spool::line(std::string_view text) {
  if (bytes_ + text.size() + 1 > kSpoolBytes) {
    return Error(ErrorKind::kTooLarge, fmt::format("more than {} bytes", kSpoolBytes));
  }
  buffer_.append(text).push_back('\n');
  bytes_ += text.size() + 1;
  ++lines_;
  return buffer_.size() < kBufferBytes ? Result<void>() : flush();
}

Result<void> Spool::finish() { return flush(); }

Result<void> Spool::flush() {
  std::string_view rest = buffer_;
  while (!rest.empty()) {
    const ssize_t n = ::write(fd_, rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed("writing", errno);
    rest.remove_prefix(static_cast<std::size_t>(n));
  }
  buffer_.clear();
  return {};
}

Result<std::string> Spool::read(std::uint64_t offset, std::size_t size) const {
  std::string piece(size, '\0');
  for (;;) {
    const ssize_t n = ::pread(fd_, piece.data(), size, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed("reading", errno);
    piece.resize(static_cast<std::size_t>(n));
    return piece;
  }
}

}  // namespace sluice::admin
