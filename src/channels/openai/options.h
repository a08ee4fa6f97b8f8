#pragma once
// What can be set about an account of kind "openai".

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "config/schema.h"
#include "gateway/options.h"

namespace sluice::openai {

/// The bounds of its face, besides what every account has.
struct OpenAiFaceOptions : AccountOptions {
  std::vector<std::string> models;                    // further names beside the agent's own
  std::uint64_t body_max = 4 << 20;                   // bytes of one request's body: 413
  std::chrono::milliseconds answer_timeout{540'000};  // below the 10 minutes of OpenAI's clients
  std::uint32_t requests_max = 2'000;                 // waiting for their answers at once: 429
  std::uint32_t requests_per_person = 100;            // and of one person: 429
};

inline void declare(config::Section<OpenAiFaceOptions>& s) {
  using O = OpenAiFaceOptions;
  using std::chrono::milliseconds;
  s.list("models", &O::models,
         "Names of models that clients may ask for, beside the agent's own name: for programs "
         "whose model can't be set. All of them are this account's agent.")
      .length(0, 100);
  s.size("body_max", &O::body_max, "The largest body of a request.").between(4 << 10, 64 << 20);
  s.duration("answer_timeout", &O::answer_timeout,
             "How long a request that is not streamed waits for its answer.")
      .between(milliseconds(1'000), milliseconds(3'600'000));
  s.integer("requests_max", &O::requests_max, "How many requests may wait for answers at once.")
      .between(1, 100'000);
  s.integer("requests_per_person", &O::requests_per_person, "And how many of one person.")
      .between(1, 100'000);
}

}  // namespace sluice::openai
