#include "app/init_files.h"

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/paths.h"
#include "app/settings.h"
#include "config/file.h"
#include "config/parse.h"

namespace sluice::app {
namespace {

constexpr int kCopiesMax = 1000;

/// Every secret is there.
class AnySecret : public config::SecretSource {
 public:
  std::optional<config::Secret> environment(const std::string&) override {
    return config::Secret("-");
  }
  Result<config::Secret> file(const std::string&) override { return config::Secret("-"); }
};

struct Owner {
  uid_t user = 0;
  gid_t group = 0;
  unsigned mode = 0600;
};

Owner owner_of(const InitFile& file) {
  struct stat info{};
  if (file.exists && ::stat(file.path.c_str(), &info) == 0) {
    return {info.st_uid, info.st_gid, info.st_mode & 0777u};
  }
  return {::geteuid(), ::getegid(), 0600};
}

Result<void> give_to(const std::string& path, const Owner& owner) {
  const bool ours = owner.user == ::geteuid() && owner.group == ::getegid();
  if (ours || ::chown(path.c_str(), owner.user, owner.group) == 0) return {};
  return Error(ErrorKind::kPermissionDenied,
               fmt::format("giving {} to its owner: {}", path, std::strerror(errno)));
}

Result<void> write(const std::string& path, std::string_view content, const Owner& owner,
                   config::IfExists if_exists) {
  const Result<void> written = config::write_file_atomically(path, content, owner.mode, if_exists);
  if (!written) return written.error();
  return give_to(path, owner);
}

/// A copy under the first name that is free: PATH.bak, PATH.bak2 and so on.
Result<std::string> keep_copy(const std::string& path, std::string_view content,
                              const Owner& owner) {
  for (int n = 1; n <= kCopiesMax; ++n) {
    const std::string copy = n == 1 ? path + ".bak" : fmt::format("{}.bak{}", path, n);
    const Result<void> written = write(copy, content, owner, config::IfExists::kRefuse);
    if (written) return copy;
    if (written.error().kind() != ErrorKind::kConflict) return written.error();
  }
  return Error(ErrorKind::kConflict, fmt::format("there are too many copies of {}", path));
}

}  // namespace

Result<InitFile> read_init_file(const config::Schema& schema, const std::string& path) {
  InitFile file;
  std::error_code ignored;
  const std::filesystem::path real = std::filesystem::weakly_canonical(path, ignored);
  file.path = real.empty() ? path : real.string();
  file.folder = std::filesystem::path(path).parent_path().string();
  Result<std::string> text = config::read_file(file.path, config::kMaxBytes);
  file.exists = text.has_value();
  if (text) {
    file.text = std::move(*text);
  } else if (text.error().kind() == ErrorKind::kNotFound) {
    file.text = default_file(schema);
  } else {
    return text.error();
  }
  return file;
}

config::Loaded load_without_secrets(const config::Schema& schema, std::string_view text,
                                    const std::string& path) {
  AnySecret secrets;
  return config::load(schema, text, path, secrets);
}

Result<void> write_beside(const InitFile& file, const std::string& path, std::string_view content) {
  Owner owner = owner_of(file);
  owner.mode = 0600 | (owner.mode & 0040u);
  const Result<void> folder = make_folder_of(path);
  if (!folder) return folder.error();
  const Result<std::string> there = config::read_file(path, config::kMaxBytes);
  if (there && *there == content) return {};
  if (there) {
    const Result<std::string> copy = keep_copy(path, *there, owner);
    if (!copy) return copy.error();
  }
  return write(path, content, owner, config::IfExists::kReplace);
}

Result<std::string> write_init_file(const InitFile& file, std::string_view text) {
  const Owner owner = owner_of(file);
  if (!file.exists) {
    Result<void> written = make_folder_of(file.path);
    if (written) written = write(file.path, text, owner, config::IfExists::kRefuse);
    if (!written) return written.error();
    return std::string();
  }
  Result<std::string> copy = keep_copy(file.path, file.text, owner);
  if (!copy) return copy.error();
  const Result<void> written = write(file.path, text, owner, config::IfExists::kReplace);
  if (!written) return written.error();
  return std::move(*copy);
}

}  // namespace sluice::app
