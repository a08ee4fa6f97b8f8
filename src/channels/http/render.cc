#include "channels/http/render.h"

#include <algorithm>
#include <array>
#include <iterator>

#include <fmt/format.h>

#include "base/utf8.h"
#include "gateway/gateway.h"
#include "gateway/row_names.h"
#include "text/markdown.h"

namespace sluice::http {
namespace {

void append_number(std::string& out, std::string_view name, std::int64_t value) {
  fmt::format_to(std::back_inserter(out), ",\"{}\":{}", name, value);
}

void append_text(std::string& out, std::string_view name, std::string_view value) {
  fmt::format_to(std::back_inserter(out), ",\"{}\":", name);
  append_json(out, value);
}

/// A moment, or null if it has not come.
void append_time(std::string& out, std::string_view name, UnixMillis at) {
  if (at.ms != 0) {
    append_number(out, name, at.ms);
  } else {
    fmt::format_to(std::back_inserter(out), ",\"{}\":null", name);
  }
}

void append_part(std::string& out, const MessageLife::Part& part) {
  fmt::format_to(std::back_inserter(out), "{{\"part\":{},\"n\":{},\"kind\":\"{}\",\"tries\":{}",
                 part.row.id.value, part.row.n, sluice::to_string(part.row.kind), part.row.tries);
  append_time(out, "committed_at", part.row.committed_at);
  append_time(out, "claimed_at", part.row.claimed_at);
  // An earlier send of it may have arrived (C19).
  if (part.row.duplicate) out += ",\"possible_duplicate\":true";
  append_text(out, "status",
              part.settled               ? sluice::to_string(part.settled->outcome)
              : part.row.claimed_by != 0 ? "sending"
                                         : "waiting");
  if (part.settled) {
    append_time(out, "settled_at", part.settled->at);
    if (!part.settled->reason.empty()) append_text(out, "reason", part.settled->reason);
  }
  out += '}';
}

constexpr std::size_t kListedText = 200;  // bytes of a conversation's last line, in a list

struct Problem {
  int status;
  std::string_view slug;
  std::string_view title;
  int retry_after;  // seconds, if the error does not say; 0: trying again does not help
};

Problem problem_for(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kInvalidArgument:
      return {400, "invalid-request", "The request is not valid", 0};
    case ErrorKind::kUnauthenticated:
      return {401, "unauthenticated", "Who are you?", 0};
    case ErrorKind::kPermissionDenied:
      return {403, "forbidden", "Not allowed", 0};
    case ErrorKind::kNotFound:
      return {404, "not-found", "Not found", 0};
    case ErrorKind::kConflict:
      return {409, "conflict", "Conflict", 0};
    case ErrorKind::kTooLarge:
      return {413, "too-large", "Too large", 0};
    case ErrorKind::kOverloaded:
      return {429, "overloaded", "Too much is waiting; nothing was kept", 1};
    case ErrorKind::kRateLimited:
      return {429, "rate-limited", "Too many requests", 1};
    case ErrorKind::kUnavailable:
    case ErrorKind::kCancelled:
      return {503, "unavailable", "Not taking messages now; nothing was kept", 5};
    case ErrorKind::kDiskFull:
      return {503, "disk-full", "The disk is full; nothing was kept", 60};
    case ErrorKind::kTimeout:
      return {503, "timeout", "Took too long", 1};
    case ErrorKind::kStorageFailed:
      // The outcome is unknown; the id makes sending it again safe.
      return {503, "storage-failed", "The store failed; send it again with the same id", 5};
    default:
      return {500, "internal", "Internal error", 0};
  }
}

}  // namespace

void append_json(std::string& out, std::string_view text) {
  out += '"';
  std::size_t plain = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out.append(text.substr(plain, i - plain));
    plain = i + 1;
    switch (c) {
      case '"':
      case '\\':
        out += '\\';
        out += static_cast<char>(c);
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        fmt::format_to(std::back_inserter(out), "\\u{:04x}", c);
    }
  }
  out.append(text.substr(plain));
  out += '"';
}

std::string_view to_string(TurnPhase phase) {
  constexpr std::array<std::string_view, 6> kNames = {"queued", "running", "retrying",
                                                      "asking", "waiting", "ended"};
  return kNames[static_cast<std::size_t>(phase)];
}

