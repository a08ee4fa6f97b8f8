// The OpenAI face together with the real gateway, store and server, over loopback.

#include <fmt/core.h>

#include "base/hash.h"
#include "tests/faces/openai_fixture.h"

namespace sluice::openai {
namespace {

using test::Answer;
using test::ChunkReader;
using test::OpenAiFaceTest;
using test::RawSocket;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

constexpr std::string_view kKey = "Idempotency-Key: k1\r\n";

TEST_F(OpenAiFaceTest, AnswersInOnePiece) {
  start();
  const Answer answer = post(body("hello"));
  ASSERT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.content(), "echo: hello");
  EXPECT_EQ(answer.json().at("model").as_string(), "agent");
  EXPECT_EQ(answer.json().at("choices").at(0).at("finish_reason").as_string(), "stop");
  EXPECT_FALSE(answer.json().as_object().contains("usage"));
}

TEST_F(OpenAiFaceTest, StreamsTheRoleThenTextAsItComes) {
  start();
  ChunkReader chunks = stream("hold it");
  EXPECT_THAT(chunks.head, HasSubstr("text/event-stream"));
  EXPECT_EQ(chunks.next_content(), "");
  EXPECT_EQ(chunks.next_content(), "half");
  release();
  EXPECT_THAT(chunks.rest(), ElementsAre(" and half", "(stop)", "[DONE]"));
}

TEST_F(OpenAiFaceTest, StreamsInAConversationThatExists) {
  start();
  const std::string_view user = R"("user":"ann")";
  EXPECT_EQ(post(body("one", user)).content(), "echo: one");
  ChunkReader chunks = stream("hold it", {}, user);
  EXPECT_EQ(chunks.next_content(), "");
  EXPECT_EQ(chunks.next_content(), "half");
  release();
  EXPECT_THAT(chunks.rest(), ElementsAre(" and half", "(stop)", "[DONE]"));
}

TEST_F(OpenAiFaceTest, NeverShowsAnotherMessagesTurn) {
  start();
  const std::string_view user = R"("user":"ann")";
  ChunkReader first = stream("hold it", {}, user);
  EXPECT_EQ(first.next_content(), "");
  EXPECT_EQ(first.next_content(), "half");
  RawSocket second = RawSocket::connect(port());
  second.send(format("POST /v1/chat/completions HTTP/1.0", "ann",
                     body("next", R"("user":"ann","stream":true)"), {}));
  wait_for_requests(2);
  release();
  ChunkReader chunks(std::move(second));
  EXPECT_THAT(chunks.rest(), ElementsAre("", "echo: next", "(stop)", "[DONE]"));
}

TEST_F(OpenAiFaceTest, NeverSplitsACodePoint) {
  start();
  EXPECT_THAT(stream("split").rest(), ElementsAre("", "ä", "(stop)", "[DONE]"));
}

TEST_F(OpenAiFaceTest, UsageThatIsAskedForComesLastAndIsNull) {
  start();
  ChunkReader chunks = stream("hello", {}, R"("stream_options":{"include_usage":true})");
  EXPECT_THAT(chunks.rest(), ElementsAre("", "echo: hello", "(stop)", "(usage)", "[DONE]"));
}

TEST_F(OpenAiFaceTest, ARepeatedRequestGetsTheSameAnswerAndRunsNoSecondTurn) {
  start();
  const Answer first = post(body("hello"), kKey);
  const Answer second = post(body("hello"), kKey);
  EXPECT_EQ(second.status, 200);
  EXPECT_EQ(first.body, second.body);
  EXPECT_THAT(stream("hello", kKey).rest(), ElementsAre("", "echo: hello", "(stop)", "[DONE]"));
  EXPECT_THAT(agent_texts(), SizeIs(1));
}

TEST_F(OpenAiFaceTest, ARequestRepeatedInTheMiddleOfItsTurnGetsItsAnswer) {
  start();
  ChunkReader first = stream("hold it", kKey);
  EXPECT_EQ(first.next_content(), "");
  EXPECT_EQ(first.next_content(), "half");
  RawSocket second = send(body("hold it"), kKey);
  wait_for_requests(2);
  release();
  EXPECT_EQ(read(second).content(), "half and half");
  EXPECT_THAT(agent_texts(), SizeIs(1));
}

std::string rest_after(std::string_view shown) {
  const std::uint64_t hash = KeyedHash(HashKey{}).add(shown).finish().low;
  return fmt::format("{}Sluice-Go-On-At: 0 {} {} 1700000000000\r\n", kKey, shown.size(), hash);
}

TEST_F(OpenAiFaceTest, AStreamThatAnEarlierProcessBeganGetsItsRest) {
  start();
  post(body("hello"), kKey);
  ChunkReader rest = stream("hello", rest_after("echo"));
  EXPECT_THAT(rest.rest(), ElementsAre(": hello", "(stop)", "[DONE]"));
}

TEST_F(OpenAiFaceTest, TheRestOfAnotherTextIsAnErrorInTheStream) {
  start();
  post(body("hello"), kKey);
  EXPECT_THAT(stream("hello", rest_after("Echo")).rest(),
              ElementsAre("!answer_restarted", "(the stream ended)"));
}

TEST_F(OpenAiFaceTest, ThePlaceInAStreamMustBeOne) {
  start();
  EXPECT_EQ(post(body("hello"), "Sluice-Go-On-At: 1 2\r\n").status, 400);
  EXPECT_EQ(post(body("hello"), rest_after("echo")).status, 400) << "it is not streamed";
}

constexpr std::string_view kNoMessages = R"({"model":"agent"})";

/// As an earlier process passes a request on, once the message that it answered with is accepted.
std::string accepted_as(const Answer& answer) {
  constexpr std::string_view kName = "X-Request-Id: ";
  const std::size_t at = answer.head.find(kName) + kName.size();
  return fmt::format("{}Sluice-Accepted: {}\r\n", kKey,
                     answer.head.substr(at, answer.head.find('\r', at) - at));
}

TEST_F(OpenAiFaceTest, AnAcceptedRequestIsGoneOnWithWithoutItsMessages) {
  start();
  const std::string accepted = accepted_as(post(body("hello"), kKey));
  EXPECT_EQ(post(kNoMessages, accepted).content(), "echo: hello");
  const std::string shown = rest_after("echo").substr(kKey.size());
  EXPECT_THAT(stream("", accepted + shown).rest(), ElementsAre(": hello", "(stop)", "[DONE]"));
  EXPECT_THAT(agent_texts(), SizeIs(1));
}

TEST_F(OpenAiFaceTest, AMessageOfAnotherConversationIsNotGoneOnWith) {
  start();
  const std::string accepted = accepted_as(post(body("hello"), kKey));
  EXPECT_EQ(post(kNoMessages, accepted, "bob").code(), "not_accepted");
  EXPECT_EQ(post(body("hello"), kKey, "bob").content(), "echo: hello");
  EXPECT_EQ(post(kNoMessages, accepted, "bob").code(), "not_accepted");
  EXPECT_EQ(post(kNoMessages, fmt::format("{}Sluice-Accepted: x\r\n", kKey)).status, 404);
  EXPECT_EQ(post(kNoMessages, kKey).status, 400) << "it has no messages";
}

TEST_F(OpenAiFaceTest, ARepeatedRequestFindsItsAnswerBehindManyOthers) {
  start();
  const std::string_view user = R"("user":"ann")";
  EXPECT_EQ(post(body("first", user), kKey).content(), "echo: first");
  for (int i = 0; i < 40; ++i) post(body("more", user));
  EXPECT_EQ(post(body("first", user), kKey).content(), "echo: first");
  EXPECT_THAT(agent_texts(), SizeIs(41));
}

/// A body with one image, whose bytes are "\x89PNG\r\n\x1a\n" and eight more.
std::string with_image(std::string_view last = "aaaaaaaaaaA==") {
  return R"({"model":"agent","messages":[{"role":"user","content":[{"type":"text","text":"look"},)"
         R"({"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo)" +
         std::string(last) + "\"}}]}]}";
}

