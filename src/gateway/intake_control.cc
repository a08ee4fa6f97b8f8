// What people tell the gateway itself: answered at once, beside the lane (C9).

#include <algorithm>

#include <fmt/core.h>
#include <fmt/ranges.h>

#include "gateway/intake_plan.h"

namespace sluice {

void Intake::choose(Plan& plan, const Target& choice, Changes& changes) {
  const LaneId lane = plan.lane->id;
  const auto found = core_.choices.find(lane);
  const Target before = found == core_.choices.end() ? Target{} : found->second;
  if (before == choice) return;
  plan.chosen_before = before;
  core_.set_choice(lane, choice);
  changes.marks.push_back(Core::choice_mark(lane, choice));
}

void Intake::take_back_choice(const Plan& plan) {
  if (plan.chosen_before) core_.set_choice(plan.lane->id, *plan.chosen_before);
}

std::string Intake::answer_choice(Plan& plan, const CommandLine& line, Changes& changes) {
  const bool of_agents = line.command == Command::kAgent;
  const AccountOptions& options = plan.lane->account->channel->account();
  const std::vector<std::string>& all = of_agents ? options.choose_agents : options.choose_models;
  const std::string_view what = of_agents ? "agent" : "model";
  if (all.empty()) return fmt::format("There is no other {} to choose here.", what);
  const auto found = core_.choices.find(plan.lane->id);
  Target choice = found == core_.choices.end() ? Target{} : found->second;
  std::string& chosen = of_agents ? choice.agent : choice.model;
  const std::string list = fmt::format("{}", fmt::join(all, ", "));
  if (line.argument.empty()) {
    return fmt::format("Chosen {}: {}. You can choose by /{} NAME: {}; or default.", what,
                       chosen.empty() ? std::string_view("default") : std::string_view(chosen),
                       what, list);
  }
  const bool back = line.argument == "default";
  if (!back && std::find(all.begin(), all.end(), line.argument) == all.end())
    return fmt::format("There is no {} of that name to choose. You can choose: {}.", what, list);
  if (!back && found == core_.choices.end() && core_.choices.size() >= Core::kChoicesMax)
    return "Too many choices are kept already.";
  chosen = back ? std::string_view() : line.argument;
  if (of_agents) choice.model.clear();  // it was one of the other agent's
  choose(plan, choice, changes);
  return back ? fmt::format("From here on the usual {} answers, until /new.", what)
              : fmt::format("From here on {} answers, until /new.", chosen);
}

std::string Intake::control_answer(const Lane& lane, Command command) {
  const bool running = lane.busy && lane.running != nullptr;
  const bool asking = turns_.undecided(lane.id) != nullptr;
  switch (command) {
    case Command::kStop:
      return running || lane.parked != nullptr || !lane.reopened.empty() ? "Stopping."
                                                                         : "Nothing is running.";
    case Command::kStatus: {
      std::string text;
      if (running) {
        const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(core_.loop.now() -
                                                                              lane.running->since);
        text = fmt::format("Working on an answer for {} s (attempt {}).", seconds.count(),
                           lane.running->row.attempt);
      } else if (lane.parked != nullptr) {
        text = "Waiting for an answer from outside.";
      } else if (!lane.reopened.empty()) {
        text = "Will try again shortly.";
      } else {
        text = "Idle.";
      }
      if (!lane.waiting.empty()) text += fmt::format(" {} waiting.", lane.waiting.size());
      if (!lane.out.empty()) text += fmt::format(" {} parts to deliver.", lane.out.size());
      if (asking) text += " An interrupted request waits for /retry or /drop.";
      return text;
    }
    case Command::kHelp:
      return std::string(help_text());
    case Command::kRetry:
      return asking ? "Trying again." : "There is nothing to retry.";
    case Command::kDrop:
      return asking ? "Giving it up." : "There is nothing to drop.";
    case Command::kNew:
    case Command::kAgent:
    case Command::kModel:
      break;
  }
  return {};
}

void Intake::plan_control(Plan& plan, const CommandLine& line, Transaction& transaction) {
  Lane& lane = *plan.lane;
  const Command command = line.command;
  plan.control = command;
  KeyedEvent& keyed = transaction.events.back();
  const MessageRow& row = *plan.row;
  plan.before = core_.head(lane).head;
  HistoryRow& asked = core_.add_history(keyed.then, lane, HistoryKind::kCommand, row.text);
  asked.message = row.id;
  asked.author = row.sender;
  MessageEnd end;
  end.id = row.id;
  end.outcome = MessageOutcome::kHandled;
  end.history = asked.id;
  end.accepted_at = row.accepted_at;
  end.started_at = end.ended_at = row.accepted_at;
  keyed.handled = std::move(end);
  const std::string text = command == Command::kAgent || command == Command::kModel
                               ? answer_choice(plan, line, keyed.then)
                               : control_answer(lane, command);
  OpenTurn* open =
      command == Command::kRetry || command == Command::kDrop ? turns_.undecided(lane.id) : nullptr;
  if (open != nullptr) {
    // On disk with its acknowledgement: a decision that only memory knew would die with the
    // process.
    plan.decided = open->row.id;
    keyed.then.turns.push_back(turns_.begin_decision(
        *open, command == Command::kRetry ? OpenTurn::Decision::kRun : OpenTurn::Decision::kDrop));
  }
  if (command == Command::kStop) {
    if (std::optional<TurnRow> stopped = turns_.begin_stop(lane)) {
      plan.stopped = stopped->id;
      keyed.then.turns.push_back(std::move(*stopped));
    }
  }
  HistoryRow& answer = core_.add_history(keyed.then, lane, HistoryKind::kAnswer, text);
  answer.message = row.id;
  plan.last = answer.id;
  if (!lane.account->pull) {
    keyed.then.parts.push_back(
        outbox_.make(lane, {}, row.id, 0, PartKind::kAnswer, text, row.reply_to));
    plan.parts = keyed.then.parts;
  }
}

}  // namespace sluice
