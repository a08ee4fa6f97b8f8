#include "app/commands.h"

#include <cstdio>
#include <filesystem>
#include <iostream>

#include <boost/json.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include "admin/rows.h"
#include "app/checks.h"
#include "app/process.h"
#include "app/settings.h"
#include "ctl/commands.h"
#include "ctl/render.h"
#include "media/folder.h"
#include "store/backup.h"
#include "store/files.h"

namespace sluice::app {
namespace {

struct Places {
  std::string data;
  std::string control_socket;  // as configured
};

Result<Places> find_places(const config::Schema& schema, const PathOptions& paths) {
  Places places;
  std::string configured;
  const Result<ConfigPath> found = find_config(paths.config);
  if (found) {
    config::SystemSecrets secrets;
    const config::Loaded loaded = load_settings(schema, found->path, secrets);
    if (loaded.config) {
      configured = loaded.config->section<StoreSettings>("store").dir;
      places.control_socket = loaded.config->section<ServerOptions>("server").control_socket;
    }
  }
  const Result<std::string> data = find_data(paths.data, configured);
  if (!data) return data.error();
  places.data = *data;
  return places;
}

}  // namespace

int check_config(const config::Schema& schema, const std::string& path) {
  config::SystemSecrets secrets;
  const config::Loaded loaded = load_settings(schema, path, secrets);
  fmt::print(stderr, "{}", loaded.to_string());
  if (!loaded.config) return kExitBadConfig;
  fmt::print("{}: valid\n", path);
  fmt::print("{}\n", shutdown_in_words(loaded.config->section<ProcessOptions>("")));
  return kExitClean;
}

Result<std::string> find_control_socket(const config::Schema& schema, const PathOptions& paths) {
  const Result<Places> places = find_places(schema, paths);
  if (!places) return places.error();
  return control_socket(places->control_socket, places->data);
}

int doctor(const config::Schema& schema, const PathOptions& paths, bool deep, bool json) {
  if (const Result<std::string> socket = find_control_socket(schema, paths)) {
    ctl::ClientOptions options;
    options.socket = *socket;
    options.json = json;
    const int code = ctl::run_doctor(options, deep, ctl::Console{std::cout, std::cerr, 0, false});
    if (code != ctl::kUnreachable) return code;
  }
  bool failed = false;
  boost::json::array list;
  for (const admin::Check& check : offline_checks(schema, paths)) {
    failed = failed || check.state == admin::Check::State::kFailed;
    list.push_back(admin::check_json(check));
  }
  const boost::json::value answer{{"ok", !failed}, {"daemon", false}, {"checks", std::move(list)}};
  if (!json) fmt::print(stderr, "No daemon is running; these are checks of what is on disk.\n");
  fmt::print("{}", json ? ctl::safe_json(answer) + "\n" : ctl::doctor_page(answer));
  return failed ? kExitStartFailed : kExitClean;
}

int restore(const config::Schema& schema, const PathOptions& paths, const std::string& backup,
            bool replace) {
  const Result<Places> places = find_places(schema, paths);
  if (!places) {
    fmt::print(stderr, "sluice: {}\n", places.error().context());
    return kExitStartFailed;
  }
  RestoreOptions options;
  options.backup = std::filesystem::absolute(backup).lexically_normal().string();
  options.directory = places->data;
  options.replace = replace;
  const std::string images = media_of_backup(options.backup);
  const std::string kept = media_directory(options.directory);
  Result<bool> staged = false;
  Result<void> done = make_folder_of(options.directory);
  if (done) done = files::prepare_directory(options.directory);
  if (done) {
    // What can fail comes first; the store's lock tells whether a daemon runs.
    staged = media::stage_restore(images, kept);
    if (!staged) done = staged.error();
  }
  if (done) done = restore_backup(options);
  if (done) done = media::finish_restore(kept);
  if (!done) {
    media::drop_restore(kept);
    fmt::print(stderr, "sluice: {}\n", done.error().context());
    return kExitStartFailed;
  }
  if (!*staged) fmt::print("{} is not there: no images are restored\n", images);
  fmt::print(
      "restored to {}\nIts pending sends are held: after the start look at `sluice status`, "
      "then `sluice resume ACCOUNT`.\n",
      places->data);
  return kExitClean;
}

}  // namespace sluice::app
