#include "gateway/settle.h"

#include <algorithm>

#include "base/mutant.h"

namespace sluice {
namespace {

std::chrono::milliseconds backoff(std::uint32_t tries, const CoreOptions& options, double jitter) {
  const auto doubled = options.send_backoff.count() << std::min(tries, 20u);
  const auto capped = std::min<std::int64_t>(doubled, options.send_backoff_max.count());
  // Two-sided: half to whole of the step, so that many parts that failed together do not return
  // together.
  return std::chrono::milliseconds(
      capped / 2 + static_cast<std::int64_t>(jitter * static_cast<double>(capped) / 2));
}

}  // namespace

UnknownRule unknown_rule(const PartRow& part, const Capabilities& can, UnixMillis now,
                         bool looked_back) {
  if (can.idempotency_window.count() > 0 && now - part.claimed_at < can.idempotency_window) {
    return UnknownRule::kRepeatWithKey;
  }
  if (can.can_look_back && !looked_back) return UnknownRule::kLookBack;
  return part.duplicate ? UnknownRule::kGiveUp : UnknownRule::kRepeatLabelled;
}

Settlement settle(const PartRow& part, const SendOutcome& outcome, const Capabilities& can,
                  const CoreOptions& options, UnixMillis now, double jitter) {
  Settlement s;
  s.row.id = part.id;
  s.row.at = now;
  s.row.reason = outcome.reason;
  s.row.plain = part.plain;
  s.row.duplicate = part.duplicate;
  s.row.tries = part.tries + 1;
  const auto again = [&](UnixMillis when) {
    s.row.outcome = PartOutcome::kAgain;
    s.row.not_before = when;
  };
  const auto refused = [&] {
    if (mutant(Mutant::kRefusedHoldsLane)) {
      again(now + std::chrono::hours(1));
      return;
    }
    s.row.outcome = PartOutcome::kDead;
    s.drop_rest_of_reply = !mutant(Mutant::kPartsOutOfOrder);
  };
  switch (outcome.what) {
    case SendOutcome::What::kSent:
      s.row.outcome = PartOutcome::kSent;
      s.row.platform_id = outcome.platform_id;
      break;
    case SendOutcome::What::kNotSent:
      again(now + backoff(part.tries, options, jitter));
      break;
    case SendOutcome::What::kRateLimited:
      again(mutant(Mutant::kIgnoreFloodWait) ? now : now + outcome.wait);
      if (outcome.whole_account && !mutant(Mutant::kIgnoreFloodWait))
        s.account_not_before = now + outcome.wait;
      break;
    case SendOutcome::What::kRefused:
      refused();
      break;
    case SendOutcome::What::kRefusedFormat:
      if (part.plain) {
        refused();
      } else {
        again(now);
        s.row.plain = true;
      }
      break;
    case SendOutcome::What::kAccountRefused:
      again(now);
      s.park_account = true;
      break;
    case SendOutcome::What::kUnknown:
      if (mutant(Mutant::kUnknownIsSent)) {
        s.row.outcome = PartOutcome::kSent;
        break;
      }
      switch (unknown_rule(part, can, now, true)) {
        case UnknownRule::kRepeatWithKey:
          again(now + backoff(part.tries, options, jitter));
          break;
        case UnknownRule::kLookBack:
        case UnknownRule::kRepeatLabelled:
          again(now + backoff(part.tries, options, jitter));
          s.row.duplicate = !mutant(Mutant::kUnknownIsRepeated);
          break;
        case UnknownRule::kGiveUp:
          s.row.outcome = PartOutcome::kDead;
          s.row.reason = "outcome unknown twice: " + outcome.reason;
          // It probably arrived: the rest of the reply is worth having.
          break;
      }
      break;
  }
  return s;
}

}  // namespace sluice
