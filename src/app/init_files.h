#pragma once
// How `sluice init` reads and writes: the configuration, a copy of it as it was, and the file of a
// key.
//
// Thread: any; blocks for the disk.

#include <string>
#include <string_view>

#include "base/result.h"
#include "config/config.h"
#include "config/load.h"

namespace sluice::app {

/// A configuration that may not be there yet.
struct InitFile {
  std::string path;    // links resolved, so that they stay links
  std::string folder;  // of the path as it was named: relative paths in the file start there
  std::string text;    // the default file if there is none
  bool exists = false;
};

/// kStorageFailed, kPermissionDenied, kTooLarge.
Result<InitFile> read_init_file(const config::Schema& schema, const std::string& path);

/// Loads a text without looking at secrets: those of the daemon may be out of our sight.
config::Loaded load_without_secrets(const config::Schema& schema, std::string_view text,
                                    const std::string& path);

/// Writes beside file, 0600. Where the configuration belongs to somebody else (root writes for the
/// service), so does this, and its group may read it if it may read the configuration. What was
/// there with other content is kept as PATH.bak.
Result<void> write_beside(const InitFile& file, const std::string& path, std::string_view content);

/// Writes the configuration, new or in place of the old one, with the owner and mode that it had.
/// Returns the path of the copy of the old one; empty if there was none.
Result<std::string> write_init_file(const InitFile& file, std::string_view text);

}  // namespace sluice::app
