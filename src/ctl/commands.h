#pragma once
// The commands that ask a running daemon, as a table: main turns it into the command line's
// subcommands and hands back what was given. `sluice chat` is one of them (chat.h). Each may be
// given --json as well, which is ClientOptions::json.
//
//   for (const CommandSpec& c : ctl::commands()) …   // "dead redrive": a subcommand of a
//   subcommand return ctl::run(*chosen, options, values, Console{std::cout, std::cerr, 0,
//   interactive});
//
// Thread: one, start to end; run() drives a shard of its own on it.

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ctl/client.h"
#include "ctl/console.h"
#include "runtime/task.h"

namespace sluice::ctl {

struct ArgSpec {
  enum class Kind : std::uint8_t { kPositional, kOption, kFlag, kMany };
  std::string_view
      name;  // "id", given as ID; "account", given as --account NAME; "yes", given as --yes
  Kind kind = Kind::kOption;
  std::string_view value;  // what stands for the value in the help: "NAME"
  std::string_view help;
  bool required = false;
};

/// What was given, by name: values of options and positionals; for a flag one empty value.
class Values {
 public:
  void add(std::string name, std::string value) {
    given_[std::move(name)].push_back(std::move(value));
  }
  bool has(std::string_view name) const { return given_.find(name) != given_.end(); }
  /// The last value; empty if there is none.
  std::string get(std::string_view name) const;
  std::vector<std::string> all(std::string_view name) const;

 private:
  std::map<std::string, std::vector<std::string>, std::less<>> given_;
};

/// What a running command has; lives until it ends.
struct Session {
  Shard& shard;
  Client& client;
  Console& console;
  bool json = false;
};

struct CommandSpec {
  std::string_view name;  // words with spaces between: "messages", "messages show"
  std::string_view help;
  std::vector<ArgSpec> args;
  Task<int> (*run)(Session* session, Values values);
};

std::span<const CommandSpec> commands();
const CommandSpec* find_command(std::string_view name);

/// Returns the exit code (console.h). Missing or malformed values: kUsage.
int run(const CommandSpec& command, const ClientOptions& options, const Values& values,
        Console console);

/// `sluice doctor`, of a running daemon: kUnreachable, with nothing written, if there is none.
int run_doctor(const ClientOptions& options, bool deep, Console console);

}  // namespace sluice::ctl
