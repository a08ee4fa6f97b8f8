#include "config/secret.h"

#include <cstdlib>
#include <filesystem>
#include <ostream>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/file.h"
#include "config/load.h"

namespace sluice::config {
namespace {

using ::testing::HasSubstr;

template <class T>
concept Streamable = requires(std::ostream& out, const T& value) { out << value; };

static_assert(Streamable<int>);
static_assert(!Streamable<Secret>, "a secret must not be printable");
static_assert(!fmt::is_formattable<Secret>::value, "a secret must not be formattable");

TEST(SecretTest, CopiesAndMovesKeepTheBytes) {
  Secret a("hunter2");
  Secret b = a;
  const Secret c = std::move(a);
  EXPECT_EQ(b.reveal(), "hunter2");
  EXPECT_EQ(c.reveal(), "hunter2");
  EXPECT_TRUE(a.empty());  // NOLINT(bugprone-use-after-move): that it is empty is the point
  b = Secret();
  EXPECT_TRUE(b.empty());
}

TEST(SecretTest, ComparesTheBytes) {
  EXPECT_EQ(Secret("a"), Secret("a"));
  EXPECT_FALSE(Secret("a") == Secret("b"));
  EXPECT_FALSE(Secret("a") == Secret("aa"));
  EXPECT_EQ(Secret(""), Secret());
}

class SecretFileTest : public ::testing::Test {
 protected:
  SecretFileTest() {
    std::string name = (std::filesystem::temp_directory_path() / "sluice_secret_XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  ~SecretFileTest() override { std::filesystem::remove_all(folder_); }

  Result<Secret> read(std::string_view content, unsigned mode = 0600) {
    EXPECT_TRUE(write_file_atomically(path(), content, mode));
    return SystemSecrets().file(path());
  }
  std::string path() const { return (folder_ / "secret").string(); }

  std::filesystem::path folder_;
};

TEST_F(SecretFileTest, OneLineBreakAtTheEndIsNotPartOfTheSecret) {
  EXPECT_EQ(read("hunter2\n")->reveal(), "hunter2");
  EXPECT_EQ(read("hunter2\r\n")->reveal(), "hunter2");
  EXPECT_EQ(read("hunter2\n\n")->reveal(), "hunter2\n");
  EXPECT_EQ(read(" hunter2 ")->reveal(), " hunter2 ");
}

TEST_F(SecretFileTest, AFileThatOthersMayReadIsRefusedWithTheReason) {
  const auto secret = read("hunter2", 0644);
  ASSERT_FALSE(secret);
  EXPECT_EQ(secret.error().kind(), ErrorKind::kPermissionDenied);
  EXPECT_THAT(secret.error().context(), HasSubstr("is open to every user (mode 0644)"));
}

TEST_F(SecretFileTest, AGroupMayReadIt) { EXPECT_TRUE(read("hunter2", 0640)); }

TEST_F(SecretFileTest, AnEmptyOrHugeFileIsRefused) {
  EXPECT_THAT(read("\n").error().context(), HasSubstr("is empty"));
  EXPECT_EQ(read(std::string(kMaxSecretBytes + 1, 'x')).error().kind(), ErrorKind::kTooLarge);
  EXPECT_TRUE(read(std::string(kMaxSecretBytes, 'x') + "\r\n"));
}

TEST_F(SecretFileTest, AMissingFileAndWhatIsNoFileAreRefused) {
  EXPECT_EQ(SystemSecrets().file(path()).error().kind(), ErrorKind::kNotFound);
  EXPECT_THAT(SystemSecrets().file(folder_.string()).error().context(),
              HasSubstr("is not a regular file"));
  ASSERT_EQ(::mkfifo(path().c_str(), 0600), 0);
  EXPECT_THAT(SystemSecrets().file(path()).error().context(), HasSubstr("is not a regular file"));
}

TEST(SystemSecretsTest, AVariableIsReadFromTheEnvironment) {
  ASSERT_EQ(::setenv("SLUICE_SECRET_TEST", "hunter2", 1), 0);
  EXPECT_EQ(SystemSecrets().environment("SLUICE_SECRET_TEST")->reveal(), "hunter2");
  ::unsetenv("SLUICE_SECRET_TEST");
  EXPECT_FALSE(SystemSecrets().environment("SLUICE_SECRET_TEST"));
}

}  // namespace
}  // namespace sluice::config
