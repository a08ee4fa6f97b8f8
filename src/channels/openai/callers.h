#pragma once
// Who calls: what this face wants to know, and app/ finds out from a token.

#include <string>

#include "base/result.h"
#include "net/http_types.h"

namespace sluice::openai {

struct Caller {
  /// The person: the sender of what is posted. People do not see each other's conversations.
  std::string person;
  /// Speaks for others: "user" of a request is the sender.
  bool names_senders = false;
};

/// Shard-confined; outlives the server. Asked before a body is read.
class Callers {
 public:
  virtual ~Callers() = default;
  /// By bearer token only. kUnauthenticated, kPermissionDenied; the text is for the caller.
  virtual Result<Caller> identify(const net::HttpRequest& request) = 0;
};

}  // namespace sluice::openai
