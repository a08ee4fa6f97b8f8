#include "channels/hook/options.h"

#include "net/egress.h"
#include "net/url.h"

namespace sluice::hook {
namespace {

std::string check_callback(const std::string& text) {
  if (text.empty()) return {};
  const auto url = net::Url::parse(text);
  return url ? std::string() : url.error().context();
}

std::string check_allow(const std::vector<std::string>& entries) {
  const auto policy = net::EgressPolicy::allowing(entries);
  return policy ? std::string() : policy.error().context();
}

}  // namespace

void declare(config::Section<HookOptions>& s) {
  using O = HookOptions;
  using std::chrono::hours;
  using std::chrono::milliseconds;
  s.secret(
      "token", &O::token,
      "What callers send as Authorization: Bearer. Without it or receive_secret nothing can be "
      "posted.");
  s.secret("receive_secret", &O::receive_secret,
           "What callers sign their requests with (X-Sluice-Signature), in place of the token.");
  s.duration("signature_window", &O::signature_window,
             "How far the time of a caller's signature may be from ours.")
      .between(milliseconds(1'000), milliseconds(3'600'000));
  s.integer("rate", &O::rate, "Requests a second, of callers with the right credentials.")
      .between(1, 100'000);
  s.integer("burst", &O::burst, "Requests that may come at once after a pause.")
      .between(1, 100'000);
  s.size("body_max", &O::body_max, "The largest body of a request.").between(4 << 10, 64 << 20);
  s.duration("wait_timeout", &O::wait_timeout,
             "How long a request that asks for its answer waits for it.")
      .between(milliseconds(100), milliseconds(3'600'000));
  s.integer("waits_max", &O::waits_max,
            "How many requests may wait for their answers, or have them streamed, at once.")
      .between(1, 100'000);
  s.text("callback", &O::callback,
         "Where answers are posted to if the message named no callback. Trusted as written: it "
         "may be inside.")
      .check(check_callback);
  s.list("callback_allow", &O::callback_allow,
         "Addresses that are not public but may be named as callbacks: \"10.1.0.0/16\", "
         "\"127.0.0.1:8080\", \"intranet.example:443\".")
      .length(0, 100)
      .check(check_allow);
  s.secret("signing_secret", &O::signing_secret, "Signs what is posted (X-Sluice-Signature).");
  s.duration("timeout", &O::timeout, "How long a callback may take to answer.")
      .between(milliseconds(100), milliseconds(25'000));
  s.duration("idempotency_window", &O::idempotency_window,
             "How long the receivers remember an Idempotency-Key and take a repetition for the "
             "same part; 0 means they don't.")
      .between(milliseconds(0), hours(24 * 30));
  s.size("part_bytes_max", &O::part_bytes_max, "The longest text of one part.")
      .between(64, 16 << 20);
}

}  // namespace sluice::hook
