#include "ctl/client.h"

#include <cerrno>

#include <boost/json.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include "ctl/fields.h"

namespace sluice::ctl {

namespace json = boost::json;

Client::Client(Shard& shard, ClientOptions options)
    : options_(std::move(options)), http_(shard, net::HttpClientOptions{}) {}

net::HttpClientRequest Client::request(std::string method, std::string target) const {
  net::HttpClientRequest request;
  request.method = std::move(method);
  request.url.host = "localhost";
  request.url.target = std::move(target);
  request.unix_path = options_.socket;
  request.max_response_bytes = kAnswerBytes;
  return request;
}

Task<Reply> Client::get(std::string target, Duration timeout) {
  net::HttpClientRequest question = request("GET", std::move(target));
  question.timeout = timeout;
  co_return co_await ask(std::move(question));
}

Task<Reply> Client::post(std::string target, json::object body, Duration timeout) {
  net::HttpClientRequest question = request("POST", std::move(target));
  question.timeout = timeout;
  question.headers.set("Content-Type", "application/json");
  question.body = json::serialize(body);
  co_return co_await ask(std::move(question));
}

Task<Reply> Client::remove(std::string target) {
  co_return co_await ask(request("DELETE", std::move(target)));
}

Task<Reply> Client::ask(net::HttpClientRequest question) {
  auto answer = co_await http_.fetch(std::move(question));
  if (!answer) co_return failure_of(answer.error());
  co_return reply_of(answer->status, std::move(answer->body));
}

Reply Client::reply_of(int status, std::string body) {
  Reply reply;
  reply.status = status;
  boost::system::error_code no_json;
  reply.body = json::parse(body, no_json);
  if (no_json) reply.body = nullptr;
  reply.text = std::move(body);
  if (status >= 200 && status < 300) return reply;
  reply.exit_code = kFailed;
  const std::string detail = safe_line(text_of(reply.body, "detail"));
  const std::string title = safe_line(text_of(reply.body, "title"));
  reply.error = !detail.empty()  ? detail
                : !title.empty() ? title
                                 : fmt::format("status {}", status);
  return reply;
}

Reply Client::failure_of(const net::FetchError& error) const {
  Reply reply;
  const bool nobody =
      error.sent == net::SentState::kNotSent && error.error.kind() == ErrorKind::kUnavailable;
  if (!nobody) {
    reply.exit_code = kFailed;
    reply.error = safe_line(error.error.context());
    if (error.sent == net::SentState::kMaybeSent) {
      reply.hint = "it may have been carried out: look before trying again";
    }
    return reply;
  }
  reply.exit_code = kUnreachable;
  if (::access(options_.socket.c_str(), R_OK | W_OK) != 0 && errno == EACCES) {
    reply.error = "the control socket belongs to another user: " + options_.socket;
    reply.hint = "run this as the user who runs the daemon, or as root";
  } else {
    reply.error = "no daemon answers at " + options_.socket;
    reply.hint = "start one with: " + options_.start_hint;
  }
  return reply;
}

}  // namespace sluice::ctl
