#include "lifecycle/hooks.h"

#include <algorithm>
#include <utility>

#include "runtime/guarded.h"

namespace sluice::lifecycle {
namespace {

/// A coroutine of its own, so that what run() throws before its first wait is caught too.
Task<Result<void>> call(const Hook* hook) { co_return co_await hook->run(); }

}  // namespace

void Hooks::add(Hook hook) {
  const auto before = [](const Hook& a, const Hook& b) { return a.priority > b.priority; };
  hooks_.insert(std::upper_bound(hooks_.begin(), hooks_.end(), hook, before), std::move(hook));
}

std::vector<std::string> Hooks::names() const {
  std::vector<std::string> out;
  for (const Hook& hook : hooks_) out.push_back(hook.name);
  return out;
}

Task<std::size_t> Hooks::run(MonoTime deadline, Event* stop_waiting) {
  std::size_t failed = 0;
  for (const Hook& hook : hooks_) {
    const MonoTime began = loop_.now();
    const MonoTime until = std::min(deadline, began + hook.limit);
    std::string why;
    if (stop_waiting->is_set() || until <= began) {
      why = "there was no time for it";
    } else {
      const auto ended =
          co_await run_until(loop_, guarded("the hook", call(&hook)), until, stop_waiting);
      if (ended.ended != Ended::kDone) {
        why = ended.ended == Ended::kDeadline ? "it took too long" : "the stop was hurried";
      } else if (!*ended.value) {
        why = ended.value->error().to_string();
      }
    }
    const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(loop_.now() - began);
    if (why.empty()) {
      log_.info("shutdown_hook", {{"hook", hook.name}, {"ms", ms.count()}});
    } else {
      ++failed;
      log_.error("shutdown_hook_failed", {{"hook", hook.name}, {"error", why}, {"ms", ms.count()}});
    }
  }
  co_return failed;
}

}  // namespace sluice::lifecycle
