#include "lifecycle/coordinator.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/assert.h"

namespace sluice::lifecycle {
namespace {

using std::chrono::duration_cast;
using std::chrono::milliseconds;

Task<bool> all(Task<void> task) {
  co_await std::move(task);
  co_return true;
}

}  // namespace

std::string_view to_string(Phase phase) {
  constexpr std::array<std::string_view, 7> kNames = {
      "starting", "ready", "lame_duck", "draining", "forcing", "closing", "stopped"};
  return kNames[static_cast<std::size_t>(phase)];
}

Task<void> ShutdownSteps::drain(MonoTime) { co_return; }
Task<std::size_t> ShutdownSteps::close_connections(MonoTime) { co_return std::size_t{0}; }
Task<Result<void>> ShutdownSteps::close_store() { co_return Result<void>(); }

ShutdownCoordinator::ShutdownCoordinator(Loop& loop, Logger& log, InFlight& in_flight,
                                         ShutdownOptions options)
    : loop_(loop),
      log_(log),
      in_flight_(in_flight),
      options_(options),
      hooks_(loop, log),
      initiated_(loop),
      hurry_(loop),
      cancelled_(loop),
      completed_(loop) {}

void ShutdownCoordinator::enter(Phase phase) {
  phase_ = phase;
  if (listener_) listener_(phase);
}

void ShutdownCoordinator::ready() {
  if (phase_ == Phase::kStarting) enter(Phase::kReady);
}

void ShutdownCoordinator::set_options(ShutdownOptions options) {
  if (!initiated_.is_set()) options_ = options;
}

bool ShutdownCoordinator::initiate(Why why) {
  if (initiated_.is_set()) return false;
  why_ = why;
  end_ = loop_.now() + options_.shutdown_timeout;
  const Budgets budgets = budgets_of(options_);
  log_.info("stopping",
            {{"restart", is_restart()},
             {"timeout_ms", duration_cast<milliseconds>(options_.shutdown_timeout).count()},
             {"drain_ms", duration_cast<milliseconds>(budgets.drain).count()},
             {"in_flight", in_flight_.count()}});
  initiated_.set();
  return true;
}

Duration ShutdownCoordinator::remaining() const {
  if (!initiated_.is_set()) return options_.shutdown_timeout;
  return std::max(Duration(0), end_ - loop_.now());
}

Task<StopReport> ShutdownCoordinator::run(ShutdownSteps* steps) {
  co_await initiated_.wait();
  const Budgets budgets = budgets_of(options_);
  const MonoTime began = loop_.now();
  StopReport report;
  enter(Phase::kLameDuck);
  steps->lame_duck();
  if (budgets.lame_duck > Duration(0)) co_await hurry_.wait_until(began + budgets.lame_duck);

  enter(Phase::kDraining);
  in_flight_.stop_accepting();
  steps->stop_accepting();
  // What refused is not counted: the flag is set first.
  log_.info("drain_start", {{"in_flight", in_flight_.count()}});
  const MonoTime hooks_until = MonoTime{end_.ns - budgets.store.count()};
  const MonoTime force_until = MonoTime{hooks_until.ns - budgets.hooks.count()};
  const MonoTime drain_until =
      std::min(loop_.now() + budgets.drain, MonoTime{force_until.ns - budgets.force.count()});
  co_await drain(steps, drain_until);
  if (in_flight_.count() > 0) {
    enter(Phase::kForcing);
    force(*steps, report);
  }
  log_.info("drain_complete", {{"forced", report.forced}});
  log_.info("shutdown", {{"restart", is_restart()}});
  cancelled_.set();
  const MonoTime connections_until = hurry_.is_set() ? loop_.now() : force_until;
  report.connections_cut = co_await steps->close_connections(connections_until);

  enter(Phase::kClosing);
  steps->stop_background();
  report.hooks_failed = co_await hooks_.run(hooks_until, &hurry_);
  report.closed = co_await steps->close_store();
  report.hurried = hurry_.is_set();
  report.took = loop_.now() - began;
  enter(Phase::kStopped);
  steps->finish();
  log_.info("stopped", {{"forced", report.forced},
                        {"connections_cut", report.connections_cut},
                        {"hooks_failed", report.hooks_failed},
                        {"clean", report.clean()},
                        {"ms", duration_cast<milliseconds>(report.took).count()}});
  completed_.set();
  co_return report;
}

Task<void> ShutdownCoordinator::drained(ShutdownSteps* steps, MonoTime until) {
  co_await steps->drain(until);
  co_await in_flight_.none_left();
}

Task<void> ShutdownCoordinator::drain(ShutdownSteps* steps, MonoTime until) {
  Running progress(tell_progress());
  progress.start();
  co_await run_until(loop_, all(drained(steps, until)), until, &hurry_);
}

Task<void> ShutdownCoordinator::tell_progress() {
  for (int line = 0; line < kProgressLinesMost; ++line) {
    co_await sleep_for(loop_, std::chrono::seconds(1));
    log_.info("drain_progress", {{"requests", in_flight_.count(Work::kRequest)},
                                 {"sockets", in_flight_.count(Work::kSocket)},
                                 {"turns", in_flight_.count(Work::kTurn)},
                                 {"appends", in_flight_.count(Work::kAppend)}});
  }
}

void ShutdownCoordinator::force(ShutdownSteps& steps, StopReport& report) {
  report.forced = in_flight_.count();
  const double seconds =
      static_cast<double>(duration_cast<milliseconds>(budgets_of(options_).drain).count()) / 1000.0;
  log_.warn("force_terminate", {{"remaining", report.forced},
                                {"hurried", hurry_.is_set()},
                                {"drain_timeout_secs", seconds}});
  const MonoTime now = loop_.now();
  in_flight_.for_each([&](Guard& guard) {
    if (report.records.size() >= kRecordsMost) return;
    report.records.push_back({guard.work(), guard.request_id(), guard.conversation(),
                              duration_cast<milliseconds>(now - guard.since())});
  });
  for (const ForcedWork& one : report.records) {
    log_.warn("request_force_terminated", {{"request_id", one.request_id},
                                           {"work", to_string(one.work)},
                                           {"conversation", one.conversation},
                                           {"elapsed_ms", one.elapsed.count()}});
  }
  steps.cut_off();
}

}  // namespace sluice::lifecycle
