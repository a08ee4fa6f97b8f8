#pragma once
// The options that every agent of a model API has. Values; each kind adds its own and its defaults.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/schema.h"
#include "config/secret.h"
#include "gateway/agent.h"
#include "net/url.h"

namespace sluice {

struct ModelOptions {
  std::string base_url;  // trusted as written: it may be inside
  std::string model;
  config::Secret api_key;
  std::string ca_file;
  std::string system;
  std::string temperature;  // numbers as text, empty if not sent: what a model takes is its own
  std::string top_p;
  std::uint32_t max_tokens = 0;  // 0: not sent
  std::vector<std::string> stop;
  std::string parameters;  // a JSON object
  std::chrono::milliseconds connect_timeout{10'000};
  std::chrono::milliseconds first_token_timeout{120'000};
  std::chrono::milliseconds gap_timeout{60'000};
  std::chrono::milliseconds timeout{290'000};  // below the core's turn_timeout
  std::chrono::milliseconds retry_after_max{300'000};
  /// Asking a model again repeats nothing that anyone could see.
  OnInterrupt on_interrupt = OnInterrupt::kRerun;
  std::uint32_t max_turns = 16;
  bool images = true;
  std::uint32_t images_max = 8;  // of one call
  std::uint32_t history_tokens = 0;
};

/// A base URL and the path of an API below it. kInvalidArgument: not an http or https URL, or one
/// with a query.
Result<net::Url> model_url(const std::string& base_url, std::string_view path);

// What is wrong with the text of an option, or nothing.
std::string check_base_url(const std::string& text);
std::string check_number(const std::string& text);
/// A JSON object that sets nothing that is ours to set.
std::string check_parameters(const std::string& text);

/// Declares the members of ModelOptions for a kind's own T.
template <class T>
void declare_model(config::Section<T>& s) {
  using std::chrono::hours;
  using std::chrono::milliseconds;
  using Millis = milliseconds T::*;
  using Number = std::uint32_t T::*;
  s.text("base_url", &T::base_url, "Where the API is; trusted as written, without a query.")
      .check(check_base_url);
  s.text("model", &T::model, "The model's name, as the API knows it.").required();
  s.secret("api_key", &T::api_key, "The key of the API; a local server may need none.");
  s.path("ca_file", &T::ca_file, "PEM file of authorities that are trusted besides the system's.");
  s.text("system", &T::system, "What the model is told before the conversation.")
      .length(0, 64 << 10);
  s.text("temperature", &T::temperature, "Sent if set: a number in quotes, like \"0.7\".")
      .check(check_number);
  s.text("top_p", &T::top_p, "Sent if set: a number in quotes, like \"0.9\".").check(check_number);
  s.list("stop", &T::stop, "Texts at which the model stops.").length(0, 16);
  s.text("parameters", &T::parameters,
         "More of the request's body: a JSON object, like '{\"seed\": 7}'.")
      .check(check_parameters);
  s.duration("connect_timeout", static_cast<Millis>(&T::connect_timeout),
             "How long name, connection and TLS may take.")
      .between(milliseconds(10), hours(1));
  s.duration("first_token_timeout", static_cast<Millis>(&T::first_token_timeout),
             "How long the model may take until it begins to answer.")
      .between(milliseconds(10), hours(24));
  s.duration("gap_timeout", static_cast<Millis>(&T::gap_timeout),
             "How long it may pause within an answer.")
      .between(milliseconds(10), hours(24));
  s.duration("timeout", static_cast<Millis>(&T::timeout),
             "How long a whole answer may take; core.turn_timeout bounds it too.")
      .between(milliseconds(10), hours(24));
  s.duration("retry_after_max", static_cast<Millis>(&T::retry_after_max),
             "If the API asks for a longer wait than this, the turn fails instead of waiting.")
      .between(milliseconds(0), hours(24));
  s.choice(
      "on_interrupt", static_cast<OnInterrupt T::*>(&T::on_interrupt),
      {{"ask", OnInterrupt::kAsk}, {"rerun", OnInterrupt::kRerun}, {"fail", OnInterrupt::kFail}},
      "What happens to a turn that a crash interrupted.");
  s.integer("history_tokens", static_cast<Number>(&T::history_tokens),
            "The most tokens of the conversation before the message, as estimated (see "
            "core.history_tokens); 0: only the bounds of [core].")
      .between(0, 100'000'000);
  s.integer("max_turns", static_cast<Number>(&T::max_turns), "Turns at once.").between(1, 10'000);
  s.flag("images", static_cast<bool T::*>(&T::images),
         "Whether the model is shown the images that people send; if not, it is told that there "
         "was one.");
  s.integer("images_max", static_cast<Number>(&T::images_max),
            "The most images of one call: the newest ones, those of earlier messages included.")
      .between(1, 100);
}

}  // namespace sluice
