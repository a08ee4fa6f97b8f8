#include "agents/model/model_options.h"

#include <charconv>
#include <cmath>

#include <boost/json.hpp>

namespace sluice {
namespace {

// What the agent writes itself, or what would make the answer one that it does not read.
constexpr std::string_view kOurs[] = {"model",  "messages",       "system",
                                      "stream", "stream_options", "n"};

}  // namespace

Result<net::Url> model_url(const std::string& base_url, std::string_view path) {
  if (base_url.find_first_of("?#") != std::string::npos) {
    return Error(ErrorKind::kInvalidArgument, "URL: a query or fragment has no place here");
  }
  std::string text = base_url;
  while (text.ends_with('/')) text.pop_back();
  return net::Url::parse(text.append(path));
}

std::string check_base_url(const std::string& text) {
  const auto url = model_url(text, "/");
  return url ? std::string() : url.error().context();
}

std::string check_number(const std::string& text) {
  if (text.empty()) return {};
  double number = 0;
  const char* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, number);
  const bool good = error == std::errc{} && stopped == end && std::isfinite(number) && number >= 0;
  return good ? std::string() : "is not a number like \"0.7\"";
}

std::string check_parameters(const std::string& text) {
  if (text.empty()) return {};
  boost::system::error_code ec;
  const boost::json::value value = boost::json::parse(text, ec);
  if (ec || !value.is_object()) return "is not a JSON object";
  for (const std::string_view ours : kOurs) {
    if (value.get_object().contains(ours)) {
      return "\"" + std::string(ours) + "\" is set by sluice itself";
    }
  }
  return {};
}

}  // namespace sluice
