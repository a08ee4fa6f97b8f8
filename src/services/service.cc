#include "services/service.h"

#include <algorithm>

#include <boost/json.hpp>
#include <fmt/format.h>

namespace sluice::services {

namespace json = boost::json;

namespace {

using enum ServiceStatus;

/// Names that come at run time have no bound over the years, and metrics never forget one.
std::string label_of(const std::string& name, bool registered) {
  return registered ? "(registered)" : name;
}

Error gone(std::string why) {
  return Error(ErrorKind::kUnavailable, std::move(why), ErrorSource::kPeer, Retry::with_backoff());
}

}  // namespace

Service::Service(Parts parts, ServicePlan plan)
    : loop_(parts.loop),
      events_(parts.events),
      callbacks_(parts.callbacks),
      version_(std::move(parts.version)),
      name_(std::move(plan.name)),
      registered_(plan.registered),
      capabilities_(std::move(plan.capabilities)),
      settings_(plan.settings),
      callback_quota_(std::make_shared<TokenBucket>(
          settings_.callbacks.per_minute / 60.0, settings_.callbacks.per_minute, parts.loop.now())),
      connector_(std::move(plan.connector)),
      ring_(parts.loop, parts.log, name_),
      status_since_(parts.loop.now()),
      stop_(parts.loop),
      stopped_(parts.loop),
      attention_(parts.loop),
      losses_total_(parts.metrics.counter("sluice_service_losses_total",
                                          "Connections with services that were lost.",
                                          {{"service", label_of(name_, registered_)}})),
      answered_(parts.metrics.counter(
          "sluice_service_calls_total", "Tool calls that ended.",
          {{"service", label_of(name_, registered_)}, {"outcome", "answered"}})),
      failed_(parts.metrics.counter(
          "sluice_service_calls_total", "Tool calls that ended.",
          {{"service", label_of(name_, registered_)}, {"outcome", "failed"}})),
      up_(parts.metrics.gauge("sluice_service_up", "1 while the service is running.",
                              {{"service", label_of(name_, registered_)}})),
      chores_(parts.loop) {
  stopped_.set();
}

ServiceEvent Service::event(ServiceEvent::What what) const {
  ServiceEvent out;
  out.what = what;
  out.service = name_;
  out.generation = generation_;
  return out;
}

void Service::become(ServiceStatus status) {
  if (status == status_) return;
  SLUICE_ASSERT(may_follow(status_, status));
  ServiceEvent changed = event(ServiceEvent::What::kStatusChanged);
  changed.from = status_;
  changed.to = status;
  if ((status == kRunning) != (status_ == kRunning)) up_.add(status == kRunning ? 1 : -1);
  status_ = status;
  status_since_ = loop_.now();
  events_.emit(changed);
  attention_.pulse();
}

Task<void> Service::run() {
  SLUICE_ASSERT(stopped_.is_set());
  stopped_.reset();
  stop_.reset();
  begin_anew();
  become(kStarting);
  events_.emit(event(ServiceEvent::What::kStarted));
  for (bool first = true;; first = false) {
    const MonoTime until = loop_.now() + settings_.timeout;
    Task<Result<void>> connecting = connect(until);
    auto connected = co_await run_until(loop_, std::move(connecting), until, &stop_);
    if (connected.ended == Ended::kStopped || stop_.is_set()) break;
    if (connected.ended == Ended::kDone && *connected.value) {
      heartbeat();
      if (!first) events_.emit(event(ServiceEvent::What::kReconnected));
      become(kRunning);
      const Lost lost = co_await serve();
      if (lost == Lost::kStopped) break;
      ++losses_;
      losses_total_.add();
      if (lost == Lost::kSilent) {
        events_.emit(event(ServiceEvent::What::kHeartbeatTimeout));
        drop_connection(gone(fmt::format(
            "nothing was heard of it for {} ms",
            std::chrono::duration_cast<std::chrono::milliseconds>(settings_.heartbeat_timeout)
                .count())));
        if (settings_.reconnect.enabled) become(kReconnecting);
      } else {
        const Error why = connection_->why();
        drop_connection(why);
        failed(why);
      }
      if (!intensity_.allow(loop_.now())) {
        give_up(fmt::format("it was lost more than {} times in a minute", RestartIntensity::kMost));
      }
    } else {
      drop_connection(gone("it was not reached"));
      failed(connected.ended == Ended::kDone
                 ? connected.value->error()
                 : Error(ErrorKind::kTimeout, "it did not answer initialize in time",
                         ErrorSource::kPeer, Retry::with_backoff()));
    }
    const bool again = co_await wait_for_attempt();
    if (!again) break;
  }
  co_await say_goodbye();
  become(kStopped);
  events_.emit(event(ServiceEvent::What::kStopped));
  stopped_.set();
}

void Service::begin_anew() {
  retry_ = false;
  given_up_ = false;
  attempts_ = 0;
  intensity_.forget();
}

void Service::failed(const Error& why) {
  last_error_ = why.to_string();
  ring_.note(last_error_);
  ServiceEvent error = event(ServiceEvent::What::kError);
  error.error = last_error_;
  events_.emit(error);
  if (status_ != kReconnecting) become(kError);
}

void Service::give_up(const std::string& why) {
  last_error_ = last_error_.empty() ? why : why + "; last: " + last_error_;
  ring_.note("given up: " + why);
  ServiceEvent out = event(ServiceEvent::What::kReconnectFailed);
  out.attempt = attempts_;
  out.attempts_most = settings_.reconnect.attempts_most;
  out.error = why;
  events_.emit(out);
  become(kError);
  given_up_ = true;
}

void Service::drop_connection(const Error& why) {
  chores_.cancel();
  ping_under_way_ = false;
  if (!connection_) return;
  last_error_ = why.to_string();
  const std::unique_ptr<Link> link = connection_->cut(why);
  connection_.reset();
}

void Service::abandon() { drop_connection(gone("it was cut off")); }

Task<bool> Service::wait_for_attempt() {
  const ReconnectPolicy& policy = settings_.reconnect;
  const bool spent = policy.attempts_most != 0 && attempts_ >= policy.attempts_most;
  if (policy.enabled && spent && !given_up_) {
    give_up(fmt::format("{} attempts failed", attempts_));
  }
  if (!policy.enabled || given_up_) {
    if (status_ != kError) become(kError);
    co_return co_await wait_for_retry();
  }
  ++attempts_;
  become(kReconnecting);
  ServiceEvent trying = event(ServiceEvent::What::kReconnecting);
  trying.attempt = attempts_;
  trying.attempts_most = policy.attempts_most;
  events_.emit(trying);
  const MonoTime until = loop_.now() + reconnect_delay(policy, attempts_, loop_.random());
  const bool stopping = co_await stop_.wait_until(until);
  co_return !stopping;
}

Task<bool> Service::wait_for_retry() {
  while (!stop_.is_set() && !retry_) co_await attention_.wait();
  if (stop_.is_set()) co_return false;
  begin_anew();
  become(kReconnecting);
  co_return true;
}

bool Service::retry() {
  if (status_ != kError) return false;
  retry_ = true;
  attention_.pulse();
  return true;
}

void Service::stop(MonoTime deadline) {
  if (stopped_.is_set() || stop_.is_set()) return;
  stop_deadline_ = std::min(deadline, loop_.now() + settings_.stop_timeout);
  stop_.set();
  become(kStopping);
}

bool Service::is_ill() const {
  if (status_ == kStopped || status_ == kStopping) return false;
  return status_ != kRunning || loop_.now() - last_life_ > settings_.heartbeat_timeout;
}

ServiceInfo Service::info() const {
  ServiceInfo out;
  out.name = name_;
  out.kind = connector_->kind();
  out.registered = registered_;
  out.protocol = settings_.protocol;
  out.status = status_;
  out.critical = settings_.critical;
  out.generation = generation_;
  out.attempts = attempts_;
  out.losses = losses_;
  out.calls = calls_;
  out.in_status = loop_.now() - status_since_;
  if (status_ == kRunning) {
    out.silent_for = loop_.now() - last_life_;
    out.round_trip = round_trip_;
  }
  if (connection_) {
    out.process_id = connection_->process_id();
    out.strays = connection_->strays();
  }
  out.greeting = greeting_;
  out.capabilities = capabilities_;
  for (const std::string& one : greeting_.capabilities) {
    const auto known = std::find(capabilities_.begin(), capabilities_.end(), one);
    if (known == capabilities_.end()) out.capabilities.push_back(one);
  }
  out.tools = tools_;
  out.last_error = last_error_;
  return out;
}

Task<Service::Answer> Service::call_tool(std::shared_ptr<Service> self, std::string tool,
                                         json::value arguments, Duration timeout,
                                         std::optional<CallOrigin> origin) {
  const Duration within = timeout > Duration(0) ? timeout : self->settings_.timeout;
  const MonoTime deadline = self->loop_.now() + within;
  while (self->status_ == kStarting || self->status_ == kReconnecting) {
    const bool in_time = co_await self->attention_.wait_until(deadline);
    if (!in_time) break;
  }
  if (self->status_ != kRunning) {
    // Our own knowledge: nothing was sent.
    co_return Error(ErrorKind::kUnavailable,
                    fmt::format("service {} is {}", self->name_, to_string(self->status_)),
                    ErrorSource::kSelf, Retry::with_backoff());
  }
  const auto named = [&](const ToolInfo& one) { return one.name == tool; };
  if (std::none_of(self->tools_.begin(), self->tools_.end(), named)) {
    co_return Error(ErrorKind::kNotFound,
                    fmt::format("service {} has no tool of that name", self->name_));
  }
  if (self->calls_ >= self->settings_.calls_most) {
    co_return Error(ErrorKind::kOverloaded,
                    fmt::format("service {} has {} calls under way", self->name_, self->calls_),
                    ErrorSource::kSelf, Retry::with_backoff());
  }
  struct Counted {
    explicit Counted(std::size_t& n) : calls(n) { ++calls; }
    ~Counted() { --calls; }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;
    std::size_t& calls;
  };
  const Counted counted(self->calls_);
  RpcCall call = services::tool_call(self->settings_.protocol, tool, std::move(arguments),
                                     deadline - self->loop_.now());
  // MCP has no word for it.
  const bool may_ask = origin && self->settings_.protocol == Protocol::kSluice;
  const Callbacks::Lease lease =
      may_ask ? self->callbacks_.lend(self->name_, self->settings_.callbacks, self->callback_quota_,
                                      std::move(*origin))
              : Callbacks::Lease();
  if (lease) call.params.get_object()["callback"] = lease.to_json();
  Answer answer = co_await Connection::call(self->connection_, std::move(call.method),
                                            std::move(call.params), deadline);
  (answer ? self->answered_ : self->failed_).add();
  if (!answer) co_return answer.error().within("service " + self->name_);
  co_return answer;
}

}  // namespace sluice::services
