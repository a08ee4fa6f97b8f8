#include "services/callbacks.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "base/assert.h"
#include "base/utf8.h"
#include "runtime/guarded.h"
#include "services/json_rpc.h"

namespace sluice::services {

namespace json = boost::json;

namespace {

using std::chrono::milliseconds;

constexpr std::string_view kAi = "callback.ai";
constexpr std::string_view kTool = "callback.tool";

Error refused(ErrorKind kind, std::string what) {
  return Error(kind, std::move(what), ErrorSource::kPeer);
}

HashKey key_from(const std::string& random) {
  HashKey key{};
  SLUICE_ASSERT(random.size() >= key.size());
  std::memcpy(key.data(), random.data(), key.size());
  return key;
}

}  // namespace

struct Callbacks::Grant {
  Grant(Loop& loop, CallOrigin o) : origin(std::move(o)), over(loop) {}
  std::string service;
  CallbackRules rules;
  std::shared_ptr<TokenBucket> quota;
  CallOrigin origin;
  std::string id;  // what the service calls the request
  std::uint32_t depth = 0;
  std::uint32_t uses_left = 0;
  Event over;
};

/// What is asked, once it is understood.
struct Callbacks::Ask {
  bool ai = false;
  std::string prompt;
  std::string service;
  std::string tool;
  json::value arguments;
  Duration most{0};  // 0: what the agent or the service has
};

class Callbacks::Depth {
 public:
  Depth(Callbacks& callbacks, std::uint32_t depth)
      : callbacks_(callbacks), id_(fmt::format("callback-{}", ++callbacks.last_)) {
    callbacks_.depths_.emplace(id_, depth);
  }
  ~Depth() { callbacks_.depths_.erase(id_); }
  Depth(const Depth&) = delete;
  Depth& operator=(const Depth&) = delete;
  const std::string& id() const { return id_; }

