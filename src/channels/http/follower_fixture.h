#pragma once
// For tests of the follower: a conversation that tests write by hand, in virtual time, and a reader
// that keeps what docs/http-api.md tells clients to keep.

#include <map>
#include <optional>
#include <string>
#include <vector>

#include <boost/json/parse.hpp>
#include <gtest/gtest.h>

#include "channels/http/follower.h"
#include "net/sse.h"
#include "runtime/task_group.h"

namespace sluice::http::test {

class ManualClock : public Clock {
 public:
  MonoTime now() override { return now_; }
  UnixMillis wall() override { return UnixMillis{now_.ns / 1'000'000}; }
  MonoTime now_;
};

/// A store that only has one log. Reads wait while `hold` is set.
class LogStore : public Store, public StoreReader {
 public:
  explicit LogStore(Loop& loop) : Store(loop) {}

  std::map<std::int64_t, HistoryRow> lines;
  bool hold = false;
  bool fail = false;
  std::size_t largest_answer = 0;

  void release() {
    hold = false;
    for (auto& read : std::exchange(held_, {})) answer(*read);
  }

  Result<std::vector<HistoryRow>> history(HistoryId from, HistoryId after, std::size_t max_rows,
                                          std::size_t max_bytes) override {
    if (fail) return Error(ErrorKind::kTimeout);
    std::vector<HistoryRow> found;
    std::size_t bytes = 0;
    while (from > after && found.size() < max_rows && lines.contains(from.value)) {
      const HistoryRow& row = lines.at(from.value);
      bytes += row.text.size();
      if (bytes > max_bytes) break;
      found.insert(found.begin(), row);
      from = row.prev;
    }
    largest_answer = std::max(largest_answer, found.size());
    return found;
  }

  Result<std::optional<ConversationRow>> conversation(LaneId) override { return none(); }
  Result<std::vector<ListedConversation>> conversations_of(const std::string&, const std::string&,
                                                           LaneId, std::size_t) override {
    return none();
  }
  Result<std::vector<std::shared_ptr<const MessageRow>>> messages(
      std::span<const MessageId>) override {
    return none();
  }
  Result<std::vector<std::shared_ptr<const PartRow>>> parts(std::span<const PartId>) override {
    return none();
  }
  Result<std::optional<MessageId>> find_event(Key128) override { return none(); }
  Result<std::optional<MessageLife>> life(MessageId) override { return none(); }
  Result<std::vector<FoundMessage>> find_messages(const MessageFilter&) override { return none(); }
  Result<std::vector<DeadLetter>> dead_letters(std::size_t, std::int64_t) override {
    return none();
  }
  Result<std::optional<DeadLetter>> dead_letter(std::int64_t) override { return none(); }

 protected:
  void submit(std::shared_ptr<CommitRequest>) override {}
  void submit(std::shared_ptr<ReadRequest> request) override {
    if (hold) {
      held_.push_back(std::move(request));
    } else {
      answer(*request);
    }
  }

 private:
  static Error none() { return Error(ErrorKind::kUnsupported); }
  void answer(ReadRequest& request) {
    request.run(*this);
    request.complete();
  }
  std::vector<std::shared_ptr<ReadRequest>> held_;
};

/// The gateway's side of one conversation.
class FakeHost : public ChannelHost {
 public:
  FakeHost(Loop& loop, std::size_t feed_events_max)
      : loop_(loop), feeds_(loop, feed_events_max), store_(loop) {}

  Task<Result<std::vector<Accepted>>> accept(std::vector<InboundMessage>,
                                             std::optional<std::string>) override {
    co_return Error(ErrorKind::kUnsupported);
  }
  std::string cursor() const override { return {}; }
  void conflict(std::string) override {}
  Feeds& feeds() override { return feeds_; }
  LaneId find_lane(std::string_view, std::string_view) const override { return lane; }
  HistoryId head(LaneId) const override { return head_; }
  LogStore& store() override { return store_; }
  Loop& loop() override { return loop_; }

  /// One transaction: lines, then what readers are told.
  void commit(std::vector<HistoryRow> rows) {
    for (HistoryRow& row : rows) {
      row.id = HistoryId{next_id += 2};  // ids of other conversations lie between
      row.lane = lane;
      row.prev = head_;
      head_ = row.id;
      store_.lines.emplace(row.id.value, row);
    }
    feeds_.grew(lane, head_);
  }
  HistoryId say(HistoryKind kind, std::string text, TurnId turn = {}) {
    HistoryRow row;
    row.kind = kind;
    row.text = std::move(text);
    row.turn = turn;
    commit({row});
    return head_;
  }
  /// As Turns::finish does it.
  void end_turn(TurnId turn, std::string text) {
    HistoryRow asked;
    asked.turn = turn;
    asked.message = MessageId{turn.value};
    HistoryRow said;
    said.kind = HistoryKind::kAgent;
    said.turn = turn;
    said.text = std::move(text);
    feeds_.end_turn(lane);
    commit({asked, said});
    feeds_.phase(lane, FeedPhase{turn, MessageId{turn.value}, TurnPhase::kEnded});
  }

  LaneId lane{1};
  std::int64_t next_id = 10;
  HistoryId head_;

 private:
  Loop& loop_;
  Feeds feeds_;
  LogStore store_;
};

/// What a client that follows the rules knows.
class ModelReader {
 public:
  struct Shown {
    std::int64_t turn = 0;
    std::int64_t attempt = 0;
    std::string text;
    std::vector<std::string> blocks;  // in its place, for a reader of HTML
  };
  std::vector<std::int64_t> ids;
  std::vector<std::string> texts;
  Shown shown;  // the running reply
  std::vector<std::string> events;
  std::string last_id;
  int heartbeats = 0;

