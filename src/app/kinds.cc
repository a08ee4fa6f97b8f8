#include "app/kinds.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "agents/anthropic/anthropic_agent.h"
#include "agents/echo/echo_agent.h"
#include "agents/fallback/fallback_agent.h"
#include "agents/openai/openai_agent.h"
#include "agents/service/service_agent.h"
#include "agents/webhook/webhook_agent.h"
#include "base/assert.h"
#include "channels/hook/channel.h"
#include "channels/http/page.h"
#include "channels/openai/channel.h"

namespace sluice::app {
namespace {

using MadeChannel = Result<std::unique_ptr<Channel>>;
using MadeAgent = Result<std::unique_ptr<Agent>>;

/// The built-in account is at /v1; any other at /accounts/NAME/v1.
std::string prefix_of(const config::Instance& instance) {
  return instance.name == instance.kind ? std::string("/v1") : "/accounts/" + instance.name + "/v1";
}

MadeChannel make_face(const config::Instance& instance, const AccountOptions& account,
                      net::Router& router, http::Authenticator& callers, Surroundings& around) {
  http::HttpChannelOptions options = instance.get<http::HttpChannelOptions>();
  static_cast<AccountOptions&>(options) = account;
  auto& mount = around.mounts.http[instance.kind + prefix_of(instance)];
  if (mount == nullptr) {
    mount = std::make_unique<http::HttpMount>(router, callers, prefix_of(instance));
  }
  return std::unique_ptr<Channel>(std::make_unique<http::HttpChannel>(
      instance.name, instance.kind, std::move(options), *mount, around.metrics, &around.library));
}

MadeChannel make_http(const config::Instance& instance, const AccountOptions& account,
                      Surroundings& around) {
  // The page speaks to the built-in account.
  if (instance.name == instance.kind && !std::exchange(around.mounts.page, true)) {
    http::mount_page(around.router);
  }
  return make_face(instance, account, around.router, around.callers, around);
}

MadeChannel make_cli(const config::Instance& instance, const AccountOptions& account,
                     Surroundings& around) {
  return make_face(instance, account, around.control_router, around.local_callers, around);
}

/// Callers of the TCP listener, as the OpenAI face knows them: by token only, because a browser's
/// cookie is for the page.
class OpenAiCallers : public openai::Callers {
 public:
  explicit OpenAiCallers(http::Authenticator& callers) : callers_(callers) {}
  Result<openai::Caller> identify(const net::HttpRequest& request) override {
    if (!request.headers.contains("authorization")) {
      return Error(ErrorKind::kUnauthenticated, "a token is needed: Authorization: Bearer <token>",
                   ErrorSource::kPeer);
    }
    const Result<http::Caller> caller = callers_.identify(request);
    if (!caller) return caller.error();
    return openai::Caller{caller->person, caller->names_senders};
  }

