#include "channels/hook/outcome.h"

#include <string>

#include <boost/json.hpp>
#include <fmt/core.h>

#include "net/retry_after.h"

namespace sluice::hook {
namespace {

using What = SendOutcome::What;

constexpr std::size_t kPlatformIdMax = 256;

/// What the receiver calls the part: "id" of its answer, a text or a number. Anything else is no
/// reason to doubt that it took the part.
std::string platform_id(const net::HttpClientResponse& answer) {
  if (answer.body.empty()) return {};
  boost::system::error_code ec;
  const boost::json::value value = boost::json::parse(answer.body, ec);
  const boost::json::object* o = ec ? nullptr : value.if_object();
  const boost::json::value* id = o == nullptr ? nullptr : o->if_contains("id");
  if (id == nullptr) return {};
  if (id->is_string() && id->get_string().size() <= kPlatformIdMax)
    return std::string(std::string_view(id->get_string()));
  if (id->is_int64() || id->is_uint64()) return boost::json::serialize(*id);
  return {};
}

SendOutcome wait_for(const net::HttpClientResponse& answer, bool own, UnixMillis now,
                     std::string reason) {
  const auto told = answer.headers.get("retry-after");
  const auto wait = told ? net::parse_retry_after(*told, now) : std::nullopt;
  // It did not take the part but named no time to come: the outbox knows how to back off.
  if (!wait || wait->count() == 0) return SendOutcome::of(What::kNotSent, std::move(reason));
  SendOutcome outcome = SendOutcome::of(What::kRateLimited, std::move(reason));
  outcome.wait = *wait;
  const auto scope = answer.headers.get("x-ratelimit-scope");
  outcome.whole_account = own && scope && net::equal_ignoring_case(*scope, "account");
  return outcome;
}

}  // namespace

SendOutcome outcome_of(const net::HttpClientResponse& answer, bool own, UnixMillis now) {
  const int status = answer.status;
  if (status >= 200 && status < 300) return SendOutcome::sent(platform_id(answer));
  std::string reason = fmt::format("the callback answered {}", status);
  switch (status) {
    case 401:
    case 403:
      return SendOutcome::of(own ? What::kAccountRefused : What::kRefused, std::move(reason));
    case 415:
    case 422:
      return SendOutcome::of(What::kRefusedFormat, std::move(reason));
    case 429:
    case 503:
      return wait_for(answer, own, now, std::move(reason));
    case 408:  // it never got the whole request
    case 425:  // it will not act on it yet
      return SendOutcome::of(What::kNotSent, std::move(reason));
    case 502:
    case 504:
      // A proxy speaks: what became of the request behind it, it doesn't know.
      return SendOutcome::of(What::kUnknown, std::move(reason));
    default:
      break;
  }
  if (status >= 500) return SendOutcome::of(What::kNotSent, std::move(reason));
  if (status >= 300 && status < 400) reason += "; redirects are not followed";
  return SendOutcome::of(What::kRefused, std::move(reason));
}

SendOutcome outcome_of(const net::FetchError& failure, bool own, UnixMillis now) {
  if (failure.status) {
    // It has spoken; only what it said besides was lost, too long or broken.
    return outcome_of(net::HttpClientResponse{*failure.status, {}, {}}, own, now);
  }
  const bool nothing_left = failure.sent == net::SentState::kNotSent;
  return SendOutcome::of(nothing_left ? What::kNotSent : What::kUnknown, failure.error.to_string());
}

}  // namespace sluice::hook
