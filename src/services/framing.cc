#include "services/framing.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

namespace sluice::services {
namespace {

using Frame = std::optional<std::string>;

constexpr std::size_t kPrefixBytes = 4;
constexpr std::string_view kHeadEnd = "\r\n\r\n";
constexpr std::string_view kLength = "content-length";

Error bad(std::string why) {
  return Error(ErrorKind::kBadResponse, "framing: " + std::move(why), ErrorSource::kPeer);
}

Error too_large(std::size_t most) {
  return Error(ErrorKind::kTooLarge, fmt::format("framing: a frame of more than {} bytes", most),
               ErrorSource::kPeer);
}

bool is_length_name(std::string_view name) {
  return name.size() == kLength.size() &&
         std::equal(name.begin(), name.end(), kLength.begin(), [](char a, char b) {
           return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
         });
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// Other headers are ignored, a second length is not.
Result<std::uint64_t> length_in(std::string_view head) {
  std::optional<std::uint64_t> length;
  while (!head.empty()) {
    const std::string_view line = head.substr(0, head.find("\r\n"));
    head.remove_prefix(std::min(head.size(), line.size() + 2));
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return bad("a header line without a colon");
    if (!is_length_name(line.substr(0, colon))) continue;
    const std::string_view digits = trimmed(line.substr(colon + 1));
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc() || end != digits.data() + digits.size() || digits.empty() || length) {
      return bad("Content-Length is not one number");
    }
    length = value;
  }
  if (!length) return bad("no Content-Length");
  return *length;
}

}  // namespace

void Deframer::feed(std::string_view bytes) {
  if (taken_ > 0) {
    buffer_.erase(0, taken_);
    taken_ = 0;
  }
  buffer_ += bytes;
}

void Deframer::drop(std::size_t bytes) {
  taken_ += bytes;
  scanned_ = 0;
  if (taken_ < buffer_.size()) return;
  taken_ = 0;
  if (buffer_.capacity() > kHeadMost) {
    std::string().swap(buffer_);  // a large frame is not held on to
  } else {
    buffer_.clear();
  }
}

Result<Frame> Deframer::next() {
  switch (framing_) {
    case Framing::kNewline:
      return next_line();
    case Framing::kContentLength:
      return next_with_head();
    case Framing::kLengthPrefix:
      break;
  }
  return next_with_prefix();
}

Result<Frame> Deframer::next_line() {
  for (;;) {
    const std::string_view all = rest();
    const std::size_t end = all.find('\n', scanned_);
    if (std::min(end, all.size()) > most_) return too_large(most_);
    if (end == std::string_view::npos) {
      scanned_ = all.size();
      return Frame();
    }
    std::string_view line = all.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    std::string frame(line);
    drop(end + 1);
    if (!frame.empty()) return Frame(std::move(frame));
  }
}

Result<Frame> Deframer::next_with_head() {
  const std::string_view all = rest();
  const std::size_t end = all.substr(0, kHeadMost).find(kHeadEnd);
  if (end == std::string_view::npos) {
    if (all.size() >= kHeadMost) return bad("the head does not end");
    return Frame();
  }
  const auto length = length_in(all.substr(0, end));
  if (!length) return length.error();
  return take(end + kHeadEnd.size(), *length);
}

Result<Frame> Deframer::next_with_prefix() {
  const std::string_view all = rest();
  if (all.size() < kPrefixBytes) return Frame();
  std::uint64_t length = 0;
  for (const char byte : all.substr(0, kPrefixBytes)) {
    length = length << 8 | static_cast<unsigned char>(byte);
  }
  return take(kPrefixBytes, length);
}

Result<Frame> Deframer::take(std::size_t head, std::uint64_t length) {
  if (length == 0) return bad("an empty frame");
  if (length > most_) return too_large(most_);
  const std::string_view all = rest();
  if (all.size() - head < length) return Frame();
  std::string frame(all.substr(head, length));
  drop(head + length);
  return Frame(std::move(frame));
}

std::string framed(Framing framing, std::string_view message) {
  switch (framing) {
    case Framing::kNewline:
      return std::string(message) + "\n";
    case Framing::kContentLength:
      return fmt::format("Content-Length: {}\r\n\r\n{}", message.size(), message);
    case Framing::kLengthPrefix:
      break;
  }
  std::string out;
  out.reserve(message.size() + kPrefixBytes);
  for (int shift = 24; shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>(message.size() >> shift & 0xff));
  }
  return out.append(message);
}

}  // namespace sluice::services
