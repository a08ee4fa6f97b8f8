// The command line. CLI11 is in this file alone.

#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/core.h>
#include <unistd.h>

#include "app/commands.h"
#include "app/init.h"
#include "app/process.h"
#include "app/run.h"
#include "app/settings.h"
#include "app/version.h"
#include "config/diagnostic.h"
#include "ctl/commands.h"

namespace sluice::app {
namespace {

/// What was given on the command line, for whichever command it was.
struct Given {
  PathOptions paths;
  std::string file;
  bool reference = false;
  bool deep = false;
  bool json = false;
  bool replace = false;
  bool take_over = false;
  InitOptions init;
};

void add_paths(CLI::App* command, Given& given) {
  command->add_option("--config", given.paths.config, "the configuration file");
  command->add_option("--data", given.paths.data, "the data directory");
}

CLI::App* add_init(CLI::App& root, Given& given) {
  CLI::App* command =
      root.add_subcommand("init", "Connect an agent: ask what, try it, write the configuration");
  add_paths(command, given);
  InitOptions& init = given.init;
  command->add_option("--agent", init.agent, "what answers; nothing more is asked then")
      ->type_name("KIND")
      ->check(CLI::IsMember({"echo", "openai", "anthropic"}));
  command->add_option("--base-url", init.base_url, "where its API is")->type_name("URL");
  command->add_option("--model", init.model, "the model's name")->type_name("NAME");
  CLI::Option* variable =
      command->add_option("--key-env", init.key_env, "the environment variable with the key")
          ->type_name("NAME");
  command->add_option("--key-file", init.key_file, "the file with the key")
      ->type_name("FILE")
      ->excludes(variable);
  command->add_option("--port", init.ports, "where to look for model servers on this machine")
      ->type_name("PORT")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  command->add_flag("--no-check", init.no_check, "write it without asking the model");
  command->add_flag("--yes", init.yes, "ask nothing: echo, unless options say otherwise");
  command->add_flag("--if-new", init.if_new, "do nothing where there is a configuration");
  return command;
}

/// A client command as a subcommand, with what CLI11 reads into.
struct ClientCommand {
  const ctl::CommandSpec* spec = nullptr;
  CLI::App* app = nullptr;
  // As the arguments of spec. Lists, because CLI11 keeps pointers to them.
  std::vector<std::unique_ptr<std::vector<std::string>>> values;
  std::vector<std::unique_ptr<bool>> flags;
};

/// "messages show" becomes a subcommand of "messages".
CLI::App* subcommand(CLI::App& root, std::string_view name, const std::string& help) {
  CLI::App* parent = &root;
  const std::size_t space = name.find(' ');
  if (space != std::string_view::npos) {
    const std::string first(name.substr(0, space));
    const auto known = root.get_subcommands(
        [&first](const CLI::App* command) { return command->get_name() == first; });
    parent =
        known.empty()
            ? root.add_subcommand(first, "See: sluice " + first + " --help")->require_subcommand(1)
            : known.front();
    name.remove_prefix(space + 1);
  }
  return parent->add_subcommand(std::string(name), help);
}

ClientCommand add_client_command(CLI::App& root, const ctl::CommandSpec& spec, Given& given) {
  using Kind = ctl::ArgSpec::Kind;
  ClientCommand out;
  out.spec = &spec;
  out.app = subcommand(root, spec.name, std::string(spec.help));
  add_paths(out.app, given);
  out.app->add_flag("--json", given.json, "answer as JSON");
  for (const ctl::ArgSpec& arg : spec.args) {
    auto& value = out.values.emplace_back(std::make_unique<std::vector<std::string>>());
    auto& flag = out.flags.emplace_back(std::make_unique<bool>(false));
    const std::string help(arg.help);
    if (arg.kind == Kind::kFlag) {
      out.app->add_flag("--" + std::string(arg.name), *flag, help);
      continue;
    }
    const bool positional = arg.kind == Kind::kPositional;
    const std::string name(positional ? std::string(arg.value) : "--" + std::string(arg.name));
    CLI::Option* option = out.app->add_option(name, *value, help);
    // What follows an option of one value is another argument.
    option->expected(1)->allow_extra_args(false)->required(arg.required);
    option->type_name(positional ? "" : std::string(arg.value));
    if (arg.kind == Kind::kMany) option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  }
  return out;
}

int run_client(const config::Schema& schema, const Given& given, const ClientCommand& command) {
  const Result<std::string> socket = find_control_socket(schema, given.paths);
  if (!socket) {
    fmt::print(stderr, "sluice: {}\n", socket.error().context());
    return ctl::kUnreachable;
  }
  ctl::ClientOptions options;
  options.socket = *socket;
  options.json = given.json;
  if (!given.paths.config.empty()) options.start_hint += " --config " + given.paths.config;
  if (!given.paths.data.empty()) options.start_hint += " --data " + given.paths.data;
  ctl::Values values;
  for (std::size_t i = 0; i < command.spec->args.size(); ++i) {
    const std::string name(command.spec->args[i].name);
    if (*command.flags[i]) values.add(name, "");
    for (const std::string& value : *command.values[i]) values.add(name, value);
  }
  const bool interactive = ::isatty(STDIN_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 1;
  return ctl::run(*command.spec, options, values,
                  ctl::Console{std::cout, std::cerr, STDIN_FILENO, interactive});
}

/// What is wrong with the words that were given, where the library only says that a command or an
/// argument is missing or too many; empty where it says more.
std::string what_is_unknown(CLI::App& root) {
  CLI::App* command = &root;
  while (!command->get_subcommands().empty()) command = command->get_subcommands().front();
  const std::vector<std::string> rest = root.remaining(true);
  if (rest.empty()) return "";
  const bool option = rest.front().starts_with('-');
  std::vector<std::string> known;
  if (option) {
    for (const CLI::Option* one : command->get_options()) {
      for (const std::string& name : one->get_lnames()) known.push_back("--" + name);
    }
  } else {
    for (const CLI::App* one : command->get_subcommands({})) known.push_back(one->get_name());
  }
  if (known.empty()) return "";
  const std::string word = config::printable(rest.front());
  const std::string_view near = config::nearest(rest.front(), known);
  return fmt::format("there is no {} \"{}\"{}", option ? "option" : "command", word,
                     near.empty() ? "" : fmt::format("; did you mean \"{}\"?", near));
}

int refuse(CLI::App& root, const CLI::ParseError& error) {
  if (error.get_exit_code() == 0) return root.exit(error) == 0 ? kExitClean : kExitUsage;  // --help
  const std::string unknown = what_is_unknown(root);
  if (unknown.empty()) {
    root.exit(error);
  } else {
    fmt::print(stderr, "sluice: {}\nRun with --help for more information.\n", unknown);
  }
  return kExitUsage;
}

int check(const config::Schema& schema, const Given& given) {
  if (given.reference) {
    fmt::print("{}\n", reference_page(schema));
    return kExitClean;
  }
  std::string file = given.file;
  if (file.empty()) {
    const Result<ConfigPath> found = find_config("");
    if (found) file = found->path;
  }
  return check_config(schema, file);
}

int main(int argc, char** argv) {
  const config::Schema schema = make_schema();
  Given given;
  CLI::App app("A gateway between chat channels and AI agents that loses nothing.", "sluice");
  app.require_subcommand(1);

  CLI::App* run_command = app.add_subcommand("run", "Run the gateway");
  add_paths(run_command, given);
  run_command->add_flag("--take-over", given.take_over,
                        "take the place of the daemon that runs, or end");
  CLI::App* init_command = add_init(app, given);
  CLI::App* check_command = app.add_subcommand("check-config", "Say all that is wrong with a file");
  check_command->add_option("FILE", given.file, "the configuration file");
  check_command->add_flag("--reference", given.reference, "print docs/configuration.md instead");
  CLI::App* version_command = app.add_subcommand("version", "Print the version");
  CLI::App* doctor_command =
      app.add_subcommand("doctor", "Look for what may be wrong, and say what to do about it");
  add_paths(doctor_command, given);
  doctor_command->add_flag("--deep", given.deep, "read the whole store, if a daemon runs");
  doctor_command->add_flag("--json", given.json, "answer as JSON");
  CLI::App* restore_command =
      app.add_subcommand("restore", "Put a backup in place, while no daemon runs");
  add_paths(restore_command, given);
  restore_command->add_option("FILE", given.file, "the backup")->required();
  restore_command->add_flag("--replace", given.replace,
                            "move a store that is there out of the way");

  std::vector<ClientCommand> clients;
  for (const ctl::CommandSpec& spec : ctl::commands()) {
    clients.push_back(add_client_command(app, spec, given));
  }

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return refuse(app, error);
  }
  if (run_command->parsed()) return run(schema, given.paths, given.take_over);
  if (init_command->parsed()) return init(schema, given.paths, given.init);
  if (check_command->parsed()) return check(schema, given);
  if (doctor_command->parsed()) return doctor(schema, given.paths, given.deep, given.json);
  if (restore_command->parsed()) return restore(schema, given.paths, given.file, given.replace);
  if (version_command->parsed()) {
    fmt::print("sluice {}\n", kVersion);
    return kExitClean;
  }
  const ClientCommand* chosen = nullptr;
  for (const ClientCommand& client : clients) {
    // The innermost: "messages show" has parsed "messages" too.
    if (client.app->parsed() &&
        (chosen == nullptr || client.spec->name.size() > chosen->spec->name.size())) {
      chosen = &client;
    }
  }
  return chosen == nullptr ? kExitUsage : run_client(schema, given, *chosen);
}

}  // namespace
}  // namespace sluice::app

int main(int argc, char** argv) { return sluice::app::main(argc, argv); }
