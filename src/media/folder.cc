#include "media/folder.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

namespace sluice::media {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPartials = "partial";
constexpr std::size_t kOwnerDigits = Id::kAccountDigits + Id::kPersonDigits;
constexpr std::size_t kBlock = 1 << 20;  // bytes overwritten or copied at once

Error failed(std::string_view doing, const std::string& path, int code) {
  ErrorKind kind = ErrorKind::kInternal;
  if (code == ENOENT || code == ENOTDIR) kind = ErrorKind::kNotFound;
  if (code == ENOSPC || code == EDQUOT) kind = ErrorKind::kDiskFull;
  if (code == EACCES || code == EPERM) kind = ErrorKind::kPermissionDenied;
  if (code == EEXIST) kind = ErrorKind::kConflict;
  return Error(kind, fmt::format("{} {}: {}", doing, path, std::strerror(code)));
}

/// Closes on the way out.
class Opened {
 public:
  Opened(const std::string& path, int flags, mode_t mode = 0)
      : fd_(::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, mode)) {}
  ~Opened() {
    if (fd_ >= 0) ::close(fd_);
  }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;
  bool good() const { return fd_ >= 0; }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

Result<void> write_all(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed("write", path, errno);
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

Result<std::string> read_at(int fd, std::uint64_t offset, std::size_t size,
                            const std::string& path) {
  std::string bytes(size, '\0');
  std::size_t got = 0;
  while (got < size) {
    const ssize_t n = ::pread(fd, bytes.data() + got, size - got, static_cast<off_t>(offset + got));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed("read", path, errno);
    if (n == 0) break;
    got += static_cast<std::size_t>(n);
  }
  bytes.resize(got);
  return bytes;
}

Result<void> sync_directory(const std::string& path) {
  const Opened directory(path, O_RDONLY | O_DIRECTORY);
  if (!directory.good() || ::fsync(directory.get()) != 0) return failed("sync", path, errno);
  return {};
}

/// Ours, and closed to others.
Result<void> prepare(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return failed("make", path, errno);
  struct stat st{};
  if (::lstat(path.c_str(), &st) != 0) return failed("look at", path, errno);
  if (!S_ISDIR(st.st_mode) || st.st_uid != ::geteuid()) {
    return Error(ErrorKind::kPermissionDenied, path + " is not a directory of the daemon's own");
  }
  if ((st.st_mode & 0077) != 0 && ::chmod(path.c_str(), 0700) != 0) {
    return failed("take others' rights away from", path, errno);
  }
  return {};
}

/// So that nobody who reads the disk finds it; where a file system writes elsewhere than before,
/// that is out of our reach.
Result<void> overwrite(const std::string& path) {
  const Opened file(path, O_WRONLY);
  struct stat st{};
  if (!file.good() || ::fstat(file.get(), &st) != 0) return failed("open", path, errno);
  const std::string zeros(kBlock, '\0');
  for (auto left = static_cast<std::size_t>(st.st_size); left > 0;) {
    const std::size_t size = std::min(left, kBlock);
    const Result<void> written =
        write_all(file.get(), std::string_view(zeros).substr(0, size), path);
    if (!written) return written;
    left -= size;
  }
  if (::fdatasync(file.get()) != 0) return failed("sync", path, errno);
  return {};
}

}  // namespace

Partial::~Partial() {
  ::close(fd_);
  if (!path_.empty()) ::unlink(path_.c_str());
}

Result<void> Partial::append(std::string_view bytes) {
  const Result<void> written = write_all(fd_, bytes, path_);
  if (written) bytes_ += bytes.size();
  return written;
}

Result<Folder> Folder::open(std::string directory) {
  Folder folder(std::move(directory));
  const std::string partials = folder.path_of(kPartials);
  if (auto made = prepare(folder.directory_); !made) return made.error();
  std::error_code ignored;
  fs::remove_all(partials, ignored);
  if (auto made = prepare(partials); !made) return made.error();
  const std::string parent = fs::path(folder.directory_).parent_path().string();
  if (auto synced = sync_directory(parent); !synced) return synced.error();
  return folder;
}

Result<std::uint64_t> Folder::free_bytes() const {
  struct statvfs st{};
  if (::statvfs(directory_.c_str(), &st) != 0) return failed("look at", directory_, errno);
  return static_cast<std::uint64_t>(st.f_bavail) * st.f_frsize;
}

std::string Folder::path_of(std::string_view owner) const {
  return fmt::format("{}/{}", directory_, owner);
}
std::string Folder::path_of(const Id& id) const {
  return fmt::format("{}/{}/{}", directory_, id.owner.text(), id.file());
}

Result<void> Folder::make_owner(const std::string& path) const {
  if (::mkdir(path.c_str(), 0700) == 0) return sync_directory(directory_);
  if (errno == EEXIST) return {};
  return failed("make", path, errno);
}

Result<std::shared_ptr<Partial>> Folder::begin() {
  const std::string path = fmt::format("{}/{}/{}", directory_, kPartials, next_partial_++);
  Opened file(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
  if (!file.good()) return failed("make", path, errno);
  return std::make_shared<Partial>(file.release(), path);
}

Result<void> Folder::keep(Partial& partial, const Id& id) {
  const std::string owner = path_of(id.owner.text());
  const std::string path = path_of(id);
  if (::fsync(partial.fd_) != 0) return failed("sync", partial.path_, errno);
  if (auto made = make_owner(owner); !made) return made;
  struct stat st{};
  if (::lstat(path.c_str(), &st) == 0) return failed("make", path, EEXIST);
  if (::rename(partial.path_.c_str(), path.c_str()) != 0) return failed("make", path, errno);
  partial.path_.clear();
  auto synced = sync_directory(owner);
  // Nobody is told of it: then it must not stay either.
  if (!synced) ::unlink(path.c_str());
  return synced;
}

Result<void> Folder::renew(const Id& id) const {
  const std::string path = path_of(id);
  if (::utimensat(AT_FDCWD, path.c_str(), nullptr, AT_SYMLINK_NOFOLLOW) == 0) return {};
  return failed("renew", path, errno);
}

Result<std::string> Folder::read(const Id& id, std::uint64_t offset, std::size_t size) const {
  const std::string path = path_of(id);
  const Opened file(path, O_RDONLY);
  if (!file.good()) return failed("open", path, errno);
  return read_at(file.get(), offset, size, path);
}

Result<std::uint64_t> Folder::size_of(const Id& id) const {
  const std::string path = path_of(id);
  struct stat st{};
  if (::lstat(path.c_str(), &st) != 0) return failed("look at", path, errno);
  return static_cast<std::uint64_t>(st.st_size);
}

Result<std::vector<std::string>> Folder::owners() const {
  std::vector<std::string> out;
  std::error_code error;
  for (fs::directory_iterator at(directory_, error), end; !error && at != end;
       at.increment(error)) {
    std::string name = at->path().filename().string();
    if (name.size() == kOwnerDigits) out.push_back(std::move(name));
  }
  if (error) return failed("read", directory_, error.value());
  return out;
}

Result<std::vector<Kept>> Folder::files_of(std::string_view owner) const {
  std::vector<Kept> out;
  const std::string path = path_of(owner);
  std::error_code error;
  for (fs::directory_iterator at(path, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    const std::optional<Id> id = Id::parse(fmt::format("{}-{}", owner, name));
    struct stat st{};
    if (!id || ::lstat(at->path().c_str(), &st) != 0 || !S_ISREG(st.st_mode)) continue;
    out.push_back({*id, static_cast<std::uint64_t>(st.st_size),
                   UnixMillis{st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1'000'000}});
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return failed("read", path, error.value());
  }
  std::sort(out.begin(), out.end(), [](const Kept& a, const Kept& b) { return a.at < b.at; });
  return out;
}

Usage Folder::usage_of(const std::vector<Kept>& files) {
  Usage usage{files.size(), 0};
  for (const Kept& file : files) usage.bytes += file.bytes;
  return usage;
}

Result<Usage> Folder::look() const {
  struct stat st{};
  if (::stat(directory_.c_str(), &st) != 0) return failed("look at", directory_, errno);
  if ((st.st_mode & 0077) != 0 || st.st_uid != ::geteuid()) {
    return Error(ErrorKind::kPermissionDenied, directory_ + " is open to others");
  }
  const Result<std::vector<std::string>> all = owners();
  if (!all) return all.error();
  Usage usage;
  for (const std::string& owner : *all) {
    const Result<std::vector<Kept>> files = files_of(owner);
    if (!files) return files.error();
    const Usage more = usage_of(*files);
    usage.files += more.files;
    usage.bytes += more.bytes;
  }
  return usage;
}

Result<Folder::Swept> Folder::sweep(std::string_view owner, UnixMillis before) {
  const Result<std::vector<Kept>> files = files_of(owner);
  if (!files) return files.error();
  Swept swept;
  for (const Kept& file : *files) {
    const std::string path = path_of(file.id);
    if (file.at < before) {
      if (::unlink(path.c_str()) != 0) return failed("remove", path, errno);
      ++swept.removed;
    } else {
      ++swept.left.files;
      swept.left.bytes += file.bytes;
    }
  }
  // Fails while there is something in it, as it should.
  if (swept.left.files == 0) ::rmdir(path_of(owner).c_str());
  return swept;
}

Result<std::int64_t> Folder::erase(std::string_view owner) {
  const std::string path = path_of(owner);
  const Result<std::vector<Kept>> files = files_of(owner);
  if (!files) return files.error();
  for (const Kept& file : *files) {
    const std::string one = path_of(file.id);
    if (auto done = overwrite(one); !done) return done.error();
    if (::unlink(one.c_str()) != 0) return failed("remove", one, errno);
  }
  if (!files->empty()) {
    if (auto synced = sync_directory(path); !synced) return synced.error();
    ::rmdir(path.c_str());
    if (auto synced = sync_directory(directory_); !synced) return synced.error();
  }
  return static_cast<std::int64_t>(files->size());
}

Result<void> Folder::copy_to(const Folder& other, const Id& id) const {
  const std::string from = path_of(id);
  const std::string to = other.path_of(id);
  const Opened source(from, O_RDONLY);
  struct stat st{};
  if (!source.good() || ::fstat(source.get(), &st) != 0) return failed("open", from, errno);
  if (auto made = other.make_owner(other.path_of(id.owner.text())); !made) return made;
  const Opened target(to, O_WRONLY | O_CREAT | O_EXCL, 0600);
  if (!target.good()) return failed("make", to, errno);
  for (std::uint64_t offset = 0;;) {
    const Result<std::string> block = read_at(source.get(), offset, kBlock, from);
    if (!block) return block.error();
    if (block->empty()) break;
    if (auto written = write_all(target.get(), *block, to); !written) return written;
    offset += block->size();
  }
  const timespec times[2] = {st.st_atim, st.st_mtim};
  if (::futimens(target.get(), times) != 0 || ::fsync(target.get()) != 0) {
    return failed("sync", to, errno);
  }
  return {};
}

Result<Folder> Folder::make(std::string directory) {
  if (::mkdir(directory.c_str(), 0700) != 0) return failed("make", directory, errno);
  return Folder(std::move(directory));
}

Result<void> Folder::move_to(const std::string& directory) {
  const Result<std::vector<std::string>> all = owners();
  if (!all) return all.error();
  for (const std::string& owner : *all) {
    if (auto synced = sync_directory(path_of(owner)); !synced) return synced;
  }
  if (auto synced = sync_directory(directory_); !synced) return synced;
  struct stat st{};
  if (::lstat(directory.c_str(), &st) == 0) return failed("make", directory, EEXIST);
  if (::rename(directory_.c_str(), directory.c_str()) != 0) {
    return failed("make", directory, errno);
  }
  directory_ = directory;
  return sync_directory(fs::path(directory).parent_path().string());
}

void Folder::remove() {
  std::error_code ignored;
  fs::remove_all(directory_, ignored);
}

namespace {

std::string staged(const std::string& directory) { return directory + ".restoring"; }

}  // namespace

Result<bool> stage_restore(const std::string& backup, const std::string& directory) {
  drop_restore(directory);
  std::error_code ignored;
  if (!fs::exists(backup, ignored)) return false;
  const Folder from(backup);
  Result<Folder> to = Folder::make(staged(directory));
  if (!to) return to.error();
  const Result<std::vector<std::string>> owners = from.owners();
  if (!owners) return owners.error();
  for (const std::string& owner : *owners) {
    const Result<std::vector<Kept>> files = from.files_of(owner);
    if (!files) return files.error();
    for (const Kept& file : *files) {
      if (auto copied = from.copy_to(*to, file.id); !copied) return copied.error();
    }
  }
  return true;
}

Result<void> finish_restore(const std::string& directory) {
  std::error_code ignored;
  if (fs::exists(directory, ignored)) {
    int number = 1;
    while (fs::exists(fmt::format("{}.replaced-{}", directory, number), ignored)) ++number;
    Folder old(directory);
    auto aside = old.move_to(fmt::format("{}.replaced-{}", directory, number));
    if (!aside) return aside;
  }
  if (!fs::exists(staged(directory), ignored)) return {};
  return Folder(staged(directory)).move_to(directory);
}

void drop_restore(const std::string& directory) {
  std::error_code ignored;
  fs::remove_all(staged(directory), ignored);
}

}  // namespace sluice::media
