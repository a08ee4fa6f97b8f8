// What services ask back: whatever it is, it ends, and nothing is asked that was not granted.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <boost/json.hpp>

#include "base/assert.h"
#include "base/utf8.h"
#include "runtime/task_group.h"
#include "services/callbacks.h"

namespace {

using namespace sluice;            // NOLINT: the program of this file
using namespace sluice::services;  // NOLINT

class StoppedClock : public Clock {
 public:
  MonoTime now() override { return MonoTime{1'000'000'000}; }
  UnixMillis wall() override { return UnixMillis{1'700'000'000'000}; }
};

Task<Callbacks::Answer> call_tool(std::string service, std::string, boost::json::value arguments,
                                  Duration most, CallOrigin) {
  SLUICE_ASSERT(service == "files" && most >= Duration(0) && most <= Callbacks::kLongest);
  co_return arguments;
}

Task<Result<std::string>> ask(std::string agent, std::string prompt, std::string, Duration most) {
  SLUICE_ASSERT(agent == "helper" && !prompt.empty() && prompt.size() <= Callbacks::kPromptMost);
  SLUICE_ASSERT(most >= Duration(0) && most <= Callbacks::kLongest);
  co_return prompt;
}

Task<void> serve(Callbacks* callbacks, std::string method, boost::json::value params,
                 std::optional<Callbacks::Answer>* answer) {
  *answer = co_await callbacks->serve("tools", std::move(method), std::move(params));
}

}  // namespace

/// The first byte: what is asked, and whether it comes with the token that its service was given.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  boost::system::error_code wrong;
  boost::json::value params = boost::json::parse(
      std::string_view(reinterpret_cast<const char*>(data + 1), size - 1), wrong);
  if (wrong) return 0;
  StoppedClock clock;
  Loop loop(clock, 1);
  Metrics metrics;
  Callbacks callbacks({loop, metrics, [] { return std::string(64, 't'); }, &call_tool,
                       [](const std::vector<std::string>&, const std::string& tool) {
                         return std::string(tool == "add" ? "files" : "");
                       }});
  CallbackRules rules;
  rules.agent = "helper";
  rules.services = {"files"};
  const auto quota = std::make_shared<TokenBucket>(TokenBucket(10, 10, clock.now()));
  const Callbacks::Lease lease = callbacks.lend("tools", rules, quota, {"turn-1", &ask});
  const bool ai = (data[0] & 1) == 0;
  if ((data[0] & 2) == 0 && params.is_object()) {
    for (const auto& member : lease.to_json()) {
      const std::string_view name = member.key();
      if (name == "token" || name == "request_id" || name == "service_id")
        params.get_object()[name] = member.value();
    }
  }
  std::optional<Callbacks::Answer> answer;
  TaskGroup tasks(loop);
  tasks.spawn("serve",
              serve(&callbacks, ai ? "callback.ai" : "callback.tool", std::move(params), &answer));
  loop.run_ready(SIZE_MAX);
  SLUICE_ASSERT(answer.has_value());
  if (!*answer) SLUICE_ASSERT(is_utf8(answer->error().context()));
  return 0;
}
