#include "store/files.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/assert.h"

namespace sluice::files {
namespace {

Error system_error(std::string_view doing, const std::string& path) {
  const int code = errno;
  ErrorKind kind = ErrorKind::kStorageFailed;
  if (code == EACCES || code == EPERM || code == EROFS) kind = ErrorKind::kPermissionDenied;
  if (code == ENOENT) kind = ErrorKind::kNotFound;
  if (code == ENOSPC || code == EDQUOT) kind = ErrorKind::kDiskFull;
  return Error(kind, fmt::format("{} {}: {}", doing, path, std::strerror(code)));
}

/// Closes on the way out.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }

 private:
  int fd_;
};

Result<void> write_all(int fd, std::string_view text, const std::string& path) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error("write", path);
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

std::string directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, std::max<std::size_t>(slash, 1));
}

}  // namespace

std::string join(std::string_view directory, std::string_view name) {
  return fmt::format("{}/{}", directory, name);
}

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

std::uint64_t size_of(const std::string& path) {
  struct stat st{};
  return ::stat(path.c_str(), &st) == 0 ? static_cast<std::uint64_t>(st.st_size) : 0;
}

Result<void> prepare_directory(const std::string& directory) {
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    return system_error("make the data directory", directory);
  }
  struct stat st{};
  if (::stat(directory.c_str(), &st) != 0) return system_error("look at", directory);
  if (!S_ISDIR(st.st_mode)) {
    return Error(ErrorKind::kInvalidArgument, directory + " is not a directory");
  }
  if (st.st_uid != ::geteuid()) {
    return Error(ErrorKind::kPermissionDenied,
                 fmt::format("{} belongs to user {}, and sluice runs as {}", directory, st.st_uid,
                             ::geteuid()));
  }
  if ((st.st_mode & 0077) != 0 && ::chmod(directory.c_str(), 0700) != 0) {
    return system_error("take others' rights away from", directory);
  }
  return {};
}

Result<void> prepare_file(const std::string& path) {
  const Descriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (fd.valid()) return {};
  if (errno != EEXIST) return system_error("make", path);
  struct stat st{};
  if (::stat(path.c_str(), &st) != 0) return system_error("look at", path);
  if ((st.st_mode & 0077) != 0 && ::chmod(path.c_str(), 0600) != 0) {
    return system_error("take others' rights away from", path);
  }
  return {};
}

bool is_network_type(std::string_view type) {
  static constexpr std::string_view kNetwork[] = {"nfs",          "nfs4",
                                                  "cifs",         "smb3",
                                                  "smbfs",        "9p",
                                                  "afs",          "ceph",
                                                  "lustre",       "gfs2",
                                                  "ocfs2",        "coda",
                                                  "ncpfs",        "virtiofs",
                                                  "glusterfs",    "beegfs",
                                                  "fuse.sshfs",   "fuse.glusterfs",
                                                  "fuse.s3fs",    "fuse.rclone",
                                                  "fuse.ceph",    "fuse.ceph-fuse",
                                                  "fuse.gcsfuse", "fuse.curlftpfs",
                                                  "fuse.davfs",   "davfs",
                                                  "fuse.goofys",  "fuse.juicefs",
                                                  "fuse.smbnetfs"};
  return std::find(std::begin(kNetwork), std::end(kNetwork), type) != std::end(kNetwork);
}

FileSystem file_system(const std::string& directory) {
  // The longest mount point that is a prefix of the path; format: proc(5), /proc/[pid]/mountinfo.
  FileSystem found;
  char resolved[PATH_MAX];
  if (::realpath(directory.c_str(), resolved) == nullptr) return found;
  const std::string path = resolved;
  std::ifstream mounts("/proc/self/mountinfo");
  std::size_t longest = 0;
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream fields(line);
    std::string skip;
    std::string point;
    fields >> skip >> skip >> skip >> skip >> point;
    const std::size_t dash = line.find(" - ");
    if (dash == std::string::npos || !path.starts_with(point)) continue;
    if (point != "/" && path.size() > point.size() && path[point.size()] != '/') continue;
    if (point.size() < longest) continue;
    longest = point.size();
    std::istringstream(line.substr(dash + 3)) >> found.type;
  }
  found.network = is_network_type(found.type);
  return found;
}

Result<std::uint64_t> free_bytes(const std::string& directory) {
  struct statvfs st{};
  if (::statvfs(directory.c_str(), &st) != 0)
    return system_error("ask for free space of", directory);
  return static_cast<std::uint64_t>(st.f_bavail) * st.f_frsize;
}

