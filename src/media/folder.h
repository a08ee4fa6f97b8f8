#pragma once
// Folder: attachments as files below one directory, which is the daemon's own:
//   <account><person>/<name>.<ext>   0600 in a directory of 0700, durable once keep() has returned
//   partial/<number>                 on their way in; gone after a crash
// A file's time of modification is when it came, or was last attached to a message.
//
// Every call blocks. One thread at a time, and no other process: what is looked at does not change
// meanwhile. Errors: kDiskFull (nothing is left behind), kNotFound, kInternal for the rest of what
// a file system may say.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "media/kinds.h"

namespace sluice::media {

/// An upload on its way; its file goes with it.
class Partial {
 public:
  Partial(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  ~Partial();
  Partial(const Partial&) = delete;
  Partial& operator=(const Partial&) = delete;

  Result<void> append(std::string_view bytes);
  std::uint64_t bytes() const { return bytes_; }

 private:
  friend class Folder;
  int fd_;
  std::string path_;  // empty once it has been kept
  std::uint64_t bytes_ = 0;
};

struct Kept {
  Id id;
  std::uint64_t bytes = 0;
  UnixMillis at;
};

struct Usage {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
};

class Folder {
 public:
  /// Makes what is missing, closes it to others, and removes partial files. kPermissionDenied if
  /// it is somebody else's.
  static Result<Folder> open(std::string directory);
  /// Makes one for a copy. kConflict if the directory exists.
  static Result<Folder> make(std::string directory);
  /// Takes a directory as it is, for reading.
  explicit Folder(std::string directory) : directory_(std::move(directory)) {}

  const std::string& directory() const { return directory_; }
  /// What an ordinary user can still write there.
  Result<std::uint64_t> free_bytes() const;

  Result<std::shared_ptr<Partial>> begin();
  /// Gives it its name. The file, its name and its directory are synced. kConflict if the id is
  /// taken. A file whose sync failed is not tried again: it goes.
  Result<void> keep(Partial& partial, const Id& id);

  /// kNotFound if it is not there; else it is as new.
  Result<void> renew(const Id& id) const;
  /// At most size bytes from offset; empty at its end.
  Result<std::string> read(const Id& id, std::uint64_t offset, std::size_t size) const;
  Result<std::uint64_t> size_of(const Id& id) const;

  /// Everybody who has files here, by directory.
  Result<std::vector<std::string>> owners() const;
  /// Empty for one who has none. What is not ours by its name is left out.
  Result<std::vector<Kept>> files_of(std::string_view owner) const;
  static Usage usage_of(const std::vector<Kept>& files);
  /// Of everybody. kPermissionDenied if others have rights here.
  Result<Usage> look() const;

  /// Removes what is older, and the directory if that was all. Returns what is left.
  struct Swept {
    std::uint64_t removed = 0;
    Usage left;
  };
  Result<Swept> sweep(std::string_view owner, UnixMillis before);
  /// Overwrites and removes everything of that owner. Returns how many files that was.
  Result<std::int64_t> erase(std::string_view owner);
  /// A copy under the same name in another folder, of the same age, synced.
  Result<void> copy_to(const Folder& other, const Id& id) const;
  /// After the last copy_to(): syncs the directories, and gives this one its name.
  Result<void> move_to(const std::string& directory);
  void remove();

 private:
  std::string path_of(std::string_view owner) const;
  std::string path_of(const Id& id) const;
  Result<void> make_owner(const std::string& path) const;

  std::string directory_;
  std::uint64_t next_partial_ = 1;
};

// Of a backup's images, where no daemon runs. They are copied beside the folder first, so that what
// can fail fails before anything changes.

/// False: the backup has none.
Result<bool> stage_restore(const std::string& backup, const std::string& directory);
/// What is there moves aside, to `<directory>.replaced-N`; what was staged takes its place.
Result<void> finish_restore(const std::string& directory);
void drop_restore(const std::string& directory);

}  // namespace sluice::media
