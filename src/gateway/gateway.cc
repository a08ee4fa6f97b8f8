#include "gateway/gateway.h"

#include <algorithm>

#include <fmt/core.h>

#include "base/mutant.h"
#include "base/utf8.h"
#include "runtime/guarded.h"

namespace sluice {
namespace {

constexpr milliseconds kHousekeeping{1'000};
constexpr int kQuestionsEvery = 60;
constexpr std::size_t kMarksAtOnce = 1'000;  // removed in one transaction

}  // namespace

class Gateway::Host : public ChannelHost {
 public:
  Host(Gateway& gateway, Account& account) : gateway_(gateway), account_(account) {}
  Task<Result<std::vector<Accepted>>> accept(std::vector<InboundMessage> events,
                                             std::optional<std::string> cursor) override {
    return gateway_.intake_.accept(&account_, std::move(events), std::move(cursor));
  }
  std::string cursor() const override { return account_.cursor; }
  void conflict(std::string reason) override {
    gateway_.core_.tasks.spawn(
        "conflict",
        gateway_.outbox_.set_state(&account_, AccountState::kConflict, std::move(reason)));
  }
  Feeds& feeds() override { return gateway_.core_.feeds; }
  LaneId find_lane(std::string_view chat, std::string_view thread) const override {
    return gateway_.lanes_.find(account_.row.name, chat, thread);
  }
  HistoryId head(LaneId lane) const override { return gateway_.head(lane); }
  Store& store() override { return gateway_.core_.store; }
  Loop& loop() override { return gateway_.core_.loop; }

