#include "gateway/intake.h"

#include <algorithm>

#include <fmt/core.h>

#include "base/mutant.h"
#include "base/utf8.h"
#include "gateway/access.h"
#include "gateway/intake_plan.h"
#include "gateway/message_json.h"

namespace sluice {
namespace {

constexpr milliseconds kWindowWait{
    5'000};  // how long a sender is slowed before it is told to come back

Error invalid(std::string what) {
  return Error(ErrorKind::kInvalidArgument, std::move(what), ErrorSource::kPeer);
}
Error overloaded(std::string what) {
  return Error(ErrorKind::kOverloaded, std::move(what), ErrorSource::kSelf,
               Retry::after(milliseconds(1'000)));
}

}  // namespace

Key128 event_key(const HashKey& key, std::string_view account, const InboundMessage& event) {
  return KeyedHash(key)
      .add(account)
      .add(static_cast<std::int64_t>(event.kind))
      .add(event.chat)
      .add(event.event)
      .add(event.revision)
      .finish();
}

Key128 content_key(const HashKey& key, const InboundMessage& event) {
  KeyedHash hash(key);
  hash.add(normalise_text(event.text));
  for (const std::string& id : event.attachments) hash.add(id);
  return hash.finish();
}

Result<void> Intake::check(const Account& account, const InboundMessage& event) const {
  const CoreOptions& o = core_.options;
  const auto field = [&](std::string_view name, const std::string& value,
                         bool required) -> Result<void> {
    if (required && value.empty()) return invalid(fmt::format("{} is empty", name));
    if (value.size() > o.field_bytes_max) {
      return Error(ErrorKind::kTooLarge,
                   fmt::format("{} is longer than {} bytes", name, o.field_bytes_max),
                   ErrorSource::kPeer);
    }
    if (!is_utf8(value)) return invalid(fmt::format("{} is not UTF-8", name));
    return {};
  };
  for (const auto& [name, value, required] :
       {std::tuple<std::string_view, const std::string*, bool>{"chat", &event.chat, true},
        {"thread", &event.thread, false},
        {"sender", &event.sender, true},
        {"sender_name", &event.sender_name, false},
        {"event id", &event.event, true},
        {"revision", &event.revision, false},
        {"session", &event.session, false},
        {"request_id", &event.request_id, false},
        {"time_zone", &event.time_zone, false}}) {
    const Result<void> ok = field(name, *value, required);
    if (!ok) return ok;
  }
  for (const auto* list : {&event.projects, &event.attachments}) {
    if (list->size() > o.attachments_max) {
      return Error(ErrorKind::kTooLarge,
                   fmt::format("more than {} attachments or projects", o.attachments_max),
                   ErrorSource::kPeer);
    }
    for (const std::string& id : *list) {
      const Result<void> ok = field("attachment or project id", id, true);
      if (!ok) return ok;
    }
  }
  if (event.reply_to.size() > 4 * o.field_bytes_max || !is_utf8(event.reply_to))
    return invalid("reply_to is not usable");
  if (event.text.size() > o.text_bytes_max) {
    return Error(ErrorKind::kTooLarge,
                 fmt::format("text is longer than {} bytes", o.text_bytes_max), ErrorSource::kPeer);
  }
  if (!is_utf8(event.text)) return invalid("text is not UTF-8");
  if (event.kind != EventKind::kDelete && normalise_text(event.text).empty() &&
      event.attachments.empty()) {
    return invalid("the message is empty");
  }
  if (event.order && *event.order <= 0) return invalid("order must be positive");
  (void)account;
  return {};
}

bool Intake::passes_gates(const Account& account, const InboundMessage& event) const {
  if (mutant(Mutant::kAcceptEverybody)) return true;
  const AccountOptions& options = account.channel->account();
  if (!lets_in(options, event.sender)) return false;
  return event.chat_kind != ChatKind::kGroup || !options.groups_need_mention || event.mentions_us;
}

Result<void> Intake::check_room(Account& account, const std::vector<InboundMessage>& events) {
  const CoreOptions& o = core_.options;
  // What finds no place is what has to wait: a word to us or a deletion passes at every bound (C9).
  const auto waits = [](const InboundMessage& event) {
    const std::optional<CommandLine> command = parse_command(event.text);
    return event.kind != EventKind::kDelete && (!command || *command == Command::kNew);
  };
  std::uint64_t bytes = 0;
  std::uint64_t waiting = 0;
  // An event finds what waits already, and what comes before it in its own body.
  std::vector<std::uint64_t> persons;
  for (std::size_t i = 0; i < events.size(); ++i) {
    const InboundMessage& event = events[i];
    const std::uint64_t person = person_of(core_.hash_key, account.row.name, event.sender);
    if (core_.being_erased.contains(person)) {
      return Error(ErrorKind::kUnavailable, "the person's data are being erased",
                   ErrorSource::kSelf, Retry::after(milliseconds(5'000)));
    }
    if (!waits(event)) continue;
    ++waiting;
    bytes += event.text.size();
    const auto found = core_.pending_by_person.find(person);
    const std::size_t theirs =
        (found == core_.pending_by_person.end() ? 0 : found->second) +
        static_cast<std::size_t>(std::count(persons.begin(), persons.end(), person));
    if (theirs >= o.pending_per_person) {
      return overloaded("the person has too many messages waiting");
    }
    persons.push_back(person);
    const LaneId id = lanes_.find(account.row.name, event.chat, event.thread);
    const Lane* lane = id ? lanes_.active(id) : nullptr;
    const auto before =
        std::count_if(events.data(), events.data() + i, [&](const InboundMessage& other) {
          return other.chat == event.chat && other.thread == event.thread && waits(other);
        });
    if ((lane == nullptr ? 0 : lane->waiting.size()) + static_cast<std::size_t>(before) >=
        o.pending_per_conversation) {
      return overloaded("the conversation has too many messages waiting");
    }
  }
  if (waiting == 0) return {};
  if (account.pending + waiting > o.pending_per_account) {
    return overloaded("the account has too many messages waiting");
  }
  if (core_.pending_bytes + bytes > o.pending_bytes)
    return overloaded("too many bytes are waiting");
  return {};
}

Result<void> Intake::check_open(Account& account, const std::vector<InboundMessage>& events) {
  if (core_.storage_failed) return Error(ErrorKind::kStorageFailed, "the store has failed");
  if (core_.intake_closed || account.channel == nullptr || account.stopping) {
    return Error(ErrorKind::kUnavailable, "intake is closed", ErrorSource::kSelf,
                 Retry::after(milliseconds(5'000)));
  }
  if (core_.disk_low && !mutant(Mutant::kIntakeOnFullDisk)) {
    return Error(ErrorKind::kDiskFull, "the disk is nearly full", ErrorSource::kSelf,
                 Retry::after(milliseconds(60'000)));
  }
  Result<void> room = check_room(account, events);
  if (!room) core_.counters.refused_overload.add();
  return room;
}

Task<Intake::Verdicts> Intake::accept(Account* account, std::vector<InboundMessage> events,
                                      std::optional<std::string> cursor) {
  auto done = std::make_shared<Completion<Verdicts>>(core_.loop);
  core_.tasks.spawn("accept", run(account, std::move(events), std::move(cursor), done));
  co_return co_await done->get();
}

Task<void> Intake::run(Account* account, std::vector<InboundMessage> events,
                       std::optional<std::string> cursor,
                       std::shared_ptr<Completion<Verdicts>> done) {
  const lifecycle::Guard guard = core_.in_flight.hold(lifecycle::Work::kAppend);
  Verdicts verdicts = co_await append(account, std::move(events), std::move(cursor));
  done->set(std::move(verdicts));
}

Task<Intake::Verdicts> Intake::append(Account* account, std::vector<InboundMessage> events,
                                      std::optional<std::string> cursor) {
  const MonoTime began = core_.loop.now();
  if (events.size() > core_.options.batch_max) {
    co_return Error(ErrorKind::kTooLarge,
                    fmt::format("more than {} events in one body", core_.options.batch_max),
                    ErrorSource::kPeer);
  }
  for (const InboundMessage& event : events) {
    const Result<void> ok = check(*account, event);
    if (!ok) co_return ok.error();
  }
  Result<void> open = check_open(*account, events);
  if (!open) co_return open.error();
  const MonoTime patience = began + kWindowWait;
  while (in_flight_ > 0 && in_flight_ + events.size() > core_.options.inbox_capacity) {
    const bool moved = co_await window_.wait_until(patience);
    if (!moved) {
      core_.counters.refused_overload.add();
      co_return overloaded("the disk can't keep up");
    }
    open = check_open(*account, events);  // others have come in meanwhile
    if (!open) co_return open.error();
  }
  in_flight_ += events.size();

  // Nothing is awaited between planning and committing: what is planned builds on what it sees.
  const std::vector<MessageId> targets = co_await find_targets(account, &events);
  if (account->channel == nullptr) {
    in_flight_ -= events.size();
    window_.pulse();
    co_return Error(ErrorKind::kUnavailable, "the channel is gone");
  }
  Transaction transaction;
  std::vector<Plan> plans(events.size());
  const bool alone = events.size() == 1;
  for (std::size_t i = 0; i < events.size(); ++i) {
    InboundMessage& event = events[i];
    if (!passes_gates(*account, event)) {
      core_.counters.refused_by_access.add();
      continue;
    }
    core_.log.info("message_received", {{"account", account->row.name},
                                        {"user", event.sender},
                                        {"bytes", event.text.size()},
                                        {"request_id", event.request_id}});
    if (event.kind != EventKind::kMessage) {
      plan_change(plans[i], *account, std::move(event), targets[i], transaction);
    } else {
      plan_message(plans[i], *account, std::move(event), transaction, alone);
    }
  }
  if (cursor) transaction.cursors.push_back(Cursor{account->row.name, *cursor});
  std::vector<Accepted> accepted(plans.size());
  if (transaction.events.empty() && transaction.cursors.empty()) {
    in_flight_ -= plans.size();
    for (Accepted& a : accepted) a.refused_by_access = true;
    co_return accepted;
  }
  bool known = true;
  if (mutant(Mutant::kAcknowledgeBeforeCommit) && !transaction.events.empty()) {
    const Key128 key = transaction.events.front().key;
    const auto found = co_await core_.store.read<std::optional<MessageId>>(
        [key](StoreReader& reader) { return reader.find_event(key); });
    known = !found || found->has_value();
  }
  if (mutant(Mutant::kAcknowledgeBeforeCommit) && !known) {
    // Told before it is true; what follows the commit still happens.
    struct Late {
      static Task<void> finish(Intake* self, Transaction t, std::vector<Plan> p) {
        const Result<Receipt> r = co_await self->core_.store.commit(std::move(t));
        std::size_t event = 0;
        for (Plan& plan : p) {
          if (plan.lane == nullptr) continue;
          if (r)
            self->after_commit(plan, r->events[event++]);
          else
            self->after_failure(plan);
        }
      }
    };
    for (std::size_t i = 0; i < plans.size(); ++i) {
      if (plans[i].lane == nullptr) continue;
      accepted[i].id = plans[i].row->id;
      accepted[i].lane = plans[i].lane->id;
    }
    in_flight_ -= plans.size();
    core_.tasks.spawn("late", Late::finish(this, std::move(transaction), std::move(plans)));
    co_return accepted;
  }
  const Result<Receipt> receipt = co_await core_.store.commit(std::move(transaction));
  in_flight_ -= plans.size();
  window_.pulse();
  if (!receipt) {
    for (Plan& plan : plans) {
      if (plan.lane != nullptr) after_failure(plan);
    }
    if (!Core::may_pass(receipt.error())) core_.storage_has_failed(receipt.error());
    co_return receipt.error();
  }
  if (cursor) account->cursor = *cursor;
  std::size_t event = 0;
  for (std::size_t i = 0; i < plans.size(); ++i) {
    if (plans[i].lane == nullptr) {
      accepted[i].refused_by_access = true;
      continue;
    }
    const Receipt::Event& verdict = receipt->events[event++];
    accepted[i].verdict = verdict.verdict;
    accepted[i].id = verdict.verdict == EventVerdict::kNew ? plans[i].row->id : verdict.id;
    accepted[i].lane = plans[i].lane->id;
    (verdict.verdict == EventVerdict::kNew ? account->accepted : account->duplicates)->add();
    after_commit(plans[i], verdict);
  }
  core_.counters.accept_seconds.observe(static_cast<double>((core_.loop.now() - began).count()) /
                                        1e9);
  co_return accepted;
}

void Intake::plan_message(Plan& plan, Account& account, InboundMessage event,
                          Transaction& transaction, bool alone) {
  Lane& lane = lanes_.open(account, event.chat, event.thread, event.chat_kind);
  ++lane.users;
  plan.lane = &lane;
  if (!lane.stored) transaction.conversations.push_back(lanes_.row(lane));
  KeyedEvent keyed;
  keyed.key = event_key(core_.hash_key, account.row.name, event);
  keyed.content = content_key(core_.hash_key, event);
  keyed.refuse_other_content = account.channel->info().can.own_face;
  auto row = std::make_shared<MessageRow>();
  // Right behind the lane's, if that is new: readers find what began a conversation by it.
  row->id = keyed.id = MessageId{core_.next_id()};
  row->lane = lane.id;
  row->accepted_at = keyed.at = core_.now();
  row->sent_at = event.sent_at;
  row->held_before_ms = core_.held_ms(account);
  row->sender = std::move(event.sender);
  row->sender_name = std::move(event.sender_name);
  row->event = std::move(event.event);
  row->text = std::move(event.text);
  row->reply_to = std::move(event.reply_to);
  row->order = event.order.value_or(0);
  plan.row = row;

  const std::optional<CommandLine> command = parse_command(row->text);
  if (command && command != Command::kNew && !mutant(Mutant::kControlWaits)) {
    transaction.events.push_back(std::move(keyed));
    plan_control(plan, *command, transaction);
    return;
  }
  if (command == Command::kNew) {
    row->kind = MessageKind::kCommand;
    choose(plan, Target{}, keyed.then);  // what was chosen was for the session that ends here
  }
  const Target target = core_.choose_target(
      lane.id, {account.row.name, lane.chat, lane.kind, row->sender, row->text});
  row->extra = to_json(MessageExtra{std::move(event.session), std::move(event.projects),
                                    std::move(event.attachments), std::move(event.request_id),
                                    target.agent, target.model, std::move(event.time_zone)});
  const std::int64_t next = core_.head(lane).next_order;
  row->late = row->order != 0 && next != 0 && row->order < next;
  if (row->late) core_.counters.late.add();
  plan.waiting.id = row->id;
  plan.waiting.person = person_of(core_.hash_key, account.row.name, row->sender);
  plan.waiting.order = row->order;
  plan.waiting.bytes = static_cast<std::uint32_t>(row->text.size()) & 0x3FFFFFF;
  plan.waiting.command = row->kind == MessageKind::kCommand;
  plan.waiting.late = row->late;
  plan.waiting.target = core_.targets.number(target);
  // Where lane and slot are free the attempt rides in the transaction that accepts the message
  // (C11).
  const AccountOptions& options = account.channel->account();
  const auto agent = core_.agents.find(lanes_.agent_of(lane, plan.waiting.target));
  const bool gap = row->order != 0 && next != 0 && row->order > next;
  // What may be too old goes the long way, where its age is looked at (C24).
  const UnixMillis since = row->sent_at.ms != 0 ? row->sent_at : row->accepted_at;
  const bool fresh = row->accepted_at - since < core_.options.expire_inbound;
  const bool may_start = alone && fresh && row->kind == MessageKind::kTurn &&
                         options.mode != LaneMode::kCollect && !gap &&
                         agent != core_.agents.end() && agent->second->agent != nullptr &&
                         lanes_.can_start_at_once(lane) && !mutant(Mutant::kAttemptChargedLate);
  plan.queued = true;
  lanes_.add(lane, plan.waiting);
  core_.count_pending(account, plan.waiting.person, plan.waiting.bytes, 1);
  if (may_start &&
      core_.slots.try_take(lane, account.row.name, plan.waiting.person, agent->second->slots)) {
    plan.started = true;
    core_.counters.running.set(core_.slots.running());
    keyed.then.turns.push_back(turns_.prepare(lane, plan.waiting));
  }
  keyed.message = row;
  if (mutant(Mutant::kDedupeAfterTurn) || mutant(Mutant::kNoDedupe))
    keyed.key.low ^= static_cast<std::uint64_t>(row->id.value);
  transaction.events.push_back(std::move(keyed));
}

/// What each edit or deletion is about; 0 where it is not known.
Task<std::vector<MessageId>> Intake::find_targets(Account* account,
                                                  const std::vector<InboundMessage>* events) {
  std::vector<MessageId> targets(events->size());
  std::vector<std::pair<std::size_t, Key128>> wanted;
  for (std::size_t i = 0; i < events->size(); ++i) {
    if ((*events)[i].kind == EventKind::kMessage) continue;
    InboundMessage original = (*events)[i];
    original.kind = EventKind::kMessage;
    original.revision.clear();
    wanted.emplace_back(i, event_key(core_.hash_key, account->row.name, original));
  }
  if (wanted.empty()) co_return targets;
  // Looked for behind everything that is being committed now.
  const Result<Receipt> barrier = co_await core_.store.commit(Transaction{});
  if (!barrier) co_return targets;
  for (const auto& [i, key] : wanted) {
    const Key128 wanted_key = key;
    const auto found = co_await core_.store.read<std::optional<MessageId>>(
        [wanted_key](StoreReader& reader) { return reader.find_event(wanted_key); });
    if (found && *found) targets[i] = **found;
  }
  co_return targets;
}

void Intake::plan_change(Plan& plan, Account& account, InboundMessage event, MessageId about,
                         Transaction& transaction) {
  Lane& lane = lanes_.open(account, event.chat, event.thread, event.chat_kind);
  Waiting* target = about && !mutant(Mutant::kEditAppends) ? lanes_.find(lane, about) : nullptr;
  const bool replaceable = target != nullptr && target->committed && !target->editing;
  const bool withdraw = event.kind == EventKind::kDelete;
  if (!replaceable && !withdraw) {
    plan_message(plan, account, std::move(event), transaction, false);
    return;
  }
  ++lane.users;
  plan.lane = &lane;
  if (!lane.stored) transaction.conversations.push_back(lanes_.row(lane));
  KeyedEvent keyed;
  keyed.key = event_key(core_.hash_key, account.row.name, event);
  keyed.content = content_key(core_.hash_key, event);
  keyed.id = MessageId{core_.next_id()};
  keyed.at = core_.now();
  keyed.lane = lane.id;
  keyed.refuse_other_content = account.channel->info().can.own_face;
  plan.row = std::make_shared<MessageRow>();
  plan.row->id = keyed.id;
  plan.row->text = event.text;
  MessageEnd end;
  end.id = keyed.id;
  end.accepted_at = end.ended_at = keyed.at;
  end.outcome = withdraw ? MessageOutcome::kHandled : MessageOutcome::kReplaced;
  if (replaceable) {
    target->editing = true;
    plan.target = target->id;
    plan.withdraw = withdraw;
    end.reason = fmt::format("{} message {}", withdraw ? "withdrew" : "replaced the text of",
                             target->id.value);
    if (withdraw) {
      MessageEnd gone;
      gone.id = target->id;
      gone.outcome = MessageOutcome::kWithdrawn;
      gone.reason = "deleted by its sender before its turn";
      gone.ended_at = keyed.at;
      keyed.then.ended.push_back(std::move(gone));
    } else {
      keyed.then.rewrites.emplace_back(target->id, event.text);
    }
  } else {
    end.reason = "the message it deletes has run already";
  }
  keyed.handled = std::move(end);
  transaction.events.push_back(std::move(keyed));
}

void Intake::after_commit(Plan& plan, const Receipt::Event& verdict) {
  Lane& lane = *plan.lane;
  --lane.users;
  lane.stored = true;
  const bool is_new = verdict.verdict == EventVerdict::kNew;
  if (plan.target) {
    if (Waiting* target = lanes_.find(lane, plan.target)) {
      target->editing = false;
      core_.bodies.forget(plan.target);
      if (is_new && plan.withdraw) {
        core_.count_pending(*lane.account, target->person, target->bytes, -1);
        lanes_.remove(lane, plan.target);
      }
    }
  } else if (plan.control) {
    if (is_new) {
      lane.committed_head = std::max(lane.committed_head, plan.last);
    } else {
      core_.unwrite(lane, plan.before, plan.last);
    }
  }
  if (plan.queued && !is_new) {
    lanes_.remove(lane, plan.row->id);
    core_.count_pending(*lane.account, plan.waiting.person, plan.waiting.bytes, -1);
    if (plan.started) turns_.abandon(lane);
  } else if (plan.queued) {
    lanes_.committed(lane, plan.row->id);
    if (plan.started) {
      turns_.run_accepted(lane, plan.row);
      return;
    }
    core_.bodies.put(plan.row);
    core_.feeds.phase(lane.id, FeedPhase{{}, plan.row->id, TurnPhase::kQueued});
    const AccountOptions* options =
        lane.account->channel == nullptr ? nullptr : &lane.account->channel->account();
    if (options != nullptr && options->mode == LaneMode::kInterrupt)
      turns_.stop(lane, StopReason::kNewer);
  }
  if (!is_new) take_back_choice(plan);
  if (plan.decided && !is_new) turns_.take_back_decision(lane.id, plan.decided);
  if (plan.stopped && !is_new) turns_.take_back_stop(lane, plan.stopped);
  if (plan.control && is_new) {
    ++lane.users;
    core_.feeds.grew(lane.id, lane.committed_head);
    if (!plan.parts.empty()) outbox_.add(lane, std::move(plan.parts));
    switch (*plan.control) {
      case Command::kStop:
        turns_.stop(lane, StopReason::kPerson);
        break;
      case Command::kRetry:
        turns_.decide(lane, plan.decided, OpenTurn::Decision::kRun);
        break;
      case Command::kDrop:
        turns_.decide(lane, plan.decided, OpenTurn::Decision::kDrop);
        break;
      default:
        break;
    }
    --lane.users;
  }
  core_.pump(lane);
}

void Intake::after_failure(Plan& plan) {
  Lane& lane = *plan.lane;
  --lane.users;
  if (plan.target) {
    if (Waiting* target = lanes_.find(lane, plan.target)) target->editing = false;
  }
  take_back_choice(plan);
  if (plan.decided) turns_.take_back_decision(lane.id, plan.decided);
  if (plan.stopped) turns_.take_back_stop(lane, plan.stopped);
  if (plan.control) core_.rewind(lane, plan.before);
  if (plan.queued) {
    lanes_.remove(lane, plan.row->id);
    core_.count_pending(*lane.account, plan.waiting.person, plan.waiting.bytes, -1);
    if (plan.started) turns_.abandon(lane);
  }
  core_.pump(lane);
}

}  // namespace sluice
