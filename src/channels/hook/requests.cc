#include "channels/hook/requests.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>

#include <boost/json.hpp>
#include <fmt/core.h>

#include "channels/hook/face.h"
#include "gateway/gateway.h"
#include "gateway/turn_follower.h"
#include "net/sse.h"

namespace sluice::hook {
namespace {

using net::HttpExchange;
using net::HttpResponse;
using Step = TurnFollower::Step;

constexpr Duration kHeartbeat = std::chrono::seconds(15);

/// A message that was not accepted.
std::optional<HttpResponse> refused_by(const Accepted& accepted, bool unmentioned) {
  if (accepted.refused_by_access) {
    // Nothing is wrong with a word in a group that is not for us: it is just not kept (C8).
    if (unmentioned) return HttpResponse::json(200, R"({"status":"ignored"})");
    return HttpResponse::problem(403, "not-on-the-list", "This sender may not write here",
                                 "the account's \"allow\" does not name the sender");
  }
  if (accepted.verdict == EventVerdict::kOtherContent) {
    return HttpResponse::problem(422, "id-reused", "This id was used with another text",
                                 "choose a new id for a new text; the earlier message stands");
  }
  return std::nullopt;
}

/// {"message": 7, "conversation": 3, "status": "accepted", "duplicate": false}, and the link where
/// the caller will want one.
std::string accepted_json(const Accepted& accepted, const std::string& link) {
  const bool duplicate = accepted.verdict == EventVerdict::kDuplicate;
  std::string json =
      fmt::format(R"({{"message":{},"conversation":{},"status":"accepted","duplicate":{})",
                  accepted.id.value, accepted.lane.value, duplicate);
  if (!link.empty()) json += ",\"link\":" + boost::json::serialize(boost::json::string(link));
  return json += "}";
}

std::string link_to(const Face& face, MessageId message) {
  return fmt::format("/hook/{}/messages/{}", net::percent_encode(face.account), message.value);
}

/// Accepted, and to be asked for later.
HttpResponse later(std::string json, const std::string& link) {
  HttpResponse response = HttpResponse::json(202, std::move(json));
  response.headers.set("Location", link);
  response.headers.set("Retry-After", "1");
  return response;
}

std::string sse(std::string_view name, std::string_view json) {
  return fmt::format("event: {}\ndata: {}\n\n", name, json);
}

std::string delta_json(const FeedDelta& delta) {
  return fmt::format(R"({{"turn":{},"attempt":{},"offset":{},"text":{}}})", delta.turn.value,
                     delta.attempt, delta.offset,
                     boost::json::serialize(boost::json::string(delta.text)));
}

/// {"message": 7, "conversation": 3, "status": "answered", "text": "…", "cut": false}, as
/// docs/channels/hook.md tells.
std::string answer_json(const Answer& answer, MessageId message, LaneId lane) {
  using State = Answer::State;
  boost::json::object o;
  o["message"] = message.value;
  o["conversation"] = lane.value;
  o["status"] = answer.state == State::kPending  ? std::string_view("accepted")
                : answer.state == State::kAsking ? std::string_view("asking")
                                                 : to_string(answer.outcome);
  if (answer.state == State::kEnded) {
    o["text"] = answer.text;
    o["cut"] = answer.cut;
  }
  if (!answer.notice.empty()) o["notice"] = answer.notice;
  if (!answer.error.empty()) o["error"] = answer.error;
  return boost::json::serialize(o);
}

/// Waits in the response.
Task<void> wait(std::shared_ptr<Face> face, HttpExchange* exchange, TurnFollower* follower,
                Accepted accepted) {
  const MonoTime deadline = face->loop.now() + face->wait_timeout;
  Step step = co_await follower->next(deadline);
  while (step.what == Step::What::kDelta || step.what == Step::What::kReset)
    step = co_await follower->next(deadline);
  if (step.what == Step::What::kAnswer) {
    exchange->respond(
        HttpResponse::json(200, answer_json(step.answer, accepted.id, accepted.lane)));
  } else if (step.what == Step::What::kFailed) {
    exchange->respond(problem_of(step.error));
  } else {
    const std::string link = link_to(*face, accepted.id);
    exchange->respond(later(accepted_json(accepted, link), link));
  }
}

/// Streams into the response. Its end without an "answer" says that the caller should ask again.
Task<void> stream(std::shared_ptr<Face> face, HttpExchange* exchange, TurnFollower* follower,
                  Accepted accepted) {
  HttpResponse head = net::sse_response();
  head.body = sse("accepted", accepted_json(accepted, link_to(*face, accepted.id)));
  Result<void> written = co_await exchange->start_stream(std::move(head));
  while (written) {
    const Step step = co_await follower->next(face->loop.now() + kHeartbeat);
    switch (step.what) {
      case Step::What::kDelta:
        written = co_await exchange->write(sse("delta", delta_json(step.delta)));
        break;
      case Step::What::kReset:
        written = co_await exchange->write(
            sse("reset", fmt::format(R"({{"turn":{},"attempt":{}}})", step.reset.turn.value,
                                     step.reset.attempt)));
        break;
      case Step::What::kQuiet:
        written = co_await exchange->write(std::string(net::kSseHeartbeat));
        break;
      case Step::What::kAnswer:
        co_await exchange->write(
            sse("answer", answer_json(step.answer, accepted.id, accepted.lane)));
        co_return;
      default:
        co_return;
    }
  }
}

Task<void> close_when_gone(Event* gone, TurnFollower* follower) {
  co_await gone->wait();
  follower->close();
}

Task<Result<Accepted>> accept(std::shared_ptr<Face> face, InboundMessage message) {
  std::vector<InboundMessage> events;
  events.push_back(std::move(message));
  const Result<std::vector<Accepted>> accepted =
      co_await face->host->accept(std::move(events), std::nullopt);
  if (!accepted) co_return accepted.error();
  co_return accepted->front();
}

/// Answers in the response.
Task<void> answer_here(std::shared_ptr<Face> face, HttpExchange* exchange, HookBody body,
                       bool unmentioned) {
  if (face->waiting >= face->waits_max) {
    const Error full(ErrorKind::kRateLimited, "too many requests wait for their answers",
                     ErrorSource::kSelf, Retry::after(std::chrono::seconds(1)));
    exchange->respond(problem_of(full));
    co_return;
  }
  const InWait waiting(face);
  TurnFollower follower(face->followers);
  const LaneId lane = face->host->find_lane(body.message.chat, body.message.thread);
  if (lane) follower.listen(lane);
  const AnswerBy by = body.answer_by;
  const Result<Accepted> accepted = co_await accept(face, std::move(body.message));
  if (!accepted) {
    exchange->respond(problem_of(accepted.error()));
    co_return;
  }
  if (std::optional<HttpResponse> refused = refused_by(*accepted, unmentioned)) {
    exchange->respond(*std::move(refused));
    co_return;
  }
  if (face->host == nullptr) {
    const std::string link = link_to(*face, accepted->id);
    exchange->respond(later(accepted_json(*accepted, link), link));
    co_return;
  }
  using Since = TurnFollower::Since;
  const bool repeat = accepted->verdict == EventVerdict::kDuplicate;
  if (!lane) follower.listen(accepted->lane);
  follower.follow(accepted->id, repeat ? Since::kRepeat : lane ? Since::kBefore : Since::kFirst);
  Running watcher(close_when_gone(&exchange->gone(), &follower));
  watcher.start();
  if (by == AnswerBy::kWait) {
    co_await wait(face, exchange, &follower, *accepted);
  } else {
    co_await stream(face, exchange, &follower, *accepted);
  }
}

/// The lane of a message, if it is one of this account.
Task<Result<LaneId>> find_message(std::shared_ptr<Face> face, MessageId message) {
  const std::string account = face->account;
  co_return co_await face->host->store().read<LaneId>(
      [message, account](StoreReader& reader) -> Result<LaneId> {
        const Error none(ErrorKind::kNotFound, "no such message", ErrorSource::kPeer);
        Result<std::optional<MessageLife>> life = reader.life(message);
        if (!life) return life.error();
        if (!*life) return none;
        Result<std::optional<ConversationRow>> row = reader.conversation((*life)->lane);
        if (!row) return row.error();
        if (!*row || (*row)->account != account) return none;
        return (*life)->lane;
      });
}

}  // namespace

HttpResponse problem_of(const Error& error) {
  const bool ours = error.source() == ErrorSource::kSelf;
  // What is wrong inside is for the log, not for callers.
  const bool tell = !ours || error.kind() == ErrorKind::kOverloaded ||
                    error.kind() == ErrorKind::kRateLimited ||
                    error.kind() == ErrorKind::kUnavailable || error.kind() == ErrorKind::kDiskFull;
  std::string slug(to_string(error.kind()));
  std::replace(slug.begin(), slug.end(), '_', '-');
  const int status = net::status_of(error.kind());
  HttpResponse response = HttpResponse::problem(status, slug, net::reason_phrase(status),
                                                tell ? error.context() : std::string());
  if (error.retry().allowed()) {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(error.retry().delay).count();
    response.headers.set("Retry-After", fmt::format("{}", std::max<std::int64_t>(seconds, 1)));
  }
  if (status == 401) response.headers.set("WWW-Authenticate", "Bearer");
  return response;
}

Task<void> post_message(std::shared_ptr<Face> face, HttpExchange* exchange, HookBody body) {
  const InboundMessage& message = body.message;
  const bool unmentioned = message.chat_kind == ChatKind::kGroup && !message.mentions_us;
  if (body.answer_by != AnswerBy::kCallback) {
    co_await answer_here(face, exchange, std::move(body), unmentioned);
    co_return;
  }
  const Result<Accepted> accepted = co_await accept(face, std::move(body.message));
  if (!accepted) {
    exchange->respond(problem_of(accepted.error()));
    co_return;
  }
  std::optional<HttpResponse> refused = refused_by(*accepted, unmentioned);
  const bool duplicate = accepted->verdict == EventVerdict::kDuplicate;
  exchange->respond(
      refused ? *std::move(refused)
              : HttpResponse::json(duplicate ? 200 : 202, accepted_json(*accepted, std::string())));
}

Task<void> get_answer(std::shared_ptr<Face> face, HttpExchange* exchange) {
  const std::string& text = exchange->params()[1];
  std::int64_t id = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), id);
  const bool number = ec == std::errc() && end == text.data() + text.size() && id > 0;
  const InWait waiting(face);
  Result<LaneId> lane(Error(ErrorKind::kNotFound, "no such message", ErrorSource::kPeer));
  if (number) lane = co_await find_message(face, MessageId{id});
  if (!lane || face->host == nullptr) {
    const Error gone(ErrorKind::kUnavailable, "the account is being stopped");
    exchange->respond(problem_of(lane ? gone : lane.error()));
    co_return;
  }
  const HistoryId head = face->host->head(*lane);
  const Result<Answer> answer =
      co_await read_answer(&face->host->store(), MessageId{id}, head, true);
  if (!answer) {
    exchange->respond(problem_of(answer.error()));
    co_return;
  }
  std::string json = answer_json(*answer, MessageId{id}, *lane);
  exchange->respond(answer->state == Answer::State::kPending
                        ? later(std::move(json), link_to(*face, MessageId{id}))
                        : HttpResponse::json(200, std::move(json)));
}

}  // namespace sluice::hook
