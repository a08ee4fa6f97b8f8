#pragma once
// What a person is told when something went wrong. Chosen by the error's kind and source, never by
// searching its text: "timed out" and "timeout" are the same thing, and a cause deep inside counts.

#include <string_view>

#include "base/error.h"

namespace sluice {

struct UserError {
  std::string_view kind;        // "provider_error", "permission_denied", "timeout", "validation", …
  std::string_view text;        // a whole sentence
  std::string_view suggestion;  // what the person can do; may be empty
};

UserError classify(const Error& error);

}  // namespace sluice
