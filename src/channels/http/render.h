#pragma once
// How the gateway's rows look to HTTP clients: JSON objects, server-sent events and problem+json
// (docs/http-api.md). Pure functions. Times are Unix milliseconds, ids are numbers.

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "gateway/feed.h"
#include "gateway/store.h"
#include "net/http_types.h"

namespace sluice::http {

/// Appends text as a JSON string, quotes included. The text is UTF-8.
void append_json(std::string& out, std::string_view text);

std::string_view to_string(TurnPhase phase);

/// One line of a conversation's log.
std::string line_json(const HistoryRow& line);
/// {"conversation": …, "lines": […], "before": …}; before is what to ask for next, null at the
/// log's beginning.
std::string page_json(LaneId lane, const std::vector<HistoryRow>& lines, bool more);
std::string life_json(const MessageLife& life, std::string_view chat);

// Server-sent events, complete with their empty line.
std::string line_event(const HistoryRow& line);
std::string delta_event(const FeedDelta& delta);
std::string reset_event(TurnId turn, std::uint32_t attempt);
std::string phase_event(const FeedPhase& phase);
/// Everything up to head has been sent; what follows is live.
std::string live_event(HistoryId head);
/// The reader has seen more than the log holds (it was restored): what follows starts afresh.
std::string rewind_event(HistoryId head);

/// problem+json with the status of the error's kind, and Retry-After where trying again helps.
net::HttpResponse problem_of(const Error& error);

}  // namespace sluice::http
