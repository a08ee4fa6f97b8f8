#include "store/key_log.h"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "base/mutant.h"

namespace sluice {
namespace {

constexpr std::int64_t kDayMs = 24 * 60 * 60 * 1000;
// Rows of one transaction of quiet work: a few milliseconds, most of it the random pages of a day's
// table.
constexpr std::int64_t kSliceRows = 500;

}  // namespace

std::string key_table(std::int64_t day) {
  const std::chrono::year_month_day date{std::chrono::sys_days{std::chrono::days{day}}};
  return fmt::format("keys_{:04}{:02}{:02}", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
}

Result<std::unique_ptr<KeyLog>> KeyLog::open(sqlite::Database& db, std::shared_ptr<KeySet> set,
                                             Limits limits) {
  std::unique_ptr<KeyLog> log(new KeyLog(db, std::move(set), limits));
  struct Wanted {
    sqlite::Statement* statement;
    std::string_view sql;
  };
  for (const Wanted& wanted : {
           Wanted{&log->select_, "SELECT key, content FROM key_log WHERE id=?1"},
           {&log->insert_, "INSERT INTO key_log(id, key, content, at) VALUES(?1, ?2, ?3, ?4)"},
           {&log->oldest_,
            "SELECT id, key, content, at, id IN (SELECT id FROM messages) FROM key_log WHERE id > "
            "?1 "
            "ORDER BY id LIMIT ?2"},
           {&log->remove_, "DELETE FROM key_log WHERE id=?1"},
       }) {
    Result<sqlite::Statement> statement = db.prepare(wanted.sql);
    if (!statement) return statement.error();
    *wanted.statement = std::move(*statement);
  }
  if (auto r = log->load_days(); !r) return r.error().within("loading keys");
  return log;
}

Result<void> KeyLog::load_days() {
  Result<sqlite::Statement> days = db_.prepare("SELECT day FROM key_days ORDER BY day");
  if (!days) return days.error();
  for (;;) {
    const Result<bool> row = days->step();
    if (!row) return row.error();
    if (!*row) return {};
    if (auto r = load_day(days->integer(0)); !r) return r.error();
  }
}

Result<void> KeyLog::load_day(std::int64_t day) {
  const Result<Day*> opened = open_day(day);
  if (!opened) return opened.error();
  auto all = db_.prepare(fmt::format("SELECT key FROM {}", key_table(day)));
  if (!all) return all.error();
  for (;;) {
    const Result<bool> row = all->step();
    if (!row) return row.error();
    if (!*row) return {};
    (*opened)->filter.add(all->key(0));
  }
}

Result<KeyLog::Day*> KeyLog::open_day(std::int64_t day) {
  const auto known = days_.find(day);
  if (known != days_.end()) return &known->second;
  const std::string table = key_table(day);
  auto find = db_.prepare(fmt::format("SELECT id, content FROM {} WHERE key=?1", table));
  if (!find) return find.error();
  auto insert = db_.prepare(
      fmt::format("INSERT OR IGNORE INTO {}(key, id, content) VALUES(?1, ?2, ?3)", table));
  if (!insert) return insert.error();
  Day opened;
  opened.find = std::move(*find);
  opened.insert = std::move(*insert);
  return &days_.emplace(day, std::move(opened)).first->second;
}

Result<std::optional<KeyHit>> KeyLog::find(const Key128& key, const Key128& content) {
  std::optional<KeyHit> hit;
  candidates_.clear();
  set_->find(key.low, candidates_);
  for (const MessageId id : candidates_) {
    const Result<bool> row = select_.start(id).step();
    if (!row) return row.error();
    if (!*row || select_.key(0) != key) continue;
    const bool same = select_.key(1) == content;
    if (same || !hit || hit->id < id) hit = KeyHit{id, same};
    if (same) break;
  }
  select_.reset();
  if (hit && hit->same_content) return hit;
  if (auto r = find_in_days(key, content, hit); !r) return r.error();
  return hit;
}

Result<void> KeyLog::find_in_days(const Key128& key, const Key128& content,
                                  std::optional<KeyHit>& hit) {
  for (auto& [number, day] : days_) {
    if (!day.filter.may_contain(key)) continue;
    day.find.start(key);
    for (;;) {
      const Result<bool> row = day.find.step();
      if (!row) return row.error();
      if (!*row) break;
      const auto id = day.find.id<MessageId>(0);
      const bool same = day.find.key(1) == content;
      if (same || !hit || hit->id < id) hit = KeyHit{id, same};
      if (same) {
        day.find.reset();
        return {};
      }
    }
  }
  return {};
}

Result<void> KeyLog::add(MessageId id, const Key128& key, const Key128& content, UnixMillis at) {
  if (auto r = insert_.run(id, key, content, at); !r) return r.error();
  set_->insert(key.low, id);
  added_.push_back({key.low, id.value});
  return {};
}

void KeyLog::undo_to(std::size_t added) {
  while (added_.size() > added) {
    set_->erase(added_.back().half, MessageId{added_.back().id});
    added_.pop_back();
  }
}

Result<std::vector<KeyLog::LoggedKey>> KeyLog::read_slice(std::int64_t after) {
  std::vector<LoggedKey> keys;
  oldest_.start(after, kSliceRows);
  for (;;) {
    const Result<bool> row = oldest_.step();
    if (!row) return row.error();
    if (!*row) return keys;
    keys.push_back({oldest_.id<MessageId>(0), oldest_.key(1), oldest_.key(2), oldest_.time(3),
                    oldest_.boolean(4)});
  }
}

Result<bool> KeyLog::move_slice() {
  if (set_->size() <= limits_.in_memory) return false;
  Result<std::vector<LoggedKey>> moved = move_oldest();
  if (!moved) {
    forget_missing_days();
    return moved.error();
  }
  for (const LoggedKey& key : *moved) set_->erase(key.key.low, key.id);
  return set_->size() > limits_.in_memory && !moved->empty();
}

Result<std::vector<KeyLog::LoggedKey>> KeyLog::move_oldest() {
  auto scope = sqlite::WriteScope::begin(db_);
  if (!scope) return scope.error();
  auto keys = read_slice(0);
  if (!keys) return keys.error();
  // Sorted, so that neighbours in the table are written together.
  std::sort(keys->begin(), keys->end(),
            [](const LoggedKey& a, const LoggedKey& b) { return a.key.low < b.key.low; });
  for (const LoggedKey& key : *keys) {
    const std::int64_t number = std::max<std::int64_t>(key.at.ms, 0) / kDayMs;
    if (!days_.contains(number)) {
      auto r = db_.exec(fmt::format(
          "CREATE TABLE IF NOT EXISTS {}(key BLOB, id INTEGER, content BLOB, PRIMARY KEY(key, id)) "
          "WITHOUT ROWID; INSERT OR IGNORE INTO key_days(day) VALUES({})",
          key_table(number), number));
      if (!r) return r.error();
    }
    const Result<Day*> day = open_day(number);
    if (!day) return day.error();
    // Added before the commit: should that fail, the filter only knows a key too many.
    (*day)->filter.add(key.key);
    if (auto r = (*day)->insert.run(key.key, key.id, key.content); !r) return r.error();
    if (auto r = remove_.run(key.id); !r) return r.error();
  }
  if (auto r = scope->commit(); !r) return r.error();
  return keys;
}

void KeyLog::forget_missing_days() {
  for (auto it = days_.begin(); it != days_.end();) {
    const auto there = db_.query_integer(
        fmt::format("SELECT 1 FROM sqlite_schema WHERE name='{}'", key_table(it->first)));
    it = there && there->has_value() ? std::next(it) : days_.erase(it);
  }
}

Result<bool> KeyLog::prune_slice(UnixMillis cutoff) {
  const Result<bool> more_days = prune_day(cutoff);
  if (!more_days || *more_days) return more_days;
  auto scope = sqlite::WriteScope::begin(db_);
  if (!scope) return scope.error();
  auto keys = read_slice(pruned_to_);
  if (!keys) return keys.error();
  std::vector<LoggedKey> gone;
  bool reached_the_young = keys->size() < static_cast<std::size_t>(kSliceRows);
  for (const LoggedKey& key : *keys) {
    if (key.at >= cutoff) {
      reached_the_young = true;
      break;
    }
    pruned_to_ = key.id.value;
    if (key.pending && !mutant(Mutant::kPruneLiveKeys)) continue;
    if (auto r = remove_.run(key.id); !r) return r.error();
    gone.push_back(key);
  }
  if (auto r = scope->commit(); !r) return r.error();
  for (const LoggedKey& key : gone) set_->erase(key.key.low, key.id);
  // The next pass begins at the front again: what was pending may have ended.
  if (reached_the_young) pruned_to_ = 0;
  return !reached_the_young;
}

Result<bool> KeyLog::prune_day(UnixMillis cutoff) {
  // A day is over when its last moment is.
  if (days_.empty() || (days_.begin()->first + 1) * kDayMs > cutoff.ms) return false;
  const std::int64_t day = days_.begin()->first;
  const std::string table = key_table(day);
  // Emptied slice by slice first: dropping a large table at once would hold up the writer.
  auto scope = sqlite::WriteScope::begin(db_);
  if (!scope) return scope.error();
  auto r = db_.exec(
      fmt::format("DELETE FROM {0} WHERE (key, id) IN (SELECT key, id FROM {0} WHERE id NOT IN "
                  "(SELECT id FROM messages) LIMIT {1})",
                  table, kSliceRows));
  if (!r) return r.error();
  const bool more = db_.changes() == kSliceRows;
  bool empty = false;
  if (!more) {
    const auto left = db_.query_integer(fmt::format("SELECT 1 FROM {} LIMIT 1", table));
    if (!left) return left.error();
    empty = !left->has_value();
  }
  if (empty) {
    r = db_.exec(fmt::format("DROP TABLE {}; DELETE FROM key_days WHERE day={}", table, day));
    if (!r) return r.error();
  }
  if (r = scope->commit(); !r) return r.error();
  if (empty) days_.erase(day);
  return more || empty;
}

}  // namespace sluice
