// Operations on accounts, conversations and the store.

#include <boost/json.hpp>

#include "admin/operations.h"
#include "admin/rows.h"

namespace sluice::admin {

namespace json = boost::json;

void Operations::add_accounts() {
  add("account.pause", "POST accounts/{account}/pause",
      {Param::text("account", "its name").needed(), Param::text("reason", "kept with the state")},
      "Holds what the account would send; it goes on receiving.", &Operations::account_pause);
  add("account.resume", "POST accounts/{account}/resume",
      {Param::text("account", "its name").needed()},
      "Lets a paused, parked, conflicting or held account go on.", &Operations::account_resume);
  add("conversation.stop", "POST conversations/{id}/stop",
      {Param::id("id", "the conversation").needed()},
      "Stops the turn that runs there; what the person has seen of it is kept.",
      &Operations::conversation_stop);
  Param path = Param::text("path", "absolute, of a file that does not exist").needed();
  path.most = 4096;
  add("backup", "POST backup", {std::move(path)},
      "Writes a backup while the daemon runs: one file, mode 0600, and beside it, with \".media\" "
      "behind its name, a directory of the images that people sent, if there are any.",
      &Operations::backup)
      .local_only = true;
}

Operations::Answered Operations::account_pause(Arguments arguments) {
  const std::string account = arguments.text("account");
  const std::string& given = arguments.text("reason");
  const std::string reason = given.empty() ? "paused by the operator" : given;
  const Result<void> done = co_await parts_.gateway.pause(account, reason);
  if (!done) co_return done.error();
  co_return json_answer({{"account", account}, {"state", "paused"}, {"reason", reason}});
}

Operations::Answered Operations::account_resume(Arguments arguments) {
  const std::string account = arguments.text("account");
  const Result<void> done = co_await parts_.gateway.resume(account);
  if (!done) co_return done.error();
  co_return json_answer({{"account", account}, {"state", "active"}});
}

Operations::Answered Operations::conversation_stop(Arguments arguments) {
  const std::int64_t id = arguments.integer("id");
  const Result<void> done = parts_.gateway.stop_turn(LaneId{id});
  if (!done) co_return done.error();
  co_return json_answer({{"conversation", id}, {"stopped", true}});
}

Operations::Answered Operations::backup(Arguments arguments) {
  if (!parts_.hooks.backup) {
    co_return Error(ErrorKind::kUnsupported, "backups are not available in this daemon");
  }
  const std::string path = arguments.text("path");
  if (path.front() != '/') {
    co_return Error(ErrorKind::kInvalidArgument,
                    "\"path\" must be absolute: the daemon has a working directory of its own",
                    ErrorSource::kPeer);
  }
  const auto made = co_await parts_.hooks.backup(path);
  if (!made) co_return made.error();
  json::object answer{{"path", made->path}, {"bytes", made->bytes}};
  if (!made->images.empty()) {
    answer["images"] = made->images;
    answer["image_bytes"] = made->image_bytes;
  }
  co_return json_answer(std::move(answer));
}

}  // namespace sluice::admin
