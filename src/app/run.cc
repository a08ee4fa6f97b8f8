#include "app/run.h"

#include <csignal>
#include <cstdio>
#include <optional>
#include <string>

#include <fmt/core.h>
#include <unistd.h>

#include "app/daemon.h"
#include "app/process.h"
#include "app/settings.h"
#include "app/signals.h"
#include "app/version.h"
#include "config/file.h"

namespace sluice::app {
namespace {

/// What the process is made of while it runs, and how it is going to end.
struct Running {
  SystemClock clock;
  MonoTime began;
  const config::Config* config = nullptr;
  std::string config_path;
  std::string data;
  std::string control;
  bool wrote_config = false;
  std::string path_options;  // what a client needs to find this daemon
  std::unique_ptr<Logger> log;
  Metrics metrics;
  std::optional<Shard> shard;
  std::optional<Event> stop;
  std::optional<Event> hurry;
  std::unique_ptr<Daemon> daemon;
  int exit_code = kExitClean;
};

void say_failed(const Error& error) {
  fmt::print(stderr, "sluice: can't start: {}\n", error.context());
}

void print_banner(Running& run) {
  const auto took =
      std::chrono::duration_cast<std::chrono::milliseconds>(run.clock.now() - run.began);
  const std::string base = run.daemon->base_url();
  fmt::print("sluice {} is ready after {} ms\n\n", kVersion, took.count());
  fmt::print("  chat      sluice chat{}\n", run.path_options);
  if (!base.empty()) {
    const std::string auth =
        fmt::format("-H \"Authorization: Bearer $(cat {})\"", run.daemon->owner_token_path());
    fmt::print(
        "  post      curl -sS {} -H 'Content-Type: application/json' "
        "-d '{{\"id\":\"'$(date +%s%N)'\",\"text\":\"hello\"}}' "
        "{}/v1/conversations/main/messages\n",
        auth, base);
    fmt::print("  follow    curl -sSN {} {}/v1/conversations/main/events\n", auth, base);
    fmt::print("  browser   {}  (works once, for {} minutes)\n", run.daemon->sign_in_url(),
               auth::OneTimeCodes::kLife.count());
  }
  fmt::print("\n  config    {}{}\n", run.config_path, run.wrote_config ? "  (new)" : "");
  fmt::print("  data      {}\n  control   {}\n", run.data, run.control);
  std::fflush(stdout);
}

Task<void> serve(Running* run) {
  const Result<void> started = co_await run->daemon->start();
  if (!started) {
    say_failed(started.error());
    run->log->error("start_failed", {{"error", started.error().to_string()}});
    run->exit_code = kExitStartFailed;
    run->shard->stop();
    co_return;
  }
  const auto ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(run->clock.now() - run->began);
  run->log->info("ready", {{"version", kVersion}, {"ms", ms.count()}});
  print_banner(*run);
  notify_service_manager("READY=1");
  co_await run->stop->wait();

  notify_service_manager("STOPPING=1");
  const auto timeout = run->config->section<ProcessOptions>("").shutdown_timeout;
  run->log->info("stopping", {{"timeout_ms", timeout.count()}});
  const MonoTime deadline = run->shard->now() + timeout;
  const Daemon::Stopped stopped = co_await run->daemon->stop(deadline, &*run->hurry);
  const bool forced = run->hurry->is_set() || stopped.turns_left > 0 || stopped.requests_cut > 0;
  if (forced) run->exit_code = kExitForced;
  run->log->info("stopped", {{"turns_left", stopped.turns_left},
                             {"requests_cut", stopped.requests_cut},
                             {"forced", forced}});
  run->shard->stop();
}

void on_signal(Running& run, int signal) {
  if (signal == SIGHUP) {
    run.log->info("signal_ignored", {{"signal", "SIGHUP"}, {"reason", "reload is not supported"}});
    return;
  }
  const char* name = signal == SIGTERM ? "SIGTERM" : "SIGINT";
  run.log->info("signal", {{"signal", name}});
  if (!run.stop->is_set()) {
    run.stop->set();
  } else if (!run.hurry->is_set()) {
    run.hurry->set();
  } else {
    std::_Exit(kExitForced);  // somebody means it; what is on disk is enough to go on from
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

/// Ends the process at once (C28): nothing more is acknowledged, recovery starts from disk.
[[noreturn]] void storage_failed(Logger& log, const Error& error) {
  log.error("storage_failed", {{"error", error.to_string()}});
  std::_Exit(kExitStoreFailed);
}

int run_on_shard(Running& run) {
  run.shard.emplace(run.clock, random_seed());
  run.stop.emplace(*run.shard);
  run.hurry.emplace(*run.shard);
  Signals signals(*run.shard, [&run](int signal) { on_signal(run, signal); });
  auto made = Daemon::make(
      {.shard = *run.shard,
       .clock = run.clock,
       .log = *run.log,
       .metrics = run.metrics,
       .config = *run.config,
       .data = run.data,
       .control = run.control,
       .on_storage_failed = [&run](const Error& error) { storage_failed(*run.log, error); }});
  if (!made) {
    say_failed(made.error());
    return kExitStartFailed;
  }
  run.daemon = std::move(*made);
  {
    TaskGroup tasks(*run.shard);
    tasks.spawn("serve", serve(&run));
    run.shard->run();
  }
  run.daemon.reset();
  return run.exit_code;
}

}  // namespace

int run(const config::Schema& schema, const PathOptions& paths) {
  Running run;
  run.began = run.clock.now();
  prepare_process();
  if (const auto code = find_or_write_config(schema, paths, run)) return *code;
  config::SystemSecrets secrets;
  const config::Loaded loaded = load_settings(schema, run.config_path, secrets);
  fmt::print(stderr, "{}", loaded.to_string());
  if (!loaded.config) return kExitBadConfig;
  run.config = &*loaded.config;

  Result<std::unique_ptr<Logger>> log = make_logger(loaded.config->section<LogOptions>("log"));
  if (!log) {
    say_failed(log.error());
    return kExitBadConfig;
  }
  run.log = std::move(*log);
  if (!paths.config.empty()) run.path_options += " --config " + run.config_path;
  Result<std::string> data =
      find_data(paths.data, loaded.config->section<StoreSettings>("store").dir);
  Result<void> folder = data ? make_folder_of(*data) : Result<void>(data.error());
  if (!folder) {
    say_failed(folder.error());
    return kExitStartFailed;
  }
  run.data = *data;
  if (!paths.data.empty()) run.path_options += " --data " + run.data;
  const Result<std::string> control =
      control_socket(loaded.config->section<ServerOptions>("server").control_socket, run.data);
  if (!control) {
    say_failed(control.error());
    return kExitStartFailed;
  }
  run.control = *control;
  return run_on_shard(run);
}

}  // namespace sluice::app
