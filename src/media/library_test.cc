#include "media/library.h"

#include <filesystem>

#include <gmock/gmock.h>

#include "media/media_fixture.h"

namespace sluice::media {
namespace {

using std::chrono::hours;
using test::jpeg;
using test::LibraryTest;
using test::png;

namespace fs = std::filesystem;

TEST_F(LibraryTest, KeepsAnImageAndGivesItBack) {
  open();
  const Result<Kept> kept = put(png(700'000));
  ASSERT_TRUE(kept) << kept.error().to_string();
  EXPECT_EQ(kept->bytes, 700'000u);
  EXPECT_TRUE(library_->is_of(kept->id, "http", "alice"));
  EXPECT_TRUE(library_->is_of(kept->id, "http"));
  EXPECT_FALSE(library_->is_of(kept->id, "http", "bob"));
  EXPECT_FALSE(library_->is_of(kept->id, "cli"));
  EXPECT_EQ(read(kept->id).value(), png(700'000));
  close();
  open();
  EXPECT_EQ(read(kept->id).value(), png(700'000));
  EXPECT_EQ(metrics_.value("sluice_media_uploads_total"), 1);
}

TEST_F(LibraryTest, RefusesATypeThatIsNotTheDeclaredOne) {
  open();
  EXPECT_EQ(put(jpeg(), Type::kPng).error().kind(), ErrorKind::kUnsupported);
  EXPECT_EQ(put("<svg onload=alert(1)>", Type::kPng).error().kind(), ErrorKind::kUnsupported);
  EXPECT_EQ(put("\x89P", Type::kPng).error().kind(), ErrorKind::kUnsupported) << "too short";
  EXPECT_EQ(put("", Type::kPng).error().kind(), ErrorKind::kInvalidArgument);
  EXPECT_EQ(metrics_.value("sluice_media_refused_total"), 4);
  EXPECT_TRUE(put(jpeg(), Type::kJpeg)) << "behind what was dropped";
  EXPECT_TRUE(fs::is_empty(path("partial")));
}

TEST_F(LibraryTest, AWholeImageIsKeptOnceForEachPerson) {
  options_.retention = hours(1);
  open();
  const auto keep = [this](const std::string& bytes, const std::string& person) {
    return thread_.await<Result<Kept>>(
        [&] { return library_->keep("http", person, Type::kPng, bytes); });
  };
  const Result<Kept> first = keep(png(300'000), "alice");
  ASSERT_TRUE(first) << first.error().to_string();
  test::make_older(path(path_of(first->id)), hours(2));
  const Result<Kept> again = keep(png(300'000), "alice");
  ASSERT_TRUE(again);
  EXPECT_EQ(again->id, first->id);
  EXPECT_EQ(read(first->id).value(), png(300'000));
  sweep(UnixMillis{first->at.ms});
  EXPECT_TRUE(read(first->id)) << "as new as when it came last";
  EXPECT_NE(keep(png(300'001), "alice")->id, first->id);
  EXPECT_TRUE(library_->is_of(keep(png(300'000), "bob")->id, "http", "bob"));
  EXPECT_EQ(metrics_.value("sluice_media_uploads_total"), 3);
}

TEST_F(LibraryTest, RefusesWhatIsTooLarge) {
  options_.file_bytes = 100'000;
  open();
  EXPECT_TRUE(put(png(100'000)));
  EXPECT_EQ(put(png(100'001)).error().kind(), ErrorKind::kTooLarge);
  const auto declared = thread_.await<bool>([&] {
    struct Try {
      static Task<bool> run(Library* library) {
        auto begun = co_await library->begin("http", "alice", Type::kPng, 100'001);
        co_return begun.has_error() && begun.error().kind() == ErrorKind::kTooLarge;
      }
    };
    return Try::run(library_.get());
  });
  EXPECT_TRUE(declared);
}

TEST_F(LibraryTest, KeepsSoManyOfOnePersonAndNoMore) {
  options_.person_files = 2;
  open();
  EXPECT_TRUE(put(png()));
  EXPECT_TRUE(put(png()));
  EXPECT_EQ(put(png()).error().kind(), ErrorKind::kPermissionDenied);
  EXPECT_TRUE(put(png(), Type::kPng, "bob"));
}

TEST_F(LibraryTest, KeepsSoManyBytesOfOnePersonAndNoMore) {
  options_.person_bytes = 250;
  open();
  EXPECT_TRUE(put(png(200)));
  EXPECT_EQ(put(png(100)).error().kind(), ErrorKind::kPermissionDenied);
  EXPECT_TRUE(put(png(50)));
}

TEST_F(LibraryTest, TakesSoManyUploadsAtOnce) {
  options_.uploads = 3;
  options_.uploads_per_person = 2;
  open();
  struct Try {
    static Task<std::vector<std::string>> run(Library* library) {
      std::vector<std::string> said;
      std::vector<std::unique_ptr<Upload>> held;
      for (const char* person : {"alice", "alice", "alice", "bob", "carol"}) {
        auto begun = co_await library->begin("http", person, Type::kPng, std::nullopt);
        said.emplace_back(begun ? "yes" : to_string(begun.error().kind()));
        if (begun) held.push_back(std::move(*begun));
      }
      held.clear();
      auto again = co_await library->begin("http", "alice", Type::kPng, std::nullopt);
      said.emplace_back(again ? "yes" : "no");
      co_return said;
    }
  };
  const auto said =
      thread_.await<std::vector<std::string>>([&] { return Try::run(library_.get()); });
  EXPECT_THAT(said, ::testing::ElementsAre("yes", "yes", "overloaded", "yes", "overloaded", "yes"));
}

TEST_F(LibraryTest, LeavesTheDiskItsReserve) {
  options_.disk_low_bytes = UINT64_MAX / 2;
  open();
  EXPECT_EQ(put(png()).error().kind(), ErrorKind::kDiskFull);
}

TEST_F(LibraryTest, AnUploadThatIsGivenUpLeavesNothing) {
  open();
  struct Try {
    static Task<bool> run(Library* library) {
      auto begun = co_await library->begin("http", "alice", Type::kPng, std::nullopt);
      const Result<void> written = co_await (*begun)->write(png(600'000));
      begun->reset();
      // Behind the file's removal, since jobs are done in order.
      const Result<std::string> none = co_await library->read(
          Id::make(owner_of(test::kKey, "http", "alice"), 1, Type::kPng), 0, 1);
      co_return written.has_value() && none.has_error();
    }
  };
  EXPECT_TRUE(thread_.await<bool>([&] { return Try::run(library_.get()); }));
  EXPECT_TRUE(fs::is_empty(path("partial")));
}

TEST_F(LibraryTest, AnErasureRemovesAllOfOnePersonAndEndsUploadsUnderWay) {
  open();
  const Result<Kept> mine = put(png());
  const Result<Kept> other = put(png(), Type::kPng, "bob");
  struct Try {
    static Task<std::string> run(Library* library) {
      auto begun = co_await library->begin("http", "alice", Type::kPng, std::nullopt);
      const Result<void> written = co_await (*begun)->write(png());
      const Result<std::int64_t> erased = co_await library->erase("http", "alice");
      const Result<Kept> kept = co_await (*begun)->finish();
      if (!written || !erased || kept) co_return "went on";
      co_return std::string(to_string(kept.error().kind())) + " " + std::to_string(*erased);
    }
  };
  EXPECT_EQ(thread_.await<std::string>([&] { return Try::run(library_.get()); }), "unavailable 1");
  EXPECT_EQ(read(mine->id).error().kind(), ErrorKind::kNotFound);
  EXPECT_TRUE(read(other->id));
  EXPECT_TRUE(put(png())) << "what comes later is taken";
  EXPECT_EQ(metrics_.value("sluice_media_erased_total"), 1);
}

TEST_F(LibraryTest, RetentionRemovesWhatNoMessageHasUsedForSoLong) {
  options_.retention = hours(24);
  open();
  const Id old = put(png())->id;
  const Id used = put(png())->id;
  test::make_older(path(path_of(old)), hours(48));
  test::make_older(path(path_of(used)), hours(48));
  ASSERT_TRUE(renew(used));
  sweep(SystemClock().wall());
  EXPECT_EQ(read(old).error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(renew(old).error().kind(), ErrorKind::kNotFound);
  EXPECT_TRUE(read(used));
  EXPECT_EQ(metrics_.value("sluice_media_expired_total"), 1);
  EXPECT_EQ(metrics_.value("sluice_media_files"), 1);
  EXPECT_EQ(metrics_.value("sluice_media_bytes"), 100);
}

TEST_F(LibraryTest, ExportsWithTheImageInIt) {
  open();
  const Id id = put(jpeg(3), Type::kJpeg)->id;
  ASSERT_TRUE(put(png(), Type::kPng, "bob"));
  std::vector<std::string> lines;
  const Result<void> done = thread_.await<Result<void>>([&] {
    return library_->export_person("http", "alice", [&](std::string_view line) {
      lines.emplace_back(line);
      return true;
    });
  });
  ASSERT_TRUE(done);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_THAT(lines[0], ::testing::HasSubstr(id.text()));
  EXPECT_THAT(lines[0], ::testing::HasSubstr(R"("type":"image/jpeg","bytes":3,"base64":"/9j/"})"));
}

TEST_F(LibraryTest, ABackupHoldsEverythingAndOverwritesNothing) {
  open();
  const std::string copy = directory_.file("copy");
  const auto back_up = [&] {
    return thread_.await<Result<Usage>>([&] { return library_->backup(copy); });
  };
  EXPECT_EQ(back_up()->files, 0u);
  EXPECT_FALSE(fs::exists(copy)) << "nothing to keep";
  const Id id = put(png())->id;
  EXPECT_EQ(back_up()->files, 1u);
  EXPECT_EQ(Folder(copy).read(id, 0, 1000).value(), png());
  EXPECT_EQ(back_up().error().kind(), ErrorKind::kConflict);
  EXPECT_FALSE(fs::exists(copy + ".partial"));
}

TEST_F(LibraryTest, GoesAwayWhileWorkWaits) {
  open();
  thread_.run([this] {
    for (int i = 0; i < 100; ++i) {
      Running task([](Library* library) -> Task<void> {
        const auto done = co_await library->read(
            Id::make(owner_of(test::kKey, "http", "alice"), 1, Type::kPng), 0, 1);
        (void)done;
      }(library_.get()));
      task.start();
    }
    library_.reset();
  });
}

}  // namespace
}  // namespace sluice::media
