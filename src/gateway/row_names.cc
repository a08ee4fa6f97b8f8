#include "gateway/row_names.h"

namespace sluice {

std::string_view to_string(ChatKind kind) { return kind == ChatKind::kGroup ? "group" : "direct"; }

std::string_view to_string(HistoryKind kind) {
  switch (kind) {
    case HistoryKind::kPerson:
      return "person";
    case HistoryKind::kAgent:
      return "agent";
    case HistoryKind::kNotice:
      return "notice";
    case HistoryKind::kCommand:
      return "command";
    case HistoryKind::kAnswer:
      return "answer";
    case HistoryKind::kSummary:
      return "summary";
  }
  return "";
}

std::string_view to_string(PartKind kind) {
  switch (kind) {
    case PartKind::kReply:
      return "reply";
    case PartKind::kNotice:
      return "notice";
    case PartKind::kAnswer:
      return "answer";
    case PartKind::kSend:
      return "send";
  }
  return "";
}

}  // namespace sluice
