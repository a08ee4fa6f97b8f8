#pragma once
// `sluice run`: the daemon, from the command line to the exit code.

#include "app/paths.h"
#include "config/schema.h"

namespace sluice::app {

/// Runs until a signal ends it. Returns an ExitCode (process.h). take_over: in the place of the
/// daemon that runs, or not at all.
int run(const config::Schema& schema, const PathOptions& paths, bool take_over);

}  // namespace sluice::app
