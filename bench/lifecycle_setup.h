#pragma once
// What the sections of the suite "lifecycle" share: the daemon that is restarted under a load.

#include <cstddef>
#include <functional>
#include <string>

#include "report.h"
#include "restarted_daemon.h"
#include "short_load.h"

namespace sluice::bench {

/// The bounds on people and conversations are out of the way, and agents answer at once.
extern const std::string kLifecycleConfig;

ShortLoad::Plan health_load(std::uint16_t port);
/// Posts messages with ids and texts of their own, each client in a conversation of its own.
/// accepted: the text of each that was acknowledged.
ShortLoad::Plan post_load(const RestartedDaemon& daemon, std::function<void(std::string)> accepted);

/// So many restarts, one after another; false if one came to nothing.
bool restart_often(RestartedDaemon& daemon, std::size_t times);

}  // namespace sluice::bench
