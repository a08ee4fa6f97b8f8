#pragma once
// Who may write to an account (C8), for those who have to know before a message is made.

#include <algorithm>
#include <string>
#include <string_view>

#include "gateway/options.h"

namespace sluice {

/// Whether the account's "allow" names the sender.
inline bool lets_in(const AccountOptions& account, std::string_view sender) {
  return std::any_of(account.allow.begin(), account.allow.end(),
                     [&](const std::string& name) { return name == "*" || name == sender; });
}

}  // namespace sluice
