#include "gateway/gateway.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <unordered_map>

#include <fmt/core.h>

#include "base/mutant.h"
#include "base/utf8.h"
#include "gateway/message_json.h"
#include "runtime/guarded.h"

namespace sluice {
namespace {

constexpr milliseconds kHousekeeping{1'000};
constexpr int kQuestionsEvery = 60;
constexpr std::size_t kMarksAtOnce = 1'000;  // removed in one transaction
constexpr std::string_view kClockAccepted = "clock_accepted";

constexpr std::array<std::string_view, 5> kAccountStates = {"active", "paused", "parked",
                                                            "conflict", "held"};
constexpr std::array<std::string_view, 9> kMessageOutcomes = {"answered", "failed",  "stopped",
                                                              "dead",     "expired", "withdrawn",
                                                              "replaced", "handled", "dropped"};
constexpr std::array<std::string_view, 4> kPartOutcomes = {"sent", "dead", "expired", "again"};

}  // namespace

std::string_view to_string(AccountState state) {
  return kAccountStates[static_cast<std::size_t>(state)];
}
std::string_view to_string(MessageOutcome outcome) {
  return kMessageOutcomes[static_cast<std::size_t>(outcome)];
}
std::string_view to_string(PartOutcome outcome) {
  return kPartOutcomes[static_cast<std::size_t>(outcome)];
}

std::optional<MessageOutcome> message_outcome_from_string(std::string_view name) {
  const auto at = std::find(kMessageOutcomes.begin(), kMessageOutcomes.end(), name);
  if (at == kMessageOutcomes.end()) return std::nullopt;
  return static_cast<MessageOutcome>(at - kMessageOutcomes.begin());
}

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
            parts.in_flight),
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

std::uint32_t Gateway::target_of(std::string_view extra) {
  if (extra.empty()) return 0;
  MessageExtra parsed = parse_extra(extra);
  return core_.targets.number({std::move(parsed.agent), std::move(parsed.model)});
}

RouteExplanation Gateway::explain_route(const InboundMessage& event, std::string_view account) {
  RouteExplanation out;
  const LaneId lane = lanes_.find(account, event.chat, event.thread);
  const RouteSubject subject{account, event.chat, event.chat_kind, event.sender, event.text};
  const auto found = core_.accounts.find(account);
  out.account_registered = found != core_.accounts.end() && found->second->channel != nullptr;
  if (out.account_registered) {
    out.let_in = intake_.passes_gates(*found->second, event);
    out.account_agent = found->second->channel->account().agent;
  }
  const auto chosen = core_.choices.find(lane);
  if (lane && chosen != core_.choices.end()) out.chosen = chosen->second;
  out.steps = core_.routes.explain(subject);
  out.target = core_.choose_target(lane, subject);
  if (out.target.agent.empty() || !core_.agents.contains(out.target.agent))
    out.target.agent = out.account_agent;
  return out;
}

void Gateway::recover(Recovered recovered) {
  core_.generation = recovered.generation;
  core_.last_id = recovered.next_id - 1;
  UnixMillis newest = recovered.newest_stamp;
  for (const auto& [name, value] : recovered.marks) {
    if (name == kClockAccepted)
      newest.ms = std::max<std::int64_t>(newest.ms, std::atoll(value.c_str()));
    if (!core_.load_choice(name, value)) core_.budgets.load(name, value);
  }
  core_.clock = std::make_unique<ClockGuard>(core_.loop, newest);
  core_.conversations.load(std::move(recovered.conversations));
  for (AccountRow& row : recovered.accounts) {
    Account& account = core_.account(row.name);
    account.row = std::move(row);
  }
  for (Cursor& cursor : recovered.cursors)
    core_.account(cursor.account).cursor = std::move(cursor.value);
  for (const ConversationRow& row : recovered.lanes) lanes_.restore(row);

  std::unordered_map<MessageId, Waiting> in_turns;
  for (const TurnRow& turn : recovered.turns) {
    for (MessageId id : turn.messages) in_turns.emplace(id, Waiting{});
  }
  for (const Recovered::Message& message : recovered.messages) {
    Lane* lane = lanes_.active(message.lane);
    if (lane == nullptr) continue;
    Waiting waiting{};
    waiting.id = message.id;
    waiting.person = message.person;
    waiting.order = message.order;
    waiting.bytes = message.bytes & 0x3FFFFFF;
    waiting.committed = true;
    waiting.command = message.kind == MessageKind::kCommand;
    waiting.late = message.late;
    waiting.target = target_of(message.extra);
    core_.count_pending(*lane->account, waiting.person, waiting.bytes, 1);
    const auto in_turn = in_turns.find(message.id);
    if (in_turn != in_turns.end()) {
      in_turn->second = waiting;
    } else {
      lanes_.add(*lane, waiting);
    }
  }
  for (const Recovered::Part& part : recovered.parts) {
    Lane* lane = lanes_.active(part.lane);
    if (lane == nullptr) continue;
    OutPart out;
    out.id = part.id;
    out.turn = part.turn;
    out.event = part.event;
    out.kind = part.kind;
    outbox_.restore(*lane, std::move(out));
  }
  for (TurnRow& row : recovered.turns) {
    Lane* lane = lanes_.active(row.lane);
    if (lane == nullptr) continue;
    OpenTurn open;
    for (MessageId id : row.messages) {
      const Waiting& waiting = in_turns.at(id);
      if (waiting.id) open.taken.push_back(waiting);
    }
    const TurnState state = row.state;
    open.row = std::move(row);
    if (state == TurnState::kAsking) {
      turns_.wait_for_decision(*lane, std::move(open));
    } else if (state == TurnState::kParked) {
      turns_.wait_outside(*lane, std::move(open));
    } else if (state == TurnState::kRunning) {
      ++lane->users;  // it comes before anything that waits
      lane->busy = true;
      interrupted_.emplace(lane->account->row.name, std::move(open));
    } else {
      if (state == TurnState::kDropped) open.decision = OpenTurn::Decision::kDrop;
      if (state == TurnState::kStopped) open.decision = OpenTurn::Decision::kStop;
      // It may wait for another attempt because a crash took the last one.
      open.suspect = state == TurnState::kRetry;
      if (open.suspect) core_.suspects.push_back(lane->id);
      lane->reopened.push_back(std::move(open));
    }
  }
  if (recovered.restored && !mutant(Mutant::kSendWhileHeld)) {
    // Every account that has something to send, and every one that will be registered (C30).
    restored_reason_ =
        recovered.restored_reason.empty() ? "the store was restored" : recovered.restored_reason;
    core_.tasks.spawn("hold", hold_all());
  }
  look_at_disk();
  core_.tasks.spawn("housekeeping", housekeeping());
}

Task<void> Gateway::hold_all() {
  std::vector<Account*> all;
  for (auto& [name, account] : core_.accounts) {
    if (account->row.state == AccountState::kActive) all.push_back(account.get());
  }
  // In effect before the first commit; on disk in one.
  Transaction transaction;
  for (Account* account : all) {
    account->row.held_ms = core_.held_ms(*account);
    account->row.state = AccountState::kHeld;
    account->row.reason = restored_reason_;
    account->row.since = core_.now();
    transaction.changes.accounts.push_back(account->row);
  }
  // From here on the accounts' own states say it.
  transaction.changes.marks.emplace_back("restored_accepted", "1");
  const Transaction whole = std::move(transaction);
  co_await core_.commit_surely(nullptr, [whole] { return whole; });
}

void Gateway::look_at_disk() {
  if (!free_disk_bytes_) return;
  const bool low = free_disk_bytes_() < core_.options.disk_low_bytes;
  if (low != core_.disk_low) core_.log.warn("disk_low", {{"low", low}});
  core_.disk_low = low;
}

Result<void> Gateway::add_agent(std::unique_ptr<Agent> agent) {
  const std::string name = agent->info().name;
  auto& slot = core_.agents[name];
  if (slot != nullptr)
    return Error(ErrorKind::kConflict, "an agent named \"" + name + "\" is registered");
  slot = std::make_unique<RegisteredAgent>();
  slot->slots.max = agent->info().max_turns;
  slot->agent = std::move(agent);
  return {};
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

void Gateway::resume_account(Account& account) {
  const auto [first, last] = interrupted_.equal_range(account.row.name);
  std::vector<OpenTurn> open;
  for (auto it = first; it != last; ++it) open.push_back(std::move(it->second));
  interrupted_.erase(first, last);
  for (OpenTurn& turn : open) {
    Lane* lane = lanes_.active(turn.row.lane);
    --lane->users;
    lane->busy = false;
    turns_.recover(*lane, std::move(turn));
  }
  lanes_.start_suspects();
  std::vector<LaneId> ids;
  lanes_.for_each([&](Lane& lane) {
    if (lane.account == &account) ids.push_back(lane.id);
  });
  for (LaneId id : ids) {
    Lane* parked = lanes_.active(id);
    // What came later interrupts it, as before the restart.
    if (parked != nullptr && parked->parked != nullptr && !parked->waiting.empty() &&
        account.channel->account().mode == LaneMode::kInterrupt) {
      turns_.stop(*parked, StopReason::kNewer);
    }
    if (Lane* lane = lanes_.active(id)) outbox_.kick(*lane);
    if (Lane* lane = lanes_.active(id)) lanes_.pump(*lane);
  }
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

GatewayStatus Gateway::status() {
  GatewayStatus status;
  status.generation = core_.generation;
  status.accepting = !core_.intake_closed && !core_.disk_low && !core_.storage_failed;
  status.disk_low = core_.disk_low;
  status.storage_failed = core_.storage_failed;
  status.clock = to_string(core_.clock->trust());
  status.conversations = core_.conversations.size();
  status.lanes = lanes_.active_count();
  status.pending = core_.pending_count;
  status.pending_bytes = core_.pending_bytes;
  status.asking = core_.asking.size();
  status.parked = core_.parked.size();
  status.readers = core_.feeds.subscriptions();
  std::unordered_map<const Account*, std::uint64_t> outbox;
  lanes_.for_each([&](Lane& lane) {
    status.outbox += lane.out.size();
    outbox[lane.account] += lane.out.size();
    if (lane.running == nullptr || status.running.size() >= GatewayStatus::kRunningMax) return;
    const RunningTurn& turn = *lane.running;
    const auto ms = std::chrono::duration_cast<milliseconds>(core_.loop.now() - turn.since);
    status.running.push_back({turn.row.id, lane.id, lane.account->row.name, turn.row.agent,
                              turn.row.attempt, ms.count()});
  });
  std::sort(status.running.begin(), status.running.end(),
            [](const auto& a, const auto& b) { return a.running_ms > b.running_ms; });
  for (const auto& [name, account] : core_.accounts) {
    const bool registered = account->channel != nullptr;
    status.accounts.push_back({name, registered ? account->channel->info().kind : "", registered,
                               account->row.state, account->row.reason, account->row.since,
                               account->pending, outbox[account.get()]});
  }
  for (const auto& [name, agent] : core_.agents) {
    const Result<void> health = agent->agent->health();
    status.agents.push_back({name, agent->agent->info().kind, agent->slots.running,
                             agent->slots.max, health ? "ok" : health.error().to_string()});
  }
  return status;
}

Task<Result<void>> Gateway::pause(std::string account, std::string reason) {
  const auto found = core_.accounts.find(account);
  if (found == core_.accounts.end())
    co_return Error(ErrorKind::kNotFound, "no account named \"" + account + "\"");
  co_await outbox_.set_state(found->second.get(), AccountState::kPaused, std::move(reason));
  co_return Result<void>();
}

Task<Result<void>> Gateway::resume(std::string account) {
  const auto found = core_.accounts.find(account);
  if (found == core_.accounts.end())
    co_return Error(ErrorKind::kNotFound, "no account named \"" + account + "\"");
  co_await outbox_.set_state(found->second.get(), AccountState::kActive, "");
  resume_account(*found->second);
  co_return Result<void>();
}

Task<Result<void>> Gateway::redrive(std::int64_t dead_id) {
  using Dead = std::optional<DeadLetter>;
  const Result<Dead> read = co_await core_.store.read<Dead>(
      [dead_id](StoreReader& reader) { return reader.dead_letter(dead_id); });
  if (!read) co_return read.error();
  if (!*read) co_return Error(ErrorKind::kNotFound, "no such dead letter");
  const DeadLetter& letter = **read;
  using Row = std::optional<ConversationRow>;
  const LaneId lane_id = letter.lane;
  const Result<Row> row = co_await core_.store.read<Row>(
      [lane_id](StoreReader& reader) { return reader.conversation(lane_id); });
  if (!row) co_return row.error();
  if (!*row) co_return Error(ErrorKind::kNotFound, "its conversation is gone");
  Lane& lane = lanes_.restore(**row);
  ++lane.users;
  Transaction transaction;
  transaction.changes.redriven.emplace_back(dead_id, letter.part);
  std::shared_ptr<MessageRow> message;
  std::vector<PartRow> parts;
  if (letter.message) {
    message = std::make_shared<MessageRow>(*letter.message);
    message->accepted_at = core_.now();  // its age counts from the operator's decision
    message->sent_at = UnixMillis{};
    message->order = 0;
    message->held_before_ms = core_.held_ms(*lane.account);
    transaction.changes.revived.push_back(message);
  } else if (letter.outgoing) {
    PartRow part = *letter.outgoing;
    part.committed_at = core_.now();
    part.held_before_ms = core_.held_ms(*lane.account);
    part.claimed_by = 0;
    part.tries = 0;
    part.not_before = UnixMillis{};
    // Refused parts never arrived; those of unknown fate are labelled already.
    parts.push_back(std::move(part));
    transaction.changes.parts = parts;
  }
  const Result<Receipt> receipt = co_await core_.store.commit(std::move(transaction));
  --lane.users;
  if (receipt && message) {
    Waiting waiting{};
    waiting.id = message->id;
    waiting.person = person_of(core_.hash_key, lane.account->row.name, message->sender);
    waiting.bytes = static_cast<std::uint32_t>(message->text.size()) & 0x3FFFFFF;
    waiting.committed = true;
    waiting.target = target_of(message->extra);
    core_.count_pending(*lane.account, waiting.person, waiting.bytes, 1);
    lanes_.add(lane, waiting);
  } else if (receipt && !parts.empty()) {
    outbox_.add(lane, std::move(parts));
  }
  lanes_.pump(lane);
  if (!receipt) co_return receipt.error();
  co_return Result<void>();
}

Task<Result<void>> Gateway::discard(std::int64_t dead_id) {
  using Dead = std::optional<DeadLetter>;
  const Result<Dead> read = co_await core_.store.read<Dead>(
      [dead_id](StoreReader& reader) { return reader.dead_letter(dead_id); });
  if (!read) co_return read.error();
  if (!*read) co_return Error(ErrorKind::kNotFound, "no such dead letter");
  Transaction transaction;
  transaction.changes.redriven.emplace_back(dead_id, (*read)->part);
  const Result<Receipt> receipt = co_await core_.store.commit(std::move(transaction));
  if (!receipt) co_return receipt.error();
  core_.log.warn("dead_letter_discarded", {{"id", dead_id}});
  co_return Result<void>();
}

Result<void> Gateway::stop_turn(LaneId id) {
  Lane* lane = lanes_.active(id);
  if (lane == nullptr || !turns_.stop(*lane, StopReason::kOperator)) {
    return Error(ErrorKind::kNotFound, "nothing is running in that conversation");
  }
  return {};
}

Task<Result<void>> Gateway::accept_clock() {
  core_.clock->accept();
  Transaction transaction;
  transaction.changes.marks.emplace_back(std::string(kClockAccepted),
                                         fmt::format("{}", core_.now().ms));
  const Result<Receipt> receipt = co_await core_.store.commit(std::move(transaction));
  if (!receipt) co_return receipt.error();
  co_return Result<void>();
}

bool Gateway::person_is_active(std::string_view account, std::string_view sender) {
  const std::uint64_t person = person_of(core_.hash_key, account, sender);
  if (core_.pending_by_person.contains(person)) return true;
  // Answers on their way quote the person. Whose they are is not known of lanes from before a
  // restart.
  bool leaving = false;
  lanes_.for_each([&](const Lane& lane) {
    leaving = leaving || (lane.account->row.name == account && !lane.out.empty() &&
                          (lane.last_person == 0 || lane.last_person == person));
  });
  return leaving;
}

void Gateway::begin_erasure(std::string_view account, std::string_view sender) {
  core_.being_erased.insert(person_of(core_.hash_key, account, sender));
}

void Gateway::end_erasure(std::string_view account, std::string_view sender) {
  core_.being_erased.erase(person_of(core_.hash_key, account, sender));
}

}  // namespace sluice
