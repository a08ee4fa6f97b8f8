#include "sim/world.h"

#include <cstdio>
#include <utility>

namespace sluice::sim {
namespace {

constexpr std::uint64_t kStepsMax = 100'000;
constexpr HashKey kHashKey = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

}  // namespace

World::World(std::uint64_t seed, bool verbose)
    : seed_(seed),
      verbose_(verbose),
      random_(seed * 2 + 1),
      disk_("world-" + std::to_string(seed), seed) {
  clock_.mono = MonoTime{1'000'000'000};
  crashes_left_ = static_cast<int>(random_.below(4));
  hand_overs_left_ = static_cast<int>(random_.below(3));
  next_operation_ = clock_.mono + milliseconds(random_.between(2'000, 8'000));
}

World::~World() {
  if (process_ != nullptr) process_->tell_earlier = [](CallDropped) {};
  earlier_.reset();
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

bool World::boot(bool handed_over) {
  process_ = std::make_unique<Process>(clock_, random_.next(), options_.reply_bytes_max);
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
  options.log_is_synced = handed_over;
  options.early = std::exchange(early_, nullptr);
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
  parts.calls = &p.calls;
  attach_earlier(p);
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
  p.gateway->recover(std::move(recovered), handed_over);
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
  early_.reset();
  if (power_loss) {
    disk_.crash();
  } else {
    disk_.kill();
  }
  // Its calls end with it, unless they run in the process before it and that one lives on.
  const bool both = power_loss || outside_.die_now || random_.percent(50);
  if (process_ != nullptr) process_->tell_earlier = [](CallDropped) {};  // the dead say nothing
  if (both) earlier_.reset();
  if (process_ != nullptr) {
    process_->tasks.cancel();
    process_->gateway.reset();
    process_.reset();
  }
  if (earlier_ != nullptr) {
    outside_.saw("C26");
    trace(1006);
    earlier_->to_successor.clear();
    earlier_->to_earlier.clear();
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
  if (p.prepared) {
    hand_over();
    return true;
  }
  if (earlier_ != nullptr && random_.below(4) == 0 && step_earlier()) return true;
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
    if (earlier_ != nullptr) {
      if (total == 0 && step_earlier()) return true;
      next = std::min(next, earlier_->process->loop.timers().next());
    }
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
    if (earlier_ != nullptr) earlier_->process->loop.timers().advance(clock_.mono);
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
  maybe_hand_over();
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
