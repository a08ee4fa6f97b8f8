// Streamed answers, of agents on loopback that misbehave.
#include <gtest/gtest.h>

#include "agents/model/model_fixture.h"
#include "agents/webhook/webhook_agent.h"

namespace sluice {
namespace {

using namespace model_test;
using std::chrono::hours;
using std::chrono::milliseconds;

constexpr const char* kHi = "data: {\"delta\": \"hi\"}\n\n";
constexpr const char* kDone = "event: done\ndata: {}\n\n";

class WebhookAgentStreamTest : public ModelTest {
 protected:
  void use(const std::string& url, WebhookOptions options = {}) {
    options.url = url;
    make([this, options](ModelSurroundings around) -> Result<std::unique_ptr<Agent>> {
      auto made = WebhookAgent::make("w", options, around.shard, callbacks_);
      if (!made) return made.error();
      return std::unique_ptr<Agent>(std::move(*made));
    });
  }
  net::Router router_;
  CallbackMount callbacks_{router_, {}};

  static WebhookOptions idempotent() {
    WebhookOptions options;
    options.idempotent = true;
    return options;
  }
};

TEST_F(WebhookAgentStreamTest, StreamsTheAnswerAsItComes) {
  Model agent(streamed(std::string(kHi) + "data: {\"delta\": \" there\"}\n\n" + kDone));
  use(agent.url());
  const auto reply = ask();
  ASSERT_TRUE(reply.has_value()) << reply.error().to_string();
  EXPECT_EQ(reply->text, "hi there");
  EXPECT_EQ(sink_.text(), "hi there");
  EXPECT_FALSE(reply->meta);
}

TEST_F(WebhookAgentStreamTest, TheEndMayTellTheRestAndWhatBelongsToIt) {
  Model agent(streamed(std::string(kHi) +
                       "event: done\ndata: {\"text\": \"hi all\", \"phase\": \"x\"}\n\n"));
  use(agent.url());
  const auto reply = ask();
  ASSERT_TRUE(reply.has_value()) << reply.error().to_string();
  EXPECT_EQ(reply->text, "hi all");
  EXPECT_EQ(sink_.text(), "hi all");
  ASSERT_TRUE(reply->meta);
  EXPECT_EQ(reply->meta->phase, "x");
}

TEST_F(WebhookAgentStreamTest, AnEndThatContradictsWhatWasSeenIsAnError) {
  Model agent(streamed(std::string(kHi) + "event: done\ndata: {\"text\": \"ho\"}\n\n"));
  use(agent.url(), idempotent());
  const Error error = failure();
  EXPECT_EQ(error.kind(), ErrorKind::kBadResponse);
  EXPECT_FALSE(error.retry().allowed());
}

TEST_F(WebhookAgentStreamTest, WhatWasBegunIsNotAskedForAgain) {
  for (const std::string& rest :
       {std::string(), std::string(kLastChunk),
        chunk("event: error\ndata: {\"error\": {\"status\": 503}}\n\n")}) {
    Model agent(kStreamHead + chunk(kHi) + rest);
    use(agent.url(), idempotent());
    EXPECT_FALSE(failure().retry().allowed()) << rest;
    EXPECT_EQ(sink_.text(), "hi");
  }
}

TEST_F(WebhookAgentStreamTest, AStreamThatBreaksOffIsAskedForAgainOnlyIfTheAgentIsIdempotent) {
  for (const std::string& rest :
       {std::string(), std::string(kLastChunk), chunk("event: working\ndata:\n\n")}) {
    Model agent(kStreamHead + rest);
    use(agent.url());
    EXPECT_FALSE(failure().retry().allowed()) << rest;
    Model again(kStreamHead + rest);
    use(again.url(), idempotent());
    EXPECT_TRUE(failure().retry().allowed()) << rest;
  }
}

TEST_F(WebhookAgentStreamTest, AnErrorThatTheAgentTellsIsAskedForAgainAsItSays) {
  Model agent(
      streamed("event: error\ndata: {\"error\": {\"status\": 503, \"retry_after\": 3}}\n\n"));
  use(agent.url());
  const Error error = failure();
  EXPECT_EQ(error.kind(), ErrorKind::kUnavailable);
  EXPECT_EQ(error.retry(), Retry::after(std::chrono::seconds(3)));
}

TEST_F(WebhookAgentStreamTest, AStreamCutInsideACodePointKeepsWhatCameWhole) {
  Model agent(kStreamHead + chunk(kHi) + chunk("data: {\"delta\": \"\xc3"));
  use(agent.url());
  EXPECT_EQ(failure().kind(), ErrorKind::kBadResponse);
  EXPECT_EQ(sink_.text(), "hi");
}

TEST_F(WebhookAgentStreamTest, WhatIsNoTextIsNeverShown) {
  for (const char* data : {"{\"delta\": \"\xc3\"}", "{\"delta\": \"\\ud83d\"}", "{\"delta\": 7}",
                           "[\"delta\"]", "hi"}) {
    Model agent(streamed(fmt::format("data: {}\n\n{}", data, kDone)));
    use(agent.url());
    EXPECT_EQ(failure().kind(), ErrorKind::kBadResponse) << data;
    EXPECT_EQ(sink_.text(), "");
  }
}

TEST_F(WebhookAgentStreamTest, AnEmptyAnswerIsAnError) {
  Model agent(streamed(std::string("data: {\"delta\": \" \"}\n\n") + kDone));
  use(agent.url());
  EXPECT_EQ(failure().kind(), ErrorKind::kBadResponse);
}

TEST_F(WebhookAgentStreamTest, UnknownEventsChangeNothing) {
  Model agent(
      streamed(std::string("event: news\ndata: {\n\ndata: {\"later\": 1}\n\n") + kHi + kDone));
  use(agent.url());
  const auto reply = ask();
  ASSERT_TRUE(reply.has_value()) << reply.error().to_string();
  EXPECT_EQ(reply->text, "hi");
}

TEST_F(WebhookAgentStreamTest, ASilentAgentTimesOut) {
  Model agent([](RawSocket& socket) { socket.read_all(); });
  WebhookOptions options;
  options.first_token_timeout = milliseconds(50);
  use(agent.url(), options);
  const Error error = failure();
  EXPECT_EQ(error.kind(), ErrorKind::kTimeout);
  EXPECT_FALSE(error.retry().allowed());
}

TEST_F(WebhookAgentStreamTest, AStreamThatFallsSilentTimesOutAndKeepsWhatCame) {
  Model agent([](RawSocket& socket) {
    socket.send(kStreamHead + chunk(kHi));
    while (socket.send(chunk(":\n\n"))) {
    }
  });
  WebhookOptions options;
  options.gap_timeout = milliseconds(50);
  use(agent.url(), options);
  const Error error = failure();
  EXPECT_EQ(error.kind(), ErrorKind::kTimeout);
  EXPECT_NE(error.context().find("gap_timeout"), std::string::npos);
  EXPECT_EQ(sink_.text(), "hi");
}

TEST_F(WebhookAgentStreamTest, AnAgentThatWorksForEverMeetsTheTotal) {
  Model agent([](RawSocket& socket) {
    socket.send(kStreamHead);
    while (socket.send(chunk("event: working\ndata:\n\n"))) {
    }
  });
  WebhookOptions options;
  options.timeout = milliseconds(300);
  use(agent.url(), options);
  EXPECT_EQ(failure().context(), "webhook: the answer was not complete within timeout");
}

TEST_F(WebhookAgentStreamTest, AStreamWithoutAnEndMeetsItsBound) {
  Model agent([](RawSocket& socket) {
    socket.send(kStreamHead);
    const std::string comment = chunk(":" + std::string(60'000, 'x') + "\n");
    while (socket.send(comment)) {
    }
  });
  use(agent.url());
  EXPECT_EQ(failure().context(), "webhook: the stream is too long");
}

TEST_F(WebhookAgentStreamTest, AHugeLineIsRefused) {
  Model agent([](RawSocket& socket) {
    socket.send(kStreamHead + chunk(kHi) + chunk("data: "));
    const std::string more = chunk(std::string(60'000, 'x'));
    while (socket.send(more)) {
    }
  });
  use(agent.url());
  EXPECT_EQ(failure().kind(), ErrorKind::kBadResponse);
  EXPECT_EQ(sink_.text(), "hi");
}

TEST_F(WebhookAgentStreamTest, AHugeHeadIsRefused) {
  Model agent("HTTP/1.1 200 OK\r\nX: " + std::string(40'000, 'x') + "\r\n\r\n");
  use(agent.url());
  EXPECT_EQ(failure().kind(), ErrorKind::kBadResponse);
}

TEST_F(WebhookAgentStreamTest, AnotherContentTypeIsRefused) {
  Model agent(plain(200, kHi, "", "text/plain"));
  use(agent.url());
  EXPECT_EQ(failure().kind(), ErrorKind::kBadResponse);
}

TEST_F(WebhookAgentStreamTest, ACompressedStreamIsRefused) {
  Model agent(plain(200, "\x1f\x8b", "Content-Encoding: gzip\r\n", "text/event-stream"));
  use(agent.url());
  EXPECT_EQ(failure().kind(), ErrorKind::kBadResponse);
}

TEST_F(WebhookAgentStreamTest, AHandshakeThatHangsMeetsTheTimeToConnect) {
  RawServer silent([](RawSocket& socket) { socket.read_all(); });
  WebhookOptions options;
  options.connect_timeout = milliseconds(50);
  use(fmt::format("https://127.0.0.1:{}", silent.port()), options);
  const Error error = failure();
  EXPECT_EQ(error.kind(), ErrorKind::kUnavailable);
  EXPECT_TRUE(error.retry().allowed());
}

TEST_F(WebhookAgentStreamTest, AnAnswerThatIsNotCompleteInTimeIsATimeout) {
  Model agent([](RawSocket& socket) {
    socket.send(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{");
    socket.read_all();
  });
  WebhookOptions options;
  options.timeout = milliseconds(200);
  use(agent.url(), options);
  EXPECT_EQ(failure().kind(), ErrorKind::kTimeout);
}

}  // namespace
}  // namespace sluice
