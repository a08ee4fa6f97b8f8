#include "agents/service/service_agent.h"

#include <boost/json.hpp>
#include <fmt/format.h>

#include "base/utf8.h"

namespace sluice {

namespace json = boost::json;

using std::chrono::hours;
using std::chrono::milliseconds;

namespace {

// The call's own deadline comes first: its error tells what may be done again.
constexpr milliseconds kTimeoutSlack{5'000};

json::object object_in(const std::string& text) {
  boost::system::error_code wrong;
  json::value value = json::parse(text, wrong);
  return !wrong && value.is_object() ? std::move(value.get_object()) : json::object();
}

std::string check_object(const std::string& text) {
  boost::system::error_code wrong;
  const json::value value = json::parse(text, wrong);
  return !wrong && value.is_object() ? "" : "expected a JSON object, like '{\"depth\": 2}'";
}

/// The texts among the parts of an answer of MCP.
std::string texts_of(const json::array& content) {
  std::string all;
  for (const json::value& part : content) {
    if (services::text_member(part, "type") != "text") continue;
    if (!all.empty()) all += "\n";
    all += services::text_member(part, "text");
  }
  return all;
}

std::string text_of_result(const json::value& result) {
  const json::value* content = services::member(result, "content");
  if (content != nullptr && content->is_array()) return texts_of(content->get_array());
  if (result.is_string()) return std::string(result.get_string());
  std::string text = services::text_member(result, "text");
  if (text.empty() && !result.is_null()) text = json::serialize(result);
  return text;
}

Task<Result<std::string>> text_of(Task<Result<AgentReply>> task) {
  Result<AgentReply> reply = co_await std::move(task);
  if (!reply) co_return reply.error();
  co_return std::move(reply->text);
}

/// What is asked back is asked as the person of this turn.
std::optional<services::CallOrigin> origin_of(const ServiceAgent::Ask& ask, TurnRequest request) {
  if (!ask || request.messages.empty()) return std::nullopt;
  request.history.clear();
  const std::string id = request.request_id;
  const auto turn = std::make_shared<const TurnRequest>(std::move(request));
  return services::CallOrigin{
      id, [ask, turn](std::string agent, std::string prompt, std::string as, Duration most) {
        TurnRequest next = *turn;
        next.request_id = std::move(as);
        return text_of(ask(std::move(agent), std::move(next), std::move(prompt), most));
      }};
}

}  // namespace

void declare(config::Section<ServiceAgentOptions>& s) {
  using O = ServiceAgentOptions;
  s.text("service", &O::service, "The service, by its name under [services].").required();
  s.text("tool", &O::tool, "The tool of it that answers.").required();
  s.text("argument", &O::argument, "The argument that gets what the person wrote.").length(1, 256);
  s.text("conversation_argument", &O::conversation_argument,
         "The argument that gets which conversation it is, for tools that remember; empty: none.")
      .length(0, 256);
  s.text("arguments", &O::arguments, "The other arguments, a JSON object.").check(&check_object);
  s.duration("timeout", &O::timeout, "How long an answer may take.")
      .between(milliseconds(100), hours(24));
  s.flag(
      "idempotent", &O::idempotent,
      "Whether the tool may be called twice for one message. Then a call whose answer was lost is "
      "made again instead of given up, also after a crash.");
  s.integer("max_turns", &O::max_turns, "Turns at once.").between(1, 10'000);
}

Result<AgentReply> reply_of_tool(const json::value& result) {
  const json::value* failed = services::member(result, "isError");
  if (failed != nullptr && failed->is_bool() && failed->get_bool()) {
    // What it says of it may quote the conversation.
    return Error(ErrorKind::kInternal, "the tool said that it failed", ErrorSource::kPeer);
  }
  AgentReply reply;
  reply.text = text_of_result(result);
  if (!is_utf8(reply.text) || normalise_text(reply.text).empty()) {
    return Error(ErrorKind::kBadResponse, "the tool answered without a text", ErrorSource::kPeer);
  }
  return reply;
}

ServiceAgent::ServiceAgent(std::string name, ServiceAgentOptions options,
                           services::ServiceManager& services, Ask ask)
    : info_{std::move(name),
            "service",
            options.idempotent ? OnInterrupt::kRerun : OnInterrupt::kAsk,
            options.max_turns,
            options.timeout + kTimeoutSlack,
            0},
      options_(std::move(options)),
      arguments_(object_in(options_.arguments)),
      services_(services),
      ask_(std::move(ask)) {}

Task<Result<AgentReply>> ServiceAgent::run(TurnRequest request, DeltaSink&) {
  json::object arguments = arguments_;
  arguments[options_.argument] = request.text();
  if (!options_.conversation_argument.empty()) {
    arguments[options_.conversation_argument] =
        fmt::format("{}/{}/{}", request.account, request.chat, request.thread);
  }
  const auto result =
      co_await services_.call(options_.service, options_.tool, std::move(arguments),
                              options_.timeout, origin_of(ask_, std::move(request)));
  if (result) co_return reply_of_tool(*result);
  const Error& error = result.error();
  // What never left us, because the service was not there, was not done.
  const bool may_repeat = options_.idempotent || error.source() == ErrorSource::kSelf;
  co_return Error(error.kind(), error.context(), error.source(),
                  may_repeat ? error.retry() : Retry::never());
}

Result<void> ServiceAgent::health() const {
  const auto info = services_.find(options_.service);
  if (!info) return info.error();
  if (info->status == services::ServiceStatus::kRunning) return {};
  return Error(ErrorKind::kUnavailable,
               fmt::format("service {} is {}", info->name, to_string(info->status)));
}

}  // namespace sluice
