#include "channels/openai/requests.h"

#include <any>
#include <charconv>
#include <optional>
#include <string>
#include <utility>

#include <fmt/core.h>

#include "base/hash.h"
#include "channels/openai/body.h"
#include "channels/openai/callers.h"
#include "channels/openai/completion.h"
#include "channels/openai/face.h"
#include "gateway/access.h"
#include "gateway/gateway.h"
#include "gateway/turn_follower.h"
#include "net/json_body.h"
#include "net/sse.h"

namespace sluice::openai {
namespace {

using net::HttpExchange;
using net::HttpResponse;
using Step = TurnFollower::Step;

constexpr Duration kHeartbeat = std::chrono::seconds(15);
constexpr std::size_t kKeyBytesMax = 255;  // of an Idempotency-Key
constexpr std::size_t kRepeatableBytes =
    64 * 1024;  // a longer one is to be asked again by its client
constexpr std::string_view kKeyHeader = "Idempotency-Key";

const Caller& caller_of(HttpExchange& exchange) {
  return *std::any_cast<Caller>(&exchange.context());
}

/// What the client of a stream has of it, for the process that goes on with it.
struct Shown {
  TurnId turn;             // 0: nothing of its text was told yet
  std::size_t bytes = 0;   // of the answer's text
  std::uint64_t hash = 0;  // of those
  UnixMillis created;
};

std::uint64_t hash_of(std::string_view text) { return KeyedHash(HashKey{}).add(text).finish().low; }

std::string to_text(const Shown& shown) {
  return fmt::format("{} {} {} {}", shown.turn.value, shown.bytes, shown.hash, shown.created.ms);
}

std::optional<Shown> parse_shown(std::string_view text) {
  Shown shown;
  const auto number = [&text](auto& into) {
    const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), into);
    if (failed != std::errc()) return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    if (text.starts_with(' ')) text.remove_prefix(1);
    return true;
  };
  const bool good = number(shown.turn.value) && number(shown.bytes) && number(shown.hash) &&
                    number(shown.created.ms) && text.empty();
  return good ? std::optional(shown) : std::nullopt;
}

/// Which answer is waited for, and what its client should hear with it.
struct Asked {
  Heading heading;
  std::string key;           // the client's, or ours
  bool key_is_ours = false;  // a client that repeats by itself would ask anew
  std::optional<Shown> shown;
};

HttpResponse with_names(HttpResponse response, const Asked& asked) {
  response.headers.set(kKeyHeader, asked.key);
  if (asked.heading.message) {
    response.headers.set("X-Request-Id", fmt::format("{}", asked.heading.message.value));
  }
  return response;
}

/// After the message was accepted: a client without a key of its own would ask it twice.
Refusal told(Refusal refusal, const Asked& asked) {
  if (asked.key_is_ours) refusal.should_retry = false;
  return refusal;
}

Refusal not_answered_yet(const Asked& asked, std::string_view why, std::string code) {
  Refusal refusal;
  refusal.status = 503;
  refusal.code = std::move(code);
  refusal.message = fmt::format(
      "Message {} is accepted and will be answered, but {}. Send the same request with "
      "the header \"Idempotency-Key: {}\" to get its answer.",
      asked.heading.message.value, why, asked.key);
  refusal.retry_after = std::chrono::seconds(1);
  return told(std::move(refusal), asked);
}

/// An answer that is none: what went wrong, in the words the person would read.
Refusal failure_of(const Answer& answer, const Asked& asked) {
  Refusal refusal;
  refusal.status = answer.error == "internal" ? 500 : 502;
  refusal.message = answer.notice.empty() ? "The message got no answer." : answer.notice;
  // The same request gets the same end.
  refusal.should_retry = false;
  if (answer.state == Answer::State::kAsking) {
    refusal.code = "interrupted";
  } else if (!answer.error.empty()) {
    refusal.code = answer.error;
  } else {
    refusal.code = to_string(answer.outcome);
  }
  if (asked.heading.message) {
    refusal.message += fmt::format(" (message {})", asked.heading.message.value);
  }
  return refusal;
}

