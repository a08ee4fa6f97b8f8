#include "channels/openai/stream.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "channels/openai/face.h"
#include "net/sse.h"

namespace sluice::openai {
namespace {

using net::HttpExchange;
using net::HttpResponse;
using Step = TurnFollower::Step;

constexpr Duration kHeartbeat = std::chrono::seconds(15);

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

}  // namespace

Task<void> answer_streamed(std::shared_ptr<Face> face, HttpExchange* exchange,
                           TurnFollower* follower, Asked asked) {
  Stream stream(std::move(face), exchange, std::move(asked));
  co_await stream.run(follower);
}

}  // namespace sluice::openai
