#pragma once
// Checks of `sluice doctor`: those that a running daemon and the command line share, and those that
// are made only where no daemon runs.
//
// Thread: any; they block for the disk, the last ones for the network too.

#include <cstdint>
#include <string>
#include <vector>

#include "admin/operations.h"
#include "app/paths.h"
#include "config/schema.h"
#include "media/folder.h"
#include "store/check.h"

namespace sluice::app {

/// Directory, file system, free disk. low_bytes: core.disk_low_bytes.
std::vector<admin::Check> disk_checks(const std::string& data, std::uint64_t low_bytes);
/// One line for a report on the store's file.
admin::Check integrity_check(const Result<CheckReport>& report);

/// What people attach.
admin::Check media_check(const Result<media::Usage>& look);

/// Everything, without a daemon: takes the store's lock, and reads. Nothing is changed.
std::vector<admin::Check> offline_checks(const config::Schema& schema, const PathOptions& paths);

}  // namespace sluice::app
