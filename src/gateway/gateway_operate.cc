// What operators ask of the gateway.

#include <algorithm>
#include <array>
#include <unordered_map>

#include <fmt/core.h>

#include "gateway/gateway.h"

namespace sluice {
namespace {

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
  if (out.target.agent.empty() || core_.agent(out.target.agent) == nullptr)
    out.target.agent = out.account_agent;
  return out;
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
    if (agent->agent == nullptr) continue;
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
    const std::uint64_t person = person_of(core_.hash_key, lane.account->row.name, message->sender);
    const Waiting waiting = waiting_of(message->id, person, message->text.size(), message->extra);
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
