#include "auth/grants.h"

#include <algorithm>

#include <boost/json.hpp>

namespace sluice::auth {
namespace {

namespace json = boost::json;

constexpr std::string_view kTokenMark = "token:";
constexpr std::string_view kSessionsMark = "sessions";
constexpr std::size_t kIdBytes = 9;  // 12 characters: names the grant, keeps no secret
constexpr std::size_t kIdLength = 12;

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

json::object to_json(const Grant& grant) {
  json::array scopes;
  for (const std::string& word : grant.scopes.words()) scopes.emplace_back(word);
  json::object object{{"id", grant.id},
                      {"name", grant.name},
                      {"person", grant.person},
                      {"scopes", std::move(scopes)},
                      {"sha256", to_hex(grant.digest)},
                      {"created_at", grant.created_at.ms},
                      {"expires_at", grant.expires_at.ms}};
  if (grant.last_used_at.ms != 0) object["last_used_at"] = grant.last_used_at.ms;
  return object;
}

/// Throws what Boost.JSON throws, or returns nothing, for what to_json() did not write.
std::optional<Grant> from_json(const json::value& value) {
  const json::object& object = value.as_object();
  Grant grant;
  grant.id = json::value_to<std::string>(object.at("id"));
  grant.name = json::value_to<std::string>(object.at("name"));
  grant.person = json::value_to<std::string>(object.at("person"));
  grant.created_at.ms = object.at("created_at").to_number<std::int64_t>();
  grant.expires_at.ms = object.at("expires_at").to_number<std::int64_t>();
  if (const json::value* used = object.if_contains("last_used_at")) {
    grant.last_used_at.ms = used->to_number<std::int64_t>();
  }
  const auto scopes = Scopes::parse(json::value_to<std::vector<std::string>>(object.at("scopes")));
  const auto digest = digest_from_hex(object.at("sha256").as_string());
  if (!scopes || !digest || grant.id.size() != kIdLength) return std::nullopt;
  grant.scopes = *scopes;
  grant.digest = *digest;
  return grant;
}

/// Makes the secret of a grant that is otherwise filled: prefix, id, "_", 256 random bits.
std::string give_secret(Grant& grant, std::string_view prefix) {
  grant.id = random_text(kIdBytes);
  std::string text = std::string(prefix) + grant.id + "_" + random_secret();
  grant.digest = digest_of(text);
  return text;
}

}  // namespace

std::vector<std::string> Grants::load(
    const std::vector<std::pair<std::string, std::string>>& marks) {
  std::vector<std::string> broken;
  for (const auto& [name, value] : marks) {
    const bool is_token = name.starts_with(kTokenMark);
    if ((!is_token && name != kSessionsMark) || value.empty()) continue;
    try {
      const json::value parsed = json::parse(value);
      const json::array list = is_token ? json::array{parsed} : parsed.as_array();
      for (const json::value& item : list) {
        std::optional<Grant> grant = from_json(item);
        if (!grant) {
          broken.push_back(name);
          continue;
        }
        std::string id = grant->id;
        (is_token ? tokens_ : sessions_).insert_or_assign(std::move(id), std::move(*grant));
      }
    } catch (const std::exception&) {  // Boost.JSON: not the shape that we write
      broken.push_back(name);
    }
  }
  return broken;
}

Task<Result<Grants::NewToken>> Grants::add_token(std::string name, std::string person,
                                                 Scopes scopes) {
  if (!is_name(name)) {
    co_return Error(ErrorKind::kInvalidArgument,
                    "a token's name is 1 to 64 letters, digits, '.', '_' or '-'",
                    ErrorSource::kPeer);
  }
  if (tokens_.size() >= kMaxTokens) {
    co_return Error(ErrorKind::kOverloaded, "there are too many tokens: revoke some first");
  }
  for (const auto& [id, token] : tokens_) {
    if (token.name == name) {
      co_return Error(ErrorKind::kConflict, "a token named \"" + name + "\" exists",
                      ErrorSource::kPeer);
    }
  }
  Grant grant;
  grant.name = std::move(name);
  grant.person = person.empty() ? grant.name : std::move(person);
  grant.scopes = scopes;
  grant.created_at = loop_.wall();
  NewToken made;
  made.text = give_secret(grant, kTokenPrefix);
  made.grant = grant;
  // In the table at once, so that its name is taken; its secret is known only once it is on disk.
  tokens_.emplace(grant.id, grant);
  const Result<void> saved =
      co_await save(std::string(kTokenMark) + grant.id, json::serialize(to_json(grant)));
  if (!saved) {
    tokens_.erase(grant.id);
    co_return saved.error();
  }
  co_return made;
}

Task<Result<void>> Grants::revoke_token(std::string id_or_name) {
  const auto found = std::find_if(tokens_.begin(), tokens_.end(), [&](const auto& entry) {
    return entry.first == id_or_name || entry.second.name == id_or_name;
  });
  if (found == tokens_.end()) {
    co_return Error(ErrorKind::kNotFound, "no token \"" + id_or_name + "\"", ErrorSource::kPeer);
  }
  const std::string id = found->first;
  tokens_.erase(found);
  co_return co_await save(std::string(kTokenMark) + id, "");
}

std::vector<Grant> Grants::tokens() const {
  std::vector<Grant> out;
  for (const auto& [id, grant] : tokens_) out.push_back(grant);
  std::sort(out.begin(), out.end(),
            [](const Grant& a, const Grant& b) { return a.created_at < b.created_at; });
  return out;
}

Task<Result<void>> Grants::save_uses() {
  Transaction transaction;
  for (const std::string& id : used_) {
    const auto found = tokens_.find(id);
    if (found == tokens_.end()) continue;  // revoked since
    transaction.changes.marks.emplace_back(std::string(kTokenMark) + id,
                                           json::serialize(to_json(found->second)));
  }
  used_.clear();
  if (transaction.changes.marks.empty()) co_return Result<void>();
  co_return co_await save(std::move(transaction));
}

Task<Result<std::string>> Grants::open_session(std::string person, Scopes scopes) {
  drop_expired_sessions();
  while (sessions_.size() >= kMaxSessions) {
    sessions_.erase(std::min_element(
        sessions_.begin(), sessions_.end(),
        [](const auto& a, const auto& b) { return a.second.created_at < b.second.created_at; }));
  }
  Grant grant;
  grant.name = "browser";
  grant.person = std::move(person);
  grant.scopes = scopes;
  grant.created_at = loop_.wall();
  grant.expires_at = grant.created_at + kSessionLife;
  std::string cookie = give_secret(grant, kSessionPrefix);
  const std::string id = grant.id;
  sessions_.emplace(id, std::move(grant));
  const Result<void> saved = co_await save(std::string(kSessionsMark), sessions_json());
  if (!saved) {
    sessions_.erase(id);
    co_return saved.error();
  }
  co_return cookie;
}

Task<Result<void>> Grants::close_session(std::string cookie) {
  const std::optional<Caller> caller = check_session(cookie);
  if (!caller) co_return Result<void>();
  sessions_.erase(caller->grant);
  co_return co_await save(std::string(kSessionsMark), sessions_json());
}

std::optional<Caller> Grants::check_token(std::string_view text) const {
  return check(tokens_, kTokenPrefix, text);
}

std::optional<Caller> Grants::use_token(std::string_view text) {
  std::optional<Caller> caller = check_token(text);
  if (!caller) return caller;
  tokens_.find(caller->grant)->second.last_used_at = loop_.wall();
  used_.insert(caller->grant);
  return caller;
}

std::optional<Caller> Grants::check_session(std::string_view cookie) const {
  std::optional<Caller> caller = check(sessions_, kSessionPrefix, cookie);
  if (caller) caller->by_cookie = true;
  return caller;
}

std::optional<Caller> Grants::check(const Table& table, std::string_view prefix,
                                    std::string_view text) const {
  const std::size_t secret_at = prefix.size() + kIdLength;
  if (text.size() <= secret_at || text.size() > 256 || !text.starts_with(prefix)) {
    return std::nullopt;
  }
  const auto found = table.find(text.substr(prefix.size(), kIdLength));
  if (found == table.end()) return std::nullopt;
  const Grant& grant = found->second;
  if (!equal(grant.digest, digest_of(text))) return std::nullopt;
  if (grant.expires_at.ms != 0 && loop_.wall() >= grant.expires_at) return std::nullopt;
  return Caller{grant.id, grant.person, grant.scopes, false};
}

Task<Result<void>> Grants::save(std::string mark, std::string value) {
  Transaction transaction;
  transaction.changes.marks.emplace_back(std::move(mark), std::move(value));
  co_return co_await save(std::move(transaction));
}

Task<Result<void>> Grants::save(Transaction transaction) {
  const Result<Receipt> receipt = co_await store_.commit(std::move(transaction));
  if (!receipt) co_return receipt.error();
  co_return Result<void>();
}

std::string Grants::sessions_json() const {
  json::array list;
  for (const auto& [id, grant] : sessions_) list.emplace_back(to_json(grant));
  return json::serialize(list);
}

void Grants::drop_expired_sessions() {
  const UnixMillis now = loop_.wall();
  std::erase_if(sessions_, [&](const auto& entry) { return now >= entry.second.expires_at; });
}

}  // namespace sluice::auth
