#pragma once
// The OpenAI face of a daemon in small.

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "channels/openai/channel.h"
#include "tests/faces/face_fixture.h"

namespace sluice::openai::test {

using faces::test::EventReader;
using net::test::RawSocket;

/// "Bearer NAME" is the person NAME; "robot" speaks for others, "nobody" is refused.
class NameTokens : public Callers {
 public:
  Result<Caller> identify(const net::HttpRequest& request) override {
    std::string_view token = request.headers.get("authorization").value_or("");
    if (!token.starts_with("Bearer ") || token == "Bearer nobody") {
      return Error(ErrorKind::kUnauthenticated, "a bearer token is needed", ErrorSource::kPeer);
    }
    token.remove_prefix(7);
    return Caller{std::string(token), token == "robot"};
  }
};

struct Answer : faces::test::Answer {
  Answer(faces::test::Answer answer) : faces::test::Answer(std::move(answer)) {}
  std::string content() const {
    return std::string(json().at("choices").at(0).at("message").at("content").as_string());
  }
  std::string code() const { return std::string(json().at("error").at("code").as_string()); }
};

class ChunkReader : public EventReader {
 public:
  using EventReader::EventReader;
  /// "content" of the next chunk's delta, "(REASON)" of the last, "[DONE]", "!CODE" of an error.
  std::string next_content() {
    const std::string data = next().data;
    if (data.empty() || data == "[DONE]") return data.empty() ? "(the stream ended)" : data;
    const boost::json::value value = boost::json::parse(data);
    if (const auto* error = value.as_object().if_contains("error"))
      return "!" + std::string(error->at("code").as_string());
    if (value.at("choices").as_array().empty()) return "(usage)";
    const boost::json::value& choice = value.at("choices").at(0);
    if (!choice.at("finish_reason").is_null())
      return "(" + std::string(choice.at("finish_reason").as_string()) + ")";
    return std::string(choice.at("delta").at("content").as_string());
  }
  /// Everything to the end, in words of next_content().
  std::vector<std::string> rest() {
    std::vector<std::string> all;
    do {
      all.push_back(next_content());
    } while (all.back() != "[DONE]" && all.back() != "(the stream ended)");
    return all;
  }
};

class OpenAiFaceTest : public faces::test::FaceTest {
 protected:
  OpenAiFaceTest() : FaceTest("openai") {
    options_.agent = "agent";
    options_.models = {"gpt-4o"};
  }
  ~OpenAiFaceTest() override { crash(); }

  static Answer read(RawSocket& socket) { return FaceTest::read(socket); }
  /// Until so many requests wait for their answers.
  void wait_for_requests(std::int64_t count) {
    wait_until([this, count] {
      return metrics_.value("sluice_openai_requests", {{"account", "openai"}}) == count;
    });
  }

  /// One message of the user's, and further fields.
  static std::string body(std::string_view text, std::string_view more = {}) {
    std::string out = R"({"model":"agent","messages":[{"role":"user","content":")";
    out.append(text).append("\"}]");
    if (!more.empty()) out.append(",").append(more);
    return out + "}";
  }
  RawSocket send(std::string_view body, std::string_view headers = {},
                 std::string_view token = "ann") {
    RawSocket socket = RawSocket::connect(port());
    socket.send(format("POST /v1/chat/completions HTTP/1.1", token, body, headers));
    return socket;
  }
  Answer post(std::string_view body, std::string_view headers = {},
              std::string_view token = "ann") {
    RawSocket socket = send(body, headers, token);
    return read(socket);
  }
  Answer get(std::string_view path, std::string_view token = "ann") {
    RawSocket socket = RawSocket::connect(port());
    socket.send(format("GET " + std::string(path) + " HTTP/1.1", token, {}, {}));
    return read(socket);
  }
  ChunkReader stream(std::string_view text, std::string_view headers = {},
                     std::string_view more = {}) {
    RawSocket socket = RawSocket::connect(port());
    std::string fields = R"("stream":true)";
    if (!more.empty()) fields.append(",").append(more);
    socket.send(format("POST /v1/chat/completions HTTP/1.0", "ann", body(text, fields), headers));
    return ChunkReader(std::move(socket));
  }

  OpenAiFaceOptions options_;

 private:
  void mount(net::Router& router) override {
    mount_ = OpenAiMount::add_to(router, std::make_unique<NameTokens>());
  }
  void unmount() override { mount_.reset(); }
  std::unique_ptr<Channel> make_channel(Shard&) override {
    return std::make_unique<OpenAiChannel>("openai", options_, mount_, metrics_, library());
  }

  std::shared_ptr<OpenAiMount> mount_;
};

}  // namespace sluice::openai::test
