#include "app/init.h"

#include <filesystem>
#include <iostream>
#include <optional>

#include <fmt/format.h>
#include <unistd.h>

#include "agents/anthropic/anthropic_agent.h"
#include "agents/model/model_options.h"
#include "agents/openai/openai_agent.h"
#include "app/commands.h"
#include "app/init_files.h"
#include "app/init_model.h"
#include "app/init_plan.h"
#include "app/init_terminal.h"
#include "app/process.h"
#include "ctl/client.h"
#include "runtime/task_group.h"

namespace sluice::app {
namespace {

constexpr std::size_t kModelsShown = 20;
constexpr const char* kAnthropicUrl = "https://api.anthropic.com";

template <class T>
Task<void> keep(Task<T> task, Shard* shard, std::optional<T>* out) {
  out->emplace(co_await std::move(task));
  shard->stop();
}

/// One question to the network, to its end: make(shard, client) is the task. A shard runs once.
template <class T, class Make>
T ask_network(const Make& make) {
  SystemClock clock;
  Shard shard(clock, random_seed());
  net::HttpClient client(shard, net::HttpClientOptions{});
  std::optional<T> out;
  {
    TaskGroup group(shard);
    group.spawn("init", keep<T>(make(&shard, &client), &shard, &out));
    shard.run();
  }
  return std::move(*out);
}

Result<std::vector<std::string>> models_at(const ModelPlace& place) {
  return ask_network<Result<std::vector<std::string>>>(
      [&place](Shard*, net::HttpClient* client) { return list_models(client, place); });
}

Task<bool> answers_at(Shard* shard, std::string socket) {
  ctl::ClientOptions options;
  options.socket = std::move(socket);
  ctl::Client client(*shard, std::move(options));
  const ctl::Reply reply = co_await client.get("/v1/admin/status", std::chrono::seconds(5));
  co_return reply.ok();
}

/// What is to be connected.
struct Choice {
  ModelPlace place;  // kind "echo": nothing else is set
  KeySource key;
};

const char* usual_variable(const std::string& kind) {
  return kind == "anthropic" ? "ANTHROPIC_API_KEY" : "OPENAI_API_KEY";
}

const char* public_url(const std::string& kind) {
  return kind == "anthropic" ? kAnthropicUrl : OpenAiOptions::kPublicUrl;
}

class Init {
 public:
  Init(const config::Schema& schema, const PathOptions& paths, const InitOptions& options)
      : schema_(schema), paths_(paths), options_(options), terminal_(STDIN_FILENO, std::cout) {}

  int run();

 private:
  // Each returns nothing where the person gives up or exit_code_ says why it ends.
  std::optional<Choice> ask_all();
  std::optional<Choice> ask_api(std::string kind);
  bool ask_key(Choice& choice);
  bool ask_model_name(Choice& choice, const std::vector<std::string>& models);
  std::optional<Choice> from_options();
  bool key_from_options(Choice& choice);

  bool check(const Choice& choice);
  int write(const InitFile& file, const config::Config& before, const Choice& choice);
  void say_next(const InitFile& file);
  bool fail(int code, std::string_view text);

