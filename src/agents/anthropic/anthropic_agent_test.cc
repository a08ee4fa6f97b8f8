// Requests and whole answers, the latter over a server on loopback. What a stream may do wrong is
// shown in agents/model and in anthropic_stream_test.cc.
#include "agents/anthropic/anthropic_agent.h"

#include <boost/json.hpp>

#include "agents/model/conversation.h"
#include "agents/model/model_fixture.h"
#include "config/load.h"

namespace sluice {
namespace {

namespace json = boost::json;
using namespace model_test;

std::string event(std::string_view type, std::string_view rest = "") {
  return fmt::format("event: {0}\ndata: {{\"type\":\"{0}\"{1}}}\n\n", type, rest);
}
const std::string kBegin =
    event("message_start", R"(,"message":{"role":"assistant","usage":{"input_tokens":9}})") +
    event("content_block_start", R"(,"index":0,"content_block":{"type":"text","text":""})") +
    event("ping") +
    event("content_block_delta", R"(,"index":0,"delta":{"type":"text_delta","text":"Hi there"})");

std::string ending(std::string_view reason) {
  return event("content_block_stop", R"(,"index":0)") +
         event("message_delta", fmt::format(R"(,"delta":{{"stop_reason":"{}"}},)"
                                            R"("usage":{{"output_tokens":2}})",
                                            reason)) +
         event("message_stop");
}

class AnthropicAgentTest : public ModelTest {
 protected:
  static AnthropicOptions options() {
    AnthropicOptions made;
    made.model = "claude-x";
    return made;
  }
  void use(const Model& model, AnthropicOptions with = options()) {
    with.base_url = model.url();
    make([with](ModelSurroundings around) { return make_anthropic_agent("m", with, around); });
  }
  static json::object body(const AnthropicOptions& with, const TurnRequest& request = turn()) {
    return json::parse(AnthropicProtocol(with).body(conversation_of(request), request.model))
        .as_object();
  }
};

TEST_F(AnthropicAgentTest, AsksTheModelThatWasChosenForTheTurn) {
  TurnRequest chosen = turn();
  chosen.model = "another";
  EXPECT_EQ(body(options(), chosen).at("model"), "another");
}

TEST_F(AnthropicAgentTest, StreamsAMessage) {
  Model model(streamed(kBegin + ending("end_turn")));
  use(model);
  const auto reply = ask();
  ASSERT_TRUE(reply.has_value()) << reply.error().to_string();
  EXPECT_EQ(reply->text, "Hi there");
  EXPECT_EQ(sink_.text(), "Hi there");
  EXPECT_EQ(tokens("prompt"), 9);
  EXPECT_EQ(tokens("completion"), 2);
}

TEST_F(AnthropicAgentTest, PostsToMessagesWithKeyAndVersion) {
  Model model(streamed(kBegin + ending("end_turn")));
  AnthropicOptions with = options();
  with.api_key = config::Secret("k1");
  use(model, with);
  ASSERT_TRUE(ask().has_value());
  const std::string& request = model.requests().front();
  EXPECT_TRUE(request.starts_with("POST /v1/messages HTTP/1.1\r\n"));
  EXPECT_NE(request.find("\r\nx-api-key: k1\r\n"), std::string::npos);
  EXPECT_NE(request.find("\r\nanthropic-version: 2023-06-01\r\n"), std::string::npos);
}

TEST_F(AnthropicAgentTest, TellsLimitsRefusalsAndTools) {
  for (const auto& [reason, words] :
       {std::pair("max_tokens", "Hi there\n\n[The answer was cut off at its length limit.]"),
        std::pair("refusal", "Hi there\n\n[The AI service declined to go on.]"),
        std::pair("tool_use",
                  "Hi there\n\n[The model asked for a tool. Tools can't be used here.]")}) {
    Model model(streamed(kBegin + ending(reason)));
    use(model);
    const auto reply = ask();
    ASSERT_TRUE(reply.has_value());
    EXPECT_EQ(reply->text, words);
  }
}

TEST_F(AnthropicAgentTest, AnOverloadBeforeTheFirstTextMayBeTriedAgain) {
  const std::string overloaded = event("error", R"(,"error":{"type":"overloaded_error"})");
  Model early(streamed(event("message_start") + overloaded));
  use(early);
  EXPECT_TRUE(failure().retry().allowed());
  Model late(streamed(kBegin + overloaded));
  use(late);
  const Error error = failure();
  EXPECT_EQ(error.kind(), ErrorKind::kOverloaded);
  EXPECT_FALSE(error.retry().allowed());
  EXPECT_EQ(sink_.text(), "Hi there");
}

TEST_F(AnthropicAgentTest, An529MayBeTriedAgain) {
  Model model(plain(529, R"({"type":"error","error":{"type":"overloaded_error"}})",
                    "request-id: req_1\r\n"));
  use(model);
  const Error error = failure();
  EXPECT_EQ(error.kind(), ErrorKind::kOverloaded);
  EXPECT_TRUE(error.retry().allowed());
  EXPECT_EQ(error.context(), "anthropic: answered 529 (overloaded_error), request req_1");
}

TEST_F(AnthropicAgentTest, AStreamWithoutItsEndIsCutOff) {
  Model model(streamed(kBegin));
  use(model);
  EXPECT_EQ(failure().kind(), ErrorKind::kBadResponse);
  EXPECT_EQ(sink_.text(), "Hi there");
}

TEST_F(AnthropicAgentTest, SendsTheConversationAlternating) {
  TurnRequest request = turn("and you?");
  request.history = {line(HistoryKind::kAgent, "welcome"), line(HistoryKind::kPerson, "hi"),
                     line(HistoryKind::kAgent, "hello"), line(HistoryKind::kPerson, "well")};
  AnthropicOptions with = options();
  with.system = "Be brief.";
  const json::object sent = body(with, request);
  EXPECT_EQ(sent.at("system").as_string(), "Be brief.");
  EXPECT_EQ(json::serialize(sent.at("messages")),
            R"([{"role":"user","content":"hi"},{"role":"assistant","content":"hello"},)"
            R"({"role":"user","content":"well\nand you?"}])");
}

TEST_F(AnthropicAgentTest, AlwaysSendsAMaximum) {
  json::object sent = body(options());
  sent.erase("messages");
  EXPECT_EQ(sent, json::parse(R"({"model":"claude-x","stream":true,"max_tokens":4096})"));
}

TEST_F(AnthropicAgentTest, SendsTheParametersThatAreSet) {
  AnthropicOptions with = options();
  with.max_tokens = 50;
  with.top_p = "0.5";
  with.stop = {"END"};
  with.parameters = R"({"top_k":7})";
  json::object sent = body(with);
  sent.erase("messages");
  EXPECT_EQ(sent, json::parse(R"({"model":"claude-x","stream":true,"max_tokens":50,"top_p":0.5,
                                  "top_k":7,"stop_sequences":["END"]})"));
}

class NoSecrets : public config::SecretSource {
 public:
  std::optional<config::Secret> environment(const std::string&) override { return std::nullopt; }
  Result<config::Secret> file(const std::string&) override { return Error(ErrorKind::kNotFound); }
};

TEST(AnthropicConfigTest, SaysWhatIsWrong) {
  for (const auto& [table, words] :
       {std::pair("base_url = \"http://127.0.0.1:1\"\n", "model"),
        std::pair("model = \"x\"\n", "api_key"),
        std::pair("model = \"x\"\nbase_url = \"http://127.0.0.1:1\"\nmax_tokens = 0\n",
                  "max_tokens"),
        std::pair("model = \"x\"\nbase_url = \"http://127.0.0.1:1\"\nversion = \"a b\"\n",
                  "version")}) {
    config::Schema schema;
    config::Kinds kinds;
    kinds.add<AnthropicOptions>("anthropic", "A model.");
    schema.instances("agents", "Who answers.", std::move(kinds));
    NoSecrets secrets;
    const config::Loaded loaded = config::load(
        schema, std::string("[agents.m]\nkind = \"anthropic\"\n") + table, "test.toml", secrets);
    EXPECT_FALSE(loaded.config);
    EXPECT_NE(loaded.to_string().find(words), std::string::npos) << loaded.to_string();
  }
}

TEST_F(AnthropicAgentTest, SendsImagesAsBlocksBeforeTheText) {
  const std::vector<Speech> all = {{true, "look", {{"a", false, "image/png", "QUJD"}}},
                                   {false, "nice"},
                                   {true, "", {{"b", false, "image/webp", "REVG"}}}};
  EXPECT_EQ(json::parse(AnthropicProtocol(options()).body(all, "")).at("messages"), json::parse(R"([
    {"role":"user","content":[
      {"type":"image","source":{"type":"base64","media_type":"image/png","data":"QUJD"}},
      {"type":"text","text":"look"}]},
    {"role":"assistant","content":"nice"},
    {"role":"user","content":[
      {"type":"image","source":{"type":"base64","media_type":"image/webp","data":"REVG"}}]}])"));
}

}  // namespace
}  // namespace sluice
