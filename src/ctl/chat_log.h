#pragma once
// ChatLog: what a reader of a conversation knows so far. It turns the daemon's events
// (docs/http-api.md), which may come again after a reconnection, into a sequence in which each line
// comes once, each piece of a growing answer continues the one before, and nothing is joined that
// does not belong together.
//
// A value without I/O; one thread. Bound: kPreviewBytes of the answer in the making; what is beyond
// comes with its line.

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "net/sse.h"

namespace sluice::ctl {

/// A line of the durable log.
struct ChatLine {
  std::int64_t id = 0;
  std::string kind;  // person, agent, notice, command, answer
  std::int64_t message = 0;
  std::int64_t turn = 0;
  bool cut = false;  // stopped before it was finished
  std::int64_t at = 0;
  std::string author;
  std::string text;
  std::size_t given = 0;  // bytes of text that were given as pieces already
};
/// A piece of the answer in the making, behind those before it.
struct ChatPiece {
  std::int64_t turn = 0;
  std::int64_t attempt = 0;
  std::string text;
};
/// The pieces of that turn that were given are void: another attempt begins, or it failed.
struct ChatVoid {
  std::int64_t turn = 0;
  std::int64_t attempt = 0;  // whose pieces they were
};
struct ChatPhase {
  std::int64_t turn = 0;
  std::int64_t message = 0;
  std::string phase;  // queued, running, retrying, asking, ended
};
using ChatEvent = std::variant<ChatLine, ChatPiece, ChatVoid, ChatPhase>;

class ChatLog {
 public:
  static constexpr std::size_t kPreviewBytes = 16 << 20;

  /// Lines up to `after` are known already.
  explicit ChatLog(std::int64_t after) : last_(after) {}

  /// Appends what is new in this event. kBadResponse: it is none of ours; nothing has changed.
  Result<void> put(const net::SseEvent& event, std::vector<ChatEvent>& out);
  /// Where to go on reading after a reconnection.
  std::int64_t last() const { return last_; }

 private:
  struct Preview {
    std::int64_t turn = 0;
    std::int64_t attempt = 0;
    std::string given;
  };
  void put_line(ChatLine line, std::vector<ChatEvent>& out);
  void put_delta(std::int64_t turn, std::int64_t attempt, std::uint64_t offset,
                 std::string_view text, std::vector<ChatEvent>& out);
  /// The preview is now of that attempt; what was given of another one is void.
  void turn_to(std::int64_t turn, std::int64_t attempt, std::vector<ChatEvent>& out);

  std::int64_t last_;
  Preview preview_;
};

}  // namespace sluice::ctl
