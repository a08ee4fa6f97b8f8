// `sluice restart`: asks for it, and follows it over the control socket from one process to the
// next.

#include <functional>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "ctl/fields.h"
#include "ctl/operator_commands.h"
#include "ctl/replies.h"
#include "runtime/wait.h"

namespace sluice::ctl {
namespace {

/// The daemon itself gives a successor its upgrade_timeout, twice; that is 10 minutes at most.
constexpr Duration kRestartMost = std::chrono::minutes(21);
constexpr Duration kSilenceMost = std::chrono::seconds(60);  // nobody at the control socket
constexpr Duration kLookAgain = std::chrono::milliseconds(50);

std::int64_t generation_of(const Reply& status) { return number_of(status.body, "generation"); }

bool says_why_not(const Reply& status) { return !text_of(status.body, "restart_failed").empty(); }

/// The status as soon as it is what was waited for; else why it can't be had, or the last one.
Task<Reply> status_once(Session* session, std::function<bool(const Reply&)> as_hoped,
                        Duration most) {
  const MonoTime until = session->shard.now() + most;
  MonoTime heard = session->shard.now();
  for (;;) {
    Reply now = co_await session->client.get(target("status"));
    if (now.ok()) heard = session->shard.now();
    if (now.ok() && as_hoped(now)) co_return now;
    // Just between the two nobody answers.
    const bool silent = session->shard.now() > heard + kSilenceMost;
    if (silent || session->shard.now() > until) co_return now;
    co_await sleep_for(session->shard, kLookAgain);
  }
}

Task<Reply> begin(Session* session, bool queue) {
  for (;;) {
    Reply begun =
        co_await session->client.post(target("restart"), {{"queue", queue}}, Client::kPatient);
    const bool handed_over = queue && begun.status == 503;
    if (!handed_over) co_return begun;
    session->client.http().close_idle();  // the successor is behind a new connection
    co_await sleep_for(session->shard, kLookAgain);
  }
}

}  // namespace

namespace command {

Task<int> restart(Session* session, Values values) {
  const Reply begun = co_await begin(session, values.has("queue"));
  if (!begun.ok()) co_return failed(*session, begun);
  const std::int64_t before = generation_of(begun);
  const auto decided = [before](const Reply& now) {
    return generation_of(now) > before || says_why_not(now);
  };
  Reply now = co_await status_once(session, decided, kRestartMost);
  if (!now.ok()) co_return failed(*session, now);
  if (generation_of(now) <= before) {
    session->console.err << "sluice: nothing has changed: "
                         << safe_text(text_of(now.body, "restart_failed")) << "\n";
    co_return kFailed;
  }
  const bool wait = values.has("wait");
  const auto alone = [](const Reply& status) { return !flag_of(status.body, "predecessor"); };
  if (wait) now = co_await status_once(session, alone, Client::kPatient);
  if (!now.ok()) co_return failed(*session, now);
  const std::int64_t next = before + 1;
  if (generation_of(now) > next) {
    session->console.err << fmt::format(
        "sluice: generation {} serves instead of {}: the new process died, or was restarted "
        "again\n",
        generation_of(now), next);
    co_return kFailed;
  }
  co_return say(*session, now,
                wait ? fmt::format("restarted: generation {}; the earlier process has ended", next)
                     : fmt::format("restarted: generation {}, {} of the earlier one's turns run on",
                                   next, number_of(now.body, "calls_elsewhere")));
}

}  // namespace command

}  // namespace sluice::ctl
