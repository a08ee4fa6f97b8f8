#pragma once
// ChatInput: lines from a file descriptor, and Ctrl-C, as events on the shard. A terminal, a pipe
// or a file: read by a thread of its own, since a file can't be watched.
//
// Shard-confined but for that thread, which the destructor joins. Bounds: kEventsMax lines are read
// ahead, a line has at most kLineBytes.

#include <memory>
#include <string>

#include "runtime/shard.h"
#include "runtime/task.h"

namespace sluice::ctl {

struct InputEvent {
  enum class What : std::uint8_t { kLine, kTooLong, kInterrupt, kEnd };
  What what = What::kEnd;
  std::string text;  // of kLine, without its line break
};

struct InputOptions {
  bool whole = false;       // all of the input is one line
  bool interrupts = false;  // SIGINT becomes an event; it is blocked meanwhile
};

class ChatInput {
 public:
  static constexpr std::size_t kEventsMax = 16;
  static constexpr std::size_t kLineBytes = 1 << 20;

  ChatInput(Shard& shard, int fd, InputOptions options);
  ~ChatInput();
  ChatInput(const ChatInput&) = delete;
  ChatInput& operator=(const ChatInput&) = delete;

  /// The next event; behind kEnd nothing comes but kInterrupt.
  Task<InputEvent> next();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::ctl
