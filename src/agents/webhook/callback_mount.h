#pragma once
// CallbackMount: where webhook agents that asked for time (202) post their answers:
//
//   POST /v1/callbacks/{turn}/{attempt}     Authorization: Bearer <secret>
//
// The secret is derived from the store's key, the turn and the attempt, so that nothing need be
// kept and a restart changes nothing; the turn's end makes it useless. It is looked at before the
// body is read, and whatever it is not for is answered alike. 200 means that the answer is on disk.
//
// Shard-confined. app/ makes one before its server listens; it outlives the server and the agents.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "agents/webhook/webhook_json.h"
#include "auth/secret_text.h"
#include "base/hash.h"
#include "gateway/agent.h"
#include "net/router.h"

namespace sluice {

class CallbackMount {
 public:
  struct Parts {
    HashKey key{};
    /// Gateway::answer_parked.
    std::function<Task<Result<void>>(TurnId, std::uint32_t attempt, Result<AgentReply>)> answer;
    /// "http://127.0.0.1:8484", once it listens.
    std::function<std::string()> base_url;
  };

  CallbackMount(net::Router& router, Parts parts);
  CallbackMount(const CallbackMount&) = delete;
  CallbackMount& operator=(const CallbackMount&) = delete;

  /// An agent uses it, whose answers have at most so many bytes. Without one there is no path
  /// (404).
  void open(std::uint64_t body_max);
  /// For one attempt; base_url in place of our own, if it is not empty.
  WebhookCallback offer(TurnId turn, std::uint32_t attempt, const std::string& base_url,
                        UnixMillis until) const;

 private:
  struct Attempt {
    TurnId turn;
    std::uint32_t number = 0;
  };
  static std::optional<Attempt> attempt_in(std::string_view path);
  auth::Digest secret_of(TurnId turn, std::uint32_t attempt) const;
  net::GateDecision gate(const net::HttpRequest& request) const;
  static Task<void> serve(const CallbackMount* self, net::HttpExchange* exchange);

  const Parts parts_;
  std::uint64_t body_max_ = 0;
};

}  // namespace sluice
