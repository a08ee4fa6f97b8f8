#include "base/error.h"

#include <array>

namespace sluice {
namespace {

constexpr std::array<std::string_view, 17> kKindNames = {
    "internal",          "invalid_argument", "not_found",   "conflict",     "unauthenticated",
    "permission_denied", "too_large",        "overloaded",  "rate_limited", "unavailable",
    "timeout",           "cancelled",        "unsupported", "bad_response", "storage_failed",
    "disk_full",         "corrupt"};
static_assert(kKindNames.size() == static_cast<std::size_t>(ErrorKind::kCorrupt) + 1);

}  // namespace

std::string_view to_string(ErrorKind kind) { return kKindNames[static_cast<std::size_t>(kind)]; }

std::optional<ErrorKind> error_kind_from_string(std::string_view name) {
  for (std::size_t i = 0; i < kKindNames.size(); ++i) {
    if (kKindNames[i] == name) return static_cast<ErrorKind>(i);
  }
  return std::nullopt;
}

Error Error::within(std::string_view outer) const {
  Error told = *this;
  told.context_ = context_.empty() ? std::string(outer) : std::string(outer) + ": " + context_;
  return told;
}

std::string Error::to_string() const {
  std::string text(sluice::to_string(kind_));
  if (!context_.empty()) text.append(": ").append(context_);
  return text;
}

}  // namespace sluice
