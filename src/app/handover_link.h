#pragma once
// HandoverLink: the connection between a process and its successor, from the successor's birth
// until the earlier process ends. Frames with descriptors over a Unix stream socket of the two
// alone.
//
//   frame   length (u32, little endian, of what follows), type (u8), descriptors (u8), payload
//   earlier → successor   kNews*, kCommit (descriptors), later kNews; kRefused instead of all
//   successor → earlier   kHello, kReady, kAccepting, later kNews; kStopping before an end that is
//                         meant
//
// Descriptors travel with the first byte of their frame (unix(7), SCM_RIGHTS). Shard-confined; one
// reader at a time. The other side's death is seen as the end of the stream (kUnavailable).

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/poller.h"
#include "runtime/shard.h"
#include "runtime/task_group.h"
#include "services/descriptor.h"

namespace sluice::app {

/// What the two speak; another version is refused, and costs nothing.
inline constexpr std::uint32_t kHandoverProtocol = 1;

class HandoverLink {
 public:
  enum class Type : std::uint8_t {
    kHello = 1,
    kReady,
    kCommit,
    kAccepting,
    kNews,
    kStopping,
    kRefused
  };
  struct Frame {
    Type type = Type::kRefused;
    std::string payload;
    std::vector<services::Descriptor> fds;
  };
  static constexpr std::size_t kFrameMost = 16u << 20;  // bytes of one frame
  static constexpr std::size_t kQueueMost = 64u
                                            << 20;  // bytes that wait to be sent: then it breaks
  static constexpr std::size_t kFdsMost = 64;       // of one frame

  /// Takes the socket. kUnavailable if it can't be watched.
  static Result<std::unique_ptr<HandoverLink>> make(Shard& shard, services::Descriptor socket);
  ~HandoverLink();

  /// The next frame. kUnavailable: the other side is gone; kTimeout; kInvalidArgument: garbage.
  Task<Result<Frame>> receive(MonoTime deadline);
  /// At once if there is room, else queued, in order; never blocks. fds are borrowed until it is
  /// sent.
  void send(Type type, std::string payload, std::vector<int> fds = {});

 private:
  HandoverLink(Shard& shard, services::Descriptor socket);
  struct Outgoing {
    std::string bytes;
    std::size_t sent = 0;
    std::vector<int> fds;
  };
  void send_some();
  Task<void> write();
  /// Reads once; false at the end of the stream, or if it broke.
  bool read_some();

  net::Poller poller_;
  services::Descriptor socket_;
  net::Watch watch_;
  std::string in_;
  std::deque<services::Descriptor> fds_in_;
  std::deque<Outgoing> out_;
  std::size_t out_bytes_ = 0;
  bool broken_ = false;
  Event queued_;  // pulsed by send()
  TaskGroup tasks_;
};

}  // namespace sluice::app
