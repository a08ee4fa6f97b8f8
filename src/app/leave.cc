// What the daemon does for a successor.

#include <algorithm>
#include <array>

#include "app/daemon.h"
#include "lifecycle/parting.h"
#include "net/sse.h"

namespace sluice::app {
namespace {

/// Turns come to their agents, short requests to their answers.
constexpr Duration kQuiet = std::chrono::seconds(1);
constexpr Duration kSendsOver = std::chrono::seconds(5);
constexpr Duration kTidy = std::chrono::seconds(2);
constexpr Duration kReloadOver = std::chrono::seconds(30);
constexpr Duration kFarewell = std::chrono::seconds(2);  // for connections that nothing is asked on
/// The successor has as long to serve, and as long to come again if it dies.
constexpr Duration kRelayWait = std::chrono::seconds(60);
constexpr Duration kRelayMost = std::chrono::minutes(10);  // one answer
constexpr std::uint64_t kRelayBody = 64u << 20;            // bytes of an answer in one piece
constexpr Duration kComeBack = std::chrono::seconds(1);
constexpr const char* kComeAgain = "retry: 1000\n\n";  // whoever follows does so by itself

/// RFC 9110, 7.6.1: they say how this connection is used, and not what is asked.
bool is_of_the_connection(std::string_view name) {
  constexpr std::array<std::string_view, 8> kNames = {"connection", "keep-alive",       "te",
                                                      "trailer",    "upgrade",          "host",
                                                      "expect",     "transfer-encoding"};
  return net::equal_ignoring_case(name, "content-length") ||
         std::any_of(kNames.begin(), kNames.end(),
                     [name](std::string_view one) { return net::equal_ignoring_case(name, one); });
}

}  // namespace

Task<void> Daemon::tidy() { co_await store_->tidy(parts_.shard.now() + kTidy); }

Task<Result<Estate>> Daemon::leave() {
  Shard& shard = parts_.shard;
  co_await reload_over(shard.now() + kReloadOver);
  co_await gateway_->rest_sends(shard.now() + kSendsOver);
  const MonoTime pause = shard.now();
  server_->retire_connections();
  co_await gateway_->quiesce(shard.now() + kQuiet);
  // From here on whoever connects waits for the successor, and so does who asks something. What
  // only waits for a turn is asked again there.
  left_ = true;
  serving_.for_each([this](Served& served) {
    if (served.exchange.repeatable() && !served.exchange.answered()) {
      ++being_cut_;
      served.cut.set();
    }
    served.exchange.handed_over().set();
  });
  // They are cut before anybody tells them that we stop.
  while (being_cut_ > 0) co_await cut_.wait();
  Estate estate;
  for (net::HttpServer::Released& one : server_->release_listeners()) {
    services::Descriptor fd(one.fd);
    for (const auto& [place, bound] : listening_) {
      if (one.bound == bound) estate.listeners.emplace(place, std::move(fd));
    }
  }
  estate.control = services::Descriptor(control_->release());
  services_.leave(&estate.listeners);
  const MonoTime until = shard.now() + kQuiet;
  lifecycle::send_to_successor(parts_.in_flight);
  // Requests end by themselves, but for those that wait for a turn.
  using lifecycle::Work;
  for (bool in_time = true; in_time && parts_.in_flight.count(Work::kAppend) > 0;)
    in_time = co_await parts_.in_flight.changed().wait_until(until);
  estate.memory = gateway_->memories();
  estate.memory.emplace(Estate::kCodes, codes_.memory());
  co_await gateway_->stop_channels();
  gateway_->leave_calls();
  gateway_->cut_off();
  const Result<void> saved = co_await grants_->save_uses();
  if (!saved) parts_.log.debug("token_uses_not_saved", {{"error", saved.error().to_string()}});
  tasks_.cancel();
  estate.lock = std::move(lock_);
  estate.in_good_order = true;
  estate.pause_began = pause;
  const Result<void> closed = store_->stop(SqliteEngine::Closing::kForSuccessor);
  if (!closed) co_return closed.error();
  co_return estate;
}

Task<void> Daemon::relay(net::HttpExchange* exchange, Door door) {
  const net::HttpRequest& request = exchange->request();
  // A stream without an end would keep this process for ever.
  if (request.method == "GET" && request.headers.has_token("Accept", "text/event-stream")) {
    net::HttpResponse again = net::sse_response();
    again.body = kComeAgain;
    exchange->respond(std::move(again));
    co_return;
  }
  const bool open = co_await relay_open_.wait_until(parts_.shard.now() + kRelayWait);
  const std::string host(request.headers.get("Host").value_or("localhost"));
  Result<net::Url> url = net::Url::parse("http://" + host + request.target);
  if (!open || !url) {
    co_await end_unanswered(exchange);
    co_return;
  }
  net::HttpClientRequest again;
  again.method = request.method;
  again.url = std::move(*url);
  for (std::size_t i = 0; i < request.headers.size(); ++i) {
    if (!is_of_the_connection(request.headers.name_at(i)))
      again.headers.add(request.headers.name_at(i), request.headers.value_at(i));
  }
  if (!exchange->goes_on_at().empty())
    again.headers.set(std::string(net::kGoOnHeader), exchange->goes_on_at());
  again.body = request.body;
  again.unix_path = door == Door::kControl ? parts_.control : relay_socket();
  again.timeout = kRelayMost;
  net::FetchResult<net::HttpStream> answer = co_await client_.open_stream(std::move(again));
  if (!answer) {
    parts_.log.warn("relay_failed", {{"error", answer.error().error.to_string()}});
    co_await end_unanswered(exchange);
    co_return;
  }
  co_await answer_from(&*answer, exchange);
}

Task<void> Daemon::end_unanswered(net::HttpExchange* exchange) {
  if (!exchange->answered()) {
    exchange->respond(stopping_response(kComeBack));
    co_return;
  }
  co_await exchange->write(exchange->take_farewell());
}

Task<void> Daemon::answer_from(net::HttpStream* stream, net::HttpExchange* exchange) {
  net::HttpResponse response;
  response.status = stream->status();
  for (std::size_t i = 0; i < stream->headers().size(); ++i) {
    if (!is_of_the_connection(stream->headers().name_at(i)))
      response.headers.add(stream->headers().name_at(i), stream->headers().value_at(i));
  }
  const bool whole = stream->headers().contains("Content-Length") || response.status == 204;
  const bool begun = exchange->answered();
  if (begun && (whole || response.status != 200)) {
    co_await end_unanswered(exchange);
    co_return;
  }
  if (whole) {
    net::FetchResult<std::string> body =
        co_await stream->rest(kRelayBody, parts_.shard.now() + kRelayMost);
    if (body) {
      response.body = std::move(*body);
      exchange->respond(std::move(response));
    } else {
      exchange->respond(stopping_response(kComeBack));
    }
    co_return;
  }
  Result<void> written;
  if (!begun) written = co_await exchange->start_stream(std::move(response));
  while (written) {
    const net::FetchResult<std::optional<std::string>> piece =
        co_await stream->next(parts_.shard.now() + kRelayMost);
    if (!piece || !*piece) co_return;
    written = co_await exchange->write(**piece);
  }
}

Task<void> Daemon::close_what_is_left() {
  using lifecycle::Work;
  const MonoTime most = parts_.shard.now() + kRelayMost;
  for (bool in_time = true; in_time && parts_.in_flight.count(Work::kRequest) > 0;)
    in_time = co_await parts_.in_flight.changed().wait_until(most);
  const MonoTime deadline = parts_.shard.now() + kFarewell;
  const std::size_t cut = co_await server_->stop(deadline);
  const std::size_t cut_here = co_await control_->stop(deadline);
  if (cut + cut_here > 0) parts_.log.warn("connections_cut_off", {{"count", cut + cut_here}});
}

}  // namespace sluice::app
