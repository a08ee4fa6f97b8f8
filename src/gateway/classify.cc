#include "gateway/classify.h"

namespace sluice {
namespace {

constexpr UserError kProvider = {"provider_error", "The AI service is temporarily unavailable.",
                                 "Please try again in a minute or two."};
constexpr UserError kTimeout = {"timeout", "The request timed out.",
                                "Please try again, perhaps with a simpler request."};
constexpr UserError kPermission = {"permission_denied", "You don't have permission to do this.",
                                   "Please ask the operator of this bot."};
constexpr UserError kKeyMissing = {"api_key_missing",
                                   "The AI service refused this bot's credentials.",
                                   "Please tell the operator of this bot."};
constexpr UserError kValidation = {"validation_error", "This input can't be processed.", ""};
constexpr UserError kExecution = {"execution_failed", "The AI service gave no usable answer.",
                                  "Please try again."};
constexpr UserError kInternal = {"internal", "An internal error occurred.", ""};

}  // namespace

UserError classify(const Error& error) {
  switch (error.kind()) {
    case ErrorKind::kTimeout:
      return kTimeout;
    case ErrorKind::kPermissionDenied:
      return kPermission;
    case ErrorKind::kUnauthenticated:
      return kKeyMissing;
    case ErrorKind::kInvalidArgument:
    case ErrorKind::kTooLarge:
      return kValidation;
    case ErrorKind::kRateLimited:
    case ErrorKind::kOverloaded:
    case ErrorKind::kUnavailable:
      return kProvider;
    case ErrorKind::kBadResponse:
      return kExecution;
    case ErrorKind::kNotFound:
    case ErrorKind::kConflict:
    case ErrorKind::kUnsupported:
      return error.source() == ErrorSource::kSelf ? kInternal : kProvider;
    case ErrorKind::kCancelled:
    case ErrorKind::kInternal:
    case ErrorKind::kStorageFailed:
    case ErrorKind::kDiskFull:
    case ErrorKind::kCorrupt:
      return kInternal;
  }
  return kInternal;
}

}  // namespace sluice
