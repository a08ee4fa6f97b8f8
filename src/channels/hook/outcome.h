#pragma once
// What an answer of a callback means for the part that was posted to it (C19, C21, C23). Pure
// functions, so that every rule can be read and tested in one place; docs/channels/hook.md is the
// table.

#include "gateway/channel.h"
#include "net/http_client.h"

namespace sluice::hook {

/// A complete answer. own: the callback is the account's own, not one that a caller named; only
/// then may it speak for the whole account.
SendOutcome outcome_of(const net::HttpClientResponse& answer, bool own, UnixMillis now);

/// No complete answer.
SendOutcome outcome_of(const net::FetchError& failure, bool own, UnixMillis now);

}  // namespace sluice::hook
