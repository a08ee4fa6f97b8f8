#include "config/file.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

namespace sluice::config {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { close(); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const { return fd_; }
  /// False if the file system reports a failed write only now.
  bool close() { return fd_ < 0 || ::close(std::exchange(fd_, -1)) == 0; }

 private:
  int fd_;
};

Error failed(std::string_view what, const std::string& path, int code) {
  ErrorKind kind = ErrorKind::kStorageFailed;
  if (code == ENOENT || code == ENOTDIR) kind = ErrorKind::kNotFound;
  if (code == EACCES || code == EPERM || code == EROFS) kind = ErrorKind::kPermissionDenied;
  if (code == ENOSPC || code == EDQUOT) kind = ErrorKind::kDiskFull;
  if (code == EEXIST) kind = ErrorKind::kConflict;
  return Error(kind, fmt::format("{} {}: {}", what, path, std::strerror(code)));
}

bool write_all(int fd, std::string_view content) {
  while (!content.empty()) {
    const ssize_t n = ::write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    content.remove_prefix(static_cast<std::size_t>(n));
  }
  return true;
}

bool put_in_place(const std::string& temporary, const std::string& path, IfExists if_exists) {
  if (if_exists == IfExists::kReplace) return ::rename(temporary.c_str(), path.c_str()) == 0;
  // link(2) is the one that refuses atomically on every file system.
  if (::link(temporary.c_str(), path.c_str()) != 0) return false;
  ::unlink(temporary.c_str());
  return true;
}

}  // namespace

Result<std::string> read_file(const std::string& path, std::size_t limit) {
  // Not blocking: opening a FIFO would wait for a writer for ever.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat info{};
  if (file.get() < 0 || ::fstat(file.get(), &info) != 0) return failed("reading", path, errno);
  if (!S_ISREG(info.st_mode)) {
    return Error(ErrorKind::kInvalidArgument, fmt::format("{} is not a regular file", path));
  }
  std::string out;
  char part[16384];
  while (true) {
    const ssize_t n = ::read(file.get(), part, sizeof part);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed("reading", path, errno);
    if (n == 0) return out;
    if (out.size() + static_cast<std::size_t>(n) > limit) {
      return Error(ErrorKind::kTooLarge, fmt::format("{} has more than {} bytes", path, limit));
    }
    out.append(part, static_cast<std::size_t>(n));
  }
}

Result<void> write_file_atomically(const std::string& path, std::string_view content, unsigned mode,
                                   IfExists if_exists) {
  std::string folder = std::filesystem::path(path).parent_path().string();
  if (folder.empty()) folder = ".";
  std::string temporary = path + ".XXXXXX";
  Descriptor file(::mkostemp(temporary.data(), O_CLOEXEC));  // 0600 until the content is whole
  if (file.get() < 0) return failed("writing", path, errno);
  const auto give_up = [&](std::string_view what) {
    const int code = errno;
    ::unlink(temporary.c_str());
    return failed(what, path, code);
  };
  if (!write_all(file.get(), content) || ::fchmod(file.get(), mode) != 0) return give_up("writing");
  if (::fsync(file.get()) != 0 || !file.close()) return give_up("syncing");
  if (!put_in_place(temporary, path, if_exists)) return give_up("writing");
  const Descriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() < 0 || ::fsync(directory.get()) != 0) {
    return Error(ErrorKind::kStorageFailed,
                 fmt::format("syncing the folder of {}: {}", path, std::strerror(errno)));
  }
  return {};
}

}  // namespace sluice::config
