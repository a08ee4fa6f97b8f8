#pragma once
// Files that people and programs both edit: read whole within a bound, written so that a crash
// leaves either the old content or the new one.
//
// Thread: any; blocks for the disk, so never on a shard that serves.

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sluice::config {

/// kNotFound if there is none, kTooLarge beyond limit, kPermissionDenied, kInvalidArgument if it is
/// no regular file.
Result<std::string> read_file(const std::string& path, std::size_t limit);

enum class IfExists : std::uint8_t { kReplace, kRefuse };

/// Writes a temporary file beside path, syncs it, puts it in place, syncs the folder. The file then
/// has exactly the given mode. kConflict if it exists and may not be replaced, kDiskFull,
/// kStorageFailed. After a crash a temporary file (path.XXXXXX) may be left; nothing reads it.
Result<void> write_file_atomically(const std::string& path, std::string_view content,
                                   unsigned mode = 0600, IfExists if_exists = IfExists::kReplace);

}  // namespace sluice::config
