// Operations on the process's life.

#include <boost/json.hpp>

#include "admin/operations.h"
#include "admin/rows.h"

namespace sluice::admin {

namespace json = boost::json;

namespace {

Error not_here() {
  return Error(ErrorKind::kUnsupported, "this daemon can't be stopped from here");
}

}  // namespace

void Operations::add_life() {
  add("drain", "POST drain", {Param::flag("undo", "accept again")},
      "Accepts nothing new, and says that it is not ready; the process stays.", &Operations::drain);
  add("reload", "POST reload", {},
      "Reads the configuration again and applies what changed; if it is not valid, nothing "
      "changes.",
      &Operations::reload);
  add("restart", "POST restart",
      {Param::flag("queue", "wait for the process before this one; the newest of several wins")},
      "Hands over to a new process, as SIGUSR1 does; nobody is refused meanwhile. Answered when it "
      "has begun.",
      &Operations::restart)
      .may_wait = true;
  add("shutdown", "POST shutdown", {}, "Stops the daemon, as SIGTERM does.", &Operations::shutdown);
}

Operations::Answered Operations::drain(Arguments arguments) {
  if (!parts_.hooks.drain) co_return not_here();
  const bool drained = !arguments.flag("undo");
  const Result<void> done = parts_.hooks.drain(drained);
  if (!done) co_return done.error();
  co_return json_answer({{"drained", drained}});
}

Operations::Answered Operations::reload(Arguments) {
  if (!parts_.hooks.reload) co_return not_here();
  const Hooks::Reload done = co_await parts_.hooks.reload();
  co_return json_answer({{"applied", done.applied},
                         {"problems", json::value_from(done.problems)},
                         {"changed", json::value_from(done.changed)},
                         {"needs_restart", json::value_from(done.needs_restart)},
                         {"failed", json::value_from(done.failed)}});
}

Operations::Answered Operations::restart(Arguments arguments) {
  if (!parts_.hooks.restart) co_return not_here();
  const Result<void> begun = co_await parts_.hooks.restart(arguments.flag("queue"));
  if (!begun) co_return begun.error();
  co_return json_answer({{"restarting", true}, {"generation", parts_.gateway.status().generation}});
}

Operations::Answered Operations::shutdown(Arguments) {
  if (!parts_.hooks.shutdown) co_return not_here();
  const bool first = parts_.hooks.shutdown();
  co_return json_answer({{"stopping", true}, {"first", first}});
}

}  // namespace sluice::admin
