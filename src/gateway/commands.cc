#include "gateway/commands.h"

#include <algorithm>
#include <array>
#include <utility>

namespace sluice {
namespace {

constexpr std::string_view kSpace = " \t\r\n";
constexpr std::size_t kArgumentMax = 256;  // bytes; names of agents and models are shorter

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

}  // namespace

std::optional<CommandLine> parse_command(std::string_view text) {
  static constexpr std::array<std::pair<std::string_view, Command>, 8> kCommands = {
      {{"/new", Command::kNew},
       {"/stop", Command::kStop},
       {"/status", Command::kStatus},
       {"/help", Command::kHelp},
       {"/retry", Command::kRetry},
       {"/drop", Command::kDrop},
       {"/agent", Command::kAgent},
       {"/model", Command::kModel}}};
  text = trimmed(text);
  const std::size_t end = std::min(text.find_first_of(kSpace), text.size());
  const std::string_view argument = trimmed(text.substr(end));
  std::string_view word = text.substr(0, end);
  word = word.substr(0, word.find('@'));
  for (const auto& [name, command] : kCommands) {
    if (word != name) continue;
    const bool takes_one = command == Command::kAgent || command == Command::kModel;
    const bool one_word = argument.find_first_of(kSpace) == std::string_view::npos;
    if (!argument.empty() && (!takes_one || !one_word || argument.size() > kArgumentMax))
      return std::nullopt;
    return CommandLine{command, argument};
  }
  return std::nullopt;
}

std::string_view help_text() {
  return "/new starts a new conversation\n"
         "/stop stops the answer that is being written\n"
         "/status tells what is going on\n"
         "/agent and /model tell who answers here, and choose another where that is allowed\n"
         "/retry runs an interrupted request again\n"
         "/drop gives an interrupted request up";
}

}  // namespace sluice
