#pragma once
// How much memory the process holds, and giving back what only the start needed.
//
// Thread: any.

#include <cstddef>
#include <cstdint>

namespace sluice::app {

/// In bytes; 0 if it can't be told.
std::uint64_t resident_bytes();

/// A start runs through much code and many relocations that are never needed again, ours and the
/// libraries'. This lets the pages of program files go that nobody has written to, and free heap:
/// they come back from the page cache when they are used. About five milliseconds; once, when the
/// start is over. Returns how many bytes of mappings were let go.
std::size_t release_start_pages();

}  // namespace sluice::app
