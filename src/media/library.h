#pragma once
// Library: what people attach, for the channels that take it and the agents that are shown it.
//
//   auto upload = co_await library.begin(account, person, Type::kPng, length);
//   … co_await upload->write(piece) …
//   auto kept = co_await upload->finish();   // on disk: the id may be told (C1)
//
// Shard-confined, with a thread of its own for the disk (worker.h), which alone touches the folder.
// The shard outlives it; it outlives its uploads and every task that waits for it. Cancelling: an
// upload that is destroyed leaves nothing behind.
//
// Limits: LibraryOptions. Errors besides each call's own: kOverloaded (too much waits for the
// disk), kInternal (the file system failed).

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "media/folder.h"
#include "media/kinds.h"
#include "media/worker.h"
#include "observe/metrics.h"
#include "runtime/list.h"

namespace sluice::media {

struct LibraryOptions {
  std::uint64_t file_bytes = 10 << 20;      // of one image
  std::uint32_t person_files = 2'000;       // of one person: more are refused
  std::uint64_t person_bytes = 1 << 30;     // and together
  std::uint32_t uploads = 32;               // at once
  std::uint32_t uploads_per_person = 4;     // of these
  std::uint64_t disk_low_bytes = 64 << 20;  // what uploads leave free
  std::chrono::milliseconds retention{0};   // since it came or was last attached
};

class Library;

/// One image on its way to the disk. Shard-confined; its library outlives it.
class Upload : public ListNode {
 public:
  /// Collected up to here before it goes to the disk.
  static constexpr std::size_t kBufferBytes = 256 << 10;

  ~Upload();
  /// kTooLarge; kUnsupported: the first bytes are not of the type that was declared; kDiskFull;
  /// kUnavailable: the person's data are being erased. After an error: destroy it.
  Task<Result<void>> write(std::string piece);
  /// Durable when it returns. Also kPermissionDenied: the person has as much as is kept for one.
  Task<Result<Kept>> finish();

 private:
  friend class Library;
  Task<Result<Kept>> keep_as(Id id);
  Upload(Library& library, Owner owner, Type type, std::uint64_t reserved);
  Result<void> check_type(bool at_end);
  Task<Result<void>> flush();

  Library& library_;
  const Owner owner_;
  const Type type_;
  const std::uint64_t reserved_;  // of the disk
  std::shared_ptr<Partial> partial_;
  std::string buffer_;
  std::uint64_t bytes_ = 0;
  bool type_seen_ = false;
  bool erased_ = false;
  bool kept_ = false;
};

class Library {
 public:
  /// Blocks. kPermissionDenied: the directory is somebody else's.
  static Result<std::unique_ptr<Library>> open(Shard& shard, Metrics& metrics, const HashKey& key,
                                               std::string directory, LibraryOptions options);

  const LibraryOptions& options() const { return options_; }
  bool is_of(const Id& id, std::string_view account, std::string_view person) const;
  bool is_of(const Id& id, std::string_view account) const;

  /// length: as far as it is known. kTooLarge, kPermissionDenied (the person has as much as is
  /// kept for one), kOverloaded (too many uploads at once), kDiskFull, kUnavailable.
  Task<Result<std::unique_ptr<Upload>>> begin(std::string account, std::string person, Type type,
                                              std::optional<std::uint64_t> length);
  /// One that is there whole. Its id is made of its bytes: the same image of the same person is
  /// kept once, and is as new whenever it comes again. Errors: those of begin(), write() and
  /// finish().
  Task<Result<Kept>> keep(std::string account, std::string person, Type type, std::string bytes);
  /// They are attached to a message: from now on they are as old as that. kNotFound names one that
  /// is not there.
  Task<Result<void>> renew(std::vector<Id> ids);
  /// f runs on the disk's thread and owns what it captures.
  template <class T>
  Task<Result<T>> on_disk(std::function<Result<T>(const Folder&)> f) {
    return worker_.run<T>([this, f = std::move(f)] { return f(folder_); });
  }
  Task<Result<std::string>> read(Id id, std::uint64_t offset, std::size_t size);

  /// Removes all of that person for good (C31), uploads under way included. Returns how many.
  Task<Result<std::int64_t>> erase(std::string account, std::string person);
  /// One JSON object for each image, the image in it as base64, by the disk's thread; line()
  /// returns false to stop.
  Task<Result<void>> export_person(std::string account, std::string person,
                                   std::function<bool(std::string_view)> line);
  /// Copies everything to a new directory; nothing is made if there is nothing. kConflict if the
  /// directory exists. Removed again if it fails.
  Task<Result<Usage>> backup(std::string directory);
  /// Removes what is older than the retention allows.
  Task<void> sweep(UnixMillis now);

 private:
  friend class Upload;
  struct Counters {
    explicit Counters(Metrics& metrics);
    Counter& uploads;
    Counter& bytes;
    Counter& refused;
    Counter& expired;
    Counter& erased;
    Gauge& files_kept;
    Gauge& bytes_kept;
  };

  Library(Shard& shard, Metrics& metrics, const HashKey& key, Folder folder,
          LibraryOptions options);
  Result<void> check_room(const Owner& owner, std::optional<std::uint64_t> length);
  Result<void> check_person(const Owner& owner, std::uint64_t more) const;  // disk's thread
  Result<void> check_disk(std::uint64_t more) const;                        // disk's thread
  Task<Result<Usage>> copy_all(Folder to);

  Shard& shard_;
  const HashKey key_;
  const LibraryOptions options_;
  Counters counters_;
  List<Upload> uploads_;
  std::size_t upload_count_ = 0;
  std::uint64_t reserved_bytes_ = 0;
  std::multiset<std::string> being_erased_;  // owners
  Folder folder_;                            // of the disk's thread
  Worker worker_;
};

}  // namespace sluice::media