  /// A new connection: its parser starts afresh, what was shown stays on the screen.
  void connected() { parser_ = net::SseParser(8 << 20); }

  void take(std::string_view bytes) {
    if (bytes == net::kSseHeartbeat) ++heartbeats;
    std::vector<net::SseEvent> got;
    ASSERT_TRUE(parser_.put(bytes, got));
    for (const net::SseEvent& event : got) {
      if (event.event == "message") last_id = event.id;
      take(event.event, boost::json::parse(event.data));
    }
  }
  /// One of a WebSocket.
  void take_frame(std::string_view frame) {
    const boost::json::value all = boost::json::parse(frame);
    if (all.as_array().empty()) ++heartbeats;
    for (const boost::json::value& event : all.as_array()) {
      const boost::json::value& data = event.at("data");
      if (event.at("event") == "message") last_id = std::to_string(data.at("id").as_int64());
      take(std::string(event.at("event").as_string()), data);
    }
  }

 private:
  void take(const std::string& name, const boost::json::value& v) {
    events.push_back(name);
    const auto number = [&](const char* key) { return v.at(key).as_int64(); };
    if (name == "message") {
      ids.push_back(number("id"));
      texts.emplace_back(v.at("text").as_string());
      if (number("turn") == shown.turn) shown = {};
    } else if (name == "reset") {
      shown = {number("turn"), number("attempt"), {}, {}};
    } else if (name == "delta") {
      if (number("turn") != shown.turn) shown = {number("turn"), number("attempt"), {}, {}};
      EXPECT_EQ(number("attempt"), shown.attempt) << "text of two attempts joined";
      EXPECT_EQ(number("offset"), static_cast<std::int64_t>(shown.text.size()));
      shown.text += v.at("text").as_string();
    } else if (name == "html") {
      if (number("turn") != shown.turn) shown = {number("turn"), number("attempt"), {}, {}};
      EXPECT_EQ(number("attempt"), shown.attempt) << "text of two attempts joined";
      const auto from = static_cast<std::size_t>(number("from"));
      ASSERT_LE(from, shown.blocks.size()) << "a hole";
      shown.blocks.resize(from);
      for (const auto& block : v.at("blocks").as_array()) {
        shown.blocks.emplace_back(block.as_string());
      }
    }
  }
  net::SseParser parser_{8 << 20};
};

/// Hands events to the model, by either way; waits while blocked, fails once gone.
class ModelSink : public EventSink {
 public:
  ModelSink(Loop& loop, ModelReader& reader, bool socket)
      : reader_(reader), moved_(loop), socket_(socket) {}
  Task<Result<void>> write(std::vector<StreamEvent> events) override {
    return deliver(socket_ ? to_frame(events) : to_sse(events));
  }
  Task<Result<void>> heartbeat() override {
    return deliver(socket_ ? "[]" : std::string(net::kSseHeartbeat));
  }
  void unblock() {
    blocked = false;
    moved_.pulse();
  }
  void hang_up() {
    gone = true;
    moved_.pulse();
  }
  bool blocked = false;
  bool gone = false;

 private:
  Task<Result<void>> deliver(std::string bytes) {
    while (blocked && !gone) co_await moved_.wait();
    if (gone) co_return Error(ErrorKind::kUnavailable);
    if (socket_) {
      reader_.take_frame(bytes);
    } else {
      reader_.take(bytes);
    }
    co_return Result<void>();
  }
  ModelReader& reader_;
  Event moved_;
  const bool socket_;
};

/// One conversation and one reader, who may come and go.
class World {
 public:
  explicit World(std::size_t feed_events_max = 1024, std::uint64_t seed = 1)
      : loop(clock, seed), host(loop, feed_events_max), group_(loop) {
    face = std::make_shared<Face>(host, "http", HttpChannelOptions{}, metrics_);
  }
  ~World() { group_.cancel(); }

  void connect(Start start) {
    reader.connected();
    sink = std::make_shared<ModelSink>(loop, reader, socket);
    start.html = html;
    connected = true;
    group_.spawn("reader", follow(this, sink, start));
    settle();
  }
  /// As a client does that saw the stream end.
  void reconnect() {
    connect(reader.last_id.empty()
                ? Start{Start::From::kAfter, HistoryId{}}
                : Start{Start::From::kAfter, HistoryId{std::stoll(reader.last_id)}});
  }
  /// The connection breaks; its request is destroyed where it stands.
  void cut() {
    group_.cancel();
    connected = false;
  }
  void settle() {
    while (loop.has_ready()) loop.run_one();
  }
  void advance(Duration d) {
    clock.now_ = clock.now_ + d;
    loop.timers().advance(clock.now_);
    settle();
  }

  ManualClock clock;
  Loop loop;
  FakeHost host;
  std::shared_ptr<Face> face;
  ModelReader reader;
  std::shared_ptr<ModelSink> sink;
  bool connected = false;
  bool socket = false;  // else server-sent events
  bool html = false;
  std::function<bool()> still_allowed;

 private:
  static Task<void> follow(World* world, std::shared_ptr<ModelSink> sink, Start start) {
    Follower follower(world->face, *sink, "main", start, world->still_allowed);
    co_await follower.run();
    world->connected = false;
  }
  Metrics metrics_;
  TaskGroup group_;
};

}  // namespace sluice::http::test
