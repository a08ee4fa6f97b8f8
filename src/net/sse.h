#pragma once
// Server-sent events: reading and writing text/event-stream.
// WHATWG HTML, "Server-sent events"
// (https://html.spec.whatwg.org/multipage/server-sent-events.html).

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "net/http_types.h"

namespace sluice::net {

struct SseEvent {
  std::string event = "message";
  std::string data;
  std::string id;  // the last one seen on the stream, also if this event had none of its own
  friend bool operator==(const SseEvent&, const SseEvent&) = default;
};

/// Incremental: bytes in as they come, events out. Not thread-safe; a value. Bound: a line and an
/// event's data may have max_bytes each; more is kTooLarge, after which the parser stays failed.
class SseParser {
 public:
  static constexpr std::size_t kDefaultMaxBytes = 1024 * 1024;
  explicit SseParser(std::size_t max_bytes = kDefaultMaxBytes) : max_bytes_(max_bytes) {}

  /// Appends the events that these bytes complete. An event without its empty line is not one.
  Result<void> put(std::string_view bytes, std::vector<SseEvent>& out);

  /// What to send as Last-Event-ID when connecting again.
  const std::string& last_event_id() const { return last_id_; }
  /// What the server asked for in "retry".
  std::optional<std::chrono::milliseconds> retry() const { return retry_; }

 private:
  Result<void> end_line(std::vector<SseEvent>& out);
  void field(std::string_view name, std::string_view value);

  std::size_t max_bytes_;
  std::string line_;
  std::string event_;
  std::string data_;
  std::string id_;
  std::string last_id_;
  std::optional<std::chrono::milliseconds> retry_;
  unsigned bom_seen_ = 0;  // bytes of a byte order mark that have been skipped; 3: past the start
  bool skip_lf_ = false;
  bool failed_ = false;
};

/// One event as it goes over the wire. Line breaks in data become several data lines; in id and
/// event, where they cannot be, they end the value.
std::string format_sse(const SseEvent& event);
/// A comment: keeps proxies and clients from taking silence for death.
inline constexpr std::string_view kSseHeartbeat = ":\n\n";
/// Status and headers for HttpExchange::start_stream.
HttpResponse sse_response();

}  // namespace sluice::net
