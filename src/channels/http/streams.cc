// The requests that go on: following a conversation as server-sent events and over a WebSocket.
#include <functional>

#include <fmt/format.h>

#include "channels/http/face.h"
#include "channels/http/follower.h"
#include "channels/http/render.h"
#include "channels/http/request_parts.h"
#include "channels/http/requests.h"
#include "net/json_body.h"
#include "net/sse.h"
#include "net/websocket.h"

namespace sluice::http {
namespace {

using net::HttpExchange;
using net::HttpResponse;

// What browsers wait before they connect again.
constexpr std::chrono::milliseconds kRetry{1'000};
// A reader has nothing to say; what it says anyway is read up to here, to tell it so.
constexpr std::size_t kSocketMessageBytes = 4096;

std::string retry_line(std::chrono::milliseconds wait) {
  return fmt::format("retry: {}\n\n", wait.count());
}

/// The reason of a goodbye: when to connect again.
std::string come_back(std::chrono::milliseconds wait) {
  return fmt::format("{{\"retry_ms\":{}}}", wait.count());
}

class HttpSink : public EventSink {
 public:
  explicit HttpSink(HttpExchange* exchange) : exchange_(exchange) {}
  Task<Result<void>> write(std::vector<StreamEvent> events) override {
    return exchange_->write(to_sse(events));
  }
  Task<Result<void>> heartbeat() override {
    return exchange_->write(std::string(net::kSseHeartbeat));
  }

 private:
  HttpExchange* exchange_;
};

class SocketSink : public EventSink {
 public:
  explicit SocketSink(net::WebSocket* socket) : socket_(socket) {}
  Task<Result<void>> write(std::vector<StreamEvent> events) override {
    return socket_->write(to_frame(events));
  }
  // Browsers do not show pings to pages.
  Task<Result<void>> heartbeat() override { return socket_->write("[]"); }

 private:
  net::WebSocket* socket_;
};

/// A reader's place among those of its account and person.
class StreamSlot {
 public:
  StreamSlot(std::shared_ptr<Face> face, std::string person)
      : face_(std::move(face)), person_(std::move(person)) {
    std::uint32_t& mine = face_->streams_of[person_];
    full_ = face_->stream_count >= face_->options.streams_max;
    too_many_ = mine >= face_->options.streams_per_person;
    ++mine;
    face_->readers.set(static_cast<std::int64_t>(++face_->stream_count));
    if (full_ || too_many_) face_->refused.add();
  }
  ~StreamSlot() {
    const auto mine = face_->streams_of.find(person_);
    if (--mine->second == 0) face_->streams_of.erase(mine);
    face_->readers.set(static_cast<std::int64_t>(--face_->stream_count));
  }
  StreamSlot(const StreamSlot&) = delete;
  StreamSlot& operator=(const StreamSlot&) = delete;

  std::optional<Error> refusal() const {
    if (too_many_) return Error(ErrorKind::kRateLimited, "this person has too many streams open");
    if (full_) return Error(ErrorKind::kUnavailable, "the account has too many streams open");
    return std::nullopt;
  }

 private:
  std::shared_ptr<Face> face_;
  std::string person_;
  bool full_ = false;
  bool too_many_ = false;
};

/// Last-Event-ID (what a browser sends when it comes back) wins over ?after.
Result<Start> start_of(const net::HttpRequest& request) {
  Start start;
  start.html = wants_html(request);
  std::optional<std::string_view> from = request.headers.get("last-event-id");
  if (!from || from->empty()) from = request.query_value("after");
  if (!from || *from == "recent") return start;
  if (*from == "latest") {
    start.from = Start::From::kLatest;
    return start;
  }
  const std::optional<std::int64_t> after = from->empty() ? std::nullopt : parse_number(*from);
  if (!after) {
    return invalid("where to start is the id of a line, 0, \"recent\" or \"latest\"");
  }
  start.from = Start::From::kAfter;
  start.after = HistoryId{*after};
  return start;
}

std::function<bool()> allowed(Authenticator* authenticator, HttpExchange* exchange,
                              std::string chat) {
  return [authenticator, exchange, chat = std::move(chat)] {
    const Result<Caller> again = authenticator->identify(exchange->request());
    return again && may_see(*again, chat);
  };
}

/// Why a socket ends.
struct Ending {
  explicit Ending(Loop& loop) : event(loop) {}
  Event event;
  bool gone = false;   // there is nobody to say goodbye to
  bool spoke = false;  // the reader sent something
};

/// Reads, so that pings are answered and a goodbye is seen.
Task<void> listen(net::WebSocket* socket, Ending* ending) {
  const Result<std::string> message = co_await socket->read();
  ending->gone = !message;
  ending->spoke = message.has_value();
  ending->event.set();
}

Task<void> end_with(Event* stop, Ending* ending) {
  co_await stop->wait();
  ending->event.set();
}

Task<bool> follow(Follower* follower) {
  co_await follower->run();
  co_return true;
}

/// Until either side has enough. Then says why.
Task<void> serve(std::shared_ptr<Face> face, net::WebSocket* socket, HttpExchange* exchange,
                 std::string chat, Start start, std::function<bool()> still_allowed) {
  Ending ending(face->loop);
  std::optional<lifecycle::Parting> parting;
  {
    SocketSink sink(socket);
    Follower follower(face, sink, std::move(chat), start, still_allowed, guard_of(*exchange));
    Running reader(listen(socket, &ending));
    Running stopper(end_with(&exchange->gone(), &ending));
    reader.start();
    stopper.start();
    Task<bool> followed = follow(&follower);
    co_await run_until(face->loop, std::move(followed), MonoTime::max(), &ending.event);
    parting = follower.parting();
  }
  if (ending.gone) co_return;
  const Leaving leaving(face);
  if (ending.spoke) {
    co_await socket->close(net::WsClose::kPolicy, "this socket only tells; post messages");
  } else if (!still_allowed()) {
    co_await socket->close(net::WsClose::kPolicy, "no longer allowed");
  } else if (parting) {
    const net::WsClose code =
        parting->restart ? net::WsClose::kServiceRestart : net::WsClose::kGoingAway;
    co_await sleep_for(face->loop, parting->goodbye);
    co_await socket->close(code, come_back(parting->come_back));
  } else if (face->stopping || exchange->gone().is_set()) {
    co_await socket->close(net::WsClose::kGoingAway, come_back(kRetry));
  } else {
    co_await socket->close(net::WsClose::kTryAgainLater, come_back(kRetry));
  }
}

}  // namespace

Task<void> get_events(std::shared_ptr<Face> face, Authenticator* authenticator,
                      HttpExchange* exchange) {
  const Result<Start> start = start_of(exchange->request());
  if (!start || !net::is_clean_name(exchange->params()[0])) {
    exchange->respond(problem_of(start ? invalid("the path is not usable") : start.error()));
    co_return;
  }
  const Caller& caller = caller_of(*exchange);
  const StreamSlot slot(face, caller.person);
  if (const std::optional<Error> refusal = slot.refusal()) {
    exchange->respond(problem_of(*refusal));
    co_return;
  }
  if (exchange->request().method == "HEAD") {
    exchange->respond(net::sse_response());
    co_return;
  }
  exchange->cancel_when_gone();
  HttpSink sink(exchange);
  const std::string chat = chat_of(caller, exchange->params()[0]);
  Follower follower(face, sink, chat, *start, allowed(authenticator, exchange, chat),
                    guard_of(*exchange));
  HttpResponse head = net::sse_response();
  head.body = retry_line(kRetry);
  const Result<void> begun = co_await exchange->start_stream(std::move(head));
  if (begun && !face->stopping) co_await follower.run();
  if (!follower.parting()) co_return;
  const Leaving leaving(face);
  co_await sleep_for(face->loop, follower.parting()->goodbye);
  const Result<void> told = co_await exchange->write(retry_line(follower.parting()->come_back));
  (void)told;  // nobody is left to hear of a failure
}

Task<void> get_socket(std::shared_ptr<Face> face, Authenticator* authenticator,
                      HttpExchange* exchange) {
  const net::HttpRequest& request = exchange->request();
  const Result<Start> start = start_of(request);
  if (!start || !net::is_clean_name(exchange->params()[0])) {
    exchange->respond(problem_of(start ? invalid("the path is not usable") : start.error()));
    co_return;
  }
  // A page of another site may open a WebSocket here, with our cookie, and read it: no rule of
  // browsers but this header tells them apart. Foreign ones have been refused by now.
  const bool by_cookie =
      !request.headers.contains("authorization") && request.headers.contains("cookie");
  if (by_cookie && !request.headers.contains("origin")) {
    exchange->respond(
        problem_of(Error(ErrorKind::kPermissionDenied, "a WebSocket by cookie needs an Origin",
                         ErrorSource::kPeer)));
    co_return;
  }
  const Caller& caller = caller_of(*exchange);
  const StreamSlot slot(face, caller.person);
  if (const std::optional<Error> refusal = slot.refusal()) {
    exchange->respond(problem_of(*refusal));
    co_return;
  }
  net::WebSocketOptions options;
  options.message_bytes_max = kSocketMessageBytes;
  const std::string chat = chat_of(caller, exchange->params()[0]);
  auto socket = co_await exchange->upgrade(options);
  if (!socket || face->stopping) co_return;
  co_await serve(face, socket->get(), exchange, chat, *start,
                 allowed(authenticator, exchange, chat));
}

}  // namespace sluice::http
