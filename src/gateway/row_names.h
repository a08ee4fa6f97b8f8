#pragma once
// What the kinds of rows are called wherever they are shown: in APIs, to callbacks and agents. The
// words are part of those APIs, so they never change; new kinds get new ones. The names of outcomes
// and of an account's states are in gateway.h.

#include <string_view>

#include "gateway/store.h"

namespace sluice {

std::string_view to_string(ChatKind kind);     // "direct", "group"
std::string_view to_string(HistoryKind kind);  // "person", "agent", "notice", "command", "answer"
std::string_view to_string(PartKind kind);     // "reply", "notice", "answer", "send"

}  // namespace sluice
