#pragma once
// Who calls: what the HTTP face wants to know, and app/ finds out from a token, a cookie or the
// peer of a Unix socket.

#include <string>
#include <string_view>

#include "base/result.h"
#include "net/http_types.h"

namespace sluice::http {

struct Caller {
  /// The person: the sender of what is posted. People do not see each other's conversations.
  std::string person;
  /// Reads and writes every conversation of the account, by its full chat id (see chat_of).
  bool all_conversations = false;
  /// May post for others: "sender" and "sender_name" of a message are taken as given.
  bool names_senders = false;
};

/// Shard-confined; outlives the server. Asked before a body is read, and again for each long-lived
/// stream every few seconds, so that a revoked token ends it.
class Authenticator {
 public:
  virtual ~Authenticator() = default;
  /// kUnauthenticated: 401; kPermissionDenied: 403; kRateLimited: 429. The text is for the caller.
  virtual Result<Caller> identify(const net::HttpRequest& request) = 0;
};

/// The account's chat id of what a caller calls `chat`: "<person>/<chat>", the person
/// percent-encoded, so that no two people share one; what is written, for callers with
/// all_conversations.
std::string chat_of(const Caller& caller, std::string_view chat);
/// What the chat ids of a person's conversations begin with.
std::string owner_of(std::string_view person);
/// What the caller calls that chat, which it may see.
std::string_view name_of(const Caller& caller, std::string_view chat_id);
/// Whether the caller may see that chat of the account.
bool may_see(const Caller& caller, std::string_view chat_id);

}  // namespace sluice::http
