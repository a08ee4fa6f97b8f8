#pragma once
// `sluice init`: connects an agent. It asks what to connect, or takes what the command line says,
// tries it by a real call, and writes it into the configuration, which keeps every byte that was
// not asked about.
//
// Thread: the process's only one; blocks for people and networks.

#include <cstdint>
#include <string>
#include <vector>

#include "app/paths.h"
#include "config/schema.h"

namespace sluice::app {

struct InitOptions {
  std::string agent;  // "echo", "openai", "anthropic"; empty: asked for, else echo
  std::string base_url;
  std::string model;
  std::string key_env;   // the variable that holds the key
  std::string key_file;  // or the file
  /// Where model servers are looked for on this machine: Ollama, llama.cpp, LM Studio, vLLM.
  std::vector<std::uint16_t> ports = {11434, 8080, 1234, 8000};
  bool yes = false;       // ask nothing, also at a terminal
  bool if_new = false;    // do nothing where there is a configuration
  bool no_check = false;  // do not call the model
};

/// An ExitCode: kExitUsage if something is missing that can't be asked for, kExitStartFailed if the
/// call or the writing failed or the person gave up, kExitBadConfig if the file that is there does
/// not load. Nothing is written then.
int init(const config::Schema& schema, const PathOptions& paths, const InitOptions& options);

}  // namespace sluice::app
