#include "ctl/chat.h"

#include "ctl/ctl_fixture.h"
#include "runtime/task_group.h"

namespace sluice::ctl::test {
namespace {

using testing::HasSubstr;
using testing::Not;

class ChatTest : public CtlTest {
 protected:
  int pipe_through(std::string_view text, std::vector<std::string> given = {}) {
    type(text);
    close_input();
    return run("chat", std::move(given));
  }
  std::size_t posts() const {
    std::size_t count = 0;
    for (const std::string& one : daemon_->asked()) count += one.starts_with("POST") ? 1 : 0;
    return count;
  }
};

TEST_F(ChatTest, EachLineIsAMessageAndItsAnswerIsPrinted) {
  EXPECT_EQ(pipe_through("one\n\ntwo\r\nthree"), kDone);
  EXPECT_EQ(out(), "echo: one\necho: two\necho: three\n");
  EXPECT_EQ(err(), "");
}

TEST_F(ChatTest, AllOfStandardInputCanBeOneMessage) {
  EXPECT_EQ(pipe_through("one\ntwo\n", {"stdin"}), kDone);
  EXPECT_EQ(out(), "echo: one\ntwo\n\n");
}

TEST_F(ChatTest, TheConversationIsPartOfThePath) {
  EXPECT_EQ(pipe_through("hi\n", {"conversation=my talk"}), kDone);
  EXPECT_THAT(daemon_->asked(),
              testing::Contains(HasSubstr("/v1/conversations/my%20talk/messages")));
}

TEST_F(ChatTest, WithoutADaemonNothingIsWaitedFor) {
  daemon_->stop();
  EXPECT_EQ(pipe_through("hi\n"), kUnreachable);
  EXPECT_THAT(err(), HasSubstr("start one with: sluice run"));
}

TEST_F(ChatTest, AFailedTurnIsAFailureAndTellsTheNotice) {
  daemon_->on_message = [this](std::int64_t message, const std::string&) {
    daemon_->echo(message, "the agent is away", "failed");
    return true;
  };
  EXPECT_EQ(pipe_through("hi\n"), kFailed);
  EXPECT_EQ(out(), "");
  EXPECT_EQ(err(), "sluice: the agent is away\n");
}

TEST_F(ChatTest, AfterAFailureTheOtherLinesAreStillSent) {
  daemon_->on_message = [this](std::int64_t message, const std::string& text) {
    daemon_->echo(message, "about " + text, text == "bad" ? "failed" : "answered");
    return true;
  };
  EXPECT_EQ(pipe_through("bad\ngood\n"), kFailed);
  EXPECT_EQ(out(), "about good\n");
}

TEST_F(ChatTest, AQuestionAboutAnInterruptedTurnIsNotWaitedOut) {
  daemon_->on_message = [this](std::int64_t message, const std::string&) {
    daemon_->line("notice", message, daemon_->next_id(), "interrupted: /retry or /drop");
    return true;
  };
  EXPECT_EQ(pipe_through("hi\n"), kFailed);
  EXPECT_EQ(err(), "sluice: interrupted: /retry or /drop\n");
}

TEST_F(ChatTest, CommandsAreAnswered) {
  daemon_->on_message = [this](std::int64_t message, const std::string&) {
    daemon_->line("command", message, 0, "/status");
    daemon_->line("answer", message, 0, "all quiet");
    daemon_->end(message, "handled");
    return true;
  };
  EXPECT_EQ(pipe_through("/status\n"), kDone);
  EXPECT_EQ(out(), "all quiet\n");
}

TEST_F(ChatTest, WhatOthersSayIsNotPrintedInAPipe) {
  daemon_->on_message = [this](std::int64_t message, const std::string& text) {
    daemon_->line("person", 0, 900, "somebody else");
    daemon_->line("agent", 0, 900, "for somebody else");
    daemon_->echo(message, "echo: " + text);
    return true;
  };
  EXPECT_EQ(pipe_through("hi\n"), kDone);
  EXPECT_EQ(out(), "echo: hi\n");
}

TEST_F(ChatTest, LinesFromBeforeAreNotPrintedInAPipe) {
  daemon_->line("person", 0, 900, "yesterday");
  daemon_->line("agent", 0, 900, "old answer");
  EXPECT_EQ(pipe_through("hi\n"), kDone);
  EXPECT_EQ(out(), "echo: hi\n");
}

TEST_F(ChatTest, AMessageWhoseAnswerWasLostIsPostedAgainWithTheSameId) {
  daemon_->on_message = [this](std::int64_t message, const std::string& text) {
    daemon_->echo(message, "echo: " + text);
    daemon_->restart_soon();
    return false;
  };
  EXPECT_EQ(pipe_through("hi\n"), kDone);
  EXPECT_EQ(out(), "echo: hi\n");
  EXPECT_EQ(daemon_->accepted(), 1u);
  EXPECT_GE(posts(), 2u);
}

TEST_F(ChatTest, ARestartWhileAnAnswerIsMadeLosesAndRepeatsNothing) {
  daemon_->on_message = [this](std::int64_t message, const std::string& text) {
    daemon_->delta(5, 1, 0, "half an ans");
    if (text == "one") daemon_->restart_soon();
    daemon_->echo(message, "whole answer to " + text);
    return text != "one";
  };
  EXPECT_EQ(pipe_through("one\ntwo\n"), kDone);
  EXPECT_EQ(out(), "whole answer to one\nwhole answer to two\n");
  EXPECT_EQ(daemon_->accepted(), 2u);
}

TEST_F(ChatTest, ADaemonThatIsStartingIsWaitedFor) {
  daemon_->refuse_posts = 2;
  EXPECT_EQ(pipe_through("hi\n"), kDone);
  EXPECT_EQ(out(), "echo: hi\n");
  EXPECT_EQ(posts(), 3u);
}

TEST_F(ChatTest, ARefusedMessageIsAFailure) {
  daemon_->answer("POST /v1/conversations/main/messages", 413,
                  R"({"title":"Too large","detail":"at most 256KiB"})");
  EXPECT_EQ(pipe_through("hi\n"), kFailed);
  EXPECT_EQ(err(), "sluice: at most 256KiB\n");
}

TEST_F(ChatTest, JsonTellsEveryEventInOneLine) {
  options_.json = true;
  daemon_->on_message = [this](std::int64_t message, const std::string& text) {
    daemon_->delta(5, 1, 0, "\x1b[31mred");
    daemon_->echo(message, "echo: " + text);
    return true;
  };
  EXPECT_EQ(pipe_through("hi\n"), kDone);
  std::istringstream lines(out());
  std::vector<std::string> events;
  for (std::string one; std::getline(lines, one);) {
    events.push_back(text_of(json::parse(one), "event"));
  }
  EXPECT_THAT(events, testing::IsSupersetOf({"accepted", "line", "line", "ended"}));
  EXPECT_THAT(out(), Not(HasSubstr("\x1b")));
}

TEST_F(ChatTest, AnswersCarryNoEscapesToTheTerminal) {
  daemon_->on_message = [this](std::int64_t message, const std::string&) {
    daemon_->echo(message,
                  "\x1b]0;owned\x07red \x1b[31malert\xc2\x9b"
                  "2J");
    return true;
  };
  EXPECT_EQ(pipe_through("hi\n"), kDone);
  EXPECT_EQ(out(), "red alert2J\n");
}

TEST_F(ChatTest, ATooLongLineIsNotSent) {
  const std::string long_line((1 << 20) + 1, 'x');
  std::thread writer([&] {
    type(long_line + "\nshort\n");
    close_input();
  });
  EXPECT_EQ(run("chat"), kFailed);
  writer.join();
  EXPECT_EQ(out(), "echo: short\n");
  EXPECT_THAT(err(), HasSubstr("was not sent"));
}

Task<void> chat_then_stop(Session* session, ChatOptions options, int* code) {
  *code = co_await chat(session, options);
  session->shard.stop();
}

TEST_F(ChatTest, ADaemonThatStaysAwayIsGivenUp) {
  daemon_->on_message = [this](std::int64_t, const std::string&) {
    daemon_->stop_soon();
    return true;
  };
  type("hi\n");
  SystemClock clock;
  Shard shard(clock, 1);
  Client client(shard, options_);
  Console to = console();
  Session session{shard, client, to, false};
  int code = -1;
  ChatOptions options;
  options.patience = std::chrono::milliseconds(300);
  {
    TaskGroup group(shard);
    group.spawn("chat", chat_then_stop(&session, options, &code));
    shard.run();
  }
  EXPECT_EQ(code, kUnreachable);
}

class TerminalTest : public ChatTest {
 protected:
  TerminalTest() { interactive_ = true; }
};

TEST_F(TerminalTest, AnAnswerGrowsAndIsNotRepeated) {
  daemon_->on_message = [this](std::int64_t message, const std::string& text) {
    daemon_->delta(70, 1, 0, "hel");
    daemon_->delta(70, 1, 3, "lo");
    daemon_->line("person", message, 70, text);
    daemon_->line("agent", 0, 70, "hello!");
    return true;
  };
  watched_.when("you> ", [this] { type("hi\n"); });
  watched_.when("hello!\n", [this] { close_input(); });
  EXPECT_EQ(run("chat"), kDone);
  EXPECT_THAT(out(), HasSubstr("bot> hello!\n"));
}

TEST_F(TerminalTest, AVoidAttemptIsSaidToBe) {
  daemon_->on_message = [this](std::int64_t message, const std::string& text) {
    daemon_->delta(70, 1, 0, "wrong");
    daemon_->live("reset", {{"turn", 70}, {"attempt", 2}});
    daemon_->delta(70, 2, 0, "right");
    daemon_->line("person", message, 70, text);
    daemon_->line("agent", 0, 70, "right");
    return true;
  };
  watched_.when("you> ", [this] { type("hi\n"); });
  watched_.when("right\n", [this] { close_input(); });
  EXPECT_EQ(run("chat"), kDone);
  EXPECT_THAT(out(),
              HasSubstr("bot> wrong\n  !  that answer was interrupted and is void\nbot> right\n"));
}

TEST_F(TerminalTest, ShowsTheLastLinesOfBefore) {
  daemon_->line("person", 0, 900, "yesterday");
  daemon_->line("agent", 0, 900, "old answer");
  watched_.when("Ctrl-D", [this] { close_input(); });
  EXPECT_EQ(run("chat"), kDone);
  EXPECT_THAT(out(), HasSubstr("you> yesterday\nbot> old answer\n"));
}

TEST_F(TerminalTest, InterruptStopsARunningAnswerAndThenLeaves) {
  daemon_->on_message = [this](std::int64_t, const std::string&) {
    daemon_->delta(70, 1, 0, "a very long");
    return true;
  };
  daemon_->answer("POST /v1/conversations/main/stop", 202, "{}");
  watched_.when("you> ", [this] { type("hi\n"); });
  watched_.when("a very long", [] { ::kill(::getpid(), SIGINT); });
  watched_.when("Ctrl-C again leaves", [] { ::kill(::getpid(), SIGINT); });
  EXPECT_EQ(run("chat"), kDone);
  EXPECT_THAT(out(), HasSubstr("the answer will be here when you come back"));
}

TEST_F(TerminalTest, InterruptLeavesWhenNothingRuns) {
  watched_.when("you> ", [] { ::kill(::getpid(), SIGINT); });
  EXPECT_EQ(run("chat"), kDone);
}

TEST_F(TerminalTest, ARestartIsToldAndTheAnswerGoesOn) {
  daemon_->on_message = [this](std::int64_t message, const std::string& text) {
    daemon_->delta(70, 1, 0, "hel");
    daemon_->line("person", message, 70, text);
    daemon_->line("agent", 0, 70, "hello");
    daemon_->restart_soon();
    return true;
  };
  watched_.when("you> ", [this] { type("hi\n"); });
  watched_.when("hello\n", [this] { close_input(); });
  EXPECT_EQ(run("chat"), kDone);
  EXPECT_EQ(daemon_->accepted(), 1u);
}

}  // namespace
}  // namespace sluice::ctl::test
