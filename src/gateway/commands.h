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
};

/// Recognises "/stop", "/stop@botname" and so on, alone in the text. Anything else is for the
/// agent.
std::optional<Command> parse_command(std::string_view text);

std::string_view help_text();

}  // namespace sluice
