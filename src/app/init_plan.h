#pragma once
// What `sluice init` has to change in a configuration so that another agent answers, and nothing
// that was not asked for.
//
// Thread: any; pure.

#include <string>
#include <string_view>
#include <vector>

#include "app/init_edit.h"
#include "config/config.h"

namespace sluice::app {

/// Where the key comes from. A typed one is kept in a file beside the configuration.
struct KeySource {
  enum class From : unsigned char { kNowhere, kEnvironment, kFile, kTyped };
  From from = From::kNowhere;
  std::string name;  // of the variable or the file
};

/// The agent that is to answer.
struct WantedAgent {
  std::string kind;  // "echo", "openai" or "anthropic"
  std::string base_url;
  std::string model;
  KeySource key;
};

struct InitPlan {
  std::string agent;     // its name in the file
  std::string key_file;  // where a typed key goes, beside the configuration; else empty
  std::vector<TomlEdit> edits;
};

/// before: the configuration as it is. An agent that is there is changed only if it is the same API
/// or the one that answers now, and never so that its key would go to another server. Channels of
/// the person's own keep the agent that they had.
InitPlan plan_init(const config::Config& before, const WantedAgent& wanted);

/// "http://127.0.0.1:8080/v1" and the like.
bool is_on_this_machine(std::string_view base_url);

}  // namespace sluice::app
