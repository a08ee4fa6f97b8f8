#include "sim/world.h"

#include <cstdio>
#include <utility>

#include "base/mutant.h"

namespace sluice::sim {
namespace {

constexpr std::uint64_t kStepsMax = 400'000;
constexpr std::uint32_t kStrictAtOnce = 1;
constexpr HashKey kHashKey = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

}  // namespace

World::World(std::uint64_t seed, bool verbose)
    : seed_(seed),
      verbose_(verbose),
      random_(seed * 2 + 1),
      disk_("world-" + std::to_string(seed), seed) {
  clock_.mono = MonoTime{1'000'000'000};
  crashes_left_ = static_cast<int>(random_.below(4));
  next_operation_ = clock_.mono + milliseconds(random_.between(2'000, 8'000));
}

World::~World() {
  if (process_ != nullptr) {
    process_->tasks.cancel();
    process_->gateway.reset();
  }
}

SimChannel* World::channel(const std::string& account) {
  for (SimChannel* c : process_->channels) {
    if (c->info().name == account) return c;
  }
  return nullptr;
}

bool World::boot() {
  process_ = std::make_unique<Process>(clock_, random_.next());
  Process& p = *process_;
  ++outside_.process;
  p.log.set_level(LogLevel::kError);
  StoreOptions options;
  options.directory = "";
  options.now = clock_.wall();
  options.vfs = disk_.vfs_name().c_str();
  options.rename = [this](const std::string& from, const std::string& to) -> Result<void> {
    if (disk_.rename_durably(from, to)) return {};
    return Error(ErrorKind::kStorageFailed, "the disk is gone");
  };
  options.hash_key = kHashKey;
  options.identity = identity_;
  options.cache_bytes = 1 << 20;
  options.keys_in_memory = 64;
  options.checkpoint_pages = 50;
  disk_.set_wall_clock(clock_.wall());
  auto engine = SqliteEngine::open(std::move(options));
  if (!engine) {
    if (!disk_.crashed() && disk_.stats().faults == faults_seen_) {
      outside_.violated("C25", "the store does not open: " + engine.error().to_string());
    }
    faults_seen_ = disk_.stats().faults;
    if (verbose_) {
      std::printf("process %d does not start: %s\n", outside_.process,
                  engine.error().to_string().c_str());
    }
    return false;
  }
  Recovered recovered = std::move((*engine)->recovered());
  if (recovered.restored) {
    outside_.held = true;
    outside_.held_below = recovered.next_id;
    outside_.saw("C30");
  }
  p.store = std::make_unique<SteppedStore>(p.loop, std::move(*engine));
  Gateway::Parts parts{p.loop, *p.store, p.log, p.metrics, kHashKey, {}, {}};
  parts.free_disk_bytes = [this] {
    return outside_.disk_is_low || disk_low_since_.ns != 0 ? 0 : 1ull << 30;
  };
  parts.on_storage_failed = [&p](const Error&) { p.storage_failed = true; };
  p.gateway = std::make_unique<Gateway>(std::move(parts), options_);
  const auto agent = [&](std::string name, OnInterrupt rule) {
    AgentInfo info;
    info.name = std::move(name);
    info.kind = "sim";
    info.on_interrupt = rule;
    if (info.name == "strict") info.max_turns = kStrictAtOnce;
    auto made = std::make_unique<SimAgent>(p.loop, outside_, std::move(info));
    made->on_call = [this](const AgentCall& call) { observe_call(call); };
    const Result<void> added = p.gateway->add_agent(std::move(made));
    if (!added) outside_.violated("C17", "agent not added");
  };
  agent("eager", OnInterrupt::kRerun);
  agent("careful", OnInterrupt::kAsk);
  agent("strict", OnInterrupt::kFail);
  p.gateway->recover(std::move(recovered));
  // Long answers are another agent's work than the account's, in every account.
  RouteRule longs;
  longs.name = "longs";
  longs.text = ":long ";
  longs.agent = "strict";
  Result<Routes> routes = Routes::make({longs});
  if (routes) p.gateway->set_routes(std::move(*routes));
  struct Helper {
    static Task<void> add(Gateway* gateway, std::unique_ptr<Channel> made) {
      const Result<void> ok = co_await gateway->register_channel(std::move(made));
      (void)ok;
    }
  };
  for (const ChannelInfo& info : accounts_) {
    auto made = std::make_unique<SimChannel>(p.loop, outside_, info, account_options_[info.name]);
    made->on_send = [this, name = info.name](const SendRequest& request) {
      observe_send(name, request);
    };
    p.channels.push_back(made.get());
    p.tasks.spawn("register", Helper::add(p.gateway.get(), std::move(made)));
  }
  // What was on its way to the dead process comes again.
  for (SentEvent& event : outside_.events) {
    if (!event.acknowledged && !event.refused && event.deliveries > 0) {
      event.due = clock_.mono + milliseconds(random_.between(100, 3'000));
    }
  }
  return true;
}

void World::crash(bool power_loss) {
  ++crashes_;
  outside_.saw("C25");
  trace(power_loss ? 1001 : 1002);
  if (verbose_) {
    std::printf(
        "%s of process %d at %.3f s, %lu faults so far%s\n", power_loss ? "power loss" : "kill",
        outside_.process, static_cast<double>(clock_.mono.ns) / 1e9,
        static_cast<unsigned long>(disk_.stats().faults), disk_.crashed() ? ", within a call" : "");
  }
  for (Promise& promise : outside_.promises) {
    promise.told = false;
    promise.parked = promise.parked || (process_ != nullptr && !disk_.crashed() &&
                                        process_->gateway->core().parked.contains(promise.turn));
  }
  outside_.dying = true;
  if (power_loss) {
    disk_.crash();
  } else {
    disk_.kill();
  }
  if (process_ != nullptr) {
    process_->tasks.cancel();
    process_->gateway.reset();
    process_.reset();
  }
  outside_.dying = false;
  outside_.die_now = false;
  sync_fault_pending_ = false;
  clock_.mono = clock_.mono + milliseconds(random_.between(10, 5'000));
  // A machine that comes back with another identity: the store was restored from a copy (C30).
  if (!outside_.calm && random_.percent(10)) identity_ += "x";
  for (int tries = 0; tries < 5 && !boot(); ++tries) {
    process_.reset();
    disk_.crash();
  }
  if (process_ == nullptr) outside_.violated("C25", "the daemon does not come up again");
}

void World::observe_call(const AgentCall& call) {
  const auto id = [](const AgentCall& c) {
    return std::to_string(c.turn.value) + "/" + std::to_string(c.attempt);
  };
  int same_person = 0;
  std::uint32_t same_agent = 1;
  int suspects = 0;
  const auto cut_before = [&](const AgentCall& c) {
    for (const AgentCall& other : outside_.calls) {
      if (other.turn == c.turn && other.attempt == c.attempt - 1) return other.cut_by_crash;
    }
    return false;
  };
  const bool suspect = call.attempt > 1 && cut_before(call);
  if (std::find(outside_.stopped.begin(), outside_.stopped.end(), call.turn) !=
      outside_.stopped.end()) {
    outside_.violated("C16", "turn " + id(call) + " runs after its /stop was acknowledged");
  }
  for (const Promise& promise : outside_.promises) {
    if (promise.turn == call.turn && promise.parked)
      outside_.violated("C15", "turn " + id(call) + " was parked and runs again");
  }
  for (const AgentCall& other : outside_.calls) {
    if (other.turn == call.turn && other.attempt == call.attempt) {
      outside_.violated("C11", "agent called twice for turn " + id(call));
    }
    if (other.turn == call.turn && other.history != call.history) {
      outside_.violated("C12", "attempts of turn " + id(call) + " saw different histories");
    }
    if (other.turn == call.turn) outside_.saw("C12");
    for (MessageId m : call.messages) {
      for (MessageId o : other.messages) {
        if (m == o && other.turn != call.turn) {
          outside_.violated(other.cut_by_crash ? "C11" : "C3",
                            "message " + std::to_string(m.value) + " ran in turns " + id(other) +
                                " and " + id(call));
        }
      }
    }
    if (other.ended || other.process != outside_.process) continue;
    if (other.lane == call.lane)
      outside_.violated("C5", "two turns at once in a lane: " + id(other) + ", " + id(call));
    if (other.sender == call.sender && other.account == call.account) ++same_person;
    if (other.agent == call.agent) ++same_agent;
    if (other.attempt > 1 && cut_before(other) && suspect) ++suspects;
  }
  if (call.agent == "strict" && same_agent > kStrictAtOnce)
    outside_.violated("C7", "agent strict runs more turns than it may: " + id(call));
  const bool routed = call.texts.front().find(":long ") != std::string::npos;
  if (routed && call.agent != "strict")
    outside_.violated("routes", "turn " + id(call) + " went to " + call.agent);
  if (same_person > 0) outside_.saw("C7");
  if (same_person >= static_cast<int>(options_.max_turns_per_person)) {
    outside_.violated(
        "C7", call.sender + " holds more than " + std::to_string(options_.max_turns_per_person));
  }
  if (suspect) outside_.saw("C14");
  if (suspects > 0) outside_.violated("C14", "two suspects at once: " + id(call));
  if (call.attempt > 1) outside_.saw("C13");
  if (call.attempt > options_.max_turn_attempts) outside_.violated("C13", "attempt " + id(call));
  if (suspect && call.agent != "eager") {
    int& granted = outside_.retries_granted[call.lane];
    if (call.agent == "strict" || granted <= 0) {
      outside_.violated("C13", call.agent + " was run again without being asked for: " + id(call));
    }
    --granted;
  }
  for (MessageId m : call.messages) {
    const auto life = process_->store->reader().life(m);
    outside_.saw("C11");
    if (life && (!*life || !(*life)->pending)) {
      outside_.violated("C11",
                        "agent called for a message that is not pending on disk: " + id(call));
    }
  }
  for (const std::string& text : call.texts) {
    if (text == "/stop" || text == "/status" || text == "/help")
      outside_.violated("C9", "a command went to an agent");
  }
}

void World::observe_send(const std::string& account, const SendRequest& request) {
  outside_.saw("C18");
  const std::vector<PartId> ids = {request.part};
  const auto rows = process_->store->reader().parts(ids);
  const bool keyed = account == "keyed";
  if (rows &&
      (rows->empty() || (rows->front()->claimed_by != outside_.process && !keyed &&
                         rows->front()->claimed_by != process_->store->engine().generation()))) {
    outside_.violated(
        "C18", "part " + std::to_string(request.part.value) + " is sent without a claim on disk");
  }
  for (const Refusal& refusal : outside_.refused) {
    if (refusal.part == request.part && refusal.process == outside_.process) {
      outside_.violated("C21", "part " + std::to_string(request.part.value) +
                                   " was refused for good and is sent again");
    }
  }
  if (outside_.held && request.part.value < outside_.held_below) {
    outside_.violated("C30",
                      account + " sends before an operator has looked at the restored store");
  }
  for (const FloodWait& wait : outside_.waits) {
    // A clock that was moved while the daemon was down can't be seen through.
    if (outside_.jumped || wait.account != account || (wait.part && wait.part != request.part))
      continue;
    // What was on its way when the platform spoke doesn't count.
    // Nor what the platform said to a process that died before it could write it down.
    if (wait.process != outside_.process && rows && !rows->empty() &&
        rows->front()->not_before <= clock_.wall()) {
      continue;
    }
    if (clock_.mono > wait.from && clock_.mono < wait.until && wait.part) {
      outside_.violated(
          "C23", "part " + std::to_string(request.part.value) + " is sent within a flood wait");
    }
  }
}

/// Whether the person was told that there was nothing to answer: another answer was under way.
bool World::was_told_nothing(const SentEvent& answer) {
  const auto log = process_->store->reader().history(process_->gateway->head(answer.lane),
                                                     HistoryId{}, 100'000, 1 << 30);
  return log && std::any_of(log->begin(), log->end(), [&](const HistoryRow& row) {
           return row.message == answer.id && row.kind == HistoryKind::kAnswer &&
                  row.text.starts_with("There is nothing to");
         });
}

/// What was promised for parked turns is told, again and again until it is heard.
void World::keep_promises() {
  struct Helper {
    static Task<void> tell(Outside* outside, Process* process, std::size_t index) {
      const Promise promise = outside->promises[index];
      AgentReply reply;
      reply.text = promise.text;
      const std::uint32_t wrong = promise.attempt + 7;
      const Result<void> forged =
          co_await process->gateway->answer_parked(promise.turn, wrong, reply);
      if (forged) outside->violated("C15", "an answer to another attempt was taken");
      const Result<void> heard =
          co_await process->gateway->answer_parked(promise.turn, promise.attempt, reply);
      Promise& now = outside->promises[index];
      now.told = false;
      if (heard && promise.taken)
        outside->violated("C15", "the answer to a parked turn was taken twice");
      if (heard) now.taken = true;
      const bool again = !heard && heard.error().retry().allowed();
      // Whoever calls back may do so once more.
      const bool repeat = heard && process->loop.random().percent(50);
      now.due = again || repeat ? process->loop.now() + milliseconds(500) : MonoTime::max();
      if (heard && promise.parked) outside->saw("C15");
    }
  };
  for (std::size_t i = 0; i < outside_.promises.size(); ++i) {
    Promise& promise = outside_.promises[i];
    if (promise.told || promise.due > clock_.mono) continue;
    promise.told = true;
    trace(3000 + i);
    process_->tasks.spawn("callback", Helper::tell(&outside_, process_.get(), i));
  }
}

void World::deliver_due() {
  for (std::size_t i = 0; i < outside_.events.size(); ++i) {
    SentEvent& event = outside_.events[i];
    if (event.due > clock_.mono || event.refused) continue;
    if (event.after >= 0 && !outside_.events[static_cast<std::size_t>(event.after)].acknowledged) {
      event.due = clock_.mono + milliseconds(200);
      continue;
    }
    SimChannel* to = channel(event.account);
    if (to == nullptr || !to->started()) {
      event.due = clock_.mono + milliseconds(50);
      continue;
    }
    // If nothing is heard, it comes again.
    event.due = clock_.mono + milliseconds(random_.between(4'000, 8'000));
    trace(2000 + i);
    to->deliver(i);
    return;
  }
}

void World::maybe_strike() {
  if (outside_.calm) return;
  const bool stopping = std::exchange(outside_.stop_acknowledged, false);
  if (crashes_left_ > 0 && random_.below(stopping ? 3 : 400) == 0) {
    --crashes_left_;
    if (random_.percent(40)) {
      disk_.set_call_budget(random_.below(80) + 1);  // falls inside some commit
    } else {
      crash(random_.percent(60));
    }
    return;
  }
  if (!outside_.jumped && random_.below(1'500) == 0) {
    // Back by any amount, or forward by more than a pause of the machine would explain.
    const std::int64_t hour = 3'600'000;
    clock_.offset_ms += random_.percent(50) ? -random_.between(hour, 40 * 24 * hour)
                                            : random_.between(8 * 24 * hour, 40 * 24 * hour);
    outside_.jumped = true;
    outside_.saw("C29");
    trace(1003);
  }
  if (random_.below(3'000) == 0 && !sync_fault_pending_) {
    disk_.fail(DiskFault::kSyncError, random_.below(3) + 1);
    sync_fault_pending_ = true;
    trace(1004);
  }
  if (random_.below(2'500) == 0 && disk_low_since_.ns == 0) {
    disk_low_since_ = clock_.mono;
    outside_.saw("C28");
    trace(1005);
  }
}

/// What an operator and the machine's housekeeping do from time to time.
void World::operate() {
  if (clock_.mono < next_operation_ || process_ == nullptr) return;
  next_operation_ = clock_.mono + milliseconds(random_.between(2'000, 8'000));
  if (verbose_) std::printf("operator at %.3f s\n", static_cast<double>(clock_.mono.ns) / 1e9);
  if (disk_low_since_.ns != 0) {
    // Intake looks once a second; what it let in before that is no fault.
    const bool seen = clock_.mono - disk_low_since_ > milliseconds(1'500);
    if (!outside_.disk_is_low && !outside_.calm && (!seen || random_.percent(70))) {
      if (!seen) return;
      outside_.disk_is_low = true;
      if (verbose_) std::printf("disk low at %.3f s\n", static_cast<double>(clock_.mono.ns) / 1e9);
      next_operation_ = clock_.mono + milliseconds(3'000);
    } else {
      outside_.disk_is_low = false;
      disk_low_since_ = MonoTime{};
    }
  }
  Gateway& gateway = *process_->gateway;
  struct Helper {
    static Task<void> resume(Gateway* g, std::string name) {
      const Result<void> ok = co_await g->resume(std::move(name));
      (void)ok;
    }
  };
  outside_.held = false;
  for (const auto& account : gateway.status().accounts) {
    if (account.state != AccountState::kActive && account.registered) {
      process_->tasks.spawn("resume", Helper::resume(&gateway, account.name));
    }
  }
  // People answer what they are asked.
  for (const auto& [lane, open] : gateway.core().asking) {
    for (const SentEvent& earlier : outside_.events) {
      const bool settled =
          earlier.acknowledged && clock_.mono - earlier.acknowledged_at > milliseconds(2'000);
      if (earlier.about == open.row.id && earlier.about_attempt == open.row.attempt && settled &&
          gateway.core().asking.count(lane) == 1 && !was_told_nothing(earlier)) {
        outside_.violated("C25",
                          "the acknowledged answer " + std::to_string(earlier.n) + " is forgotten");
      }
    }
    for (const SentEvent& event : outside_.events) {
      if (event.lane != lane || event.control || event.outsider) continue;
      SentEvent answer = event;
      const int n = static_cast<int>(outside_.events.size());
      answer.n = n;
      answer.control = true;
      answer.about = open.row.id;
      answer.about_attempt = open.row.attempt;
      answer.old = false;
      answer.acknowledged = answer.refused = false;
      answer.deliveries = answer.extra = 0;
      answer.id = MessageId{};
      answer.after = -1;
      answer.message.kind = EventKind::kMessage;
      answer.message.order.reset();
      answer.message.revision.clear();
      answer.message.sent_at = UnixMillis{};
      answer.message.event = "c" + std::to_string(n);
      const bool again = random_.percent(60);
      answer.message.text = again ? "/retry" : "/drop";
      if (again) ++outside_.retries_granted[lane];
      answer.due = clock_.mono;
      outside_.saw("C13");
      outside_.events.push_back(std::move(answer));
      break;
    }
  }
  if (random_.percent(50) || mutant(Mutant::kPruneLiveKeys)) {
    // Ten minutes ahead of the clock: its passes fall into a run of seconds, and no age comes near
    // a bound.
    upkeep_ahead_ = upkeep_ahead_ + milliseconds(600'000);
    for (int slices = 0; slices < 20; ++slices) {
      const auto more = process_->store->engine().maintain(clock_.wall() + upkeep_ahead_,
                                                           SqliteEngine::Effort::kIdle,
                                                           gateway.core().clock->may_expire());
      if (!more) break;
    }
    // As the daemon does: what upkeep could not sync ends the process (C28).
    if (process_->store->engine().failure()) process_->storage_failed = true;
    outside_.pruned = true;
    outside_.saw("C4");
  }
}

bool World::step() {
  ++steps_;
  Process& p = *process_;
  if (outside_.die_now) {
    ++deaths_by_poison_;
    crash(false);
    return true;
  }
  if (p.storage_failed) {
    outside_.saw("C28");
    crash(random_.percent(50));
    return true;
  }
  const bool due = [&] {
    for (const SentEvent& event : outside_.events) {
      if (event.due <= clock_.mono && !event.refused) return true;
    }
    return false;
  }();
  const std::uint64_t ready = p.loop.has_ready() ? 4 : 0;
  const std::uint64_t write = p.store->queued() > 0 ? 2 : 0;
  const std::uint64_t tell = p.store->untold() > 0 ? 3 : 0;
  const std::uint64_t read = p.store->reads() > 0 ? 2 : 0;
  const std::uint64_t deliver = due ? 2 : 0;
  std::uint64_t total = ready + write + tell + read + deliver;
  // Now and then time passes although something could be done.
  if (total == 0 || random_.below(40) == 0) {
    MonoTime next = p.loop.timers().next();
    for (const SentEvent& event : outside_.events) {
      if (event.due > clock_.mono && !event.refused) next = std::min(next, event.due);
    }
    for (const Promise& promise : outside_.promises) {
      if (promise.due > clock_.mono && !promise.told) next = std::min(next, promise.due);
    }
    if (next > clock_.mono && next != MonoTime::max()) {
      clock_.mono =
          total == 0 ? next : std::min(next, clock_.mono + milliseconds(random_.between(0, 20)));
    }
    operate();
    keep_promises();
    trace(static_cast<std::uint64_t>(clock_.mono.ns));
    p.loop.timers().advance(clock_.mono);
    return true;
  }
  std::uint64_t pick = random_.below(total);
  trace(pick);
  if (pick < ready) {
    p.loop.run_one_at(random_.below(6));
  } else if ((pick -= ready) < write) {
    p.store->write(random_.below(p.store->queued()) + 1);
    const bool failed_sync = disk_.stats().faults > faults_seen_;
    faults_seen_ = disk_.stats().faults;
    if (failed_sync && verbose_)
      std::printf("fault at %.3f s\n", static_cast<double>(clock_.mono.ns) / 1e9);
    if (failed_sync && sync_fault_pending_) {
      sync_fault_pending_ = false;
      outside_.saw("C28");
      if (!p.store->engine().failure())
        outside_.violated("C28", "the store goes on after a failed fsync");
    }
    if (disk_.crashed()) crash(random_.percent(60));
  } else if ((pick -= write) < tell) {
    p.store->tell_one();
  } else if ((pick -= tell) < read) {
    p.store->read_one(random_.below(p.store->reads()));
    if (disk_.crashed()) crash(random_.percent(60));
  } else {
    deliver_due();
  }
  maybe_strike();
  return true;
}

bool World::at_rest() {
  for (const SentEvent& event : outside_.events) {
    if (event.due != MonoTime::max() && !event.refused) return false;
  }
  for (const Promise& promise : outside_.promises) {
    if (promise.due != MonoTime::max()) return false;
  }
  Process& p = *process_;
  if (p.loop.has_ready() || p.store->queued() > 0 || p.store->untold() > 0 || p.store->reads() > 0)
    return false;
  const GatewayStatus status = p.gateway->status();
  return status.pending == 0 && status.outbox == 0 && status.running.empty() && status.asking == 0;
}

void World::run_until_rest() {
  std::uint64_t checked = 0;
  while (steps_ < kStepsMax && process_ != nullptr && outside_.violations.empty()) {
    step();
    if (process_ == nullptr) return;
    if (++checked % 16 == 0 && at_rest()) return;
  }
}

WorldReport World::run() {
  write_script();
  if (!boot()) outside_.violated("C25", "the first start failed");
  // The storm lasts until everything has been sent and the crashes are used up, or long enough.
  while (process_ != nullptr && outside_.violations.empty() && steps_ < 20'000) {
    step();
    if (process_ == nullptr) break;
    if (steps_ % 64 == 0 && at_rest()) break;
  }
  outside_.calm = true;
  disk_.clear_call_budget();
  disk_.fail(DiskFault::kSyncError, 1, 0);
  if (process_ != nullptr && disk_.crashed()) crash(true);
  if (process_ != nullptr && outside_.violations.empty()) {
    // One more end at a random moment: what the calm brings must not depend on this process's
    // memory.
    if (random_.percent(30)) crash(random_.percent(50));
  }
  if (process_ != nullptr) run_until_rest();
  if (process_ != nullptr && outside_.violations.empty()) {
    check_at_rest(outside_, process_->store->reader(), accounts_, *process_->gateway);
    if (outside_.violations.empty() && random_.percent(20)) {
      outside_.saw("C31");
      check_erasure(outside_, process_->store->engine(), disk_,
                    accounts_[random_.below(accounts_.size())].name, "ann");
    }
  }
  if (verbose_) {
    for (const std::string& file : disk_.files()) {
      const std::string path = "/tmp/sluice-sim" + file;
      if (std::FILE* out = std::fopen(path.c_str(), "wb")) {
        const std::string bytes = disk_.content(file).value_or("");
        std::fwrite(bytes.data(), 1, bytes.size(), out);
        std::fclose(out);
      }
    }
    for (const SentEvent& e : outside_.events) {
      std::printf(
          "event %d %s/%s \"%s\" order=%ld id=%ld acked=%d at %.3f refused=%d deliveries=%d\n", e.n,
          e.account.c_str(), e.message.chat.c_str(), e.message.text.c_str(),
          static_cast<long>(e.message.order.value_or(0)), static_cast<long>(e.id.value),
          e.acknowledged, static_cast<double>(e.acknowledged_at.ns) / 1e9, e.refused, e.deliveries);
    }
    for (const AgentCall& c : outside_.calls) {
      std::string texts;
      for (std::size_t i = 0; i < c.messages.size(); ++i) {
        texts += " " + std::to_string(c.messages[i].value) + " \"" + c.texts[i] + "\"";
      }
      std::printf("call at %.3f process %d turn %ld/%u lane %ld %s%s completed=%d cut=%d\n",
                  static_cast<double>(c.at.ns) / 1e9, c.process, static_cast<long>(c.turn.value),
                  c.attempt, static_cast<long>(c.lane.value), c.agent.c_str(), texts.c_str(),
                  c.completed, c.cut_by_crash);
    }
    for (const Arrival& a : outside_.arrivals) {
      std::printf("arrival process %d %s/%s part %ld turn %ld n=%u labelled=%d dropped=%d \"%s\"\n",
                  a.process, a.account.c_str(), a.chat.c_str(), static_cast<long>(a.part.value),
                  static_cast<long>(a.turn.value), a.n, a.labelled, a.dropped_by_key,
                  a.text.c_str());
    }
  }
  WorldReport report;
  report.violations = outside_.violations;
  report.situations = outside_.situations;
  report.steps = steps_;
  report.trace = trace_;
  report.crashes = crashes_;
  for (const SentEvent& event : outside_.events) report.acknowledged += event.acknowledged;
  return report;
}

}  // namespace sluice::sim
