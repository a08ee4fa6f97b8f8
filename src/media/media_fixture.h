#pragma once
// For tests of media and of who uses it: images that are none inside, and a library on a shard of
// its own.

#include <memory>
#include <optional>
#include <string>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "media/library.h"
#include "net/net_fixture.h"

namespace sluice::media::test {

inline constexpr HashKey kKey{1, 2, 3};

inline std::string png(std::size_t size = 100) {
  std::string bytes("\x89PNG\r\n\x1a\n", 8);
  bytes.resize(size, 'p');
  return bytes;
}
inline std::string jpeg(std::size_t size = 100) {
  std::string bytes("\xff\xd8\xff\xe0");
  bytes.resize(size, 'j');
  return bytes;
}

/// Makes a file look as if it had come so long ago.
inline void make_older(const std::string& path, std::chrono::seconds age) {
  struct stat st{};
  ASSERT_EQ(::stat(path.c_str(), &st), 0) << path;
  const timespec then[2] = {{st.st_atim.tv_sec - age.count(), 0},
                            {st.st_mtim.tv_sec - age.count(), 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), then, 0), 0);
}

class LibraryTest : public ::testing::Test {
 protected:
  LibraryTest() { options_.disk_low_bytes = 0; }
  ~LibraryTest() override { close(); }

  void open() {
    thread_.run([this] {
      auto opened = Library::open(thread_.shard(), metrics_, kKey, path(), options_);
      ASSERT_TRUE(opened) << opened.error().to_string();
      library_ = std::move(*opened);
    });
  }
  void close() {
    thread_.run([this] { library_.reset(); });
  }
  std::string path(const std::string& below = {}) {
    return directory_.file("media") + (below.empty() ? "" : "/" + below);
  }
  static std::string path_of(const Id& id) { return id.owner.text() + "/" + id.file(); }

  Result<Kept> put(std::string bytes, Type type = Type::kPng, std::string person = "alice") {
    return thread_.await<Result<Kept>>(
        [&] { return put_all(library_.get(), std::move(bytes), type, std::move(person)); });
  }
  Result<std::string> read(const Id& id) {
    return thread_.await<Result<std::string>>([&] { return library_->read(id, 0, 64 << 20); });
  }
  Result<std::int64_t> erase(const std::string& person) {
    return thread_.await<Result<std::int64_t>>([&] { return library_->erase("http", person); });
  }
  Result<void> renew(const Id& id) {
    return thread_.await<Result<void>>([&] { return library_->renew({id}); });
  }
  void sweep(UnixMillis now) {
    thread_.await<bool>([&] { return sweep_all(library_.get(), now); });
  }

  static Task<Result<Kept>> put_all(Library* library, std::string bytes, Type type,
                                    std::string person) {
    auto begun = co_await library->begin("http", person, type, std::nullopt);
    if (!begun) co_return begun.error();
    for (std::size_t at = 0; at < bytes.size(); at += 60'000) {
      const Result<void> written = co_await (*begun)->write(bytes.substr(at, 60'000));
      if (!written) co_return written.error();
    }
    co_return co_await (*begun)->finish();
  }
  static Task<bool> sweep_all(Library* library, UnixMillis now) {
    co_await library->sweep(now);
    co_return true;
  }

  net::test::TempDir directory_;
  Metrics metrics_;
  LibraryOptions options_;
  net::test::ShardThread thread_;
  std::unique_ptr<Library> library_;
};

}  // namespace sluice::media::test
