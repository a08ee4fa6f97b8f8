#include "channels/http/requests.h"

#include <algorithm>
#include <limits>
#include <optional>

#include <fmt/format.h>

#include "channels/http/body.h"
#include "channels/http/face.h"
#include "channels/http/media.h"
#include "channels/http/render.h"
#include "channels/http/request_parts.h"
#include "gateway/access.h"
#include "net/json_body.h"

namespace sluice::http {
namespace {

using net::HttpExchange;
using net::HttpResponse;

constexpr std::string_view kNotOnTheList = "not-on-the-list";

/// "123" or, for a key that must be quoted in a structured header, "\"123\"".
std::optional<std::string_view> idempotency_key(const net::HttpRequest& request) {
  std::optional<std::string_view> key = request.headers.get("idempotency-key");
  if (key && key->size() >= 2 && key->front() == '"' && key->back() == '"')
    key = key->substr(1, key->size() - 2);
  return key;
}

/// {"message": 7, "conversation": 3, "id": "a", "status": "accepted", "duplicate": false}
std::string accepted_json(const Accepted& accepted, std::string_view id) {
  const std::string_view status = accepted.refused_by_access                        ? "refused"
                                  : accepted.verdict == EventVerdict::kOtherContent ? "conflict"
                                                                                    : "accepted";
  std::string out = fmt::format("{{\"message\":{},\"conversation\":{},\"id\":", accepted.id.value,
                                accepted.lane.value);
  append_json(out, id);
  out += fmt::format(",\"status\":\"{}\",\"duplicate\":{}}}", status,
                     accepted.verdict == EventVerdict::kDuplicate);
  return out;
}

/// A problem that also tells what became of the events around the refused one.
HttpResponse refused(int status, std::string_view slug, std::string_view title,
                     std::string_view detail, std::string_view results) {
  HttpResponse response = HttpResponse::problem(status, slug, title, detail);
  response.body.pop_back();
  response.body.append(",\"results\":").append(results).append("}");
  return response;
}

HttpResponse answer(const std::vector<Accepted>& accepted, const std::vector<std::string>& ids,
                    bool batch) {
  bool any_new = false;
  bool denied = false;
  bool conflict = false;
  std::string results = "[";
  for (std::size_t i = 0; i < accepted.size(); ++i) {
    if (i > 0) results += ',';
    results += accepted_json(accepted[i], ids[i]);
    denied = denied || accepted[i].refused_by_access;
    conflict = conflict || accepted[i].verdict == EventVerdict::kOtherContent;
    any_new = any_new || accepted[i].verdict == EventVerdict::kNew;
  }
  results += ']';
  if (denied) {
    return refused(403, kNotOnTheList, "This sender may not write here",
                   "the account's \"allow\" does not name the sender", results);
  }
  if (conflict) {
    return refused(422, "id-reused", "This id was used with another text",
                   "choose a new id for a new text; the earlier message stands", results);
  }
  std::string body =
      batch ? "{\"results\":" + results + "}" : results.substr(1, results.size() - 2);
  return HttpResponse::json(any_new ? 202 : 200, std::move(body));
}

/// A batch is taken whole or refused whole; the gateway's own gate would let some through.
bool all_allowed(const std::vector<InboundMessage>& events, const HttpChannelOptions& options) {
  return std::all_of(events.begin(), events.end(),
                     [&](const InboundMessage& event) { return lets_in(options, event.sender); });
}

/// Hands events to the gateway and answers.
Task<void> accept(std::shared_ptr<Face> face, HttpExchange* exchange,
                  std::vector<InboundMessage> events, bool batch) {
  std::vector<std::string> ids;
  ids.reserve(events.size());
  for (const InboundMessage& event : events) ids.push_back(event.event);
  // Before and after: readers who wait for a new conversation should see its first turn begin.
  face->arrivals.pulse();
  const Result<std::vector<Accepted>> accepted =
      co_await face->host->accept(std::move(events), std::nullopt);
  face->arrivals.pulse();
  exchange->respond(accepted ? answer(*accepted, ids, batch) : problem_of(accepted.error()));
}

/// Whether what is attached is the senders' own and there; it is renewed then. Answers if not.
Task<bool> find_attachments(std::shared_ptr<Face> face, HttpExchange* exchange,
                            const std::vector<InboundMessage>* events) {
  Result<std::vector<media::Id>> ids = attachments_of(*face, *events);
  if (ids && ids->empty()) co_return true;
  Result<void> there = ids ? Result<void>() : Result<void>(ids.error());
  if (ids) there = co_await face->media->renew(std::move(*ids));
  if (there && face->stopping) there = Error(ErrorKind::kUnavailable, "stopping");
  if (there) co_return true;
  const bool unknown = there.error().kind() == ErrorKind::kNotFound;
  exchange->respond(unknown ? HttpResponse::problem(422, "unknown-attachment",
                                                    "There is no such attachment",
                                                    there.error().context())
                            : problem_of(there.error()));
  co_return false;
}

struct PageRequest {
  HistoryId before;  // 0: from the newest line
  HistoryId after;   // 0: to the log's beginning
  std::size_t limit = kPageLines;
};

Result<PageRequest> page_of(const net::HttpRequest& request) {
  const Result<std::int64_t> before = number_of(request, "before", 0);
  if (!before) return before.error();
  const Result<std::int64_t> after = number_of(request, "after", 0);
  if (!after) return after.error();
  const Result<std::size_t> limit = limit_of(request);
  if (!limit) return limit.error();
  return PageRequest{HistoryId{*before}, HistoryId{*after}, *limit};
}

/// The newest lines of (after, before), oldest first, and whether there may be older ones.
struct Page {
  std::vector<HistoryRow> lines;
  bool more = false;
};

Result<Page> read_page(StoreReader& reader, LaneId lane, HistoryId head, PageRequest request) {
  HistoryId from = head;
  if (request.before) {
    // The line it names tells which is the one before it; it must be of this conversation.
    const Result<std::vector<HistoryRow>> line =
        reader.history(request.before, HistoryId{}, 1, std::numeric_limits<std::size_t>::max());
    if (!line) return line.error();
    if (line->empty() || line->front().lane != lane || request.before > head)
      return not_found("\"before\" names no line of this conversation");
    from = line->front().prev;
  }
  Page page;
  if (!from || from <= request.after) return page;
  Result<std::vector<HistoryRow>> lines =
      reader.history(from, request.after, request.limit, kPageBytes);
  if (lines && lines->empty()) {
    lines = reader.history(from, request.after, 1, std::numeric_limits<std::size_t>::max());
  }
  if (!lines) return lines.error();
  page.lines = std::move(*lines);
  page.more = !page.lines.empty() && page.lines.front().prev > request.after;
  return page;
}

struct Found {
  MessageLife life;
  ConversationRow conversation;
};

}  // namespace

Task<void> post_messages(std::shared_ptr<Face> face, Authenticator*, HttpExchange* exchange) {
  Result<PostedBody> body = parse_body(exchange->request().body);
  if (body) {
    const Result<void> ok = complete(*body, caller_of(*exchange), exchange->params()[0],
                                     idempotency_key(exchange->request()));
    if (!ok) body = ok.error();
  }
  if (!body) {
    exchange->respond(problem_of(body.error()));
    co_return;
  }
  if (body->batch && !all_allowed(body->events, face->options)) {
    exchange->respond(HttpResponse::problem(
        403, kNotOnTheList, "A sender of this batch may not write here",
        "the account's \"allow\" does not name every sender; nothing was accepted"));
    co_return;
  }
  exchange->request().body = std::string();  // it is in the events now
  const bool found = co_await find_attachments(face, exchange, &body->events);
  if (!found) co_return;
  co_await accept(face, exchange, std::move(body->events), body->batch);
}

Task<void> delete_message(std::shared_ptr<Face> face, Authenticator*, HttpExchange* exchange) {
  const Caller& caller = caller_of(*exchange);
  InboundMessage event;
  event.kind = EventKind::kDelete;
  event.chat = chat_of(caller, exchange->params()[0]);
  event.sender = caller.person;
  event.event = exchange->params()[1];
  if (!net::is_clean_name(exchange->params()[0]) || !net::is_clean_name(event.event)) {
    exchange->respond(problem_of(invalid("the path is not usable")));
    co_return;
  }
  if (!face->host->find_lane(event.chat, "")) {
    exchange->respond(problem_of(not_found("nobody has written in this conversation")));
    co_return;
  }
  std::vector<InboundMessage> events;
  events.push_back(std::move(event));
  co_await accept(face, exchange, std::move(events), false);
}

Task<void> post_stop(std::shared_ptr<Face> face, Authenticator*, HttpExchange* exchange) {
  const Caller& caller = caller_of(*exchange);
  const std::string& body = exchange->request().body;
  const std::optional<std::string_view> key = idempotency_key(exchange->request());
  if ((!body.empty() && body != "{}") || (key && !net::is_clean_name(*key)) ||
      !net::is_clean_name(exchange->params()[0])) {
    exchange->respond(
        problem_of(invalid("a stop has no body, and ids without control characters")));
    co_return;
  }
  InboundMessage event;
  event.chat = chat_of(caller, exchange->params()[0]);
  event.sender = caller.person;
  event.text = "/stop";
  // Not the same after a restart, whose random numbers begin anew.
  event.event = key ? std::string(*key)
                    : fmt::format("stop-{}-{:x}", face->loop.wall().ms, face->loop.random().next());
  if (!face->host->find_lane(event.chat, "")) {
    exchange->respond(problem_of(not_found("nobody has written in this conversation")));
    co_return;
  }
  std::vector<InboundMessage> events;
  events.push_back(std::move(event));
  co_await accept(face, exchange, std::move(events), false);
}

Task<void> get_history(std::shared_ptr<Face> face, Authenticator*, HttpExchange* exchange) {
  const Result<PageRequest> request = page_of(exchange->request());
  if (!request) {
    exchange->respond(problem_of(request.error()));
    co_return;
  }
  const LaneId lane =
      face->host->find_lane(chat_of(caller_of(*exchange), exchange->params()[0]), "");
  if (!lane) {
    exchange->respond(HttpResponse::json(200, page_json(lane, {}, false)));
    co_return;
  }
  const HistoryId head = face->host->head(lane);
  const PageRequest wanted = *request;
  const Result<Page> page = co_await face->host->store().read<Page>(
      [lane, head, wanted](StoreReader& reader) { return read_page(reader, lane, head, wanted); });
  const bool html = wants_html(exchange->request());
  exchange->respond(page ? HttpResponse::json(200, page_json(lane, page->lines, page->more, html))
                         : problem_of(page.error()));
}

Task<void> get_message(std::shared_ptr<Face> face, Authenticator*, HttpExchange* exchange) {
  const std::optional<std::int64_t> id = parse_number(exchange->params()[0]);
  if (!id) {
    exchange->respond(problem_of(not_found("no such message")));
    co_return;
  }
  using MaybeFound = std::optional<Found>;
  const MessageId message{*id};
  const Result<MaybeFound> found = co_await face->host->store().read<MaybeFound>(
      [message](StoreReader& reader) -> Result<MaybeFound> {
        Result<std::optional<MessageLife>> life = reader.life(message);
        if (!life) return life.error();
        if (!*life) return MaybeFound();
        Result<std::optional<ConversationRow>> row = reader.conversation((*life)->lane);
        if (!row) return row.error();
        if (!*row) return MaybeFound();
        return MaybeFound(Found{std::move(**life), std::move(**row)});
      });
  if (!found) {
    exchange->respond(problem_of(found.error()));
    co_return;
  }
  // What is somebody else's looks like what does not exist.
  const bool visible = *found && (*found)->conversation.account == face->account &&
                       may_see(caller_of(*exchange), (*found)->conversation.chat);
  if (!visible) {
    exchange->respond(problem_of(not_found("no such message")));
    co_return;
  }
  const std::string_view name = name_of(caller_of(*exchange), (*found)->conversation.chat);
  exchange->respond(HttpResponse::json(200, life_json((*found)->life, name)));
}

}  // namespace sluice::http
