// What the daemon does in each phase of a stop, and whether it is ready.

#include <fmt/format.h>

#include "app/daemon.h"
#include "app/goodbye.h"
#include "config/file.h"
#include "lifecycle/parting.h"
#include "store/files.h"

namespace sluice::app {
namespace {

/// The metrics of the last stop: nobody can fetch them any more.
constexpr std::string_view kLastMetrics = "last.metrics";

/// After the last turn: for what is read from the store to answer with.
constexpr Duration kAnswersLimit = std::chrono::seconds(1);
constexpr Duration kFlushLimit = std::chrono::milliseconds(500);
constexpr Duration kSaveLimit = std::chrono::milliseconds(500);
constexpr Duration kServicesStop = std::chrono::milliseconds(1500);
constexpr Duration kServicesLimit = kServicesStop + std::chrono::milliseconds(200);
constexpr Duration kGoodbyeLimit = kGoodbyeTimeout + std::chrono::milliseconds(100);

Task<Result<void>> at_once(Result<void> result) { co_return result; }

}  // namespace

void Daemon::lame_duck() { server_->retire_connections(); }

void Daemon::stop_accepting() { gateway_->close_intake(); }

Task<void> Daemon::drain(MonoTime until) {
  const MonoTime now = parts_.shard.now();
  const MonoTime sockets_until = now + (until - now) / 2;
  // Beside the turns: whoever follows a quiet conversation need not wait for the others.
  TaskGroup goodbyes(parts_.shard);
  goodbyes.spawn("goodbyes",
                 lifecycle::part_with_followers(&parts_.in_flight, parts_.coordinator.is_restart(),
                                                (until - now) / 2));
  co_await gateway_->finish_turns(until);
  // Those who followed the last turns are shown how they ended.
  co_await goodbyes.join(std::max(sockets_until, parts_.shard.now()));
  // Requests are answered from the store; what waits for a turn that will not run any more goes
  // when its channel stops.
  const MonoTime answers_until = std::min(until, parts_.shard.now() + kAnswersLimit);
  for (bool in_time = true; in_time && parts_.in_flight.count(lifecycle::Work::kRequest) > 0;) {
    in_time = co_await parts_.in_flight.changed().wait_until(answers_until);
  }
  co_await reload_over(until);  // the channels that it stops and starts are not ours to stop
  co_await gateway_->stop_channels();
}

void Daemon::cut_off() { gateway_->cut_off(); }

Task<std::size_t> Daemon::close_connections(MonoTime until) {
  const std::size_t cut = co_await server_->stop(until);
  const std::size_t cut_here = co_await control_->stop(until);
  co_return cut + cut_here;
}

void Daemon::stop_background() { tasks_.cancel(); }

Task<Result<void>> Daemon::close_store() { co_return store_->stop(); }

void Daemon::finish() {
  const Result<void> kept = keep_metrics();
  if (!kept) parts_.log.warn("metrics_not_kept", {{"error", kept.error().to_string()}});
}

Result<void> Daemon::keep_metrics() {
  return config::write_file_atomically(files::join(parts_.data, kLastMetrics),
                                       parts_.metrics.serialise());
}

void Daemon::add_hooks() {
  lifecycle::Hooks& hooks = parts_.coordinator.hooks();
  hooks.add({"stop_services", lifecycle::kStopServicesPriority, kServicesLimit,
             [this] { return services_.stop(kServicesStop); }});
  hooks.add({"flush_metrics", lifecycle::kFlushMetricsPriority, kFlushLimit,
             [this] { return at_once(keep_metrics()); }});
  hooks.add({"save_state", lifecycle::kSaveStatePriority, kSaveLimit,
             [this] { return grants_->save_uses(); }});
  hooks.add({"clear_cache", lifecycle::kClearCachePriority, kFlushLimit, [this] {
               client_.close_idle();
               return at_once({});
             }});
  hooks.add({"notify_services", lifecycle::kNotifyServicesPriority, kGoodbyeLimit, [this] {
               return say_goodbye(&parts_.shard, &client_,
                                  &config_->section<GoodbyeOptions>("shutdown"),
                                  {parts_.coordinator.is_restart(), gateway_->core().generation});
             }});
}

Readiness Daemon::readiness() const {
  const Core& core = gateway_->core();
  Readiness out;
  out.can_claim = !core.storage_failed;
  out.can_append = out.can_claim && !core.intake_closed && !core.disk_low;
  if (parts_.coordinator.is_shutting_down()) out.reasons.emplace_back("stopping");
  if (parts_.coordinator.phase() == lifecycle::Phase::kStarting) {
    out.reasons.emplace_back("starting");
  }
  if (parked_) out.reasons.emplace_back("drained by an operator");
  if (core.storage_failed) out.reasons.emplace_back("the store has failed");
  if (core.disk_low) out.reasons.emplace_back("the disk is nearly full");
  for (const auto& [name, account] : core.accounts) {
    if (account->channel == nullptr) continue;
    const bool up = !account->starting && !account->stopping;
    ++out.channels[up ? std::string(to_string(account->row.state)) : "not_connected"];
    if (!up) out.reasons.push_back(fmt::format("channel {} is not connected", name));
  }
  for (const std::string& name : services_.manager().critical_ill()) {
    out.reasons.push_back(fmt::format("service {} is not running", name));
  }
  return out;
}

Result<void> Daemon::park(bool parked) {
  if (parts_.coordinator.is_shutting_down()) {
    return Error(ErrorKind::kConflict, "the daemon is stopping", ErrorSource::kPeer);
  }
  parked_ = parked;
  gateway_->park_intake(parked);
  parts_.log.info(parked ? "intake_parked" : "intake_open", {});
  return {};
}

admin::Hooks::Life Daemon::life() const {
  using lifecycle::Work;
  admin::Hooks::Life out;
  out.phase = to_string(parts_.coordinator.phase());
  out.drained = parked_;
  out.restart_failed = parts_.restart_failed();
  out.predecessor = parts_.predecessor();
  out.calls_elsewhere = parts_.calls.elsewhere();
  out.config_path = parts_.config_path;
  out.config_read_at = config_read_at_;
  out.needs_restart = last_reload_.needs_restart;
  if (!last_reload_.applied) out.reload_refused_at = last_reload_at_;
  out.reload_problems = last_reload_.applied ? last_reload_.failed : last_reload_.problems;
  for (const Work work : {Work::kRequest, Work::kSocket, Work::kTurn, Work::kAppend}) {
    out.by_work.emplace_back(to_string(work), parts_.in_flight.count(work));
  }
  const MonoTime now = parts_.shard.now();
  parts_.in_flight.for_each([&](const lifecycle::Guard& guard) {
    if (out.oldest.size() >= admin::Hooks::kUnderwayMost) return;
    const auto age = std::chrono::duration_cast<std::chrono::milliseconds>(now - guard.since());
    out.oldest.push_back({std::string(to_string(guard.work())), guard.request_id(),
                          guard.conversation(), age.count()});
  });
  return out;
}

}  // namespace sluice::app
