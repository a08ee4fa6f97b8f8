#pragma once
// HistoryWindow: what an agent gets to see of a conversation before its turn. Made on the reader's
// thread from lines that never change, so that every attempt sees the same (C12).

#include <cstddef>
#include <vector>

#include "gateway/sessions.h"
#include "gateway/store.h"

namespace sluice {

struct HistoryBounds {
  std::size_t messages = 0;
  std::size_t bytes = 0;
  std::size_t tokens = 0;  // estimated; 0: no bound of this kind
};

struct HistoryWindow {
  /// Oldest first: what people and agents said. A summary of what came before comes first, as
  /// something that was said.
  std::vector<HistoryRow> lines;
  bool more = false;         // there are older ones in this session
  bool new_session = false;  // too long ago: the turn begins a session, and sees nothing
};

/// The newest lines from `from` (included) down to `after` (excluded). The gateway's own remarks
/// are walked over, up to as many again and some more.
Result<HistoryWindow> read_window(StoreReader& reader, HistoryId from, HistoryId after,
                                  HistoryBounds bounds);

/// The same, unless by these rules the message of `now` begins a session of its own.
Result<HistoryWindow> read_window(StoreReader& reader, HistoryId from, HistoryId after,
                                  HistoryBounds bounds, const SessionRules& rules,
                                  const std::string& persons_zone, UnixMillis now);

/// HistoryRow::meta of a summary: it stands for all lines up to this one.
std::string summary_meta(HistoryId upto);

}  // namespace sluice
