#pragma once
// The commands that people can write to the gateway itself, in any chat.

#include <optional>
#include <string_view>

namespace sluice {

enum class Command : unsigned char {
  kNew,   // in its lane: starts a new session
  kStop,  // the rest never waits in a lane (C9)
  kStatus,
  kHelp,
  kRetry,
  kDrop,
  kAgent,  // "/agent NAME": who answers in this conversation from here on
  kModel,  // "/model NAME": and with which model
};

struct CommandLine {
  Command command;
  std::string_view argument;  // of kAgent and kModel; empty: what is there to choose?
  friend bool operator==(const CommandLine& line, Command other) { return line.command == other; }
};

/// Recognises "/stop", "/stop@botname" and so on, alone in the text but for an argument where the
/// command takes one. Anything else is for the agent. The argument lies in text.
std::optional<CommandLine> parse_command(std::string_view text);

std::string_view help_text();

}  // namespace sluice
