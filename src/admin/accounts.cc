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
  add("route.explain", "GET route",
      {Param::text("account", "the account that the message comes to").needed(),
       Param::text("chat", "the platform's id of the chat"),
       Param::flag("group", "the chat is a group"),
       Param::text("sender", "the platform's id of the person"),
       Param::text("text", "the message")},
      "Who would answer such a message, and why: every route with the condition that failed, or "
      "those that hold.",
      &Operations::route_explain);
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

Operations::Answered Operations::route_explain(Arguments arguments) {
  InboundMessage event;
  event.chat = arguments.text("chat");
  event.sender = arguments.text("sender");
  event.text = arguments.text("text");
  event.chat_kind = arguments.flag("group") ? ChatKind::kGroup : ChatKind::kDirect;
  const RouteExplanation found = parts_.gateway.route(event, arguments.text("account"));
  if (!found.account_registered)
    co_return Error(ErrorKind::kNotFound,
                    "no account named \"" + arguments.text("account") + "\" is registered");
  json::array routes;
  bool taken = false;
  for (const RouteStep& step : found.steps) {
    routes.push_back({{"route", step.rule},
                      {"matches", step.matches},
                      {"taken", step.matches && !taken},
                      {"why", step.why}});
    taken = taken || step.matches;
  }
  co_return json_answer({{"agent", found.target.agent},
                         {"model", found.target.model},
                         {"let_in", found.let_in},
                         {"account_agent", found.account_agent},
                         {"chosen_agent", found.chosen.agent},
                         {"chosen_model", found.chosen.model},
                         {"routes", std::move(routes)}});
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
