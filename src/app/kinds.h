#pragma once
// Kinds: every kind of channel and agent that this build knows. Adding one is a folder of its own
// and a line in kinds.cc.
//
// Thread: start of the process; the made objects belong to the shard.

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "agents/webhook/callback_mount.h"
#include "base/hash.h"
#include "channels/hook/mount.h"
#include "channels/http/channel.h"
#include "channels/openai/channel.h"
#include "config/config.h"
#include "config/schema.h"
#include "gateway/agent.h"
#include "gateway/channel.h"
#include "media/library.h"
#include "net/http_client.h"
#include "net/router.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "runtime/shard.h"
#include "services/service_manager.h"

namespace sluice::app {

/// Where channels of our own faces are mounted; outlives the servers. A place that was taken once
/// stays, and is used again by a channel of that name.
struct Mounts {
  std::map<std::string, std::unique_ptr<http::HttpMount>> http;  // by kind and prefix
  std::map<std::string, std::shared_ptr<openai::OpenAiMount>> openai;
  bool page = false;
};

/// What the makers may use; all of it outlives what they make.
struct Surroundings {
  Shard& shard;
  Logger& log;
  Metrics& metrics;
  media::Library& library;
  net::HttpClient& client;
  net::Router& router;           // of the TCP listener
  http::Authenticator& callers;  // there
  net::Router& control_router;   // of the control socket
  http::Authenticator& local_callers;
  Mounts& mounts;
  hook::HookMount& hooks;                                                   // on the TCP listener
  CallbackMount& callbacks;                                                 // there too
  std::function<std::shared_ptr<Agent>(std::string_view name)> find_agent;  // for turns
  services::ServiceManager& services;
  std::function<Task<Result<AgentReply>>(std::string agent, TurnRequest request, std::string prompt,
                                         Duration most)>
      ask_agent;  // Gateway::ask
};

struct ChannelKind {
  std::string_view name;
  void (*declare)(config::Kinds& kinds);
  Result<std::unique_ptr<Channel>> (*make)(const config::Instance& instance,
                                           const AccountOptions& account, Surroundings& around);
};
std::span<const ChannelKind> channel_kinds();
const ChannelKind& channel_kind(std::string_view name);

struct AgentKind {
  std::string_view name;
  void (*declare)(config::Kinds& kinds);
  Result<std::unique_ptr<Agent>> (*make)(const config::Instance& instance, Surroundings& around);
  /// Where it is reached over the network; empty if it needs nothing.
  std::string (*url)(const config::Instance& instance);
  /// The agents that it asks; they must be enabled too.
  std::vector<std::string> (*asks)(const config::Instance& instance) = nullptr;
  /// The extension service that it needs, which must be enabled too.
  std::string (*service)(const config::Instance& instance) = nullptr;
  /// Whether it has to be reached at our own listener.
  bool (*is_called_back)(const config::Instance& instance) = nullptr;
};
std::span<const AgentKind> agent_kinds();
const AgentKind& agent_kind(std::string_view name);

}  // namespace sluice::app
