#pragma once
// One event on its way through its body's transaction. Of intake*.cc only.

#include <memory>
#include <optional>
#include <vector>

#include "gateway/intake.h"

namespace sluice {

struct Intake::Plan {
  Lane* lane = nullptr;  // null: refused by access
  std::shared_ptr<MessageRow> row;
  std::optional<Command> control;
  Waiting waiting{};
  bool queued = false;         // holds a place in the lane
  bool started = false;        // its attempt rides along (C11)
  MessageId target;            // what an edit or a withdrawal changes
  std::vector<PartRow> parts;  // a control's answer
  HistoryId before;            // the log's head before the control
  HistoryId last;              // and its last line
  bool withdraw = false;
  TurnId decided;                       // the interrupted turn that a /retry or /drop is about
  TurnId stopped;                       // the turn that a /stop is about
  std::optional<Target> chosen_before;  // what a /agent, /model or /new has changed
};

}  // namespace sluice
