#include "agents/webhook/webhook_json.h"

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include "agents/webhook/webhook_options.h"
#include "media/kinds.h"
#include "net/retry_after.h"

namespace sluice {
namespace {

namespace json = boost::json;
using std::chrono::seconds;

constexpr UnixMillis kNow{784'111'777'000};  // Sun, 06 Nov 1994 08:49:37 GMT

std::shared_ptr<MessageRow> message(std::int64_t id, std::string text) {
  auto row = std::make_shared<MessageRow>();
  row->id = MessageId{id};
  row->event = "e" + std::to_string(id);
  row->sender = "ann";
  row->sender_name = "Ann";
  row->text = std::move(text);
  row->accepted_at = UnixMillis{5000 + id};
  return row;
}

TurnRequest turn() {
  TurnRequest request;
  request.turn = TurnId{42};
  request.attempt = 2;
  request.request_id = "r1";
  request.account = "support";
  request.channel_kind = "hook";
  request.chat = "c1";
  request.session = "s1";
  request.projects = {"p1", "p2"};
  request.messages = {message(7, "one"), message(8, "two \"quoted\"")};
  HistoryRow asked;
  asked.kind = HistoryKind::kPerson;
  asked.author = "ann";
  asked.text = "before";
  asked.at = UnixMillis{100};
  HistoryRow answered;
  answered.kind = HistoryKind::kAgent;
  answered.text = "it was";
  answered.at = UnixMillis{200};
  answered.cut = true;
  request.history = {asked, answered};
  return request;
}

net::HttpClientResponse answer(int status, std::string body = {},
                               std::string type = "application/json") {
  return {status, net::HttpHeaders{{"Content-Type", type}}, std::move(body)};
}

Error error_of(const net::HttpClientResponse& response, bool idempotent = false) {
  const auto reply = read_webhook_answer(response, idempotent, kNow);
  EXPECT_TRUE(reply.has_error());
  return reply ? Error() : reply.error();
}

TEST(WebhookBodyTest, CarriesTheWholeTurn) {
  const json::object body = json::parse(webhook_body(turn())).as_object();
  EXPECT_EQ(body.at("turn_id").to_number<int>(), 42);
  EXPECT_EQ(body.at("attempt").to_number<int>(), 2);
  EXPECT_EQ(body.at("account").as_string(), "support");
  EXPECT_EQ(body.at("channel").as_string(), "hook");
  EXPECT_EQ(body.at("chat_kind").as_string(), "direct");
  EXPECT_EQ(body.at("sender").as_string(), "ann");
  EXPECT_EQ(body.at("session").as_string(), "s1");
  EXPECT_EQ(body.at("projects").as_array().size(), 2u);
  EXPECT_EQ(body.at("text").as_string(), "one\ntwo \"quoted\"");
  const json::object first = body.at("messages").at(0).as_object();
  EXPECT_EQ(first.at("id").to_number<int>(), 7);
  EXPECT_EQ(first.at("event").as_string(), "e7");
  EXPECT_EQ(first.at("sent_at").to_number<int>(), 5007);
}

TEST(WebhookBodyTest, TellsTheHistoryByRole) {
  const json::object body = json::parse(webhook_body(turn())).as_object();
  const json::array& history = body.at("history").as_array();
  ASSERT_EQ(history.size(), 2u);
  EXPECT_EQ(history.at(0).at("role").as_string(), "user");
  EXPECT_EQ(history.at(0).at("sender").as_string(), "ann");
  EXPECT_EQ(history.at(1).at("role").as_string(), "assistant");
  EXPECT_TRUE(history.at(1).at("cut").as_bool());
}

TEST(WebhookBodyTest, NamesWhatIsAttached) {
  const std::string id =
      media::Id::make({"00000001", "0000000000000002"}, 3, media::Type::kJpeg).text();
  TurnRequest request = turn();
  auto with = message(9, "look");
  with->extra = R"({"attachments":[")" + id + R"("]})";
  request.messages.push_back(with);
  request.history[0].meta = R"({"attachments":["of another time"]})";
  const json::value body = json::parse(webhook_body(request));
  EXPECT_FALSE(body.at("messages").at(0).as_object().contains("attachments"));
  EXPECT_EQ(body.at("messages").at(2).at("attachments"),
            json::parse(R"([{"id":")" + id + R"(","type":"image/jpeg"}])"));
  EXPECT_EQ(body.at("history").at(0).at("attachments"),
            json::parse(R"([{"id":"of another time"}])"));
}

TEST(WebhookBodyTest, KeyIsTheSameForEveryAttemptOfATurn) {
  TurnRequest again = turn();
  again.attempt = 3;
  EXPECT_EQ(webhook_idempotency_key(turn()), webhook_idempotency_key(again));
  EXPECT_TRUE(webhook_idempotency_key(turn()).starts_with("42-"));
}

TEST(WebhookBodyTest, KeyDiffersWhenARestoredStoreHandsOutTheTurnIdAgain) {
  TurnRequest other = turn();
  auto later = message(7, "something else");
  later->accepted_at = UnixMillis{900'000};
  other.messages.front() = later;
  EXPECT_NE(webhook_idempotency_key(turn()), webhook_idempotency_key(other));
}

TEST(WebhookAnswerTest, TakesTheText) {
  const auto reply = read_webhook_answer(answer(200, R"({"text": "hi ü", "x": 1})"), false, kNow);
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->text, "hi ü");
  EXPECT_FALSE(reply->meta);
}

TEST(WebhookAnswerTest, TakesTheMetadata) {
  const auto reply = read_webhook_answer(
      answer(200,
             R"({"text":"hi","session":"s","project":"p","project_tag":"t","seed":"d",)"
             R"("phase":"done","evaluation_passed":false})",
             "Application/JSON; charset=utf-8"),
      false, kNow);
  ASSERT_TRUE(reply.has_value() && reply->meta);
  EXPECT_EQ(reply->meta->session, "s");
  EXPECT_EQ(reply->meta->project, "p");
  EXPECT_EQ(reply->meta->project_tag, "t");
  EXPECT_EQ(reply->meta->seed, "d");
  EXPECT_EQ(reply->meta->phase, "done");
  EXPECT_EQ(reply->meta->evaluation_passed, false);
}

TEST(WebhookAnswerTest, TakesWhatItCost) {
  const auto reply = read_webhook_answer(
      answer(200, R"({"text":"hi","usage":{"input_tokens":12,"output_tokens":3}})"), false, kNow);
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->usage.input_tokens, 12u);
  EXPECT_EQ(reply->usage.output_tokens, 3u);
}

TEST(WebhookAnswerTest, RefusesWhatIsNoUsableAnswer) {
  for (const auto& response :
       {answer(200, R"({"text": "hi"})", "text/html"), answer(200, R"({"text": "hi")"),
        answer(200, R"(["text"])"), answer(200, R"({"txt": "hi"})"), answer(200, R"({"text": 1})"),
        answer(200, R"({"text": " \n"})"), answer(200, "{\"text\": \"\xff\"}"),
        answer(200, R"({"text":"hi","phase":7})"),
        answer(200, R"({"text":"hi","evaluation_passed":"yes"})"), answer(200), answer(204)}) {
    const Error error = error_of(response, true);
    EXPECT_EQ(error.kind(), ErrorKind::kBadResponse) << response.body;
    EXPECT_EQ(error.source(), ErrorSource::kPeer);
    EXPECT_FALSE(error.retry().allowed());
  }
}

TEST(WebhookAnswerTest, NeverPutsTheAnswersTextIntoAnError) {
  const Error error = error_of(answer(200, R"({"text": "secret", "phase": {"secret": 1}})"));
  EXPECT_EQ(error.to_string().find("secret"), std::string::npos);
}

TEST(WebhookAnswerTest, DoesNotFollowRedirects) {
  const Error error = error_of(answer(307), true);
  EXPECT_EQ(error.kind(), ErrorKind::kBadResponse);
  EXPECT_FALSE(error.retry().allowed());
}

TEST(WebhookAnswerTest, RefusedCredentialsAreNotTriedAgain) {
  EXPECT_EQ(error_of(answer(401)).kind(), ErrorKind::kUnauthenticated);
  EXPECT_EQ(error_of(answer(403)).kind(), ErrorKind::kPermissionDenied);
  EXPECT_FALSE(error_of(answer(401), true).retry().allowed());
  EXPECT_EQ(error_of(answer(404)).kind(), ErrorKind::kBadResponse);
  EXPECT_FALSE(error_of(answer(404), true).retry().allowed());
}

TEST(WebhookAnswerTest, WaitsAsLongAsARateLimitSays) {
  auto limited = answer(429);
  EXPECT_EQ(error_of(limited).retry(), Retry::with_backoff());
  limited.headers.set("Retry-After", "7");
  EXPECT_EQ(error_of(limited).kind(), ErrorKind::kRateLimited);
  EXPECT_EQ(error_of(limited).retry(), Retry::after(seconds(7)));
}

TEST(WebhookAnswerTest, AFailureOfTheAgentItselfIsTriedAgain) {
  for (const int status : {408, 500, 503}) {
    EXPECT_EQ(error_of(answer(status)).kind(), ErrorKind::kUnavailable);
    EXPECT_TRUE(error_of(answer(status)).retry().allowed()) << status;
  }
}

TEST(WebhookAnswerTest, AFailureOfAProxyIsTriedAgainOnlyIfTheAgentIsIdempotent) {
  for (const int status : {502, 504}) {
    EXPECT_FALSE(error_of(answer(status), false).retry().allowed());
    EXPECT_TRUE(error_of(answer(status), true).retry().allowed());
  }
}

TEST(WebhookSaidTest, AnErrorIsToldByTheStatusThatItWouldHaveHad) {
  const auto error = [](const std::string& json) {
    const auto said = read_webhook_said(R"({"text": "x", "error": )" + json + "}");
    EXPECT_TRUE(said.has_value() && said->error) << json;
    return said && said->error ? *said->error : Error();
  };
  EXPECT_EQ(error(R"({"status": 403})").kind(), ErrorKind::kPermissionDenied);
  EXPECT_EQ(error(R"({"status": 504, "retry_after": 2})").retry(), Retry::after(seconds(2)));
  EXPECT_EQ(error(R"({"status": 500, "retry_after": 999999999})").retry(),
            Retry::after(net::kRetryAfterMost));
  EXPECT_EQ(error(R"({"code": "no_tools"})").context(), "told an error, 500 (no_tools)");
  EXPECT_EQ(error(R"({"code": "not for a log"})").context(), "told an error, 500");
  for (const char* odd : {R"("broken")", "{}", "[]", "true", R"({"status": 200})",
                          R"({"status": "429", "retry_after": -1})"}) {
    EXPECT_EQ(error(odd).kind(), ErrorKind::kUnavailable) << odd;
    EXPECT_EQ(error(odd).retry(), Retry::with_backoff()) << odd;
  }
}

TEST(WebhookFailureTest, ARequestThatNeverLeftIsMadeAgain) {
  const net::FetchError refused{Error(ErrorKind::kUnavailable, "refused"), net::SentState::kNotSent,
                                std::nullopt};
  EXPECT_TRUE(webhook_failure(refused, false).retry().allowed());
}

TEST(WebhookFailureTest, ALostAnswerIsAskedForAgainOnlyIfTheAgentIsIdempotent) {
  for (const ErrorKind kind : {ErrorKind::kTimeout, ErrorKind::kUnavailable}) {
    const net::FetchError lost{Error(kind, "lost"), net::SentState::kMaybeSent, std::nullopt};
    EXPECT_EQ(webhook_failure(lost, false).kind(), kind);
    EXPECT_FALSE(webhook_failure(lost, false).retry().allowed());
    EXPECT_TRUE(webhook_failure(lost, true).retry().allowed());
  }
}

TEST(WebhookFailureTest, AnAnswerThatIsTooLargeIsNotAskedForAgain) {
  const net::FetchError large{Error(ErrorKind::kTooLarge, "body"), net::SentState::kMaybeSent, 200};
  EXPECT_EQ(webhook_failure(large, true).kind(), ErrorKind::kBadResponse);
  EXPECT_FALSE(webhook_failure(large, true).retry().allowed());
}

TEST(WebhookOptionsTest, AnInterruptedTurnIsRunAgainOnlyIfTheAgentIsIdempotent) {
  WebhookOptions options;
  EXPECT_EQ(on_interrupt_of(options), OnInterrupt::kAsk);
  options.idempotent = true;
  EXPECT_EQ(on_interrupt_of(options), OnInterrupt::kRerun);
  options.on_interrupt = WebhookOptions::Interrupt::kFail;
  EXPECT_EQ(on_interrupt_of(options), OnInterrupt::kFail);
}

TEST(WebhookOptionsTest, TakesHeadersThatAreNotOurs) {
  const auto header = parse_extra_header("X-Team:  blue ");
  ASSERT_TRUE(header.has_value());
  EXPECT_EQ(header->first, "X-Team");
  EXPECT_EQ(header->second, "blue");
  for (const char* bad : {"X-Team", "X Team: blue", ": blue", "Host: elsewhere",
                          "content-length: 3", "X-Team: a\nb"}) {
    EXPECT_TRUE(parse_extra_header(bad).has_error()) << bad;
  }
}

}  // namespace
}  // namespace sluice
