#pragma once
// Framing: where a message of a byte stream begins and ends.
//
//   kNewline        one JSON text a line (MCP's stdio transport); empty lines are skipped
//   kContentLength  "Content-Length: 17\r\n\r\n" before each, as the Language Server Protocol has
//   it kLengthPrefix   four bytes before each, its length, big-endian
//
// Any thread; pure. Limits: kFrameMost bytes a frame, kHeadMost of a head with Content-Length; what
// was fed and not taken yet is held.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sluice::services {

enum class Framing : std::uint8_t { kNewline, kContentLength, kLengthPrefix };

inline constexpr std::size_t kFrameMost = 16 << 20;
inline constexpr std::size_t kHeadMost = 4096;

class Deframer {
 public:
  explicit Deframer(Framing framing, std::size_t most = kFrameMost)
      : most_(most), framing_(framing) {}

  void feed(std::string_view bytes);
  /// The next whole frame; nothing: it needs more bytes. After an error the stream means nothing
  /// any more. kTooLarge; kBadResponse: a length that is none, or zero.
  Result<std::optional<std::string>> next();

 private:
  Result<std::optional<std::string>> next_line();
  Result<std::optional<std::string>> next_with_head();
  Result<std::optional<std::string>> next_with_prefix();
  Result<std::optional<std::string>> take(std::size_t head, std::uint64_t length);
  std::string_view rest() const { return std::string_view(buffer_).substr(taken_); }
  void drop(std::size_t bytes);

  std::string buffer_;
  std::size_t taken_ = 0;    // from the front of the buffer
  std::size_t scanned_ = 0;  // of the rest: holds no line break
  std::size_t most_;
  Framing framing_;
};

/// The message with what goes before and after it. A newline within it must be escaped, as JSON's
/// are.
std::string framed(Framing framing, std::string_view message);

}  // namespace sluice::services
