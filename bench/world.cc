#include "world.h"

#include <charconv>

#include <fmt/core.h>

#include "base/assert.h"
#include "measure.h"

namespace sluice::bench {
namespace {

constexpr std::string_view kAccount = "http";
constexpr std::string_view kAgent = "echo";

/// A message of ordinary length.
constexpr std::string_view kWords =
    " of what somebody might say to an agent, about as long as people write.";

std::uint64_t number_in(std::string_view text) {
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace

// ---- People

People::People(Loop& loop, std::size_t conversations, std::size_t depth)
    : loop_(loop), depth_(depth), tasks_(loop) {
  for (std::size_t i = 0; i < conversations; ++i) {
    Conversation& conversation = conversations_.emplace_back();
    for (std::size_t k = 0; k < depth; ++k) conversation.places.emplace_back(loop);
  }
}

void People::start(Say say) {
  say_ = std::move(say);
  for (std::size_t i = 0; i < conversations_.size(); ++i) {
    for (std::size_t k = 0; k < depth_; ++k) tasks_.spawn("person", talk(i, &say_));
  }
}

Task<void> People::talk(std::size_t person, Say* say) {
  Conversation& conversation = conversations_[person];
  while (!quiet_) {
    const std::uint64_t number = conversation.said++;
    Place& place = conversation.places[number % depth_];
    place.free.reset();
    co_await (*say)(message(person, number));
    co_await place.free.wait();
  }
}

void People::answered(std::string_view chat, std::string_view text) {
  Conversation& conversation = conversations_[number_in(chat)];
  // An empty text: the order was seen by other means.
  if (!text.empty() && number_in(text) != conversation.answered) {
    fmt::print(stderr, "in chat {} ({} said) answer {} was due, and this came: {}\n", chat,
               conversation.said, conversation.answered, text);
    SLUICE_ASSERT(number_in(text) == conversation.answered);
  }
  ++turns_;
  conversation.places[conversation.answered++ % depth_].free.set();
}

InboundMessage People::message(std::size_t person, std::uint64_t number) {
  InboundMessage message;
  message.chat = fmt::format("{}", person);
  message.sender = fmt::format("person-{}", person);
  message.sender_name = "Somebody";
  // Ids as webhooks have them: nothing about them ascends.
  message.event = fmt::format("{:016x}{:016x}", loop_.random().next(), loop_.random().next());
  message.text = fmt::format("{}{}", number, kWords);
  message.reply_to = message.event;
  return message;
}

// ---- BenchChannel

BenchChannel::BenchChannel(Loop& loop, People& people, bool pull, OnSend on_send)
    : people_(people), on_send_(std::move(on_send)), tasks_(loop) {
  info_.name = kAccount;
  info_.kind = "bench";
  info_.can.pull = pull;
  info_.can.own_face = pull;
  options_.agent = kAgent;
}

Task<Result<void>> BenchChannel::start(ChannelHost& host) {
  host_ = &host;
  co_return Result<void>();
}

Task<void> BenchChannel::stop() {
  tasks_.cancel();
  co_return;
}

Task<SendOutcome> BenchChannel::send(SendRequest request) {
  if (on_send_) {
    on_send_(request);
  } else {
    people_.answered(request.chat, request.text);
  }
  co_return SendOutcome::sent("p");
}

void BenchChannel::follow(LaneId lane, std::string chat) {
  if (!info_.can.pull || !followed_.emplace(lane, true).second) return;
  tasks_.spawn("reader", read(lane, std::move(chat)));
}

Task<void> BenchChannel::read(LaneId lane, std::string chat) {
  const std::unique_ptr<Feeds::Subscription> events = host_->feeds().subscribe(lane);
  for (;;) {
    const std::optional<FeedEvent> event = co_await events->next(MonoTime::max());
    if (!event) continue;
    SLUICE_ASSERT(!std::holds_alternative<FeedLagged>(*event));
    const FeedPhase* phase = std::get_if<FeedPhase>(&*event);
    if (phase != nullptr && phase->phase == TurnPhase::kEnded) people_.answered(chat, {});
  }
}

// ---- World

World::World(Setup setup, const MakeStore& make_store)
    : setup_(std::move(setup)),
      // Another seed each time: in a store that was used before the same ids would be duplicates.
      shard_(clock_, static_cast<std::uint64_t>(clock_.now().ns)),
      people_(shard_, setup_.conversations, setup_.depth),
      tasks_(shard_) {
  recovered.generation = 1;
  store_ = make_store(*this);
  gateway_ = std::make_unique<Gateway>(Gateway::Parts{.loop = shard_,
                                                      .store = *store_,
                                                      .log = log_,
                                                      .metrics = metrics_,
                                                      .hash_key = hash_key,
                                                      .free_disk_bytes = nullptr,
                                                      .on_storage_failed = nullptr},
                                       setup_.core);
  gateway_->recover(std::move(recovered));
  auto agent = std::make_unique<EchoAgent>(std::string(kAgent), setup_.echo, shard_);
  const Result<void> added = gateway_->add_agent(std::move(agent));
  SLUICE_ASSERT(added.has_value());
  auto channel = std::make_unique<BenchChannel>(shard_, people_, setup_.pull, setup_.on_send);
  channel_ = channel.get();
  run_task(open(std::move(channel)));
}

World::~World() {
  // What people are saying runs in frames of the gateway.
  people_.stop();
  tasks_.cancel();
  gateway_.reset();
}

Task<void> World::open(std::unique_ptr<BenchChannel> channel) {
  const Result<void> registered = co_await gateway_->register_channel(std::move(channel));
  SLUICE_ASSERT(registered.has_value());
}

Task<Result<std::vector<Accepted>>> World::accept(InboundMessage message) {
  std::vector<InboundMessage> body;
  body.push_back(std::move(message));
  return channel_->host().accept(std::move(body), std::nullopt);
}

Task<void> World::say(InboundMessage message) {
  std::string chat = message.chat;
  const Result<std::vector<Accepted>> accepted = co_await accept(std::move(message));
  if (!accepted) fmt::print(stderr, "not accepted: {}\n", accepted.error().to_string());
  SLUICE_ASSERT(accepted.has_value() && accepted->front().verdict == EventVerdict::kNew);
  channel_->follow(accepted->front().lane, std::move(chat));
}

void World::start_people() {
  people_.start([this](InboundMessage message) { return say(std::move(message)); });
}

Task<void> World::stop_after(Shard* shard, double seconds) {
  co_await sleep_for(*shard, Duration(static_cast<std::int64_t>(seconds * 1e9)));
  shard->stop();
}

Task<void> World::stop_when_done(Shard* shard, Task<void> task) {
  co_await std::move(task);
  shard->stop();
}

World::Sample World::run(double seconds) {
  shard_.io().restart();
  tasks_.spawn("stop_after", stop_after(&shard_, seconds));
  const std::uint64_t turns = people_.turns();
  const double began = wall_seconds();
  const double shard_cpu = thread_cpu_seconds();
  const double process_cpu = process_cpu_seconds();
  shard_.run();
  return {people_.turns() - turns, wall_seconds() - began, thread_cpu_seconds() - shard_cpu,
          process_cpu_seconds() - process_cpu};
}

void World::run_task(Task<void> task) {
  shard_.io().restart();
  tasks_.spawn("run_task", stop_when_done(&shard_, std::move(task)));
  shard_.run();
}

}  // namespace sluice::bench
