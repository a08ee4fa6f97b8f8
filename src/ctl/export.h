#pragma once
// Receiving an export: lines that need not fit into memory, to a new file or to standard output.

#include <string>

#include "ctl/client.h"
#include "runtime/task.h"

namespace sluice::ctl {

struct Session;

/// Fetches the target into the file, which must not exist (made 0600), or to standard output if
/// file is empty. The daemon says how many lines there are; fewer is a failure, and a file is then
/// removed.
Task<Reply> export_to(Session* session, std::string target, std::string file);

}  // namespace sluice::ctl
