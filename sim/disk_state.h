#pragma once
// The state of a lossy disk: files and names, what of them is durable, locks, faults. What the C
// interface of lossy_vfs.cc calls; one thread.

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sqlite3.h>

#include "base/random.h"
#include "sim/lossy_file.h"
#include "sim/lossy_vfs.h"

namespace sluice::sim {

class DiskState;
inline constexpr std::uint64_t kDefaultCapacity = 1u << 30;

using InodePtr = std::shared_ptr<Inode>;
using Names = std::map<std::string, InodePtr>;

/// A directory change that is not durable yet.
struct NameChange {
  enum class Kind { kCreate, kDelete, kRename };
  Kind kind;
  std::string name;
  std::string to;  // kRename
  InodePtr inode;

  void apply(Names& names) const {
    const auto found = names.find(name);
    if (kind != Kind::kCreate && found != names.end() && found->second == inode) {
      names.erase(found);
    }
    if (kind == Kind::kCreate) names[name] = inode;
    if (kind == Kind::kRename) names[to] = inode;
  }
  bool concerns(const std::string& other) const { return name == other || to == other; }
};

struct FaultScript {
  std::uint64_t skip = 0;
  std::uint64_t times = 0;
};

/// What SQLite holds as an open file. Deleted by xClose only, dead or not.
struct OpenFile {
  DiskState* disk = nullptr;
  InodePtr inode;
  std::uint64_t generation = 0;
  std::string name;  // empty for a temporary file
  bool read_only = false;
  bool delete_on_close = false;
  bool directory_sync_due = false;  // as the unix VFS: with the first sync of a journal or WAL
  int keep_wal = 0;
  int lock = SQLITE_LOCK_NONE;
  std::shared_ptr<Shm> shm;
  unsigned shm_shared = 0;
  unsigned shm_exclusive = 0;
};

class DiskState {
 public:
  DiskState(std::string name, std::uint64_t seed);
  ~DiskState();

  // Calls on the file system. Each counts itself; false from enter() means that nothing may happen.
  bool enter();
  int open(const char* name, int flags, OpenFile** out);
  int remove(const std::string& name, bool durable);
  int exists(const std::string& name, bool not_empty, bool* out);

  // Calls on a live file.
  int read(OpenFile& file, char* out, std::uint64_t amount, std::uint64_t offset);
  int write(OpenFile& file, std::string_view data, std::uint64_t offset);
  int truncate(OpenFile& file, std::uint64_t size);
  int sync(OpenFile& file);
  int lock(OpenFile& file, int level);
  bool reserved(const OpenFile& file) const;
  int shm_map(OpenFile& file, std::size_t region, std::size_t size, bool extend,
              void volatile** out);
  int shm_lock(OpenFile& file, unsigned mask, int flags);
  void close(OpenFile* file);

  void crash();
  void end_process();
  void sync_names();
  void add_name_change(NameChange change);
  void forget_name_changes(const std::string& name);
  bool due(DiskFault what);
  std::uint64_t room() const;

  const std::string vfs_name;
  sqlite3_vfs vfs{};
  Random choices;  // crashes and faults
  Random entropy;  // what SQLite asks for
  DiskStats stats;
  UnixMillis wall{};
  Duration slept{};
  std::uint64_t generation = 0;
  std::optional<std::uint64_t> budget;
  bool crashed = false;
  std::array<FaultScript, 4> scripts{};
  std::array<std::uint32_t, 4> rates{};
  std::uint64_t capacity = kDefaultCapacity;
  Names names;
  Names durable_names;
  std::deque<NameChange> name_changes;
  std::vector<OpenFile*> open_files;  // dead ones too, until they are closed
};

}  // namespace sluice::sim
