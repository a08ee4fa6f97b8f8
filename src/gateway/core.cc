#include "gateway/core.h"

#include <algorithm>
#include <cstdlib>

#include <fmt/core.h>

namespace sluice {
namespace {

// Far more than a conversation's transactions under way; beyond it the oldest is forgotten.
constexpr std::size_t kUnwrittenMax = 256;

}  // namespace

void BodyCache::put(std::shared_ptr<const MessageRow> row) {
  if (most_ == 0) return;
  const MessageId id = row->id;
  rows_[id] = std::move(row);
  if (rows_.size() > most_) rows_.erase(rows_.begin());
}

std::shared_ptr<const MessageRow> BodyCache::take(MessageId id) {
  const auto found = rows_.find(id);
  if (found == rows_.end()) return nullptr;
  auto row = std::move(found->second);
  rows_.erase(found);
  return row;
}

std::uint32_t Targets::number(const Target& target) {
  const auto found = std::find(all_.begin(), all_.end(), target);
  if (found != all_.end()) return static_cast<std::uint32_t>(found - all_.begin());
  all_.push_back(target);
  return static_cast<std::uint32_t>(all_.size() - 1);
}

std::pair<std::string, std::string> Core::choice_mark(LaneId lane, const Target& choice) {
  const bool none = choice == Target{};
  return {fmt::format("{}{}", kChoicePrefix, lane.value),
          none ? std::string() : choice.agent + "\n" + choice.model};
}

void Core::set_choice(LaneId lane, const Target& choice) {
  if (choice == Target{}) {
    choices.erase(lane);
  } else {
    choices[lane] = choice;
  }
}

bool Core::load_choice(const std::string& mark, const std::string& value) {
  if (!mark.starts_with(kChoicePrefix)) return false;
  const std::size_t line = value.find('\n');
  if (line == std::string::npos) return false;
  const LaneId lane{std::atoll(mark.c_str() + kChoicePrefix.size())};
  choices[lane] = Target{value.substr(0, line), value.substr(line + 1)};
  return true;
}

Target Core::choose_target(LaneId lane, const RouteSubject& subject) const {
  Target target = routes.empty() ? Target{} : routes.choose(subject);
  const auto chosen = choices.find(lane);
  if (chosen == choices.end()) return target;
  // A model is one of its agent: another agent's would not know it.
  if (!chosen->second.agent.empty()) target = Target{chosen->second.agent, {}};
  if (!chosen->second.model.empty()) target.model = chosen->second.model;
  return target;
}

CoreCounters::CoreCounters(Metrics& m)
    : turns(m.counter("sluice_turns_total", "Turns that ended.")),
      turns_failed(m.counter("sluice_turns_failed_total", "Turns that ended with an error.")),
      turns_retried(m.counter("sluice_turn_retries_total", "Attempts after the first.")),
      turns_interrupted(
          m.counter("sluice_turns_interrupted_total", "Turns that a crash interrupted.")),
      dead(m.counter("sluice_dead_letters_total", "Messages and parts that became dead letters.")),
      expired(m.counter("sluice_expired_total",
                        "Messages and parts that were too old when their time came.")),
      refused_by_access(m.counter("sluice_refused_by_access_total",
                                  "Events that access or mention gates kept out.")),
      refused_overload(m.counter("sluice_refused_overload_total", "Bodies refused at a bound.")),
      over_budget(m.counter("sluice_over_budget_total",
                            "Turns that were refused because a person's budget was used up.")),
      parts_sent(m.counter("sluice_parts_sent_total", "Parts that platforms took.")),
      parts_dead(m.counter("sluice_parts_dead_total", "Parts that platforms refused for good.")),
      parts_possible_duplicate(m.counter("sluice_parts_possible_duplicate_total",
                                         "Parts sent again, labelled, after an unknown outcome.")),
      send_to_nowhere(m.counter("sluice_send_to_unknown_channel_total",
                                "Sends to a channel that is not registered.")),
      late(m.counter("sluice_messages_late_total",
                     "Messages that came after their gap was given up.")),
      pending(m.gauge("sluice_messages_pending", "Messages accepted and not done.")),
      running(m.gauge("sluice_turns_running", "Turns that hold a slot.")),
      outbox(m.gauge("sluice_outbox_parts", "Parts not settled.")),
      lanes(m.gauge("sluice_lanes_active",
                    "Conversations with something waiting, running or leaving.")),
      accept_seconds(m.histogram("sluice_accept_seconds", "From receipt to on disk.")),
      turn_seconds(m.histogram("sluice_turn_seconds", "From acceptance to the end of the turn.")) {}

Account& Core::account(std::string_view name) {
  const auto found = accounts.find(name);
  if (found != accounts.end()) return *found->second;
  auto made = std::make_unique<Account>(loop, options.sends_per_account);
  made->row.name = name;
  const Metrics::Labels labels = {{"account", std::string(name)}};
  made->accepted = &metrics.counter("sluice_messages_accepted_total", "Messages on disk.", labels);
  made->duplicates =
      &metrics.counter("sluice_messages_duplicate_total", "Events seen before.", labels);
  made->sent =
      &metrics.counter("sluice_account_parts_sent_total", "Parts the account sent.", labels);
  return *accounts.emplace(std::string(name), std::move(made)).first->second;
}

std::int64_t Core::held_ms(const Account& account) {
  std::int64_t held = account.row.held_ms;
  if (account.row.state != AccountState::kActive) {
    held += std::max<std::int64_t>(0, (now() - account.row.since).count());
  }
  return held;
}

milliseconds Core::age(const Account& account, UnixMillis since, std::int64_t held_before_ms) {
  return now() - since - milliseconds(std::max<std::int64_t>(0, held_ms(account) - held_before_ms));
}

HistoryRow& Core::add_history(Changes& changes, Lane& lane, HistoryKind kind, std::string text) {
  ConversationHead& entry = head(lane);
  HistoryRow row;
  row.id = HistoryId{next_id()};
  row.lane = lane.id;
  row.prev = entry.head;
  row.kind = kind;
  row.at = now();
  row.text = std::move(text);
  entry.head = row.id;
  changes.history.push_back(std::move(row));
  return changes.history.back();
}

void Core::unwrite(Lane& lane, HistoryId before, HistoryId last) {
  if (head(lane).head == last) {
    rewind(lane, before);
    return;
  }
  // Somebody has planned on top of them. Nobody who is done can have.
  if (lane.users == 0 && !lane.busy) lane.unwritten.clear();
  if (lane.unwritten.size() == kUnwrittenMax) lane.unwritten.erase(lane.unwritten.begin());
  lane.unwritten.emplace_back(last, before);
}

void Core::rewind(Lane& lane, HistoryId before) {
  HistoryId& at = head(lane).head;
  at = std::min(at, before);
  // What it was planned on may have come to nothing, too. The list descends from its end.
  for (auto gone = lane.unwritten.rbegin(); gone != lane.unwritten.rend();) {
    if (gone->first != at) {
      ++gone;
      continue;
    }
    at = gone->second;
    gone = lane.unwritten.rbegin();
  }
}

Core::Lines Core::lines_of(const Changes& changes) {
  if (changes.history.empty()) return {};
  return {changes.history.front().prev, changes.history.back().id};
}

Task<void> Core::wait_out(Lane* lane, Lines lines, Error error) {
  if (lane != nullptr && lines.last) rewind(*lane, lines.before);
  if (!may_pass(error)) {
    storage_has_failed(error);
    Event never(loop);
    co_await never.wait();
  }
  log.error("commit_waits", {{"error", error.to_string()}});
  co_await sleep_for(loop, milliseconds(1'000));
}

bool Core::may_pass(const Error& error) {
  return error.kind() == ErrorKind::kDiskFull || error.kind() == ErrorKind::kOverloaded;
}

void Core::storage_has_failed(const Error& error) {
  // A store that has been closed refuses everything: that is an end, not a failure.
  if (storage_failed || error.kind() == ErrorKind::kUnavailable) return;
  storage_failed = true;
  in_flight.changed().pulse();  // nobody waits for what can never end
  log.error("storage_failed", {{"error", error.to_string()}});
  if (on_storage_failed) on_storage_failed(error);
}

void Core::count_pending(Account& acc, std::uint64_t person, std::uint32_t bytes, int sign) {
  if (sign > 0) {
    ++acc.pending;
    ++pending_count;
    pending_bytes += bytes;
    ++pending_by_person[person];
  } else {
    --acc.pending;
    --pending_count;
    pending_bytes -= bytes;
    const auto found = pending_by_person.find(person);
    if (found != pending_by_person.end() && --found->second == 0) pending_by_person.erase(found);
  }
  counters.pending.set(static_cast<std::int64_t>(pending_count));
}

std::uint64_t person_of(const HashKey& key, std::string_view account, std::string_view sender) {
  return KeyedHash(key).add(account).add(sender).finish().low;
}

}  // namespace sluice
