#include "channels/http/media.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "channels/http/face.h"
#include "channels/http/render.h"
#include "channels/http/request_parts.h"
#include "gateway/access.h"
#include "net/json_body.h"

namespace sluice::http {
namespace {

using net::HttpExchange;
using net::HttpResponse;

constexpr std::size_t kPieceBytes = 256 << 10;  // in memory of an image that is being read

Error nothing_attachable() { return not_found("nothing can be attached here"); }
Error no_such_image() { return not_found("no such attachment"); }

HttpResponse created(const media::Kept& kept) {
  return HttpResponse::json(201,
                            fmt::format(R"({{"id":"{}","type":"{}","bytes":{}}})", kept.id.text(),
                                        media::mime_of(kept.id.type), kept.bytes));
}

HttpResponse refused(const Error& error) {
  switch (error.kind()) {
    case ErrorKind::kUnsupported:
      return HttpResponse::problem(415, "unsupported-media-type",
                                   "Not the type that it is said to "
                                   "be",
                                   error.context());
    case ErrorKind::kTimeout:
      return HttpResponse::problem(408, "request-timeout", "Too slow", error.context());
    default:
      return problem_of(error);
  }
}

/// Whose it will be: the caller, or for those who may post for others whom they name.
Result<std::string> owner_of(const Face& face, HttpExchange& exchange) {
  const Caller& caller = caller_of(exchange);
  const std::string person(exchange.request().query_value("sender").value_or(caller.person));
  if (!net::is_clean_name(person)) return invalid("the sender's name is not usable");
  if (person != caller.person && !caller.names_senders) {
    return Error(ErrorKind::kPermissionDenied, "this token may not post for another sender",
                 ErrorSource::kPeer);
  }
  if (!lets_in(face.options, person)) {
    return Error(ErrorKind::kPermissionDenied, "the account's \"allow\" does not name the sender",
                 ErrorSource::kPeer);
  }
  return person;
}

Task<Result<media::Kept>> take(std::shared_ptr<Face> face, HttpExchange* exchange,
                               std::string person) {
  const net::HttpRequest& request = exchange->request();
  const media::Type type = *media::type_of_mime(request.content_type());  // the gate saw to it
  std::optional<std::uint64_t> length;
  if (const auto told = request.headers.get("content-length")) {
    // It is within the bound, or the body would not be asked for.
    length = static_cast<std::uint64_t>(parse_number(*told).value_or(0));
  }
  auto begun = co_await face->media->begin(face->account, std::move(person), type, length);
  if (!begun) co_return begun.error();
  const std::unique_ptr<media::Upload> upload = std::move(*begun);
  for (;;) {
    Result<std::string> piece = co_await exchange->read_body();
    if (!piece) co_return piece.error();
    if (piece->empty()) break;
    const Result<void> written = co_await upload->write(std::move(*piece));
    if (!written) co_return written.error();
  }
  co_return co_await upload->finish();
}

void add_headers(HttpResponse& response, media::Type type, std::string_view tag) {
  response.headers.set("Content-Type", media::mime_of(type));
  response.headers.set("ETag", tag);
  // Asked for each time: what was erased, or whose reader has signed out, must not be shown.
  response.headers.set("Cache-Control", "private, no-cache");
  response.headers.set("Content-Disposition", "inline");
  response.headers.set("Content-Security-Policy", "default-src 'none'; sandbox");
  response.headers.set("Cross-Origin-Resource-Policy", "same-origin");
  response.headers.set("Referrer-Policy", "no-referrer");
  response.headers.set("X-Content-Type-Options", "nosniff");
}

}  // namespace

Task<void> post_media(std::shared_ptr<Face> face, Authenticator*, HttpExchange* exchange) {
  if (face->media == nullptr) {
    exchange->respond(problem_of(nothing_attachable()));
    co_return;
  }
  const Result<std::string> person = owner_of(*face, *exchange);
  if (!person) {
    exchange->respond(problem_of(person.error()));
    co_return;
  }
  // A slow upload must not hold up a stop: it is cut off, and nothing is kept of it.
  auto taking = take(face, exchange, *person);
  const auto outcome = co_await run_until<Result<media::Kept>>(face->loop, std::move(taking),
                                                               MonoTime::max(), &face->stopped);
  if (!outcome.value) {
    exchange->respond(problem_of(Error(ErrorKind::kUnavailable, "stopping")));
    co_return;
  }
  const Result<media::Kept>& kept = *outcome.value;
  exchange->respond(kept ? created(*kept) : refused(kept.error()));
}

Task<void> get_media(std::shared_ptr<Face> face, Authenticator*, HttpExchange* exchange) {
  exchange->cancel_when_gone();
  const std::optional<media::Id> id = media::Id::parse(exchange->params()[0]);
  const Caller& caller = caller_of(*exchange);
  const bool visible =
      id && face->media != nullptr &&
      (caller.all_conversations ? face->media->is_of(*id, face->account)
                                : face->media->is_of(*id, face->account, caller.person));
  if (!visible) {
    exchange->respond(problem_of(no_such_image()));
    co_return;
  }
  Result<std::string> piece = co_await face->media->read(*id, 0, kPieceBytes);
  if (!piece) {
    const bool gone = piece.error().kind() == ErrorKind::kNotFound;
    exchange->respond(problem_of(gone ? no_such_image() : piece.error()));
    co_return;
  }
  HttpResponse response;
  const std::string tag = "\"" + id->text() + "\"";
  add_headers(response, id->type, tag);
  if (exchange->request().headers.has_token("if-none-match", tag)) {
    response.status = 304;
    exchange->respond(std::move(response));
    co_return;
  }
  std::uint64_t offset = piece->size();
  bool more = piece->size() == kPieceBytes;
  response.body = std::move(*piece);
  if (!more) {
    exchange->respond(std::move(response));
    co_return;
  }
  Result<void> sent = co_await exchange->start_stream(std::move(response));
  while (sent && more) {
    piece = co_await face->media->read(*id, offset, kPieceBytes);
    if (!piece || piece->empty()) co_return;  // erased meanwhile: it ends here
    offset += piece->size();
    more = piece->size() == kPieceBytes;
    sent = co_await exchange->write(std::move(*piece));
  }
}

Result<std::vector<media::Id>> attachments_of(const Face& face,
                                              const std::vector<InboundMessage>& events) {
  std::vector<media::Id> ids;
  for (const InboundMessage& event : events) {
    for (const std::string& text : event.attachments) {
      std::optional<media::Id> id = media::Id::parse(text);
      const bool own =
          id && face.media != nullptr && face.media->is_of(*id, face.account, event.sender);
      if (!own) return not_found(fmt::format("\"{}\" is no attachment of the sender's", text));
      ids.push_back(std::move(*id));
    }
  }
  return ids;
}

}  // namespace sluice::http
