// GET /v1/conversations: what conversations a person has.

#include <algorithm>
#include <limits>

#include "channels/http/face.h"
#include "channels/http/render.h"
#include "channels/http/request_parts.h"
#include "channels/http/requests.h"

namespace sluice::http {
namespace {

using net::HttpExchange;
using net::HttpResponse;
using Conversations = std::vector<ListedConversation>;

struct ListRequest {
  std::string owner;
  LaneId before;  // 0: from the newest
  std::size_t limit = kPageLines;
};

Result<ListRequest> list_of(const net::HttpRequest& request, const Caller& caller) {
  const std::string_view person = request.query_value("person").value_or(caller.person);
  if (person != caller.person && !caller.all_conversations) {
    return Error(ErrorKind::kPermissionDenied, "this token may not see another person's",
                 ErrorSource::kPeer);
  }
  const Result<std::int64_t> before = number_of(request, "before", 0);
  if (!before) return before.error();
  const Result<std::size_t> limit = limit_of(request);
  if (!limit) return limit.error();
  return ListRequest{owner_of(person), LaneId{*before}, *limit};
}

/// The newest line that people see, at or before `head`.
Result<std::optional<HistoryRow>> last_line(StoreReader& reader, HistoryId head) {
  constexpr std::size_t kLinesOfTurn = 3;  // among its lines one may be a summary
  const Result<std::vector<HistoryRow>> lines =
      reader.history(head, HistoryId{}, kLinesOfTurn, std::numeric_limits<std::size_t>::max());
  if (!lines) return lines.error();
  const auto seen = std::find_if(lines->rbegin(), lines->rend(), [](const HistoryRow& line) {
    return line.kind != HistoryKind::kSummary;
  });
  return seen == lines->rend() ? std::optional<HistoryRow>() : std::optional(*seen);
}

/// The last line of each, as far as kPageBytes of text reach: one line at least.
Result<std::vector<std::optional<HistoryRow>>> last_lines(StoreReader& reader,
                                                          const std::vector<HistoryId>& heads) {
  std::vector<std::optional<HistoryRow>> lines;
  std::size_t bytes = 0;
  for (const HistoryId head : heads) {
    Result<std::optional<HistoryRow>> line = last_line(reader, head);
    if (!line) return line.error();
    bytes += *line ? (*line)->text.size() : 0;
    if (bytes > kPageBytes && !lines.empty()) break;
    lines.push_back(std::move(*line));
  }
  return lines;
}

}  // namespace

Task<void> get_conversations(std::shared_ptr<Face> face, Authenticator*, HttpExchange* exchange) {
  const Caller& caller = caller_of(*exchange);
  const Result<ListRequest> request = list_of(exchange->request(), caller);
  if (!request) {
    exchange->respond(problem_of(request.error()));
    co_return;
  }
  const ListRequest wanted = *request;
  Result<Conversations> found = co_await face->host->store().read<Conversations>(
      [wanted, account = face->account](StoreReader& reader) {
        return reader.conversations_of(account, wanted.owner, wanted.before, wanted.limit + 1);
      });
  if (found && face->stopping) found = Error(ErrorKind::kUnavailable, "stopping");
  if (!found) {
    exchange->respond(problem_of(found.error()));
    co_return;
  }
  bool more = found->size() > wanted.limit;
  if (more) found->pop_back();
  std::vector<HistoryId> heads;
  heads.reserve(found->size());
  for (const ListedConversation& row : *found) heads.push_back(face->host->head(row.id));
  using Lines = std::vector<std::optional<HistoryRow>>;
  const Result<Lines> lines = co_await face->host->store().read<Lines>(
      [heads](StoreReader& reader) { return last_lines(reader, heads); });
  if (!lines) {
    exchange->respond(problem_of(lines.error()));
    co_return;
  }
  more = more || lines->size() < found->size();
  found->resize(lines->size());
  std::string out = "{\"conversations\":[";
  for (std::size_t i = 0; i < found->size(); ++i) {
    if (i > 0) out += ',';
    out += listed_json((*found)[i], name_of(caller, (*found)[i].chat), (*lines)[i]);
  }
  out += fmt::format("],\"before\":{}}}",
                     more ? fmt::format("{}", found->back().id.value) : std::string("null"));
  exchange->respond(HttpResponse::json(200, std::move(out)));
}

}  // namespace sluice::http
