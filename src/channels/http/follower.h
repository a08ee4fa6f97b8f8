#pragma once
// Follower: one reader of one conversation. Sends the durable log from where the reader left off,
// each line once and in order, then what is live; between the two there is neither a hole nor a
// repetition, however often the reader lags or comes back.
//
// Shard-confined; lives in its request. It subscribes to the feed and notes the log's head in one
// step: lines up to there are read from the store, later ones are told by the feed. Deltas are put
// in order by (turn, attempt, offset): whenever the next one does not continue what this connection
// has sent, a reset says so first.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "channels/http/events.h"
#include "channels/http/face.h"
#include "gateway/feed.h"
#include "gateway/store.h"
#include "lifecycle/in_flight.h"
#include "text/markdown.h"

namespace sluice::http {

/// Where events go. Both resolve when there is room for more: a slow reader slows its follower and
/// nobody else. An error: the reader has gone.
class EventSink {
 public:
  virtual ~EventSink() = default;
  /// At least one event; in order.
  virtual Task<Result<void>> write(std::vector<StreamEvent> events) = 0;
  /// Nothing has happened, but we are here.
  virtual Task<Result<void>> heartbeat() = 0;
};

/// Where a reader wants to begin.
struct Start {
  enum class From : std::uint8_t {
    kRecent,  // the newest kRecentLines lines
    kAfter,   // behind the line `after`; 0: from the beginning
    kLatest,  // only what comes
  };
  From from = From::kRecent;
  HistoryId after;
  /// Agents' words as HTML too: lines have both, and the running answer comes as blocks.
  bool html = false;
};

class Follower : public StreamBase, private lifecycle::Parts {
 public:
  static constexpr std::size_t kRecentLines = 100;
  static constexpr std::size_t kChunkLines = 64;          // read and sent at once
  static constexpr std::size_t kChunkBytes = 256 * 1024;  // of text; a longer line goes by itself
  static constexpr Duration kHeartbeat = std::chrono::seconds(15);
  /// How often a conversation that nobody has written in yet is looked for, beside the hints of
  /// this account's own posts: the operator may send something too.
  static constexpr Duration kLookAgain = std::chrono::seconds(2);

  /// The running answer as HTML is rendered at most this often, and more rarely the longer the part
  /// of it that may still change: a reader costs at most so much of the shard and of its network.
  static constexpr Duration kRenderEvery = std::chrono::milliseconds(40);
  static constexpr Duration kRenderPerByte = std::chrono::microseconds(8);

  /// still_allowed is asked at every heartbeat; may be empty. guard is the request's, null if
  /// nobody counts. sink and guard outlive the follower.
  Follower(std::shared_ptr<Face> face, EventSink& sink, std::string chat, Start start,
           std::function<bool()> still_allowed = {}, lifecycle::Guard* guard = nullptr);
  ~Follower() override;

  /// Until the reader goes, the channel stops, or the store can't be read. The reader may come back
  /// with the last id it saw. Cancelled by destruction.
  Task<void> run();
  /// Set once it was asked to end: it does so when all that had happened by then is told.
  const std::optional<lifecycle::Parting>& parting() const { return parting_; }

 private:
  enum class Next : std::uint8_t { kEnd, kAgain };
  /// What this connection has sent of the running reply.
  struct Preview {
    Preview() = default;
    Preview(TurnId t, std::uint32_t a) : turn(t), attempt(a) {}
    TurnId turn;
    std::uint32_t attempt = 0;
    std::uint64_t sent = 0;       // bytes of the attempt's text
    std::string tail;             // the beginning of a code point whose end has not come
    bool broken = false;          // it is not UTF-8: not shown any further
    text::LiveMarkdown markdown;  // what was sent, for readers of HTML
    bool unrendered = false;
    MonoTime next_render;
  };

  void wake() override;
  void part(const lifecycle::Parting& parting) override;
  Task<bool> put(std::vector<StreamEvent> events);
  Task<bool> tick(MonoTime now);
  Task<bool> find_lane();
  Task<bool> choose_start(HistoryId head);
  Task<bool> send_log(HistoryId head);
  Task<Result<std::vector<HistoryRow>>> read(HistoryId from, HistoryId after, std::size_t lines);
  Task<Next> follow_live();
  std::vector<StreamEvent> show(const FeedEvent& event);
  std::vector<StreamEvent> show_delta(const FeedDelta& delta);
  void render_if_due(std::vector<StreamEvent>* events);
  void forget_preview_of(const HistoryRow& line);

  const std::shared_ptr<Face> face_;
  EventSink& sink_;
  Store& store_;
  Feeds& feeds_;
  const std::string chat_;
  std::optional<Start> start_;  // until it has been chosen
  const bool html_;
  const std::function<bool()> still_allowed_;
  lifecycle::Guard* const guard_;
  std::optional<lifecycle::Parting> parting_;

  LaneId lane_;
  std::unique_ptr<Feeds::Subscription> feed_;
  HistoryId sent_;  // every line up to here has been dealt with
  Preview preview_;
  bool snapshot_ = false;  // the next delta is what the attempt had streamed before we subscribed
  MonoTime next_tick_;
};

}  // namespace sluice::http