std::string line_json(const HistoryRow& line, bool html) {
  std::string out;
  out.reserve(160 + line.text.size() + line.author.size() + line.meta.size());
  fmt::format_to(std::back_inserter(out),
                 "{{\"id\":{},\"kind\":\"{}\",\"message\":{},\"turn\":{},\"n\":{},\"at\":{}",
                 line.id.value, sluice::to_string(line.kind), line.message.value, line.turn.value,
                 line.n, line.at.ms);
  append_text(out, "author", line.author);
  append_text(out, "text", line.text);
  if (html && line.kind == HistoryKind::kAgent) {
    append_text(out, "html", text::markdown_to_html(line.text));
  }
  out += line.cut ? ",\"cut\":true" : ",\"cut\":false";
  if (!line.meta.empty()) out.append(",\"meta\":").append(line.meta);
  out += '}';
  return out;
}

std::string page_json(LaneId lane, const std::vector<HistoryRow>& lines, bool more, bool html) {
  std::string out = fmt::format("{{\"conversation\":{},\"lines\":[", lane.value);
  for (const HistoryRow& line : lines) {
    if (line.kind == HistoryKind::kSummary) continue;  // for agents only
    if (out.back() != '[') out += ',';
    out += line_json(line, html);
  }
  out += "],\"before\":";
  out += more && !lines.empty() ? fmt::format("{}", lines.front().id.value) : "null";
  out += '}';
  return out;
}

std::string listed_json(const ListedConversation& row, std::string_view chat,
                        const std::optional<HistoryRow>& last) {
  std::string out = fmt::format("{{\"conversation\":{}", row.id.value);
  append_text(out, "chat", chat);
  append_time(out, "begun_at", row.created_at);
  append_text(out, "title", row.title);
  out += ",\"last\":";
  if (!last) return out.append("null}");
  fmt::format_to(std::back_inserter(out), "{{\"id\":{},\"kind\":\"{}\",\"at\":{}", last->id.value,
                 sluice::to_string(last->kind), last->at.ms);
  const std::string_view text = last->text;
  append_text(out, "text", text.substr(0, utf8_floor(text, kListedText)));
  return out.append("}}");
}

std::string life_json(const MessageLife& life, std::string_view chat) {
  const MessageEnd& end = life.end;
  std::string out =
      fmt::format("{{\"message\":{},\"conversation\":{}", end.id.value, life.lane.value);
  append_text(out, "chat", chat);
  append_text(out, "status", life.pending ? "pending" : sluice::to_string(end.outcome));
  if (life.row) {
    append_text(out, "id", life.row->event);
    append_text(out, "sender", life.row->sender);
    out += life.row->late ? ",\"late\":true" : ",\"late\":false";
    append_time(out, "sent_at", life.row->sent_at);
  }
  append_time(out, "accepted_at", end.accepted_at);
  append_time(out, "started_at", end.started_at);
  append_time(out, "ended_at", end.ended_at);
  append_number(out, "turn", end.turn.value);
  append_number(out, "attempts", end.attempts);
  append_number(out, "line", end.history.value);
  append_text(out, "reason", end.reason);
  out += ",\"parts\":[";
  for (const MessageLife::Part& part : life.parts) {
    if (&part != &life.parts.front()) out += ',';
    append_part(out, part);
  }
  out += "]}";
  return out;
}

net::HttpResponse problem_of(const Error& error) {
  const Problem problem = problem_for(error.kind());
  // What went wrong inside is for the operator's log.
  const bool ours = problem.status == 500 || error.kind() == ErrorKind::kStorageFailed;
  net::HttpResponse response = net::HttpResponse::problem(
      problem.status, problem.slug, problem.title, ours ? "" : error.context());
  if (problem.status == 401) response.headers.set("WWW-Authenticate", "Bearer realm=\"sluice\"");
  const auto asked = std::chrono::ceil<std::chrono::seconds>(error.retry().delay).count();
  if (problem.retry_after > 0) {
    response.headers.set("Retry-After",
                         fmt::format("{}", asked > 0 ? asked : std::int64_t{problem.retry_after}));
  }
  return response;
}

}  // namespace sluice::http
