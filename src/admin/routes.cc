#include "admin/routes.h"

#include <algorithm>
#include <any>
#include <chrono>

#include <fmt/format.h>

namespace sluice::admin {
namespace {

constexpr std::size_t kPieceBytes = 64 * 1024;

Task<void> send_spool(net::HttpExchange* exchange, Answer answer) {
  net::HttpResponse head;
  head.headers.set("Content-Type", answer.content_type);
  head.headers.set("Cache-Control", "no-store");
  head.headers.set("Sluice-Lines", fmt::format("{}", answer.spool->lines()));
  auto sent = co_await exchange->start_stream(std::move(head));
  std::uint64_t offset = 0;
  while (sent) {
    auto piece = answer.spool->read(offset, kPieceBytes);
    // An error here only shortens the body; the client counts the lines.
    if (!piece || piece->empty()) co_return;
    offset += piece->size();
    sent = co_await exchange->write(std::move(*piece));
  }
}

/// What was done and by whom; never what it was done with.
void tell(Logger& log, const Operation& operation, net::HttpExchange& exchange,
          std::string_view outcome) {
  const auto* by = std::any_cast<std::string>(&exchange.context());
  const auto& peer = exchange.request().unix_peer;
  log.info("operator_request",
           {{"operation", operation.name},
            {"uid", peer ? static_cast<std::int64_t>(peer->uid) : std::int64_t{-1}},
            {"by", by != nullptr ? std::string_view(*by) : std::string_view()},
            {"peer", exchange.request().peer},
            {"outcome", outcome}});
}

Task<Result<Answer>> run(const Operation* operation, Arguments arguments, Loop* loop,
                         net::HttpExchange* exchange) {
  if (!operation->may_wait) co_return co_await operation->run(std::move(arguments));
  auto done = co_await run_until(*loop, operation->run(std::move(arguments)), MonoTime::max(),
                                 &exchange->gone());
  if (done.value) co_return std::move(*done.value);
  co_return Error(ErrorKind::kUnavailable, "nobody waits for it any more");
}

Task<void> serve(const Operation* operation, Loop* loop, Logger* log, net::HttpExchange* exchange) {
  const net::HttpRequest& request = exchange->request();
  if (!request.body.empty() && request.content_type() != "application/json") {
    exchange->respond(net::HttpResponse::problem(415, "unsupported-media-type",
                                                 net::reason_phrase(415),
                                                 "the body must be application/json"));
    co_return;
  }
  auto arguments = read_arguments(operation->params, operation->path, request, exchange->params());
  if (!arguments) {
    exchange->respond(problem_of(arguments.error()));
    co_return;
  }
  Result<Answer> answer = co_await run(operation, std::move(*arguments), loop, exchange);
  if (operation->changes || (answer && answer->spool != nullptr)) {
    tell(*log, *operation, *exchange, answer ? "ok" : to_string(answer.error().kind()));
  }
  if (!answer) {
    exchange->respond(problem_of(answer.error()));
    co_return;
  }
  if (answer->spool != nullptr) {
    co_await send_spool(exchange, std::move(*answer));
    co_return;
  }
  net::HttpResponse response;
  response.headers.set("Content-Type", answer->content_type);
  response.headers.set("Cache-Control", "no-store");
  response.body = std::move(answer->body);
  exchange->respond(std::move(response));
}

}  // namespace

net::HttpResponse problem_of(const Error& error) {
  const int status = net::status_of(error.kind());
  std::string slug(to_string(error.kind()));
  std::replace(slug.begin(), slug.end(), '_', '-');
  net::HttpResponse response =
      net::HttpResponse::problem(status, slug, net::reason_phrase(status), error.context());
  if (error.retry().when == Retry::When::kAfter) {
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(error.retry().delay);
    response.headers.set("Retry-After", fmt::format("{}", seconds.count()));
  }
  return response;
}

void mount(net::Router& router, const Operations& operations, Logger& log, Face face,
           net::HttpGate gate) {
  for (const Operation& operation : operations.list()) {
    if (operation.local_only && face == Face::kNetwork) continue;
    net::RouteOptions options;
    options.body_limit = kBodyBytes;
    options.gate = gate;
    router.add(
        operation.method, operation.path,
        [op = &operation, loop = &operations.loop(), to = &log](net::HttpExchange& exchange) {
          return serve(op, loop, to, &exchange);
        },
        std::move(options));
  }
}

}  // namespace sluice::admin
