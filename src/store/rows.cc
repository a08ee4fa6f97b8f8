#include "store/rows.h"

#include <cstring>

namespace sluice::rows {

MessageRow read_message(const sqlite::Statement& s) {
  MessageRow row;
  row.id = s.id<MessageId>(0);
  row.lane = s.id<LaneId>(1);
  row.kind = s.enumeration<MessageKind>(2);
  row.order = s.integer(3);
  row.late = s.boolean(4);
  row.sent_at = s.time(5);
  row.accepted_at = s.time(6);
  row.held_before_ms = s.integer(7);
  row.sender = s.text(8);
  row.sender_name = s.text(9);
  row.event = s.text(10);
  row.reply_to = s.text(11);
  row.extra = s.text(12);
  row.text = s.text(13);
  return row;
}

PartRow read_part(const sqlite::Statement& s) {
  PartRow row;
  row.id = s.id<PartId>(0);
  row.lane = s.id<LaneId>(1);
  row.turn = s.id<TurnId>(2);
  row.event = s.id<MessageId>(3);
  row.n = static_cast<std::uint32_t>(s.integer(4));
  row.kind = s.enumeration<PartKind>(5);
  row.committed_at = s.time(6);
  row.held_before_ms = s.integer(7);
  row.claimed_by = s.integer(8);
  row.claimed_at = s.time(9);
  row.tries = static_cast<std::uint32_t>(s.integer(10));
  row.plain = s.boolean(11);
  row.duplicate = s.boolean(12);
  row.not_before = s.time(13);
  row.reply_to = s.text(14);
  row.meta = s.text(15);
  row.text = s.text(16);
  return row;
}

TurnRow read_turn(const sqlite::Statement& s) {
  TurnRow row;
  row.id = s.id<TurnId>(0);
  row.lane = s.id<LaneId>(1);
  row.state = s.enumeration<TurnState>(2);
  row.attempt = static_cast<std::uint32_t>(s.integer(3));
  row.started_at = s.time(4);
  row.not_before = s.time(5);
  row.history_from = s.id<HistoryId>(6);
  row.history_after = s.id<HistoryId>(7);
  row.agent = s.text(8);
  const std::string_view packed = s.view(9);
  row.messages.resize(packed.size() / sizeof(MessageId));
  if (!row.messages.empty()) {
    std::memcpy(row.messages.data(), packed.data(), row.messages.size() * sizeof(MessageId));
  }
  return row;
}

HistoryRow read_history(const sqlite::Statement& s) {
  HistoryRow row;
  row.id = s.id<HistoryId>(0);
  row.lane = s.id<LaneId>(1);
  row.prev = s.id<HistoryId>(2);
  row.kind = s.enumeration<HistoryKind>(3);
  row.message = s.id<MessageId>(4);
  row.turn = s.id<TurnId>(5);
  row.n = static_cast<std::uint32_t>(s.integer(6));
  row.cut = s.boolean(7);
  row.at = s.time(8);
  row.author = s.text(9);
  row.meta = s.text(10);
  row.text = s.text(11);
  return row;
}

MessageEnd read_message_end(const sqlite::Statement& s) {
  MessageEnd end;
  end.id = s.id<MessageId>(0);
  end.outcome = s.enumeration<MessageOutcome>(2);
  end.turn = s.id<TurnId>(3);
  end.attempts = static_cast<std::uint32_t>(s.integer(4));
  end.history = s.id<HistoryId>(5);
  end.accepted_at = s.time(6);
  end.started_at = s.time(7);
  end.ended_at = s.time(8);
  end.reason = s.text(9);
  return end;
}

MessageLife::Part read_part_end(const sqlite::Statement& s) {
  MessageLife::Part part;
  PartRow& row = part.row;
  row.id = s.id<PartId>(0);
  row.lane = s.id<LaneId>(1);
  row.turn = s.id<TurnId>(2);
  row.event = s.id<MessageId>(3);
  row.n = static_cast<std::uint32_t>(s.integer(4));
  row.kind = s.enumeration<PartKind>(5);
  row.committed_at = s.time(6);
  row.claimed_by = s.integer(7);
  row.claimed_at = s.time(8);
  row.tries = static_cast<std::uint32_t>(s.integer(9));
  row.plain = s.boolean(10);
  row.duplicate = s.boolean(11);
  PartSettlement settled;
  settled.id = row.id;
  settled.outcome = s.enumeration<PartOutcome>(12);
  settled.at = s.time(13);
  settled.reason = s.text(14);
  settled.platform_id = s.text(15);
  settled.plain = row.plain;
  settled.duplicate = row.duplicate;
  settled.tries = row.tries;
  part.settled = std::move(settled);
  return part;
}

ConversationRow read_conversation(const sqlite::Statement& s) {
  ConversationRow row;
  row.id = s.id<LaneId>(0);
  row.key = s.key(1);
  row.kind = s.enumeration<ChatKind>(2);
  row.created_at = s.time(3);
  row.account = s.text(4);
  row.chat = s.text(5);
  row.thread = s.text(6);
  return row;
}

}  // namespace sluice::rows
