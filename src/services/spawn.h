#pragma once
// spawn_process(): starts a program as a process group of its own. It gets the environment that is
// listed and three descriptors, nothing else of ours: no lease, no listener, no ignored signals.
// The kernel kills it when the thread that started it dies.
//
// Thread: the shard's; blocks for as long as the kernel takes to load the program (vfork).
//
// Reference: vfork(2), prctl(2) PR_SET_PDEATHSIG, close_range(2), pidfd_open(2), Linux 5.10.

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "services/descriptor.h"

namespace sluice::services {

struct ProcessPlan {
  std::string command;  // a path, or a name that is looked for in PATH of `environment`
  std::vector<std::string> arguments;
  std::vector<std::string> environment;  // "NAME=value"
  std::string folder;                    // empty: ours
};

struct SpawnedProcess {
  std::int64_t id = 0;  // of the process and of its group
  Descriptor handle;    // a pidfd
  Descriptor input;     // written to its standard input; these three do not block
  Descriptor output;
  Descriptor errors;
};

/// mark: process_mark.h. kNotFound: there is no such program; kUnavailable: the system refuses
/// another process.
Result<SpawnedProcess> spawn_process(const ProcessPlan& plan, std::uint64_t mark);

}  // namespace sluice::services
