// Links with real processes, in real time; a test ends as soon as what it waits for has happened.

#include "services/connectors.h"

#include <csignal>

#include <gmock/gmock.h>

#include "net/net_fixture.h"
#include "observe/memory_logger.h"

namespace sluice::services {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

constexpr Duration kPatience = seconds(30);

class ConnectorsTest : public ::testing::Test {
 protected:
  ConnectorsTest() {
    shard_.run([this] {
      poller_ = std::make_unique<net::Poller>(shard_.shard());
      reaper_ = std::make_unique<Reaper>(*poller_, log_);
      ring_ = std::make_unique<LogRing>(shard_.shard(), log_, "test");
    });
  }
  ~ConnectorsTest() override {
    shard_.run([this] {
      link_.reset();
      ring_.reset();
      reaper_.reset();
      poller_.reset();
    });
  }

  Result<void> start(std::vector<std::string> arguments, std::vector<std::string> environment = {},
                     std::string command = "sh", std::string folder = "") {
    connector_ =
        std::make_unique<ProcessConnector>(*poller_, *reaper_,
                                           ProcessPlan{std::move(command), std::move(arguments),
                                                       std::move(environment), std::move(folder)},
                                           Framing::kNewline);
    auto made = shard_.await<Result<std::unique_ptr<Link>>>(
        [this] { return connector_->connect(MonoTime::max(), ring_.get()); });
    if (!made) return made.error();
    link_ = std::move(*made);
    return {};
  }
  Result<void> run(const std::string& script) { return start({"-c", script}); }

  std::string receive() {
    const auto got = shard_.await<Result<std::string>>([this] { return link_->receive(); });
    return got ? *got : "(" + got.error().context() + ")";
  }
  void send(const std::string& text) {
    const auto sent = shard_.await<Result<void>>(
        [&] { return link_->send(text, shard_.shard().now() + kPatience); });
    EXPECT_TRUE(sent);
  }
  static Task<bool> closed(Link* link, Loop* loop, Duration within) {
    co_await link->close(loop->now() + within);
    co_return true;
  }
  void close(Duration within) {
    shard_.await<bool>([&] { return closed(link_.get(), &shard_.shard(), within); });
  }
  void drop() {
    shard_.run([this] { link_.reset(); });
  }
  /// A zombie counts as gone: whose child it is, is not ours to say.
  static bool is_gone(int pid) {
    const std::string path = "/proc/" + std::to_string(pid) + "/stat";
    std::FILE* file = std::fopen(path.c_str(), "r");
    if (file == nullptr) return true;
    char text[512] = {};
    const std::size_t got = std::fread(text, 1, sizeof text - 1, file);
    std::fclose(file);
    const std::string_view all(text, got);
    const std::size_t end = all.rfind(')');
    return end == std::string_view::npos || all.substr(end + 2, 1) == "Z";
  }
  static Task<bool> gone_in_time(Loop* loop, int pid) {
    const MonoTime until = loop->now() + kPatience;
    while (!is_gone(pid) && loop->now() < until) co_await sleep_for(*loop, milliseconds(5));
    co_return is_gone(pid);
  }
  bool ends(int pid) {
    return shard_.await<bool>([&] { return gone_in_time(&shard_.shard(), pid); });
  }