TEST_F(OpenAiFaceTest, AnImageIsKeptAndGoesToTheAgentWithItsMessage) {
  start();
  EXPECT_EQ(post(with_image()).content(), "echo: look");
  ASSERT_THAT(agent_attachments(), ElementsAre(SizeIs(1)));
  const std::string bytes = image(agent_attachments()[0][0]);
  EXPECT_EQ(bytes.substr(0, 8), "\x89PNG\r\n\x1a\n");
  EXPECT_EQ(bytes.size(), 16u);
}

TEST_F(OpenAiFaceTest, ARepeatedRequestWithAnImageIsTheSameMessage) {
  start();
  EXPECT_EQ(post(with_image(), kKey).content(), "echo: look");
  EXPECT_EQ(post(with_image(), kKey).content(), "echo: look");
  EXPECT_THAT(agent_texts(), SizeIs(1));
  EXPECT_EQ(post(with_image("bbbbbbbbbbA=="), kKey).code(), "idempotency_key_reused");
}

TEST_F(OpenAiFaceTest, WhatIsNotTheImageThatItSaysIsRefused) {
  start();
  std::string body = with_image();
  body.replace(body.find("image/png"), 9, "image/gif");
  const Answer answer = post(body);
  EXPECT_EQ(answer.status, 400);
  EXPECT_EQ(answer.code(), "unsupported_content");
  EXPECT_EQ(answer.json().at("error").at("param").as_string(), "messages[0].content[1]");
  EXPECT_THAT(agent_texts(), SizeIs(0));
}

