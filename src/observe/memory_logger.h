#pragma once
// MemoryLogger: keeps lines for tests and the simulation, as "level event key=value …", without a
// time.
//
// Thread: any. Keeps the newest kMaxLines lines.

#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "observe/log.h"

namespace sluice {

class MemoryLogger : public Logger {
 public:
  static constexpr std::size_t kMaxLines = 10'000;

  /// Everything is kept unless told otherwise.
  explicit MemoryLogger(LogLevel least = LogLevel::kDebug) { set_level(least); }

  std::vector<std::string> lines() const;
  /// How many lines have this event.
  std::size_t count(std::string_view event) const;
  /// The newest line with this event, empty if there is none.
  std::string last(std::string_view event) const;
  void clear();

 private:
  struct Line {
    std::string event;
    std::string text;
  };
  void write(LogLevel level, std::string_view event, std::span<const LogField> fields) override;

  mutable std::mutex mutex_;
  std::deque<Line> lines_;
};

}  // namespace sluice
