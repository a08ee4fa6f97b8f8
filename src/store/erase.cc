#include "store/erase.h"

#include <boost/json.hpp>

#include "base/mutant.h"

namespace sluice {
namespace {

// ?1 the account, ?2 the sender. Lanes of the account, and in them the direct ones where the person
// wrote.
constexpr std::string_view kCollectLanes = R"sql(
INSERT OR IGNORE INTO temp.erase_lanes
SELECT c.id FROM conversations c WHERE c.account=?1 AND c.kind=0 AND c.id IN (
  SELECT lane FROM history WHERE author=?2
  UNION SELECT lane FROM messages WHERE sender=?2
  UNION SELECT lane FROM message_log WHERE sender=?2
  UNION SELECT lane FROM dead_messages WHERE sender=?2))sql";

constexpr std::string_view kOfAccount = "lane IN (SELECT id FROM conversations WHERE account=?1)";
constexpr std::string_view kDirect = "lane IN (SELECT lane FROM temp.erase_lanes)";

/// Runs one statement with the account and the sender; adds the rows it changed.
Result<void> change(sqlite::Database& db, const std::string& sql, const std::string& account,
                    const std::string& sender, std::int64_t* count) {
  auto statement = db.prepare(sql);
  if (!statement) return statement.error();
  if (auto r = statement->run(account, sender); !r) return r;
  *count += db.changes();
  return {};
}

}  // namespace

Result<EraseReport> erase_rows(sqlite::Database& db, const std::string& account,
                               const std::string& sender) {
  EraseReport report;
  if (mutant(Mutant::kEraseKeepsText)) return report;
  auto r = db.exec("CREATE TEMP TABLE IF NOT EXISTS erase_lanes(lane INTEGER PRIMARY KEY)");
  if (!r) return r.error();
  auto scope = sqlite::WriteScope::begin(db);
  if (!scope) return scope.error();
  if (r = db.exec("DELETE FROM temp.erase_lanes"); !r) return r.error();

  const std::string of_person = " WHERE sender=?2 AND " + std::string(kOfAccount);
  const std::string in_direct = " WHERE ?1=?1 AND ?2=?2 AND " + std::string(kDirect);
  const std::pair<std::string, std::int64_t*> steps[] = {
      {std::string(kCollectLanes), &report.conversations},
      // What an agent told of them in other words, in groups too.
      {"UPDATE history SET text='', meta='' WHERE kind=5 AND " + std::string(kOfAccount) +
           " AND lane IN (SELECT lane FROM history WHERE author=?2)",
       &report.history},
      {"UPDATE history SET text='', meta='', author='' WHERE (author=?2 AND " +
           std::string(kOfAccount) + ") OR " + std::string(kDirect),
       &report.history},
      {"UPDATE messages SET text='', extra='', sender_name=''" + of_person, &report.messages},
      {"UPDATE message_log SET sender=''" + of_person, &report.messages},
      {"DELETE FROM dead_messages" + of_person, &report.dead_letters},
      {"UPDATE outbox SET text='', meta=''" + in_direct, &report.parts},
      {"DELETE FROM dead_parts" + in_direct, &report.dead_letters},
      {"UPDATE part_log SET reason=''" + in_direct, &report.parts},
  };
  for (const auto& [sql, count] : steps) {
    if (r = change(db, sql, account, sender, count); !r) return r.error();
  }
  if (r = scope->commit(); !r) return r.error();
  return report;
}

Result<std::int64_t> export_person(sqlite::Database& db, const std::string& account,
                                   const std::string& sender,
                                   const std::function<bool(std::string_view)>& line) {
  // What people wrote, and in their direct conversations what they were told.
  auto rows = db.prepare(R"sql(
WITH lanes(id, chat, thread, kind) AS (SELECT id, chat, thread, kind FROM conversations WHERE account=?1),
     mine(lane) AS (SELECT lane FROM history WHERE author=?2 UNION SELECT lane FROM messages WHERE sender=?2)
SELECT 'history', h.id, h.at, l.chat, l.thread, iif(h.author='', 'agent', 'person'), h.text
  FROM history h JOIN lanes l ON l.id=h.lane
  WHERE h.author=?2 OR (l.kind=0 AND h.author='' AND h.lane IN mine)
UNION ALL
SELECT 'pending', m.id, m.accepted_at, l.chat, l.thread, 'person', m.text
  FROM messages m JOIN lanes l ON l.id=m.lane WHERE m.sender=?2
UNION ALL
SELECT 'dead', m.id, m.accepted_at, l.chat, l.thread, 'person', m.text
  FROM dead_messages m JOIN lanes l ON l.id=m.lane WHERE m.sender=?2)sql");
  if (!rows) return rows.error();
  std::int64_t count = 0;
  rows->start(account, sender);
  for (;;) {
    const Result<bool> row = rows->step();
    if (!row) return row.error();
    if (!*row) return count;
    const boost::json::object object = {
        {"in", rows->view(0)},   {"id", rows->integer(1)},  {"at_ms", rows->integer(2)},
        {"chat", rows->view(3)}, {"thread", rows->view(4)}, {"by", rows->view(5)},
        {"text", rows->view(6)},
    };
    ++count;
    if (!line(boost::json::serialize(object))) return count;
  }
}

}  // namespace sluice