 private:
  http::Authenticator& callers_;
};

MadeChannel make_openai_face(const config::Instance& instance, const AccountOptions& account,
                             Surroundings& around) {
  openai::OpenAiFaceOptions options = instance.get<openai::OpenAiFaceOptions>();
  static_cast<AccountOptions&>(options) = account;
  auto& mount = around.mounts.openai[prefix_of(instance)];
  if (mount == nullptr) {
    mount = openai::OpenAiMount::add_to(
        around.router, std::make_unique<OpenAiCallers>(around.callers), prefix_of(instance));
  }
  return std::unique_ptr<Channel>(std::make_unique<openai::OpenAiChannel>(
      instance.name, std::move(options), mount, around.metrics, around.library));
}

MadeChannel make_hook(const config::Instance& instance, const AccountOptions& account,
                      Surroundings& around) {
  hook::HookOptions options = instance.get<hook::HookOptions>();
  static_cast<AccountOptions&>(options) = account;
  auto made = hook::HookChannel::make(instance.name, std::move(options), around.hooks,
                                      around.client, around.shard);
  if (!made) return made.error();
  return std::unique_ptr<Channel>(std::move(*made));
}

MadeAgent make_echo(const config::Instance& instance, Surroundings& around) {
  return std::unique_ptr<Agent>(
      std::make_unique<EchoAgent>(instance.name, instance.get<EchoOptions>(), around.shard));
}

MadeAgent make_fallback(const config::Instance& instance, Surroundings& around) {
  return std::unique_ptr<Agent>(std::make_unique<FallbackAgent>(
      instance.name, instance.get<FallbackOptions>(),
      FallbackAgent::Parts{around.shard, around.metrics, around.log, around.find_agent}));
}

MadeAgent make_webhook(const config::Instance& instance, Surroundings& around) {
  auto made = WebhookAgent::make(instance.name, instance.get<WebhookOptions>(), around.shard,
                                 around.callbacks);
  if (!made) return made.error();
  return std::unique_ptr<Agent>(std::move(*made));
}

MadeAgent make_service(const config::Instance& instance, Surroundings& around) {
  return std::unique_ptr<Agent>(std::make_unique<ServiceAgent>(
      instance.name, instance.get<ServiceAgentOptions>(), around.services, around.ask_agent));
}

ModelSurroundings model_surroundings(Surroundings& around) {
  return {around.shard, around.metrics, around.log, &around.library};
}

MadeAgent make_openai(const config::Instance& instance, Surroundings& around) {
  return make_openai_agent(instance.name, instance.get<OpenAiOptions>(),
                           model_surroundings(around));
}

MadeAgent make_anthropic(const config::Instance& instance, Surroundings& around) {
  return make_anthropic_agent(instance.name, instance.get<AnthropicOptions>(),
                              model_surroundings(around));
}

constexpr std::array kChannels = {
    ChannelKind{"http",
                [](config::Kinds& kinds) {
                  kinds.add<http::HttpChannelOptions>(
                      "http", "Our own API over HTTP: post messages, follow conversations.");
                },
                &make_http},
    ChannelKind{"cli",
                [](config::Kinds& kinds) {
                  kinds.add<http::HttpChannelOptions>(
                      "cli", "The terminal: the same API on the control socket (`sluice chat`).");
                },
                &make_cli},
    ChannelKind{"hook",
                [](config::Kinds& kinds) {
                  kinds.add<hook::HookOptions>(
                      "hook", "Messages in by POST, answers out by POST to a callback URL.");
                },
                &make_hook},
    ChannelKind{"openai",
                [](config::Kinds& kinds) {
                  kinds.add<openai::OpenAiFaceOptions>(
                      "openai",
                      "For clients of OpenAI's API: /v1/chat/completions, answered by an agent.");
                },
                &make_openai_face},
};

constexpr std::array kAgents = {
    AgentKind{"echo",
              [](config::Kinds& kinds) {
                kinds.add<EchoOptions>("echo",
                                       "Says what it was told, in every way that may be "
                                       "wanted for trying things out. Needs no key.");
              },
              &make_echo, [](const config::Instance&) { return std::string(); }},
    AgentKind{
        "webhook",
        [](config::Kinds& kinds) {
          kinds.add<WebhookOptions>("webhook",
                                    "Posts each turn to a URL; the answer is the reply.");
        },
        &make_webhook,
        [](const config::Instance& instance) { return instance.get<WebhookOptions>().url; },
        nullptr, nullptr,
        [](const config::Instance& instance) { return instance.get<WebhookOptions>().callbacks; }},
    AgentKind{
        "openai",
        [](config::Kinds& kinds) {
          kinds.add<OpenAiOptions>(
              "openai",
              "A model behind OpenAI's chat completions, or any server that speaks them.");
        },
        &make_openai,
        [](const config::Instance& instance) { return instance.get<OpenAiOptions>().base_url; }},
    AgentKind{
        "anthropic",
        [](config::Kinds& kinds) {
          kinds.add<AnthropicOptions>("anthropic", "A model behind Anthropic's messages API.");
        },
        &make_anthropic,
        [](const config::Instance& instance) { return instance.get<AnthropicOptions>().base_url; }},
    AgentKind{"service",
              [](config::Kinds& kinds) {
                kinds.add<ServiceAgentOptions>("service",
                                               "A tool of an extension service answers.");
              },
              &make_service, [](const config::Instance&) { return std::string(); }, nullptr,
              [](const config::Instance& instance) {
                return instance.get<ServiceAgentOptions>().service;
              }},
    AgentKind{
        "fallback",
        [](config::Kinds& kinds) {
          kinds.add<FallbackOptions>("fallback",
                                     "Asks other agents in their order until one answers.");
        },
        &make_fallback, [](const config::Instance&) { return std::string(); },
        [](const config::Instance& instance) { return instance.get<FallbackOptions>().agents; }},
};

template <class All>
const auto& find(const All& all, std::string_view name) {
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const auto& kind) { return kind.name == name; });
  SLUICE_ASSERT(found != all.end());  // the schema knows the same list
  return *found;
}

}  // namespace

std::span<const ChannelKind> channel_kinds() { return kChannels; }
const ChannelKind& channel_kind(std::string_view name) { return find(kChannels, name); }
std::span<const AgentKind> agent_kinds() { return kAgents; }
const AgentKind& agent_kind(std::string_view name) { return find(kAgents, name); }

}  // namespace sluice::app
