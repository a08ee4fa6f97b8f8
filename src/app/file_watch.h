#pragma once
// FileWatch: says when a file has become another one. It watches the folder, because editors put a
// new file in the place of the old one, and looks at the file itself, because what happens in the
// folder may concern others.
//
// Shard-confined. Protocol: inotify(7).

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "net/poller.h"
#include "runtime/shard.h"
#include "runtime/task.h"

namespace sluice::app {

class FileWatch {
 public:
  /// So long the folder must have been quiet: a file that is being written is not read.
  static constexpr Duration kQuiet = std::chrono::milliseconds(200);
  /// But no longer than this: a folder may never be quiet.
  static constexpr Duration kPatience = std::chrono::seconds(2);

  /// What tells one file from another without reading it.
  struct Look {
    bool there = false;
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::int64_t size = 0;
    std::int64_t written_ns = 0;
    std::int64_t changed_ns = 0;  // of its inode: tells also what keeps size and time

    static Look at(const std::string& path);
    friend bool operator==(const Look&, const Look&) = default;
  };

  /// seen: the file as its reader knows it. kUnavailable: the system gives no watch, or the folder
  /// is not there.
  static Result<std::unique_ptr<FileWatch>> make(Shard& shard, std::string path, Look seen);
  ~FileWatch();
  FileWatch(const FileWatch&) = delete;
  FileWatch& operator=(const FileWatch&) = delete;

  /// Returns when the file is another one than it was the last time. Gone counts. kUnavailable: the
  /// folder itself has gone, there will be nothing more.
  Task<Result<void>> changed();

 private:
  FileWatch(Shard& shard, std::string path, Look seen, int fd);
  void take_events();

  Shard& shard_;
  const std::string path_;
  Look seen_;
  const int fd_;
  bool over_ = false;  // the folder has gone
  net::Poller poller_;
  net::Watch watch_;
};

}  // namespace sluice::app
