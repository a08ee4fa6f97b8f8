#pragma once
// What went wrong, as a value. An Error says who is at fault and whether trying again can help, so
// that no caller ever has to read its text. The text is for people: it never holds a message's
// content.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace sluice {

enum class ErrorKind : std::uint8_t {
  kInternal,          // a broken invariant that could be contained
  kInvalidArgument,   // the caller's input is wrong; the same input will be wrong again
  kNotFound,          // what was named does not exist
  kConflict,          // it exists already, or with other content
  kUnauthenticated,   // no credentials, or wrong ones
  kPermissionDenied,  // known, but not allowed
  kTooLarge,          // over a bound that is written down
  kOverloaded,        // a queue is at its bound; nothing was kept; later it may fit
  kRateLimited,       // a peer asked us to slow down
  kUnavailable,       // a peer or a part of ours can't be reached now
  kTimeout,           // a deadline passed
  kCancelled,         // somebody who may do so called it off
  kUnsupported,       // understood, but not something this can do
  kBadResponse,       // a peer answered with what its protocol does not allow
  kStorageFailed,     // a write or fsync failed: whether it is on disk is unknown
  kDiskFull,          // rolled back, nothing was written
  kCorrupt,           // what is on disk is not what we wrote
};

/// Who has to do something about it.
enum class ErrorSource : std::uint8_t { kSelf, kPeer, kPlatform };

/// Whether the same call can succeed later.
struct Retry {
  enum class When : std::uint8_t { kNever, kBackoff, kAfter };
  When when = When::kNever;
  std::chrono::milliseconds delay{0};  // for kAfter: what the peer asked for

  static Retry never() { return {}; }
  static Retry with_backoff() { return {When::kBackoff, {}}; }
  static Retry after(std::chrono::milliseconds d) { return {When::kAfter, d}; }
  bool allowed() const { return when != When::kNever; }
  friend bool operator==(const Retry&, const Retry&) = default;
};

/// Any thread; a value.
class Error {
 public:
  Error() = default;
  explicit Error(ErrorKind kind, std::string context = {}, ErrorSource source = ErrorSource::kSelf,
                 Retry retry = Retry::never())
      : context_(std::move(context)), retry_(retry), kind_(kind), source_(source) {}

  ErrorKind kind() const { return kind_; }
  ErrorSource source() const { return source_; }
  Retry retry() const { return retry_; }
  /// What we were doing and what was seen, for logs and operators.
  const std::string& context() const { return context_; }

  /// The same error, told from further up: "outer: inner".
  [[nodiscard]] Error within(std::string_view outer) const;

  /// "kind: context", for logs and command lines.
  std::string to_string() const;

 private:
  std::string context_;
  Retry retry_;
  ErrorKind kind_ = ErrorKind::kInternal;
  ErrorSource source_ = ErrorSource::kSelf;
};

/// "invalid_argument" and so on: stable, used in APIs, metrics and logs.
std::string_view to_string(ErrorKind kind);
std::optional<ErrorKind> error_kind_from_string(std::string_view name);

}  // namespace sluice