Refusal failure_of(const Step& step, const Asked& asked) {
  switch (step.what) {
    case Step::What::kAnswer:
      return failure_of(step.answer, asked);
    case Step::What::kQuiet:
      return not_answered_yet(asked, "not within this account's answer_timeout", "answer_pending");
    case Step::What::kFailed:
      return told(refusal_of(step.error), asked);
    default:
      return not_answered_yet(asked, "this daemon is being stopped", "stopping");
  }
}

Finish finish_of(const Answer& answer) { return answer.cut ? Finish::kLength : Finish::kStop; }

/// A request's place among those of its account and person.
class RequestSlot {
 public:
  RequestSlot(std::shared_ptr<Face> face, std::string person)
      : face_(std::move(face)), person_(std::move(person)) {
    std::uint32_t& mine = face_->requests_of[person_];
    // This request is among them already.
    full_ = face_->requests > face_->options.requests_max;
    too_many_ = mine >= face_->options.requests_per_person;
    ++mine;
    face_->waiting.add(1);
    if (full_ || too_many_) face_->refused.add();
  }
  ~RequestSlot() {
    const auto mine = face_->requests_of.find(person_);
    if (--mine->second == 0) face_->requests_of.erase(mine);
    face_->waiting.add(-1);
  }
  RequestSlot(const RequestSlot&) = delete;
  RequestSlot& operator=(const RequestSlot&) = delete;

  std::optional<Refusal> refusal() const {
    if (!too_many_ && !full_) return std::nullopt;
    return refusal_of(Error(ErrorKind::kOverloaded,
                            too_many_ ? "this person has too many requests waiting for answers"
                                      : "the account has too many requests waiting for answers",
                            ErrorSource::kSelf, Retry::after(std::chrono::seconds(1))));
  }

 private:
  std::shared_ptr<Face> face_;
  std::string person_;
  bool full_ = false;
  bool too_many_ = false;
};

/// "123" or, as structured headers quote it, "\"123\"". A client without one gets one of ours.
Checked<Asked> asked_of(const net::HttpRequest& request, const ChatRequest& body, Loop& loop) {
  Asked asked;
  asked.heading.model = body.model;
  asked.heading.include_usage = body.include_usage;
  if (const auto at = request.headers.get(net::kGoOnHeader)) {
    asked.shown = parse_shown(*at);
    if (!asked.shown || !body.stream)
      return invalid({}, fmt::format("The {} header is for a stream's rest.", net::kGoOnHeader));
  }
  const std::optional<std::string_view> header = request.headers.get("idempotency-key");
  if (!header || header->empty()) {
    // Not the same after a restart, whose random numbers begin anew.
    asked.key = fmt::format("auto-{:x}-{:016x}", loop.wall().ms, loop.random().next());
    asked.key_is_ours = true;
    return asked;
  }
  std::string_view key = *header;
  if (key.size() >= 2 && key.front() == '"' && key.back() == '"')
    key = key.substr(1, key.size() - 2);
  if (!net::is_clean_name(key) || key.size() > kKeyBytesMax) {
    return invalid({}, fmt::format("The Idempotency-Key header must have 1 to {} bytes and no "
                                   "control characters.",
                                   kKeyBytesMax));
  }
  asked.key = std::string(key);
  return asked;
}

InboundMessage message_of(const net::HttpRequest& request, const Caller& caller, ChatRequest& body,
                          const Asked& asked) {
  InboundMessage message;
  message.chat = net::percent_encode(caller.person);
  message.chat += body.user.empty() ? "/key:" + asked.key : "/user:" + body.user;
  message.sender = caller.names_senders && !body.user.empty() ? body.user : caller.person;
  message.event = asked.key;
  message.text = std::move(body.text);
  const std::string_view id = request.headers.get("x-client-request-id").value_or("");
  if (net::is_clean_name(id) && id.size() <= kKeyBytesMax) message.request_id = std::string(id);
  return message;
}

