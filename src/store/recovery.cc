#include "store/recovery.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include <fmt/format.h>

#include "store/rows.h"
#include "store/schema.h"

namespace sluice {
namespace {

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

ConversationHead* find_head(Recovered& out, LaneId lane) {
  const auto at =
      std::lower_bound(out.conversations.begin(), out.conversations.end(), lane,
                       [](const ConversationHead& head, LaneId id) { return head.lane < id; });
  return at != out.conversations.end() && at->lane == lane ? &*at : nullptr;
}

/// The lanes that something open belongs to.
std::unordered_set<LaneId> open_lanes(const Recovered& out) {
  std::unordered_set<LaneId> lanes;
  for (const Recovered::Message& message : out.messages) lanes.insert(message.lane);
  for (const TurnRow& turn : out.turns) lanes.insert(turn.lane);
  for (const Recovered::Part& part : out.parts) lanes.insert(part.lane);
  return lanes;
}

Result<void> read_conversations(sqlite::Database& db, const HashKey& key, Recovered& out,
                                const std::unordered_multimap<LaneId, PendingSender>& senders) {
  const std::unordered_set<LaneId> open = open_lanes(out);
  const std::string all =
      fmt::format("SELECT {} FROM conversations ORDER BY id", rows::kConversationColumns);
  auto r = each(db, all, [&](const sqlite::Statement& s) {
    const auto lane = s.id<LaneId>(0);
    out.conversations.push_back({.key = s.key(1), .lane = lane, .head = {}, .session_start = {}});
    if (!open.contains(lane)) return;
    const ConversationRow& row = out.lanes.emplace_back(rows::read_conversation(s));
    const auto [first, last] = senders.equal_range(lane);
    for (auto it = first; it != last; ++it) {
      out.messages[it->second.message].person =
          KeyedHash(key).add(row.account).add(it->second.sender).finish().low;
    }
  });
  if (!r) return r;
  r = each(db, "SELECT lane, head, session FROM heads ORDER BY lane",
           [&](const sqlite::Statement& s) {
             if (ConversationHead* head = find_head(out, s.id<LaneId>(0)); head != nullptr) {
               head->head = s.id<HistoryId>(1);
               head->session_start = s.id<HistoryId>(2);
             }
           });
  if (!r) return r;
  const auto upto = meta_integer(db, "heads_upto");
  if (!upto) return upto.error();
  return each(db, fmt::format("SELECT id, lane FROM history WHERE id>{}", upto->value_or(0)),
              [&](const sqlite::Statement& s) {
                ConversationHead* head = find_head(out, s.id<LaneId>(1));
                if (head != nullptr) head->head = std::max(head->head, s.id<HistoryId>(0));
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

Result<void> recover(sqlite::Database& db, const HashKey& key, Recovered& out) {
  std::unordered_multimap<LaneId, PendingSender> senders;
  if (auto r = read_messages(db, out, senders); !r) return r;
  if (auto r = read_outbox(db, out); !r) return r;
  if (auto r = read_small_tables(db, out); !r) return r;
  if (auto r = read_conversations(db, key, out, senders); !r) return r;
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
