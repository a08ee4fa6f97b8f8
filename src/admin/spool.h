#pragma once
// Spool: bytes on their way to a client that need not fit into memory: a file without a name, gone
// when the last owner is.
//
// One thread at a time writes, and when all is written another may read. kTooLarge beyond
// kSpoolBytes; kDiskFull.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace sluice::admin {

inline constexpr std::uint64_t kSpoolBytes = 4ull << 30;

class Spool {
 public:
  /// In this directory. kUnsupported where the file system has no files without a name (O_TMPFILE).
  static Result<std::shared_ptr<Spool>> open(const std::string& directory);
  ~Spool();
  Spool(const Spool&) = delete;
  Spool& operator=(const Spool&) = delete;

  /// Appends the line and a line break.
  Result<void> line(std::string_view text);
  /// Writes what is still in memory. Then it may be read.
  Result<void> finish();

  /// At most size bytes from offset; empty at the end. From the page cache, as a rule.
  Result<std::string> read(std::uint64_t offset, std::size_t size) const;
  std::uint64_t bytes() const { return bytes_; }
  std::uint64_t lines() const { return lines_; }

 private:
  explicit Spool(int fd) : fd_(fd) {}
  Result<void> flush();
  int fd_;
  std::string buffer_;
  std::uint64_t bytes_ = 0;
  std::uint64_t lines_ = 0;
};

}  // namespace sluice::admin
