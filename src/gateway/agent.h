#pragma once
// Agent: what answers. Called once for each attempt of a turn, never twice for the same (turn,
// attempt).

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/result.h"
#include "gateway/message.h"
#include "gateway/store.h"
#include "runtime/task.h"

namespace sluice {

/// What happens to a turn that a crash interrupted (C13).
enum class OnInterrupt : std::uint8_t { kAsk, kRerun, kFail };

struct AgentInfo {
  std::string name;
  std::string kind;
  OnInterrupt on_interrupt = OnInterrupt::kAsk;
  std::uint32_t max_turns = 32;  // at once (C7)
  std::chrono::milliseconds timeout{300'000};
  /// Lines of the conversation that it wants to see; the core's history_messages bounds them. 0: it
  /// looks at the new messages only, and nothing is read for it.
  std::uint32_t history_messages = UINT32_MAX;
  /// The most tokens of these lines, as gateway/tokens.h estimates them; 0: only the core's bound.
  std::uint32_t history_tokens = 0;
};

struct TurnRequest {
  TurnId turn;
  std::uint32_t attempt = 1;
  std::string request_id;
  std::string account;
  std::string channel_kind;
  std::string chat;
  std::string thread;
  ChatKind chat_kind = ChatKind::kDirect;
  std::string session;
  std::vector<std::string> projects;
  /// The model that a route or the person chose; empty: the agent's own.
  std::string model;
  /// What the turn answers, in order; more than one if the lane collects.
  std::vector<std::shared_ptr<const MessageRow>> messages;
  /// The conversation before it, oldest first; the same for every attempt (C12).
  std::vector<HistoryRow> history;

  /// The messages' texts, one a line group.
  std::string text() const;
};

/// What an answer cost, as far as the agent was told.
struct AgentUsage {
  std::uint64_t input_tokens = 0;
  std::uint64_t output_tokens = 0;
};

struct AgentReply {
  std::string text;
  std::optional<ResponseMeta>
      meta;  // session, project and so on; duration and error are filled in by us
  AgentUsage usage;
  /// Set: the answer comes later, by Gateway::answer_parked, and text is empty. The turn is parked
  /// on disk and belongs to no process (C15); after this time, kLongestPark at most, it ends as
  /// timed out.
  std::optional<std::chrono::milliseconds> parked_for;
  static constexpr std::chrono::milliseconds kLongestPark{7 * 24 * 3'600'000};
};

/// Takes a reply as it grows. Never blocks; what exceeds the reply's bound ends the turn as cut
/// off.
class DeltaSink {
 public:
  virtual ~DeltaSink() = default;
  virtual void delta(std::string_view text) = 0;
};

/// Shard-confined. Owned by the gateway.
class Agent {
 public:
  virtual ~Agent() = default;
  virtual const AgentInfo& info() const = 0;
  /// Cancelled by destruction of the task. An error says by its kind what to tell the person, and
  /// by its retry() whether another attempt may help. The text of AgentReply is the whole reply,
  /// deltas included. An empty reply is an error, unless the turn is parked by it. sink outlives
  /// the task.
  virtual Task<Result<AgentReply>> run(TurnRequest request, DeltaSink& sink) = 0;
  /// Whether it could be called now, for status pages; cheap.
  virtual Result<void> health() const { return {}; }
};

}  // namespace sluice
