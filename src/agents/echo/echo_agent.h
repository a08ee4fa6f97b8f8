#pragma once
// EchoAgent: says what it was told. It works without any key, and it can be slow, stream and fail
// in every way that an agent can, so that the rest of the gateway can be tried out, tested and
// measured.
//
// Shard-confined; all waiting is on the loop's timers. Module agents/echo: may include gateway,
// config and what is below them.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/random.h"
#include "config/schema.h"
#include "gateway/agent.h"
#include "runtime/loop.h"

namespace sluice {

enum class EchoFail : std::uint8_t {
  kNone,
  kError,    // an error that another attempt may cure
  kThrow,    // an exception
  kHang,     // no answer until it is cut off
  kEmpty,    // an answer without text
  kFlood,    // deltas without an end
  kGarbage,  // bytes that are not UTF-8
};

/// The options of kind "echo".
struct EchoOptions {
  std::string prefix;
  std::chrono::milliseconds delay{0};
  std::chrono::milliseconds delay_per_word{0};
  bool stream = false;
  EchoFail fail = EchoFail::kNone;
  std::uint32_t fail_rate_percent = 100;
  std::uint32_t fail_times = 0;  // attempts of a turn that fail; 0: all
  bool playground = false;
  OnInterrupt on_interrupt = OnInterrupt::kRerun;  // saying it again harms nobody
  std::uint32_t max_turns = 32;
  std::chrono::milliseconds timeout{300'000};
};
void declare(config::Section<EchoOptions>& s);

/// What one attempt is going to do.
struct EchoPlan {
  std::string text;
  std::chrono::milliseconds delay{0};
  std::chrono::milliseconds delay_per_word{0};
  bool stream = false;
  EchoFail fail = EchoFail::kNone;
};

/// From the options and, in a playground, from what the person wrote:
///   !slow [5s] [text]   answers after that long
///   !stream [text]      word by word, a tenth of a second each
///   !fail [n]  !throw [n]  !hang [n]  !empty [n]  !flood [n]  !garbage [n]
///                       all attempts of the turn, or its first n
/// Whatever does not read like that is echoed as it is.
EchoPlan plan_echo(const EchoOptions& options, std::string text, std::uint32_t attempt,
                   Random& random);

class EchoAgent : public Agent {
 public:
  /// Stops a flood that nobody cuts off.
  static constexpr std::size_t kFloodBytes = 64 << 20;

  EchoAgent(std::string name, EchoOptions options, Loop& loop);

  const AgentInfo& info() const override { return info_; }
  Task<Result<AgentReply>> run(TurnRequest request, DeltaSink& sink) override;

 private:
  Task<Result<AgentReply>> fail(EchoFail how, DeltaSink* sink);
  Task<void> flood(DeltaSink* sink);

  AgentInfo info_;
  EchoOptions options_;
  Loop& loop_;
};

}  // namespace sluice
