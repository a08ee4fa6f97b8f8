#pragma once
// StreamReader: reads one streamed answer to its end, event by event, and gives its text on while
// it grows.
//
// Lives in its call; shard-confined. Cancelled by destruction of follow()'s task.
//
// Limits: the times of StreamLimits, 1 MiB a line (SseParser), kBytesMax of stream; the text is
// bounded by the core.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "agents/model/model_stream.h"
#include "gateway/agent.h"
#include "net/http_client.h"
#include "net/sse.h"
#include "runtime/shard.h"

namespace sluice {

/// Whether it is text/event-stream, whatever its parameters.
bool is_event_stream(const net::HttpHeaders& headers);
/// Whether the body is as it was before anybody compressed it; we ask for nothing else.
bool is_plain(const net::HttpHeaders& headers);

struct StreamLimits {
  std::chrono::milliseconds first_token;  // from the call to the first sign of an answer
  std::chrono::milliseconds gap;          // from each sign to the next
  std::chrono::milliseconds total;        // from the call to the end
};

class StreamReader {
 public:
  /// Deltas are many times their text in size; a model that thinks for long sends much of it.
  static constexpr std::uint64_t kBytesMax = 64 << 20;

  /// Made when the call is: the limits count from here. All of them outlive it.
  StreamReader(Shard& shard, StreamLimits limits, StreamDecoder& decoder, DeltaSink& sink);

  /// Until the decoder has seen the end. What the decoder returns; kTimeout, kUnavailable or
  /// kBadResponse for a stream that is silent, cut or too long. retry() knows nothing of what was
  /// streamed already: stream() does.
  Task<Result<void>> follow(net::HttpStream* answer);

  ModelStream& stream() { return stream_; }
  const ModelStream& stream() const { return stream_; }
  std::uint64_t bytes() const { return bytes_; }
  MonoTime began() const { return began_; }
  /// From the call to the first sign of an answer, once there was one.
  std::optional<Duration> first_token() const { return first_token_; }

 private:
  /// Until when more of the answer must have come, and what went wrong otherwise.
  struct Patience {
    MonoTime until;
    const char* otherwise;
  };
  Patience patience() const;
  Result<void> take(std::string_view bytes);

  Shard& shard_;
  const StreamLimits limits_;
  StreamDecoder& decoder_;
  DeltaSink& sink_;
  const MonoTime began_;
  MonoTime last_progress_;
  ModelStream stream_;
  net::SseParser parser_;
  std::vector<net::SseEvent> events_;
  std::uint64_t bytes_ = 0;
  std::uint64_t burst_from_ = 0;  // of bytes_
  std::optional<Duration> first_token_;
};

}  // namespace sluice