Refusal not_on_the_list() {
  Refusal refusal;
  refusal.status = 403;
  refusal.code = "not_on_the_list";
  refusal.message = "The account's \"allow\" does not name this sender.";
  return refusal;
}

Refusal stopping() {
  return refusal_of(Error(ErrorKind::kUnavailable, "this account is being stopped",
                          ErrorSource::kSelf, Retry::after(std::chrono::seconds(5))));
}

/// They are the sender's, and on disk before the message is. The same request names the same ones:
/// it must stay the same message.
Task<Checked<std::vector<std::string>>> keep_images(std::shared_ptr<Face> face, std::string sender,
                                                    std::vector<Image> images) {
  std::vector<std::string> ids;
  if (!images.empty() && !lets_in(face->options, sender)) co_return not_on_the_list();
  for (Image& image : images) {
    const Result<media::Kept> kept =
        co_await face->media.keep(face->account, sender, image.type, std::move(image.bytes));
    if (!kept) {
      Refusal refusal = refusal_of(kept.error());
      if (kept.error().kind() == ErrorKind::kUnsupported)
        refusal = invalid({}, kept.error().context(), "unsupported_content");
      refusal.param = std::move(image.param);
      co_return refusal;
    }
    ids.push_back(kept->id.text());
  }
  co_return ids;
}

std::optional<Refusal> refused_by(const Accepted& accepted) {
  if (accepted.refused_by_access) return not_on_the_list();
  Refusal refusal;
  if (accepted.verdict != EventVerdict::kOtherContent) return std::nullopt;
  refusal.status = 422;
  refusal.code = "idempotency_key_reused";
  refusal.message =
      "This Idempotency-Key was used with other messages; the earlier request stands. Choose a new "
      "key for a new request.";
  return refusal;
}

/// Holds a chat in Face::opening.
class Opening {
 public:
  Opening(std::shared_ptr<Face> face, std::string chat)
      : face_(std::move(face)), chat_(std::move(chat)) {
    face_->opening.insert(chat_);
  }
  ~Opening() {
    face_->opening.erase(chat_);
    face_->opened.pulse();
  }
  Opening(const Opening&) = delete;
  Opening& operator=(const Opening&) = delete;

 private:
  std::shared_ptr<Face> face_;
  std::string chat_;
};

/// Hands the message to the gateway; then the follower follows it.
Task<Checked<Accepted>> accept(std::shared_ptr<Face> face, InboundMessage message,
                               TurnFollower* follower) {
  const std::string chat = message.chat;
  LaneId lane = face->host->find_lane(chat, "");
  while (!lane && face->opening.contains(chat)) {
    co_await face->opened.wait();
    if (face->stopping) co_return stopping();
    lane = face->host->find_lane(chat, "");
  }
  std::optional<Opening> opening;
  if (lane) {
    follower->listen(lane);
  } else {
    opening.emplace(face, chat);
  }
  std::vector<InboundMessage> events;
  events.push_back(std::move(message));
  const Result<std::vector<Accepted>> accepted =
      co_await face->host->accept(std::move(events), std::nullopt);
  if (!accepted) co_return refusal_of(accepted.error());
  const Accepted& verdict = accepted->front();
  if (std::optional<Refusal> refused = refused_by(verdict)) co_return *std::move(refused);
  if (face->host == nullptr) co_return stopping();
  using Since = TurnFollower::Since;
  if (!lane) follower->listen(verdict.lane);
  const bool repeat = verdict.verdict == EventVerdict::kDuplicate;
  follower->follow(verdict.id, repeat ? Since::kRepeat : lane ? Since::kBefore : Since::kFirst);
  co_return verdict;
}

/// Answers in one piece.
Task<void> answer_whole(std::shared_ptr<Face> face, HttpExchange* exchange, TurnFollower* follower,
                        Asked asked) {
  const MonoTime deadline = face->loop.now() + face->options.answer_timeout;
  Step step = co_await follower->next(deadline);
  while (step.what == Step::What::kDelta || step.what == Step::What::kReset)
    step = co_await follower->next(deadline);
  const bool good = step.what == Step::What::kAnswer && step.answer.is_good();
  if (!good) {
    exchange->respond(with_names(to_response(failure_of(step, asked)), asked));
    co_return;
  }
  asked.heading.created = step.answer.accepted_at;
  const std::string json = completion_json(asked.heading, step.answer.text, finish_of(step.answer));
  exchange->respond(with_names(HttpResponse::json(200, json), asked));
}

