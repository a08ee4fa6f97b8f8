#include "app/run.h"

#include <algorithm>
#include <climits>
#include <csignal>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include <fmt/core.h>
#include <poll.h>
#include <unistd.h>

#include "app/daemon.h"
#include "app/file_watch.h"
#include "app/process.h"
#include "app/settings.h"
#include "app/signals.h"
#include "app/successor.h"
#include "app/version.h"
#include "auth/secret_text.h"
#include "config/file.h"
#include "lifecycle/announcer.h"

namespace sluice::app {
namespace {

/// What the process is made of while it runs, and how it is going to end.
struct Running {
  SystemClock clock;
  MonoTime began;
  const config::Schema* schema = nullptr;
  std::shared_ptr<const config::Config> config;
  std::string config_path;
  std::string data;
  std::string control;
  bool wrote_config = false;
  bool take_over = false;    // from the daemon that runs
  std::string path_options;  // what a client needs to find this daemon
  std::unique_ptr<Logger> log;
  Metrics metrics;
  std::optional<Shard> shard;
  UnixSystem system;
  std::optional<lifecycle::Announcer> announcer;
  std::optional<lifecycle::InFlight> in_flight;
  std::optional<lifecycle::ShutdownCoordinator> coordinator;
  std::unique_ptr<Heir> heir;        // of a process before this one; null if there is none
  std::shared_ptr<EarlyRead> early;  // of its store
  std::optional<AgentCalls> calls;
  std::unique_ptr<Daemon> daemon;
  std::optional<Succession> succession;
  FileWatch::Look config_seen;  // before it was read
  std::unique_ptr<FileWatch> watch;
  std::optional<TaskGroup> tasks;
  int exit_code = kExitClean;
};

void say_failed(const Error& error) {
  fmt::print(stderr, "sluice: can't start: {}\n", error.context());
}

/// To standard output, as far as that takes it at once: who started us may have stopped reading
/// long ago, and a successor that waits for a pipe serves nobody.
void say(std::string_view text) {
  while (!text.empty()) {
    pollfd out{STDOUT_FILENO, POLLOUT, 0};
    if (::poll(&out, 1, 0) != 1 || (out.revents & POLLOUT) == 0) return;
    // A pipe that can be written takes so many bytes whole (pipe(7)).
    const ssize_t n =
        ::write(STDOUT_FILENO, text.data(), std::min<std::size_t>(text.size(), PIPE_BUF));
    if (n <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

void print_banner(Running& run) {
  const auto took =
      std::chrono::duration_cast<std::chrono::milliseconds>(run.clock.now() - run.began);
  const std::string base = run.daemon->base_url();
  std::string text = fmt::format("sluice {} is ready after {} ms\n\n", kVersion, took.count());
  text += fmt::format("  chat      sluice chat{}\n", run.path_options);
  if (!base.empty()) {
    const std::string auth =
        fmt::format("-H \"Authorization: Bearer $(cat {})\"", run.daemon->owner_token_path());
    text += fmt::format(
        "  post      curl -sS {} -H 'Content-Type: application/json' "
        "-d '{{\"id\":\"'$(date +%s%N)'\",\"text\":\"hello\"}}' "
        "{}/v1/conversations/main/messages\n",
        auth, base);
    text += fmt::format("  follow    curl -sSN {} {}/v1/conversations/main/events\n", auth, base);
    text += fmt::format("  browser   {}  (works once, for {} minutes)\n", run.daemon->sign_in_url(),
                        auth::OneTimeCodes::kLife.count());
  }
  text += fmt::format("\n  config    {}{}\n", run.config_path, run.wrote_config ? "  (new)" : "");
  text += fmt::format("  data      {}\n  control   {}\n", run.data, run.control);
  say(text);
}

/// Ends the process at once (C28): nothing more is acknowledged, recovery starts from disk.
[[noreturn]] void storage_failed(Logger& log, const Error& error) {
  log.error("storage_failed", {{"error", error.to_string()}});
  std::_Exit(kExitStoreFailed);
}

/// Follows the file, where that is configured.
Task<void> watch(Running* run) {
  for (;;) {
    const Result<void> changed = co_await run->watch->changed();
    if (!changed) {
      run->log->warn("config_not_watched", {{"error", changed.error().to_string()}});
      co_return;
    }
    run->daemon->ask_for_reload();
  }
}

bool predecessor_lives(const Running& run) {
  return run.heir != nullptr && run.heir->earlier_lives();
}

Task<void> listen_to_predecessor(Running* run) {
  co_await run->heir->listen(&run->daemon->gateway());
  run->succession->look_again();
}

Task<Result<void>> restart(Running* run, bool queue) {
  if (!queue) co_return run->succession->ask();
  co_return co_await run->succession->ask_in_turn();
}

void now_ready(Running& run) {
  const auto ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(run.clock.now() - run.began);
  run.coordinator->ready();
  run.log->info("ready", {{"version", kVersion}, {"ms", ms.count()}});
  const Result<void> door = run.succession->open_door(handover_socket(run.control));
  // The control socket is asked for restarts all the same.
  if (!door) run.log->warn("no_takeover", {{"error", door.error().to_string()}});
  print_banner(run);
  run.announcer->ready();
  run.daemon->serve_reloads();
  if (run.heir != nullptr) {
    run.heir->accepting();
    run.tasks->spawn("listen", listen_to_predecessor(&run));
  }
  if (!run.config->section<ProcessOptions>("").watch) return;
  auto watched = FileWatch::make(*run.shard, run.config_path, run.config_seen);
  if (!watched) {
    run.log->warn("config_not_watched", {{"error", watched.error().to_string()}});
    return;
  }
  run.watch = std::move(*watched);
  run.tasks->spawn("watch", watch(&run));
}

Result<void> make_daemon(Running& run) {
  auto made = Daemon::make(
      {.shard = *run.shard,
       .clock = run.clock,
       .log = *run.log,
       .metrics = run.metrics,
       .config = run.config,
       .config_path = run.config_path,
       .load =
           [&run] {
             config::SystemSecrets secrets;
             return reload_settings(*run.schema, run.config_path, secrets);
           },
       .in_flight = *run.in_flight,
       .coordinator = *run.coordinator,
       .announcer = *run.announcer,
       .data = run.data,
       .control = run.control,
       .calls = *run.calls,
       .estate = run.heir == nullptr ? nullptr : &run.heir->estate(),
       .early = std::move(run.early),
       .restart = [&run](bool queue) { return restart(&run, queue); },
       .restart_failed = [&run] { return run.succession->failed(); },
       .predecessor = [&run] { return predecessor_lives(run); },
       .ask_successor =
           [&run](std::string agent, TurnRequest request, std::string prompt, milliseconds most) {
             return run.succession->ask_agent(std::move(agent), std::move(request),
                                              std::move(prompt), most);
           },
       .on_storage_failed = [&run](const Error& error) { storage_failed(*run.log, error); }});
  if (!made) return made.error();
  run.daemon = std::move(*made);
  return {};
}

/// What can be read of the store while the process before this one still serves.
std::shared_ptr<EarlyRead> read_early(Running& run) {
  const MonoTime began = run.clock.now();
  Result<std::unique_ptr<EarlyRead>> early = EarlyRead::of(files::join(run.data, files::kDatabase));
  if (!early) {
    run.log->info("not_read_early", {{"error", early.error().to_string()}});
    return nullptr;
  }
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(run.clock.now() - began);
  run.log->debug("read_early", {{"keys", (*early)->keys->size()},
                                {"conversations", (*early)->conversations.size()},
                                {"ms", took.count()}});
  return std::move(*early);
}

/// Everything, from the store to the listeners.
Task<Result<void>> start(Running* run) {
  if (run->heir != nullptr) {
    run->early = read_early(*run);
    // OpenSSL takes milliseconds when it is first asked for anything: now nobody waits for us.
    (void)auth::hmac("", "");
    const Result<void> taken = co_await run->heir->take_over(&*run->calls, run->data);
    if (!taken) co_return taken.error();
  }
  const Result<void> made = make_daemon(*run);
  if (!made) co_return made.error();
  co_return co_await run->daemon->start();
}

Task<void> serve(Running* run) {
  lifecycle::ShutdownCoordinator& coordinator = *run->coordinator;
  const auto started =
      co_await run_until(*run->shard, start(run), MonoTime::max(), &coordinator.initiated());
  if (started.ended != Ended::kDone) {
    coordinator.hurry();  // a signal came first: there is nothing to wait for
  } else if (!*started.value) {
    const Error& error = started.value->error();
    say_failed(error);
    run->log->error("start_failed", {{"error", error.to_string()}});
    run->exit_code = kExitStartFailed;
  } else {
    now_ready(*run);
  }
  if (run->daemon == nullptr || run->exit_code != kExitClean) {
    run->shard->stop();
    co_return;
  }
  const auto stopped = co_await run_until(*run->shard, coordinator.run(run->daemon.get()),
                                          MonoTime::max(), &run->succession->left());
  if (stopped.ended == Ended::kStopped) {
    run->exit_code = co_await run->succession->linger();
  } else {
    const lifecycle::StopReport& report = *stopped.value;
    if (!report.clean()) run->exit_code = kExitForced;
    if (!report.closed) storage_failed(*run->log, report.closed.error());
  }
  run->shard->stop();
}

void on_phase(Running& run, lifecycle::Phase phase) {
  run.log->debug("phase", {{"phase", to_string(phase)}});
  run.succession->look_again();
  if (phase != lifecycle::Phase::kLameDuck) return;
  if (run.heir != nullptr) run.heir->stopping();
  run.succession->call_off();
  run.announcer->stopping();
  run.tasks->spawn("ask_for_time",
                   run.announcer->ask_for_time(&run.coordinator->completed(),
                                               run.shard->now() + run.coordinator->remaining()));
}

void on_signal(Running& run, int signal) {
  if (signal == SIGHUP) {
    run.log->info("signal", {{"signal", "SIGHUP"}});
    if (run.daemon != nullptr) run.daemon->ask_for_reload();
    return;
  }
  // Elsewhere it has log files opened again, and whoever sends it means no harm.
  if (signal == SIGUSR2) return;
  if (signal == SIGUSR1) {
    run.log->info("sigusr1-received");
    const Result<void> asked = run.succession->ask();
    if (!asked) run.log->warn("restart_refused", {{"error", asked.error().context()}});
    return;
  }
  const char* name = signal == SIGTERM ? "SIGTERM" : signal == SIGINT ? "SIGINT" : "SIGQUIT";
  run.log->info("signal", {{"signal", name}});
  const bool again = run.coordinator->is_shutting_down();
  if (run.succession->leaving() && signal != SIGQUIT) {
    run.succession->stop();
    return;
  }
  // Somebody means it; what is on disk is enough to go on from.
  if (signal == SIGQUIT || (again && run.coordinator->hurried().is_set())) {
    std::_Exit(kExitAborted);
  }
  if (again) {
    run.coordinator->hurry();
  } else {
    run.coordinator->initiate();
  }
}

/// Finds the configuration, or writes the first one. An exit code if that ends it.
std::optional<int> find_or_write_config(const config::Schema& schema, const PathOptions& paths,
                                        Running& run) {
  const Result<ConfigPath> found = find_config(paths.config);
  if (!found) {
    say_failed(found.error());
    return kExitStartFailed;
  }
  run.config_path = found->path;
  if (found->given || ::access(found->path.c_str(), F_OK) == 0) return std::nullopt;
  Result<void> written = make_folder_of(found->path);
  if (written) {
    written = config::write_file_atomically(found->path, default_file(schema), 0600,
                                            config::IfExists::kRefuse);
  }
  if (!written) {
    say_failed(written.error().within("writing the first configuration"));
    return kExitStartFailed;
  }
  run.wrote_config = true;
  return std::nullopt;
}

int run_on_shard(Running& run) {
  run.shard.emplace(run.clock, random_seed());
  run.announcer.emplace(*run.shard, run.system);
  run.in_flight.emplace(*run.shard);
  run.coordinator.emplace(*run.shard, *run.log, *run.in_flight,
                          shutdown_options(run.config->section<ProcessOptions>("")));
  run.coordinator->on_phase([&run](lifecycle::Phase phase) { on_phase(run, phase); });
  Signals signals(*run.shard, [&run](int signal) { on_signal(run, signal); });
  run.calls.emplace(*run.shard, run.config->section<CoreOptions>("core").reply_bytes_max);
  auto heir = Heir::from_environment(*run.shard, *run.log);
  if (heir && *heir == nullptr && run.take_over)
    heir = Heir::at_door(*run.shard, *run.log, handover_socket(run.control));
  if (!heir) {
    say_failed(heir.error());
    return kExitStartFailed;
  }
  run.heir = std::move(*heir);
  run.succession.emplace(Succession::Parts{
      .shard = *run.shard,
      .log = *run.log,
      .calls = *run.calls,
      .announcer = *run.announcer,
      .data = run.data,
      .daemon = [&run] { return run.daemon.get(); },
      .options = [&run] { return run.daemon->process_options(); },
      .may_begin =
          [&run] {
            return run.coordinator->phase() == lifecycle::Phase::kReady && !predecessor_lives(run);
          },
      .stopping = [&run] { return run.coordinator->is_shutting_down(); }});
  run.tasks.emplace(*run.shard);
  run.tasks->spawn("alive", run.announcer->tell_alive());
  run.tasks->spawn("serve", serve(&run));
  run.shard->run();
  run.tasks.reset();
  run.watch.reset();
  run.succession.reset();
  run.daemon.reset();
  return run.exit_code;
}

}  // namespace

int run(const config::Schema& schema, const PathOptions& paths, bool take_over) {
  Running run;
  run.take_over = take_over;
  run.began = run.clock.now();
  hold_signals();
  prepare_process();
  if (const auto code = find_or_write_config(schema, paths, run)) return *code;
  config::SystemSecrets secrets;
  run.config_seen = FileWatch::Look::at(run.config_path);
  config::Loaded loaded = load_settings(schema, run.config_path, secrets);
  fmt::print(stderr, "{}", loaded.to_string());
  if (!loaded.config) return kExitBadConfig;
  run.schema = &schema;
  run.config = std::make_shared<const config::Config>(std::move(*loaded.config));

  Result<std::unique_ptr<Logger>> log = make_logger(run.config->section<LogOptions>("log"));
  if (!log) {
    say_failed(log.error());
    return kExitBadConfig;
  }
  run.log = std::move(*log);
  if (!paths.config.empty()) run.path_options += " --config " + run.config_path;
  Result<std::string> data = find_data(paths.data, run.config->section<StoreSettings>("store").dir);
  Result<void> folder = data ? make_folder_of(*data) : Result<void>(data.error());
  if (!folder) {
    say_failed(folder.error());
    return kExitStartFailed;
  }
  run.data = *data;
  if (!paths.data.empty()) run.path_options += " --data " + run.data;
  const Result<std::string> control =
      control_socket(run.config->section<ServerOptions>("server").control_socket, run.data);
  if (!control) {
    say_failed(control.error());
    return kExitStartFailed;
  }
  run.control = *control;
  return run_on_shard(run);
}

}  // namespace sluice::app
