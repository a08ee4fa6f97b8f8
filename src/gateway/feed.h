#pragma once
// Feeds: what readers of a conversation see while it happens. The durable log is the truth; a feed
// only says that it has grown, and carries what is not durable: the deltas of a reply in the
// making, told by (turn, attempt, offset). A reader that can't keep up loses nothing but the
// deltas' granularity: it is told to catch up, reads the log, and gets the running reply from
// offset 0.
//
// Shard-confined. A Subscription must not outlive its Feeds.

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <variant>

#include "base/ids.h"
#include "runtime/list.h"
#include "runtime/wait.h"

namespace sluice {

/// The log of the conversation grew up to this line.
struct FeedGrew {
  HistoryId head;
};
/// A piece of the running reply. offset counts bytes of the attempt's text before it.
struct FeedDelta {
  TurnId turn;
  std::uint32_t attempt = 0;
  std::uint64_t offset = 0;
  std::string text;
};
/// What was streamed by an earlier attempt is void; the attempt named starts at offset 0.
struct FeedReset {
  TurnId turn;
  std::uint32_t attempt = 0;
};
enum class TurnPhase : std::uint8_t { kQueued, kRunning, kRetrying, kAsking, kParked, kEnded };
struct FeedPhase {
  TurnId turn;
  MessageId message;  // the first it answers
  TurnPhase phase = TurnPhase::kQueued;
};
/// Events were dropped: read the log, then subscribe again from there.
struct FeedLagged {};

using FeedEvent = std::variant<FeedGrew, FeedDelta, FeedReset, FeedPhase, FeedLagged>;

class Feeds {
 public:
  class Subscription : ListNode {
   public:
    ~Subscription();
    /// The next event; nullopt at the deadline.
    Task<std::optional<FeedEvent>> next(MonoTime deadline);
    /// For readers that must not be kept waiting for a deadline: wakes next() with nullopt.
    void wake() { arrived_.pulse(); }

   private:
    friend class Feeds;
    template <class T>
    friend class List;
    Subscription(Feeds& feeds, LaneId lane, Loop& loop)
        : feeds_(feeds), lane_(lane), arrived_(loop) {}
    void push(const FeedEvent& event);
    Feeds& feeds_;
    LaneId lane_;
    Event arrived_;
    std::deque<FeedEvent> queue_;
    bool lagged_ = false;
  };

  Feeds(Loop& loop, std::size_t events_max) : loop_(loop), events_max_(events_max) {}

  /// Begins with the reply in the making, if there is one, as one delta from offset 0.
  std::unique_ptr<Subscription> subscribe(LaneId lane);
  std::size_t subscriptions() const { return count_; }

  // For the gateway.
  void grew(LaneId lane, HistoryId head);
  void phase(LaneId lane, FeedPhase phase);
  /// Begins the attempt's text; a reset is told if an earlier attempt had streamed.
  void begin_attempt(LaneId lane, TurnId turn, std::uint32_t attempt);
  void delta(LaneId lane, std::string_view text);
  /// The turn is over; its text is in the log.
  void end_turn(LaneId lane);
  /// What the running attempt has streamed so far; empty if nothing.
  std::string_view streamed(LaneId lane) const;

 private:
  friend class Subscription;
  struct Lane {
    List<Subscription> readers;
    TurnId turn;  // running, 0 if none
    std::uint32_t attempt = 0;
    std::string text;
  };
  void publish(LaneId lane, const FeedEvent& event);
  void drop_if_idle(LaneId lane);

  Loop& loop_;
  std::size_t events_max_;
  std::size_t count_ = 0;
  std::unordered_map<LaneId, Lane> lanes_;
};

}  // namespace sluice