/// One answer on its way, as events. A status is chosen with the first of them: what fails before
/// that is answered with its own.
class Stream {
 public:
  Stream(std::shared_ptr<Face> face, HttpExchange* exchange, Asked asked)
      : face_(std::move(face)), exchange_(exchange), asked_(std::move(asked)) {
    if (!asked_.shown) return;
    begun_ = true;
    unchecked_ = asked_.shown;
    shown_ = asked_.shown->bytes;
    asked_.heading.created = asked_.shown->created;
  }

  Task<void> run(TurnFollower* follower) {
    for (;;) {
      const Step step = co_await follower->next(face_->loop.now() + kHeartbeat);
      Result<void> written;
      switch (step.what) {
        case Step::What::kDelta:
          text_ += step.delta.text;
          if (text_.size() <= shown_) break;
          if (unchecked_ && !continues(text_)) {
            co_await end_broken();
            co_return;
          }
          written = co_await write(text_event(asked_.heading, text_.substr(shown_)));
          shown_ = text_.size();
          break;
        case Step::What::kReset:
          text_.clear();
          if (shown_ == 0) break;
          co_await end_broken();
          co_return;
        case Step::What::kQuiet:
          written = co_await write(std::string(net::kSseHeartbeat));
          break;
        case Step::What::kAnswer:
          // A repeated request hears when it was first asked.
          if (!begun_) asked_.heading.created = step.answer.accepted_at;
          co_await end_with(&step);
          co_return;
        default:
          if (begun_ && step.what == Step::What::kClosed && exchange_->handed_over().is_set() &&
              exchange_->repeatable()) {
            leave_rest(follower->turn(), step);
            co_return;
          }
          co_await end_failed(failure_of(step, asked_));
          co_return;
      }
      if (!written) co_return;  // the client has gone; the turn goes on
    }
  }

 private:
  Task<Result<void>> write(std::string bytes) {
    if (exchange_->answered()) co_return co_await exchange_->write(std::move(bytes));
    HttpResponse head = with_names(net::sse_response(), asked_);
    head.body = begun_ ? std::move(bytes) : role_event(asked_.heading) + bytes;
    begun_ = true;
    co_return co_await exchange_->start_stream(std::move(head));
  }

  /// Whether the answer begins with what the client has.
  bool continues(std::string_view answer) {
    if (answer.size() < shown_) return false;
    const std::string_view had = answer.substr(0, shown_);
    if (!unchecked_) return had == std::string_view(text_).substr(0, shown_);
    const bool same = hash_of(had) == unchecked_->hash;
    unchecked_.reset();
    return same;
  }

  Task<void> end_with(const Step* step) {
    const Answer& answer = step->answer;
    if (!answer.is_good()) {
      co_await end_failed(failure_of(*step, asked_));
      co_return;
    }
    if (!continues(answer.text)) {
      co_await end_broken();
      co_return;
    }
    std::string last;
    const std::string rest = answer.text.substr(shown_);
    if (!rest.empty()) last = text_event(asked_.heading, rest);
    last += finish_event(asked_.heading, finish_of(answer));
    if (asked_.heading.include_usage) last += usage_event(asked_.heading);
    last += kDone;
    co_await write(std::move(last));
  }

  /// The turn goes on in another process, and so does its stream.
  void leave_rest(TurnId turn, const Step& step) {
    Shown shown{turn, shown_, 0, asked_.heading.created};
    if (!turn && asked_.shown) shown.turn = asked_.shown->turn;
    shown.hash = unchecked_ ? unchecked_->hash : hash_of(std::string_view(text_).substr(0, shown_));
    exchange_->go_on_elsewhere(to_text(shown), event(to_json(failure_of(step, asked_))));
  }

