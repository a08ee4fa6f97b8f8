#pragma once
// The options of kind "webhook". Values.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "config/schema.h"
#include "config/secret.h"
#include "gateway/agent.h"

namespace sluice {

struct WebhookOptions {
  std::string url;  // trusted as written: it may be inside
  config::Secret token;
  config::Secret signing_secret;
  std::vector<std::string> headers;  // "Name: value"
  std::string ca_file;
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds first_token_timeout{120'000};
  std::chrono::milliseconds gap_timeout{60'000};
  std::chrono::milliseconds timeout{120'000};
  std::uint64_t response_bytes_max = 4 << 20;  // a reply in JSON may take six times its own size
  bool callbacks = false;
  std::string callback_base_url;  // empty: our own first listener
  std::chrono::milliseconds callback_timeout{3'600'000};
  bool idempotent = false;
  /// kAuto: kRerun if idempotent, else kAsk.
  enum class Interrupt : std::uint8_t { kAuto, kAsk, kRerun, kFail };
  Interrupt on_interrupt = Interrupt::kAuto;
  std::uint32_t max_turns = 16;
};
void declare(config::Section<WebhookOptions>& s);

OnInterrupt on_interrupt_of(const WebhookOptions& options);

/// "Name: value" taken apart. kInvalidArgument: not a header, or one that is ours.
Result<std::pair<std::string, std::string>> parse_extra_header(std::string_view line);

}  // namespace sluice
