#include "sim/lossy_vfs.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include <sqlite3.h>

#include "base/assert.h"
#include "sim/disk_state.h"

namespace sluice::sim {

// SQLite's C interface. A dead handle, or a crashed disk, answers SQLITE_IOERR.
namespace {

constexpr int kPathBytes = 512;
constexpr std::int64_t kJulianUnixEpochMs = 210866760000000;

struct Handle {
  sqlite3_file base;
  OpenFile* open;
};

OpenFile& opened(sqlite3_file* file) { return *reinterpret_cast<Handle*>(file)->open; }

OpenFile* live(sqlite3_file* file) {
  OpenFile& open = opened(file);
  const bool ours = open.generation == open.disk->generation;
  return ours && open.disk->enter() ? &open : nullptr;
}

DiskState& disk_of(sqlite3_vfs* vfs) { return *static_cast<DiskState*>(vfs->pAppData); }

int io_close(sqlite3_file* file) {
  OpenFile& open = opened(file);
  open.disk->close(&open);
  return SQLITE_OK;
}

int io_read(sqlite3_file* file, void* out, int amount, sqlite3_int64 offset) {
  OpenFile* open = live(file);
  if (open == nullptr) return SQLITE_IOERR;
  return open->disk->read(*open, static_cast<char*>(out), static_cast<std::uint64_t>(amount),
                          static_cast<std::uint64_t>(offset));
}

int io_write(sqlite3_file* file, const void* data, int amount, sqlite3_int64 offset) {
  OpenFile* open = live(file);
  if (open == nullptr) return SQLITE_IOERR;
  const std::string_view bytes(static_cast<const char*>(data), static_cast<std::size_t>(amount));
  return open->disk->write(*open, bytes, static_cast<std::uint64_t>(offset));
}

int io_truncate(sqlite3_file* file, sqlite3_int64 size) {
  OpenFile* open = live(file);
  if (open == nullptr) return SQLITE_IOERR;
  return open->disk->truncate(*open, static_cast<std::uint64_t>(size));
}

int io_sync(sqlite3_file* file, int) {
  OpenFile* open = live(file);
  return open == nullptr ? SQLITE_IOERR : open->disk->sync(*open);
}

int io_file_size(sqlite3_file* file, sqlite3_int64* size) {
  OpenFile* open = live(file);
  if (open == nullptr) return SQLITE_IOERR;
  *size = static_cast<sqlite3_int64>(open->inode->bytes.size());
  return SQLITE_OK;
}

int io_lock(sqlite3_file* file, int level) {
  OpenFile* open = live(file);
  return open == nullptr ? SQLITE_IOERR : open->disk->lock(*open, level);
}

int io_unlock(sqlite3_file* file, int level) {
  OpenFile* open = live(file);
  if (open == nullptr) return SQLITE_IOERR;
  open->lock = std::min(open->lock, level);
  return SQLITE_OK;
}

int io_check_reserved_lock(sqlite3_file* file, int* out) {
  OpenFile* open = live(file);
  if (open == nullptr) return SQLITE_IOERR;
  *out = open->disk->reserved(*open) ? 1 : 0;
  return SQLITE_OK;
}

int io_file_control(sqlite3_file* file, int operation, void* argument) {
  OpenFile& open = opened(file);
  if (operation == SQLITE_FCNTL_VFSNAME) {
    *static_cast<char**>(argument) = sqlite3_mprintf("%s", open.disk->vfs_name.c_str());
    return SQLITE_OK;
  }
  if (open.generation != open.disk->generation || open.disk->crashed) return SQLITE_IOERR;
  if (operation == SQLITE_FCNTL_PERSIST_WAL) {
    int& value = *static_cast<int*>(argument);
    if (value < 0) value = open.keep_wal;
    open.keep_wal = value;
    return SQLITE_OK;
  }
  return SQLITE_NOTFOUND;
}

int io_sector_size(sqlite3_file*) { return static_cast<int>(kSector); }

int io_device_characteristics(sqlite3_file*) { return 0; }

int io_shm_map(sqlite3_file* file, int region, int size, int extend, void volatile** out) {
  OpenFile* open = live(file);
  if (open == nullptr) return SQLITE_IOERR;
  return open->disk->shm_map(*open, static_cast<std::size_t>(region),
                             static_cast<std::size_t>(size), extend != 0, out);
}

int io_shm_lock(sqlite3_file* file, int offset, int count, int flags) {
  OpenFile* open = live(file);
  if (open == nullptr) return SQLITE_IOERR;
  const unsigned mask = (1u << (offset + count)) - (1u << offset);
  return open->disk->shm_lock(*open, mask, flags);
}

void io_shm_barrier(sqlite3_file*) {}

int io_shm_unmap(sqlite3_file* file, int) {
  OpenFile& open = opened(file);
  open.shm.reset();
  open.shm_shared = 0;
  open.shm_exclusive = 0;
  return live(file) == nullptr ? SQLITE_IOERR : SQLITE_OK;
}

constexpr sqlite3_io_methods kMethods = {
    .iVersion = 2,
    .xClose = io_close,
    .xRead = io_read,
    .xWrite = io_write,
    .xTruncate = io_truncate,
    .xSync = io_sync,
    .xFileSize = io_file_size,
    .xLock = io_lock,
    .xUnlock = io_unlock,
    .xCheckReservedLock = io_check_reserved_lock,
    .xFileControl = io_file_control,
    .xSectorSize = io_sector_size,
    .xDeviceCharacteristics = io_device_characteristics,
    .xShmMap = io_shm_map,
    .xShmLock = io_shm_lock,
    .xShmBarrier = io_shm_barrier,
    .xShmUnmap = io_shm_unmap,
    .xFetch = nullptr,
    .xUnfetch = nullptr,
};

int vfs_open(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  auto* handle = new (file) Handle{};  // no methods: SQLite does not close what failed to open
  DiskState& disk = disk_of(vfs);
  if (!disk.enter()) return SQLITE_IOERR;
  const int result = disk.open(name, flags, &handle->open);
  if (result != SQLITE_OK) return result;
  handle->base.pMethods = &kMethods;
  if (out_flags != nullptr) *out_flags = flags;
  return SQLITE_OK;
}

int vfs_delete(sqlite3_vfs* vfs, const char* name, int sync_directory) {
  DiskState& disk = disk_of(vfs);
  return disk.enter() ? disk.remove(name, sync_directory != 0) : SQLITE_IOERR;
}

int vfs_access(sqlite3_vfs* vfs, const char* name, int flags, int* out) {
  DiskState& disk = disk_of(vfs);
  *out = 0;
  if (!disk.enter()) return SQLITE_IOERR;
  bool found = false;
  // As the unix VFS: an empty file does not count as existing.
  const int result = disk.exists(name, flags == SQLITE_ACCESS_EXISTS, &found);
  *out = found ? 1 : 0;
  return result;
}

int vfs_full_pathname(sqlite3_vfs*, const char* name, int size, char* out) {
  const std::size_t length = std::strlen(name);
  if (length + 1 > static_cast<std::size_t>(size)) return SQLITE_CANTOPEN;
  std::memcpy(out, name, length + 1);
  return SQLITE_OK;
}

int vfs_randomness(sqlite3_vfs* vfs, int size, char* out) {
  for (int i = 0; i < size; ++i) out[i] = static_cast<char>(disk_of(vfs).entropy.next());
  return size;
}

int vfs_sleep(sqlite3_vfs* vfs, int microseconds) {
  disk_of(vfs).slept += std::chrono::microseconds(microseconds);
  return microseconds;
}

int vfs_current_time_int64(sqlite3_vfs* vfs, sqlite3_int64* out) {
  *out = disk_of(vfs).wall.ms + kJulianUnixEpochMs;
  return SQLITE_OK;
}

int vfs_current_time(sqlite3_vfs* vfs, double* out) {
  *out = static_cast<double>(disk_of(vfs).wall.ms + kJulianUnixEpochMs) / 86400000.0;
  return SQLITE_OK;
}

int vfs_get_last_error(sqlite3_vfs*, int, char*) { return 0; }

}  // namespace

DiskState::DiskState(std::string name, std::uint64_t seed)
    : vfs_name(std::move(name)), choices(seed), entropy(seed + 1) {
  vfs.iVersion = 2;
  vfs.szOsFile = sizeof(Handle);
  vfs.mxPathname = kPathBytes;
  vfs.zName = vfs_name.c_str();
  vfs.pAppData = this;
  vfs.xOpen = vfs_open;
  vfs.xDelete = vfs_delete;
  vfs.xAccess = vfs_access;
  vfs.xFullPathname = vfs_full_pathname;
  vfs.xRandomness = vfs_randomness;
  vfs.xSleep = vfs_sleep;
  vfs.xCurrentTime = vfs_current_time;
  vfs.xGetLastError = vfs_get_last_error;
  vfs.xCurrentTimeInt64 = vfs_current_time_int64;
  SLUICE_ASSERT(sqlite3_vfs_find(vfs_name.c_str()) == nullptr);
  // SQLite's generator (WAL salts come from it) draws its seed from the default VFS, once: be that
  // VFS for the length of one draw.
  sqlite3_vfs* const previous = sqlite3_vfs_find(nullptr);
  SLUICE_ASSERT(previous != nullptr);
  SLUICE_ASSERT(sqlite3_vfs_register(&vfs, 1) == SQLITE_OK);
  sqlite3_randomness(0, nullptr);
  char drawn = 0;
  sqlite3_randomness(1, &drawn);
  SLUICE_ASSERT(sqlite3_vfs_register(previous, 1) == SQLITE_OK);
}

DiskState::~DiskState() {
  SLUICE_ASSERT(open_files.empty());
  sqlite3_vfs_unregister(&vfs);
}

LossyDisk::LossyDisk(std::string vfs_name, std::uint64_t seed)
    : state_(std::make_unique<DiskState>(std::move(vfs_name), seed)) {}

LossyDisk::~LossyDisk() = default;

const std::string& LossyDisk::vfs_name() const { return state_->vfs_name; }

void LossyDisk::set_wall_clock(UnixMillis now) { state_->wall = now; }

Duration LossyDisk::slept() const { return state_->slept; }

void LossyDisk::crash() { state_->crash(); }

void LossyDisk::kill() {
  ++state_->stats.kills;
  state_->end_process();
}

void LossyDisk::set_call_budget(std::uint64_t calls) {
  SLUICE_ASSERT(calls > 0);
  state_->budget = calls;
}

void LossyDisk::clear_call_budget() { state_->budget.reset(); }

bool LossyDisk::crashed() const { return state_->crashed; }

void LossyDisk::fail(DiskFault what, std::uint64_t nth, std::uint64_t times) {
  SLUICE_ASSERT(nth > 0);
  state_->scripts[static_cast<std::size_t>(what)] = FaultScript{nth - 1, times};
}

void LossyDisk::set_fault_rate(DiskFault what, std::uint32_t per_million) {
  state_->rates[static_cast<std::size_t>(what)] = per_million;
}

void LossyDisk::set_capacity(std::uint64_t bytes) { state_->capacity = bytes; }

std::vector<std::string> LossyDisk::files() const {
  std::vector<std::string> result;
  for (const auto& [name, inode] : state_->names) result.push_back(name);
  return result;
}

std::optional<std::string> LossyDisk::content(const std::string& name) const {
  const auto found = state_->names.find(name);
  if (found == state_->names.end()) return std::nullopt;
  return found->second->bytes;
}

void LossyDisk::install(const std::string& name, std::string bytes) {
  auto inode = std::make_shared<Inode>();
  inode->bytes = std::move(bytes);
  inode->name_synced = true;
  state_->forget_name_changes(name);
  state_->names[name] = inode;
  state_->durable_names[name] = std::move(inode);
}

bool LossyDisk::corrupt(const std::string& name, std::uint64_t offset, std::string_view bytes) {
  const auto found = state_->names.find(name);
  if (found == state_->names.end()) return false;
  std::string& content = found->second->bytes;
  if (offset > content.size() || bytes.size() > content.size() - offset) return false;
  content.replace(offset, bytes.size(), bytes);
  return true;
}

bool LossyDisk::rename(const std::string& from, const std::string& to) {
  const auto found = state_->names.find(from);
  if (found == state_->names.end() || from == to) return found != state_->names.end();
  NameChange change{NameChange::Kind::kRename, from, to, found->second};
  change.apply(state_->names);
  state_->add_name_change(std::move(change));
  return true;
}

void LossyDisk::sync_directory() { state_->sync_names(); }

bool LossyDisk::rename_durably(const std::string& from, const std::string& to) {
  if (!state_->enter() || !rename(from, to) || !state_->enter()) return false;
  sync_directory();
  return true;
}

std::uint64_t LossyDisk::hash() const {
  std::uint64_t hash = 0xcbf29ce484222325u;  // FNV-1a
  const auto add = [&hash](std::string_view text) {
    for (const char c : text) hash = (hash ^ static_cast<std::uint8_t>(c)) * 0x100000001b3u;
    hash = (hash ^ text.size()) * 0x100000001b3u;
  };
  for (const auto& [name, inode] : state_->names) {
    add(name);
    add(inode->bytes);
  }
  return hash;
}

const DiskStats& LossyDisk::stats() const { return state_->stats; }

}  // namespace sluice::sim
