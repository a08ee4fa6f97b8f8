#include "lifecycle/announcer.h"

#include <fmt/format.h>

namespace sluice::lifecycle {
namespace {

std::int64_t microseconds(Duration d) {
  return std::chrono::duration_cast<std::chrono::microseconds>(d).count();
}

}  // namespace

void Announcer::ready() {
  system_.notify(fmt::format("READY=1\nMAINPID={}\nSTATUS=ready", system_.process_id()));
}

void Announcer::succeeded_by(std::int64_t process) {
  system_.notify(fmt::format("MAINPID={}", process));
}

void Announcer::reloading() {
  // The stamp is what Type=notify-reload (systemd 253) wants; older ones ignore it.
  system_.notify(
      fmt::format("RELOADING=1\nMONOTONIC_USEC={}\nSTATUS=reloading", loop_.now().ns / 1000));
}

void Announcer::reloaded() { system_.notify("READY=1\nSTATUS=ready"); }

void Announcer::stopping() { system_.notify("STOPPING=1\nSTATUS=stopping"); }

Task<void> Announcer::tell_alive() {
  const std::optional<Duration> within = system_.watchdog();
  if (!within) co_return;
  for (;;) {
    system_.notify("WATCHDOG=1");
    co_await sleep_for(loop_, *within / 2);
  }
}

Task<void> Announcer::ask_for_time(Event* over, MonoTime deadline) {
  while (!over->is_set() && loop_.now() < deadline) {
    system_.notify(fmt::format("EXTEND_TIMEOUT_USEC={}", microseconds(kExtension)));
    co_await over->wait_until(loop_.now() + kExtension / 2);
  }
}

}  // namespace sluice::lifecycle
