// What the operations of admin/ need of the daemon beyond the gateway: tokens, the store, the disk.

#include <filesystem>

#include <fmt/format.h>

#include "app/checks.h"
#include "app/daemon.h"
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

Task<Result<admin::Counts>> erase(ThreadedStore* store, std::string account, std::string person) {
  const auto report = co_await store->on_writer<EraseReport>(
      [account, person](SqliteEngine& engine) { return engine.erase_person(account, person); });
  if (!report) co_return report.error();
  co_return admin::Counts{{"conversations", report->conversations},
                          {"messages", report->messages},
                          {"history", report->history},
                          {"parts", report->parts},
                          {"dead_letters", report->dead_letters}};
}

Task<Result<void>> export_lines(ThreadedStore* store, std::string account, std::string person,
                                std::function<bool(std::string_view)> line) {
  const auto count =
      co_await store->on_reader<std::int64_t>([account, person, line](SqliteReader& reader) {
        return reader.export_person(account, person, line);
      });
  if (!count) co_return count.error();
  co_return Result<void>();
}

Task<Result<admin::Hooks::Backup>> back_up(ThreadedStore* store, std::string path) {
  if (!std::filesystem::path(path).is_absolute()) {
    co_return Error(ErrorKind::kInvalidArgument, "the path of a backup must be absolute",
                    ErrorSource::kPeer);
  }
  const Result<BackupReport> report = co_await store->backup(path);
  if (!report) co_return report.error();
  co_return admin::Hooks::Backup{report->path, report->bytes};
}

}  // namespace

Task<std::vector<Check>> Daemon::checks(bool deep) {
  std::vector<Check> out =
      disk_checks(parts_.data, parts_.config.section<CoreOptions>("core").disk_low_bytes);
  for (const auto& listener : listeners_) {
    out.push_back(
        {"listener", Check::State::kOk,
         fmt::format("{}:{}{}", listener.host, listener.port, listener.tls ? " with TLS" : ""),
         ""});
  }
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
  hooks.token_add = [grants](std::string name, std::vector<std::string> scopes) {
    return add_token(grants, std::move(name), std::move(scopes));
  };
  hooks.token_list = [grants] { return list_tokens(grants); };
  hooks.token_revoke = [grants](std::string id) { return grants->revoke_token(std::move(id)); };
  hooks.erase_person = [store](std::string account, std::string person) {
    return erase(store, std::move(account), std::move(person));
  };
  hooks.export_person = [store](std::string account, std::string person,
                                std::function<bool(std::string_view)> line) {
    return export_lines(store, std::move(account), std::move(person), std::move(line));
  };
  hooks.backup = [store](std::string path) { return back_up(store, std::move(path)); };
  hooks.checks = [this](bool deep) { return checks(deep); };
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
                                   .started_at = parts_.clock.wall()});
  control_.emplace(parts_.shard, *operations_, parts_.log);
}

}  // namespace sluice::app
