#pragma once
// What became of a message, read from the store: the truth behind what a feed tells.

#include <cstdint>
#include <string>

#include "base/ids.h"
#include "base/result.h"
#include "gateway/store.h"
#include "runtime/task.h"

namespace sluice {

struct Answer {
  enum class State : std::uint8_t {
    kPending,  // nothing yet, as far as head tells
    kAsking,   // its turn was interrupted, and the person has to decide (C13)
    kEnded,
  };
  State state = State::kPending;
  UnixMillis accepted_at;
  MessageOutcome outcome = MessageOutcome::kAnswered;  // once it has ended
  std::string text;                                    // the agent's, or the answer to a command
  bool cut = false;                                    // stopped before it was finished
  std::string notice;                                  // our words: an error, a question
  std::string error;                                   // a UserError's kind; empty on success

  /// Whether a client gets text as an answer, and not an error.
  bool is_good() const;
};

inline constexpr std::size_t kChunkLines = 64;  // of the log, read at once
inline constexpr std::size_t kChunkBytes = 256 * 1024;

/// head is the log's newest line; the answer lies between it and the message, and is looked for
/// backwards, a chunk at a time. question: whether to look for kAsking in the newest chunk, too.
/// kNotFound: the message is not kept any more. store outlives it.
Task<Result<Answer>> read_answer(Store* store, MessageId message, HistoryId head, bool question);

}  // namespace sluice