TEST_F(OpenAiFaceTest, NothingIsKeptOfWhoMayNotWrite) {
  options_.allow = {"bob"};
  start();
  EXPECT_EQ(post(with_image()).code(), "not_on_the_list");
  EXPECT_EQ(metrics_.value("sluice_media_uploads_total"), 0);
}

TEST_F(OpenAiFaceTest, AnImageBeyondTheBoundsIsNamed) {
  media_options_.file_bytes = 10;
  start();
  const Answer answer = post(with_image());
  EXPECT_EQ(answer.status, 413);
  EXPECT_EQ(answer.json().at("error").at("param").as_string(), "messages[0].content[1]");
}

TEST_F(OpenAiFaceTest, AKeyUsedWithOtherMessagesIsRefused) {
  start();
  post(body("hello"), kKey);
  const Answer answer = post(body("other"), kKey);
  EXPECT_EQ(answer.status, 422);
  EXPECT_EQ(answer.code(), "idempotency_key_reused");
}

TEST_F(OpenAiFaceTest, TheKeyThatWeMadeFetchesTheAnswerToo) {
  start();
  const Answer first = post(body("hello"));
  const std::size_t at = first.head.find("Idempotency-Key: ");
  ASSERT_NE(at, std::string::npos);
  const std::string key = first.head.substr(at, first.head.find("\r\n", at) + 2 - at);
  EXPECT_EQ(post(body("hello"), key).body, first.body);
  EXPECT_THAT(agent_texts(), SizeIs(1));
}

TEST_F(OpenAiFaceTest, RequestsWithoutAUserKnowNothingOfEachOther) {
  start();
  post(body("one"));
  post(body("one"));
  EXPECT_THAT(agent_texts(), ElementsAre("one", "one"));
}

TEST_F(OpenAiFaceTest, PeopleDoNotShareKeysOrConversations) {
  start();
  EXPECT_EQ(post(body("mine is this"), kKey, "bob").status, 500);
  EXPECT_EQ(post(body("hello"), kKey, "ann").content(), "echo: hello");
}

TEST_F(OpenAiFaceTest, AClientThatLeavesDoesNotStopItsTurn) {
  start();
  ChunkReader chunks = stream("hold it", kKey);
  EXPECT_EQ(chunks.next_content(), "");
  EXPECT_EQ(chunks.next_content(), "half");
  chunks.socket().close();
  release();
  EXPECT_EQ(post(body("hold it"), kKey).content(), "half and half");
  EXPECT_THAT(agent_texts(), SizeIs(1));
}

TEST_F(OpenAiFaceTest, AFailedTurnIsAnErrorWithItsWords) {
  start();
  const Answer answer = post(body("down"));
  EXPECT_EQ(answer.status, 502);
  EXPECT_EQ(answer.code(), "provider_error");
  EXPECT_THAT(answer.body, HasSubstr("temporarily unavailable"));
  EXPECT_THAT(answer.head, HasSubstr("X-Should-Retry: false"));
}

TEST_F(OpenAiFaceTest, AFailureOfOursKeepsItsReasonToItself) {
  start();
  const Answer answer = post(body("mine"));
  EXPECT_EQ(answer.status, 500);
  EXPECT_THAT(answer.body, Not(HasSubstr("a secret")));
}