  const config::Schema& schema_;
  const PathOptions& paths_;
  const InitOptions& options_;
  Terminal terminal_;
  int exit_code_ = kExitStartFailed;
};

bool Init::fail(int code, std::string_view text) {
  exit_code_ = code;
  fmt::print(stderr, "sluice: {}\n", text);
  return false;
}

/// Reads what --key-env or --key-file names. False if that fails.
bool Init::key_from_options(Choice& choice) {
  config::SystemSecrets secrets;
  if (!options_.key_env.empty()) {
    choice.key = {KeySource::From::kEnvironment, options_.key_env};
    std::optional<config::Secret> key = secrets.environment(options_.key_env);
    if ((!key || key->empty()) && !options_.no_check) {
      return fail(kExitUsage, fmt::format("${} is not set", options_.key_env));
    }
    if (key) choice.place.key = std::move(*key);
  } else if (!options_.key_file.empty()) {
    const std::string path =
        std::filesystem::absolute(options_.key_file).lexically_normal().string();
    choice.key = {KeySource::From::kFile, path};
    Result<config::Secret> key = secrets.file(path);
    if (!key) return fail(kExitUsage, key.error().context());
    choice.place.key = std::move(*key);
  }
  return true;
}

std::optional<Choice> Init::from_options() {
  Choice choice;
  choice.place.kind = options_.agent;
  if (choice.place.kind.empty()) choice.place.kind = options_.base_url.empty() ? "echo" : "openai";
  if (choice.place.kind == "echo") {
    const bool more = !options_.base_url.empty() || !options_.model.empty() ||
                      !options_.key_env.empty() || !options_.key_file.empty();
    if (!more) return choice;
    fail(kExitUsage, "echo has no URL, model or key: say --agent openai or --agent anthropic");
    return std::nullopt;
  }
  choice.place.base_url =
      options_.base_url.empty() ? public_url(choice.place.kind) : options_.base_url;
  const std::string wrong = check_base_url(choice.place.base_url);
  if (!wrong.empty()) {
    fail(kExitUsage, fmt::format("--base-url {}", wrong));
    return std::nullopt;
  }
  if (!key_from_options(choice)) return std::nullopt;
  if (choice.place.base_url == public_url(choice.place.kind) &&
      choice.key.from == KeySource::From::kNowhere) {
    fail(kExitUsage,
         fmt::format("{} needs a key: --key-env NAME or --key-file FILE", choice.place.base_url));
    return std::nullopt;
  }
  choice.place.model = options_.model;
  if (!choice.place.model.empty()) return choice;
  // One that is alone needs no name.
  const auto models = models_at(choice.place);
  if (!models) {
    fail(kExitStartFailed, fmt::format("{}: {}", choice.place.base_url, models.error().context()));
    return std::nullopt;
  }
  if (models->size() != 1) {
    std::string text = fmt::format("{} has {} models; name one with --model", choice.place.base_url,
                                   models->size());
    for (std::size_t i = 0; i < std::min(models->size(), kModelsShown); ++i) {
      text += "\n  " + (*models)[i];
    }
    fail(kExitUsage, text);
    return std::nullopt;
  }
  choice.place.model = models->front();
  return choice;
}

std::optional<Choice> Init::ask_all() {
  const std::vector<FoundServer> servers = ask_network<std::vector<FoundServer>>(
      [this](Shard*, net::HttpClient* client) { return find_servers(client, options_.ports); });
  terminal_.say("What shall answer?\n");
  std::size_t n = 0;
  for (const FoundServer& server : servers) {
    terminal_.say(fmt::format("  {}  the model server of this machine at {}, with {} model{}\n",
                              ++n, server.base_url, server.models.size(),
                              server.models.size() == 1 ? "" : "s"));
  }
  terminal_.say(fmt::format("  {}  OpenAI, or any server that speaks its API\n", n + 1));
  terminal_.say(fmt::format("  {}  Anthropic\n", n + 2));
  terminal_.say(fmt::format("  {}  echo: repeats what it is told, for trying things out\n", n + 3));
  const auto chosen = terminal_.choose("Number", n + 3, servers.empty() ? n + 3 : 1);
  if (!chosen) return std::nullopt;
  if (*chosen == n + 1) return ask_api("openai");
  if (*chosen == n + 2) return ask_api("anthropic");
  Choice choice;
  choice.place.kind = *chosen == n + 3 ? "echo" : "openai";
  if (*chosen == n + 3) return choice;
  choice.place.base_url = servers[*chosen - 1].base_url;
  if (!ask_model_name(choice, servers[*chosen - 1].models)) return std::nullopt;
  return choice;
}

std::optional<Choice> Init::ask_api(std::string kind) {
  Choice choice;
  choice.place.kind = std::move(kind);
  const std::string usual = public_url(choice.place.kind);
  constexpr int kTries = 10;
  std::string wrong;
  for (int i = 0; i < kTries && (i == 0 || !wrong.empty()); ++i) {
    const auto url = terminal_.ask("Base URL", usual);
    if (!url) return std::nullopt;
    choice.place.base_url = *url;
    wrong = check_base_url(*url);
    if (!wrong.empty()) terminal_.say(fmt::format("  {}\n", wrong));
  }
  if (!wrong.empty() || !ask_key(choice)) return std::nullopt;
  const auto models = models_at(choice.place);
  // That it lists no models is no reason to stop: not every server does. The call will tell.
  if (!models) terminal_.say(fmt::format("  No list of models: {}\n", models.error().context()));
  if (!ask_model_name(choice, models ? *models : std::vector<std::string>())) return std::nullopt;
  return choice;
}

bool Init::ask_key(Choice& choice) {
  const char* variable = usual_variable(choice.place.kind);
  config::SystemSecrets secrets;
  std::optional<config::Secret> from_environment = secrets.environment(variable);
  if (from_environment && !from_environment->empty()) {
    const auto answer = terminal_.ask(
        fmt::format("Use the key in ${}? The daemon needs it in its environment too (y/n)",
                    variable),
        "y");
    if (!answer) return false;
    if (*answer == "y" || *answer == "yes") {
      choice.key = {KeySource::From::kEnvironment, variable};
      choice.place.key = std::move(*from_environment);
      return true;
    }
  }
  const auto typed = terminal_.ask_hidden("Key (not shown; empty if it needs none)");
  if (!typed) return false;
  if (!typed->empty()) {
    choice.key.from = KeySource::From::kTyped;
    choice.place.key = config::Secret(*typed);
  }
  return true;
}

bool Init::ask_model_name(Choice& choice, const std::vector<std::string>& models) {
  const std::size_t shown = std::min(models.size(), kModelsShown);
  for (std::size_t i = 0; i < shown; ++i) terminal_.say(fmt::format("  {}\n", models[i]));
  if (shown < models.size()) {
    terminal_.say(fmt::format("  and {} more\n", models.size() - shown));
  }
  constexpr int kTries = 10;
  for (int i = 0; i < kTries; ++i) {
    const auto name = terminal_.ask("Model", shown == 0 ? "" : models.front());
    if (!name) return false;
    choice.place.model = *name;
    if (!name->empty()) return true;
    terminal_.say("  it needs the model's name, as the API knows it\n");
  }
  return false;
}

/// One real call. True if the choice is to be written.
bool Init::check(const Choice& choice) {
  if (choice.place.kind == "echo" || options_.no_check) return true;
  terminal_.say(fmt::format("Asking {} at {} …\n", ctl::safe_line(choice.place.model),
                            choice.place.base_url));
  const auto answered =
      ask_network<Result<Answered>>([&choice](Shard* shard, net::HttpClient* client) {
        return ask_model(shard, client, choice.place);
      });
  if (!answered) {
    return fail(kExitStartFailed,
                fmt::format("{}: {}", choice.place.base_url, answered.error().context()));
  }
  terminal_.say(fmt::format("  it answered within {:.1f} s: {}\n",
                            static_cast<double>(answered->took.count()) / 1000,
                            answered->text.empty() ? "(still thinking)" : answered->text));
  return true;
}

int Init::write(const InitFile& file, const config::Config& before, const Choice& choice) {
  const InitPlan plan =
      plan_init(before, {choice.place.kind, choice.place.base_url, choice.place.model, choice.key});
  Result<std::string> text = edit_toml(file.text, plan.edits);
  if (!text) {
    fmt::print(stderr, "sluice: {}: {}. Put this in by hand:\n\n{}", file.path,
               text.error().context(), toml_lines(plan.edits));
    return kExitStartFailed;
  }
  const config::Loaded after = load_without_secrets(schema_, *text, file.path);
  if (!after.config) {
    fmt::print(stderr, "sluice: this would not load, so it is not written:\n{}", after.to_string());
    return kExitBadConfig;
  }
  std::string key_path;
  if (!plan.key_file.empty()) {
    key_path = file.folder + "/" + plan.key_file;
    const auto kept = write_beside(file, key_path, std::string(choice.place.key.reveal()) + "\n");
    if (!kept) return fail(kExitStartFailed, kept.error().context()), exit_code_;
  }
  terminal_.say("\n");
  if (file.exists && *text == file.text) {
    terminal_.say(fmt::format("  config    {}  (says so already)\n", file.path));
  } else {
    const Result<std::string> copy = write_init_file(file, *text);
    if (!copy) return fail(kExitStartFailed, copy.error().context()), exit_code_;
    terminal_.say(copy->empty()
                      ? fmt::format("  config    {}  (new)\n", file.path)
                      : fmt::format("  config    {}  (as it was: {})\n", file.path, *copy));
  }
  if (!key_path.empty()) terminal_.say(fmt::format("  key       {}\n", key_path));
  terminal_.say(fmt::format("  agent     {}\n\n", plan.agent));
  say_next(file);
  return kExitClean;
}

/// How to get to a chat from here.
void Init::say_next(const InitFile& file) {
  std::string options;
  if (!paths_.config.empty()) options += " --config " + paths_.config;
  if (!paths_.data.empty()) options += " --data " + paths_.data;
  bool runs = false;
  if (const Result<std::string> socket = find_control_socket(schema_, paths_)) {
    runs = ask_network<bool>(
        [&socket](Shard* shard, net::HttpClient*) { return answers_at(shard, *socket); });
  }
  const bool service =
      file.path == "/etc/sluice/sluice.toml" && ::access("/run/systemd/system", F_OK) == 0;
  if (runs) terminal_.say("The running daemon takes this up when it is started again.\n");
  if (service) {
    terminal_.say(
        "Next:  systemctl reload-or-restart sluice\n"
        "       sluice link    a link for the browser, which works once\n"
        "       sluice chat    or talk to it here\n");
    return;
  }
  terminal_.say(
      fmt::format("Next:  sluice run{0}     prints a link for the browser, which works once\n"
                  "       sluice chat{0}    talks to it from another terminal\n",
                  options));
}

int Init::run() {
  const Result<ConfigPath> found = find_config(paths_.config);
  if (!found) return fail(kExitStartFailed, found.error().context()), exit_code_;
  const bool there = ::access(found->path.c_str(), F_OK) == 0;
  if (options_.if_new && (found->given || there)) return kExitClean;
  const Result<InitFile> file = read_init_file(schema_, found->path);
  if (!file) return fail(kExitStartFailed, file.error().context()), exit_code_;
  const config::Loaded before = load_without_secrets(schema_, file->text, file->path);
  if (!before.config) {
    fmt::print(stderr, "{}sluice: correct {} first\n", before.to_string(), file->path);
    return kExitBadConfig;
  }
  const bool asks = !options_.yes && options_.agent.empty() && options_.base_url.empty() &&
                    ::isatty(STDIN_FILENO) == 1 && ::isatty(STDOUT_FILENO) == 1;
  constexpr int kTries = 20;
  for (int i = 0; i < kTries; ++i) {
    const std::optional<Choice> choice = asks ? ask_all() : from_options();
    if (!choice && asks) fmt::print(stderr, "\nsluice: nothing was written\n");
    if (!choice) return exit_code_;
    if (check(*choice)) return write(*file, *before.config, *choice);
    if (!asks) return exit_code_;
    const auto next =
        terminal_.ask("Try again (t), write it all the same (w), or give up (g)", "t");
    if (next && *next == "w") return write(*file, *before.config, *choice);
    if (!next || *next != "t") break;
  }
  fmt::print(stderr, "sluice: nothing was written\n");
  return exit_code_;
}

}  // namespace

int init(const config::Schema& schema, const PathOptions& paths, const InitOptions& options) {
  prepare_process();
  return Init(schema, paths, options).run();
}

}  // namespace sluice::app