  MemoryLogger log_;
  net::test::ShardThread shard_;
  std::unique_ptr<net::Poller> poller_;
  std::unique_ptr<Reaper> reaper_;
  std::unique_ptr<LogRing> ring_;
  std::unique_ptr<ProcessConnector> connector_;
  std::unique_ptr<Link> link_;
};

TEST_F(ConnectorsTest, AProcessReadsWhatIsSentAndItsAnswerComes) {
  ASSERT_TRUE(start({}, {}, "cat"));
  send("{\"a\":1}");
  EXPECT_EQ(receive(), "{\"a\":1}");
}

TEST_F(ConnectorsTest, MoreThanAPipeHoldsGoesBothWays) {
  ASSERT_TRUE(start({}, {}, "cat"));
  const std::string large(3 << 20, 'x');
  std::string got;
  shard_.run([&] {
    auto send = [](Link* link, std::string text, MonoTime until) -> Task<void> {
      (void)co_await link->send(std::move(text), until);
    };
    shard_.group().spawn("send", send(link_.get(), large, shard_.shard().now() + kPatience));
  });
  EXPECT_EQ(receive(), large);
}

TEST_F(ConnectorsTest, ItGetsTheListedEnvironmentAndNothingElse) {
  ASSERT_TRUE(start({}, {"NAME=value"}, "env"));
  EXPECT_EQ(receive(), "NAME=value");
  EXPECT_THAT(receive(), HasSubstr("exit code 0"));
}

TEST_F(ConnectorsTest, ItGetsThreeDescriptorsAndNothingElse) {
  ASSERT_TRUE(
      run("for n in $(seq 0 255); do [ -e /proc/$$/fd/$n ] && all=\"$all $n\"; done; echo $all"));
  EXPECT_EQ(receive(), "0 1 2");
}

TEST_F(ConnectorsTest, ItRunsInItsFolderAndInAGroupOfItsOwn) {
  ASSERT_TRUE(start({"-c", "pwd; cut -d' ' -f1,5 /proc/$$/stat"}, {}, "sh", "/usr"));
  EXPECT_EQ(receive(), "/usr");
  const std::string id = std::to_string(link_->process_id());
  EXPECT_EQ(receive(), id + " " + id);
}

TEST_F(ConnectorsTest, BrokenPipesKillItAsUsual) {
  ASSERT_TRUE(run("trap; grep SigIgn /proc/$$/status"));
  EXPECT_EQ(receive(), "SigIgn:\t0000000000000000");
}

TEST_F(ConnectorsTest, AProgramThatIsNotThereIsNotFound) {
  EXPECT_EQ(start({}, {}, "no-such-program").error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(start({}, {}, "/no/such/program").error().kind(), ErrorKind::kNotFound);
  EXPECT_FALSE(start({}, {}, "sh", "/no/such/folder"));
}

TEST_F(ConnectorsTest, WhatItWritesToStandardErrorIsKept) {
  ASSERT_TRUE(run("echo one >&2; printf two >/dev/stderr; exit 3"));
  EXPECT_THAT(receive(), HasSubstr("exit code 3"));
  drop();
  std::vector<std::string> lines;
  for (const LogRing::Line& line : ring_->lines()) lines.push_back(line.text);
  EXPECT_THAT(lines, ::testing::ElementsAre("one", "two"));
}

TEST_F(ConnectorsTest, AKillIsSeenAtOnce) {
  ASSERT_TRUE(run("kill -9 $$"));
  EXPECT_EQ(receive(), "(the process ended with signal 9)");
}

TEST_F(ConnectorsTest, DroppingTheLinkKillsTheWholeGroup) {
  ASSERT_TRUE(run("sleep 1000 & echo $!; wait"));
  const int child = std::stoi(receive());
  const int parent = static_cast<int>(link_->process_id());
  drop();
  EXPECT_TRUE(ends(parent));
  EXPECT_TRUE(ends(child));
}

TEST_F(ConnectorsTest, ChildrenThatItLeavesBehindGoWithIt) {
  ASSERT_TRUE(run("sleep 1000 & echo $!"));  // holds standard output open
  const int child = std::stoi(receive());
  EXPECT_THAT(receive(), HasSubstr("the process ended"));
  EXPECT_TRUE(ends(child));
}

TEST_F(ConnectorsTest, OneThatEndsAtTheEndOfItsInputIsNotKilled) {
  ASSERT_TRUE(start({"-c", "cat; echo bye >&2"}));
  close(kPatience);
  EXPECT_EQ(ring_->lines().back().text, "bye");
  EXPECT_TRUE(is_gone(static_cast<int>(link_->process_id())));
}

TEST_F(ConnectorsTest, OneThatIgnoresTerminationIsKilledInTime) {
  ASSERT_TRUE(run("trap '' TERM; echo ready; while :; do sleep 1000; done"));
  EXPECT_EQ(receive(), "ready");
  const int pid = static_cast<int>(link_->process_id());
  close(milliseconds(500));
  EXPECT_TRUE(ends(pid));
}

TEST_F(ConnectorsTest, AHundredProcessesLeaveNothingBehind) {
  const auto descriptors = [] {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return std::distance(begin(all), end(all));
  };
  ASSERT_TRUE(start({}, {}, "cat"));
  drop();
  const auto before = descriptors();
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(start({}, {}, "cat"));
    const int pid = static_cast<int>(link_->process_id());
    drop();
    EXPECT_TRUE(ends(pid));
  }
  EXPECT_LE(descriptors(), before + 1);
}

}  // namespace
}  // namespace sluice::services
