#include "channels/openai/requests.h"

#include <any>
#include <charconv>
#include <optional>
#include <string>
#include <utility>

#include "channels/openai/asked.h"
#include "channels/openai/body.h"
#include "channels/openai/callers.h"
#include "channels/openai/completion.h"
#include "channels/openai/face.h"
#include "channels/openai/stream.h"
#include "gateway/access.h"
#include "gateway/turn_follower.h"
#include "net/json_body.h"

namespace sluice::openai {
namespace {

using net::HttpExchange;
using net::HttpResponse;
using Step = TurnFollower::Step;

/// The id of the message that an earlier process has accepted with this request, whose body has no
/// messages then. Worth nothing to those whose message it is not.
constexpr std::string_view kAcceptedHeader = "Sluice-Accepted";

const Caller& caller_of(HttpExchange& exchange) {
  return *std::any_cast<Caller>(&exchange.context());
}

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

/// What an earlier process has accepted.
Task<Checked<Accepted>> find_accepted(std::shared_ptr<Face> face, InboundMessage message,
                                      std::string header, TurnFollower* follower) {
  const LaneId lane = face->host->find_lane(message.chat, "");
  if (lane) follower->listen(lane);
  MessageId id;
  std::from_chars(header.data(), header.data() + header.size(), id.value);
  using MaybeLife = std::optional<MessageLife>;
  const Result<MaybeLife> life = co_await face->host->store().read<MaybeLife>(
      [id](StoreReader& reader) { return reader.life(id); });
  if (!life) co_return refusal_of(life.error());
  if (face->stopping) co_return stopping();
  if (!lane || !*life || (*life)->lane != lane) {
    Refusal refusal;
    refusal.status = 404;
    refusal.code = "not_accepted";
    refusal.message = "There is no such message in this conversation.";
    co_return refusal;
  }
  follower->follow(id, TurnFollower::Since::kRepeat);
  co_return Accepted{EventVerdict::kDuplicate, id, lane, false};
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

Task<void> close_when(Event* event, TurnFollower* follower) {
  co_await event->wait();
  follower->close();
}

/// A request from its acceptance to its answer.
struct Waiting {
  explicit Waiting(const std::shared_ptr<Face>& face) : follower(face->followers) {}
  std::optional<RequestSlot> slot;
  TurnFollower follower;
  Asked asked;
  bool stream = false;
};

/// Has the request's message accepted. What that takes is gone before the wait for the answer,
/// which is long. False: the request is answered already.
Task<bool> enter(std::shared_ptr<Face> face, HttpExchange* exchange, Waiting* waiting) {
  const Caller caller = caller_of(*exchange);
  const auto refuse = [exchange](const Refusal& refusal) {
    exchange->respond(to_response(refusal));
    return false;
  };
  net::HttpRequest& request = exchange->request();
  const std::string accepted_before(request.headers.get(kAcceptedHeader).value_or(""));
  Checked<ChatRequest> body =
      accepted_before.empty() ? parse_body(request.body) : parse_without_messages(request.body);
  if (!body) co_return refuse(body.error());
  if (!face->has_model(body->model)) co_return refuse(no_such_model(body->model));
  Checked<Asked> asked = asked_of(request, *body, face->loop);
  if (!asked) co_return refuse(asked.error());
  // Whoever serves it again finds the same message.
  request.headers.set(kKeyHeader, asked->key);
  exchange->set_repeatable();
  asked->heading.created = face->loop.wall();
  InboundMessage message = message_of(request, caller, *body, *asked);
  waiting->slot.emplace(face, message.sender);
  if (const std::optional<Refusal> refusal = waiting->slot->refusal()) co_return refuse(*refusal);

  Checked<std::vector<std::string>> images =
      co_await keep_images(face, message.sender, std::move(body->images));
  if (!images) co_return refuse(images.error());
  if (face->stopping) co_return refuse(stopping());
  message.attachments = std::move(*images);

  TurnFollower& follower = waiting->follower;
  const Checked<Accepted> accepted =
      accepted_before.empty()
          ? co_await accept(face, std::move(message), &follower)
          : co_await find_accepted(face, std::move(message), accepted_before, &follower);
  if (!accepted) {
    // After a failed write nobody knows whether it was accepted.
    const bool unknown = accepted.error().status == 500;
    const Refusal refusal = unknown ? told(accepted.error(), *asked) : accepted.error();
    exchange->respond(with_names(to_response(refusal), *asked));
    co_return false;
  }
  asked->heading.message = accepted->id;
  // What is accepted need not be kept for a successor.
  request.headers.set(kAcceptedHeader, std::to_string(accepted->id.value));
  request.body = without_messages(*body);
  if (asked->shown && asked->shown->turn) follower.follow(accepted->id, asked->shown->turn);
  waiting->asked = std::move(*asked);
  waiting->stream = body->stream;
  co_return true;
}

}  // namespace

Task<void> post_completion(std::shared_ptr<Face> face, HttpExchange* exchange) {
  Waiting waiting(face);
  const bool entered = co_await enter(face, exchange, &waiting);
  if (!entered) co_return;
  TurnFollower* const follower = &waiting.follower;
  Running gone(close_when(&exchange->gone(), follower));
  gone.start();
  if (waiting.stream) {
    Running handed_over(close_when(&exchange->handed_over(), follower));
    handed_over.start();
    co_await answer_streamed(face, exchange, follower, std::move(waiting.asked));
  } else {
    co_await answer_whole(face, exchange, follower, std::move(waiting.asked));
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
