#include "admin/control_socket.h"

#include <sys/stat.h>
#include <unistd.h>

#include "admin/admin_fixture.h"

namespace sluice::admin::test {
namespace {

mode_t mode_of(const std::string& path) {
  struct stat info{};
  EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
  return info.st_mode & 07777;
}

net::HttpRequest from(std::optional<uid_t> uid) {
  net::HttpRequest request;
  if (uid) request.unix_peer = net::PeerCredentials{*uid, 0, 1};
  return request;
}

TEST_F(AdminTest, TheSocketIsForItsOwnerOnly) {
  open();
  EXPECT_EQ(mode_of(path()), 0600u);
  EXPECT_EQ(mode_of(dir_.file("run")), 0700u);
}

TEST(PeerGateTest, LetsOurUserAndRootInAndNobodyElse) {
  const net::HttpGate gate = peer_gate(1000);
  EXPECT_FALSE(gate(from(1000)).refusal);
  EXPECT_FALSE(gate(from(0)).refusal);
  EXPECT_EQ(gate(from(1001)).refusal->status, 403);
}

TEST(PeerGateTest, RefusesWhoeverDidNotComeOverAUnixSocket) {
  EXPECT_EQ(peer_gate(1000)(from(std::nullopt)).refusal->status, 403);
}

TEST(PrivateDirectoryTest, RefusesOneThatIsOpenToOthers) {
  const net::test::TempDir dir;
  ::mkdir(dir.file("open").c_str(), 0700);
  ::chmod(dir.file("open").c_str(), 0750);
  const auto prepared = prepare_private_directory(dir.file("open"));
  ASSERT_FALSE(prepared);
  EXPECT_EQ(prepared.error().kind(), ErrorKind::kPermissionDenied);
}

TEST(PrivateDirectoryTest, RefusesALinkToADirectory) {
  const net::test::TempDir dir;
  ASSERT_EQ(::symlink("/tmp", dir.file("link").c_str()), 0);
  EXPECT_FALSE(prepare_private_directory(dir.file("link")));
}

TEST(PrivateDirectoryTest, TakesItsOwnAgain) {
  const net::test::TempDir dir;
  EXPECT_TRUE(prepare_private_directory(dir.file("run")));
  EXPECT_TRUE(prepare_private_directory(dir.file("run")));
}

TEST_F(AdminTest, ASecondDaemonIsRefused) {
  open();
  thread_.run([this] {
    ControlSocket second(thread_.shard(), *operations_, log_);
    const auto listening = second.listen(path());
    ASSERT_FALSE(listening);
    EXPECT_EQ(listening.error().kind(), ErrorKind::kConflict);
  });
}

TEST_F(AdminTest, UnknownPathsAndMethodsAreProblems) {
  EXPECT_EQ(get("nothing").status, 404);
  EXPECT_EQ(post("status").status, 405);
}

TEST_F(AdminTest, ALargeBodyIsRefusedBeforeItIsRead) {
  EXPECT_EQ(post("backup", std::string(kBodyBytes + 1, ' ')).status, 413);
}

TEST_F(AdminTest, AnotherContentTypeIsRefused) {
  EXPECT_EQ(ask("POST", "backup", "path=/x", "application/x-www-form-urlencoded").status, 415);
}

}  // namespace
}  // namespace sluice::admin::test
