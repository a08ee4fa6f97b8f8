#include "media/folder.h"

#include <filesystem>
#include <fstream>

#include "media/media_fixture.h"

namespace sluice::media {
namespace {

namespace fs = std::filesystem;
using test::kKey;
using test::png;

const Owner kAlice = owner_of(kKey, "http", "alice");
const Owner kBob = owner_of(kKey, "http", "bob");

class FolderTest : public ::testing::Test {
 protected:
  FolderTest() : folder_(*Folder::open(path())) {}
  std::string path(const std::string& below = {}) {
    return directory_.file("media") + (below.empty() ? "" : "/" + below);
  }
  Id put(const Owner& owner, std::uint64_t number, const std::string& bytes = png()) {
    const Id id = Id::make(owner, number, Type::kPng);
    auto partial = folder_.begin();
    EXPECT_TRUE(partial);
    EXPECT_TRUE((*partial)->append(bytes));
    EXPECT_TRUE(folder_.keep(**partial, id));
    return id;
  }
  static fs::perms rights(const std::string& path) {
    return fs::status(path).permissions() & fs::perms::mask;
  }
  net::test::TempDir directory_;
  Folder folder_;
};

TEST_F(FolderTest, KeepsWhatWasPutUnderItsOwner) {
  const Id id = put(kAlice, 1);
  EXPECT_EQ(folder_.read(id, 0, 1000).value(), png());
  EXPECT_EQ(folder_.read(id, 90, 1000).value(), std::string(10, 'p'));
  EXPECT_EQ(folder_.read(id, 1000, 1000).value(), "");
  EXPECT_EQ(folder_.files_of(kAlice.text()).value().size(), 1u);
  EXPECT_TRUE(folder_.files_of(kBob.text()).value().empty());
  EXPECT_TRUE(fs::is_empty(path("partial")));
}

TEST_F(FolderTest, IsForItsOwnerOnly) {
  const Id id = put(kAlice, 1);
  EXPECT_EQ(rights(path()), fs::perms::owner_all);
  EXPECT_EQ(rights(path(kAlice.text())), fs::perms::owner_all);
  EXPECT_EQ(rights(path(kAlice.text() + "/" + id.file())),
            fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(FolderTest, DropsPartialFilesAtTheStartAndWhenGivenUp) {
  {
    auto partial = folder_.begin();
    ASSERT_TRUE(partial);
    ASSERT_TRUE((*partial)->append("half"));
    EXPECT_FALSE(fs::is_empty(path("partial")));
  }
  EXPECT_TRUE(fs::is_empty(path("partial")));
  std::ofstream(path("partial/9")) << "left by a crash";
  ASSERT_TRUE(Folder::open(path()));
  EXPECT_TRUE(fs::is_empty(path("partial")));
}

TEST_F(FolderTest, NeverOverwritesAnId) {
  const Id id = put(kAlice, 1);
  auto partial = folder_.begin();
  ASSERT_TRUE((*partial)->append("other"));
  const Result<void> kept = folder_.keep(**partial, id);
  ASSERT_FALSE(kept);
  EXPECT_EQ(kept.error().kind(), ErrorKind::kConflict);
  EXPECT_EQ(folder_.read(id, 0, 1000).value(), png());
}

TEST_F(FolderTest, TellsWhatIsThereAndWhetherItIsClosed) {
  put(kAlice, 1);
  put(kBob, 2);
  EXPECT_EQ(folder_.look()->files, 2u);
  EXPECT_EQ(folder_.look()->bytes, 200u);
  fs::permissions(path(), fs::perms::group_read, fs::perm_options::add);
  EXPECT_EQ(folder_.look().error().kind(), ErrorKind::kPermissionDenied);
  ASSERT_TRUE(Folder::open(path()));
  EXPECT_TRUE(folder_.look());
}

TEST_F(FolderTest, SweepsByAgeAndRenewalMakesYounger) {
  const Id old = put(kAlice, 1);
  const Id renewed = put(kAlice, 2);
  const Id young = put(kAlice, 3);
  const UnixMillis now = folder_.files_of(kAlice.text()).value().back().at;
  for (const Id& id : {old, renewed}) {
    test::make_older(path(kAlice.text() + "/" + id.file()), std::chrono::hours(48));
  }
  ASSERT_TRUE(folder_.renew(renewed));
  const auto swept = folder_.sweep(kAlice.text(), UnixMillis{now.ms - 24 * 3'600'000});
  ASSERT_TRUE(swept);
  EXPECT_EQ(swept->removed, 1u);
  EXPECT_EQ(swept->left.files, 2u);
  EXPECT_EQ(swept->left.bytes, 200u);
  EXPECT_EQ(folder_.read(old, 0, 1).error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(folder_.renew(old).error().kind(), ErrorKind::kNotFound);
  EXPECT_TRUE(folder_.read(renewed, 0, 1));
  EXPECT_TRUE(folder_.read(young, 0, 1));
}

TEST_F(FolderTest, ErasesOneOwnerFromTheDiskAndTouchesNobodyElse) {
  const Id mine = put(kAlice, 1);
  const Id other = put(kBob, 2);
  // A second name shows what became of the bytes.
  const std::string again = directory_.file("again");
  fs::create_hard_link(path(kAlice.text() + "/" + mine.file()), again);
  EXPECT_EQ(folder_.erase(kAlice.text()).value(), 1);
  EXPECT_FALSE(fs::exists(path(kAlice.text())));
  std::ifstream file(again, std::ios::binary);
  const std::string left((std::istreambuf_iterator<char>(file)), {});
  EXPECT_EQ(left, std::string(100, '\0'));
  EXPECT_EQ(folder_.read(other, 0, 1000).value(), png());
  EXPECT_EQ(folder_.erase(kAlice.text()).value(), 0);
}

TEST_F(FolderTest, LeavesWhatIsNotItsOwnAlone) {
  put(kAlice, 1);
  std::ofstream(path(kAlice.text() + "/notes.txt")) << "an operator's";
  fs::create_symlink("/etc/passwd", path(kAlice.text() + "/0000000000000009.png"));
  EXPECT_EQ(folder_.files_of(kAlice.text()).value().size(), 1u);
  EXPECT_FALSE(folder_.read(Id::make(kAlice, 9, Type::kPng), 0, 10)) << "no link is followed";
  EXPECT_EQ(folder_.erase(kAlice.text()).value(), 1);
  EXPECT_TRUE(fs::exists(path(kAlice.text() + "/notes.txt")));
}

TEST_F(FolderTest, CopiesWithItsAgeAndRestoresBesideWhatWasThere) {
  const Id id = put(kAlice, 1);
  test::make_older(path(kAlice.text() + "/" + id.file()), std::chrono::hours(48));
  const UnixMillis at = folder_.files_of(kAlice.text()).value().front().at;
  const std::string copy = directory_.file("copy");
  auto to = Folder::make(copy + ".partial");
  ASSERT_TRUE(to);
  ASSERT_TRUE(folder_.copy_to(*to, id));
  ASSERT_TRUE(to->move_to(copy));
  EXPECT_EQ(Folder::make(copy).error().kind(), ErrorKind::kConflict);

  const Id later = put(kAlice, 2);
  EXPECT_TRUE(stage_restore(copy, path()).value());
  ASSERT_TRUE(finish_restore(path()));
  EXPECT_EQ(folder_.files_of(kAlice.text()).value().front().at, at);
  EXPECT_FALSE(folder_.read(later, 0, 1));
  EXPECT_TRUE(fs::exists(path() + ".replaced-1/" + kAlice.text() + "/" + later.file()));
  EXPECT_FALSE(stage_restore(directory_.file("nothing"), path()).value());
}

TEST(FolderOpenTest, RefusesWhatIsNoDirectory) {
  const net::test::TempDir directory;
  std::ofstream(directory.file("media")) << "a file";
  EXPECT_FALSE(Folder::open(directory.file("media")));
}

}  // namespace
}  // namespace sluice::media
