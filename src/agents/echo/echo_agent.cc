#include "agents/echo/echo_agent.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "base/units.h"
#include "runtime/wait.h"

namespace sluice {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kPlaygroundDelay{3'000};
constexpr milliseconds kPlaygroundPerWord{100};
constexpr milliseconds kLongestDelay{3'600'000};
constexpr std::size_t kFloodChunk = 4096;

constexpr std::pair<std::string_view, EchoFail> kFailCommands[] = {
    {"!fail", EchoFail::kError},  {"!throw", EchoFail::kThrow}, {"!hang", EchoFail::kHang},
    {"!empty", EchoFail::kEmpty}, {"!flood", EchoFail::kFlood}, {"!garbage", EchoFail::kGarbage},
};

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

/// Takes the first word and the white space around it off the front.
std::string_view take_word(std::string_view& text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  const auto end = std::find_if(text.begin(), text.end(), is_space);
  const std::string_view word = text.substr(0, static_cast<std::size_t>(end - text.begin()));
  text.remove_prefix(word.size());
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  return word;
}

/// Words with the white space that follows them: joined they are the text again.
std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  std::size_t begin = 0;
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (!is_space(text[i]) && is_space(text[i - 1])) {
      words.push_back(text.substr(begin, i - begin));
      begin = i;
    }
  }
  if (begin < text.size()) words.push_back(text.substr(begin));
  return words;
}

std::optional<std::uint32_t> parse_count(std::string_view text) {
  std::uint32_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return count;
}

/// False if the text is no command.
bool plan_command(std::string_view text, std::uint32_t attempt, EchoPlan& plan) {
  std::string_view rest = text;
  const std::string_view command = take_word(rest);
  if (command == "!slow") {
    std::string_view after = rest;
    const Result<milliseconds> delay = parse_duration(take_word(after));
    plan.delay = delay ? std::min(*delay, kLongestDelay) : kPlaygroundDelay;
    if (delay) rest = after;
  } else if (command == "!stream") {
    plan.stream = true;
    plan.delay_per_word = kPlaygroundPerWord;
  } else {
    const auto* const found =
        std::find_if(std::begin(kFailCommands), std::end(kFailCommands),
                     [&](const auto& entry) { return entry.first == command; });
    if (found == std::end(kFailCommands)) return false;
    const std::optional<std::uint32_t> times = parse_count(take_word(rest));
    if (!times || attempt <= *times) plan.fail = found->second;
    return true;
  }
  if (!rest.empty()) plan.text = rest;
  return true;
}

}  // namespace

void declare(config::Section<EchoOptions>& s) {
  using std::chrono::hours;
  s.text("prefix", &EchoOptions::prefix, "Put before what is echoed.");
  s.duration("delay", &EchoOptions::delay, "How long it thinks before it answers.")
      .between(milliseconds(0), hours(1));
  s.duration("delay_per_word", &EchoOptions::delay_per_word,
             "How long each word of the answer takes.")
      .between(milliseconds(0), hours(1));
  s.flag("stream", &EchoOptions::stream, "Whether the answer grows word by word.");
  s.choice("fail", &EchoOptions::fail,
           {{"none", EchoFail::kNone},
            {"error", EchoFail::kError},
            {"throw", EchoFail::kThrow},
            {"hang", EchoFail::kHang},
            {"empty", EchoFail::kEmpty},
            {"flood", EchoFail::kFlood},
            {"garbage", EchoFail::kGarbage}},
           "How attempts fail, for trying out what happens then.");
  s.integer("fail_rate_percent", &EchoOptions::fail_rate_percent,
            "How many of the attempts that may fail do so.")
      .between(0, 100);
  s.integer("fail_times", &EchoOptions::fail_times,
            "Only the first so many attempts of a turn may fail; 0 means all.");
  s.flag("playground", &EchoOptions::playground,
         "Whether people may try things out by writing !slow 5s, !stream, !fail, !throw, !hang, "
         "!empty, !flood or !garbage.");
  s.choice(
      "on_interrupt", &EchoOptions::on_interrupt,
      {{"ask", OnInterrupt::kAsk}, {"rerun", OnInterrupt::kRerun}, {"fail", OnInterrupt::kFail}},
      "What happens to a turn that a crash interrupted.");
  s.integer("max_turns", &EchoOptions::max_turns, "Turns at once.").between(1, 10'000);
  s.duration("timeout", &EchoOptions::timeout, "A turn that takes longer is cut off.")
      .between(milliseconds(1), hours(24));
}

EchoPlan plan_echo(const EchoOptions& options, std::string text, std::uint32_t attempt,
                   Random& random) {
  EchoPlan plan;
  plan.delay = options.delay;
  plan.delay_per_word = options.delay_per_word;
  plan.stream = options.stream;
  if (options.fail != EchoFail::kNone &&
      (options.fail_times == 0 || attempt <= options.fail_times) &&
      random.percent(options.fail_rate_percent)) {
    plan.fail = options.fail;
  }
  plan.text = std::move(text);
  if (options.playground && plan.text.starts_with('!')) {
    const std::string written = plan.text;
    plan_command(written, attempt, plan);
  }
  if (!options.prefix.empty()) plan.text.insert(0, options.prefix);
  // Only an attachment was sent, and an empty answer would be an error.
  if (plan.text.empty()) plan.text = "(no text)";
  return plan;
}

EchoAgent::EchoAgent(std::string name, EchoOptions options, Loop& loop)
    : info_{std::move(name), "echo", options.on_interrupt, options.max_turns, options.timeout, 0},
      options_(std::move(options)),
      loop_(loop) {}

Task<Result<AgentReply>> EchoAgent::run(TurnRequest request, DeltaSink& sink) {
  EchoPlan plan = plan_echo(options_, request.text(), request.attempt, loop_.random());
  if (plan.delay.count() > 0) co_await sleep_for(loop_, plan.delay);
  if (plan.fail != EchoFail::kNone) co_return co_await fail(plan.fail, &sink);
  if (plan.stream || plan.delay_per_word.count() > 0) {
    for (const std::string_view word : words_of(plan.text)) {
      if (plan.delay_per_word.count() > 0) co_await sleep_for(loop_, plan.delay_per_word);
      if (plan.stream) sink.delta(word);
    }
  }
  AgentReply reply;
  reply.text = std::move(plan.text);
  co_return reply;
}

Task<Result<AgentReply>> EchoAgent::fail(EchoFail how, DeltaSink* sink) {
  AgentReply reply;
  switch (how) {
    case EchoFail::kThrow:
      throw std::runtime_error("echo was told to throw");
    case EchoFail::kHang:
      co_await sleep_for(loop_, info_.timeout * 2);
      co_return Error(ErrorKind::kTimeout, "echo was told to hang", ErrorSource::kPeer);
    case EchoFail::kEmpty:
      co_return reply;
    case EchoFail::kFlood:
      co_await flood(sink);
      co_return Error(ErrorKind::kTooLarge, "echo was told to flood", ErrorSource::kPeer);
    case EchoFail::kGarbage:
      reply.text = "\xff\xfe not text \xc0\x80";
      co_return reply;
    case EchoFail::kNone:
    case EchoFail::kError:
      break;
  }
  co_return Error(ErrorKind::kUnavailable, "echo was told to fail", ErrorSource::kPeer,
                  Retry::with_backoff());
}

Task<void> EchoAgent::flood(DeltaSink* sink) {
  const std::string chunk(kFloodChunk, '~');
  for (std::size_t sent = 0; sent < kFloodBytes; sent += kFloodChunk) {
    sink->delta(chunk);
    co_await yield(loop_);
  }
}

}  // namespace sluice
