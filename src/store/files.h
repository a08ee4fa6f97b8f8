#pragma once
// What the store asks of the host's file system: who may read the directory, who holds the lock,
// whether the file system keeps promises, and the key file. Nothing here is used with a VFS of the
// simulation.
//
// Thread: any; called at start and at stop.
//
// Never open() the database file itself here: closing any descriptor of it in this process would
// drop SQLite's locks (https://www.sqlite.org/howtocorrupt.html, 2.2).

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/hash.h"
#include "base/result.h"

namespace sluice::files {

inline constexpr std::string_view kDatabase = "sluice.db";
inline constexpr std::string_view kLock = "store.lock";
inline constexpr std::string_view kKey = "hash.key";

std::string join(std::string_view directory, std::string_view name);
bool exists(const std::string& path);
/// 0 if there is no such file.
std::uint64_t size_of(const std::string& path);

/// Makes the directory (0700), or takes the rights of others away from one that is ours.
/// kPermissionDenied if it is somebody else's.
Result<void> prepare_directory(const std::string& directory);
/// Makes an empty file 0600, or takes the rights of others away from one that is there.
Result<void> prepare_file(const std::string& path);

struct FileSystem {
  std::string type;  // "ext4", "nfs4", "fuse.sshfs"
  bool network = false;
};
/// A network file system can't hold a store: locks and shared memory do not work across machines.
FileSystem file_system(const std::string& directory);
bool is_network_type(std::string_view type);

/// Bytes that an ordinary user can still write there.
Result<std::uint64_t> free_bytes(const std::string& directory);

/// The lock of a data directory, held for life. The kernel frees it when the process ends, however
/// it ends.
class LockFile {
 public:
  /// kConflict, naming the holder's process id, if another process has it.
  static Result<LockFile> take(const std::string& path);
  LockFile() = default;
  LockFile(LockFile&& other) noexcept;
  LockFile& operator=(LockFile&& other) noexcept;
  ~LockFile();
  /// Takes over a lock that was shared with this process: it is held already.
  static Result<LockFile> adopt(int fd);
  /// Another descriptor of the same lock: it is held until all of them are closed. The caller's; -1
  /// if there is no room for one.
  int share() const;

 private:
  int fd_ = -1;
};

/// The key of the store's hashes: 32 hex digits in a file of mode 0600 (C4).
Result<HashKey> read_key(const std::string& path);
Result<HashKey> create_key(const std::string& path);
Result<void> write_key(const std::string& path, const HashKey& key);

/// Which machine and which file this is, to notice a copy (C30). Empty where it can't be told.
std::string machine_identity();
std::string file_identity(const std::string& path);

/// fsync of a file or directory by path. Not for the database while it is open.
Result<void> sync_path(const std::string& path);
/// Atomic, and durable when it returns.
Result<void> rename_durably(const std::string& from, const std::string& to);

/// Random bytes of the operating system; ends the process if it has none.
void random_bytes(void* out, std::size_t size);

std::string to_hex(const HashKey& key);
std::optional<HashKey> key_from_hex(std::string_view text);

}  // namespace sluice::files
