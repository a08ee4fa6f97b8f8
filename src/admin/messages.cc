// Operations on messages and dead letters.

#include <algorithm>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "admin/operations.h"
#include "admin/rows.h"

namespace sluice::admin {

namespace json = boost::json;

namespace {

constexpr std::string_view kPendingWord = "pending";
constexpr std::string_view kOutcomes =
    "pending, answered, failed, stopped, dead, expired, withdrawn, replaced, handled, dropped";

std::size_t limit_of(const Arguments& arguments) {
  return static_cast<std::size_t>(arguments.integer("limit", kListDefault));
}

Param limit_param() { return Param::count("limit", "how many at most (50)", kListMost); }
Param before_param() {
  return Param::id("before", "only ids below this: the \"next\" of the page before");
}

/// The cursor to the next page: null if this one was not full.
json::value next_json(std::size_t rows, std::size_t limit, std::int64_t last) {
  return rows < limit ? json::value(nullptr) : json::value(last);
}

Error no_dead_letter(std::int64_t id) {
  return Error(ErrorKind::kNotFound, fmt::format("no dead letter has the id {}", id),
               ErrorSource::kPeer);
}

struct LifeAndPlace {
  MessageLife life;
  std::optional<ConversationRow> conversation;
};

Result<std::optional<LifeAndPlace>> read_life(StoreReader& reader, MessageId id) {
  auto life = reader.life(id);
  if (!life) return life.error();
  if (!*life) return std::optional<LifeAndPlace>();
  LifeAndPlace found{std::move(**life), std::nullopt};
  auto conversation = reader.conversation(found.life.lane);
  if (!conversation) return conversation.error();
  found.conversation = std::move(*conversation);
  return std::optional(std::move(found));
}

bool belongs_to(const HistoryRow& line, const MessageLife& life) {
  return line.message == life.end.id || (life.end.turn && line.turn == life.end.turn);
}

}  // namespace

void Operations::add_messages() {
  add("messages.search", "GET messages",
      {Param::text("account", "of this account only"), Param::text("chat", "in this chat only"),
       Param::text("sender", "of this person only (the platform's id)"),
       Param::text(
           "outcome",
           "pending, answered, failed, stopped, dead, expired, withdrawn, replaced, handled "
           "or dropped"),
       before_param(), limit_param()},
      "Messages, the newest first.", &Operations::messages_search);
  add("messages.show", "GET messages/{id}", {Param::id("id", "the message").needed()},
      "One message's whole life: times, attempts, outcome, its lines of the conversation, its "
      "parts "
      "on their way out.",
      &Operations::messages_show);
  add("dead.list", "GET dead", {before_param(), limit_param()},
      "What could not be processed or delivered, the newest first.", &Operations::dead_list);
  add("dead.show", "GET dead/{id}", {Param::id("id", "the dead letter").needed()},
      "One dead letter with its text.", &Operations::dead_show);
  add("dead.redrive_all", "POST dead/redrive", {before_param(), limit_param()},
      "Runs all dead messages again and sends all dead parts again, at most 500 in one call.",
      &Operations::dead_redrive_all);
  add("dead.redrive", "POST dead/{id}/redrive", {Param::id("id", "the dead letter").needed()},
      "Runs a dead message again, or sends a dead part again.", &Operations::dead_redrive);
  add("dead.discard", "POST dead/{id}/discard", {Param::id("id", "the dead letter").needed()},
      "Gives a dead letter up.", &Operations::dead_discard);
}

Operations::Answered Operations::messages_search(Arguments arguments) {
  MessageFilter filter;
  filter.account = arguments.text("account");
  filter.chat = arguments.text("chat");
  filter.sender = arguments.text("sender");
  filter.before = MessageId{arguments.integer("before")};
  filter.limit = limit_of(arguments);
  const std::string& outcome = arguments.text("outcome");
  filter.pending_only = outcome == kPendingWord;
  if (!outcome.empty() && !filter.pending_only) {
    filter.outcome = message_outcome_from_string(outcome);
    if (!filter.outcome) {
      co_return Error(ErrorKind::kInvalidArgument,
                      "\"outcome\" must be one of: " + std::string(kOutcomes), ErrorSource::kPeer);
    }
  }
  using Found = std::vector<FoundMessage>;
  const std::size_t limit = filter.limit;
  const Result<Found> found = co_await parts_.store.read<Found>(
      [filter](StoreReader& reader) { return reader.find_messages(filter); });
  if (!found) co_return found.error();
  json::array list;
  for (const FoundMessage& message : *found) list.push_back(found_json(message));
  const std::int64_t last = found->empty() ? 0 : found->back().id.value;
  co_return json_answer(
      {{"messages", std::move(list)}, {"next", next_json(found->size(), limit, last)}});
}

Operations::Answered Operations::messages_show(Arguments arguments) {
  const MessageId id{arguments.integer("id")};
  using Found = std::optional<LifeAndPlace>;
  Result<Found> found = co_await parts_.store.read<Found>(
      [id](StoreReader& reader) { return read_life(reader, id); });
  if (!found) co_return found.error();
  if (!*found) {
    co_return Error(ErrorKind::kNotFound, fmt::format("no message has the id {}", id.value),
                    ErrorSource::kPeer);
  }
  LifeAndPlace& place = **found;
  json::object object = life_json(place.life);
  object["conversation"] = place.conversation ? json::value(conversation_json(*place.conversation))
                                              : json::value(nullptr);
  const auto lines = co_await lines_of(place.life);
  if (!lines) co_return lines.error();
  json::array list;
  for (const HistoryRow& line : *lines) list.push_back(line_json(line));
  object["lines"] = std::move(list);
  co_return json_answer(std::move(object));
}

/// The message's lines of its conversation. Only the newest kLifeLines of the log are looked at,
/// and the message's own line in any case.
Task<Result<std::vector<HistoryRow>>> Operations::lines_of(MessageLife life) {
  using Lines = std::vector<HistoryRow>;
  const HistoryId head = parts_.gateway.head(life.lane);
  const HistoryId own = life.end.history;
  Result<Lines> lines = co_await parts_.store.read<Lines>([head, own](StoreReader& reader) {
    // One line more than asked for, since the range is open at its old end.
    const HistoryId after{own ? own.value - 1 : 0};
    Result<Lines> newest = reader.history(head, after, kLifeLines, kLifeBytes);
    if (!newest || !own) return newest;
    if (!newest->empty() && newest->front().id <= own) return newest;
    Result<Lines> asked = reader.history(own, after, 1, SIZE_MAX);
    if (!asked) return asked;
    newest->insert(newest->begin(), asked->begin(), asked->end());
    return newest;
  });
  if (!lines) co_return lines.error();
  std::erase_if(*lines, [&](const HistoryRow& line) { return !belongs_to(line, life); });
  co_return std::move(*lines);
}

Operations::Answered Operations::dead_list(Arguments arguments) {
  using Letters = std::vector<DeadLetter>;
  const std::size_t limit = limit_of(arguments);
  const std::int64_t before = arguments.integer("before");
  const Result<Letters> letters = co_await parts_.store.read<Letters>(
      [limit, before](StoreReader& reader) { return reader.dead_letters(limit, before); });
  if (!letters) co_return letters.error();
  json::array list;
  for (const DeadLetter& letter : *letters) list.push_back(dead_json(letter));
  const std::int64_t last = letters->empty() ? 0 : letters->back().id;
  co_return json_answer(
      {{"dead", std::move(list)}, {"next", next_json(letters->size(), limit, last)}});
}

Operations::Answered Operations::dead_show(Arguments arguments) {
  const std::int64_t id = arguments.integer("id");
  using Letter = std::optional<DeadLetter>;
  const Result<Letter> letter = co_await parts_.store.read<Letter>(
      [id](StoreReader& reader) { return reader.dead_letter(id); });
  if (!letter) co_return letter.error();
  if (!*letter) co_return no_dead_letter(id);
  json::object object = dead_json(**letter);
  if ((*letter)->message) object["text"] = (*letter)->message->text;
  if ((*letter)->outgoing) object["text"] = (*letter)->outgoing->text;
  co_return json_answer(std::move(object));
}

Operations::Answered Operations::dead_redrive(Arguments arguments) {
  const std::int64_t id = arguments.integer("id");
  const Result<void> done = co_await parts_.gateway.redrive(id);
  if (!done) co_return done.error();
  co_return json_answer({{"id", id}, {"redriven", true}});
}

Operations::Answered Operations::dead_redrive_all(Arguments arguments) {
  using Letters = std::vector<DeadLetter>;
  const auto limit =
      static_cast<std::size_t>(arguments.integer("limit", std::int64_t{kRedriveAllMost}));
  const std::int64_t before = arguments.integer("before");
  const Result<Letters> letters = co_await parts_.store.read<Letters>(
      [limit, before](StoreReader& reader) { return reader.dead_letters(limit, before); });
  if (!letters) co_return letters.error();
  std::int64_t redriven = 0;
  json::array failed;
  // The oldest first, so that a conversation's dead messages run again in their order.
  for (auto letter = letters->rbegin(); letter != letters->rend(); ++letter) {
    const std::int64_t id = letter->id;
    const Result<void> done = co_await parts_.gateway.redrive(id);
    if (done) {
      ++redriven;
    } else if (done.error().kind() != ErrorKind::kNotFound) {  // somebody else was faster
      failed.push_back(json::object{{"id", id}, {"reason", done.error().to_string()}});
    }
  }
  const std::int64_t last = letters->empty() ? 0 : letters->back().id;
  co_return json_answer({{"redriven", redriven},
                         {"failed", std::move(failed)},
                         {"next", next_json(letters->size(), limit, last)}});
}

Operations::Answered Operations::dead_discard(Arguments arguments) {
  const std::int64_t id = arguments.integer("id");
  const Result<void> done = co_await parts_.gateway.discard(id);
  if (!done) co_return done.error();
  co_return json_answer({{"id", id}, {"discarded", true}});
}

}  // namespace sluice::admin
