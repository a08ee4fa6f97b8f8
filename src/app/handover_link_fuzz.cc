// Frames of a hand-over, as they come in pieces of any size: what is read is what was written, up
// to where it stops being frames.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <sys/socket.h>
#include <unistd.h>

#include "app/handover_link.h"
#include "base/assert.h"

namespace {

using sluice::MonoTime;
using sluice::Result;
using sluice::Shard;
using sluice::Task;
using sluice::app::HandoverLink;
using sluice::services::Descriptor;

constexpr std::size_t kMost = 64 * 1024;  // fits a socket's buffer

Task<void> read_all(Shard* shard, HandoverLink* link, std::string_view bytes, int writer,
                    std::size_t piece) {
  std::size_t read = 0;
  std::size_t written = 0;
  for (;;) {
    if (written < bytes.size()) {
      const std::size_t now = std::min(piece, bytes.size() - written);
      SLUICE_ASSERT(::write(writer, bytes.data() + written, now) == static_cast<ssize_t>(now));
      written += now;
    } else {
      ::shutdown(writer, SHUT_WR);
    }
    // In the past: it takes what is there.
    const Result<HandoverLink::Frame> frame = co_await link->receive(shard->now());
    if (!frame && frame.error().kind() == sluice::ErrorKind::kTimeout) continue;
    if (!frame) break;
    SLUICE_ASSERT(frame->fds.empty());
    const std::size_t size = frame->payload.size() + 6;
    SLUICE_ASSERT(read + size <= written);
    SLUICE_ASSERT(bytes.substr(read + 6, frame->payload.size()) == frame->payload);
    SLUICE_ASSERT(static_cast<std::uint8_t>(bytes[read + 4]) ==
                  static_cast<std::uint8_t>(frame->type));
    read += size;
  }
  shard->stop();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2 || size > kMost) return 0;
  int ends[2];
  SLUICE_ASSERT(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
  const Descriptor writer(ends[0]);
  sluice::SystemClock clock;
  Shard shard(clock, 1);
  auto link = HandoverLink::make(shard, Descriptor(ends[1]));
  SLUICE_ASSERT(link.has_value());
  {
    sluice::TaskGroup tasks(shard);
    tasks.spawn("read",
                read_all(&shard, link->get(), {reinterpret_cast<const char*>(data) + 1, size - 1},
                         writer.get(), std::size_t{1} + data[0] * std::size_t{17}));
    shard.run();
  }
  return 0;
}
