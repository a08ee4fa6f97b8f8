#include "services/connection.h"

#include <fmt/format.h>

#include "runtime/guarded.h"

namespace sluice::services {

namespace json = boost::json;

/// Where a call waits. It leaves the table by itself, and calls off what was not answered.
class Connection::Place {
 public:
  Place(Connection& connection, std::int64_t id)
      : connection_(connection), id_(id), answered_(connection.loop_) {
    connection_.waiting_.emplace(id_, this);
  }
  ~Place() {
    if (connection_.waiting_.erase(id_) > 0) connection_.call_ended_.pulse();
    if (answer_ || connection_.ended_ || !connection_.handlers_.cancellation) return;
    auto [method, params] = connection_.handlers_.cancellation(id_);
    (void)connection_.notify(method, std::move(params));
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;

  void set(Answer answer) {
    answer_.emplace(std::move(answer));
    answered_.set();
  }
  Event& answered() { return answered_; }
  std::optional<Answer>& answer() { return answer_; }

 private:
  Connection& connection_;
  std::int64_t id_;
  std::optional<Answer> answer_;
  Event answered_;
};

Connection::Connection(Loop& loop, std::unique_ptr<Link> link, Handlers handlers, Duration stall)
    : loop_(loop),
      link_(std::move(link)),
      handlers_(std::move(handlers)),
      stall_(stall),
      writable_(loop),
      call_ended_(loop),
      tasks_(loop) {}

Connection::~Connection() = default;

void Connection::start() {
  tasks_.spawn("service_write", write());
  tasks_.spawn("service_read", read());
}

Task<Connection::Answer> Connection::call(std::shared_ptr<Connection> self, std::string method,
                                          json::value params, MonoTime deadline) {
  if (self->ended_) co_return self->why_;
  if (self->waiting_.size() >= kCallsMost) {
    co_return Error(ErrorKind::kOverloaded, "too many calls of one service at once",
                    ErrorSource::kSelf, Retry::with_backoff());
  }
  const std::int64_t id = ++self->last_id_;
  const Result<void> sent = self->enqueue(encode_request(id, method, std::move(params)));
  if (!sent) co_return sent.error();
  Place place(*self, id);
  const bool in_time = co_await place.answered().wait_until(deadline);
  if (place.answer()) co_return std::move(*place.answer());
  SLUICE_ASSERT(!in_time);
  co_return Error(ErrorKind::kTimeout, "no answer to " + method + " in time", ErrorSource::kPeer,
                  Retry::with_backoff());
}

Result<void> Connection::notify(std::string_view method, json::value params) {
  return enqueue(encode_notification(method, std::move(params)));
}

Result<void> Connection::enqueue(std::string message) {
  if (ended_) return why_;
  if (message.size() > kFrameMost) {
    return Error(ErrorKind::kTooLarge, fmt::format("a message of more than {} bytes", kFrameMost));
  }
  if (outgoing_bytes_ + message.size() > kOutgoingMost) {
    return Error(ErrorKind::kOverloaded, "the service does not read what it is told",
                 ErrorSource::kPeer, Retry::with_backoff());
  }
  outgoing_bytes_ += message.size();
  outgoing_.push_back(std::move(message));
  writable_.pulse();
  return {};
}

Task<void> Connection::write() {
  for (;;) {
    while (outgoing_.empty()) co_await writable_.wait();
    std::string message = std::move(outgoing_.front());
    outgoing_.pop_front();
    outgoing_bytes_ -= message.size();
    const Result<void> sent = co_await link_->send(std::move(message), loop_.now() + stall_);
    if (!sent) {
      end(sent.error());
      co_return;
    }
  }
}

Task<void> Connection::read() {
  for (;;) {
    const Result<std::string> frame = co_await link_->receive();
    const Result<void> taken = frame ? take_frame(*frame) : Result<void>(frame.error());
    if (!taken) {
      end(taken.error());
      co_return;
    }
    co_await yield(loop_);  // one that floods takes its turn like everybody
  }
}

Result<void> Connection::take_frame(const std::string& frame) {
  auto messages = decode_rpc(frame);
  if (!messages) {
    if (!handlers_.passes_over_noise) return messages.error();
    ++strays_;
    return {};
  }
  if (handlers_.on_life) handlers_.on_life();
  for (RpcMessage& message : *messages) {
    const Result<void> taken = take(std::move(message));
    if (!taken) return taken;
  }
  return {};
}

Result<void> Connection::take(RpcMessage message) {
  switch (message.type) {
    case RpcMessage::Type::kNotification:
      if (handlers_.on_notification) handlers_.on_notification(message.method, message.params);
      return {};
    case RpcMessage::Type::kRequest:
      if (incoming_ >= kIncomingMost) {
        return enqueue(encode_error(message.id, rpc::kInvalidState, "too many requests at once"));
      }
      ++incoming_;
      tasks_.spawn("service_asks", serve(std::move(message)));
      return {};
    case RpcMessage::Type::kResponse:
      break;
  }
  const auto* id = std::get_if<std::int64_t>(&message.id);
  const auto found = id == nullptr ? waiting_.end() : waiting_.find(*id);
  if (found == waiting_.end()) {
    ++strays_;  // late, or made up
    return {};
  }
  Place& place = *found->second;
  waiting_.erase(found);
  if (message.error) {
    place.set(error_of(*message.error));
  } else {
    place.set(std::move(message.result));
  }
  call_ended_.pulse();
  return {};
}

Task<void> Connection::serve(RpcMessage request) {
  Answer answer = Error(ErrorKind::kUnsupported, "there is no such method");
  if (handlers_.on_request) {
    Task<Answer> served =
        handlers_.on_request(std::move(request.method), std::move(request.params));
    answer = co_await guarded("a request of a service", std::move(served));
  }
  --incoming_;
  std::string text;
  if (answer) {
    text = encode_result(request.id, std::move(*answer));
  } else {
    const Error& error = answer.error();
    const bool unknown = error.kind() == ErrorKind::kUnsupported;
    text = encode_error(request.id, unknown ? rpc::kMethodNotFound : code_of(error.kind()),
                        error.context());
  }
  const Result<void> queued = enqueue(std::move(text));
  if (!queued) end(queued.error());
}

void Connection::end(Error why) {
  if (ended_) return;
  why_ = std::move(why);
  ended_ = true;
  outgoing_.clear();
  outgoing_bytes_ = 0;
  const Error gone(ErrorKind::kUnavailable, "the service was lost: " + why_.context(),
                   ErrorSource::kPeer, Retry::with_backoff());
  for (auto& [id, place] : std::exchange(waiting_, {})) place->set(gone);
  call_ended_.pulse();
  if (handlers_.on_end) handlers_.on_end();
}

std::unique_ptr<Link> Connection::cut(Error why) {
  tasks_.cancel();
  end(std::move(why));
  return std::move(link_);
}

}  // namespace sluice::services
