#include "sim/lossy_vfs.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <map>
#include <new>
#include <utility>

#include <sqlite3.h>

#include "base/assert.h"
#include "base/random.h"

namespace sluice::sim {
namespace {

constexpr std::uint64_t kSector = 512;
constexpr std::uint64_t kHistoryBytes = 8u << 20;
constexpr std::uint64_t kChangeOverhead = 64;  // so that changes without old bytes are bounded too
constexpr std::size_t kNameChanges = 1024;
constexpr std::uint64_t kDefaultCapacity = 1u << 30;
constexpr std::uint64_t kTornOneIn = 32;
constexpr std::size_t kGarbageBytes = 16;
constexpr std::size_t kShmRegions = 4096;  // 32 KiB each by SQLite's habit
constexpr int kPathBytes = 512;
constexpr std::int64_t kJulianUnixEpochMs = 210866760000000;

/// One write or truncation since the last sync, with what it replaced.
struct Change {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  std::uint64_t size_before = 0;
  std::string before;  // shorter than length where the file had ended

  std::uint64_t first_sector() const { return offset / kSector; }
  std::uint64_t last_sector() const { return (offset + length - 1) / kSector; }
  std::uint64_t cost() const { return before.size() + kChangeOverhead; }
};

/// What a power loss decides for one sector: its first `kept` changes reached the disk.
struct Fate {
  std::uint64_t changes = 0;
  std::uint64_t kept = 0;
  bool torn = false;
};

/// Memory that WAL connections share. Dead connections may still write into theirs, so it lives
/// until its last user has gone.
struct Shm {
  std::vector<std::unique_ptr<std::uint8_t[]>> regions;
};

class Inode {
 public:
  std::string bytes;
  std::weak_ptr<Shm> shm;
  bool name_synced = false;

  void write(std::uint64_t offset, std::string_view data);
  void truncate(std::uint64_t size);
  void sync();
  /// The cache keeps all, the medium gets some.
  void fail_sync(Random& random);
  void lose(Random& random, DiskStats& stats);

 private:
  using Fates = std::map<std::uint64_t, Fate>;

  void note(Change change);
  void retire(const Change& change);
  Fates choose_fates(Random& random, std::uint64_t keep_percent) const;
  /// The bytes on the medium under these fates, in whole sectors, of any size since the last sync.
  std::string medium(const Fates& fates, Random& random) const;

