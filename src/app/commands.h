#pragma once
// The commands that need no daemon, and how the others find it.

#include <string>

#include "app/paths.h"
#include "config/schema.h"

namespace sluice::app {

/// `sluice check-config`: everything that is wrong, one line each. An ExitCode.
int check_config(const config::Schema& schema, const std::string& path);

/// `sluice doctor`: asks the running daemon; only where there is none, looks for itself.
int doctor(const config::Schema& schema, const PathOptions& paths, bool deep, bool json);

/// `sluice restore`.
int restore(const config::Schema& schema, const PathOptions& paths, const std::string& backup,
            bool replace);

/// Where a daemon with these paths has its control socket. A configuration that does not load is
/// passed over: the usual places are tried.
Result<std::string> find_control_socket(const config::Schema& schema, const PathOptions& paths);

}  // namespace sluice::app
