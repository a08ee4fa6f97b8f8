#pragma once
// Channel: the seam between the gateway and one account on one platform. A channel turns platform
// events into InboundMessages, hands them to its ChannelHost, and sends parts when the outbox says
// so. It decides nothing about order, repetition or loss: it reports outcomes, and the outbox
// settles them.
//
// Adding a platform is one new folder under channels/ with a plugin, and one line in app/.

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "gateway/feed.h"
#include "gateway/message.h"
#include "gateway/options.h"
#include "gateway/store.h"
#include "runtime/task.h"

namespace sluice {

/// What the platform can do; the gateway asks the flags, never the kind.
struct Capabilities {
  /// Readers pull replies from our durable log: the turn's commit is the delivery, there are no
  /// sends (C18).
  bool pull = false;
  /// Requests come from our own clients: a reused key with other content is refused, not a new
  /// event (C3).
  bool own_face = false;
  bool streaming = false;  // shows a reply while it grows
  /// The platform drops a repeated send with the same key for this long; 0: it has no such key
  /// (C19).
  std::chrono::milliseconds idempotency_window{0};
  bool can_look_back = false;      // find_sent() can tell whether an earlier send arrived
  std::size_t part_bytes_max = 0;  // longest text of one part; 0: no bound of its own
};

struct ChannelInfo {
  std::string name;  // the account: unique, configured; e.g. "support-bot"
  std::string kind;  // e.g. "hook"
  Capabilities can;
};

/// One part as it goes out.
struct SendRequest {
  PartId part;
  TurnId turn;
  std::uint32_t n = 0;
  PartKind kind = PartKind::kReply;
  std::string chat;
  std::string thread;
  std::string text;
  std::string reply_to;
  std::string meta;             // JSON of ResponseMeta, empty if there is none
  std::string idempotency_key;  // derived from the cause, the same for every try
  std::string request_id;
  bool plain = false;               // the formatted text was refused: send it as plain text
  bool possible_duplicate = false;  // must be told to the person (C19)
};

/// What became of a try. The outbox settles by it (C19, C21, C23).
struct SendOutcome {
  enum class What : std::uint8_t {
    kSent,
    kNotSent,         // surely nothing left us: free to try again
    kRateLimited,     // surely not sent; wait exactly `wait`
    kRefused,         // for good: this part will never be taken
    kRefusedFormat,   // for good, but as plain text it may be
    kAccountRefused,  // our credentials are: the account parks
    kUnknown,         // it may have arrived
  };
  What what = What::kUnknown;
  std::string reason;
  std::string platform_id;
  std::chrono::milliseconds wait{0};
  bool whole_account = false;  // kRateLimited: the platform named the account, not the chat

  static SendOutcome sent(std::string platform_id = {}) {
    return {What::kSent, {}, std::move(platform_id), {}, false};
  }
  static SendOutcome of(What what, std::string reason) {
    return {what, std::move(reason), {}, {}, false};
  }
};

/// Renders what the gateway says itself into the channel's words. Stateless.
class Formatter {
 public:
  virtual ~Formatter() = default;
  /// Splits a reply into parts that the platform takes, in order; at least one.
  virtual std::vector<std::string> reply(std::string_view text, std::size_t part_bytes_max) const;
  /// A notice with an optional suggestion.
  virtual std::string notice(std::string_view text, std::string_view suggestion) const;
  /// What "may be a duplicate" looks like on this platform (C19).
  virtual std::string possible_duplicate(std::string_view text) const;
};

struct Accepted {
  EventVerdict verdict = EventVerdict::kNew;
  MessageId id;
  LaneId lane;
  bool refused_by_access = false;  // not accepted and not kept (C8); id is 0
};

/// What a channel may ask of the gateway. Lives as long as the channel is registered. Shard thread.
class ChannelHost {
 public:
  virtual ~ChannelHost() = default;
  /// Accepts a body's events whole or refuses it whole (C1); answers when they are on disk. Errors:
  /// kInvalidArgument, kTooLarge, kOverloaded (a bound of C32; nothing was kept), kConflict never
  /// (see Accepted::verdict), kUnavailable (intake is closed), kDiskFull, kStorageFailed.
  virtual Task<Result<std::vector<Accepted>>> accept(std::vector<InboundMessage> events,
                                                     std::optional<std::string> cursor) = 0;
  /// The cursor of the last accepted body, empty at the first start.
  virtual std::string cursor() const = 0;
  /// Somebody else uses this account (C30): it stops sending, goes on receiving, and alerts.
  virtual void conflict(std::string reason) = 0;
  /// Live events and the durable log of a conversation; for channels with Capabilities::pull.
  virtual Feeds& feeds() = 0;
  /// The conversation's lane, 0 if nobody ever wrote in it.
  virtual LaneId find_lane(std::string_view chat, std::string_view thread) const = 0;
  /// The newest line of its log that readers can see; 0 if there is none.
  virtual HistoryId head(LaneId lane) const = 0;
  /// For reading the log; channels never commit.
  virtual Store& store() = 0;
  virtual Loop& loop() = 0;
};

/// Shard-confined. Owned by the gateway from register_channel on.
class Channel {
 public:
  virtual ~Channel() = default;
  virtual const ChannelInfo& info() const = 0;
  virtual const AccountOptions& account() const = 0;
  /// Others in their place, while it runs: a reload (Gateway::set_account).
  virtual void set_account(const AccountOptions& account) = 0;
  virtual const Formatter& formatter() const;
  /// Connects and begins to deliver events. host outlives the channel's tasks. An error: not
  /// registered.
  virtual Task<Result<void>> start(ChannelHost& host) = 0;
  /// Ends reception and what it runs. After channel_stop_timeout it is cut off: its frames are
  /// destroyed.
  virtual Task<void> stop() = 0;
  /// Only for channels that push. Cut off at send_timeout: the outcome is then unknown.
  virtual Task<SendOutcome> send(SendRequest request);
  /// What it knows that is on no disk and a successor of this process should know, too: text of its
  /// own kind, at most some MiB. Asked once nothing is accepted any more.
  virtual std::string memory() const { return {}; }
  /// The same of an earlier process, before start(); what it does not understand it leaves.
  virtual void remember(const std::string& memory) { (void)memory; }
  /// Whether an earlier send of this part arrived: its platform id, or nullopt. Only if
  /// can_look_back.
  virtual Task<Result<std::optional<std::string>>> find_sent(SendRequest request);
};

}  // namespace sluice
