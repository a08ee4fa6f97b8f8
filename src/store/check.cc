#include "store/check.h"

#include <fmt/format.h>

#include "store/files.h"

namespace sluice {
namespace {

Result<void> find_problems(sqlite::Database& db, CheckReport& report) {
  auto check = db.prepare("PRAGMA integrity_check(20)");
  if (!check) return check.error();
  for (;;) {
    const Result<bool> row = check->step();
    if (!row) return row.error();
    if (!*row) break;
    if (check->view(0) != "ok") report.problems.push_back(check->text(0));
  }
  // What no foreign key says, because keys would cost the hot path: rows that point at a lane know
  // it.
  for (const char* table : {"messages", "turns", "outbox", "heads"}) {
    const auto lost = db.query_integer(fmt::format(
        "SELECT count(*) FROM {} WHERE lane NOT IN (SELECT id FROM conversations)", table));
    if (!lost) return lost.error();
    if (lost->value_or(0) > 0) {
      report.problems.push_back(fmt::format("{}: {} rows of unknown conversations", table, **lost));
    }
  }
  return {};
}

}  // namespace

Result<CheckReport> check_database(sqlite::Database& db, const std::string& path) {
  CheckReport report;
  if (auto r = find_problems(db, report); !r) {
    if (r.error().kind() != ErrorKind::kCorrupt) return r.error();
    report.problems.push_back(r.error().context());
    return report;
  }
  const auto number = [&db](std::string_view sql) {
    const auto n = db.query_integer(sql);
    return n ? n->value_or(0) : 0;
  };
  report.schema = static_cast<int>(number("PRAGMA user_version"));
  report.free_bytes =
      static_cast<std::uint64_t>(number("PRAGMA freelist_count") * number("PRAGMA page_size"));
  report.file_bytes =
      static_cast<std::uint64_t>(number("PRAGMA page_count") * number("PRAGMA page_size"));
  report.log_bytes = files::size_of(path + "-wal");

  auto tables = db.prepare("SELECT name FROM sqlite_schema WHERE type='table' ORDER BY name");
  if (!tables) return tables.error();
  for (;;) {
    const Result<bool> row = tables->step();
    if (!row) return row.error();
    if (!*row) return report;
    const std::string table = tables->text(0);
    report.rows.emplace_back(table, number(fmt::format("SELECT count(*) FROM \"{}\"", table)));
  }
}

}  // namespace sluice
