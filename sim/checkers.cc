// What must hold when everything has come to rest.

#include <algorithm>
#include <map>
#include <set>

#include <fmt/core.h>

#include "sim/world.h"

namespace sluice::sim {
namespace {

class Checks {
 public:
  Checks(Outside& outside, StoreReader& reader, const std::vector<ChannelInfo>& channels,
         Gateway& gateway)
      : outside_(outside), reader_(reader), channels_(channels), gateway_(gateway) {}

  void run() {
    rest();
    for (const SentEvent& event : outside_.events) {
      if (event.acknowledged) accepted(event);
    }
    order_of_turns();
    arrivals();
    refusals();
    promises();
  }

 private:
  bool pulls(const std::string& account) const {
    for (const ChannelInfo& info : channels_) {
      if (info.name == account) return info.can.pull;
    }
    return false;
  }
  std::vector<HistoryRow> log_of(LaneId lane) {
    const HistoryId head = gateway_.head(lane);
    const auto rows = reader_.history(head, HistoryId{}, 100'000, 1 << 30);
    return rows ? *rows : std::vector<HistoryRow>();
  }
  std::vector<const AgentCall*> calls_for(MessageId id) const {
    std::vector<const AgentCall*> found;
    for (const AgentCall& call : outside_.calls) {
      if (std::find(call.messages.begin(), call.messages.end(), id) != call.messages.end())
        found.push_back(&call);
    }
    return found;
  }

  /// Everything accepted has ended; nothing is left over.
  void rest() {
    const GatewayStatus status = gateway_.status();
    for (const SentEvent& event : outside_.events) {
      if (!event.acknowledged && !event.refused) {
        outside_.violated("C17", fmt::format("event {} was never taken", event.n));
      }
    }
    if (status.pending > 0 || !status.running.empty() || status.asking > 0) {
      outside_.violated("C17", fmt::format("{} messages never came to an end", status.pending));
    }
    if (status.outbox > 0)
      outside_.violated("C21", fmt::format("{} parts are stuck", status.outbox));
  }

  void accepted(const SentEvent& event) {
    outside_.saw("C1");
    outside_.saw("C32");
    const auto life = reader_.life(event.id);
    if (!life || !*life) {
      outside_.violated("C1", fmt::format("event {} was acknowledged as {} and is gone", event.n,
                                          event.id.value));
      return;
    }
    const MessageLife& l = **life;
    if (l.pending) {
      const bool merged = [&] {
        for (const AgentCall* call : calls_for(event.id)) {
          if (call->messages.size() > 1) return true;
        }
        return false;
      }();
      outside_.violated(merged ? "C10" : "C17", fmt::format("event {} is still pending", event.n));
      return;
    }
    for (const AgentCall* call : calls_for(event.id)) {
      if (call->messages.size() > 1) outside_.saw("C10");
    }
    if (event.control) {
      control(event, l);
    } else if (event.message.kind == EventKind::kMessage) {
      expiry(event, l);
      visible(event, l);
    } else {
      change(event, l);
    }
  }

  void control(const SentEvent& event, const MessageLife& life) {
    outside_.saw("C9");
    if (life.end.outcome != MessageOutcome::kHandled &&
        life.end.outcome != MessageOutcome::kExpired) {
      outside_.violated("C9", fmt::format("command {} ended as {}", event.message.text,
                                          to_string(life.end.outcome)));
    }
    const bool in_lane = event.message.text == "/new";
    if (!in_lane && life.end.ended_at != life.end.accepted_at) {
      outside_.violated("C9", fmt::format("command {} waited", event.message.text));
    }
    if (!pulls(event.account) && life.parts.empty()) {
      outside_.violated("C9", fmt::format("command {} has no answer", event.message.text));
    }
  }

  void expiry(const SentEvent& event, const MessageLife& life) {
    const bool expired = life.end.outcome == MessageOutcome::kExpired;
    if (event.old) outside_.saw("C24");
    if (expired && !event.old) {
      outside_.violated(outside_.jumped ? "C29" : "C24",
                        fmt::format("event {} expired although it was fresh", event.n));
    }
    if (event.old && !expired && !outside_.jumped && !calls_for(event.id).empty()) {
      outside_.violated("C24", fmt::format("event {} is a day old and was answered", event.n));
    }
    if (!expired) return;
    bool told = false;
    for (const HistoryRow& row : log_of(event.lane)) {
      told = told ||
             (row.kind == HistoryKind::kNotice && row.text.find("too old") != std::string::npos);
    }
    if (!told)
      outside_.violated("C24", fmt::format("event {} expired and nobody was told", event.n));
  }

  /// C12, C16, C17: what the person can see of it.
  void visible(const SentEvent& event, const MessageLife& life) {
    const MessageOutcome outcome = life.end.outcome;
    if (outcome == MessageOutcome::kExpired || outcome == MessageOutcome::kWithdrawn) return;
    outside_.saw("C17");
    std::string agent_text;
    bool notice = false;
    bool cut = false;
    for (const HistoryRow& row : log_of(event.lane)) {
      if (row.turn != life.end.turn || !row.turn) continue;
      if (row.kind == HistoryKind::kAgent) {
        agent_text = row.text;
        cut = row.cut;
      }
      notice = notice || row.kind == HistoryKind::kNotice;
    }
    if (agent_text.empty() && !notice) {
      outside_.violated("C17", fmt::format("event {} ended as {} and nothing was said", event.n,
                                           to_string(outcome)));
    }
    if (outcome == MessageOutcome::kAnswered && agent_text.find("re ") != 0 && !cut) {
      outside_.violated("C12", fmt::format("event {} has the answer \"{}\"", event.n, agent_text));
    }
    if (!pulls(event.account)) {
      const bool has_parts =
          std::any_of(life.parts.begin(), life.parts.end(),
                      [&](const MessageLife::Part& p) { return p.row.turn == life.end.turn; });
      if (!has_parts)
        outside_.violated("C12", fmt::format("event {} ended without its parts", event.n));
    }
    if (outcome == MessageOutcome::kStopped) {
      const auto calls = calls_for(event.id);
      if (calls.empty()) return;
      const std::string& streamed = calls.back()->streamed;
      // What an earlier process streamed went with it: the stop may have come after its end.
      if (streamed.empty() || calls.back()->process != outside_.process) return;
      outside_.saw("C16");
      if (agent_text.find(streamed) != 0) {
        outside_.violated("C16", fmt::format("event {} was stopped and \"{}\" became \"{}\"",
                                             event.n, streamed, agent_text));
      }
      if (!cut) outside_.violated("C16", fmt::format("event {} is not marked as cut off", event.n));
    }
  }

  void change(const SentEvent& event, const MessageLife& life) {
    const SentEvent& original = outside_.events[static_cast<std::size_t>(event.after)];
    const auto calls = calls_for(original.id);
    if (life.end.outcome == MessageOutcome::kReplaced) {
      outside_.saw("C6");
      for (const AgentCall* call : calls) {
        if (call->at > event.acknowledged_at &&
            std::find(call->texts.begin(), call->texts.end(), event.message.text) ==
                call->texts.end() &&
            std::count_if(outside_.events.begin(), outside_.events.end(),
                          [&](const SentEvent& e) { return e.after == event.after; }) == 1) {
          outside_.violated("C6", fmt::format("message {} ran with the text from before edit {}",
                                              original.n, event.n));
        }
      }
      return;
    }
    if (event.message.kind == EventKind::kDelete) {
      const auto target = reader_.life(original.id);
      if (target && *target && (*target)->end.outcome == MessageOutcome::kWithdrawn &&
          !calls.empty()) {
        outside_.violated("C6", fmt::format("message {} was withdrawn and ran", original.n));
      }
    }
    // An event of its own: then its message had started, or had ended, before.
    const bool started = std::any_of(calls.begin(), calls.end(), [&](const AgentCall* call) {
      // An attempt that the crash took before the agent was called has started too.
      return call->at <= event.acknowledged_at || call->attempt > 1;
    });
    const auto target = reader_.life(original.id);
    // A turn that the crash took before its agent was called, and that its rule does not run again.
    const bool begun =
        target && *target && (*target)->end.turn && (*target)->end.turn.value < event.id.value;
    const bool ended = target && *target && !(*target)->pending &&
                       (calls.empty() || (*target)->end.outcome == MessageOutcome::kWithdrawn);
    if (!started && !begun && !ended && event.message.kind == EventKind::kEdit) {
      outside_.violated(
          "C6", fmt::format("edit {} did not replace message {}, which had not started", event.n,
                            original.n));
    }
  }

  /// C5: first attempts start in the order of acceptance, or in the platform's own where it counts.
  void order_of_turns() {
    std::map<LaneId, std::vector<const AgentCall*>> lanes;
    for (const AgentCall& call : outside_.calls) {
      if (call.attempt == 1) lanes[call.lane].push_back(&call);
    }
    std::map<MessageId, const SentEvent*> events;
    for (const SentEvent& event : outside_.events) {
      if (event.acknowledged) events[event.id] = &event;
    }
    for (const auto& [lane, calls] : lanes) {
      for (const AgentCall* call : calls) {
        for (std::size_t k = 1; k < call->messages.size(); ++k) {
          const auto a = events.find(call->messages[k - 1]);
          const auto b = events.find(call->messages[k]);
          if (a != events.end() && b != events.end()) gap(*a->second, *b->second, *call, *call);
        }
      }
      for (std::size_t i = 1; i < calls.size(); ++i) {
        outside_.saw("C5");
        const auto a = events.find(calls[i - 1]->messages.back());
        const auto b = events.find(calls[i]->messages.front());
        if (a == events.end() || b == events.end()) continue;
        compare(*a->second, *b->second);
        if (!late(*b->second)) gap(*a->second, *b->second, *calls[i - 1], *calls[i]);
      }
    }
  }
  void compare(const SentEvent& first, const SentEvent& second) {
    const bool ordered = first.message.order && second.message.order;
    const bool inverted =
        ordered ? *second.message.order < *first.message.order : second.id < first.id;
    if (!inverted) return;
    // What came after a successor had started is late: it runs in the order of arrival. Ids ascend
    // in the order in which messages came and turns began.
    if (!late(second))
      outside_.violated("C5", fmt::format("event {} ran before event {}", first.n, second.n));
  }
  bool late(const SentEvent& event) const {
    // One that expired when its turn came was called by nobody, and yet it was the successor's
    // turn.
    for (const SentEvent& e : outside_.events) {
      const bool successor =
          e.message.order && event.message.order && *e.message.order > *event.message.order;
      if (!successor || e.lane != event.lane) continue;
      if (e.old && e.id < event.id) return true;
      // Nor is one called that was stopped, or interrupted, before its agent was.
      const std::int64_t at = began(e);
      if (at != 0 && at < event.id.value + 8) return true;
    }
    return event.message.order &&
           std::any_of(outside_.calls.begin(), outside_.calls.end(), [&](const AgentCall& call) {
             return call.lane == event.lane && call.turn.value < event.id.value + 8 &&
                    std::any_of(
                        outside_.events.begin(), outside_.events.end(),
                        [&](const SentEvent& e) {
                          return e.message.order && *e.message.order > *event.message.order &&
                                 std::find(call.messages.begin(), call.messages.end(), e.id) !=
                                     call.messages.end();
                        });
           });
  }
  /// The id of the turn that it ended with, or of its line if it expired; 0: it has not ended.
  std::int64_t began(const SentEvent& event) const {
    const auto life = reader_.life(event.id);
    if (!life || !*life) return 0;
    const MessageEnd& end = (*life)->end;
    return end.turn ? end.turn.value : end.history.value;
  }
  /// Whether something that comes after the missing one had begun already: then it would be late in
  /// any case, and nothing was left to wait for.
  bool passed_by(const SentEvent& missing, const AgentCall& next) const {
    return std::any_of(outside_.events.begin(), outside_.events.end(), [&](const SentEvent& e) {
      if (e.lane != next.lane || !e.message.order || *e.message.order <= *missing.message.order)
        return false;
      const std::int64_t at = began(e);
      return at != 0 && at < next.turn.value;
    });
  }
  /// Whether the process had taken something in its order before: what came late tells nothing of
  /// the conversation's place, and what an earlier process knew of it is not stored.
  bool knew_place(const AgentCall& next) const {
    return std::any_of(outside_.calls.begin(), outside_.calls.end(), [&](const AgentCall& call) {
      return call.lane == next.lane && call.process == next.process && call.turn < next.turn &&
             std::any_of(
                 outside_.events.begin(), outside_.events.end(),
                 [&](const SentEvent& e) {
                   return e.message.order && !late(e) &&
                          std::find(call.messages.begin(), call.messages.end(), e.id) !=
                              call.messages.end();
                 });
    });
  }
  void gap(const SentEvent& first, const SentEvent& second, const AgentCall& a,
           const AgentCall& b) {
    if (!first.message.order || !second.message.order || a.process != b.process) return;
    if (*second.message.order <= *first.message.order + 1) return;
    // A turn after a known gap starts only when the window has passed, or the missing one was not
    // to come. What was in the store already (a /stop may have taken it) was not missing.
    bool missing_came = false;
    for (const SentEvent& e : outside_.events) {
      if (e.id.value > b.turn.value && e.account == second.account &&
          e.message.chat == second.message.chat && e.message.order &&
          *e.message.order > *first.message.order && *e.message.order < *second.message.order &&
          e.acknowledged && e.acknowledged_at > b.at &&
          e.acknowledged_at - b.at < milliseconds(150) && !passed_by(e, b)) {
        missing_came = true;
      }
    }
    const bool hurried =
        b.at - second.acknowledged_at < milliseconds(140) && b.at - a.at < milliseconds(140);
    if (missing_came && hurried && knew_place(b)) {
      outside_.violated("C5", fmt::format("event {} did not wait for the one before it", second.n));
    }
  }

  /// C15: an answer that was taken is the turn's answer.
  void promises() {
    for (const Promise& promise : outside_.promises) {
      if (!promise.taken) continue;
      bool said = false;
      for (const AgentCall& call : outside_.calls) {
        if (call.turn != promise.turn) continue;
        for (const HistoryRow& row : log_of(call.lane)) {
          said = said || (row.turn == promise.turn && row.kind == HistoryKind::kAgent &&
                          row.text == promise.text);
        }
      }
      if (!said) {
        outside_.violated("C15", fmt::format("the answer to turn {} was taken and is not there",
                                             promise.turn.value));
      }
    }
  }

  /// C18 to C21: what reached the platforms.
  void arrivals() {
    std::map<PartId, std::vector<const Arrival*>> by_part;
    std::map<std::string, PartId> newest;
    for (const Arrival& arrival : outside_.arrivals) {
      auto& earlier = by_part[arrival.part];
      if (!arrival.dropped_by_key) {
        for (const Arrival* before : earlier) {
          if (before->dropped_by_key) continue;
          if (arrival.labelled) {
            outside_.saw("C19");
            continue;
          }
          outside_.violated(
              before->process == arrival.process && !was_unknown(arrival.part) ? "C20" : "C19",
              fmt::format("part {} arrived again without a label", arrival.part.value));
        }
        if (earlier.empty() && arrival.kind == PartKind::kReply) {
          outside_.saw("C21");
          PartId& last = newest[arrival.account + "/" + arrival.chat];
          if (arrival.part < last) {
            outside_.violated(
                "C21", fmt::format("part {} overtook part {}", last.value, arrival.part.value));
          }
          last = std::max(last, arrival.part);
        }
      }
      earlier.push_back(&arrival);
      outside_.saw("C20");
    }
    for (const SentEvent& event : outside_.events) {
      if (!event.acknowledged || pulls(event.account)) continue;
      const auto life = reader_.life(event.id);
      if (!life || !*life) continue;
      for (const MessageLife::Part& part : (*life)->parts) {
        if (!part.settled) {
          outside_.violated("C19", fmt::format("part {} is not settled", part.row.id.value));
        } else if (part.settled->outcome == PartOutcome::kSent && !by_part.contains(part.row.id)) {
          outside_.violated(
              "C19", fmt::format("part {} counts as sent and never arrived", part.row.id.value));
        }
      }
    }
  }
  bool was_unknown(PartId part) const {
    // The platform told the daemon nothing about an earlier try: then C19's rule is at stake, not
    // C20's.
    return std::count_if(outside_.arrivals.begin(), outside_.arrivals.end(),
                         [&](const Arrival& a) { return a.part == part; }) > 2;
  }

  /// C21, C32: a part refused for good takes the rest of its reply with it, and the person gets a
  /// word.
  void refusals() {
    for (const auto& [refused, heard_by] : outside_.refused) {
      const SentEvent* event = nullptr;
      std::vector<MessageLife::Part> parts;
      TurnId turn;
      for (const SentEvent& e : outside_.events) {
        if (!e.acknowledged || pulls(e.account)) continue;
        const auto life = reader_.life(e.id);
        if (!life || !*life) continue;
        for (const MessageLife::Part& part : (*life)->parts) {
          if (part.row.id == refused) {
            event = &e;
            parts = (*life)->parts;
            turn = part.row.turn;
          }
        }
      }
      if (event == nullptr || !turn) continue;
      const auto it = std::find_if(parts.begin(), parts.end(),
                                   [&](const auto& p) { return p.row.id == refused; });
      // A refusal that died with the process which heard it is an outcome that nobody knows (C19).
      if (!it->settled || it->settled->outcome != PartOutcome::kDead ||
          it->row.kind != PartKind::kReply ||
          it->settled->reason.find("outcome unknown") != std::string::npos)
        continue;
      bool told = false;
      for (const MessageLife::Part& part : parts) {
        told = told || (part.row.kind == PartKind::kNotice && part.row.id != refused);
        const bool later =
            part.row.turn == turn && part.row.kind == PartKind::kReply && part.row.n > it->row.n;
        if (later && part.settled && part.settled->outcome == PartOutcome::kSent) {
          outside_.violated(
              "C21", fmt::format("part {} was sent although part {} of its reply was refused",
                                 part.row.id.value, refused.value));
        }
      }
      if (!told)
        outside_.violated(
            "C32", fmt::format("part {} was refused and the person got no word", refused.value));
    }
  }

  Outside& outside_;
  StoreReader& reader_;
  const std::vector<ChannelInfo>& channels_;
  Gateway& gateway_;
};

}  // namespace

void check_at_rest(Outside& outside, StoreReader& reader, const std::vector<ChannelInfo>& channels,
                   Gateway& gateway) {
  Checks(outside, reader, channels, gateway).run();
}

void check_erasure(Outside& outside, SqliteEngine& engine, LossyDisk& disk,
                   const std::string& account, const std::string& person) {
  // Others' accounts keep their own rows about a person of the same name: the texts are told apart
  // by account.
  const auto report = engine.erase_person(account, person);
  if (!report) {
    outside.violated("C31", "erasing failed: " + report.error().to_string());
    return;
  }
  std::set<std::string> texts;
  for (const SentEvent& event : outside.events) {
    if (event.account == account && event.message.sender == person && !event.message.text.empty() &&
        !event.control) {
      texts.insert(event.message.text);
    }
  }
  for (const std::string& file : disk.files()) {
    const auto content = disk.content(file);
    if (!content) continue;
    for (const std::string& text : texts) {
      if (content->find(text) != std::string::npos) {
        outside.violated("C31", fmt::format("\"{}\" is still in {}", text, file));
      }
    }
  }
}

}  // namespace sluice::sim
