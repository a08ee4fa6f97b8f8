#include "agents/model/conversation.h"

#include <utility>

namespace sluice {
namespace {

bool is_blank(const std::string& text) {
  return text.find_first_not_of(" \t\r\n\f\v") == std::string::npos;
}

void add(std::vector<Speech>& all, bool person, const std::string& text) {
  // A window into the history may begin with an answer.
  if (is_blank(text) || (all.empty() && !person)) return;
  if (!all.empty() && all.back().person == person) {
    all.back().text.append("\n").append(text);
  } else {
    all.push_back({person, text});
  }
}

}  // namespace

std::vector<Speech> conversation_of(const TurnRequest& request) {
  std::vector<Speech> all;
  all.reserve(request.history.size() + 1);
  for (const HistoryRow& line : request.history) {
    const bool person = line.kind == HistoryKind::kPerson;
    if (person || line.kind == HistoryKind::kAgent) add(all, person, line.text);
  }
  bool asked = false;
  for (const auto& message : request.messages) {
    asked = asked || !is_blank(message->text);
    add(all, true, message->text);
  }
  if (!asked) add(all, true, "(no text)");
  return all;
}

}  // namespace sluice
