// Operations on people: erasing, exporting, and the tokens they come in with.

#include <boost/json.hpp>
#include <fmt/format.h>

#include "admin/operations.h"
#include "admin/rows.h"
#include "runtime/wait.h"

namespace sluice::admin {

namespace json = boost::json;

namespace {

constexpr Duration kLookAgain = std::chrono::milliseconds(50);
constexpr std::size_t kStopAtOnce = 100;  // conversations of one person

Error not_offered(std::string_view what) {
  return Error(ErrorKind::kUnsupported, std::string(what) + " is not available in this daemon");
}

std::vector<Param> person_params() {
  return {Param::text("account", "the account that the person writes to").needed(),
          Param::text("person", "the platform's id of the person").needed()};
}

/// What the export's line() writes to, shared with the thread that calls it.
struct Export {
  std::shared_ptr<Spool> spool;
  Result<void> failed;
};

/// Keeps what the person sends out until the erasure is over, however it ends.
class HeldPerson {
 public:
  HeldPerson(const GatewayFace& gateway, std::string account, std::string person)
      : gateway_(gateway), account_(std::move(account)), person_(std::move(person)) {
    gateway_.hold_person(account_, person_, true);
  }
  ~HeldPerson() { gateway_.hold_person(account_, person_, false); }
  HeldPerson(const HeldPerson&) = delete;
  HeldPerson& operator=(const HeldPerson&) = delete;

 private:
  const GatewayFace& gateway_;
  std::string account_;
  std::string person_;
};

}  // namespace

void Operations::add_people() {
  std::vector<Param> erase = person_params();
  erase.push_back(
      Param::flag("stop", "stop what the person has running instead of waiting for it"));
  add("person.erase", "POST people/erase", std::move(erase),
      "Removes a person's texts, images and history for good, from the file and its log too. Waits "
      "up to "
      "ten "
      "seconds until the person has nothing pending. Backups are out of reach.",
      &Operations::person_erase);
  add("person.export", "GET people/export", person_params(),
      "Everything stored about a person: one JSON object a line. The header Sluice-Lines tells how "
      "many.",
      &Operations::person_export);
  add("token.add", "POST tokens",
      {Param::text("name", "who or what it is for").needed(),
       Param::strings("scopes", "what it may do; none: the least")},
      "Makes a token. Its secret is in the answer and never told again.", &Operations::token_add);
  add("token.list", "GET tokens", {}, "Tokens, without their secrets.", &Operations::token_list);
  add("token.revoke", "DELETE tokens/{id}", {Param::text("id", "the token's id").needed()},
      "Takes a token back, at once.", &Operations::token_revoke);
}

Operations::Answered Operations::token_add(Arguments arguments) {
  if (!parts_.hooks.token_add) co_return not_offered("adding a token");
  const auto made =
      co_await parts_.hooks.token_add(arguments.text("name"), arguments.strings("scopes"));
  if (!made) co_return made.error();
  json::object object = token_json(made->info);
  object["token"] = made->secret;
  co_return json_answer(std::move(object));
}

Operations::Answered Operations::token_list(Arguments) {
  if (!parts_.hooks.token_list) co_return not_offered("listing tokens");
  const auto tokens = co_await parts_.hooks.token_list();
  if (!tokens) co_return tokens.error();
  json::array list;
  for (const TokenInfo& token : *tokens) list.push_back(token_json(token));
  co_return json_answer({{"tokens", std::move(list)}});
}

Operations::Answered Operations::token_revoke(Arguments arguments) {
  if (!parts_.hooks.token_revoke) co_return not_offered("revoking a token");
  const std::string id = arguments.text("id");
  const Result<void> done = co_await parts_.hooks.token_revoke(id);
  if (!done) co_return done.error();
  co_return json_answer({{"id", id}, {"revoked", true}});
}

/// Erasing under a running turn would be overtaken by what the turn then writes.
Task<Result<void>> Operations::until_quiet(std::string account, std::string person, bool stop) {
  const MonoTime give_up = parts_.loop.now() + kErasePatience;
  while (parts_.gateway.person_is_active(account, person)) {
    if (stop) {
      MessageFilter filter;
      filter.account = account;
      filter.sender = person;
      filter.pending_only = true;
      filter.limit = kStopAtOnce;
      using Found = std::vector<FoundMessage>;
      const Result<Found> pending = co_await parts_.store.read<Found>(
          [filter](StoreReader& reader) { return reader.find_messages(filter); });
      if (!pending) co_return pending.error();
      for (const FoundMessage& message : *pending) {
        // Not found: it is not that conversation's turn yet.
        const Result<void> stopped = parts_.gateway.stop_turn(message.lane);
        (void)stopped;
      }
    }
    if (parts_.loop.now() >= give_up) {
      co_return Error(ErrorKind::kConflict,
                      stop ? "the person still has messages that could not be stopped; try again"
                           : "the person has messages that are not answered yet: wait, or ask to "
                             "stop them",
                      ErrorSource::kPeer, Retry::after(std::chrono::seconds(10)));
    }
    co_await sleep_for(parts_.loop, kLookAgain);
  }
  co_return Result<void>();
}

Operations::Answered Operations::person_erase(Arguments arguments) {
  if (!parts_.hooks.erase_person) co_return not_offered("erasing");
  const std::string account = arguments.text("account");
  const std::string person = arguments.text("person");
  const HeldPerson held(parts_.gateway, account, person);
  const Result<void> quiet = co_await until_quiet(account, person, arguments.flag("stop"));
  if (!quiet) co_return quiet.error();
  const Result<Counts> counts = co_await parts_.hooks.erase_person(account, person);
  if (!counts) co_return counts.error();
  json::object erased;
  for (const auto& [name, count] : *counts) erased[name] = count;
  co_return json_answer({{"account", account}, {"person", person}, {"erased", std::move(erased)}});
}

Operations::Answered Operations::person_export(Arguments arguments) {
  if (!parts_.hooks.export_person) co_return not_offered("exporting");
  auto spool = Spool::open(parts_.data_directory);
  if (!spool) co_return spool.error();
  const auto sink = std::make_shared<Export>();
  sink->spool = *spool;
  std::function<bool(std::string_view)> line = [sink](std::string_view text) {
    sink->failed = sink->spool->line(text);
    return sink->failed.has_value();
  };
  const Result<void> done = co_await parts_.hooks.export_person(
      arguments.text("account"), arguments.text("person"), std::move(line));
  if (!done) co_return done.error();
  if (!sink->failed) co_return sink->failed.error();
  const Result<void> finished = sink->spool->finish();
  if (!finished) co_return finished.error();
  Answer answer;
  answer.content_type = "application/x-ndjson";
  answer.spool = *spool;
  co_return answer;
}

}  // namespace sluice::admin
