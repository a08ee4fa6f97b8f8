#pragma once
// What the process asks of the operating system before it does anything else, and its exit codes.

#include <cstdint>
#include <optional>
#include <string_view>

#include "lifecycle/announcer.h"

namespace sluice::app {

/// Exit codes; scripts and service managers rely on them. 78 is EX_CONFIG of sysexits.h.
enum ExitCode : int {
  kExitClean = 0,
  kExitStartFailed = 1,
  kExitUsage = 2,
  kExitForced = 3,
  kExitStoreFailed = 4,
  kExitBadConfig = 78,
  kExitAborted = 130,  // a third signal, or SIGQUIT
};

/// Files are ours alone (umask 077), memory is not dumped, writing to a closed socket is an error
/// and no signal, descriptors up to the hard limit, memory goes back to the system. Returns the
/// limit of descriptors.
std::uint64_t prepare_process();

/// Bytes of getrandom(2) for the shard's random source (jitter, not secrets).
std::uint64_t random_seed();

/// The operating system as lifecycle/ needs it.
class UnixSystem : public lifecycle::System {
 public:
  void notify(std::string_view state) override;
  std::optional<Duration> watchdog() override;
  std::int64_t process_id() override;
};

}  // namespace sluice::app
