#include "app/memory.h"

#include <cinttypes>
#include <cstdio>
#include <cstring>

#include <sys/mman.h>
#include <unistd.h>

// jemalloc's interface; mallctl is null where a sanitizer brings its own allocator.
extern "C" {
[[gnu::weak]] int mallctl(const char* name, void* old_value, std::size_t* old_size, void* new_value,
                          std::size_t new_size);
// Two threads do nearly all the work, and what a burst needed goes back to the system in seconds.
[[gnu::visibility("default")]] const char* malloc_conf =
    "narenas:2,dirty_decay_ms:2000,muzzy_decay_ms:0";
}

namespace sluice::app {
namespace {

/// One entry of /proc/self/smaps (proc(5)).
struct Mapping {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  char rights[5] = {};
  unsigned long inode = 0;
  unsigned long written_kb = 0;  // pages that are ours and no longer the file's

  /// Read-only pages of a file, all of them as they are on disk.
  bool can_be_read_again() const {
    return inode != 0 && rights[0] == 'r' && rights[1] == '-' && written_kb == 0;
  }
};

bool starts_mapping(const char* line, Mapping& out) {
  Mapping mapping;
  const int fields = std::sscanf(line, "%" SCNxPTR "-%" SCNxPTR " %4s %*s %*s %lu", &mapping.begin,
                                 &mapping.end, mapping.rights, &mapping.inode);
  if (fields != 4) return false;
  out = mapping;
  return true;
}

std::size_t release(const Mapping& mapping) {
  if (!mapping.can_be_read_again()) return 0;
  const std::size_t size = mapping.end - mapping.begin;
  const int failed = ::madvise(reinterpret_cast<void*>(mapping.begin), size, MADV_DONTNEED);
  return failed == 0 ? size : 0;
}

}  // namespace

std::uint64_t resident_bytes() {
  std::FILE* file = std::fopen("/proc/self/statm", "re");
  if (file == nullptr) return 0;
  unsigned long total = 0;
  unsigned long resident = 0;
  const int read = std::fscanf(file, "%lu %lu", &total, &resident);
  std::fclose(file);
  return read == 2 ? resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) : 0;
}

std::size_t release_start_pages() {
  std::FILE* file = std::fopen("/proc/self/smaps", "re");
  if (file == nullptr) return 0;
  std::size_t released = 0;
  Mapping mapping;
  char line[4352];  // a path has at most 4096 bytes
  while (std::fgets(line, sizeof line, file) != nullptr) {
    Mapping next;
    if (starts_mapping(line, next)) {
      released += release(mapping);
      mapping = next;
    } else {
      std::sscanf(line, "Anonymous: %lu kB", &mapping.written_kb);
    }
  }
  released += release(mapping);
  std::fclose(file);
  // 4096: all arenas (MALLCTL_ARENAS_ALL).
  if (mallctl != nullptr) (void)mallctl("arena.4096.purge", nullptr, nullptr, nullptr, 0);
  return released;
}

}  // namespace sluice::app
