#include "gateway/outbox.h"

#include <algorithm>

#include "base/mutant.h"
#include "gateway/settle.h"
#include "runtime/guarded.h"

namespace sluice {
namespace {

constexpr std::size_t kLoadBatch = 16;
// Numbers of our own notices within a turn, apart from the parts of its reply.
constexpr std::uint32_t kRefusedNotice = 1'000'000;
constexpr std::uint32_t kExpiredNotice = 2'000'000;

/// Whatever a channel throws is an outcome that nobody knows (C19).
Task<SendOutcome> guarded_send(Channel* channel, SendRequest request) {
  std::string what;
  try {
    co_return co_await channel->send(std::move(request));
  } catch (...) {
    what = words_of_current_exception();
  }
  co_return SendOutcome::of(SendOutcome::What::kUnknown, "the channel threw: " + what);
}

}  // namespace

std::string idempotency_key(const HashKey& key, const PartRow& part) {
  const Key128 hash = KeyedHash(key)
                          .add("part")
                          .add(part.turn ? part.turn.value : -part.event.value)
                          .add(static_cast<std::int64_t>(part.n))
                          .finish();
  std::string hex(32, '0');
  std::size_t at = 0;
  for (const std::uint64_t half : {hash.high, hash.low}) {
    for (int shift = 60; shift >= 0; shift -= 4) hex[at++] = "0123456789abcdef"[half >> shift & 15];
  }
  return hex;
}

PartRow Outbox::make(const Lane& lane, TurnId turn, MessageId event, std::uint32_t n, PartKind kind,
                     std::string text, std::string reply_to) {
  PartRow row;
  row.id = PartId{core_.next_id()};
  row.lane = lane.id;
  row.turn = turn;
  row.event = event;
  row.n = n;
  row.kind = kind;
  row.text = std::move(text);
  row.reply_to = std::move(reply_to);
  row.committed_at = core_.now();
  row.held_before_ms = core_.held_ms(*lane.account);
  return row;
}

void Outbox::add(Lane& lane, std::vector<PartRow> parts) {
  for (PartRow& row : parts) {
    OutPart part;
    part.id = row.id;
    part.turn = row.turn;
    part.event = row.event;
    part.kind = row.kind;
    part.ours = row.claimed_by == core_.generation && row.claimed_by != 0;
    const bool answer = row.kind == PartKind::kAnswer;
    part.row = std::make_shared<const PartRow>(std::move(row));
    core_.counters.outbox.add(1);
    if (!answer) {
      lane.out.push_back(std::move(part));
      continue;
    }
    // Behind what has left or is leaving, and behind earlier answers.
    auto at = lane.out.begin();
    while (at != lane.out.end() && ((at == lane.out.begin() && (lane.delivering || at->ours)) ||
                                    at->kind == PartKind::kAnswer)) {
      ++at;
    }
    lane.out.insert(at, std::move(part));
  }
  kick(lane);
}

void Outbox::restore(Lane& lane, OutPart part) {
  core_.counters.outbox.add(1);
  lane.out.push_back(std::move(part));
}

void Outbox::kick(Lane& lane) {
  if (lane.delivering || lane.out.empty() || core_.storage_failed) return;
  if (core_.sends_rest && !lane.out.front().ours) return;
  if (!lane.account->may_send() && !mutant(Mutant::kSendWhileHeld)) return;
  if (lane.account->channel == nullptr) return;
  lane.delivering = true;
  core_.tasks.spawn("deliver", deliver(&lane));
}

bool Outbox::outcome_unknown(const OutPart& part) const {
  return part.row->claimed_by != 0 && !part.ours;
}

Task<void> Outbox::deliver(Lane* lane) {
  while (!lane->out.empty()) {
    Account& account = *lane->account;
    if (account.channel == nullptr) break;
    if (!account.may_send() && !mutant(Mutant::kSendWhileHeld)) break;
    if (core_.sends_rest && !lane->out.front().ours) break;
    if (!lane->out.front().row) {
      const bool loaded = co_await load(lane);
      if (!loaded) break;
      continue;
    }
    const bool waited = co_await wait_for_turn(lane);
    if (waited) continue;
    const bool expired = co_await expire(lane);
    if (expired) continue;
    bool look_back = false;
    if (outcome_unknown(lane->out.front())) {
      // Claimed by a process that is gone, or by a try that told us nothing (C19).
      const PartRow& row = *lane->out.front().row;
      const Capabilities& can = account.channel->info().can;
      const UnknownRule rule = unknown_rule(row, can, core_.now(), false);
      if (rule == UnknownRule::kLookBack) {
        look_back = true;
      } else if (rule == UnknownRule::kGiveUp) {
        SendOutcome unknown = SendOutcome::of(SendOutcome::What::kUnknown, "interrupted again");
        co_await apply(lane, std::move(unknown));
        continue;
      } else if (mutant(Mutant::kUnknownIsSent)) {
        SendOutcome sent = SendOutcome::sent();
        co_await apply(lane, std::move(sent));
        continue;
      } else {
        PartRow again = row;
        again.duplicate = again.duplicate || (rule == UnknownRule::kRepeatLabelled &&
                                              !mutant(Mutant::kUnknownIsRepeated));
        again.claimed_by = 0;
        lane->out.front().row = std::make_shared<const PartRow>(std::move(again));
      }
    }
    if (!look_back) {
      const bool claimed = co_await claim(lane);
      if (!claimed) break;
    }
    SendOutcome outcome = co_await send(lane, look_back);
    if (look_back && outcome.what == SendOutcome::What::kNotSent) {
      // Not there: one more send, labelled all the same, since histories lag behind.
      PartRow again = *lane->out.front().row;
      again.duplicate = true;
      again.claimed_by = 0;
      lane->out.front().row = std::make_shared<const PartRow>(std::move(again));
      continue;
    }
    co_await apply(lane, std::move(outcome));
  }
  lane->delivering = false;
  if (core_.sends_rest) core_.send_settled.pulse();
  core_.pump(*lane);
}

Task<bool> Outbox::load(Lane* lane) {
  std::vector<PartId> ids;
  for (const OutPart& part : lane->out) {
    if (part.row || ids.size() == kLoadBatch) break;
    ids.push_back(part.id);
  }
  using Rows = std::vector<std::shared_ptr<const PartRow>>;
  Result<Rows> rows =
      co_await core_.store.read<Rows>([ids](StoreReader& reader) { return reader.parts(ids); });
  if (!rows) {
    core_.log.error("outbox_read_failed",
                    {{"lane", lane->id.value}, {"error", rows.error().to_string()}});
    co_await sleep_for(core_.loop, milliseconds(1'000));
    co_return true;
  }
  for (auto& row : *rows) {
    for (OutPart& part : lane->out) {
      if (part.id == row->id) part.row = row;
    }
  }
  if (lane->out.front().row) co_return true;
  // Settled by an operator meanwhile.
  lane->out.pop_front();
  core_.counters.outbox.add(-1);
  co_return true;
}

/// True if it slept: everything has to be looked at again.
Task<bool> Outbox::wait_for_turn(Lane* lane) {
  const UnixMillis until =
      std::max(lane->account->row.not_before, lane->out.front().row->not_before);
  const milliseconds wait = until - core_.now();
  if (wait.count() <= 0) co_return false;
  // At most an hour, so that an operator's resume or an answer at the front is seen.
  const milliseconds step = std::min(wait, milliseconds(3'600'000));
  co_await lane->account->changed.wait_until(core_.loop.now() + step);
  co_return true;
}

Task<bool> Outbox::expire(Lane* lane) {
  const PartRow& part = *lane->out.front().row;
  if (!core_.clock->may_expire() || mutant(Mutant::kNoExpiry)) co_return false;
  if (core_.age(*lane->account, part.committed_at, part.held_before_ms) <=
      core_.options.expire_outbound) {
    co_return false;
  }
  PartSettlement settlement;
  settlement.id = part.id;
  settlement.outcome = PartOutcome::kExpired;
  settlement.reason = "older than expire_outbound";
  settlement.at = core_.now();
  core_.counters.expired.add();
  const bool tell =
      !lane->expiry_told && part.kind != PartKind::kNotice && !mutant(Mutant::kExpireSilently);
  std::string notice;
  if (tell) notice = "An earlier answer could not be delivered in time and has expired.";
  lane->expiry_told = true;
  co_await settle_front(lane, std::move(settlement), std::move(notice), false);
  co_return true;
}

Task<bool> Outbox::claim(Lane* lane) {
  OutPart& part = lane->out.front();
  const Capabilities& can = lane->account->channel->info().can;
  if (part.ours) co_return true;
  if (mutant(Mutant::kNoClaim)) {
    part.ours = true;
    co_return true;
  }
  PartRow claimed = *part.row;
  claimed.claimed_by = core_.generation;
  claimed.claimed_at = core_.now();
  const PartId id = part.id;
  Transaction transaction;
  transaction.changes.claims.push_back(
      PartClaim{id, core_.generation, claimed.claimed_at, claimed.duplicate});
  if (can.idempotency_window.count() > 0 && claimed.tries == 0 && !claimed.duplicate) {
    // The platform drops a repetition by its key: the claim may be lost with the power (C18), so
    // nobody waits for it. It is still written, in order, for the rule's window to be counted from.
    (void)core_.store.commit(std::move(transaction));
  } else {
    const Result<Receipt> receipt = co_await core_.store.commit(std::move(transaction));
    if (!receipt) {
      if (!Core::may_pass(receipt.error())) {
        core_.storage_has_failed(receipt.error());
        co_return false;
      }
      co_await sleep_for(core_.loop, milliseconds(1'000));
      co_return true;  // looked at again: still not ours, so nothing was sent
    }
  }
  OutPart& front = lane->out.front();
  if (front.id != id) co_return true;
  front.ours = true;
  front.row = std::make_shared<const PartRow>(std::move(claimed));
  co_return true;
}

SendRequest Outbox::request(const Lane& lane, const PartRow& part) const {
  SendRequest request;
  request.part = part.id;
  request.turn = part.turn;
  request.n = part.n;
  request.kind = part.kind;
  request.chat = lane.chat;
  request.thread = lane.thread;
  request.text =
      part.duplicate ? lane.account->channel->formatter().possible_duplicate(part.text) : part.text;
  request.reply_to = part.reply_to;
  request.meta = part.meta;
  request.idempotency_key = idempotency_key(core_.hash_key, part);
  request.request_id = std::to_string(part.turn ? part.turn.value : part.event.value);
  request.plain = part.plain;
  request.possible_duplicate = part.duplicate;
  return request;
}

Task<SendOutcome> Outbox::send(Lane* lane, bool look_back) {
  Account& account = *lane->account;
  if (!look_back && !lane->out.front().ours) {
    co_return SendOutcome::of(SendOutcome::What::kNotSent, "the claim is not on disk");
  }
  co_await account.send_slots.acquire();
  SendOutcome outcome = SendOutcome::of(SendOutcome::What::kNotSent, "the channel is stopping");
  if (account.channel != nullptr && !account.stopping) {
    ++account.sends_in_flight;
    SendRequest sending = request(*lane, *lane->out.front().row);
    const MonoTime deadline = core_.loop.now() + core_.options.send_timeout;
    if (look_back) {
      auto looked = co_await run_until(
          core_.loop, guarded("the channel", account.channel->find_sent(std::move(sending))),
          deadline, &account.cut);
      if (looked.ended != Ended::kDone || !*looked.value) {
        outcome = SendOutcome::of(SendOutcome::What::kUnknown, "could not look back");
      } else if (**looked.value) {
        outcome = SendOutcome::sent(***looked.value);
      } else {
        outcome = SendOutcome::of(SendOutcome::What::kNotSent, "not found on the platform");
      }
    } else {
      if (sending.possible_duplicate) core_.counters.parts_possible_duplicate.add();
      if (mutant(Mutant::kSendTwice)) {
        auto extra = co_await run_until(core_.loop, guarded_send(account.channel.get(), sending),
                                        deadline, &account.cut);
        (void)extra;
      }
      auto sent =
          co_await run_until(core_.loop, guarded_send(account.channel.get(), std::move(sending)),
                             deadline, &account.cut);
      outcome =
          sent.ended == Ended::kDone
              ? std::move(*sent.value)
              : SendOutcome::of(SendOutcome::What::kUnknown,
                                sent.ended == Ended::kDeadline ? "no answer in time" : "cut off");
    }
    --account.sends_in_flight;
    account.changed.pulse();
  }
  account.send_slots.release();
  co_return outcome;
}

Task<void> Outbox::apply(Lane* lane, SendOutcome outcome) {
  Account& account = *lane->account;
  const std::shared_ptr<const PartRow> row = lane->out.front().row;
  const PartRow& part = *row;
  const Capabilities can =
      account.channel != nullptr ? account.channel->info().can : Capabilities{};
  if (outcome.what == SendOutcome::What::kUnknown && can.can_look_back &&
      unknown_rule(part, can, core_.now(), false) == UnknownRule::kLookBack && account.may_send()) {
    outcome = co_await send(lane, true);
    if (outcome.what == SendOutcome::What::kNotSent) outcome.what = SendOutcome::What::kUnknown;
  }
  const double jitter = static_cast<double>(core_.loop.random().below(1024)) / 1024.0;
  Settlement s = settle(part, outcome, can, core_.options, core_.now(), jitter);
  if (s.account_not_before.ms > account.row.not_before.ms) {
    account.row.not_before = s.account_not_before;
    const AccountRow changed = account.row;
    co_await core_.commit_surely(nullptr, [&changed] {
      Transaction t;
      t.changes.accounts.push_back(changed);
      return t;
    });
  }
  if (s.park_account) co_await set_state(&account, AccountState::kParked, outcome.reason);
  std::string notice;
  const bool refused = s.row.outcome == PartOutcome::kDead;
  if (refused && part.kind != PartKind::kNotice && !mutant(Mutant::kDropSilently)) {
    notice = "A part of the answer could not be delivered here.";
  }
  co_await settle_front(lane, std::move(s.row), std::move(notice), s.drop_rest_of_reply);
}

void Outbox::note(const Lane& lane, const PartRow& part, const PartSettlement& settlement) {
  const std::string_view account = lane.account->row.name;
  switch (settlement.outcome) {
    case PartOutcome::kSent:
      core_.counters.parts_sent.add();
      lane.account->sent->add();
      break;
    case PartOutcome::kDead:
      core_.counters.parts_dead.add();
      core_.counters.dead.add();
      core_.log.warn("part_dead", {{"account", account},
                                   {"part", part.id.value},
                                   {"lane", lane.id.value},
                                   {"reason", settlement.reason}});
      break;
    case PartOutcome::kExpired:
      core_.log.warn("part_expired",
                     {{"account", account}, {"part", part.id.value}, {"lane", lane.id.value}});
      break;
    case PartOutcome::kAgain:
      core_.log.info("part_delayed", {{"account", account},
                                      {"part", part.id.value},
                                      {"lane", lane.id.value},
                                      {"reason", settlement.reason},
                                      {"tries", settlement.tries}});
      break;
  }
}

Task<void> Outbox::settle_front(Lane* lane, PartSettlement settlement, std::string notice,
                                bool with_rest) {
  const std::shared_ptr<const PartRow> row = lane->out.front().row;
  const PartRow& part = *row;
  std::vector<PartSettlement> settled = {settlement};
  if (with_rest && part.turn) {
    for (const OutPart& other : lane->out) {
      if (other.turn != part.turn || other.id == part.id || other.kind == PartKind::kNotice)
        continue;
      PartSettlement rest;
      rest.id = other.id;
      rest.outcome = PartOutcome::kDead;
      rest.reason = "an earlier part of the same reply was refused";
      rest.at = settlement.at;
      settled.push_back(std::move(rest));
    }
  }
  std::vector<PartRow> added;
  if (!notice.empty()) {
    const std::uint32_t n =
        settlement.outcome == PartOutcome::kExpired ? kExpiredNotice : kRefusedNotice;
    const std::string text = lane->account->channel != nullptr
                                 ? lane->account->channel->formatter().notice(notice, "")
                                 : notice;
    added.push_back(
        make(*lane, part.turn, part.event, n + part.n, PartKind::kNotice, text, part.reply_to));
  }
  co_await core_.commit_surely(lane, [&settled, &added] {
    Transaction t;
    t.changes.settled = settled;
    t.changes.parts = added;
    return t;
  });
  note(*lane, part, settlement);
  if (settlement.outcome == PartOutcome::kAgain) {
    for (OutPart& out : lane->out) {
      if (out.id != part.id) continue;
      PartRow again = *out.row;
      again.claimed_by = 0;
      again.tries = settlement.tries;
      again.plain = settlement.plain;
      again.duplicate = settlement.duplicate;
      again.not_before = settlement.not_before;
      out.ours = false;
      out.row = std::make_shared<const PartRow>(std::move(again));
    }
    co_return;
  }
  for (const PartSettlement& done : settled) {
    const auto gone =
        std::erase_if(lane->out, [&](const OutPart& out) { return out.id == done.id; });
    core_.counters.outbox.add(-static_cast<std::int64_t>(gone));
  }
  if (!added.empty()) {
    // Where the refused reply was: before the next one.
    OutPart out;
    out.id = added.front().id;
    out.turn = added.front().turn;
    out.event = added.front().event;
    out.kind = PartKind::kNotice;
    out.row = std::make_shared<const PartRow>(added.front());
    lane->out.push_front(std::move(out));
    core_.counters.outbox.add(1);
  }
  core_.pump(*lane);
}

Task<void> Outbox::set_state(Account* account, AccountState state, std::string reason) {
  if (account->row.state == state && account->row.reason == reason) co_return;
  AccountRow row = account->row;
  row.held_ms = core_.held_ms(*account);
  row.state = state;
  row.reason = std::move(reason);
  row.since = core_.now();
  if (state == AccountState::kActive) row.reason.clear();
  // In effect at once when it stops sending; only after the commit when it lets go.
  if (state != AccountState::kActive) account->row = row;
  co_await core_.commit_surely(nullptr, [row] {
    Transaction t;
    t.changes.accounts.push_back(row);
    return t;
  });
  account->row = row;
  core_.log.warn(
      "account_state",
      {{"account", row.name}, {"state", static_cast<int>(row.state)}, {"reason", row.reason}});
  account->changed.pulse();
}

}  // namespace sluice
