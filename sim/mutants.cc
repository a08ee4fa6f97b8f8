#include "sim/mutants.h"

#include <array>

namespace sluice {
namespace {
Mutant chosen = Mutant::kNone;
}
bool mutant(Mutant m) { return chosen == m; }
void choose_mutant(Mutant m) { chosen = m; }
}  // namespace sluice

namespace sluice::sim {
namespace {

constexpr std::array kMutants = {
    MutantInfo{Mutant::kAcknowledgeBeforeCommit, "acknowledge-before-commit", "C1"},
    MutantInfo{Mutant::kSynchronousOff, "synchronous-off", "C1 C25"},
    MutantInfo{Mutant::kNoDedupe, "no-dedupe", "C3"},
    MutantInfo{Mutant::kDedupeAfterTurn, "dedupe-after-turn", "C3"},
    MutantInfo{Mutant::kPruneLiveKeys, "prune-live-keys", "C3"},
    MutantInfo{Mutant::kTwoTurnsInALane, "two-turns-in-a-lane", "C5"},
    MutantInfo{Mutant::kIgnoreGap, "ignore-gap", "C5"},
    MutantInfo{Mutant::kEditAppends, "edit-appends", "C6"},
    MutantInfo{Mutant::kNoPersonLimit, "no-person-limit", "C7"},
    MutantInfo{Mutant::kAcceptEverybody, "accept-everybody", "C8"},
    MutantInfo{Mutant::kControlWaits, "control-waits", "C9"},
    MutantInfo{Mutant::kMergedStayPending, "merged-stay-pending", "C10 C17"},
    MutantInfo{Mutant::kAttemptChargedLate, "attempt-charged-late", "C11"},
    MutantInfo{Mutant::kPartsAfterTurn, "parts-after-turn", "C12"},
    MutantInfo{Mutant::kIgnoreOnInterrupt, "ignore-on-interrupt", "C13"},
    MutantInfo{Mutant::kAttemptsUnbounded, "attempts-unbounded", "C13"},
    MutantInfo{Mutant::kSuspectsTogether, "suspects-together", "C14"},
    MutantInfo{Mutant::kParkInMemory, "park-in-memory", "C15"},
    MutantInfo{Mutant::kStopForgetsText, "stop-forgets-text", "C16"},
    MutantInfo{Mutant::kStopInMemory, "stop-in-memory", "C16"},
    MutantInfo{Mutant::kSilentFailure, "silent-failure", "C17"},
    MutantInfo{Mutant::kNoClaim, "no-claim", "C18"},
    MutantInfo{Mutant::kUnknownIsSent, "unknown-is-sent", "C19"},
    MutantInfo{Mutant::kUnknownIsRepeated, "unknown-is-repeated", "C19"},
    MutantInfo{Mutant::kSendTwice, "send-twice", "C20 C19"},
    MutantInfo{Mutant::kPartsOutOfOrder, "refused-part-leaves-the-rest", "C21"},
    MutantInfo{Mutant::kRefusedHoldsLane, "refused-holds-the-lane", "C21"},
    MutantInfo{Mutant::kIgnoreFloodWait, "ignore-flood-wait", "C23"},
    MutantInfo{Mutant::kNoExpiry, "no-expiry", "C24"},
    MutantInfo{Mutant::kExpireSilently, "expire-silently", "C24"},
    MutantInfo{Mutant::kExpireByJump, "expire-by-jump", "C29"},
    MutantInfo{Mutant::kForgetCalls, "forget-calls", "C26"},
    MutantInfo{Mutant::kTrustEarlyKeys, "trust-early-keys", "C3"},
    MutantInfo{Mutant::kFsyncErrorIgnored, "fsync-error-ignored", "C28"},
    MutantInfo{Mutant::kIntakeOnFullDisk, "intake-on-full-disk", "C28"},
    MutantInfo{Mutant::kSendWhileHeld, "send-while-held", "C30"},
    MutantInfo{Mutant::kEraseKeepsText, "erase-keeps-text", "C31"},
    MutantInfo{Mutant::kDropSilently, "drop-silently", "C32"},
};
static_assert(kMutants.size() + 1 == static_cast<std::size_t>(Mutant::kCount));

}  // namespace

std::span<const MutantInfo> all_mutants() { return kMutants; }

const MutantInfo* find_mutant(std::string_view name) {
  for (const MutantInfo& info : kMutants) {
    if (info.name == name) return &info;
  }
  return nullptr;
}

}  // namespace sluice::sim