 private:
  Callbacks& callbacks_;
  std::string id_;
};

Callbacks::Callbacks(Parts parts) : parts_(std::move(parts)), key_(key_from(parts_.new_token())) {}

Key128 Callbacks::key_of(std::string_view token) const {
  return KeyedHash(key_).add(token).finish();
}

std::uint32_t Callbacks::depth_of(const std::string& request_id) const {
  const auto found = depths_.find(request_id);
  return found == depths_.end() ? 0 : found->second;
}

Callbacks::Lease Callbacks::lend(std::string service, const CallbackRules& rules,
                                 std::shared_ptr<TokenBucket> quota, CallOrigin origin) {
  Lease lease;
  const std::uint32_t depth = depth_of(origin.request_id);
  if ((rules.agent.empty() && rules.services.empty()) || depth >= kDepthMost) return lease;
  lease.callbacks_ = this;
  lease.token_ = parts_.new_token();
  lease.grant_ = std::make_shared<Grant>(parts_.loop, std::move(origin));
  Grant& grant = *lease.grant_;
  grant.service = std::move(service);
  grant.rules = rules;
  grant.quota = std::move(quota);
  grant.id = fmt::format("request-{}", ++last_);
  grant.depth = depth;
  grant.uses_left = rules.uses;
  grants_.emplace(key_of(lease.token_), lease.grant_);
  return lease;
}

Callbacks::Lease::~Lease() {
  if (grant_ == nullptr) return;
  callbacks_->grants_.erase(callbacks_->key_of(token_));
  grant_->over.set();
}

json::object Callbacks::Lease::to_json() const {
  json::array types;
  if (!grant_->rules.agent.empty()) types.emplace_back("ai");
  if (!grant_->rules.services.empty()) types.emplace_back("tool");
  return {{"token", token_},
          {"request_id", grant_->id},
          {"service_id", grant_->service},
          {"types", std::move(types)},
          {"uses", grant_->rules.uses},
          {"tools_of", json::value_from(grant_->rules.services)}};
}

namespace {

/// Time that a callback may take; 0 if it says nothing.
Result<Duration> time_of(const json::object& params) {
  const json::value* given = params.if_contains("timeout_ms");
  if (given == nullptr) return Duration(0);
  constexpr std::int64_t kMost =
      std::chrono::duration_cast<milliseconds>(Callbacks::kLongest).count();
  if (!given->is_int64() || given->get_int64() < 1 || given->get_int64() > kMost) {
    return refused(ErrorKind::kInvalidArgument, "\"timeout_ms\" is a number of milliseconds");
  }
  return Duration(milliseconds(given->get_int64()));
}

Result<void> only(const json::object& params, bool ai) {
  constexpr std::string_view kBoth[] = {"token", "request_id", "service_id", "timeout_ms"};
  constexpr std::string_view kOfAi[] = {"prompt"};
  constexpr std::string_view kOfTool[] = {"service", "tool_name", "params"};
  const auto among = [](const auto& names, std::string_view name) {
    return std::find(std::begin(names), std::end(names), name) != std::end(names);
  };
  for (const auto& member : params) {
    const std::string_view name = member.key();
    if (among(kBoth, name) || (ai ? among(kOfAi, name) : among(kOfTool, name))) continue;
    return refused(
        ErrorKind::kInvalidArgument,
        fmt::format("unknown member \"{}\"",
                    strip_terminal_controls(std::string(name.substr(0, utf8_floor(name, 64))))));
  }
  return {};
}

}  // namespace

/// Whose it is is asked first, then what it asks: who has no token is told nothing else, and uses
/// nothing up.
Result<std::shared_ptr<Callbacks::Grant>> Callbacks::use(const std::string& via, bool ai,
                                                         const json::object& params) {
  const auto denied = [](std::string what) {
    return refused(ErrorKind::kPermissionDenied, std::move(what));
  };
  const json::value all(params);
  const auto found = grants_.find(key_of(text_member(all, "token")));
  if (found == grants_.end()) return denied("the token is none, or its request has ended");
  const std::shared_ptr<Grant> grant = found->second;
  const bool its_own =
      text_member(all, "service_id") == grant->service && (via.empty() || via == grant->service);
  if (!its_own) return denied("the token is another service's");
  if (text_member(all, "request_id") != grant->id) return denied("the token is another request's");
  if (ai ? grant->rules.agent.empty() : grant->rules.services.empty()) {
    return denied(fmt::format("{} is not granted", ai ? kAi : kTool));
  }
  if (grant->uses_left == 0) return denied("the token is spent");
  if (const auto wait = grant->quota->take(parts_.loop.now())) {
    return Error(ErrorKind::kRateLimited, "the service calls back too often", ErrorSource::kSelf,
                 Retry::after(std::chrono::ceil<milliseconds>(*wait)));
  }
  --grant->uses_left;
  return grant;
}

Task<Callbacks::Answer> Callbacks::serve(std::string via, std::string method, json::value params) {
  Ask ask;
  ask.ai = method == kAi;
  if (!ask.ai && method != kTool) {
    co_return refused(ErrorKind::kUnsupported, "there is no such method");
  }
  const auto count = [&](std::string_view outcome) {
    parts_.metrics
        .counter("sluice_service_callbacks_total", "What services asked back.",
                 {{"type", ask.ai ? "ai" : "tool"}, {"outcome", std::string(outcome)}})
        .add();
  };
  if (!params.is_object()) params = json::object();
  json::object& object = params.get_object();
  const auto grant = use(via, ask.ai, object);
  if (!grant) {
    count("refused");
    co_return grant.error();
  }
  const Result<void> known = only(object, ask.ai);
  const Result<Duration> time = time_of(object);
  if (!known || !time) {
    count("refused");
    co_return known ? time.error() : known.error();
  }
  ask.most = *time;
  ask.prompt = text_member(params, "prompt");
  ask.service = text_member(params, "service");
  ask.tool = text_member(params, "tool_name");
  if (json::value* arguments = object.if_contains("params")) ask.arguments = std::move(*arguments);
  if (ask.arguments.is_null()) ask.arguments = json::object();
  auto done = co_await run_until(parts_.loop, guarded("a callback", run(*grant, std::move(ask))),
                                 parts_.loop.now() + kLongest, &(*grant)->over);
  if (done.ended != Ended::kDone) {
    count("cut_off");
    co_return refused(ErrorKind::kCancelled, "its request has ended");
  }
  count(*done.value ? "answered" : "failed");
  co_return std::move(*done.value);
}

Task<Callbacks::Answer> Callbacks::run(std::shared_ptr<Grant> grant, Ask ask) {
  if (!ask.ai) co_return co_await call_tool(std::move(grant), std::move(ask));
  const bool fine = !ask.prompt.empty() && ask.prompt.size() <= kPromptMost;
  if (!fine) {
    co_return refused(ErrorKind::kInvalidArgument,
                      fmt::format("\"prompt\" is a text of at most {} bytes", kPromptMost));
  }
  co_return co_await ask_agent(std::move(grant), std::move(ask.prompt), ask.most);
}

Task<Callbacks::Answer> Callbacks::ask_agent(std::shared_ptr<Grant> grant, std::string prompt,
                                             Duration most) {
  const Depth deeper(*this, grant->depth + 1);
  Result<std::string> text =
      co_await grant->origin.ask(grant->rules.agent, std::move(prompt), deeper.id(), most);
  if (text) co_return Answer(json::object{{"text", std::move(*text)}});
  // What an agent says of its trouble is for the operator.
  const Error& error = text.error();
  co_return Error(error.kind(), fmt::format("the agent: {}", to_string(error.kind())),
                  error.source(), error.retry());
}

Task<Callbacks::Answer> Callbacks::call_tool(std::shared_ptr<Grant> grant, Ask ask) {
  const std::vector<std::string>& granted = grant->rules.services;
  if (ask.service.empty()) ask.service = parts_.find_tool(granted, ask.tool);
  if (std::find(granted.begin(), granted.end(), ask.service) == granted.end()) {
    co_return refused(ErrorKind::kPermissionDenied, "no service that it may call has that tool");
  }
  const Depth deeper(*this, grant->depth + 1);
  CallOrigin origin{deeper.id(), grant->origin.ask};
  co_return co_await parts_.call_tool(ask.service, ask.tool, std::move(ask.arguments), ask.most,
                                      std::move(origin));
}

}  // namespace sluice::services
