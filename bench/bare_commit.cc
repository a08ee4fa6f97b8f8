#include "bare_commit.h"

#include <cmath>

#include "base/assert.h"
#include "measure.h"
#include "store/engine.h"
#include "store/rows.h"

namespace sluice::bench {
namespace {

constexpr std::string_view kText =
    "12345 of what somebody might say to an agent, about as long as people write.";
constexpr std::int64_t kNow = 1'700'000'000'000;
constexpr std::string_view kNone;

void must(const Result<void>& result) { SLUICE_ASSERT(result.has_value()); }

}  // namespace

BareCommits::BareCommits(const std::string& directory, bool push) : push_(push) {
  auto db = sqlite::Database::open(directory + "/sluice.db", sqlite::Database::Mode::kExisting);
  SLUICE_ASSERT(db.has_value());
  db_ = std::move(*db);
  must(
      db_.exec("PRAGMA cache_size=-16384; PRAGMA temp_store=MEMORY; PRAGMA wal_autocheckpoint=0; "
               "PRAGMA synchronous=FULL; PRAGMA secure_delete=FAST; PRAGMA journal_size_limit=-1; "
               "PRAGMA journal_mode=WAL"));
  sqlite3_wal_hook(
      db_.handle(),
      [](void* self, sqlite3*, const char*, int pages) {
        static_cast<BareCommits*>(self)->log_pages_ = pages;
        return SQLITE_OK;
      },
      this);
  const auto next = db_.query_integer("SELECT value FROM meta WHERE name='next_id'");
  last_id_ = next->value_or(1);
  prepare();
}

void BareCommits::prepare() {
  const std::pair<sqlite::Statement*, std::string> wanted[] = {
      {&begin_, "BEGIN IMMEDIATE"},
      {&commit_, "COMMIT"},
      {&key_, "INSERT INTO key_log(id, key, content, at) VALUES(?1, ?2, ?3, ?4)"},
      {&message_, "INSERT INTO messages VALUES(?1, ?2, 0, 0, 0, 0, ?3, 0, ?4, ?5, ?6, ?7, ?8, ?9)"},
      {&turn_, "INSERT INTO turns VALUES(?1, ?2, 0, 1, ?3, 0, ?4, 0, ?5, ?6)"},
      {&end_turn_, "DELETE FROM turns WHERE id=?1"},
      {&log_,
       "INSERT INTO message_log(id, lane, outcome, turn, attempts, history, accepted_at, "
       "started_at, ended_at, reason, sender) SELECT id, lane, 0, ?2, 1, ?3, accepted_at, ?4, ?5, "
       "?6, sender FROM messages WHERE id=?1"},
      {&unmessage_, "DELETE FROM messages WHERE id=?1"},
      {&history_, "INSERT INTO history VALUES(?1, ?2, ?3, ?4, ?5, ?6, 0, 0, ?7, ?8, ?9, ?10)"},
      {&part_,
       "INSERT INTO outbox VALUES(?1, ?2, ?3, ?4, 0, 0, ?5, 0, 1, ?5, 1, 0, 0, 0, ?6, ?7, ?8)"},
      {&log_part_,
       "INSERT INTO part_log(id, cause, lane, turn, event, n, kind, committed_at, claimed_by, "
       "claimed_at, tries, plain, duplicate, outcome, settled_at, reason, platform_id) SELECT id, "
       "turn, lane, turn, event, n, kind, committed_at, claimed_by, claimed_at, tries, plain, "
       "duplicate, 0, ?2, ?3, ?4 FROM outbox WHERE id=?1"},
      {&unpart_, "DELETE FROM outbox WHERE id=?1"},
  };
  for (const auto& [statement, sql] : wanted) {
    auto prepared = db_.prepare(sql);
    SLUICE_ASSERT(prepared.has_value());
    *statement = std::move(*prepared);
  }
}

BareCommits::Turn BareCommits::accept() {
  const Turn turn{last_id_ + 1, last_id_ + 2, last_id_ + 5};
  last_id_ += 5;
  const Key128 key{random_.next(), random_.next()};
  const Key128 content{random_.next(), random_.next()};
  must(key_.run(turn.message, key, content, kNow));
  must(message_.run(turn.message, 1, kNow, "person-1234", "Somebody",
                    "0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef", kNone,
                    kText));
  const sqlite::Statement::Bytes messages{&turn.message, sizeof turn.message};
  must(turn_.run(turn.turn, 1, kNow, turn.message - 1, "echo", messages));
  return turn;
}

void BareCommits::end(const Turn& turn) {
  must(end_turn_.run(turn.turn));
  must(log_.run(turn.message, turn.turn, turn.turn + 1, kNow, kNow, kNone));
  must(unmessage_.run(turn.message));
  must(history_.run(turn.turn + 1, 1, turn.turn - 4, 0, turn.message, turn.turn, kNow,
                    "person-1234", kNone, kText));
  must(history_.run(turn.turn + 2, 1, turn.turn + 1, 1, turn.message, turn.turn, kNow, kNone, kNone,
                    kText));
  if (!push_) return;
  must(part_.run(turn.part, 1, turn.turn, turn.message, kNow, "0123456789abcdef0123456789abcdef",
                 kNone, kText));
}

void BareCommits::settle(const Turn& turn) {
  if (!push_) return;
  must(log_part_.run(turn.part, kNow, kNone, "p"));
  must(unpart_.run(turn.part));
}

void BareCommits::commit(std::size_t turns) {
  must(begin_.run());
  for (const Turn& turn : ended_) settle(turn);
  for (const Turn& turn : accepted_) end(turn);
  ended_.swap(accepted_);
  accepted_.clear();
  for (std::size_t i = 0; i < turns; ++i) accepted_.push_back(accept());
  must(commit_.run());
  checkpoint_if_due();
}

void BareCommits::checkpoint_if_due() {
  if (log_pages_ < StoreOptions{}.checkpoint_pages) return;
  const int code =
      sqlite3_wal_checkpoint_v2(db_.handle(), "main", SQLITE_CHECKPOINT_PASSIVE, nullptr, nullptr);
  SLUICE_ASSERT(code == SQLITE_OK);
  log_pages_ = 0;
  ++checkpoints_;
}

void BareCommits::warm_up(double seconds, double turns_per_commit) {
  const double began = wall_seconds();
  // Large commits: what matters is that the log reaches its length.
  while (checkpoints_ == 0 && wall_seconds() - began < seconds) commit(256);
  (void)run(seconds / 20, turns_per_commit);
}

double BareCommits::accept_one() {
  const double began = wall_seconds();
  must(begin_.run());
  (void)accept();
  must(commit_.run());
  const double took = wall_seconds() - began;
  checkpoint_if_due();
  return took;
}

BareCommits::Sample BareCommits::run(double seconds, double turns_per_commit) {
  Sample sample;
  const double began = wall_seconds();
  const double cpu = thread_cpu_seconds();
  double owed = 0;
  while (wall_seconds() - began < seconds) {
    owed += std::max(turns_per_commit, 0.1);
    const double now = std::floor(owed);
    owed -= now;
    commit(static_cast<std::size_t>(now));
    sample.turns += now;
  }
  sample.seconds = wall_seconds() - began;
  sample.cpu = thread_cpu_seconds() - cpu;
  return sample;
}

}  // namespace sluice::bench
