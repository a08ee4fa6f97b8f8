#pragma once
// Deliberate faults for the simulation. Each breaks one sentence of the contract, and a checker
// must catch it. They exist only in the simulation's own copy of the core (built with
// SLUICE_MUTANTS); everywhere else mutant() is a constant false and the compiler removes the fault.

#include <cstdint>

namespace sluice {

enum class Mutant : std::uint8_t {
  kNone,
  kAcknowledgeBeforeCommit,  // C1
  kSynchronousOff,           // C1, C25
  kNoDedupe,                 // C3
  kDedupeAfterTurn,          // C3
  kPruneLiveKeys,            // C4
  kTwoTurnsInALane,          // C5
  kIgnoreGap,                // C5
  kEditAppends,              // C6
  kNoPersonLimit,            // C7
  kAcceptEverybody,          // C8
  kControlWaits,             // C9
  kMergedStayPending,        // C10
  kAttemptChargedLate,       // C11
  kPartsAfterTurn,           // C12
  kIgnoreOnInterrupt,        // C13
  kAttemptsUnbounded,        // C13
  kSuspectsTogether,         // C14
  kStopForgetsText,          // C16
  kParkInMemory,             // C15
  kStopInMemory,             // C16
  kSilentFailure,            // C17
  kNoClaim,                  // C18
  kUnknownIsSent,            // C19
  kUnknownIsRepeated,        // C19: without the label
  kSendTwice,                // C20
  kPartsOutOfOrder,          // C21
  kRefusedHoldsLane,         // C21
  kIgnoreFloodWait,          // C23
  kNoExpiry,                 // C24
  kExpireSilently,           // C24
  kExpireByJump,             // C29
  kForgetCalls,              // C26
  kTrustEarlyKeys,           // C3
  kFsyncErrorIgnored,        // C28
  kIntakeOnFullDisk,         // C28
  kSendWhileHeld,            // C30
  kEraseKeepsText,           // C31
  kDropSilently,             // C32
  kCount,
};

#ifdef SLUICE_MUTANTS
bool mutant(Mutant m);
void choose_mutant(Mutant m);
#else
constexpr bool mutant(Mutant) { return false; }
#endif

}  // namespace sluice