 private:
  Gateway& gateway_;
  Account& account_;
};

Gateway::Gateway(Parts parts, CoreOptions options)
    : core_(parts.loop, parts.store, parts.log, parts.metrics, options, parts.hash_key,
            parts.in_flight, parts.calls),
      free_disk_bytes_(std::move(parts.free_disk_bytes)),
      outbox_(core_),
      lanes_(
          core_, [this](Lane& lane) { turns_.start(lane); },
          [this](Lane& lane) { turns_.start_command(lane); }),
      turns_(core_, lanes_, outbox_),
      intake_(core_, lanes_, turns_, outbox_),
      shutdown_(parts.loop) {
  core_.on_storage_failed = std::move(parts.on_storage_failed);
  core_.clock = std::make_unique<ClockGuard>(core_.loop, UnixMillis{});
}

Gateway::~Gateway() { core_.tasks.cancel(); }

void Gateway::look_at_disk() {
  if (!free_disk_bytes_) return;
  const bool low = free_disk_bytes_() < core_.options.disk_low_bytes;
  if (low != core_.disk_low) core_.log.warn("disk_low", {{"low", low}});
  core_.disk_low = low;
}

Result<void> Gateway::add_agent(std::unique_ptr<Agent> agent) {
  const std::string& name = agent->info().name;
  if (core_.agent(name) != nullptr)
    return Error(ErrorKind::kConflict, "an agent named \"" + name + "\" is registered");
  set_agent(std::move(agent));
  return {};
}

void Gateway::set_agent(std::unique_ptr<Agent> agent) {
  // Its slots stay: those of turns that run are given back to them.
  auto& entry = core_.agents[agent->info().name];
  if (entry == nullptr) entry = std::make_unique<RegisteredAgent>();
  entry->slots.max = agent->info().max_turns;
  entry->agent = std::move(agent);
  lanes_.grant_slots();  // it may have more of them now
}

void Gateway::remove_agent(std::string_view name) {
  const auto found = core_.agents.find(name);
  if (found == core_.agents.end()) return;
  found->second->agent.reset();
  look_again(nullptr);  // what was queued for it need not wait until one of its slots is free
}

void Gateway::set_account(std::string_view channel, const AccountOptions& options) {
  const auto found = core_.accounts.find(channel);
  if (found == core_.accounts.end() || found->second->channel == nullptr) return;
  found->second->channel->set_account(options);
  look_again(found->second.get());
}

/// Lanes of an account, of all if it is null, ask again for what they wait for.
void Gateway::look_again(const Account* account) {
  std::vector<LaneId> ids;
  lanes_.for_each([&](Lane& lane) {
    if (account == nullptr || lane.account == account) ids.push_back(lane.id);
  });
  for (const LaneId id : ids) {
    if (Lane* lane = lanes_.active(id)) lanes_.look_again(*lane);
  }
}

Task<Result<void>> Gateway::register_channel(std::unique_ptr<Channel> channel) {
  const std::string name = channel->info().name;
  Account& account = core_.account(name);
  if (account.channel != nullptr) {
    co_return Error(ErrorKind::kConflict, "a channel named \"" + name + "\" is registered");
  }
  // In the table before it starts: a reply that is ready at once finds its channel.
  account.channel = std::move(channel);
  account.pull = account.channel->info().can.pull;
  account.part_bytes_max = account.channel->info().can.part_bytes_max;
  account.host = std::make_unique<Host>(*this, account);
  account.starting = true;
  const auto start =
      co_await run_until(core_.loop, guarded("the channel", account.channel->start(*account.host)),
                         MonoTime::max(), &account.cut);
  const Result<void> started =
      start.ended == Ended::kDone
          ? *start.value
          : Result<void>(Error(ErrorKind::kCancelled, "unregistered before it had started"));
  account.starting = false;
  account.changed.pulse();
  if (!started) {
    account.channel.reset();
    account.host.reset();
    account.cut.reset();
    co_return started.error().within("channel \"" + name + "\"");
  }
  core_.log.info("channel_registered", {{"account", name}, {"kind", account.channel->info().kind}});
  resume_account(account);
  co_return Result<void>();
}

Task<Result<void>> Gateway::unregister(std::string name) {
  const auto found = core_.accounts.find(name);
  if (found == core_.accounts.end() || found->second->channel == nullptr ||
      found->second->stopping) {
    co_return Result<void>();
  }
  Account& account = *found->second;
  if (account.starting) {
    account.cut.set();
    while (account.starting) co_await account.changed.wait();
    if (account.channel == nullptr) co_return Result<void>();
    account.cut.reset();  // it had just started
  }
  account.stopping = true;
  account.changed.pulse();
  const MonoTime deadline = core_.loop.now() + core_.options.channel_stop_timeout;
  const auto stopped =
      co_await run_until(core_.loop, guarded("the channel", account.channel->stop()), deadline);
  while (account.sends_in_flight > 0) {
    const bool changed = co_await account.changed.wait_until(deadline);
    if (changed) continue;
    account.cut.set();  // those sends end as unknown now
    while (account.sends_in_flight > 0) co_await account.changed.wait();
  }
  const bool in_time = stopped.ended == Ended::kDone;
  if (in_time && !*stopped.value) {
    core_.log.error("channel_stop_failed",
                    {{"account", name}, {"error", stopped.value->error().to_string()}});
  }
  account.channel.reset();
  account.host.reset();
  account.cut.reset();
  account.stopping = false;
  account.changed.pulse();
  core_.log.info("channel_unregistered", {{"account", name}, {"cut_off", !in_time}});
  co_return Result<void>();
}

std::vector<std::string> Gateway::channel_names() const {
  std::vector<std::string> names;
  for (const auto& [name, account] : core_.accounts) {
    if (account->channel != nullptr && !account->stopping) names.push_back(name);
  }
  return names;
}

Task<Result<Accepted>> Gateway::send_to(std::string channel, OutboundMessage message,
                                        std::string key) {
  const auto found = core_.accounts.find(channel);
  if (found == core_.accounts.end() || found->second->channel == nullptr) {
    core_.counters.send_to_nowhere.add();
    co_return Error(ErrorKind::kNotFound, "no channel named \"" + channel + "\" is registered");
  }
  if (core_.storage_failed) co_return Error(ErrorKind::kStorageFailed, "the store has failed");
  for (const std::string* field : {&message.chat, &message.thread, &message.reply_to, &key}) {
    if (field->size() > core_.options.field_bytes_max || !is_utf8(*field))
      co_return Error(ErrorKind::kInvalidArgument, "chat, thread, reply_to or key is not usable");
  }
  if (message.chat.empty() || message.text.empty() || !is_utf8(message.text))
    co_return Error(ErrorKind::kInvalidArgument, "chat or text is empty or not UTF-8");
  if (message.text.size() > core_.options.reply_bytes_max) {
    co_return Error(ErrorKind::kTooLarge,
                    fmt::format("text is longer than {} bytes", core_.options.reply_bytes_max));
  }
  Account& account = *found->second;
  Lane& lane = lanes_.open(account, message.chat, message.thread, ChatKind::kDirect);
  ++lane.users;
  Transaction transaction;
  if (!lane.stored) transaction.conversations.push_back(lanes_.row(lane));
  KeyedEvent event;
  event.id = MessageId{core_.next_id()};
  event.key = KeyedHash(core_.hash_key).add("send").add(channel).add(key).finish();
  event.content =
      KeyedHash(core_.hash_key).add(message.chat).add(message.thread).add(message.text).finish();
  event.refuse_other_content = true;
  event.at = core_.now();
  const HistoryId before = core_.head(lane).head;
  HistoryRow& line = core_.add_history(event.then, lane, HistoryKind::kAgent, message.text);
  line.message = event.id;
  const HistoryId last = line.id;
  MessageEnd end;
  end.id = event.id;
  end.outcome = MessageOutcome::kHandled;
  end.reason = "sent by the gateway's operator";
  end.history = last;
  end.accepted_at = end.ended_at = event.at;
  event.handled = end;
  std::vector<PartRow> parts;
  if (!account.pull) {
    std::uint32_t n = 0;
    for (std::string& piece :
         account.channel->formatter().reply(message.text, account.part_bytes_max)) {
      parts.push_back(outbox_.make(lane, {}, event.id, n++, PartKind::kSend, std::move(piece),
                                   message.reply_to));
    }
  }
  event.then.parts = parts;
  Accepted accepted;
  accepted.id = event.id;
  accepted.lane = lane.id;
  transaction.events.push_back(std::move(event));
  const Result<Receipt> receipt = co_await core_.store.commit(std::move(transaction));
  --lane.users;
  const bool is_new = receipt && receipt->events.front().verdict == EventVerdict::kNew;
  // Others may have built on a line that turned out not to be needed: the store closes that gap.
  if (receipt && !is_new) core_.unwrite(lane, before, last);
  if (!receipt) {
    core_.rewind(lane, before);
    lanes_.pump(lane);
    co_return receipt.error();
  }
  lane.stored = true;
  accepted.verdict = receipt->events.front().verdict;
  if (is_new) {
    lane.committed_head = std::max(lane.committed_head, last);
    core_.feeds.grew(lane.id, last);
    if (!parts.empty()) outbox_.add(lane, std::move(parts));
  } else {
    accepted.id = receipt->events.front().id;
  }
  lanes_.pump(lane);
  if (accepted.verdict == EventVerdict::kOtherContent) {
    co_return Error(ErrorKind::kConflict, "this key was used with another text",
                    ErrorSource::kPeer);
  }
  co_return accepted;
}

void Gateway::signal_shutdown() { shutdown_.set(); }

Task<void> Gateway::run() { co_await shutdown_.wait(); }

void Gateway::close_intake() {
  core_.intake_closed = true;
  core_.draining = true;
  shutdown_.set();
}

void Gateway::park_intake(bool parked) {
  if (!core_.draining) core_.intake_closed = parked;
}

Task<std::size_t> Gateway::finish_turns(MonoTime deadline) {
  using lifecycle::Work;
  // A turn gives its slot back before its end is on disk; its guard is held until then.
  lifecycle::InFlight& all = core_.in_flight;
  bool in_time = true;
  while (all.count(Work::kAppend) + all.count(Work::kTurn) > 0) {
    if (!in_time || core_.storage_failed) break;
    in_time = co_await all.changed().wait_until(deadline);
  }
  co_return all.count(Work::kTurn);
}

Task<void> Gateway::rest_sends(MonoTime deadline) {
  core_.sends_rest = true;
  // Behind the claims that are being written.
  const Result<Receipt> behind = co_await core_.store.commit(Transaction{});
  const auto leaving = [this] {
    bool any = false;
    lanes_.for_each([&any](const Lane& lane) {
      any = any || (lane.delivering && !lane.out.empty() && lane.out.front().ours);
    });
    return any;
  };
  bool in_time = behind.has_value();
  while (in_time && !core_.storage_failed && leaving())
    in_time = co_await core_.send_settled.wait_until(deadline);
}

Task<void> Gateway::quiesce(MonoTime deadline) {
  core_.draining = true;
  const auto at_work = [this] {
    bool any = false;
    lanes_.for_each([&any](const Lane& lane) {
      any = any || (lane.running != nullptr && !lane.running->agent_active);
    });
    return any;
  };
  bool in_time = true;
  while (in_time && !core_.storage_failed && at_work())
    in_time = co_await core_.turns_changed.wait_until(deadline);
}

void Gateway::leave_calls() {
  lanes_.for_each([this](Lane& lane) {
    if (lane.running == nullptr || !lane.running->on_disk) return;
    const TurnRow& row = lane.running->row;
    if (!lane.running->call) {
      if (row.state == TurnState::kRunning && !lane.running->ending)
        core_.calls
            .adopt(row.id, row.attempt, milliseconds(0), {{}, {}, false, lane.running->suspect},
                   nullptr)
            .not_made = true;
      return;
    }
    AgentCall& call = *lane.running->call.get();
    call.listen(nullptr);
    call.unhear(core_.feeds.streamed(lane.id));
    call.memory = {lane.running->new_session, lane.running->session, lane.running->summarise,
                   lane.running->suspect};
  });
  core_.calls.hand_over();
}

std::map<std::string, std::string> Gateway::memories() const {
  std::map<std::string, std::string> all;
  for (const auto& [name, account] : core_.accounts) {
    if (account->channel == nullptr) continue;
    std::string memory = account->channel->memory();
    if (!memory.empty()) all.emplace(name, std::move(memory));
  }
  return all;
}

Task<void> Gateway::stop_channels() {
  struct Stop {
    static Task<void> one(Gateway* gateway, std::string name) {
      const Result<void> ok = co_await gateway->unregister(std::move(name));
      (void)ok;  // it never fails
    }
  };
  TaskGroup stops(core_.loop);
  for (const std::string& name : channel_names()) stops.spawn("stop", Stop::one(this, name));
  co_await stops.join(MonoTime::max());
}

Task<std::size_t> Gateway::stop(MonoTime deadline) {
  close_intake();
  const std::size_t left = co_await finish_turns(deadline);
  co_await stop_channels();
  co_return left;
}

Task<void> Gateway::housekeeping() {
  for (int n = 1;; ++n) {
    co_await sleep_for(core_.loop, kHousekeeping);
    look_at_disk();
    turns_.expire_parked();
    if (n % kQuestionsEvery == 0) co_await forget_budgets();
    if (n % kQuestionsEvery == 0) turns_.expire_questions();
  }
}

Task<void> Gateway::forget_budgets() {
  // Two days back: it is still today somewhere.
  const std::int64_t day = local_day({}, core_.now()) - 2;
  const std::vector<std::string> old = core_.budgets.forget_before(day, kMarksAtOnce);
  if (old.empty()) co_return;
  Transaction t;
  for (const std::string& mark : old) t.changes.marks.emplace_back(mark, std::string());
  const Result<Receipt> receipt = co_await core_.store.commit(std::move(t));
  (void)receipt;  // what stays is read and forgotten at the next start
}

HistoryId Gateway::head(LaneId id) {
  if (const Lane* lane = lanes_.active(id)) return lane->committed_head;
  const Conversations::Slot slot = core_.conversations.find(id);
  return slot == Conversations::kNone ? HistoryId{} : core_.conversations.at(slot).head;
}

}  // namespace sluice
