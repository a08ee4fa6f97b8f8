#pragma once
// `sluice run`: the daemon, from the command line to the exit code.

#include "app/paths.h"
#include "config/schema.h"

namespace sluice::app {

/// Runs until a signal ends it. Returns an ExitCode (process.h).
int run(const config::Schema& schema, const PathOptions& paths);

}  // namespace sluice::app
