#include "agents/model/stream_reader.h"

#include "agents/model/model_error.h"
#include "runtime/wait.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;

// How long the end of the HTTP message may take after the end of the answer; a connection whose
// message is complete can be used again.
constexpr milliseconds kEndPatience{20};
// How long the end marker may take once the model has said why it finished; usage comes between.
constexpr milliseconds kMarkerPatience{1'000};
// A stream that always has something to read lets timers and other sockets have their turn after so
// much of it. Yielding alone would not: what is ready again at once goes on in the same round.
constexpr std::uint64_t kBurstBytes = 64 * 1024;
constexpr std::chrono::microseconds kBreath{1};

Error too_slow(std::string what) {
  return Error(ErrorKind::kTimeout, std::move(what), ErrorSource::kPeer, Retry::with_backoff());
}

Error cut_short(std::string what) {
  return Error(ErrorKind::kBadResponse, std::move(what), ErrorSource::kPeer, Retry::with_backoff());
}

}  // namespace

bool is_event_stream(const net::HttpHeaders& headers) {
  std::string_view type = headers.get("content-type").value_or("");
  type = type.substr(0, type.find_first_of("; "));
  return net::equal_ignoring_case(type, "text/event-stream");
}

bool is_plain(const net::HttpHeaders& headers) {
  const std::string_view encoding = headers.get("content-encoding").value_or("identity");
  return net::equal_ignoring_case(encoding, "identity");
}

StreamReader::StreamReader(Shard& shard, StreamLimits limits, StreamDecoder& decoder,
                           DeltaSink& sink)
    : shard_(shard),
      limits_(limits),
      decoder_(decoder),
      sink_(sink),
      began_(shard.now()),
      last_progress_(began_) {}

StreamReader::Patience StreamReader::patience() const {
  const MonoTime total = began_ + Duration(limits_.total);
  Patience one = {began_ + Duration(limits_.first_token), "no token within first_token_timeout"};
  if (stream_.finish != Finish::kNone) {
    one = {last_progress_ + Duration(kMarkerPatience), ""};
  } else if (stream_.progress > 0) {
    one = {last_progress_ + Duration(limits_.gap),
           "the stream fell silent for longer than gap_timeout"};
  }
  if (one.until >= total) one = {total, "the answer was not complete within timeout"};
  return one;
}

Task<Result<void>> StreamReader::follow(net::HttpStream* answer) {
  while (!stream_.ended) {
    const Patience patience = this->patience();
    // A stream that always has something to read would never meet the deadline of next().
    bool late = shard_.now() >= patience.until;
    net::FetchResult<std::optional<std::string>> piece = std::optional<std::string>();
    if (!late) piece = co_await answer->next(patience.until);
    late = late || (!piece && piece.error().error.kind() == ErrorKind::kTimeout);
    if (!late && piece && *piece) {
      const Result<void> taken = take(**piece);
      if (!taken) co_return taken.error();
      if (bytes_ - burst_from_ >= kBurstBytes) {
        burst_from_ = bytes_;
        co_await sleep_for(shard_, kBreath);
      }
      continue;
    }
    // The model has said that it is done: that the marker behind it does not come costs nothing.
    if (stream_.finish != Finish::kNone) co_return Result<void>();
    if (late) co_return too_slow(patience.otherwise);
    if (!piece && stream_.progress == 0) co_return lost_answer(piece.error());
    co_return cut_short("the stream ended before the answer did");
  }
  if (stream_.finish == Finish::kNone) {
    co_return cut_short("the stream ended without a reason to finish");
  }
  (void)co_await answer->next(shard_.now() + kEndPatience);
  co_return Result<void>();
}

Result<void> StreamReader::take(std::string_view bytes) {
  bytes_ += bytes.size();
  if (bytes_ > kBytesMax) return bad_answer("the stream is too long");
  events_.clear();
  const Result<void> parsed = parser_.put(bytes, events_);
  const std::size_t text_before = stream_.text.size();
  const std::uint64_t progress_before = stream_.progress;
  Result<void> taken;
  for (const net::SseEvent& event : events_) {
    taken = decoder_.take(event, stream_);
    if (!taken || stream_.ended) break;
  }
  if (stream_.progress != progress_before) {
    last_progress_ = shard_.now();
    if (progress_before == 0) first_token_ = last_progress_ - began_;
  }
  // All text of one piece is one delta: fewer, larger ones cost everyone less.
  if (stream_.text.size() > text_before) {
    sink_.delta(std::string_view(stream_.text).substr(text_before));
  }
  if (!taken) return taken;
  if (!parsed) return bad_answer("a line or event of the stream is too long");
  return {};
}

}  // namespace sluice
