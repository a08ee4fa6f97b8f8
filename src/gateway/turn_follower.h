#pragma once
// TurnFollower: waits for the answer to one message, and tells its text while it grows.
//
// The end is always read from the store, and only it counts. The text on its way comes from the
// conversation's feed, which carries whatever turn runs there, so it is told only where the turn is
// this message's own: the feed said so when it began, or the message is the conversation's first.
//
// Shard-confined; lives in its request. Cancelled by destruction.

#include <memory>
#include <optional>

#include "gateway/answer.h"
#include "gateway/channel.h"
#include "gateway/feed.h"
#include "runtime/list.h"

namespace sluice {

class TurnFollower;

/// What a channel shares with those who follow turns through it. Either may end first, so both hold
/// it; once it has ended the gateway is not asked any more.
class TurnFollowers {
 public:
  explicit TurnFollowers(ChannelHost& host) : host_(&host), loop_(host.loop()) {}
  /// The channel stops: every next() returns kClosed from now on.
  void end();
  bool ended() const { return ended_; }

 private:
  friend class TurnFollower;
  ChannelHost* host_;
  Loop& loop_;
  bool ended_ = false;
  List<TurnFollower> all_;
};

class TurnFollower : ListNode {
 public:
  struct Step {
    enum class What : std::uint8_t {
      kDelta,
      kReset,   // the text so far is void: another attempt begins
      kAnswer,  // it has ended, or asks
      kQuiet,   // the deadline has passed
      kClosed,  // the channel stops, or close() was called
      kFailed,  // the store can't be read
    };
    What what = What::kQuiet;
    FeedDelta delta;
    FeedReset reset;
    Answer answer;
    Error error;
  };
  enum class Since : std::uint8_t {
    kBefore,  // new, and listened for since before it was accepted: its turn's beginning is told
    kFirst,   // new, and nobody had written in its conversation when it was posted
    kRepeat,  // accepted some time ago
  };

  explicit TurnFollower(std::shared_ptr<TurnFollowers> all);
  ~TurnFollower();

  /// Hears from here on what happens in the lane. To be called before the message is accepted if
  /// the lane is there by then.
  void listen(LaneId lane);
  /// The message, accepted into that lane.
  void follow(MessageId message, Since since);
  /// Whose turn is known already, since somebody followed it before.
  void follow(MessageId message, TurnId turn);
  /// 0 while it is not known.
  TurnId turn() const { return turn_; }

  /// What comes next. After kAnswer, kClosed and kFailed there is nothing more.
  Task<Step> next(MonoTime deadline);
  /// Makes next() return kClosed.
  void close();

 private:
  std::optional<Step> show(const FeedEvent& event);
  std::optional<Step> show_delta(const FeedDelta& delta);
  Task<std::optional<Step>> look();

  friend class TurnFollowers;
  template <class T>
  friend class List;
  bool over() const { return closed_ || all_->ended_; }

  const std::shared_ptr<TurnFollowers> all_;
  LaneId lane_;
  MessageId message_;
  std::unique_ptr<Feeds::Subscription> feed_;
  bool closed_ = false;
  bool look_ = false;          // the store may have something new
  bool question_ = false;      // and perhaps our question is among it
  bool lagged_ = false;        // the subscription has ended
  bool next_is_ours_ = false;  // the first turn that is heard of
  TurnId turn_;                // ours, once it is known
  std::uint64_t heard_ = 0;    // bytes of the attempt's text
};

}  // namespace sluice
