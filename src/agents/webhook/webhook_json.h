#pragma once
// What goes to a webhook agent and what comes back, as JSON. Pure functions; docs/agents/webhook.md
// is the protocol.

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/time.h"
#include "gateway/agent.h"
#include "net/http_client.h"

namespace sluice {

/// Where an attempt may be answered later (callback_mount.h).
struct WebhookCallback {
  std::string url;
  std::string secret;
  UnixMillis until;  // by our clock, about
};

/// The body of the POST.
std::string webhook_body(const TurnRequest& request,
                         const std::optional<WebhookCallback>& callback = std::nullopt);

/// The same for every attempt of a turn and for no other turn. Turn ids alone would not do: a
/// restored store, or another daemon, hands them out once more.
std::string webhook_idempotency_key(const TurnRequest& request);

/// What an agent says of a turn, in its answer, at the end of its stream or by a callback.
struct WebhookSaid {
  AgentReply reply;            // the text may be missing
  std::optional<Error> error;  // set: it could not answer; retry() says whether another attempt may
};
/// kBadResponse: it is not what the protocol allows.
Result<WebhookSaid> read_webhook_said(std::string_view body);
/// The same where there has to be a text: the reply, or the error it told or is.
Result<AgentReply> read_webhook_reply(std::string_view body);

/// A complete answer, whatever its status. The error says by its kind what to tell the person and
/// by its retry() whether another attempt may help; with idempotent = false that is only so if the
/// agent said itself that it did nothing.
Result<AgentReply> read_webhook_answer(const net::HttpClientResponse& answer, bool idempotent,
                                       UnixMillis now);

/// No complete answer.
Error webhook_failure(const net::FetchError& failure, bool idempotent);

}  // namespace sluice