TEST_F(OpenAiFaceTest, AStreamThatFailsBeforeItsFirstTextHasAStatus) {
  start();
  EXPECT_THAT(stream("down").head, HasSubstr("HTTP/1.1 502"));
}

TEST_F(OpenAiFaceTest, AnAttemptThatFailedUnseenIsNotToldOf) {
  start();
  EXPECT_THAT(stream("quick").rest(), ElementsAre("", "second try", "(stop)", "[DONE]"));
}

TEST_F(OpenAiFaceTest, AStreamWhoseAnswerBeginsAnewEndsWithAnError) {
  start();
  ChunkReader chunks = stream("again", kKey);
  EXPECT_EQ(chunks.next_content(), "");
  EXPECT_EQ(chunks.next_content(), "first try");
  release();
  EXPECT_THAT(chunks.rest(), ElementsAre("!answer_restarted", "(the stream ended)"));
  EXPECT_EQ(post(body("again"), kKey).content(), "second try");
}

TEST_F(OpenAiFaceTest, AnAnswerThatTakesTooLongIsFetchedLater) {
  options_.answer_timeout = milliseconds(1);
  start();
  const Answer answer = post(body("hold it"), kKey);
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.code(), "answer_pending");
  EXPECT_THAT(answer.body, HasSubstr("Idempotency-Key: k1"));
  EXPECT_THAT(answer.head, Not(HasSubstr("X-Should-Retry")));
  release();
  EXPECT_THAT(stream("hold it", kKey).rest(), ElementsAre("", "half and half", "(stop)", "[DONE]"));
}

TEST_F(OpenAiFaceTest, AClientWithoutAKeyIsNotToRepeatByItself) {
  options_.answer_timeout = milliseconds(1);
  start();
  const Answer answer = post(body("hold it"));
  EXPECT_THAT(answer.head, HasSubstr("X-Should-Retry: false"));
  EXPECT_THAT(answer.body, HasSubstr("Idempotency-Key: auto-"));
}

TEST_F(OpenAiFaceTest, AStoppedTurnKeepsWhatWasSeenAndSaysLength) {
  start();
  const std::string_view user = R"("user":"ann")";
  ChunkReader chunks = stream("hold it", {}, user);
  EXPECT_EQ(chunks.next_content(), "");
  EXPECT_EQ(chunks.next_content(), "half");
  EXPECT_EQ(post(body("/stop", user)).content(), "Stopping.");
  EXPECT_THAT(chunks.rest(), ElementsAre("(length)", "[DONE]"));
}

TEST_F(OpenAiFaceTest, AnInterruptedTurnAsksAndTheAnswerDecides) {
  start();
  const std::string_view user = R"("user":"ann")";
  ChunkReader chunks = stream("hold it", kKey, user);
  EXPECT_EQ(chunks.next_content(), "");
  EXPECT_EQ(chunks.next_content(), "half");
  crash();
  start();
  const Answer asked = post(body("hold it", user), kKey);
  EXPECT_EQ(asked.status, 502);
  EXPECT_EQ(asked.code(), "interrupted");
  EXPECT_THAT(asked.body, HasSubstr("/retry"));
  release();
  EXPECT_EQ(post(body("/retry", user)).content(), "Trying again.");
  EXPECT_EQ(post(body("hold it", user), kKey).content(), "half and half");
}

TEST_F(OpenAiFaceTest, AnAnswerOutlivesACrash) {
  start();
  const Answer first = post(body("hello"), kKey);
  crash();
  start();
  EXPECT_EQ(post(body("hello"), kKey).body, first.body);
  EXPECT_THAT(agent_texts(), SizeIs(0));
}

TEST_F(OpenAiFaceTest, WhoeverWaitsIsToldThatTheChannelStops) {
  start();
  RawSocket waiting = send(body("hold it"), kKey);
  wait_for_requests(1);
  unregister();
  const Answer answer = read(waiting);
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.code(), "stopping");
  EXPECT_EQ(post(body("hello")).status, 503);
}

TEST_F(OpenAiFaceTest, RefusesStrangersBeforeTheirBodies) {
  start();
  RawSocket socket = RawSocket::connect(port());
  socket.send(
      "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
      "Authorization: Bearer nobody\r\nContent-Type: application/json\r\n"
      "Content-Length: 1000000\r\n\r\n");
  const Answer answer = read(socket);
  EXPECT_EQ(answer.status, 401);
  EXPECT_EQ(answer.code(), "invalid_api_key");
}

