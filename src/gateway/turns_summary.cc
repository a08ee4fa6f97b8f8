// Summaries: what an agent's window no longer holds, told in fewer words by an agent. A line of the
// log that stands for those before it; made beside the lane, and lost without harm by a crash.

#include <algorithm>

#include <fmt/core.h>

#include "base/utf8.h"
#include "gateway/turns.h"
#include "runtime/guarded.h"

namespace sluice {
namespace {

constexpr std::size_t kLinesMax = 1'000;  // told in one summary
constexpr std::size_t kBytesMax = 1 << 20;
constexpr std::size_t kSummaryBytes = 32 << 10;

constexpr std::string_view kTask =
    "Summarise the following conversation in the language it is held in, so that it can go on from "
    "your summary alone. Keep names, numbers, decisions and open questions. Answer with the "
    "summary only.";

class Unseen : public DeltaSink {
  void delta(std::string_view) override {}
};

Task<Result<AgentReply>> run_unseen(Agent* agent, TurnRequest request) {
  Unseen sink;
  co_return co_await guarded("the agent", agent->run(std::move(request), sink));
}

}  // namespace

Task<void> Turns::summarise(Lane* lane) {
  const Channel* channel = lane->account->channel.get();
  const auto found =
      channel == nullptr ? core_.agents.end() : core_.agents.find(channel->account().summary_agent);
  if (found != core_.agents.end() && found->second->agent != nullptr) {
    RegisteredAgent* agent = found->second.get();
    const HistoryId from = lane->committed_head;
    const HistoryId after = core_.head(*lane).session_start;
    Result<HistoryWindow> window =
        co_await core_.store.read<HistoryWindow>([from, after](StoreReader& reader) {
          return read_window(reader, from, after, HistoryBounds{kLinesMax, kBytesMax, 0});
        });
    // The newest ones stay as they are: half of a window.
    const std::size_t keep = core_.options.history_messages / 2;
    if (window && window->lines.size() > keep + 1) {
      window->lines.resize(window->lines.size() - keep);
      co_await summarise_with(lane, agent, std::move(window->lines));
    }
  }
  lane->summarising = false;
  --lane->users;
  core_.pump(*lane);
}

Task<void> Turns::summarise_with(Lane* lane, RegisteredAgent* agent,
                                 std::vector<HistoryRow> lines) {
  if (agent->slots.running >= agent->slots.max) co_return;  // after the next turn, then
  const std::shared_ptr<Agent> shared = agent->agent;       // a reload may replace it meanwhile
  if (shared == nullptr) co_return;
  auto message = std::make_shared<MessageRow>();
  message->id = MessageId{core_.next_id()};
  message->lane = lane->id;
  message->accepted_at = core_.now();
  message->text = kTask;
  for (const HistoryRow& line : lines) {
    const bool person = line.kind == HistoryKind::kPerson;
    message->text.append(person ? "\n\nPerson: " : "\n\nAgent: ").append(line.text);
  }
  TurnRequest request;
  request.turn = TurnId{core_.next_id()};
  request.request_id = fmt::format("summary-{}", request.turn.value);
  request.account = lane->account->row.name;
  request.session = request.request_id;
  request.messages.push_back(std::move(message));
  ++agent->slots.running;
  const milliseconds limit = std::min(core_.options.turn_timeout, shared->info().timeout);
  auto outcome = co_await run_until(core_.loop, run_unseen(shared.get(), std::move(request)),
                                    core_.loop.now() + limit);
  --agent->slots.running;
  lanes_.grant_slots();
  const bool answered = outcome.ended == Ended::kDone && outcome.value->has_value() &&
                        !outcome.value->value().text.empty() &&
                        is_utf8(outcome.value->value().text);
  if (!answered) {
    core_.log.warn("summary_failed", {{"lane", lane->id.value}});
    co_return;
  }
  std::string text = std::move(outcome.value->value().text);
  text.resize(utf8_floor(text, std::min(text.size(), kSummaryBytes)));
  const HistoryId before = core_.head(*lane).head;
  Transaction t;
  HistoryRow& line = core_.add_history(t.changes, *lane, HistoryKind::kSummary, std::move(text));
  line.meta = summary_meta(lines.back().id);
  const HistoryId last = line.id;
  const Result<Receipt> receipt = co_await core_.store.commit(std::move(t));
  if (receipt) {
    lane->committed_head = std::max(lane->committed_head, last);
  } else {
    core_.rewind(*lane, before);
  }
  core_.log.info("summarised", {{"lane", lane->id.value}, {"lines", lines.size()}});
}

}  // namespace sluice