  Task<void> end_failed(Refusal refusal) {
    if (begun_) {
      co_await write(event(to_json(refusal)));
    } else {
      exchange_->respond(with_names(to_response(refusal), asked_));
    }
  }

  /// What was shown can't be taken back in this protocol.
  Task<void> end_broken() {
    face_->broken.add();
    co_await end_failed(not_answered_yet(asked_,
                                         "its answer began anew after a part of it had "
                                         "been streamed",
                                         "answer_restarted"));
  }

  const std::shared_ptr<Face> face_;
  HttpExchange* const exchange_;
  Asked asked_;
  std::string text_;       // of the answer, as far as we have heard it
  std::size_t shown_ = 0;  // bytes of it that the client has
  bool begun_ = false;
  std::optional<Shown> unchecked_;  // what an earlier process showed, until the text is here
};

Task<void> close_when(Event* event, TurnFollower* follower) {
  co_await event->wait();
  follower->close();
}

}  // namespace

Task<void> post_completion(std::shared_ptr<Face> face, HttpExchange* exchange) {
  const Caller caller = caller_of(*exchange);
  const auto refuse = [exchange](const Refusal& refusal) {
    exchange->respond(to_response(refusal));
  };
  Checked<ChatRequest> body = parse_body(exchange->request().body);
  if (!body) co_return refuse(body.error());
  // It is in the request now; a small one is kept for a successor.
  const bool repeatable = exchange->request().body.size() <= kRepeatableBytes;
  if (!repeatable) exchange->request().body = std::string();
  if (!face->has_model(body->model)) co_return refuse(no_such_model(body->model));
  Checked<Asked> asked = asked_of(exchange->request(), *body, face->loop);
  if (asked) {
    // Whoever serves it again finds the same message.
    exchange->request().headers.set(kKeyHeader, asked->key);
    if (repeatable) exchange->set_repeatable();
  }
  if (!asked) co_return refuse(asked.error());
  const bool stream = body->stream;
  asked->heading.created = face->loop.wall();
  InboundMessage message = message_of(exchange->request(), caller, *body, *asked);
  const RequestSlot slot(face, message.sender);
  if (const std::optional<Refusal> refusal = slot.refusal()) co_return refuse(*refusal);

  Checked<std::vector<std::string>> images =
      co_await keep_images(face, message.sender, std::move(body->images));
  if (!images) co_return refuse(images.error());
  if (face->stopping) co_return refuse(stopping());
  message.attachments = std::move(*images);

  TurnFollower follower(face->followers);
  const Checked<Accepted> accepted = co_await accept(face, std::move(message), &follower);
  if (!accepted) {
    // After a failed write nobody knows whether it was accepted.
    const bool unknown = accepted.error().status == 500;
    const Refusal refusal = unknown ? told(accepted.error(), *asked) : accepted.error();
    exchange->respond(with_names(to_response(refusal), *asked));
    co_return;
  }
  asked->heading.message = accepted->id;
  if (asked->shown && asked->shown->turn) follower.follow(accepted->id, asked->shown->turn);
  Running gone(close_when(&exchange->gone(), &follower));
  gone.start();
  if (stream) {
    Running handed_over(close_when(&exchange->handed_over(), &follower));
    handed_over.start();
    Stream streaming(face, exchange, std::move(*asked));
    co_await streaming.run(&follower);
  } else {
    co_await answer_whole(face, exchange, &follower, std::move(*asked));
  }
}

Task<void> get_models(std::shared_ptr<Face> face, HttpExchange* exchange) {
  exchange->respond(HttpResponse::json(200, models_json(face->models, face->started_at)));
  co_return;
}

Task<void> get_model(std::shared_ptr<Face> face, HttpExchange* exchange) {
  const std::string& name = exchange->params().front();
  exchange->respond(face->has_model(name)
                        ? HttpResponse::json(200, model_json(name, face->started_at))
                        : to_response(no_such_model(name)));
  co_return;
}

}  // namespace sluice::openai
