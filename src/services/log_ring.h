#pragma once
// LogRing: the last lines of a service: what it wrote to its standard error, and what became of it.
// Shard-confined. Limits: kLinesMost lines of kLineBytes; the oldest go first, a longer line is
// cut.

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "base/time.h"
#include "observe/log.h"
#include "runtime/loop.h"

namespace sluice::services {

class LogRing {
 public:
  static constexpr std::size_t kLinesMost = 500;
  static constexpr std::size_t kLineBytes = 1024;

  struct Line {
    UnixMillis at;
    bool ours = false;  // told by us, not by the service
    std::string text;
  };

  /// Lines also go to the log, those of the service at the level of debugging: nobody knows what is
  /// in them.
  LogRing(Loop& loop, Logger& log, std::string service)
      : loop_(loop), log_(log), service_(std::move(service)) {}

  /// Bytes as they come; a line ends with its line break, or when it is as long as it may be.
  void feed(std::string_view bytes);
  /// What is left of a line goes too: its writer is gone.
  void flush();
  void note(std::string_view text);
  const std::deque<Line>& lines() const { return lines_; }

 private:
  void push(bool ours, std::string text);

  Loop& loop_;
  Logger& log_;
  std::string service_;
  std::string partial_;
  std::deque<Line> lines_;
};

}  // namespace sluice::services
