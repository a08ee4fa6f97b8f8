#include "channels/hook/door.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include <boost/json.hpp>

#include "auth/credentials.h"

namespace sluice::hook {

namespace json = boost::json;

namespace {

Error unauthenticated(std::string what) {
  return Error(ErrorKind::kUnauthenticated, std::move(what), ErrorSource::kPeer);
}

std::string what_is_signed(const net::HttpRequest& request) {
  return request.method == "POST" ? request.body : request.method + " " + request.target;
}

}  // namespace

Door::Door(Loop& loop, const HookOptions& options)
    : loop_(loop),
      options_(options),
      token_digest_(auth::digest_of(options.token.reveal())),
      bucket_(options.rate, options.burst, loop.now()) {}

bool Door::by_token(const net::HttpRequest& request) const {
  return !options_.token.empty() &&
         (options_.receive_secret.empty() || request.headers.contains("authorization"));
}

Result<auth::Signature> Door::signature_of(const net::HttpRequest& request) const {
  const auto header = request.headers.get(auth::kSignatureHeader);
  if (!header) return unauthenticated("a token or a signature is needed");
  const std::optional<auth::Signature> signature = auth::parse_signature(*header);
  if (!signature || request.headers.count(auth::kSignatureHeader) > 1)
    return unauthenticated("the signature is not \"t=<seconds>,v1=<64 hex digits>\"");
  const std::int64_t window = options_.signature_window.count() / 1000;
  const std::int64_t now = loop_.wall().ms / 1000;
  // Compared without a difference that could overflow.
  if (signature->seconds < now - window || signature->seconds > now + window)
    return unauthenticated("the signature's time is too far from ours: sign each try anew");
  return *signature;
}

Result<void> Door::take() {
  const std::optional<Duration> wait = bucket_.take(loop_.now());
  if (!wait) return {};
  return Error(ErrorKind::kRateLimited, "this account takes no more requests a second",
               ErrorSource::kSelf,
               Retry::after(std::chrono::ceil<std::chrono::milliseconds>(*wait)));
}

Result<void> Door::screen(const net::HttpRequest& request) {
  if (!by_token(request)) {
    const Result<auth::Signature> signature = signature_of(request);
    if (!signature) return signature.error();
    return {};
  }
  const auto token = auth::bearer(request.headers.get("authorization").value_or(""));
  if (!token || !auth::equal(auth::digest_of(*token), token_digest_)) {
    return unauthenticated(token ? "the token is not this account's" : "a token is needed");
  }
  return take();
}

Result<void> Door::check(const net::HttpRequest& request) {
  if (by_token(request)) return {};
  // Again, because a slow body may have taken longer than the window.
  const Result<auth::Signature> signature = signature_of(request);
  if (!signature) return signature.error();
  if (!auth::is_signed_with(*signature, options_.receive_secret.reveal(), what_is_signed(request)))
    return unauthenticated("the signature is not of this request, or not by this account's secret");
  const Result<void> fresh = use(*signature);
  if (!fresh) return fresh;
  return take();
}

Result<void> Door::use(const auth::Signature& signature) {
  const std::int64_t oldest = loop_.wall().ms / 1000 - options_.signature_window.count() / 1000;
  while (!used_.empty() && used_.begin()->first < oldest) {
    used_count_ -= used_.begin()->second.size();
    used_.erase(used_.begin());
  }
  const auto second = used_.find(signature.seconds);
  if (second != used_.end() && second->second.contains(signature.mac)) {
    return Error(ErrorKind::kConflict,
                 "this signature was used before: sign each try anew, with its own time",
                 ErrorSource::kPeer, Retry::after(std::chrono::seconds(1)));
  }
  if (used_count_ >= kUsedMax) {
    return Error(ErrorKind::kRateLimited, "too many signed requests within signature_window",
                 ErrorSource::kSelf, Retry::after(std::chrono::seconds(1)));
  }
  used_[signature.seconds].insert(signature.mac);
  ++used_count_;
  return {};
}

std::string Door::memory() const {
  json::object used;
  for (const auto& [second, macs] : used_) {
    json::array& hex = used[std::to_string(second)].emplace_array();
    for (const auth::Digest& mac : macs) hex.emplace_back(auth::to_hex(mac));
  }
  return json::serialize(
      json::object{{"level", bucket_.level()}, {"at", bucket_.at().ns}, {"used", std::move(used)}});
}

void Door::remember(const std::string& memory) {
  boost::system::error_code wrong;
  const json::value all = json::parse(memory, wrong);
  if (wrong || !all.is_object()) return;
  const json::object& known = all.get_object();
  const json::value* level = known.if_contains("level");
  const json::value* at = known.if_contains("at");
  if (level != nullptr && level->is_double() && at != nullptr && at->is_int64())
    bucket_.go_on_from(level->get_double(), std::min(MonoTime{at->get_int64()}, loop_.now()));
  const json::value* used = known.if_contains("used");
  if (used == nullptr || !used->is_object()) return;
  for (const auto& [second, macs] : used->get_object()) {
    std::int64_t number = 0;
    const auto end = std::from_chars(second.data(), second.data() + second.size(), number);
    if (end.ec != std::errc() || !macs.is_array()) continue;
    for (const json::value& mac : macs.get_array()) {
      const auto digest = mac.is_string() ? auth::digest_from_hex(mac.get_string()) : std::nullopt;
      if (digest && used_count_ < kUsedMax && used_[number].insert(*digest).second) ++used_count_;
    }
  }
}

}  // namespace sluice::hook
