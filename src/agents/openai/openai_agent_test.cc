// Requests and whole answers, the latter over a server on loopback. What a stream may do wrong is
// shown in agents/model and in openai_stream_test.cc.
#include "agents/openai/openai_agent.h"

#include <boost/json.hpp>

#include "agents/model/conversation.h"
#include "agents/model/model_fixture.h"
#include "config/load.h"

namespace sluice {
namespace {

namespace json = boost::json;
using namespace model_test;

constexpr const char* kAnswer =
    "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":"
    "{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n"
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"},\"finish_reason\":null}]}\n\n"
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\" "
    "there\"},\"finish_reason\":null}]}\n\n"
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":2}}\n\n"
    "data: [DONE]\n\n";

class OpenAiAgentTest : public ModelTest {
 protected:
  static OpenAiOptions options() {
    OpenAiOptions made;
    made.model = "gpt-x";
    return made;
  }
  void use(const Model& model, OpenAiOptions with = options()) {
    with.base_url = model.url() + "/v1";
    make([with](ModelSurroundings around) { return make_openai_agent("m", with, around); });
  }
  static json::object body(const OpenAiOptions& with, const TurnRequest& request = turn()) {
    return json::parse(OpenAiProtocol(with).body(conversation_of(request), request.model))
        .as_object();
  }
};

TEST_F(OpenAiAgentTest, AsksTheModelThatWasChosenForTheTurn) {
  TurnRequest chosen = turn();
  chosen.model = "another";
  EXPECT_EQ(body(options(), chosen).at("model"), "another");
}

TEST_F(OpenAiAgentTest, StreamsACompletion) {
  Model model(streamed(kAnswer));
  use(model);
  const auto reply = ask();
  ASSERT_TRUE(reply.has_value()) << reply.error().to_string();
  EXPECT_EQ(reply->text, "Hi there");
  EXPECT_EQ(sink_.text(), "Hi there");
  EXPECT_EQ(tokens("prompt"), 9);
  EXPECT_EQ(tokens("completion"), 2);
}

TEST_F(OpenAiAgentTest, PostsToChatCompletionsWithItsKey) {
  Model model(streamed(kAnswer));
  OpenAiOptions with = options();
  with.api_key = config::Secret("sk-1");
  use(model, with);
  ASSERT_TRUE(ask().has_value());
  const std::string& request = model.requests().front();
  EXPECT_TRUE(request.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"));
  EXPECT_NE(request.find("\r\nAuthorization: Bearer sk-1\r\n"), std::string::npos);
  EXPECT_NE(request.find("\r\nContent-Type: application/json\r\n"), std::string::npos);
}

TEST_F(OpenAiAgentTest, ALocalServerGetsNoKey) {
  Model model(streamed(kAnswer));
  use(model);
  ASSERT_TRUE(ask().has_value());
  EXPECT_EQ(model.requests().front().find("Authorization"), std::string::npos);
}

TEST_F(OpenAiAgentTest, ATextThatIsCutOffEndsWithoutAnotherAttempt) {
  const std::string answer = kAnswer;
  Model model(kStreamHead + chunk(answer.substr(0, answer.find(" there") + 3)));
  use(model);
  const Error error = failure();
  EXPECT_EQ(error.kind(), ErrorKind::kBadResponse);
  EXPECT_FALSE(error.retry().allowed());
  EXPECT_EQ(sink_.text(), "Hi");
}

TEST_F(OpenAiAgentTest, AToolCallIsToldToThePerson) {
  Model model(streamed(
      "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Let me see.\"}}]}\n\n"
      "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":"
      "{\"name\":\"weather\",\"arguments\":\"{}\"}}]},\"finish_reason\":\"tool_calls\"}]}\n\n"
      "data: [DONE]\n\n"));
  use(model);
  const auto reply = ask();
  ASSERT_TRUE(reply.has_value());
  EXPECT_EQ(reply->text,
            "Let me see.\n\n[The model asked for a tool: weather. Tools can't be used here.]");
}

TEST_F(OpenAiAgentTest, AWrongKeyIsToldAsThat) {
  Model model(plain(401, R"({"error":{"code":"invalid_api_key","message":"sk-1 is wrong"}})"));
  use(model);
  const Error error = failure();
  EXPECT_EQ(error.kind(), ErrorKind::kUnauthenticated);
  EXPECT_EQ(error.context(), "openai: answered 401 (invalid_api_key)");
}

TEST_F(OpenAiAgentTest, SendsTheConversation) {
  TurnRequest request = turn("and you?");
  request.history = {line(HistoryKind::kPerson, "hi \"x\""), line(HistoryKind::kAgent, "hello")};
  OpenAiOptions with = options();
  with.system = "Be brief.";
  EXPECT_EQ(json::serialize(body(with, request).at("messages")),
            R"([{"role":"system","content":"Be brief."},{"role":"user","content":"hi \"x\""},)"
            R"({"role":"assistant","content":"hello"},{"role":"user","content":"and you?"}])");
}

TEST_F(OpenAiAgentTest, SendsNoParameterThatIsNotSet) {
  json::object sent = body(options());
  sent.erase("messages");
  EXPECT_EQ(sent, json::parse(R"({"model":"gpt-x","stream":true,
                                  "stream_options":{"include_usage":true}})"));
}

TEST_F(OpenAiAgentTest, SendsTheParametersThatAreSet) {
  OpenAiOptions with = options();
  with.temperature = "0.5";
  with.max_completion_tokens = 50;
  with.stop = {"END"};
  with.parameters = R"({"seed":7})";
  with.stream_usage = false;
  json::object sent = body(with);
  sent.erase("messages");
  EXPECT_EQ(sent, json::parse(R"({"model":"gpt-x","stream":true,"temperature":0.5,"seed":7,
                                  "max_completion_tokens":50,"stop":["END"]})"));
}

class NoSecrets : public config::SecretSource {
 public:
  std::optional<config::Secret> environment(const std::string&) override { return std::nullopt; }
  Result<config::Secret> file(const std::string&) override { return Error(ErrorKind::kNotFound); }
};

std::string problems(const std::string& table) {
  config::Schema schema;
  config::Kinds kinds;
  kinds.add<OpenAiOptions>("openai", "A model.");
  schema.instances("agents", "Who answers.", std::move(kinds));
  NoSecrets secrets;
  const config::Loaded loaded =
      config::load(schema, "[agents.m]\nkind = \"openai\"\n" + table, "test.toml", secrets);
  return loaded.config ? std::string() : loaded.to_string();
}

TEST(OpenAiConfigTest, ALocalServerNeedsAUrlAndAModel) {
  EXPECT_EQ(problems("base_url = \"http://127.0.0.1:8080/v1\"\nmodel = \"x\"\n"), "");
}

TEST(OpenAiConfigTest, SaysWhatIsWrongAndWhere) {
  const std::string local = "base_url = \"http://127.0.0.1:8080/v1\"\n";
  for (const auto& [table, words] :
       {std::pair(local, "model"),
        std::pair("model = \"x\"\n" + local + "top_p = \"hot\"\n", "top_p"),
        std::pair(std::string("model = \"x\"\nbase_url = \"nonsense\"\n"), "base_url"),
        std::pair(std::string("model = \"x\"\nbase_url = \"http://x/?a\"\n"), "query"),
        std::pair(std::string("model = \"x\"\n"), "api_key"),
        std::pair("model = \"x\"\nmax_tokens = 1\nmax_completion_tokens = 1\n" + local, "only one"),
        std::pair("model = \"x\"\nparameters = '{\"stream\": false}'\n" + local,
                  "is set by sluice itself")}) {
    EXPECT_NE(problems(table).find(words), std::string::npos) << words << ": " << problems(table);
    EXPECT_NE(problems(table).find("test.toml"), std::string::npos);
  }
}

TEST_F(OpenAiAgentTest, SendsImagesAsPartsBeforeTheText) {
  const std::vector<Speech> all = {{true, "look", {{"a", false, "image/png", "QUJD"}}},
                                   {false, "nice"},
                                   {true, "", {{"b", false, "image/jpeg", "REVG"}}}};
  EXPECT_EQ(json::parse(OpenAiProtocol(options()).body(all, "")).at("messages"), json::parse(R"([
    {"role":"user","content":[
      {"type":"image_url","image_url":{"url":"data:image/png;base64,QUJD"}},
      {"type":"text","text":"look"}]},
    {"role":"assistant","content":"nice"},
    {"role":"user","content":[
      {"type":"image_url","image_url":{"url":"data:image/jpeg;base64,REVG"}}]}])"));
}

}  // namespace
}  // namespace sluice
