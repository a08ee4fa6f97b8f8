#pragma once
// Preload: stores that look as if a gateway had run for a long time, written straight into the
// tables. Made once for a run and copied for each use.

#include <string>

#include "report.h"

namespace sluice::bench {

struct Amounts {
  std::size_t conversations = 1'000'000;
  std::size_t messages = 5'000'000;  // answered, each with its key, history, log and part
  static Amounts of(const Scale& scale) {
    return {scale.count(1'000'000, 500), scale.count(5'000'000, 2'500)};
  }
};

/// The store of such an age in the run's folder; made by the first who asks.
std::string aged_store(const Scale& scale);

/// Adds rows to the store in the directory, which nobody has open. The account is "http"; the
/// chats are those of the daemon's owner, see old_chat().
void preload(const std::string& directory, const Amounts& amounts);
std::string old_chat(std::size_t n);
/// Accepts messages in the conversations that are there, and leaves the store as a SIGKILL would.
void leave_pending(const std::string& directory, std::size_t pending);

}  // namespace sluice::bench