TEST_F(OpenAiFaceTest, ABodyTooLargeIsRefusedUnread) {
  start();
  RawSocket socket = RawSocket::connect(port());
  socket.send(
      "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
      "Authorization: Bearer ann\r\nContent-Type: application/json\r\n"
      "Content-Length: 100000000\r\n\r\n");
  const Answer answer = read(socket);
  EXPECT_EQ(answer.status, 413);
  EXPECT_EQ(answer.code(), "body_too_large");
}

TEST_F(OpenAiFaceTest, ATextBeyondTheCoresBoundIs413) {
  core_options_.text_bytes_max = 100;
  start();
  EXPECT_EQ(post(body(std::string(200, 'x'))).status, 413);
}

TEST_F(OpenAiFaceTest, AnotherContentTypeIs415) {
  start();
  EXPECT_EQ(post(body("hello"), "Content-Type: text/plain\r\n").status, 415);
}

TEST_F(OpenAiFaceTest, AModelThatIsNotHereIs404) {
  start();
  const Answer answer = post(R"({"model":"other","messages":[{"role":"user","content":"x"}]})");
  EXPECT_EQ(answer.status, 404);
  EXPECT_EQ(answer.code(), "model_not_found");
}

TEST_F(OpenAiFaceTest, AnswersUnderEachOfItsNames) {
  start();
  const Answer answer = post(R"({"model":"gpt-4o","messages":[{"role":"user","content":"x"}]})");
  EXPECT_EQ(answer.json().at("model").as_string(), "gpt-4o");
  EXPECT_THAT(get("/v1/models").body,
              ::testing::AllOf(HasSubstr(R"("id":"agent")"), HasSubstr(R"("id":"gpt-4o")")));
  EXPECT_EQ(get("/v1/models/gpt-4o").status, 200);
  EXPECT_EQ(get("/v1/models/other").status, 404);
  EXPECT_EQ(get("/v1/models", "").status, 401);
}

TEST_F(OpenAiFaceTest, WhoIsNotOnTheListIs403) {
  options_.allow = {"bob"};
  start();
  EXPECT_EQ(post(body("hello")).code(), "not_on_the_list");
  EXPECT_EQ(post(body("hello"), {}, "bob").status, 200);
}

TEST_F(OpenAiFaceTest, ATokenThatSpeaksForOthersNamesTheSender) {
  options_.allow = {"carol"};
  start();
  EXPECT_EQ(post(body("hello", R"("user":"carol")"), {}, "robot").status, 200);
  EXPECT_EQ(post(body("hello", R"("user":"carol")"), {}, "ann").status, 403);
}

TEST_F(OpenAiFaceTest, OnePersonsRequestsAreBounded) {
  options_.requests_per_person = 1;
  start();
  RawSocket waiting = send(body("hold it"));
  wait_for_requests(1);
  const Answer answer = post(body("hello"));
  EXPECT_EQ(answer.status, 429);
  EXPECT_THAT(answer.head, HasSubstr("Retry-After: 1"));
  EXPECT_EQ(post(body("hello"), {}, "bob").status, 200);
  release();
  EXPECT_EQ(read(waiting).status, 200);
}

TEST_F(OpenAiFaceTest, MoreThanTheCoreTakesIs429) {
  core_options_.pending_per_person = 1;
  start();
  RawSocket waiting = send(body("hold it"));
  wait_for_requests(1);
  wait_for_agent_calls(1);
  const Answer answer = post(body("hello"));
  EXPECT_EQ(answer.status, 429);
  EXPECT_THAT(answer.head, HasSubstr("Retry-After: "));
  release();
  EXPECT_EQ(read(waiting).status, 200);
}

TEST_F(OpenAiFaceTest, FirstMessagesOfOneConversationComeOneAfterTheOther) {
  start();
  std::vector<RawSocket> sockets;
  for (int i = 0; i < 8; ++i) {
    sockets.push_back(send(body("m" + std::to_string(i), R"("user":"ann")")));
  }
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(read(sockets[static_cast<std::size_t>(i)]).content(), "echo: m" + std::to_string(i));
  }
}

}  // namespace
}  // namespace sluice::openai
