#include "sim/disk_state.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/assert.h"

namespace sluice::sim {
namespace {

constexpr std::size_t kNameChanges = 1024;
constexpr std::size_t kShmRegions = 4096;  // 32 KiB each by SQLite's habit

}  // namespace

bool DiskState::enter() {
  if (crashed) return false;
  ++stats.calls;
  if (budget && --*budget == 0) crashed = true;
  return true;
}

bool DiskState::due(DiskFault what) {
  FaultScript& script = scripts[static_cast<std::size_t>(what)];
  const std::uint32_t rate = rates[static_cast<std::size_t>(what)];
  bool now = false;
  if (script.times > 0) {
    if (script.skip > 0) {
      --script.skip;
    } else {
      --script.times;
      now = true;
    }
  }
  if (!now && rate > 0) now = choices.below(1000000) < rate;
  if (now) ++stats.faults;
  return now;
}

std::uint64_t DiskState::room() const {
  std::uint64_t used = 0;
  for (const auto& [name, inode] : names) used += inode->bytes.size();
  for (const OpenFile* file : open_files) {
    if (file->name.empty() && file->generation == generation) used += file->inode->bytes.size();
  }
  return capacity - std::min(capacity, used);
}

void DiskState::add_name_change(NameChange change) {
  name_changes.push_back(std::move(change));
  if (name_changes.size() > kNameChanges) {
    name_changes.front().apply(durable_names);
    name_changes.pop_front();
  }
}

void DiskState::forget_name_changes(const std::string& name) {
  std::erase_if(name_changes, [&](const NameChange& change) { return change.concerns(name); });
}

int DiskState::open(const char* name, int flags, OpenFile** out) {
  InodePtr inode;
  if (name == nullptr) {
    inode = std::make_shared<Inode>();
  } else if (const auto found = names.find(name); found != names.end()) {
    if ((flags & SQLITE_OPEN_EXCLUSIVE) != 0) return SQLITE_CANTOPEN;
    inode = found->second;
  } else {
    if ((flags & SQLITE_OPEN_CREATE) == 0) return SQLITE_CANTOPEN;
    inode = std::make_shared<Inode>();
    names[name] = inode;
    add_name_change({NameChange::Kind::kCreate, name, {}, inode});
  }
  auto* file = new OpenFile;
  file->disk = this;
  file->inode = std::move(inode);
  file->generation = generation;
  if (name != nullptr) file->name = name;
  file->read_only = (flags & SQLITE_OPEN_READONLY) != 0;
  file->delete_on_close = (flags & SQLITE_OPEN_DELETEONCLOSE) != 0;
  constexpr int kLogs = SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_SUPER_JOURNAL | SQLITE_OPEN_WAL;
  file->directory_sync_due = (flags & SQLITE_OPEN_CREATE) != 0 && (flags & kLogs) != 0;
  open_files.push_back(file);
  *out = file;
  return SQLITE_OK;
}

int DiskState::remove(const std::string& name, bool durable) {
  const auto found = names.find(name);
  if (found == names.end()) return SQLITE_IOERR_DELETE_NOENT;
  const InodePtr inode = found->second;
  names.erase(found);
  if (durable) {
    sync_names();
  } else {
    add_name_change({NameChange::Kind::kDelete, name, {}, inode});
  }
  return SQLITE_OK;
}

int DiskState::exists(const std::string& name, bool not_empty, bool* out) {
  const auto found = names.find(name);
  *out = found != names.end() && !(not_empty && found->second->bytes.empty());
  return SQLITE_OK;
}

int DiskState::read(OpenFile& file, char* out, std::uint64_t amount, std::uint64_t offset) {
  ++stats.reads;
  if (due(DiskFault::kReadError)) return SQLITE_IOERR_READ;
  const std::string& bytes = file.inode->bytes;
  std::uint64_t got = offset < bytes.size() ? std::min(amount, bytes.size() - offset) : 0;
  if (due(DiskFault::kShortRead)) got = choices.below(got);
  stats.bytes_read += got;
  std::memcpy(out, bytes.data() + std::min<std::uint64_t>(offset, bytes.size()), got);
  if (got == amount) return SQLITE_OK;
  // SQLite counts on the zeros.
  std::memset(out + got, 0, amount - got);
  return SQLITE_IOERR_SHORT_READ;
}

int DiskState::write(OpenFile& file, std::string_view data, std::uint64_t offset) {
  ++stats.writes;
  if (file.read_only) return SQLITE_READONLY;
  int result = SQLITE_OK;
  const std::uint64_t size = file.inode->bytes.size();
  const std::uint64_t end = offset + data.size();
  if (due(DiskFault::kWriteError)) {
    data = data.substr(0, choices.below(data.size()));
    result = SQLITE_IOERR_WRITE;
  } else if (end > size) {
    const std::uint64_t limit = size + room();
    if (end > limit) {
      data = data.substr(0, limit > offset ? limit - offset : 0);
      result = SQLITE_FULL;
      ++stats.faults;
    }
  }
  stats.bytes_written += data.size();
  file.inode->write(offset, data);
  return result;
}

int DiskState::truncate(OpenFile& file, std::uint64_t size) {
  ++stats.writes;
  if (file.read_only) return SQLITE_READONLY;
  if (due(DiskFault::kWriteError)) return SQLITE_IOERR_TRUNCATE;
  const std::uint64_t now = file.inode->bytes.size();
  if (size > now && size - now > room()) {
    ++stats.faults;
    return SQLITE_FULL;
  }
  file.inode->truncate(size);
  return SQLITE_OK;
}

int DiskState::sync(OpenFile& file) {
  ++stats.syncs;
  if (due(DiskFault::kSyncError)) {
    file.inode->fail_sync(choices);
    return SQLITE_IOERR_FSYNC;
  }
  file.inode->sync();
  if (file.directory_sync_due) {
    file.directory_sync_due = false;
    sync_names();
  }
  if (file.inode->name_synced) return SQLITE_OK;
  file.inode->name_synced = true;
  std::erase_if(name_changes, [&](const NameChange& c) { return c.inode == file.inode; });
  for (const auto& [name, inode] : names) {
    if (inode != file.inode) continue;
    forget_name_changes(name);
    durable_names[name] = inode;
  }
  return SQLITE_OK;
}

/// SQLite's five levels (https://www.sqlite.org/lockingv3.html); callers raise from SHARED on.
int DiskState::lock(OpenFile& file, int level) {
  if (file.lock >= level) return SQLITE_OK;
  int strongest = SQLITE_LOCK_NONE;
  for (const OpenFile* other : open_files) {
    if (other == &file || other->generation != generation || other->inode != file.inode) continue;
    strongest = std::max(strongest, other->lock);
  }
  if (level == SQLITE_LOCK_SHARED) {
    if (strongest >= SQLITE_LOCK_PENDING) return SQLITE_BUSY;
    file.lock = level;
    return SQLITE_OK;
  }
  if (strongest > SQLITE_LOCK_SHARED) return SQLITE_BUSY;
  if (level == SQLITE_LOCK_EXCLUSIVE && strongest == SQLITE_LOCK_SHARED) {
    // Readers finish, no new one enters.
    file.lock = SQLITE_LOCK_PENDING;
    return SQLITE_BUSY;
  }
  file.lock = level;
  return SQLITE_OK;
}

bool DiskState::reserved(const OpenFile& file) const {
  return std::any_of(open_files.begin(), open_files.end(), [&](const OpenFile* other) {
    return other->generation == generation && other->inode == file.inode &&
           other->lock > SQLITE_LOCK_SHARED;
  });
}

int DiskState::shm_map(OpenFile& file, std::size_t region, std::size_t size, bool extend,
                       void volatile** out) {
  *out = nullptr;
  if (file.shm == nullptr) {
    file.shm = file.inode->shm.lock();
    if (file.shm == nullptr) file.shm = std::make_shared<Shm>();
    file.inode->shm = file.shm;
  }
  auto& regions = file.shm->regions;
  if (region >= regions.size() && !extend) return SQLITE_OK;
  if (region >= kShmRegions) return SQLITE_IOERR_SHMSIZE;
  while (region >= regions.size()) regions.push_back(std::make_unique<std::uint8_t[]>(size));
  *out = regions[region].get();
  return SQLITE_OK;
}

int DiskState::shm_lock(OpenFile& file, unsigned mask, int flags) {
  if ((flags & SQLITE_SHM_UNLOCK) != 0) {
    file.shm_shared &= ~mask;
    file.shm_exclusive &= ~mask;
    return SQLITE_OK;
  }
  const bool exclusive = (flags & SQLITE_SHM_EXCLUSIVE) != 0;
  for (const OpenFile* other : open_files) {
    if (other == &file || other->shm == nullptr || other->shm != file.shm) continue;
    const unsigned held = other->shm_exclusive | (exclusive ? other->shm_shared : 0u);
    if ((held & mask) != 0) return SQLITE_BUSY;
  }
  (exclusive ? file.shm_exclusive : file.shm_shared) |= mask;
  return SQLITE_OK;
}

void DiskState::close(OpenFile* file) {
  const bool dead = crashed || file->generation != generation;
  if (!dead && file->delete_on_close && !file->name.empty()) remove(file->name, false);
  std::erase(open_files, file);
  delete file;
}

void DiskState::crash() {
  ++stats.crashes;
  const std::uint64_t keep = choices.below(101);
  for (const NameChange& change : name_changes) {
    if (choices.percent(keep)) change.apply(durable_names);
  }
  name_changes.clear();
  names = durable_names;
  for (const auto& [name, inode] : names) {
    inode->lose(choices, stats);
    inode->name_synced = true;
  }
  end_process();
}

void DiskState::end_process() {
  ++generation;
  crashed = false;
  budget.reset();
  for (const auto& [name, inode] : names) inode->shm.reset();
}

void DiskState::sync_names() {
  name_changes.clear();
  durable_names = names;
  for (const auto& [name, inode] : names) inode->name_synced = true;
}

}  // namespace sluice::sim
