#include "store/recovery.h"

#include <algorithm>
#include <set>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

#include "store/rows.h"
#include "store/schema.h"

namespace sluice {
namespace {

// Ids that are looked at twice: they are written in the order in which they are given out, and
// nothing here depends on how strictly.
constexpr std::int64_t kOverlap = 16;

/// Calls f for each row.
template <class F>
Result<void> each(sqlite::Database& db, std::string_view sql, F&& f) {
  auto statement = db.prepare(sql);
  if (!statement) return statement.error();
  for (;;) {
    const Result<bool> row = statement->step();
    if (!row) return row.error();
    if (!*row) return {};
    f(*statement);
  }
}

struct PendingSender {
  std::size_t message;
  std::string sender;
};

Result<void> read_messages(sqlite::Database& db, Recovered& out,
                           std::unordered_multimap<LaneId, PendingSender>& senders) {
  return each(db,
              "SELECT id, lane, kind, place, late, sender, text, extra FROM messages ORDER BY id",
              [&](const sqlite::Statement& s) {
                Recovered::Message message;
                message.id = s.id<MessageId>(0);
                message.lane = s.id<LaneId>(1);
                message.kind = s.enumeration<MessageKind>(2);
                message.order = s.integer(3);
                message.late = s.boolean(4);
                message.bytes = static_cast<std::uint32_t>(s.view(6).size());
                senders.emplace(message.lane, PendingSender{out.messages.size(), s.text(5)});
                message.extra = s.text(7);
                out.messages.push_back(std::move(message));
              });
}

Result<void> read_outbox(sqlite::Database& db, Recovered& out) {
  return each(db, "SELECT id, lane, turn, event, kind, claimed_by, text FROM outbox ORDER BY id",
              [&](const sqlite::Statement& s) {
                Recovered::Part part;
                part.id = s.id<PartId>(0);
                part.lane = s.id<LaneId>(1);
                part.turn = s.id<TurnId>(2);
                part.event = s.id<MessageId>(3);
                part.kind = s.enumeration<PartKind>(4);
                part.claimed = s.integer(5) != 0;
                part.bytes = static_cast<std::uint32_t>(s.view(6).size());
                out.parts.push_back(part);
              });
}

Result<void> read_small_tables(sqlite::Database& db, Recovered& out) {
  auto r = each(db, fmt::format("SELECT {} FROM turns ORDER BY id", rows::kTurnColumns),
                [&](const sqlite::Statement& s) { out.turns.push_back(rows::read_turn(s)); });
  if (!r) return r;
  r = each(db, "SELECT name, state, reason, since, held_ms, not_before FROM accounts ORDER BY name",
           [&](const sqlite::Statement& s) {
             out.accounts.push_back({s.text(0), s.enumeration<AccountState>(1), s.text(2),
                                     s.time(3), s.integer(4), s.time(5)});
           });
  if (!r) return r;
  r = each(db, "SELECT account, value FROM cursors ORDER BY account",
           [&](const sqlite::Statement& s) { out.cursors.push_back({s.text(0), s.text(1)}); });
  if (!r) return r;
  return each(db, "SELECT name, value FROM marks ORDER BY name",
              [&](const sqlite::Statement& s) { out.marks.emplace_back(s.text(0), s.text(1)); });
}

/// The lanes that something open belongs to.
std::unordered_set<LaneId> open_lanes(const Recovered& out) {
  std::unordered_set<LaneId> lanes;
  for (const Recovered::Message& message : out.messages) lanes.insert(message.lane);
  for (const TurnRow& turn : out.turns) lanes.insert(turn.lane);
  for (const Recovered::Part& part : out.parts) lanes.insert(part.lane);
  return lanes;
}

/// Of what is open, the lanes' rows and the messages' persons.
class OpenLanes {
 public:
  using Senders = std::unordered_multimap<LaneId, PendingSender>;
  OpenLanes(const HashKey& key, const Senders& senders, Recovered& out)
      : key_(key), senders_(senders), out_(out), lanes_(open_lanes(out)) {}

  const std::unordered_set<LaneId>& lanes() const { return lanes_; }
  /// A row of rows::kConversationColumns.
  void note(const sqlite::Statement& s) {
    const auto lane = s.id<LaneId>(0);
    if (!lanes_.contains(lane)) return;
    const ConversationRow& row = out_.lanes.emplace_back(rows::read_conversation(s));
    const auto [first, last] = senders_.equal_range(lane);
    for (auto it = first; it != last; ++it) {
      out_.messages[it->second.message].person =
          KeyedHash(key_).add(row.account).add(it->second.sender).finish().low;
    }
  }

