// What all model APIs share, over an API as small as can be, against servers on loopback that
// misbehave.
#include "agents/model/model_agent.h"

#include "agents/model/model_error.h"
#include "agents/model/model_fixture.h"
#include "runtime/wait.h"

namespace sluice {
namespace {

using namespace model_test;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

/// Data is text; "think" is a sign of life, "finish" a reason to finish, "end" that and the end
/// marker, "marker" the end marker alone, "error" a limit of rate.
class PlainDecoder : public StreamDecoder {
 public:
  Result<void> take(const net::SseEvent& event, ModelStream& stream) override {
    if (event.event == "message") stream.add_text(event.data);
    if (event.event == "think") ++stream.progress;
    if (event.event == "finish" || event.event == "end") stream.finish_by(Finish::kStop);
    if (event.event == "end" || event.event == "marker") stream.ended = true;
    if (event.event == "long") stream.finish_by(Finish::kLength);
    if (event.event == "used") stream.usage = {10, 3, 4};
    if (event.event == "error")
      return Error(ErrorKind::kRateLimited, "slow down", ErrorSource::kPeer, Retry::with_backoff());
    return {};
  }
};

class PlainProtocol : public ModelProtocol {
 public:
  std::string_view path() const override { return "/ask"; }
  net::HttpHeaders headers() const override { return {{"X-Key", "k"}}; }
  std::string body(const std::vector<Speech>& conversation, const std::string&) const override {
    std::string all;
    for (const Speech& speech : conversation) {
      for (const Picture& p : speech.pictures) all += "<" + p.type + " " + p.base64 + ">";
      all += speech.text + (&speech == &conversation.back() ? "" : "\n");
    }
    return all;
  }
  std::unique_ptr<StreamDecoder> decoder() const override {
    return std::make_unique<PlainDecoder>();
  }
};

constexpr const char* kHi = "data: hi\n\n";
constexpr const char* kEnd = "event: end\ndata: x\n\n";

class ModelAgentTest : public ModelTest {
 protected:
  void use(const std::string& base_url, ModelOptions options = {}) {
    options.base_url = base_url;
    make([options](ModelSurroundings around) -> Result<std::unique_ptr<Agent>> {
      auto made =
          ModelAgent::make("m", "plain", options, std::make_unique<PlainProtocol>(), around);
      if (!made) return made.error();
      return std::unique_ptr<Agent>(std::move(*made));
    });
  }
};

TEST_F(ModelAgentTest, StreamsTheAnswerAsItComes) {
  Model model(streamed(std::string(kHi) + "data:  there\n\n" + kEnd));
  use(model.url() + "/base/");
  const auto reply = ask();
  ASSERT_TRUE(reply.has_value()) << reply.error().to_string();
  EXPECT_EQ(reply->text, "hi there");
  EXPECT_EQ(sink_.text(), "hi there");
  EXPECT_TRUE(model.requests().front().starts_with("POST /base/ask HTTP/1.1\r\n"));
  EXPECT_TRUE(model.requests().front().ends_with("\r\n\r\nhello"));
}

TEST_F(ModelAgentTest, GivesEachPieceOfTheStreamOnAtOnce) {
  std::promise<void> seen;
  Model model([&](RawSocket& socket) {
    socket.send(kStreamHead + chunk(kHi));
    seen.get_future().wait();
    socket.send(chunk(kEnd) + kLastChunk);
  });
  class Waiting : public DeltaSink {
   public:
    explicit Waiting(std::promise<void>& s) : seen_(s) {}
    void delta(std::string_view) override { seen_.set_value(); }
    std::promise<void>& seen_;
  } sink(seen);
  use(model.url());
  const auto reply = thread_.await<Result<AgentReply>>([&] { return agent_->run(turn(), sink); });
  EXPECT_TRUE(reply.has_value());
}

TEST_F(ModelAgentTest, AsksForAStreamThatIsNotCompressed) {
  Model model(streamed(std::string(kHi) + kEnd));
  use(model.url());
  ASSERT_TRUE(ask().has_value());
  const std::string& request = model.requests().front();
  EXPECT_NE(request.find("\r\nAccept-Encoding: identity\r\n"), std::string::npos);
  EXPECT_NE(request.find("\r\nAccept: text/event-stream\r\n"), std::string::npos);
  EXPECT_NE(request.find("\r\nX-Key: k\r\n"), std::string::npos);
}

TEST_F(ModelAgentTest, UsesAConnectionAgainWhoseAnswerWasComplete) {
  const std::string answer = streamed(std::string(kHi) + kEnd);
  Model model(std::vector<std::string>{answer, answer});
  use(model.url());
  ASSERT_TRUE(ask().has_value());
  ASSERT_TRUE(ask().has_value());
  EXPECT_EQ(model.requests().size(), 2u);
}

TEST_F(ModelAgentTest, ACodePointThatComesInTwoPiecesStaysWhole) {
  Model model(kStreamHead + chunk("data: \xc3") + chunk("\xbc\n\n") + chunk(kEnd) + kLastChunk);
  use(model.url());
  const auto reply = ask();
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->text, "ü");
}

TEST_F(ModelAgentTest, AStreamCutInsideACodePointKeepsWhatCameWhole) {
  Model model(kStreamHead + chunk(kHi) + chunk("data: \xc3"));
  use(model.url());
  const Error error = failure();
  EXPECT_EQ(error.kind(), ErrorKind::kBadResponse);
  EXPECT_EQ(sink_.text(), "hi");
}

TEST_F(ModelAgentTest, WhatTheModelBeganIsNotAskedForAgain) {
  for (const std::string& rest :
       {std::string(), std::string(kLastChunk), chunk("event: error\ndata: x\n\n")}) {
    Model model(kStreamHead + chunk(kHi) + rest);
    use(model.url());
    EXPECT_FALSE(failure().retry().allowed());
    EXPECT_EQ(sink_.text(), "hi");
  }
}

TEST_F(ModelAgentTest, WhatTheModelHadNotBegunMayBeAskedForAgain) {
  for (const std::string& rest :
       {std::string(), std::string(kLastChunk), chunk("event: think\ndata: x\n\n"),
        chunk("event: error\ndata: x\n\n")}) {
    Model model(kStreamHead + rest);
    use(model.url());
    EXPECT_TRUE(failure().retry().allowed());
    EXPECT_EQ(sink_.text(), "");
  }
}

TEST_F(ModelAgentTest, AnEndWithoutAReasonIsAnError) {
  for (const std::string& rest :
       {std::string(kLastChunk), chunk("event: marker\ndata: x\n\n") + kLastChunk}) {
    Model model(kStreamHead + chunk(kHi) + rest);
    use(model.url());
    EXPECT_EQ(failure().kind(), ErrorKind::kBadResponse);
  }
}

TEST_F(ModelAgentTest, AFinishedAnswerWithoutItsEndMarkerIsWhole) {
  for (const std::string& rest : {std::string(), std::string(kLastChunk)}) {
    Model model(kStreamHead + chunk(std::string(kHi) + "event: finish\ndata: x\n\n") + rest);
    use(model.url());
    const auto reply = ask();
    ASSERT_TRUE(reply.has_value()) << reply.error().to_string();
    EXPECT_EQ(reply->text, "hi");
  }
}

TEST_F(ModelAgentTest, AFinishedAnswerDoesNotWaitLongForItsEndMarker) {
  Model model([](RawSocket& socket) {
    socket.send(kStreamHead + chunk(std::string(kHi) + "event: finish\ndata: x\n\n"));
    socket.read_all();
  });
  ModelOptions options;
  options.gap_timeout = hours(1);
  use(model.url(), options);
  EXPECT_TRUE(ask().has_value());
}

TEST_F(ModelAgentTest, AnAnswerAtItsLimitSaysSo) {
  Model model(streamed(std::string(kHi) + "event: long\ndata: x\n\nevent: marker\ndata: x\n\n"));
  use(model.url());
  const auto reply = ask();
  ASSERT_TRUE(reply.has_value()) << reply.error().to_string();
  EXPECT_EQ(reply->text, "hi\n\n[The answer was cut off at its length limit.]");
  EXPECT_EQ(sink_.text(), reply->text);
}

TEST_F(ModelAgentTest, AnEmptyAnswerIsAnError) {
  Model model(streamed(std::string("data:  \n\n") + kEnd));
  use(model.url());
  EXPECT_EQ(failure().kind(), ErrorKind::kBadResponse);
}

TEST_F(ModelAgentTest, ASilentModelTimesOut) {
  Model model([](RawSocket& socket) { socket.read_all(); });
  ModelOptions options;
  options.first_token_timeout = milliseconds(50);
  use(model.url(), options);
  const Error error = failure();
  EXPECT_EQ(error.kind(), ErrorKind::kTimeout);
  EXPECT_TRUE(error.retry().allowed());
}

TEST_F(ModelAgentTest, AHeadIsNoToken) {
  Model model([](RawSocket& socket) {
    socket.send(kStreamHead + chunk(": waiting\n\n"));
    socket.read_all();
  });
  ModelOptions options;
  options.first_token_timeout = milliseconds(300);
  use(model.url(), options);
  const Error error = failure();
  EXPECT_EQ(error.kind(), ErrorKind::kTimeout);
  EXPECT_NE(error.context().find("first_token_timeout"), std::string::npos);
}

TEST_F(ModelAgentTest, AStreamThatFallsSilentTimesOutAndKeepsWhatCame) {
  Model model([](RawSocket& socket) {
    socket.send(kStreamHead + chunk(kHi));
    socket.read_all();
  });
  ModelOptions options;
  options.gap_timeout = milliseconds(50);
  use(model.url(), options);
  const Error error = failure();
  EXPECT_EQ(error.kind(), ErrorKind::kTimeout);
  EXPECT_NE(error.context().find("gap_timeout"), std::string::npos);
  EXPECT_FALSE(error.retry().allowed());
  EXPECT_EQ(sink_.text(), "hi");
}

TEST_F(ModelAgentTest, HeartbeatsAreNoSignOfLife) {
  Model model([](RawSocket& socket) {
    socket.send(kStreamHead + chunk(kHi));
    while (socket.send(chunk(":\n\nevent: ping\ndata: x\n\n"))) {
    }
  });
  ModelOptions options;
  options.gap_timeout = milliseconds(50);
  use(model.url(), options);
  EXPECT_NE(failure().context().find("gap_timeout"), std::string::npos);
}

TEST_F(ModelAgentTest, AModelThatThinksForEverMeetsTheTotal) {
  Model model([](RawSocket& socket) {
    socket.send(kStreamHead);
    while (socket.send(chunk("event: think\ndata: x\n\n"))) {
    }
  });
  ModelOptions options;
  options.timeout = milliseconds(300);
  use(model.url(), options);
  const Error error = failure();
  EXPECT_EQ(error.kind(), ErrorKind::kTimeout);
  EXPECT_EQ(error.context(), "plain: the answer was not complete within timeout");
}

TEST_F(ModelAgentTest, AStreamWithoutAnEndMeetsItsBound) {
  Model model([](RawSocket& socket) {
    socket.send(kStreamHead);
    const std::string comment = chunk(":" + std::string(60'000, 'x') + "\n");
    while (socket.send(comment)) {
    }
  });
  use(model.url());
  const Error error = failure();
  EXPECT_EQ(error.kind(), ErrorKind::kBadResponse);
  EXPECT_EQ(error.context(), "plain: the stream is too long");
}

TEST_F(ModelAgentTest, AHugeLineIsRefused) {
  Model model([](RawSocket& socket) {
    socket.send(kStreamHead + chunk(kHi) + chunk("data: "));
    const std::string more = chunk(std::string(60'000, 'x'));
    while (socket.send(more)) {
    }
  });
  use(model.url());
  EXPECT_EQ(failure().kind(), ErrorKind::kBadResponse);
  EXPECT_EQ(sink_.text(), "hi");
}

TEST_F(ModelAgentTest, AHugeHeadIsRefused) {
  Model model("HTTP/1.1 200 OK\r\nX: " + std::string(40'000, 'x') + "\r\n\r\n");
  use(model.url());
  EXPECT_EQ(failure().kind(), ErrorKind::kBadResponse);
}

TEST_F(ModelAgentTest, UnknownEventsChangeNothing) {
  Model model(
      streamed(std::string("event: news\ndata: {\n\n") + kHi + "id: 7\n\nretry: 9\n\n" + kEnd));
  use(model.url());
  const auto reply = ask();
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->text, "hi");
}

TEST_F(ModelAgentTest, AnotherContentTypeIsRefused) {
  for (const char* type : {"text/html", "application/json", "text/event-streams"}) {
    Model model(plain(200, kHi, "", type));
    use(model.url());
    const Error error = failure();
    EXPECT_EQ(error.kind(), ErrorKind::kBadResponse);
    EXPECT_NE(error.context().find(type), std::string::npos) << error.context();
    EXPECT_FALSE(error.retry().allowed());
  }
}

TEST_F(ModelAgentTest, AnErrorSentAs200IsAnError) {
  Model model(plain(200, R"({"error": {"type": "overloaded_error", "message": "secret"}})"));
  use(model.url());
  const Error error = failure();
  EXPECT_EQ(error.kind(), ErrorKind::kOverloaded);
  EXPECT_TRUE(error.retry().allowed());
  EXPECT_EQ(error.context().find("secret"), std::string::npos);
}

TEST_F(ModelAgentTest, ACompressedAnswerIsRefused) {
  Model model(plain(200, "\x1f\x8b", "Content-Encoding: gzip\r\n", "text/event-stream"));
  use(model.url());
  const Error error = failure();
  EXPECT_EQ(error.kind(), ErrorKind::kBadResponse);
  EXPECT_FALSE(error.retry().allowed());
}

TEST_F(ModelAgentTest, ARedirectIsNotFollowed) {
  Model model(plain(307, "", "Location: http://127.0.0.1:1/elsewhere\r\n"));
  use(model.url());
  const Error error = failure();
  EXPECT_EQ(error.kind(), ErrorKind::kBadResponse);
  EXPECT_FALSE(error.retry().allowed());
  EXPECT_EQ(error.context(), "plain: answered 307; redirects are not followed");
}

TEST_F(ModelAgentTest, WaitsAsLongAsALimitSaysUpToItsBound) {
  ModelOptions options;
  options.retry_after_max = seconds(60);
  for (const auto& [header, retry] :
       {std::pair("Retry-After: 7\r\n", Retry::after(seconds(7))),
        std::pair("retry-after-ms: 250\r\nRetry-After: 7\r\n", Retry::after(milliseconds(250))),
        std::pair("Retry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n", Retry::after(seconds(0))),
        std::pair("Retry-After: 61\r\n", Retry::never()), std::pair("", Retry::with_backoff()),
        std::pair("Retry-After: soon\r\n", Retry::with_backoff())}) {
    Model model(plain(429, "{}", header));
    use(model.url(), options);
    const Error error = failure();
    EXPECT_EQ(error.kind(), ErrorKind::kRateLimited);
    EXPECT_EQ(error.retry(), retry) << header;
  }
}

TEST_F(ModelAgentTest, AnErrorsBodyHasABound) {
  Model model([](RawSocket& socket) {
    socket.send("HTTP/1.1 503 X\r\nContent-Type: text/html\r\nTransfer-Encoding: chunked\r\n\r\n");
    const std::string more = chunk(std::string(60'000, 'x'));
    while (socket.send(more)) {
    }
  });
  use(model.url());
  EXPECT_EQ(failure().kind(), ErrorKind::kUnavailable);
}

TEST_F(ModelAgentTest, ARefusedConnectionMayBeTriedAgain) {
  std::string url;
  {
    Model gone([](RawSocket&) {});
    url = gone.url();
    RawSocket::connect(gone.port());
  }
  use(url);
  const Error error = failure();
  EXPECT_EQ(error.kind(), ErrorKind::kUnavailable);
  EXPECT_TRUE(error.retry().allowed());
}

TEST_F(ModelAgentTest, AHandshakeThatHangsMeetsTheTimeToConnect) {
  RawServer silent([](RawSocket& socket) { socket.read_all(); });
  ModelOptions options;
  options.connect_timeout = milliseconds(50);
  use(fmt::format("https://127.0.0.1:{}", silent.port()), options);
  const Error error = failure();
  EXPECT_EQ(error.kind(), ErrorKind::kUnavailable);
  EXPECT_TRUE(error.retry().allowed());
}

TEST_F(ModelAgentTest, AStoppedCallClosesItsConnection) {
  std::promise<void> closed;
  Model model([&](RawSocket& socket) {
    socket.send(kStreamHead + chunk(kHi));
    socket.read_all();
    closed.set_value();
  });
  use(model.url());
  const auto outcome = thread_.await<Outcome<Result<AgentReply>>>([this] {
    const MonoTime soon = thread_.shard().now() + milliseconds(100);
    return run_until(thread_.shard(), agent_->run(turn(), sink_), soon);
  });
  EXPECT_EQ(outcome.ended, Ended::kDeadline);
  closed.get_future().wait();
}

TEST_F(ModelAgentTest, CountsTokensAndTellsTheTimeToTheFirst) {
  Model model(streamed(std::string(kHi) + "event: used\ndata: x\n\n" + kEnd));
  use(model.url());
  ASSERT_TRUE(ask().has_value());
  EXPECT_EQ(tokens("prompt"), 10);
  EXPECT_EQ(tokens("completion"), 3);
  EXPECT_EQ(tokens("cached"), 4);
  EXPECT_NE(metrics_.serialise().find("sluice_model_first_token_seconds_count{agent=\"m\"} 1"),
            std::string::npos);
}

TEST_F(ModelAgentTest, CountsTheTokensOfAnAnswerThatFailedToo) {
  Model model(streamed(std::string("event: used\ndata: x\n\n") + kHi));
  use(model.url());
  EXPECT_EQ(failure().kind(), ErrorKind::kBadResponse);
  EXPECT_EQ(tokens("completion"), 3);
}

TEST_F(ModelAgentTest, HealthTellsTheLastFailureUntilACallGetsThrough) {
  Model model(std::vector<std::string>{plain(503, ""), streamed(std::string(kHi) + kEnd)});
  use(model.url());
  failure();
  thread_.run([this] { EXPECT_EQ(agent_->health().error().kind(), ErrorKind::kUnavailable); });
  EXPECT_TRUE(ask().has_value());
  thread_.run([this] { EXPECT_TRUE(agent_->health().has_value()); });
}

TEST_F(ModelAgentTest, ATextThatTheModelCantTakeSaysNothingAboutItsHealth) {
  Model model(plain(400, R"({"error": {"code": "context_length_exceeded"}})"));
  use(model.url());
  EXPECT_EQ(failure().kind(), ErrorKind::kTooLarge);
  thread_.run([this] { EXPECT_TRUE(agent_->health().has_value()); });
}

TEST_F(ModelAgentTest, ItsOwnDeadlineComesBeforeTheTurns) {
  ModelOptions options;
  options.timeout = seconds(30);
  use("http://127.0.0.1:1", options);
  EXPECT_GT(agent_->info().timeout, seconds(30));
}

TEST_F(ModelAgentTest, RefusesABaseUrlThatIsNone) {
  thread_.run([this] {
    for (const char* url : {"api.example/v1", "ftp://x", "http://x/v1?key=1", "", "http://x/#f"}) {
      ModelOptions options;
      options.base_url = url;
      const auto made = ModelAgent::make("m", "plain", options, std::make_unique<PlainProtocol>(),
                                         {thread_.shard(), metrics_, log_});
      ASSERT_TRUE(made.has_error()) << url;
      EXPECT_EQ(made.error().kind(), ErrorKind::kInvalidArgument);
    }
  });
}

TEST_F(ModelAgentTest, ShowsTheNewestImagesAndMarksTheOthers) {
  open_library();
  const std::string old = put();
  const std::string new_one = put();
  Model model(streamed(std::string(kHi) + kEnd));
  ModelOptions options;
  options.images_max = 1;
  use(model.url(), options);
  TurnRequest request = turn();
  request.messages = {message_with("and this?", {new_one})};
  request.history = {line_with("look", {old}), line(HistoryKind::kAgent, "nice")};
  ASSERT_TRUE(ask(request));
  EXPECT_TRUE(model.requests()[0].ends_with(
      "\r\n\r\nlook\n[image]\nnice\n<image/png iVBORw0KGgpw>and this?"));
}

TEST_F(ModelAgentTest, AnImageThatIsGoneOrNoneOfOursBecomesAMark) {
  open_library();
  const std::string gone = put();
  ASSERT_EQ(erase_all(), 1);
  Model model(streamed(std::string(kHi) + kEnd));
  use(model.url());
  TurnRequest request = turn();
  request.messages = {message_with("x", {gone, "../../etc/passwd"})};
  ASSERT_TRUE(ask(request));
  EXPECT_TRUE(model.requests()[0].ends_with("\r\n\r\nx\n[image]\n[image]"));
}

TEST_F(ModelAgentTest, AnImageOverTheBoundBecomesAMark) {
  open_library();
  const std::string large = put(7 << 20);
  const std::string other = put(7 << 20);
  Model model(streamed(std::string(kHi) + kEnd));
  use(model.url());
  TurnRequest request = turn();
  request.messages = {message_with("x", {large, other})};
  ASSERT_TRUE(ask(request));
  EXPECT_TRUE(model.requests()[0].ends_with(">x\n[image]"));
}

TEST_F(ModelAgentTest, AModelWithoutEyesIsToldThatThereWasAnImage) {
  open_library();
  const std::string id = put();
  Model model(streamed(std::string(kHi) + kEnd));
  ModelOptions options;
  options.images = false;
  use(model.url(), options);
  TurnRequest request = turn();
  request.messages = {message_with("", {id})};
  ASSERT_TRUE(ask(request));
  EXPECT_TRUE(model.requests()[0].ends_with("\r\n\r\n[image]"));
}

TEST_F(ModelAgentTest, AnEarlierImageThatTheApiRefusesDoesNotSpoilTheTurnsBehindIt) {
  open_library();
  const std::string id = put();
  Model model({plain(400, "{}"), streamed(std::string(kHi) + kEnd)});
  use(model.url());
  TurnRequest request = turn();
  request.history = {line_with("look", {id})};
  const auto reply = ask(request);
  ASSERT_TRUE(reply) << reply.error().to_string();
  EXPECT_EQ(reply->text, "hi");
  EXPECT_TRUE(model.requests()[0].ends_with("<image/png iVBORw0KGgpw>look\nhello"));
  EXPECT_TRUE(model.requests()[1].ends_with("\r\n\r\nlook\nhello\n[image]"));
}

TEST_F(ModelAgentTest, AnImageOfTheTurnItselfThatTheApiRefusesIsTold) {
  open_library();
  const std::string id = put();
  Model model(plain(400, "{}"));
  use(model.url());
  TurnRequest request = turn();
  request.messages = {message_with("look", {id})};
  EXPECT_EQ(failure(request).kind(), ErrorKind::kInvalidArgument);
}

}  // namespace
}  // namespace sluice
