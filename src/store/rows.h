#pragma once
// How rows lie in the tables: the lists of columns, and reading them back. Shared by writer and
// readers.

#include <string>
#include <string_view>
#include <vector>

#include "gateway/store.h"
#include "store/sqlite.h"

namespace sluice::rows {

inline constexpr std::string_view kMessageColumns =
    "id, lane, kind, place, late, sent_at, accepted_at, held_before_ms, sender, sender_name, "
    "event, "
    "reply_to, extra, text";
inline constexpr int kMessageColumnCount = 14;
MessageRow read_message(const sqlite::Statement& s);

inline constexpr std::string_view kPartColumns =
    "id, lane, turn, event, n, kind, committed_at, held_before_ms, claimed_by, claimed_at, tries, "
    "plain, "
    "duplicate, not_before, reply_to, meta, text";
inline constexpr int kPartColumnCount = 17;
PartRow read_part(const sqlite::Statement& s);

inline constexpr std::string_view kTurnColumns =
    "id, lane, state, attempt, started_at, not_before, history_from, history_after, agent, "
    "messages";
TurnRow read_turn(const sqlite::Statement& s);

inline constexpr std::string_view kHistoryColumns =
    "id, lane, prev, kind, message, turn, n, cut, at, author, meta, text";
HistoryRow read_history(const sqlite::Statement& s);

inline constexpr std::string_view kMessageLogColumns =
    "id, lane, outcome, turn, attempts, history, accepted_at, started_at, ended_at, reason";
/// The lane is column 1.
MessageEnd read_message_end(const sqlite::Statement& s);

inline constexpr std::string_view kPartLogColumns =
    "id, lane, turn, event, n, kind, committed_at, claimed_by, claimed_at, tries, plain, "
    "duplicate, outcome, "
    "settled_at, reason, platform_id";
MessageLife::Part read_part_end(const sqlite::Statement& s);

ConversationRow read_conversation(const sqlite::Statement& s);
inline constexpr std::string_view kConversationColumns =
    "id, key, kind, created_at, account, chat, thread";

}  // namespace sluice::rows
