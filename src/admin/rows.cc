#include "admin/rows.h"

#include <boost/json.hpp>

#include "gateway/row_names.h"

namespace sluice::admin {

namespace json = boost::json;

namespace {

template <class Tag>
json::value id_json(Id<Tag> id) {
  return id ? json::value(id.value) : json::value(nullptr);
}

json::value text_or_null(std::string_view text) {
  return text.empty() ? json::value(nullptr) : json::value(text);
}

/// Milliseconds between two stamps, null unless both are there.
json::value took_json(UnixMillis from, UnixMillis to) {
  return from.ms != 0 && to.ms != 0 ? json::value((to - from).count()) : json::value(nullptr);
}

json::object part_json(const PartRow& part) {
  return {{"id", part.id.value},
          {"kind", sluice::to_string(part.kind)},
          {"turn", id_json(part.turn)},
          {"event", id_json(part.event)},
          {"n", part.n},
          {"committed_at", time_json(part.committed_at)},
          {"claimed_at", time_json(part.claimed_at)},
          {"tries", part.tries},
          {"not_before", time_json(part.not_before)},
          {"possible_duplicate", part.duplicate}};
}

json::object settled_part_json(const MessageLife::Part& part) {
  json::object object = part_json(part.row);
  object["outcome"] = nullptr;
  if (part.settled) {
    object["outcome"] = sluice::to_string(part.settled->outcome);
    object["reason"] = part.settled->reason;
    object["platform_id"] = part.settled->platform_id;
    object["settled_at"] = time_json(part.settled->at);
  }
  return object;
}

void add_end(json::object& object, const MessageEnd& end, bool pending) {
  object["pending"] = pending;
  object["outcome"] = pending ? json::value(nullptr) : json::value(sluice::to_string(end.outcome));
  object["reason"] = end.reason;
  object["turn"] = id_json(end.turn);
  object["attempts"] = end.attempts;
  object["accepted_at"] = time_json(end.accepted_at);
  object["started_at"] = time_json(end.started_at);
  object["ended_at"] = time_json(end.ended_at);
}

}  // namespace

json::value time_json(UnixMillis time) {
  return time.ms == 0 ? json::value(nullptr) : json::value(time.ms);
}

std::string_view to_string(Check::State state) {
  switch (state) {
    case Check::State::kOk:
      return "ok";
    case Check::State::kWarning:
      return "warning";
    case Check::State::kFailed:
      return "failed";
  }
  return "";
}

json::object status_json(const GatewayStatus& status) {
  json::array accounts;
  for (const auto& account : status.accounts) {
    accounts.push_back(json::object{{"name", account.name},
                                    {"kind", text_or_null(account.kind)},
                                    {"registered", account.registered},
                                    {"state", sluice::to_string(account.state)},
                                    {"reason", account.reason},
                                    {"since", time_json(account.since)},
                                    {"pending", account.pending},
                                    {"outbox", account.outbox}});
  }
  json::array agents;
  for (const auto& agent : status.agents) {
    agents.push_back(json::object{{"name", agent.name},
                                  {"kind", agent.kind},
                                  {"running", agent.running},
                                  {"max", agent.max},
                                  {"health", agent.health}});
  }
  json::array running;
  for (const auto& turn : status.running) {
    running.push_back(json::object{{"turn", turn.turn.value},
                                   {"conversation", turn.lane.value},
                                   {"account", turn.account},
                                   {"agent", turn.agent},
                                   {"attempt", turn.attempt},
                                   {"running_ms", turn.running_ms}});
  }
  return {{"generation", status.generation},
          {"accepting", status.accepting},
          {"disk_low", status.disk_low},
          {"storage_failed", status.storage_failed},
          {"clock", status.clock},
          {"conversations", status.conversations},
          {"lanes", status.lanes},
          {"pending", status.pending},
          {"pending_bytes", status.pending_bytes},
          {"asking", status.asking},
          {"parked", status.parked},
          {"outbox", status.outbox},
          {"readers", status.readers},
          {"accounts", std::move(accounts)},
          {"agents", std::move(agents)},
          {"running", std::move(running)}};
}

json::object life_json(const Hooks::Life& life) {
  json::object counts;
  for (const auto& [work, count] : life.by_work) counts[work] = count;
  json::array oldest;
  for (const auto& one : life.oldest) {
    oldest.push_back(
        json::object{{"work", one.work},
                     {"request_id", text_or_null(one.request_id)},
                     {"conversation",
                      one.conversation == 0 ? json::value(nullptr) : json::value(one.conversation)},
                     {"age_ms", one.age_ms}});
  }
  json::object config{{"path", life.config_path},
                      {"read_at", time_json(life.config_read_at)},
                      {"needs_restart", json::value_from(life.needs_restart)},
                      {"refused_at", time_json(life.reload_refused_at)},
                      {"problems", json::value_from(life.reload_problems)}};
  return {{"phase", life.phase},
          {"drained", life.drained},
          {"config", std::move(config)},
          {"restart_failed", text_or_null(life.restart_failed)},
          {"predecessor", life.predecessor},
          {"calls_elsewhere", life.calls_elsewhere},
          {"under_way", std::move(counts)},
          {"in_flight", std::move(oldest)}};
}

json::object check_json(const Check& check) {
  return {{"name", check.name},
          {"state", to_string(check.state)},
          {"detail", check.detail},
          {"hint", check.hint}};
}

json::object found_json(const FoundMessage& message) {
  json::object object{{"id", message.id.value},
                      {"conversation", message.lane.value},
                      {"account", message.account},
                      {"chat", message.chat}};
  add_end(object, message.end, message.pending);
  object["accepted_at"] = time_json(message.accepted_at);
  return object;
}

json::object conversation_json(const ConversationRow& row) {
  return {{"id", row.id.value},
          {"account", row.account},
          {"chat", row.chat},
          {"thread", row.thread},
          {"kind", sluice::to_string(row.kind)},
          {"created_at", time_json(row.created_at)}};
}

json::object life_json(const MessageLife& life) {
  json::object object{{"id", life.end.id.value}};
  add_end(object, life.end, life.pending);
  object["waited_ms"] = took_json(life.end.accepted_at, life.end.started_at);
  object["ran_ms"] = took_json(life.end.started_at, life.end.ended_at);
  if (life.row) {
    object["sender"] = life.row->sender;
    object["sender_name"] = life.row->sender_name;
    object["event"] = life.row->event;
    object["sent_at"] = time_json(life.row->sent_at);
    object["late"] = life.row->late;
    object["text"] = life.row->text;
  }
  json::array parts;
  for (const MessageLife::Part& part : life.parts) parts.push_back(settled_part_json(part));
  object["parts"] = std::move(parts);
  return object;
}

json::object line_json(const HistoryRow& line) {
  return {{"id", line.id.value},        {"kind", sluice::to_string(line.kind)},
          {"at", time_json(line.at)},   {"author", line.author},
          {"turn", id_json(line.turn)}, {"cut", line.cut},
          {"text", line.text}};
}

json::object dead_json(const DeadLetter& letter) {
  json::object object{{"id", letter.id},
                      {"what", letter.part ? "part" : "message"},
                      {"conversation", letter.lane.value},
                      {"turn", id_json(letter.turn)},
                      {"reason", letter.reason},
                      {"at", time_json(letter.at)}};
  if (letter.message) {
    object["sender"] = letter.message->sender;
    object["accepted_at"] = time_json(letter.message->accepted_at);
  }
  if (letter.outgoing) object["part"] = part_json(*letter.outgoing);
  return object;
}

json::object token_json(const TokenInfo& token) {
  return {{"id", token.id},
          {"name", token.name},
          {"scopes", json::array(token.scopes.begin(), token.scopes.end())},
          {"created_at", time_json(token.created_at)},
          {"last_used_at", time_json(token.last_used_at)}};
}

json::object operation_json(const Operation& operation) {
  json::array params;
  for (const Param& param : operation.params) {
    params.push_back(json::object{{"name", param.name},
                                  {"type", to_string(param.type)},
                                  {"required", param.required},
                                  {"doc", param.doc}});
  }
  return {{"name", operation.name},       {"method", operation.method},
          {"path", operation.path},       {"doc", operation.doc},
          {"changes", operation.changes}, {"local_only", operation.local_only},
          {"params", std::move(params)}};
}

Answer json_answer(json::object object) {
  Answer answer;
  answer.body = json::serialize(object);
  return answer;
}

}  // namespace sluice::admin
