#include "agents/model/model_error.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "net/retry_after.h"

namespace sluice {
namespace {

namespace json = boost::json;
using std::chrono::milliseconds;

constexpr std::size_t kNameBytesMax = 64;

struct Named {
  std::string_view name;
  int status;
};

// Codes that say more than the status they come with.
constexpr Named kCodes[] = {{"insufficient_quota", 402},      {"billing_error", 402},
                            {"context_length_exceeded", 413}, {"invalid_api_key", 401},
                            {"model_not_found", 404},         {"rate_limit_exceeded", 429}};

// What stands for the status in a stream, which began with 200.
constexpr Named kTypes[] = {
    {"rate_limit_error", 429}, {"overloaded_error", 529}, {"api_error", 500},
    {"server_error", 500},     {"timeout_error", 504},    {"authentication_error", 401},
    {"permission_error", 403}, {"not_found_error", 404},  {"invalid_request_error", 400},
    {"request_too_large", 413}};

template <std::size_t N>
std::optional<int> find(const Named (&table)[N], std::string_view name) {
  for (const Named& entry : table) {
    if (entry.name == name) return entry.status;
  }
  return std::nullopt;
}

std::string_view text_at(const json::object& o, std::string_view name) {
  const json::value* v = o.if_contains(name);
  return v != nullptr && v->is_string() ? std::string_view(v->get_string()) : std::string_view();
}

/// What an error object says, told by the names it uses.
struct Told {
  std::string_view type;
  std::string_view code;
  std::string_view param;
  std::optional<int> number;  // OpenRouter, vLLM: the code is a status

  static Told of(const json::value& value) {
    Told told;
    const json::object* o = value.if_object();
    if (o == nullptr) return told;
    told.type = text_at(*o, "type");
    told.code = text_at(*o, "code");
    told.param = text_at(*o, "param");
    const json::value* code = o->if_contains("code");
    if (code != nullptr && code->is_int64() && code->get_int64() >= 400 &&
        code->get_int64() <= 599) {
      told.number = static_cast<int>(code->get_int64());
    }
    return told;
  }
  /// The status that this stands for; status is that of the answer.
  int status(int answered) const {
    if (const auto by_code = find(kCodes, code)) return *by_code;
    if (const auto by_type = find(kCodes, type)) return *by_type;
    if (answered != 200) return answered;
    if (number) return *number;
    return find(kTypes, type).value_or(500);
  }
  std::string words() const {
    std::string all;
    for (const std::string_view word : {log_name(type), log_name(code), log_name(param)}) {
      if (word.empty() || all.find(word) != std::string::npos) continue;
      all.append(all.empty() ? "" : ", ").append(word);
    }
    return all;
  }
};

Error error_of(int status, std::string what, Retry retry) {
  const auto error = [&](ErrorKind kind, Retry r = Retry::never()) {
    return Error(kind, std::move(what), ErrorSource::kPeer, r);
  };
  switch (status) {
    case 400:
    case 422:
      return error(ErrorKind::kInvalidArgument);
    case 401:
    case 402:
    case 403:
      // Whatever it is, it is about the bot's account there and none of the person's doing.
      return error(ErrorKind::kUnauthenticated);
    case 404:
      what += "; is it the right base_url and model?";
      return error(ErrorKind::kBadResponse);
    case 413:
      return error(ErrorKind::kTooLarge);
    case 408:
    case 409:
      return error(ErrorKind::kUnavailable, retry);
    case 425:
    case 429:
      return error(ErrorKind::kRateLimited, retry);
    case 529:
      return error(ErrorKind::kOverloaded, retry);
    default:
      break;
  }
  if (status >= 500) return error(ErrorKind::kUnavailable, retry);
  if (status >= 300 && status < 400) what += "; redirects are not followed";
  return error(ErrorKind::kBadResponse);
}

std::optional<milliseconds> wait_of(const net::HttpHeaders& headers, UnixMillis now) {
  if (const auto told = headers.get("retry-after-ms")) {
    double ms = 0;
    const char* const end = told->data() + told->size();
    const auto [stopped, error] = std::from_chars(told->data(), end, ms);
    if (error == std::errc{} && stopped == end && ms >= 0) {
      const double most = static_cast<double>(milliseconds(net::kRetryAfterMost).count());
      return milliseconds(static_cast<std::int64_t>(std::min(ms, most)));
    }
  }
  const auto told = headers.get("retry-after");
  return told ? net::parse_retry_after(*told, now) : std::nullopt;
}

std::string media_type(const net::HttpHeaders& headers) {
  const std::string_view all = headers.get("content-type").value_or("");
  return std::string(log_name(all.substr(0, all.find_first_of("; "))));
}

}  // namespace

std::string_view log_name(std::string_view text) {
  const bool plain =
      text.size() <= kNameBytesMax && std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               std::string_view("_-.:/").find(c) != std::string_view::npos;
      });
  return plain ? text : std::string_view();
}

Error refusal_of(int status, const net::HttpHeaders& headers, std::string_view body,
                 milliseconds longest_wait, UnixMillis now) {
  boost::system::error_code ec;
  const json::value value = json::parse(body, ec);
  const json::object* o = ec ? nullptr : value.if_object();
  const json::value* error = o == nullptr ? nullptr : o->if_contains("error");
  const bool told_one = error != nullptr && !error->is_null();
  const Told told = told_one ? Told::of(*error) : Told();
  if (status == 200 && !told_one) {
    const std::string type = media_type(headers);
    return bad_answer(fmt::format("answered {} where an event stream was asked for",
                                  type.empty() ? "something" : type));
  }
  std::string what = fmt::format("answered {}", status);
  if (const std::string words = told.words(); !words.empty()) what += " (" + words + ")";
  for (const char* name : {"x-request-id", "request-id"}) {
    const std::string_view id = log_name(headers.get(name).value_or(""));
    if (!id.empty()) what.append(", request ").append(id);
  }
  const std::optional<milliseconds> wait = wait_of(headers, now);
  Retry retry = wait ? Retry::after(*wait) : Retry::with_backoff();
  if (wait && *wait > longest_wait) {
    what += fmt::format(", asks for a wait of {} s", wait->count() / 1000);
    retry = Retry::never();
  }
  if (headers.get("x-should-retry") == "false") retry = Retry::never();
  return error_of(told.status(status), std::move(what), retry);
}

Error told_error(const json::value& error) {
  const Told told = Told::of(error);
  const std::string words = told.words();
  return error_of(told.status(200),
                  words.empty() ? "an error in the stream" : "an error in the stream: " + words,
                  Retry::with_backoff());
}

Error lost_answer(const net::FetchError& failure) {
  ErrorKind kind = failure.error.kind();
  Retry retry = Retry::with_backoff();
  std::string what = failure.error.context();
  // An answer that is too large or broken will be so again, and our own set-up does not heal
  // itself.
  if (kind == ErrorKind::kTooLarge || kind == ErrorKind::kBadResponse) {
    kind = ErrorKind::kBadResponse;
    retry = Retry::never();
  } else if (kind == ErrorKind::kInvalidArgument) {
    kind = ErrorKind::kUnavailable;
    retry = Retry::never();
  }
  return Error(kind, std::move(what), ErrorSource::kPeer, retry);
}

Error bad_answer(std::string what) {
  return Error(ErrorKind::kBadResponse, std::move(what), ErrorSource::kPeer);
}

}  // namespace sluice
