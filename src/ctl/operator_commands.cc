#include "ctl/operator_commands.h"

#include <charconv>
#include <filesystem>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "ctl/chat.h"
#include "ctl/export.h"
#include "ctl/fields.h"
#include "ctl/render.h"
#include "ctl/replies.h"
#include "net/http_types.h"
#include "runtime/wait.h"

namespace sluice::ctl {

namespace json = boost::json;

namespace {

bool is_id(std::string_view text) {
  std::int64_t id = 0;
  const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), id);
  return bad == std::errc() && end == text.data() + text.size() && id > 0;
}

/// One call redrives a bounded number; letters that die again meanwhile have higher ids and are
/// left.
Task<int> redrive_all(Session* session) {
  std::int64_t redriven = 0;
  json::array not_redriven;
  std::int64_t before = 0;
  do {
    json::object body;
    if (before != 0) body["before"] = before;
    const Reply reply =
        co_await session->client.post(target("dead/redrive"), std::move(body), Client::kPatient);
    if (!reply.ok()) co_return failed(*session, reply);
    redriven += number_of(reply.body, "redriven");
    for (const json::value& one : list_of(reply.body, "failed")) not_redriven.push_back(one);
    before = number_of(reply.body, "next");
  } while (before != 0);
  const bool all = not_redriven.empty();
  if (session->json) {
    const json::object result{{"redriven", redriven}, {"failed", std::move(not_redriven)}};
    session->console.out << safe_json(result) << "\n";
    co_return all ? kDone : kFailed;
  }
  session->console.out << fmt::format("redriven: {}\n", redriven);
  for (const json::value& one : not_redriven) {
    session->console.err << fmt::format("sluice: {}: {}\n", number_of(one, "id"),
                                        safe_line(text_of(one, "reason")));
  }
  co_return all ? kDone : kFailed;
}

}  // namespace

