#pragma once
// Grants: the tokens and browser sessions that exist, and who holds them.
//
// Tokens are one mark of the store each ("token:<id>"), sessions one mark together ("sessions"), so
// that both are part of a backup. Only SHA-256 digests are kept: a token is shown once, when it is
// made.
//
// Shard-confined. Owned by app/. Errors of what changes the store are the store's.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "auth/scopes.h"
#include "auth/secret_text.h"
#include "base/result.h"
#include "base/time.h"
#include "gateway/store.h"
#include "runtime/task.h"

namespace sluice::auth {

/// Who a request comes from, once its credential was checked.
struct Caller {
  std::string grant;   // the credential's id, for logs
  std::string person;  // the sender of what it posts
  Scopes scopes;
  bool by_cookie = false;  // a browser: writes need an Origin
};

struct Grant {
  std::string id;
  std::string name;    // for people; unique among tokens
  std::string person;  // as in Caller
  Scopes scopes;
  Digest digest{};
  UnixMillis created_at;
  UnixMillis expires_at;    // 0: never
  UnixMillis last_used_at;  // 0: never; of tokens only
};

class Grants {
 public:
  static constexpr std::size_t kMaxTokens = 1'000;
  static constexpr std::size_t kMaxSessions = 100;  // the oldest goes when there is another
  static constexpr std::chrono::hours kSessionLife{30 * 24};
  static constexpr std::string_view kTokenPrefix = "slt_";
  static constexpr std::string_view kSessionPrefix = "sls_";

  Grants(Loop& loop, Store& store) : loop_(loop), store_(store) {}

  /// Takes over what is on disk. Returns the names of marks that are not what we wrote; they grant
  /// nothing.
  std::vector<std::string> load(const std::vector<std::pair<std::string, std::string>>& marks);

  struct NewToken {
    Grant grant;
    std::string text;  // the secret itself: to be shown, and forgotten
  };
  /// kInvalidArgument: a name that is not 1 to 64 letters, digits, '.', '_', '-'. kConflict: the
  /// name is taken. kOverloaded: kMaxTokens.
  Task<Result<NewToken>> add_token(std::string name, std::string person, Scopes scopes);
  /// By id or name. The token is refused from this call on, also if the store then fails.
  /// kNotFound.
  Task<Result<void>> revoke_token(std::string id_or_name);
  std::vector<Grant> tokens() const;
  /// Writes down when tokens were last used: those used since the last call, in one transaction, so
  /// that no request waits for it. Called once a minute and before the store stops; a crash loses
  /// what lies between.
  Task<Result<void>> save_uses();

  /// Returns the cookie's value, on disk when it returns.
  Task<Result<std::string>> open_session(std::string person, Scopes scopes);
  Task<Result<void>> close_session(std::string cookie);
  std::size_t sessions() const { return sessions_.size(); }

  /// nullopt: not one of ours, revoked, or expired.
  std::optional<Caller> check_token(std::string_view text) const;
  /// As check_token(), for a request that comes with it: this is a use.
  std::optional<Caller> use_token(std::string_view text);
  std::optional<Caller> check_session(std::string_view cookie) const;

 private:
  using Table = std::map<std::string, Grant, std::less<>>;
  std::optional<Caller> check(const Table& table, std::string_view prefix,
                              std::string_view text) const;
  Task<Result<void>> save(std::string mark, std::string value);
  Task<Result<void>> save(Transaction transaction);
  std::string sessions_json() const;
  void drop_expired_sessions();

  Loop& loop_;
  Store& store_;
  Table tokens_;
  Table sessions_;
  std::set<std::string> used_;  // ids of tokens, since save_uses()
};

}  // namespace sluice::auth