  std::deque<Change> changes_;  // oldest first
  std::uint64_t history_bytes_ = 0;
  // What the medium holds of sectors that a failed sync gave up on.
  std::map<std::uint64_t, std::string> abandoned_;
};

void Inode::write(std::uint64_t offset, std::string_view data) {
  if (data.empty()) return;
  Change change{offset, data.size(), bytes.size(), {}};
  if (offset < bytes.size()) change.before = bytes.substr(offset, data.size());
  if (offset + data.size() > bytes.size()) bytes.resize(offset + data.size());
  std::memcpy(bytes.data() + offset, data.data(), data.size());
  note(std::move(change));
}

void Inode::truncate(std::uint64_t size) {
  if (size == bytes.size()) return;
  const std::uint64_t low = std::min<std::uint64_t>(size, bytes.size());
  const std::uint64_t high = std::max<std::uint64_t>(size, bytes.size());
  Change change{low, high - low, bytes.size(), {}};
  if (size < bytes.size()) change.before = bytes.substr(size);
  bytes.resize(size);
  note(std::move(change));
}

void Inode::note(Change change) {
  history_bytes_ += change.cost();
  changes_.push_back(std::move(change));
  while (history_bytes_ > kHistoryBytes && changes_.size() > 1) {
    history_bytes_ -= changes_.front().cost();
    retire(changes_.front());
    changes_.pop_front();
  }
}

void Inode::retire(const Change& change) {
  if (abandoned_.empty()) return;
  abandoned_.erase(abandoned_.lower_bound(change.first_sector()),
                   abandoned_.upper_bound(change.last_sector()));
}

void Inode::sync() {
  for (const Change& change : changes_) retire(change);
  changes_.clear();
  history_bytes_ = 0;
}

Inode::Fates Inode::choose_fates(Random& random, std::uint64_t keep_percent) const {
  Fates fates;
  for (const Change& change : changes_) {
    for (auto s = change.first_sector(); s <= change.last_sector(); ++s) ++fates[s].changes;
  }
  for (auto& [sector, fate] : fates) {
    fate.kept = random.percent(keep_percent) ? fate.changes : random.below(fate.changes);
    fate.torn = fate.kept < fate.changes && random.below(kTornOneIn) == 0;
  }
  return fates;
}

/// Between two states of one sector: a head of the newer, some garbage, the tail of the older.
void tear(std::string_view newer, char* sector, Random& random) {
  const std::size_t cut = random.below(kSector + 1);
  std::memcpy(sector, newer.data(), cut);
  const std::size_t end = std::min<std::size_t>(kSector, cut + random.below(kGarbageBytes + 1));
  for (std::size_t i = cut; i < end; ++i) sector[i] = static_cast<char>(random.next());
}

std::string Inode::medium(const Fates& fates, Random& random) const {
  std::uint64_t extent = bytes.size();
  for (const Change& change : changes_) extent = std::max(extent, change.offset + change.length);
  std::string image = bytes;
  image.resize((extent + kSector - 1) / kSector * kSector);

  // Backwards through history, undoing in each sector the changes that did not reach it.
  std::map<std::uint64_t, std::uint64_t> undone;
  for (auto change = changes_.rbegin(); change != changes_.rend(); ++change) {
    for (auto s = change->first_sector(); s <= change->last_sector(); ++s) {
      const Fate& fate = fates.at(s);
      const std::uint64_t index = fate.changes - ++undone[s];
      if (index < fate.kept) continue;
      char* sector = image.data() + s * kSector;
      const std::string newer(sector, kSector);
      const std::uint64_t from = std::max(change->offset, s * kSector);
      const std::uint64_t to = std::min(change->offset + change->length, (s + 1) * kSector);
      for (std::uint64_t i = from; i < to; ++i) {
        const std::uint64_t at = i - change->offset;
        image[i] = at < change->before.size() ? change->before[at] : '\0';
      }
      if (index == fate.kept && fate.torn) tear(newer, sector, random);
    }
  }
  for (const auto& [sector, old] : abandoned_) {
    const auto fate = fates.find(sector);
    const bool rewritten = fate != fates.end() && (fate->second.kept > 0 || fate->second.torn);
    if (!rewritten && (sector + 1) * kSector <= image.size()) {
      std::memcpy(image.data() + sector * kSector, old.data(), kSector);
    }
  }
  return image;
}

void Inode::fail_sync(Random& random) {
  const Fates fates = choose_fates(random, 50);
  const std::string image = medium(fates, random);
  std::string cached = bytes;
  cached.resize(image.size());
  sync();
  for (const auto& [sector, fate] : fates) {
    const auto old = std::string_view(image).substr(sector * kSector, kSector);
    if (old != std::string_view(cached).substr(sector * kSector, kSector)) {
      abandoned_[sector] = std::string(old);
    }
  }
}

void Inode::lose(Random& random, DiskStats& stats) {
  if (changes_.empty() && abandoned_.empty()) return;
  // Some losses are nearly total, some leave out a sector or two: both kinds find faults.
  constexpr std::array<std::uint64_t, 5> kKeepPercent = {0, 20, 50, 90, 100};
  const std::uint64_t keep = kKeepPercent[random.below(kKeepPercent.size())];
  const Fates fates = choose_fates(random, keep);
  for (const auto& [sector, fate] : fates) {
    ++(fate.kept == fate.changes ? stats.sectors_kept : stats.sectors_lost);
    if (fate.torn) ++stats.sectors_torn;
  }
  std::string image = medium(fates, random);
  std::uint64_t size = bytes.size();
  if (!changes_.empty() && !random.percent(keep)) {
    size = changes_[random.below(changes_.size())].size_before;
  }
  image.resize(size);
  bytes = std::move(image);
  changes_.clear();
  abandoned_.clear();
  history_bytes_ = 0;
}

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

}  // namespace

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

// SQLite's C interface. A dead handle, or a crashed disk, answers SQLITE_IOERR.
namespace {

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
