#include "media/library.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "runtime/wait.h"

namespace sluice::media {
namespace {

Error of_peer(ErrorKind kind, std::string what) {
  return Error(kind, std::move(what), ErrorSource::kPeer);
}

Error too_large(std::uint64_t bound) {
  return of_peer(ErrorKind::kTooLarge, fmt::format("an image may have at most {} bytes", bound));
}

Error being_erased() {
  return Error(ErrorKind::kUnavailable, "the person's data are being erased", ErrorSource::kSelf,
               Retry::after(std::chrono::seconds(5)));
}

}  // namespace

Library::Counters::Counters(Metrics& metrics)
    : uploads(metrics.counter("sluice_media_uploads_total", "Images taken.")),
      bytes(metrics.counter("sluice_media_upload_bytes_total", "Bytes of the images taken.")),
      refused(metrics.counter("sluice_media_refused_total",
                              "Uploads that were refused, cut off or given up.")),
      expired(metrics.counter("sluice_media_expired_total", "Images removed by retention.")),
      erased(metrics.counter("sluice_media_erased_total", "Images removed by erasures.")),
      files_kept(metrics.gauge("sluice_media_files", "Images kept, as of the last sweep.")),
      bytes_kept(metrics.gauge("sluice_media_bytes", "Their bytes, as of the last sweep.")) {}

Result<std::unique_ptr<Library>> Library::open(Shard& shard, Metrics& metrics, const HashKey& key,
                                               std::string directory, LibraryOptions options) {
  Result<Folder> folder = Folder::open(std::move(directory));
  if (!folder) return folder.error().within("the directory of attachments");
  return std::unique_ptr<Library>(
      new Library(shard, metrics, key, std::move(*folder), std::move(options)));
}

Library::Library(Shard& shard, Metrics& metrics, const HashKey& key, Folder folder,
                 LibraryOptions options)
    : shard_(shard),
      key_(key),
      options_(options),
      counters_(metrics),
      folder_(std::move(folder)),
      worker_(shard) {}

bool Library::is_of(const Id& id, std::string_view account, std::string_view person) const {
  return id.owner == owner_of(key_, account, person);
}
bool Library::is_of(const Id& id, std::string_view account) const {
  return id.owner.account == owner_of(key_, account, "").account;
}

Result<void> Library::check_room(const Owner& owner, std::optional<std::uint64_t> length) {
  if (length.value_or(0) > options_.file_bytes) return too_large(options_.file_bytes);
  if (being_erased_.contains(owner.text())) return being_erased();
  std::size_t of_person = 0;
  uploads_.for_each([&](const Upload& upload) { of_person += upload.owner_ == owner ? 1 : 0; });
  if (upload_count_ >= options_.uploads || of_person >= options_.uploads_per_person) {
    return Error(ErrorKind::kOverloaded, "too many uploads at once", ErrorSource::kPeer,
                 Retry::after(std::chrono::seconds(1)));
  }
  return {};
}

Result<void> Library::check_person(const Owner& owner, std::uint64_t more) const {
  const Result<std::vector<Kept>> files = folder_.files_of(owner.text());
  if (!files) return files.error();
  const Usage usage = Folder::usage_of(*files);
  if (usage.files + 1 <= options_.person_files && usage.bytes + more <= options_.person_bytes) {
    return {};
  }
  return of_peer(ErrorKind::kPermissionDenied,
                 fmt::format("{} images of {} bytes are kept of this person, which is as much as "
                             "may be",
                             usage.files, usage.bytes));
}

Result<void> Library::check_disk(std::uint64_t more) const {
  const Result<std::uint64_t> free = folder_.free_bytes();
  if (!free) return free.error();
  if (*free >= options_.disk_low_bytes + more) return {};
  return Error(ErrorKind::kDiskFull, "the disk is nearly full", ErrorSource::kSelf,
               Retry::with_backoff());
}

Task<Result<std::unique_ptr<Upload>>> Library::begin(std::string account, std::string person,
                                                     Type type,
                                                     std::optional<std::uint64_t> length) {
  const Owner owner = owner_of(key_, account, person);
  const Result<void> room = check_room(owner, length);
  if (!room) {
    counters_.refused.add();
    co_return room.error();
  }
  // From here on it counts, and what goes wrong counts as refused by its destructor.
  std::unique_ptr<Upload> upload(
      new Upload(*this, owner, type, length.value_or(options_.file_bytes)));
  using Begun = std::shared_ptr<Partial>;
  const std::uint64_t more = length.value_or(0);
  const std::uint64_t promised = reserved_bytes_;
  Result<Begun> begun =
      co_await worker_.run<Begun>([this, owner, more, promised]() -> Result<Begun> {
        if (auto may = check_person(owner, more); !may) return may.error();
        if (auto may = check_disk(promised); !may) return may.error();
        return folder_.begin();
      });
  if (!begun) co_return begun.error();
  upload->partial_ = std::move(*begun);
  co_return upload;
}

Task<Result<Kept>> Library::keep(std::string account, std::string person, Type type,
                                 std::string bytes) {
  const Key128 content = KeyedHash(key_).add("media").add(bytes).finish();
  const Id id = Id::make(owner_of(key_, account, person), content.low, type);
  const Kept known{id, bytes.size(), shard_.wall()};
  const std::vector<Id> again{id};
  Result<void> renewed = co_await renew(again);
  if (renewed) co_return known;
  if (renewed.error().kind() != ErrorKind::kNotFound) co_return renewed.error();
  auto begun = co_await begin(std::move(account), std::move(person), type, bytes.size());
  if (!begun) co_return begun.error();
  const std::unique_ptr<Upload> upload = std::move(*begun);
  const Result<void> written = co_await upload->write(std::move(bytes));
  if (!written) co_return written.error();
  Result<Kept> kept = co_await upload->keep_as(id);
  if (kept || kept.error().kind() != ErrorKind::kConflict) co_return kept;
  renewed = co_await renew(again);  // another request brought it meanwhile
  if (!renewed) co_return renewed.error();
  co_return known;
}

Task<Result<void>> Library::renew(std::vector<Id> ids) {
  co_return co_await worker_.run<void>([this, ids = std::move(ids)]() -> Result<void> {
    for (const Id& id : ids) {
      const Result<void> renewed = folder_.renew(id);
      if (renewed) continue;
      if (renewed.error().kind() != ErrorKind::kNotFound) return renewed.error();
      return of_peer(ErrorKind::kNotFound, fmt::format("there is no attachment {}", id.text()));
    }
    return {};
  });
}

Task<Result<std::string>> Library::read(Id id, std::uint64_t offset, std::size_t size) {
  return on_disk<std::string>(
      [id, offset, size](const Folder& folder) { return folder.read(id, offset, size); });
}

Task<Result<std::int64_t>> Library::erase(std::string account, std::string person) {
  const std::string owner = owner_of(key_, account, person).text();
  struct Held {
    std::multiset<std::string>& all;
    std::multiset<std::string>::iterator at;
    ~Held() { all.erase(at); }
  } held{being_erased_, being_erased_.insert(owner)};
  uploads_.for_each([&](Upload& upload) {
    if (upload.owner_.text() == owner) upload.erased_ = true;
  });
  const Result<std::int64_t> erased =
      co_await worker_.run<std::int64_t>([this, owner] { return folder_.erase(owner); });
  if (erased) counters_.erased.add(static_cast<std::uint64_t>(*erased));
  co_return erased;
}

Task<Result<void>> Library::export_person(std::string account, std::string person,
                                          std::function<bool(std::string_view)> line) {
  const std::string owner = owner_of(key_, account, person).text();
  using Files = std::vector<Kept>;
  const Result<Files> files =
      co_await worker_.run<Files>([this, owner] { return folder_.files_of(owner); });
  if (!files) co_return files.error();
  for (const Kept& file : *files) {
    // One at a time: others wait for the disk too.
    const Result<bool> more = co_await worker_.run<bool>([this, file, line]() -> Result<bool> {
      const Result<std::string> bytes = folder_.read(file.id, 0, file.bytes);
      if (!bytes) return bytes.error();
      return line(fmt::format(R"({{"in":"media","id":"{}","at_ms":{},"type":"{}","bytes":{},)"
                              R"("base64":"{}"}})",
                              file.id.text(), file.at.ms, mime_of(file.id.type), bytes->size(),
                              base64(*bytes)));
    });
    if (!more && more.error().kind() == ErrorKind::kNotFound) continue;  // it has just expired
    if (!more) co_return more.error();
    if (!*more) break;
  }
  co_return Result<void>();
}

Task<Result<Usage>> Library::copy_all(Folder to) {
  using Owners = std::vector<std::string>;
  using Files = std::vector<Kept>;
  Usage copied;
  const Result<Owners> owners = co_await worker_.run<Owners>([this] { return folder_.owners(); });
  if (!owners) co_return owners.error();
  for (const std::string& owner : *owners) {
    const Result<Files> files =
        co_await worker_.run<Files>([this, owner] { return folder_.files_of(owner); });
    if (!files) co_return files.error();
    for (const Kept& file : *files) {
      const Result<void> done =
          co_await worker_.run<void>([this, file, to] { return folder_.copy_to(to, file.id); });
      if (!done && done.error().kind() == ErrorKind::kNotFound) continue;  // it has just expired
      if (!done) co_return done.error();
      ++copied.files;
      copied.bytes += file.bytes;
    }
  }
  co_return copied;
}

Task<Result<Usage>> Library::backup(std::string directory) {
  const std::string partial = directory + ".partial";
  const Result<Folder> made = co_await worker_.run<Folder>([partial] {
    Folder(partial).remove();  // of a backup that was cut off
    return Folder::make(partial);
  });
  if (!made) co_return made.error();
  const Folder to = *made;
  const Result<Usage> copied = co_await copy_all(to);
  const bool keep = copied && copied->files > 0;
  const Result<void> named = co_await worker_.run<void>([to, directory, keep] {
    Folder folder = to;
    const Result<void> moved = keep ? folder.move_to(directory) : Result<void>();
    if (!keep || !moved) folder.remove();
    return moved;
  });
  if (!copied) co_return copied.error();
  if (!named) co_return named.error();
  co_return *copied;
}

Task<void> Library::sweep(UnixMillis now) {
  using Owners = std::vector<std::string>;
  const Result<Owners> owners = co_await worker_.run<Owners>([this] { return folder_.owners(); });
  if (!owners) co_return;
  const UnixMillis before{now.ms - options_.retention.count()};
  Usage left;
  for (const std::string& owner : *owners) {
    const Result<Folder::Swept> swept = co_await worker_.run<Folder::Swept>(
        [this, owner, before] { return folder_.sweep(owner, before); });
    if (!swept) continue;  // the next sweep comes by again
    counters_.expired.add(swept->removed);
    left.files += swept->left.files;
    left.bytes += swept->left.bytes;
  }
  counters_.files_kept.set(static_cast<std::int64_t>(left.files));
  counters_.bytes_kept.set(static_cast<std::int64_t>(left.bytes));
}

Upload::Upload(Library& library, Owner owner, Type type, std::uint64_t reserved)
    : library_(library), owner_(std::move(owner)), type_(type), reserved_(reserved) {
  library_.uploads_.push_back(*this);
  ++library_.upload_count_;
  library_.reserved_bytes_ += reserved_;
}

Upload::~Upload() {
  --library_.upload_count_;
  library_.reserved_bytes_ -= reserved_;
  if (!kept_) library_.counters_.refused.add();
  library_.worker_.drop(std::move(partial_));
}

Result<void> Upload::check_type(bool at_end) {
  if (type_seen_ || (buffer_.size() < kMagicBytes && !at_end)) return {};
  type_seen_ = true;
  const std::optional<Type> found = type_of_bytes(buffer_);
  if (found == type_) return {};
  return of_peer(ErrorKind::kUnsupported,
                 found ? fmt::format("it is {}, not {}", mime_of(*found), mime_of(type_))
                       : fmt::format("it is not {}", mime_of(type_)));
}

Task<Result<void>> Upload::write(std::string piece) {
  if (erased_) co_return being_erased();
  bytes_ += piece.size();
  if (bytes_ > library_.options_.file_bytes) co_return too_large(library_.options_.file_bytes);
  buffer_ += piece;
  const Result<void> right = check_type(false);
  if (!right || buffer_.size() < kBufferBytes) co_return right;
  co_return co_await flush();
}

Task<Result<void>> Upload::flush() {
  co_return co_await library_.worker_.run<void>(
      [partial = partial_, bytes = std::exchange(buffer_, {})] { return partial->append(bytes); });
}

Task<Result<Kept>> Upload::finish() {
  return keep_as(Id::make(owner_, library_.shard_.random().next(), type_));
}

Task<Result<Kept>> Upload::keep_as(Id id) {
  if (erased_) co_return being_erased();
  if (bytes_ == 0) co_return of_peer(ErrorKind::kInvalidArgument, "the image is empty");
  const Result<void> right = check_type(true);
  if (!right) co_return right.error();
  const Kept kept{std::move(id), bytes_, library_.shard_.wall()};
  const Result<void> done = co_await library_.worker_.run<void>(
      [library = &library_, partial = partial_, bytes = std::exchange(buffer_, {}), kept] {
        Result<void> step = partial->append(bytes);
        if (step) step = library->check_person(kept.id.owner, kept.bytes);
        if (step) step = library->folder_.keep(*partial, kept.id);
        return step;
      });
  if (!done) co_return done.error();
  kept_ = true;
  library_.counters_.uploads.add();
  library_.counters_.bytes.add(kept.bytes);
  co_return kept;
}

}  // namespace sluice::media
