#include "config/file.h"

#include <cstdlib>
#include <filesystem>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

namespace sluice::config {
namespace {

class FileTest : public ::testing::Test {
 protected:
  FileTest() {
    std::string name = (std::filesystem::temp_directory_path() / "sluice_file_XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  ~FileTest() override { std::filesystem::remove_all(folder_); }

  std::string path() const { return (folder_ / "f").string(); }
  std::size_t files() const {
    return static_cast<std::size_t>(
        std::distance(std::filesystem::directory_iterator(folder_), {}));
  }

  std::filesystem::path folder_;
};

TEST_F(FileTest, ContentAndModeAreWhatWasAskedFor) {
  ASSERT_TRUE(write_file_atomically(path(), "hello\n", 0640));
  EXPECT_EQ(*read_file(path(), 100), "hello\n");
  struct stat info{};
  ASSERT_EQ(::stat(path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0640u);
}

TEST_F(FileTest, ReplacesTheWholeFileAndLeavesNothingBehind) {
  ASSERT_TRUE(write_file_atomically(path(), "a longer text"));
  ASSERT_TRUE(write_file_atomically(path(), "short"));
  EXPECT_EQ(*read_file(path(), 100), "short");
  EXPECT_EQ(files(), 1u);
}

TEST_F(FileTest, AnExistingFileIsKeptWhereItMayNotBeReplaced) {
  ASSERT_TRUE(write_file_atomically(path(), "mine"));
  const auto r = write_file_atomically(path(), "default", 0600, IfExists::kRefuse);
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().kind(), ErrorKind::kConflict);
  EXPECT_EQ(*read_file(path(), 100), "mine");
  EXPECT_EQ(files(), 1u);
}

TEST_F(FileTest, ANewFileIsWrittenWhereNoneMayBeReplaced) {
  ASSERT_TRUE(write_file_atomically(path(), "default", 0600, IfExists::kRefuse));
  EXPECT_EQ(*read_file(path(), 100), "default");
  EXPECT_EQ(files(), 1u);
}

TEST_F(FileTest, AFolderThatIsNotThereIsAnError) {
  EXPECT_EQ(write_file_atomically((folder_ / "no" / "f").string(), "x").error().kind(),
            ErrorKind::kNotFound);
}

TEST_F(FileTest, AFileBeyondTheLimitIsNotRead) {
  ASSERT_TRUE(write_file_atomically(path(), "12345"));
  EXPECT_TRUE(read_file(path(), 5));
  EXPECT_EQ(read_file(path(), 4).error().kind(), ErrorKind::kTooLarge);
}

TEST_F(FileTest, WhatIsNoRegularFileIsNotRead) {
  EXPECT_EQ(read_file(folder_.string(), 5).error().kind(), ErrorKind::kInvalidArgument);
  ASSERT_EQ(::mkfifo(path().c_str(), 0600), 0);
  EXPECT_EQ(read_file(path(), 5).error().kind(), ErrorKind::kInvalidArgument);
  EXPECT_EQ(read_file((folder_ / "none").string(), 5).error().kind(), ErrorKind::kNotFound);
}

}  // namespace
}  // namespace sluice::config
