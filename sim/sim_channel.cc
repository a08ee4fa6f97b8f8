#include "sim/sim_channel.h"

#include <algorithm>

namespace sluice::sim {

Task<Result<void>> SimChannel::start(ChannelHost& host) {
  host_ = &host;
  co_return Result<void>();
}

Task<void> SimChannel::stop() {
  tasks_.cancel();
  co_return;
}

void SimChannel::deliver(std::size_t event) { deliver_body({event}); }

void SimChannel::deliver_body(std::vector<std::size_t> events) {
  tasks_.spawn("deliver", accept(std::move(events)));
}

Task<void> SimChannel::accept(std::vector<std::size_t> events) {
  std::vector<InboundMessage> body;
  for (std::size_t i : events) {
    ++outside_.events[i].deliveries;
    body.push_back(outside_.events[i].message);
  }
  const int process = outside_.process;
  // What a "/stop" among them is about, if it is in this conversation.
  std::vector<std::size_t> running;
  for (std::size_t i = 0; i < outside_.calls.size(); ++i) {
    if (!outside_.calls[i].ended) running.push_back(i);
  }
  const Result<std::vector<Accepted>> result =
      co_await host_->accept(std::move(body), std::nullopt);
  if (process != outside_.process) co_return;
  for (std::size_t k = 0; k < events.size(); ++k) {
    SentEvent& sent = outside_.events[events[k]];
    if (!result) {
      // Told that it was not taken: it comes again.
      sent.due = loop_.now() + milliseconds(loop_.random().between(200, 3'000));
      if (result.error().kind() == ErrorKind::kInvalidArgument ||
          result.error().kind() == ErrorKind::kTooLarge) {
        sent.refused = true;
        sent.due = MonoTime::max();
      }
      continue;
    }
    const Accepted& accepted = (*result)[k];
    if (accepted.refused_by_access) {
      outside_.saw("C8");
      if (!sent.outsider) outside_.violated("C8", "an allowed sender was kept out");
      sent.refused = true;
      sent.due = MonoTime::max();
      continue;
    }
    if (sent.outsider) outside_.violated("C8", "somebody who is not allowed was accepted");
    if (sent.acknowledged) {
      if (accepted.id != sent.id) {
        outside_.violated("C3", "event " + std::to_string(sent.n) + " was accepted twice, as " +
                                    std::to_string(sent.id.value) + " and " +
                                    std::to_string(accepted.id.value));
      } else {
        outside_.saw("C3");
      }
    }
    if (sent.message.text == "/stop" && accepted.verdict == EventVerdict::kNew) {
      for (const std::size_t i : running) {
        const AgentCall& call = outside_.calls[i];
        if (call.lane != accepted.lane || call.completed) continue;
        outside_.stopped.push_back(call.turn);
        outside_.stop_acknowledged = true;
      }
    }
    if (!sent.acknowledged) {
      sent.acknowledged_at = loop_.now();
      if (outside_.disk_is_low && accepted.verdict == EventVerdict::kNew) {
        outside_.violated("C28", "event " + std::to_string(sent.n) +
                                     " was accepted on a nearly full disk at " +
                                     std::to_string(static_cast<double>(loop_.now().ns) / 1e9));
      }
    }
    sent.acknowledged = true;
    sent.id = accepted.id;
    sent.lane = accepted.lane;
    sent.due = MonoTime::max();
    // Platforms deliver again although they were answered.
    if (sent.extra < 2 && loop_.random().percent(15)) {
      ++sent.extra;
      sent.due = loop_.now() + milliseconds(loop_.random().between(0, 4'000));
    }
  }
}

void SimChannel::arrive(const SendRequest& request) {
  Arrival arrival;
  arrival.account = info_.name;
  arrival.chat = request.chat;
  arrival.part = request.part;
  arrival.turn = request.turn;
  arrival.n = request.n;
  arrival.kind = request.kind;
  arrival.text = request.text;
  arrival.key = request.idempotency_key;
  arrival.labelled = request.possible_duplicate;
  arrival.process = outside_.process;
  arrival.at = loop_.now();
  if (info_.can.idempotency_window.count() > 0) {
    arrival.dropped_by_key =
        std::any_of(outside_.arrivals.begin(), outside_.arrivals.end(), [&](const Arrival& a) {
          return a.account == info_.name && a.key == request.idempotency_key &&
                 loop_.now() - a.at < info_.can.idempotency_window + milliseconds(60'000);
        });
  }
  outside_.arrivals.push_back(std::move(arrival));
}

Task<SendOutcome> SimChannel::send(SendRequest request) {
  using What = SendOutcome::What;
  if (on_send) on_send(request);
  Random& random = loop_.random();
  const std::uint64_t luck = outside_.calm ? 99 : random.below(100);
  if (random.percent(60)) co_await sleep_for(loop_, milliseconds(random.between(1, 300)));
  if (luck < 4) co_return SendOutcome::of(What::kNotSent, "connection refused");
  if (luck < 8) {
    SendOutcome limited = SendOutcome::of(What::kRateLimited, "slow down");
    limited.wait = milliseconds(random.between(1'000, 20'000));
    limited.whole_account = random.percent(30);
    outside_.waits.push_back(FloodWait{info_.name, limited.whole_account ? PartId{} : request.part,
                                       loop_.now(), loop_.now() + limited.wait, outside_.process});
    outside_.saw("C23");
    co_return limited;
  }
  if (luck < 11) {
    outside_.refused.push_back({request.part, outside_.process});
    outside_.saw("C21");
    co_return SendOutcome::of(What::kRefused, "blocked by the person");
  }
  if (luck < 13) {
    if (request.plain) outside_.refused.push_back({request.part, outside_.process});
    co_return SendOutcome::of(What::kRefusedFormat, "can't parse entities");
  }
  if (luck < 14) {
    co_return SendOutcome::of(What::kAccountRefused, "token revoked");
  }
  if (luck < 18) {
    outside_.saw("C19");
    co_return SendOutcome::of(What::kUnknown, "connection reset before anything arrived");
  }
  arrive(request);
  if (random.percent(50)) co_await sleep_for(loop_, milliseconds(random.between(1, 300)));
  if (luck < 23) {
    outside_.saw("C19");
    co_return SendOutcome::of(What::kUnknown, "connection reset while waiting for the answer");
  }
  if (luck < 24) {
    Event never(loop_);
    co_await never.wait();
  }
  co_return SendOutcome::sent("p" + std::to_string(outside_.arrivals.size()));
}

Task<Result<std::optional<std::string>>> SimChannel::find_sent(SendRequest request) {
  co_await sleep_for(loop_, milliseconds(loop_.random().between(1, 100)));
  for (const Arrival& arrival : outside_.arrivals) {
    if (arrival.account == info_.name && arrival.part == request.part) {
      co_return std::optional<std::string>("found");
    }
  }
  co_return std::optional<std::string>();
}

}  // namespace sluice::sim
