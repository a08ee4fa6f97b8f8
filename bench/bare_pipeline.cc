#include "bare_pipeline.h"

#include <cstdlib>

#include "base/assert.h"
#include "measure.h"

namespace sluice::bench {
namespace {

class NoSink : public DeltaSink {
  void delta(std::string_view) override {}
};

}  // namespace

BarePipeline::BarePipeline(std::size_t conversations, std::size_t depth)
    : shard_(clock_, 1),
      store_(shard_),
      agent_("echo", EchoOptions{}, shard_),
      people_(shard_, conversations, depth),
      lanes_(conversations),
      tasks_(shard_) {
  for (Lane& lane : lanes_) lane.id = LaneId{++last_id_};
  people_.start([this](InboundMessage message) { return say(std::move(message)); });
}

Task<void> BarePipeline::say(InboundMessage message) {
  Lane& lane = lanes_[static_cast<std::size_t>(std::atoll(message.chat.c_str()))];
  auto row = std::make_shared<MessageRow>();
  row->id = MessageId{++last_id_};
  row->lane = lane.id;
  row->accepted_at = shard_.wall();
  row->sender = std::move(message.sender);
  row->sender_name = std::move(message.sender_name);
  row->event = std::move(message.event);
  row->text = std::move(message.text);
  row->reply_to = std::move(message.reply_to);
  Transaction transaction;
  KeyedEvent event;
  event.id = row->id;
  event.message = row;
  transaction.events.push_back(std::move(event));
  const Result<Receipt> accepted = co_await store_.commit(std::move(transaction));
  SLUICE_ASSERT(accepted.has_value());
  lane.waiting.push_back(std::move(row));
  if (!lane.busy) tasks_.spawn("lane", run_lane(&lane));
}

Task<void> BarePipeline::run_lane(Lane* lane) {
  lane->busy = true;
  while (!lane->waiting.empty()) {
    std::shared_ptr<const MessageRow> message = std::move(lane->waiting.front());
    lane->waiting.pop_front();
    co_await run_turn(lane, std::move(message));
  }
  lane->busy = false;
}

Task<void> BarePipeline::run_turn(Lane* lane, std::shared_ptr<const MessageRow> message) {
  TurnRow turn;
  turn.id = TurnId{++last_id_};
  turn.lane = lane->id;
  turn.agent = "echo";
  turn.messages = {message->id};
  Transaction begin;
  begin.changes.turns.push_back(std::move(turn));
  const TurnId id = begin.changes.turns.front().id;
  const Result<Receipt> begun = co_await store_.commit(std::move(begin));
  SLUICE_ASSERT(begun.has_value());

  TurnRequest request;
  request.turn = id;
  request.chat = std::to_string(lane->id.value - 1);
  request.messages = {message};
  const std::string chat = request.chat;
  NoSink sink;
  Result<AgentReply> reply = co_await agent_.run(std::move(request), sink);

  Transaction end;
  Changes& changes = end.changes;
  changes.turns_ended.push_back(id);
  MessageEnd& ended = changes.ended.emplace_back();
  ended.id = message->id;
  ended.turn = id;
  for (const HistoryKind kind : {HistoryKind::kPerson, HistoryKind::kAgent}) {
    HistoryRow& line = changes.history.emplace_back();
    line.id = HistoryId{++last_id_};
    line.lane = lane->id;
    line.prev = lane->head;
    line.kind = kind;
    line.text = kind == HistoryKind::kPerson ? message->text : reply->text;
    lane->head = line.id;
  }
  PartRow& part = changes.parts.emplace_back();
  part.id = PartId{++last_id_};
  part.lane = lane->id;
  part.turn = id;
  part.text = std::move(reply->text);
  part.reply_to = message->reply_to;
  const PartId part_id = part.id;
  const std::string text = part.text;
  const Result<Receipt> committed = co_await store_.commit(std::move(end));
  SLUICE_ASSERT(committed.has_value());

  people_.answered(chat, text);
  Transaction settle;
  PartSettlement& settled = settle.changes.settled.emplace_back();
  settled.id = part_id;
  settled.platform_id = "p";
  const Result<Receipt> done = co_await store_.commit(std::move(settle));
  SLUICE_ASSERT(done.has_value());
}

Task<void> BarePipeline::stop_after(Shard* shard, double seconds) {
  co_await sleep_for(*shard, Duration(static_cast<std::int64_t>(seconds * 1e9)));
  shard->stop();
}

World::Sample BarePipeline::run(double seconds) {
  shard_.io().restart();
  tasks_.spawn("stop_after", stop_after(&shard_, seconds));
  const std::uint64_t turns = people_.turns();
  const double began = wall_seconds();
  const double cpu = thread_cpu_seconds();
  shard_.run();
  return {people_.turns() - turns, wall_seconds() - began, thread_cpu_seconds() - cpu, 0};
}

}  // namespace sluice::bench
