#pragma once
// Guardian: a small process beside ours that outlives us by an instant: when we are gone, however
// that came about, it kills the process groups that we had started, and ends. The kernel's own way
// (PR_SET_PDEATHSIG) reaches only the processes that we started ourselves, not those that they did.
// What left its group is found by its mark (process_mark.h), also when a service has ended: that
// takes a look at every process of the machine, which is not for the shard.
//
// Shard-confined; one a process, made when the first service is started. Without it (the system
// refused it) services are still killed, only their children may stay.
//
// Limits: kGroupsMost groups at once; more are not watched.

#include <cstdint>

#include "base/result.h"
#include "services/descriptor.h"

namespace sluice::services {

class Guardian {
 public:
  static constexpr std::size_t kGroupsMost = 4096;

  Guardian() = default;
  ~Guardian();
  Guardian(const Guardian&) = delete;
  Guardian& operator=(const Guardian&) = delete;

  /// Starts it if need be.
  Result<void> start();
  void watch(std::int64_t group, std::uint64_t mark) { tell(group, mark); }
  /// The group has ended: what is left elsewhere by that mark is killed, soon.
  void forget(std::int64_t group, std::uint64_t mark) { tell(-group, mark); }

 private:
  void tell(std::int64_t group, std::uint64_t mark);
  Descriptor orders_;
  std::int64_t process_ = 0;
};

}  // namespace sluice::services