namespace command {

Task<int> status(Session* session, Values) {
  const Reply reply = co_await session->client.get(target("status"));
  co_return show(*session, reply, &status_page);
}

Task<int> link(Session* session, Values) {
  const Reply reply = co_await session->client.post(target("link"), {});
  co_return say(*session, reply, text_of(reply.body, "url"));
}

Task<int> route(Session* session, Values values) {
  if (!values.has("account")) values.add("account", "http");
  if (values.has("group")) values.add("group", "true");
  const std::string asked = query(values, {"account", "chat", "group", "person", "text"});
  const Reply reply = co_await session->client.get(target("route" + asked));
  co_return show(*session, reply, values.has("explain") ? &route_page : &route_line);
}

Task<int> metrics(Session* session, Values) {
  const Reply reply = co_await session->client.get(target("metrics"));
  if (!reply.ok()) co_return failed(*session, reply);
  session->console.out << safe_text(reply.text);
  co_return kDone;
}

Task<int> doctor(Session* session, Values values) {
  const std::string deep = values.has("deep") ? "?deep=true" : "";
  const Reply reply = co_await session->client.get(target("doctor" + deep), Client::kPatient);
  if (reply.exit_code == kUnreachable) co_return kUnreachable;
  const int code = show(*session, reply, &doctor_page);
  co_return code == kDone && !flag_of(reply.body, "ok") ? kFailed : code;
}

Task<int> messages(Session* session, Values values) {
  const std::string asked =
      query(values, {"account", "chat", "person", "outcome", "before", "limit"});
  const Reply reply = co_await session->client.get(target("messages" + asked));
  co_return show(*session, reply, &messages_page);
}

Task<int> messages_show(Session* session, Values values) {
  const std::string id = values.get("id");
  if (!is_id(id)) co_return usage(*session, "ID is a message's number");
  const Reply reply = co_await session->client.get(target("messages/" + id));
  co_return show(*session, reply, &message_page);
}

Task<int> dead_list(Session* session, Values values) {
  const Reply reply =
      co_await session->client.get(target("dead" + query(values, {"before", "limit"})));
  co_return show(*session, reply, &dead_page);
}

Task<int> dead_show(Session* session, Values values) {
  const std::string id = values.get("id");
  if (!is_id(id)) co_return usage(*session, "ID is a dead letter's number");
  const Reply reply = co_await session->client.get(target("dead/" + id));
  co_return show(*session, reply, &dead_letter_page);
}

Task<int> dead_redrive(Session* session, Values values) {
  const std::string id = values.get("id");
  if (values.has("all") != id.empty()) co_return usage(*session, "give either an ID or --all");
  if (values.has("all")) co_return co_await redrive_all(session);
  if (!is_id(id)) co_return usage(*session, "ID is a dead letter's number");
  const Reply reply = co_await session->client.post(target("dead/" + id + "/redrive"), {});
  co_return say(*session, reply, "redriven: " + id);
}

Task<int> dead_discard(Session* session, Values values) {
  const std::string id = values.get("id");
  if (!is_id(id)) co_return usage(*session, "ID is a dead letter's number");
  const Reply reply = co_await session->client.post(target("dead/" + id + "/discard"), {});
  co_return say(*session, reply, "discarded: " + id);
}

Task<int> token_add(Session* session, Values values) {
  json::array scopes;
  for (const std::string& scope : values.all("scope")) scopes.emplace_back(scope);
  if (values.has("admin")) scopes.emplace_back("admin");
  json::object body{{"name", values.get("name")}};
  if (!scopes.empty()) body["scopes"] = std::move(scopes);
  const Reply reply = co_await session->client.post(target("tokens"), std::move(body));
  // The secret alone on standard output, so that it can be piped somewhere safe.
  if (reply.ok() && !session->json) {
    session->console.err << "This is the only time the token is shown:\n";
  }
  co_return say(*session, reply, text_of(reply.body, "token"));
}

Task<int> token_list(Session* session, Values) {
  const Reply reply = co_await session->client.get(target("tokens"));
  co_return show(*session, reply, &tokens_page);
}

Task<int> token_revoke(Session* session, Values values) {
  const std::string id = values.get("id");
  const Reply reply = co_await session->client.remove(target("tokens/" + net::percent_encode(id)));
  co_return say(*session, reply, "revoked: " + id);
}

Task<int> pause(Session* session, Values values) {
  const std::string account = values.get("account");
  json::object body;
  if (values.has("reason")) body["reason"] = values.get("reason");
  const std::string path = "accounts/" + net::percent_encode(account) + "/pause";
  const Reply reply = co_await session->client.post(target(path), std::move(body));
  co_return say(*session, reply, account + " is paused; it goes on receiving");
}

Task<int> resume(Session* session, Values values) {
  const std::string account = values.get("account");
  const std::string path = "accounts/" + net::percent_encode(account) + "/resume";
  const Reply reply = co_await session->client.post(target(path), {});
  co_return say(*session, reply, account + " is active");
}

Task<int> erase(Session* session, Values values) {
  if (!values.has("yes")) {
    co_return usage(*session,
                    fmt::format("this removes all that {} wrote to {} for good; add --yes",
                                safe_line(values.get("person")), safe_line(values.get("account"))));
  }
  json::object body{{"account", values.get("account")}, {"person", values.get("person")}};
  if (values.has("stop")) body["stop"] = true;
  const Reply reply =
      co_await session->client.post(target("people/erase"), std::move(body), Client::kPatient);
  std::string counts;
  const json::value& erased = field_of(reply.body, "erased");
  if (erased.is_object()) {
    for (const auto& [name, count] : erased.get_object()) {
      counts += fmt::format("{}{} {}", counts.empty() ? "" : ", ", std::string_view(name),
                            number_of(erased, name));
    }
  }
  if (reply.ok()) {
    session->console.err << "Backups made before still hold it; they are out of reach.\n";
  }
  co_return say(*session, reply, "erased: " + counts);
}

Task<int> backup(Session* session, Values values) {
  std::error_code bad;
  const std::string path = std::filesystem::absolute(values.get("file"), bad).lexically_normal();
  if (bad) co_return usage(*session, "FILE: " + bad.message());
  const Reply reply =
      co_await session->client.post(target("backup"), {{"path", path}}, Client::kPatient);
  std::string also;
  if (const std::string images = text_of(reply.body, "images"); !images.empty()) {
    also = fmt::format(", and the images in {} ({})", images,
                       size_text(number_of(reply.body, "image_bytes")));
  }
  co_return say(*session, reply,
                fmt::format("{} ({}){}. It holds every message and the hash key: keep it private.",
                            path, size_text(number_of(reply.body, "bytes")), also));
}

Task<int> stop_turn(Session* session, Values values) {
  const std::string id = values.get("conversation");
  if (!is_id(id)) {
    co_return usage(*session, "CONVERSATION is a conversation's number, see: sluice status");
  }
  const Reply reply = co_await session->client.post(target("conversations/" + id + "/stop"), {});
  co_return say(*session, reply, "stopped");
}

Task<int> clock_accept(Session* session, Values) {
  const Reply reply = co_await session->client.post(target("clock/accept"), {});
  co_return say(*session, reply,
                "the clock is accepted: " + time_text(number_of(reply.body, "now")));
}

Task<int> drain(Session* session, Values values) {
  const bool undo = values.has("undo");
  const Reply reply = co_await session->client.post(target("drain"), {{"undo", undo}});
  co_return say(*session, reply,
                undo ? "intake is open again"
                     : "drained: nothing new is accepted, what is under way goes on; "
                       "sluice drain --undo opens it again");
}

Task<int> reload(Session* session, Values) {
  const Reply reply = co_await session->client.post(target("reload"), {}, Client::kPatient);
  const int code = show(*session, reply, &reload_page);
  const bool done = flag_of(reply.body, "applied") && list_of(reply.body, "failed").empty();
  co_return code == kDone && !done ? kFailed : code;
}

Task<int> shutdown(Session* session, Values) {
  const Reply reply = co_await session->client.post(target("shutdown"), {});
  co_return say(*session, reply, "it is stopping");
}

Task<int> export_person(Session* session, Values values) {
  const std::string path = target(fmt::format("people/export?account={}&person={}",
                                              net::percent_encode(values.get("account")),
                                              net::percent_encode(values.get("person"))));
  const Reply reply = co_await export_to(session, path, values.get("out"));
  co_return reply.ok() ? kDone : failed(*session, reply);
}

Task<int> chat_here(Session* session, Values values) {
  ChatOptions options;
  if (values.has("conversation")) options.conversation = values.get("conversation");
  options.whole_input = values.has("stdin");
  options.json = session->json;
  if (options.conversation.empty()) co_return usage(*session, "the conversation's name is empty");
  co_return co_await chat(session, options);
}

}  // namespace command

}  // namespace sluice::ctl
