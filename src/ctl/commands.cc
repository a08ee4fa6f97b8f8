#include "ctl/commands.h"

#include <algorithm>

#include <fmt/format.h>
#include <sys/random.h>

#include "base/assert.h"
#include "ctl/operator_commands.h"
#include "runtime/task_group.h"

namespace sluice::ctl {
namespace {

using Kind = ArgSpec::Kind;

const ArgSpec kId{"id", Kind::kPositional, "ID", "its number", true};
const ArgSpec kBefore{"before", Kind::kOption, "ID", "only older ones: the next page"};
const ArgSpec kLimit{"limit", Kind::kOption, "N", "how many at most (50; 500 is the most)"};
const ArgSpec kAccount{"account", Kind::kPositional, "ACCOUNT", "the account's name", true};
const ArgSpec kService{"service", Kind::kPositional, "SERVICE", "the service's name", true};
const ArgSpec kOfAccount{"account", Kind::kOption, "NAME", "the account they write to", true};
const ArgSpec kPerson{"person", Kind::kOption, "ID", "the platform's id of the person", true};

std::vector<CommandSpec> looking_commands() {
  return {
      {"chat",
       "Talk to an agent, from the terminal or a pipe",
       {{"conversation", Kind::kOption, "NAME", "which conversation (main)"},
        {"stdin", Kind::kFlag, "", "all of standard input is one message"}},
       &command::chat_here},
      {"status", "What the daemon is doing", {}, &command::status},
      {"metrics", "Its metrics, in Prometheus's text format", {}, &command::metrics},
      {"messages",
       "Search messages, the newest first",
       {{"account", Kind::kOption, "NAME", "of this account"},
        {"chat", Kind::kOption, "ID", "in this chat"},
        {"person", Kind::kOption, "ID", "of this person"},
        {"outcome", Kind::kOption, "WORD",
         "pending, answered, failed, stopped, dead, expired, withdrawn, replaced, handled, "
         "dropped"},
        kBefore,
        kLimit},
       &command::messages},
      {"messages show", "One message's whole life", {kId}, &command::messages_show},
      {"dead list",
       "What could not be processed or delivered",
       {kBefore, kLimit},
       &command::dead_list},
      {"dead show", "One dead letter with its text", {kId}, &command::dead_show},
      {"route",
       "Which agent would answer a message, and why",
       {{"account", Kind::kOption, "NAME", "the account it comes to (http)"},
        {"chat", Kind::kOption, "ID", "in this chat"},
        {"group", Kind::kFlag, "", "which is a group"},
        {"person", Kind::kOption, "ID", "of this person"},
        {"explain", Kind::kFlag, "", "show every route, and why it matches or does not"},
        {"text", Kind::kPositional, "TEXT", "the message"}},
       &command::route},
      {"services list",
       "Extension services, and how they are",
       {{"capability", Kind::kOption, "WORD", "only those that have it"}},
       &command::services_list},
      {"services show",
       "One service, with its tools and their arguments",
       {kService},
       &command::services_show},
      {"services logs",
       "The last lines of a service's standard error, and what became of it",
       {kService},
       &command::services_logs},
      {"token list", "Tokens, without their secrets", {}, &command::token_list},
  };
}

std::vector<CommandSpec> changing_commands() {
  return {
      {"dead redrive",
       "Run a dead message again, or send a dead part again",
       {{"id", Kind::kPositional, "ID", "its number"}, {"all", Kind::kFlag, "", "all there are"}},
       &command::dead_redrive},
      {"dead discard", "Give a dead letter up", {kId}, &command::dead_discard},
      {"link", "Make a link that signs a browser in, once", {}, &command::link},
      {"token add",
       "Make a token for the HTTP API; it is shown this once",
       {{"name", Kind::kPositional, "NAME", "who or what it is for", true},
        {"scope", Kind::kMany, "SCOPE", "what it may do, may be repeated"},
        {"admin", Kind::kFlag, "", "it may do what the operator may: --scope admin"}},
       &command::token_add},
      {"token revoke",
       "Take a token back, at once",
       {{"id", Kind::kPositional, "ID", "from the list", true}},
       &command::token_revoke},
      {"pause",
       "Hold what an account would send",
       {kAccount, {"reason", Kind::kOption, "TEXT", "kept with the state"}},
       &command::pause},
      {"resume", "Let a paused, parked or held account go on", {kAccount}, &command::resume},
      {"erase",
       "Remove all that a person wrote, for good",
       {kOfAccount,
        kPerson,
        {"stop", Kind::kFlag, "", "stop what they have running instead of waiting"},
        {"yes", Kind::kFlag, "", "I mean it"}},
       &command::erase},
      {"export",
       "All that is stored about a person, one JSON object a line",
       {kOfAccount,
        kPerson,
        {"out", Kind::kOption, "FILE", "a new file (0600), else standard output"}},
       &command::export_person},
      {"backup",
       "Write a backup while the daemon runs",
       {{"file", Kind::kPositional, "FILE", "a new file, written by the daemon", true}},
       &command::backup},
      {"stop-turn",
       "Stop the answer that is being made in a conversation",
       {{"conversation", Kind::kPositional, "CONVERSATION", "its number, from status", true}},
       &command::stop_turn},
      {"services start",
       "Start a service that was stopped or given up",
       {kService},
       &command::services_start},
      {"services stop", "Stop a service, until it is started", {kService}, &command::services_stop},
      {"services call",
       "Call a tool of a service",
       {kService,
        {"tool", Kind::kPositional, "TOOL", "the tool's name", true},
        {"arguments", Kind::kPositional, "JSON", "its arguments, a JSON object ({})"},
        {"timeout", Kind::kOption, "TIME", "how long it may take, like 90s (the service's own)"}},
       &command::services_call},
      {"drain",
       "Accept nothing new, and go on running",
       {{"undo", Kind::kFlag, "", "accept again"}},
       &command::drain},
      {"reload", "Read the configuration again, and apply what changed", {}, &command::reload},
      {"restart",
       "Hand over to a new process; nobody is refused meanwhile",
       {{"queue", Kind::kFlag, "", "wait for a restart that is not over yet, then begin"},
        {"wait", Kind::kFlag, "", "until the earlier process has ended, too"}},
       &command::restart},
      {"shutdown", "Stop the daemon, as SIGTERM does", {}, &command::shutdown},
      {"clock accept", "The system's clock is right: let expiry go on", {}, &command::clock_accept},
  };
}

std::vector<CommandSpec> make_commands() {
  std::vector<CommandSpec> all = looking_commands();
  for (CommandSpec& one : changing_commands()) all.push_back(std::move(one));
  return all;
}

/// Not a secret: it only makes jitter and ids differ between runs.
std::uint64_t seed() {
  std::uint64_t value = 0;
  SLUICE_ASSERT(::getrandom(&value, sizeof value, 0) == sizeof value);
  return value;
}

Task<void> keep_code(Task<int> task, Shard* shard, int* code) {
  *code = co_await std::move(task);
  shard->stop();
}

using Command = Task<int> (*)(Session*, Values);

int drive(Command command, const ClientOptions& options, const Values& values, Console& console) {
  SystemClock clock;
  Shard shard(clock, seed());
  Client client(shard, options);
  Session session{shard, client, console, options.json};
  int code = kFailed;
  {
    TaskGroup group(shard);
    group.spawn("command", keep_code(command(&session, values), &shard, &code));
    shard.run();
  }
  console.out.flush();
  return code;
}

}  // namespace

std::string Values::get(std::string_view name) const {
  const auto found = given_.find(name);
  return found == given_.end() ? std::string() : found->second.back();
}

std::vector<std::string> Values::all(std::string_view name) const {
  const auto found = given_.find(name);
  return found == given_.end() ? std::vector<std::string>() : found->second;
}

std::span<const CommandSpec> commands() {
  static const std::vector<CommandSpec> kCommands = make_commands();
  return kCommands;
}

const CommandSpec* find_command(std::string_view name) {
  const auto all = commands();
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const CommandSpec& c) { return c.name == name; });
  return found == all.end() ? nullptr : &*found;
}

int run(const CommandSpec& command, const ClientOptions& options, const Values& values,
        Console console) {
  for (const ArgSpec& arg : command.args) {
    if (!arg.required || !values.get(arg.name).empty()) continue;
    const bool positional = arg.kind == Kind::kPositional;
    console.err << fmt::format("sluice {}: {} is missing\n", command.name,
                               positional ? std::string(arg.value) : fmt::format("--{}", arg.name));
    return kUsage;
  }
  return drive(command.run, options, values, console);
}

int run_doctor(const ClientOptions& options, bool deep, Console console) {
  Values values;
  if (deep) values.add("deep", "");
  return drive(&command::doctor, options, values, console);
}

}  // namespace sluice::ctl