 private:
  const HashKey& key_;
  const Senders& senders_;
  Recovered& out_;
  const std::unordered_set<LaneId> lanes_;
};

template <class F>
Result<Conversations> read_all_conversations(sqlite::Database& db, F&& note) {
  std::vector<ConversationHead> heads;
  auto r =
      each(db, fmt::format("SELECT {} FROM conversations ORDER BY id", rows::kConversationColumns),
           [&](const sqlite::Statement& s) {
             heads.push_back(
                 {.key = s.key(1), .lane = s.id<LaneId>(0), .head = {}, .session_start = {}});
             note(s);
           });
  if (!r) return r.error();
  // Both tables are in the order of lanes.
  auto at = heads.begin();
  r = each(db, "SELECT lane, head, session FROM heads ORDER BY lane",
           [&](const sqlite::Statement& s) {
             const auto lane = s.id<LaneId>(0);
             while (at != heads.end() && at->lane < lane) ++at;
             if (at == heads.end() || at->lane != lane) return;
             at->head = s.id<HistoryId>(1);
             at->session_start = s.id<HistoryId>(2);
           });
  if (!r) return r.error();
  Conversations conversations;
  conversations.load(std::move(heads));
  return conversations;
}

/// Reads again where anything may have been written since then: whatever is, brings a row with a
/// greater id, or is open.
Result<void> catch_up(sqlite::Database& db, Recovered& out, OpenLanes& open, std::int64_t since) {
  std::set<LaneId> touched(open.lanes().begin(), open.lanes().end());
  for (const std::string_view table : {"history", "message_log", "part_log"}) {
    auto r = each(db, fmt::format("SELECT lane FROM {} WHERE id>{}", table, since - kOverlap),
                  [&](const sqlite::Statement& s) { touched.insert(s.id<LaneId>(0)); });
    if (!r) return r;
  }
  auto row = db.prepare(
      fmt::format("SELECT {} FROM conversations WHERE id=?1", rows::kConversationColumns));
  if (!row) return row.error();
  auto head = db.prepare("SELECT head, session FROM heads WHERE lane=?1");
  if (!head) return head.error();
  for (const LaneId lane : touched) {
    const Result<bool> known = row->start(lane).step();
    if (!known) return known.error();
    if (!*known) continue;
    open.note(*row);
    Conversations::Slot slot = out.conversations.find(lane);
    if (slot == Conversations::kNone) slot = out.conversations.insert(row->key(1), lane);
    const Result<bool> stands = head->start(lane).step();
    if (!stands) return stands.error();
    if (!*stands) continue;
    out.conversations.at(slot).head = head->id<HistoryId>(0);
    out.conversations.at(slot).session_start = head->id<HistoryId>(1);
  }
  return {};
}

/// Lines that `heads` did not know when it knew all up to this one.
Result<void> complete_heads(sqlite::Database& db, std::int64_t upto, Conversations& conversations) {
  return each(db, fmt::format("SELECT id, lane FROM history WHERE id>{}", upto),
              [&](const sqlite::Statement& s) {
                const Conversations::Slot slot = conversations.find(s.id<LaneId>(1));
                if (slot == Conversations::kNone) return;
                HistoryId& head = conversations.at(slot).head;
                head = std::max(head, s.id<HistoryId>(0));
              });
}

struct StampedTable {
  std::string_view name;
  std::string_view stamp;
};
// Every row of these carries a stamp of our own clock.
constexpr StampedTable kStamped[] = {
    {"key_log", "at"},       {"messages", "accepted_at"}, {"message_log", "ended_at"},
    {"history", "at"},       {"outbox", "committed_at"},  {"part_log", "settled_at"},
    {"turns", "started_at"},
};

Result<void> read_newest_stamp(sqlite::Database& db, Recovered& out) {
  // The newest rows by id are the newest in time, but for rows that waited: a thousand are plenty.
  for (const StampedTable& table : kStamped) {
    const auto stamp = db.query_integer(
        fmt::format("SELECT max({1}) FROM (SELECT {1} FROM {0} ORDER BY id DESC LIMIT 1000)",
                    table.name, table.stamp));
    if (!stamp) return stamp.error();
    out.newest_stamp = std::max(out.newest_stamp, UnixMillis{stamp->value_or(0)});
  }
  const auto kept = meta_integer(db, "newest_stamp");
  if (!kept) return kept.error();
  out.newest_stamp = std::max(out.newest_stamp, UnixMillis{kept->value_or(0)});
  return {};
}

}  // namespace

Result<Conversations> read_conversations(sqlite::Database& db) {
  // First: `heads` may be written on meanwhile.
  const auto upto = meta_integer(db, "heads_upto");
  if (!upto) return upto.error();
  auto all = read_all_conversations(db, [](const sqlite::Statement&) {});
  if (!all) return all.error();
  if (auto r = complete_heads(db, upto->value_or(0), *all); !r) return r.error();
  return all;
}

Result<void> recover(sqlite::Database& db, const HashKey& key, Recovered& out, std::int64_t since) {
  OpenLanes::Senders senders;
  if (auto r = read_messages(db, out, senders); !r) return r;
  if (auto r = read_outbox(db, out); !r) return r;
  if (auto r = read_small_tables(db, out); !r) return r;
  OpenLanes open(key, senders, out);
  if (since == 0) {
    auto all = read_all_conversations(db, [&open](const sqlite::Statement& s) { open.note(s); });
    if (!all) return all.error();
    out.conversations = std::move(*all);
  } else if (auto r = catch_up(db, out, open, since); !r) {
    return r;
  }
  const auto upto = meta_integer(db, "heads_upto");
  if (!upto) return upto.error();
  if (auto r = complete_heads(db, upto->value_or(0), out.conversations); !r) return r;
  return read_newest_stamp(db, out);
}

Result<std::int64_t> greatest_id(sqlite::Database& db) {
  std::int64_t greatest = 0;
  for (const char* table : {"conversations", "messages", "dead_messages", "message_log", "turns",
                            "outbox", "dead_parts", "part_log", "history", "key_log"}) {
    const auto id = db.query_integer(fmt::format("SELECT max(id) FROM {}", table));
    if (!id) return id.error();
    greatest = std::max(greatest, id->value_or(0));
  }
  return greatest;
}

}  // namespace sluice
