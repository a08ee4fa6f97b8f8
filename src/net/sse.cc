#include "net/sse.h"

#include <algorithm>
#include <charconv>
#include <utility>

namespace sluice::net {
namespace {

constexpr std::string_view kBom = "\xef\xbb\xbf";

std::string_view first_line(std::string_view text) {
  return text.substr(0, text.find_first_of(std::string_view("\r\n\0", 3)));
}

}  // namespace

Result<void> SseParser::put(std::string_view bytes, std::vector<SseEvent>& out) {
  const Error too_large(ErrorKind::kTooLarge, "event stream", ErrorSource::kPeer);
  if (failed_) return too_large;
  while (bom_seen_ < 3 && !bytes.empty()) {
    if (bytes.front() != kBom[bom_seen_]) {
      line_ = kBom.substr(0, bom_seen_);  // it only looked like one
      bom_seen_ = 3;
      break;
    }
    bytes.remove_prefix(1);
    ++bom_seen_;
  }
  while (!bytes.empty()) {
    if (std::exchange(skip_lf_, false) && bytes.front() == '\n') {
      bytes.remove_prefix(1);
      continue;
    }
    const std::size_t end = bytes.find_first_of("\r\n");
    const std::string_view piece = bytes.substr(0, end);
    if (line_.size() + piece.size() > max_bytes_) {
      failed_ = true;
      return too_large;
    }
    line_ += piece;
    if (end == std::string_view::npos) return {};
    skip_lf_ = bytes[end] == '\r';
    bytes.remove_prefix(end + 1);
    auto ended = end_line(out);
    line_.clear();
    if (!ended) {
      failed_ = true;
      return ended;
    }
  }
  return {};
}

Result<void> SseParser::end_line(std::vector<SseEvent>& out) {
  if (!line_.empty()) {
    if (line_.front() == ':') return {};
    const std::size_t colon = line_.find(':');
    std::string_view value;
    if (colon != std::string::npos) value = std::string_view(line_).substr(colon + 1);
    if (value.starts_with(' ')) value.remove_prefix(1);
    field(std::string_view(line_).substr(0, colon), value);
    if (data_.size() > max_bytes_ + 1) {
      return Error(ErrorKind::kTooLarge, "event of an event stream", ErrorSource::kPeer);
    }
    return {};
  }
  last_id_ = id_;
  if (!data_.empty()) {
    data_.pop_back();  // the line feed that the last data line added
    out.push_back({event_.empty() ? "message" : event_, std::move(data_), last_id_});
  }
  data_.clear();
  event_.clear();
  return {};
}

void SseParser::field(std::string_view name, std::string_view value) {
  if (name == "data") {
    data_.append(value).push_back('\n');
  } else if (name == "event") {
    event_ = value;
  } else if (name == "id") {
    if (value.find('\0') == std::string_view::npos) id_ = value;
  } else if (name == "retry") {
    std::int64_t ms = 0;
    const bool digits =
        !value.empty() && value.size() <= 12 &&
        std::all_of(value.begin(), value.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (!digits) return;
    std::from_chars(value.data(), value.data() + value.size(), ms);
    retry_ = std::chrono::milliseconds(ms);
  }
}

std::string format_sse(const SseEvent& event) {
  std::string out;
  out.reserve(event.data.size() + event.id.size() + event.event.size() + 32);
  const std::string_view id = first_line(event.id);
  if (!id.empty()) out.append("id: ").append(id).push_back('\n');
  const std::string_view type = first_line(event.event);
  if (!type.empty() && type != "message") out.append("event: ").append(type).push_back('\n');
  std::string_view rest = event.data;
  for (;;) {
    const std::size_t end = rest.find_first_of("\r\n");
    out.append("data: ").append(rest.substr(0, end)).push_back('\n');
    if (end == std::string_view::npos) break;
    const bool crlf = rest.substr(end).starts_with("\r\n");
    rest.remove_prefix(end + (crlf ? 2 : 1));
  }
  out.push_back('\n');
  return out;
}

HttpResponse sse_response() {
  HttpResponse head;
  head.headers.add("Content-Type", "text/event-stream");
  head.headers.add("Cache-Control", "no-store");
  head.headers.add("X-Accel-Buffering", "no");
  return head;
}

}  // namespace sluice::net
