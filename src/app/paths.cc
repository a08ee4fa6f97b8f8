#include "app/paths.h"

#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace sluice::app {
namespace {

namespace fs = std::filesystem;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

/// The first of several that systemd joins with colons.
std::string systemd_directory(const char* name) {
  const std::string all = environment(name);
  return all.substr(0, all.find(':'));
}

std::string home() {
  const std::string from_environment = environment("HOME");
  if (!from_environment.empty()) return from_environment;
  const passwd* entry = ::getpwuid(::geteuid());
  return entry == nullptr || entry->pw_dir == nullptr ? std::string() : std::string(entry->pw_dir);
}

/// XDG Base Directory Specification 0.8: a relative path in these variables is ignored.
std::string xdg(const char* variable, std::string_view below_home) {
  std::string folder = environment(variable);
  if (folder.empty() || folder.front() != '/') {
    const std::string own = home();
    if (own.empty()) return {};
    folder = own + std::string(below_home);
  }
  return folder + "/sluice";
}

std::string absolute(const std::string& path) {
  std::error_code ignored;
  const fs::path full = fs::absolute(path, ignored);
  return (full.empty() ? fs::path(path) : full).lexically_normal().string();
}

Error no_home(std::string_view what) {
  return Error(
      ErrorKind::kNotFound,
      fmt::format("there is no home directory for the {}; name one on the command line", what));
}

}  // namespace

Result<ConfigPath> find_config(const std::string& given) {
  if (!given.empty()) return ConfigPath{absolute(given), true};
  if (const std::string named = environment("SLUICE_CONFIG"); !named.empty()) {
    return ConfigPath{absolute(named), true};
  }
  if (const std::string folder = systemd_directory("CONFIGURATION_DIRECTORY"); !folder.empty()) {
    return ConfigPath{folder + "/sluice.toml", false};
  }
  const std::string folder = xdg("XDG_CONFIG_HOME", "/.config");
  if (folder.empty()) return no_home("configuration");
  const std::string own = folder + "/sluice.toml";
  constexpr const char* kSystem = "/etc/sluice/sluice.toml";
  if (::geteuid() == 0 && ::access(own.c_str(), F_OK) != 0 && ::access(kSystem, F_OK) == 0) {
    return ConfigPath{kSystem, false};
  }
  return ConfigPath{own, false};
}

Result<std::string> find_data(const std::string& given, const std::string& configured) {
  if (!given.empty()) return absolute(given);
  if (!configured.empty()) return absolute(configured);
  if (const std::string folder = systemd_directory("STATE_DIRECTORY"); !folder.empty()) {
    return folder;
  }
  std::string folder = xdg("XDG_DATA_HOME", "/.local/share");
  if (folder.empty()) return no_home("data");
  return folder;
}

Result<std::string> control_socket(const std::string& configured, const std::string& data) {
  std::string path = configured.empty() ? data + "/control.sock" : configured;
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    return Error(ErrorKind::kTooLarge,
                 fmt::format("the path of the control socket is longer than {} bytes: {}; set "
                             "server.control_socket to a shorter one",
                             sizeof(sockaddr_un::sun_path) - 1, path));
  }
  return path;
}

std::string identity_of(const std::string& directory) {
  struct stat info{};
  if (::stat(directory.c_str(), &info) != 0) return "none";
  return fmt::format("{}:{}", info.st_dev, info.st_ino);
}

std::string handover_socket(const std::string& control) {
  return std::filesystem::path(control).replace_extension(".handover");
}

Result<void> make_folder_of(const std::string& path) {
  const fs::path folder = fs::path(path).parent_path();
  std::error_code code;
  for (fs::path part; const auto& name : folder) {
    part /= name;
    if (::mkdir(part.c_str(), 0700) == 0 || fs::is_directory(part, code)) continue;
    return Error(ErrorKind::kPermissionDenied,
                 fmt::format("the directory {} can't be made", part.string()));
  }
  return {};
}

}  // namespace sluice::app
