#pragma once
// What can be set about the core, and every bound it has. docs/limits.md tells what happens at
// each.

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "gateway/message.h"
#include "gateway/sessions.h"

namespace sluice {

using std::chrono::milliseconds;

/// What later messages of a lane do while a turn runs (C10).
enum class LaneMode : std::uint8_t {
  kFollowup,   // each becomes a turn of its own, in order
  kCollect,    // all that gathered become one turn, after a quiet time
  kInterrupt,  // the running turn is stopped, what was seen is kept, the newest runs
};

struct CoreOptions {
  // Turns.
  std::uint32_t max_concurrent_turns = 32;
  std::uint32_t max_turns_per_person = 8;
  std::uint32_t max_turns_per_account_percent = 75;
  std::uint32_t max_turn_attempts = 3;
  milliseconds turn_timeout{300'000};  // an agent's own limit may be shorter
  milliseconds retry_backoff{1'000};   // doubled with each attempt
  milliseconds retry_backoff_max{60'000};
  std::uint32_t reply_bytes_max = 1 << 20;  // an agent that writes more is cut off and told of
  std::uint32_t history_messages = 40;      // what a turn sees of its conversation
  std::uint32_t history_bytes = 256 << 10;
  std::uint32_t history_tokens = 0;  // estimated (gateway/tokens.h); 0: no bound of this kind

  // Lanes.
  milliseconds reorder_window{300};
  milliseconds collect_quiet{1'500};
  milliseconds collect_longest{15'000};
  std::uint32_t collect_messages_max = 50;
  std::uint32_t turns_ahead_of_delivery = 2;

  // Intake.
  std::uint32_t inbox_capacity = 1024;  // bodies in memory: being accepted, or waiting for a turn
  std::uint32_t text_bytes_max = 256 << 10;
  std::uint32_t field_bytes_max = 1024;  // ids, names, reply targets
  std::uint32_t attachments_max = 20;
  std::uint32_t batch_max = 100;                   // events in one body
  std::uint32_t pending_per_conversation = 1'000;  // accepted and not done
  std::uint32_t pending_per_person = 2'000;
  std::uint32_t pending_per_account = 200'000;
  std::uint64_t pending_bytes = 1ull << 30;
  std::uint64_t disk_low_bytes = 256ull
                                 << 20;  // below it intake closes, so that running work can commit

  // Delivery.
  milliseconds send_timeout{30'000};
  milliseconds send_backoff{500};
  milliseconds send_backoff_max{300'000};
  std::uint32_t sends_per_account = 32;  // in flight at once

  // Age (C24).
  milliseconds expire_inbound{24 * 3'600'000};
  milliseconds expire_outbound{24 * 3'600'000};
  milliseconds expire_question{24 * 3'600'000};

  // Channels.
  milliseconds channel_stop_timeout{5'000};

  // Readers of live conversations.
  std::uint32_t feed_events_max =
      1024;  // queued for one reader; beyond it the reader catches up from the log
};

/// How one account (one configured channel) uses the core.
struct AccountOptions {
  LaneMode mode = LaneMode::kFollowup;
  std::string agent;                       // the name of the agent that answers
  std::vector<std::string> allow = {"*"};  // senders; "*" is everybody (C8)
  bool groups_need_mention = true;
  std::vector<std::string> choose_agents;  // what people may choose by /agent; none: they may not
  std::vector<std::string> choose_models;  // and by /model
  SessionRules session;
  std::string summary_agent;         // tells what no longer fits an agent's window in fewer words
  std::uint32_t turns_per_day = 0;   // of one person; 0: no bound
  std::uint64_t tokens_per_day = 0;  // of one person, in and out together; 0: no bound
};

}  // namespace sluice
