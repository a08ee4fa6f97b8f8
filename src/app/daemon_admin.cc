// What the operations of admin/ need of the daemon beyond the gateway: tokens, the store, the disk.

#include <filesystem>

#include <fmt/format.h>

#include "app/checks.h"
#include "app/daemon.h"
#include "app/paths.h"
#include "app/version.h"
#include "store/files.h"

namespace sluice::app {
namespace {

using admin::Check;

admin::TokenInfo info_of(const auth::Grant& grant) {
  return {grant.id, grant.name, grant.scopes.words(), grant.created_at, grant.last_used_at};
}

Task<Result<admin::NewToken>> add_token(auth::Grants* grants, std::string name,
                                        std::vector<std::string> words) {
  if (words.empty()) words.emplace_back("chat");
  const Result<auth::Scopes> scopes = auth::Scopes::parse(words);
  if (!scopes) co_return scopes.error();
  const auto made = co_await grants->add_token(name, "", *scopes);
  if (!made) co_return made.error();
  co_return admin::NewToken{info_of(made->grant), made->text};
}

Task<Result<std::vector<admin::TokenInfo>>> list_tokens(auth::Grants* grants) {
  std::vector<admin::TokenInfo> out;
  for (const auth::Grant& grant : grants->tokens()) out.push_back(info_of(grant));
  co_return out;
}

Task<Result<admin::Counts>> erase(ThreadedStore* store, media::Library* library,
                                  std::string account, std::string person) {
  const auto report = co_await store->on_writer<EraseReport>(
      [account, person](SqliteEngine& engine) { return engine.erase_person(account, person); });
  if (!report) co_return report.error();
  const Result<std::int64_t> images = co_await library->erase(account, person);
  if (!images) co_return images.error();
  co_return admin::Counts{{"conversations", report->conversations},
                          {"messages", report->messages},
                          {"history", report->history},
                          {"parts", report->parts},
                          {"dead_letters", report->dead_letters},
                          {"images", *images}};
}

Task<Result<void>> export_lines(ThreadedStore* store, media::Library* library, std::string account,
                                std::string person, std::function<bool(std::string_view)> line) {
  const auto count =
      co_await store->on_reader<std::int64_t>([account, person, line](SqliteReader& reader) {
        return reader.export_person(account, person, line);
      });
  if (!count) co_return count.error();
  co_return co_await library->export_person(account, person, line);
}

/// The store's file first: whatever a message in it names had been kept by then.
Task<Result<admin::Hooks::Backup>> back_up(ThreadedStore* store, media::Library* library,
                                           std::string path) {
  if (!std::filesystem::path(path).is_absolute()) {
    co_return Error(ErrorKind::kInvalidArgument, "the path of a backup must be absolute",
                    ErrorSource::kPeer);
  }
  const std::string images = media_of_backup(path);
  if (files::exists(images)) {
    co_return Error(ErrorKind::kConflict, images + " exists", ErrorSource::kPeer);
  }
  const Result<BackupReport> report = co_await store->backup(path);
  if (!report) co_return report.error();
  const Result<media::Usage> copied = co_await library->backup(images);
  if (!copied) {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
    co_return copied.error();
  }
  admin::Hooks::Backup made{report->path, report->bytes, "", copied->bytes};
  if (copied->files > 0) made.images = images;
  co_return made;
}

}  // namespace

Task<std::vector<Check>> Daemon::checks(bool deep) {
  std::vector<Check> out =
      disk_checks(parts_.data, parts_.config->section<CoreOptions>("core").disk_low_bytes);
  const std::string_view tls = options().tls.certificate.empty() ? "" : " with TLS";
  for (const auto& [place, bound] : listening_) {
    out.push_back({"listener", Check::State::kOk, fmt::format("{}{}", bound.to_string(), tls), ""});
  }
  out.push_back(media_check(co_await library_->on_disk<media::Usage>(
      [](const media::Folder& folder) { return folder.look(); })));
  if (deep) {
    const std::string path = files::join(parts_.data, files::kDatabase);
    const auto report = co_await store_->on_reader<CheckReport>(
        [path](SqliteReader& reader) { return check_database(reader.database(), path); });
    out.push_back(integrity_check(report));
  }
  co_return out;
}

admin::Hooks Daemon::admin_hooks() {
  admin::Hooks hooks;
  auth::Grants* grants = &*grants_;
  ThreadedStore* store = store_.get();
  media::Library* library = library_.get();
  hooks.token_add = [grants](std::string name, std::vector<std::string> scopes) {
    return add_token(grants, std::move(name), std::move(scopes));
  };
  hooks.token_list = [grants] { return list_tokens(grants); };
  hooks.token_revoke = [grants](std::string id) { return grants->revoke_token(std::move(id)); };
  hooks.erase_person = [store, library](std::string account, std::string person) {
    return erase(store, library, std::move(account), std::move(person));
  };
  hooks.export_person = [store, library](std::string account, std::string person,
                                         std::function<bool(std::string_view)> line) {
    return export_lines(store, library, std::move(account), std::move(person), std::move(line));
  };
  hooks.backup = [store, library](std::string path) {
    return back_up(store, library, std::move(path));
  };
  hooks.sign_in_link = [this] { return base_url().empty() ? std::string() : sign_in_url(); };
  hooks.checks = [this](bool deep) { return checks(deep); };
  hooks.life = [this] { return life(); };
  hooks.drain = [this](bool drained) { return park(drained); };
  hooks.reload = [this] { return reload(); };
  hooks.restart = [this](bool queue) { return parts_.restart(queue); };
  hooks.shutdown = [this] { return parts_.coordinator.initiate(); };
  return hooks;
}

void Daemon::make_admin() {
  operations_.emplace(admin::Parts{.loop = parts_.shard,
                                   .store = *store_,
                                   .metrics = parts_.metrics,
                                   .gateway = admin::gateway_face(*gateway_),
                                   .hooks = admin_hooks(),
                                   .version = std::string(kVersion),
                                   .data_directory = parts_.data,
                                   .started_at = parts_.clock.wall(),
                                   .services = &services_.manager()});
  control_.emplace(parts_.shard, *operations_, parts_.log,
                   [this](net::HttpExchange& exchange) { return serve(exchange, Door::kControl); });
}

}  // namespace sluice::app
