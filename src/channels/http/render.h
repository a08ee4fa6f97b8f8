#pragma once
// How the gateway's rows look to HTTP clients: JSON objects and problem+json (docs/http-api.md).
// Events of streams: events.h. Pure functions. Times are Unix milliseconds, ids are numbers.

#include <optional>
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

/// One line of a conversation's log. html: an agent's text also as HTML (text/markdown.h).
std::string line_json(const HistoryRow& line, bool html = false);
/// {"conversation": …, "lines": […], "before": …}; before is what to ask for next, null at the
/// log's beginning.
std::string page_json(LaneId lane, const std::vector<HistoryRow>& lines, bool more,
                      bool html = false);
/// One conversation of a list; last: its newest line, of which the beginning is told.
std::string listed_json(const ListedConversation& row, std::string_view chat,
                        const std::optional<HistoryRow>& last);
std::string life_json(const MessageLife& life, std::string_view chat);

/// problem+json with the status of the error's kind, and Retry-After where trying again helps.
net::HttpResponse problem_of(const Error& error);

}  // namespace sluice::http
