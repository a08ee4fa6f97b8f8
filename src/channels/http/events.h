#pragma once
// What a reader of a conversation is told (docs/http-api.md), and how it looks in a stream of
// server-sent events and in the frames of a WebSocket. Pure functions.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/feed.h"
#include "gateway/store.h"
#include "text/markdown.h"

namespace sluice::http {

struct StreamEvent {
  std::string_view name;  // a literal: "message", "delta" and so on
  HistoryId id;           // of a line: where a reader may go on; else 0
  std::string data;       // a JSON object, UTF-8
};

StreamEvent line_event(const HistoryRow& line, bool html = false);
StreamEvent delta_event(const FeedDelta& delta);
/// In the place of deltas, for readers of HTML.
StreamEvent html_event(TurnId turn, std::uint32_t attempt,
                       const text::LiveMarkdown::Change& change);
StreamEvent reset_event(TurnId turn, std::uint32_t attempt);
StreamEvent phase_event(const FeedPhase& phase);
/// Everything up to head has been sent; what follows is live.
StreamEvent live_event(HistoryId head);
/// The reader has seen more than the log holds (it was restored): what follows starts afresh.
StreamEvent rewind_event(HistoryId head);

/// Complete with their empty lines.
std::string to_sse(std::span<const StreamEvent> events);
/// [{"event":"message","data":{…}}, …]
std::string to_frame(std::span<const StreamEvent> events);

}  // namespace sluice::http
