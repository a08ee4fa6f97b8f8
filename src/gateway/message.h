#pragma once
// What goes through the gateway: an event of a platform on its way in, a reply on its way out.
// Values.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/time.h"

namespace sluice {

enum class ChatKind : std::uint8_t { kDirect, kGroup };

enum class EventKind : std::uint8_t {
  kMessage,
  kEdit,    // replaces the text of an earlier message (C6)
  kDelete,  // withdraws it
};

/// One event as a channel hands it to intake. All strings are UTF-8 and bounded
/// (gateway/options.h).
struct InboundMessage {
  std::string chat;    // the platform's id of the chat
  std::string thread;  // and of the thread in it; empty if it has none
  ChatKind chat_kind = ChatKind::kDirect;
  std::string sender;       // the platform's id of the person
  std::string sender_name;  // what people call them; display only
  bool mentions_us = true;  // in a group: addressed to the bot

  EventKind kind = EventKind::kMessage;
  std::string event;  // the message's identity on the platform; for kEdit and kDelete the one meant
  std::string revision;  // tells edits of one message apart; empty for the first
  /// The conversation's own order where the platform counts: 1, 2, 3 … without gaps.
  std::optional<std::int64_t> order;
  UnixMillis sent_at;  // the platform's time stamp; 0: not told

  std::string text;
  std::vector<std::string> attachments;  // ids of stored media
  std::string reply_to;                  // where the answer goes, in the channel's own words
  std::string session;                   // the caller's session id, handed to the agent
  std::vector<std::string> projects;     // the caller's project ids, handed to the agent
  std::string request_id;                // the caller's; made from the message id if empty
  std::string time_zone;                 // the person's, by its IANA name; empty: not told
};

/// What an agent tells about how it worked, beside the text: the one typed extension, absent in
/// most turns and then free of cost.
struct ResponseMeta {
  std::string session;
  std::string project;
  std::string project_tag;
  std::string seed;
  std::string phase;
  std::optional<bool> evaluation_passed;
  std::int64_t duration_ms = 0;  // from acceptance to the end of the turn, the wait included
  std::string error;             // a UserError's kind; empty on success
};

/// A text that something other than a turn sends, with the key that makes it happen once (C20).
struct OutboundMessage {
  std::string chat;
  std::string thread;
  std::string text;
  std::string reply_to;
};

}  // namespace sluice