Result<LockFile> LockFile::take(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return system_error("open the lock", path);
  LockFile lock;
  lock.fd_ = fd;
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return system_error("lock", path);
    char pid[32] = {};
    const ssize_t n = ::pread(fd, pid, sizeof pid - 1, 0);
    const std::string_view holder(pid, n > 0 ? static_cast<std::size_t>(n) : 0);
    return Error(ErrorKind::kConflict,
                 fmt::format("another daemon (process {}) uses this data directory: {}",
                             holder.substr(0, holder.find('\n')), directory_of(path)));
  }
  const std::string pid = fmt::format("{}\n", ::getpid());
  if (::ftruncate(fd, 0) != 0) return system_error("write", path);
  if (auto r = write_all(fd, pid, path); !r) return r.error();
  return lock;
}

Result<LockFile> LockFile::adopt(int fd) {
  LockFile lock;
  lock.fd_ = fd;
  const std::string pid = fmt::format("{}\n", ::getpid());
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0 || ::ftruncate(fd, 0) != 0 ||
      ::lseek(fd, 0, SEEK_SET) != 0)
    return system_error("take over the lock", "of the data directory");
  if (auto r = write_all(fd, pid, "the lock"); !r) return r.error();
  return lock;
}

int LockFile::share() const { return ::fcntl(fd_, F_DUPFD_CLOEXEC, 0); }

LockFile::LockFile(LockFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
LockFile& LockFile::operator=(LockFile&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}
LockFile::~LockFile() {
  if (fd_ >= 0) ::close(fd_);
}

std::string to_hex(const HashKey& key) {
  std::string text;
  for (const std::uint8_t byte : key) text += fmt::format("{:02x}", byte);
  return text;
}

std::optional<HashKey> key_from_hex(std::string_view text) {
  HashKey key{};
  if (text.size() != key.size() * 2) return std::nullopt;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::size_t digit = std::string_view("0123456789abcdef").find(text[i]);
    if (digit == std::string_view::npos) return std::nullopt;
    key[i / 2] = static_cast<std::uint8_t>(key[i / 2] << 4 | digit);
  }
  return key;
}

Result<HashKey> read_key(const std::string& path) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return system_error("read the store's hash key", path);
  char text[64];
  const ssize_t n = ::read(fd.get(), text, sizeof text);
  if (n < 0) return system_error("read the store's hash key", path);
  std::string_view hex(text, static_cast<std::size_t>(n));
  while (hex.ends_with('\n')) hex.remove_suffix(1);
  const std::optional<HashKey> key = key_from_hex(hex);
  if (!key) return Error(ErrorKind::kCorrupt, path + " does not hold 32 hex digits");
  return *key;
}

Result<HashKey> create_key(const std::string& path) {
  HashKey key{};
  random_bytes(key.data(), key.size());
  if (auto r = write_key(path, key); !r) return r.error();
  return key;
}

Result<void> write_key(const std::string& path, const HashKey& key) {
  const std::string fresh = path + ".new";
  {
    const Descriptor fd(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!fd.valid()) return system_error("write the store's hash key", fresh);
    if (auto r = write_all(fd.get(), to_hex(key) + "\n", fresh); !r) return r;
    if (::fsync(fd.get()) != 0) return system_error("sync", fresh);
  }
  return rename_durably(fresh, path);
}

std::string machine_identity() {
  std::ifstream file("/etc/machine-id");
  std::string id;
  file >> id;
  if (id.size() != 32) return {};
  // systemd asks that the id itself is not spread (machine-id(5)); a hash of it tells as much.
  const Key128 hashed = KeyedHash(HashKey{'s', 'l', 'u', 'i', 'c', 'e'}).add(id).finish();
  return fmt::format("{:016x}{:016x}", hashed.high, hashed.low);
}

std::string file_identity(const std::string& path) {
  // Number and birth of the file, not the device: device numbers change when a machine restarts.
  struct statx st{};
  if (::statx(AT_FDCWD, path.c_str(), 0, STATX_INO | STATX_BTIME, &st) != 0) return {};
  if ((st.stx_mask & STATX_BTIME) == 0) return fmt::format("{}", st.stx_ino);
  return fmt::format("{}-{}.{:09}", st.stx_ino, st.stx_btime.tv_sec, st.stx_btime.tv_nsec);
}

Result<void> sync_path(const std::string& path) {
  const Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return system_error("open", path);
  if (::fsync(fd.get()) != 0) return system_error("sync", path);
  return {};
}

Result<void> rename_durably(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return system_error("rename to", to);
  return sync_path(directory_of(to));
}

void random_bytes(void* out, std::size_t size) {
  SLUICE_ASSERT(size <= 256);  // what getrandom(2) gives whole
  SLUICE_ASSERT(::getrandom(out, size, 0) == static_cast<ssize_t>(size));
}

}  // namespace sluice::files
