#include "agents/webhook/webhook_options.h"

#include <algorithm>

#include "agents/model/model_options.h"
#include "net/http_types.h"
#include "net/url.h"

namespace sluice {
namespace {

constexpr std::string_view kOurs[] = {
    "host",         "connection",      "content-length",    "transfer-encoding", "expect",
    "content-type", "accept",          "idempotency-key",   "x-sluice-turn",     "x-sluice-attempt",
    "x-request-id", "accept-encoding", "x-sluice-signature"};

std::string check_url(const std::string& text) {
  const auto url = net::Url::parse(text);
  return url ? std::string() : url.error().context();
}

std::string check_callback_base(const std::string& text) {
  return text.empty() ? std::string() : check_base_url(text);
}

std::string check_headers(const std::vector<std::string>& lines) {
  for (const std::string& line : lines) {
    const auto header = parse_extra_header(line);
    if (!header) return header.error().context();
  }
  return {};
}

}  // namespace

void declare(config::Section<WebhookOptions>& s) {
  using Interrupt = WebhookOptions::Interrupt;
  using std::chrono::hours;
  using std::chrono::milliseconds;
  s.text("url", &WebhookOptions::url, "Where turns are posted to.").required().check(check_url);
  s.secret("token", &WebhookOptions::token,
           "Sent as Authorization: Bearer, so that the agent knows who calls.");
  s.secret("signing_secret", &WebhookOptions::signing_secret,
           "Signs what is posted (X-Sluice-Signature).");
  s.list("headers", &WebhookOptions::headers,
         "More headers of each request, as \"Name: value\". They are no place for secrets.")
      .length(0, 32)
      .check(check_headers);
  s.path("ca_file", &WebhookOptions::ca_file,
         "PEM file of authorities that are trusted besides the system's.");
  s.duration("connect_timeout", &WebhookOptions::connect_timeout,
             "How long name, connection and TLS may take.")
      .between(milliseconds(10), hours(1));
  s.duration("first_token_timeout", &WebhookOptions::first_token_timeout,
             "How long the agent may take until it begins to answer.")
      .between(milliseconds(10), hours(24));
  s.duration("gap_timeout", &WebhookOptions::gap_timeout,
             "How long it may pause within a streamed answer.")
      .between(milliseconds(10), hours(24));
  s.duration("timeout", &WebhookOptions::timeout, "How long a whole answer may take.")
      .between(milliseconds(100), hours(24));
  s.size("response_bytes_max", &WebhookOptions::response_bytes_max, "The largest answer, as JSON.")
      .between(1024, 64 << 20);
  s.flag("callbacks", &WebhookOptions::callbacks,
         "Whether the agent may answer 202 and post its answer later, to a URL that is sent with "
         "each turn.");
  s.text("callback_base_url", &WebhookOptions::callback_base_url,
         "Where the agent reaches us, without /v1; empty is our first listener, as it listens.")
      .check(check_callback_base);
  s.duration("callback_timeout", &WebhookOptions::callback_timeout,
             "How long a turn waits for its callback.")
      .between(milliseconds(1'000), hours(24 * 7));
  s.flag("idempotent", &WebhookOptions::idempotent,
         "Whether the agent does nothing twice for one turn_id. Then a request whose answer was "
         "lost is made again instead of given up.");
  s.choice("on_interrupt", &WebhookOptions::on_interrupt,
           {{"auto", Interrupt::kAuto},
            {"ask", Interrupt::kAsk},
            {"rerun", Interrupt::kRerun},
            {"fail", Interrupt::kFail}},
           "What happens to a turn that a crash interrupted; auto is rerun if idempotent, else "
           "ask.");
  s.integer("max_turns", &WebhookOptions::max_turns, "Turns at once.").between(1, 10'000);
}

OnInterrupt on_interrupt_of(const WebhookOptions& options) {
  switch (options.on_interrupt) {
    case WebhookOptions::Interrupt::kAsk:
      return OnInterrupt::kAsk;
    case WebhookOptions::Interrupt::kRerun:
      return OnInterrupt::kRerun;
    case WebhookOptions::Interrupt::kFail:
      return OnInterrupt::kFail;
    case WebhookOptions::Interrupt::kAuto:
      break;
  }
  return options.idempotent ? OnInterrupt::kRerun : OnInterrupt::kAsk;
}

Result<std::pair<std::string, std::string>> parse_extra_header(std::string_view line) {
  const auto bad = [&](std::string_view why) {
    return Error(ErrorKind::kInvalidArgument,
                 "\"" + std::string(line.substr(0, line.find(':'))) + "\" " + std::string(why));
  };
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return bad("is not \"Name: value\"");
  const std::string_view name = line.substr(0, colon);
  if (!net::is_header_name(name)) return bad("is not the name of a header");
  const bool ours = std::any_of(std::begin(kOurs), std::end(kOurs), [&](std::string_view own) {
    return net::equal_ignoring_case(own, name);
  });
  if (ours) return bad("is set by sluice itself");
  std::string_view value = line.substr(colon + 1);
  while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
  while (!value.empty() && value.back() == ' ') value.remove_suffix(1);
  const bool printable = std::all_of(value.begin(), value.end(), [](char c) {
    return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f;
  });
  if (!printable) return bad("holds a control character");
  return std::pair(std::string(name), std::string(value));
}

}  // namespace sluice
