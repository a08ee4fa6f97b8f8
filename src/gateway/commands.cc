#include "gateway/commands.h"

#include <array>
#include <utility>

namespace sluice {

std::optional<Command> parse_command(std::string_view text) {
  static constexpr std::array<std::pair<std::string_view, Command>, 6> kCommands = {
      {{"/new", Command::kNew},
       {"/stop", Command::kStop},
       {"/status", Command::kStatus},
       {"/help", Command::kHelp},
       {"/retry", Command::kRetry},
       {"/drop", Command::kDrop}}};
  while (!text.empty() && (text.back() == ' ' || text.back() == '\n' || text.back() == '\r')) {
    text.remove_suffix(1);
  }
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  const std::size_t at = text.find('@');
  if (at != std::string_view::npos) text = text.substr(0, at);
  for (const auto& [name, command] : kCommands) {
    if (text == name) return command;
  }
  return std::nullopt;
}

std::string_view help_text() {
  return "/new starts a new conversation\n"
         "/stop stops the answer that is being written\n"
         "/status tells what is going on\n"
         "/retry runs an interrupted request again\n"
         "/drop gives an interrupted request up";
}

}  // namespace sluice
