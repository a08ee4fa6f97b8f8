#pragma once
// The http channel in a daemon in small (tests/faces/face_fixture.h), and short ways to ask it.

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "channels/http/channel.h"
#include "net/websocket_fixture.h"
#include "tests/faces/face_fixture.h"

namespace sluice::http::test {

using net::test::RawSocket;

/// "Bearer NAME", or the cookie NAME, is the person NAME; "robot" may everything, "nobody" is
/// refused.
class NameTokens : public Authenticator {
 public:
  Result<Caller> identify(const net::HttpRequest& request) override {
    if (const auto cookie = request.headers.get("cookie")) {
      return Caller{std::string(*cookie), false, false};
    }
    std::string_view token = request.headers.get("authorization").value_or("");
    if (!token.starts_with("Bearer ") || token == "Bearer nobody") {
      return Error(ErrorKind::kUnauthenticated, "a bearer token is needed", ErrorSource::kPeer);
    }
    token.remove_prefix(7);
    const bool robot = token == "robot";
    return Caller{std::string(token), robot, robot};
  }
};

struct Answer : faces::test::Answer {
  Answer(faces::test::Answer answer) : faces::test::Answer(std::move(answer)) {}
  std::int64_t number(const char* key) const { return json().at(key).as_int64(); }
  std::string text(const char* key) const { return std::string(json().at(key).as_string()); }
};

class EventReader : public faces::test::EventReader {
 public:
  using faces::test::EventReader::EventReader;
  net::SseEvent next() {
    net::SseEvent event = faces::test::EventReader::next();
    if (!event.id.empty()) last_id = event.id;
    return event;
  }
  /// The next event of this kind; one without a kind at the stream's end.
  net::SseEvent next(std::string_view kind) {
    for (;;) {
      net::SseEvent event = next();
      if (event.event == kind || event.event.empty()) return event;
    }
  }
  std::string line_text() {
    const net::SseEvent event = next("message");
    if (event.event.empty()) return "(the stream ended)";
    return std::string(boost::json::parse(event.data).at("text").as_string());
  }
  /// Texts of lines until one is this.
  std::vector<std::string> lines_until(std::string_view last) {
    std::vector<std::string> lines;
    do {
      lines.push_back(line_text());
    } while (lines.back() != last && lines.back() != "(the stream ended)");
    return lines;
  }
  std::string last_id;
};

class HttpChannelTest : public faces::test::FaceTest {
 protected:
  HttpChannelTest() : FaceTest("http", OnInterrupt::kRerun) { options_.agent = "agent"; }
  ~HttpChannelTest() override { crash(); }

  std::size_t agent_calls() { return agent_texts().size(); }

  RawSocket connect() { return RawSocket::connect(port()); }
  Answer request(std::string_view method, std::string_view path, std::string_view token,
                 std::string_view body = {}, std::string_view more_headers = {}) {
    RawSocket socket = connect();
    socket.send(format(method, path, token, body, more_headers));
    return read(socket);
  }
  static std::string format(std::string_view method, std::string_view path, std::string_view token,
                            std::string_view body, std::string_view more_headers) {
    return FaceTest::format(std::string(method) + " " + std::string(path) + " HTTP/1.1", token,
                            body, more_headers);
  }
  static Answer read(RawSocket& socket) { return FaceTest::read(socket); }
  Answer post(std::string_view token, std::string_view body) {
    return request("POST", "/v1/conversations/main/messages", token, body);
  }
  Answer say(std::string_view token, std::string_view id, std::string_view text) {
    return post(token,
                "{\"id\":\"" + std::string(id) + "\",\"text\":\"" + std::string(text) + "\"}");
  }
  EventReader follow(std::string_view token, std::string_view after = "0",
                     std::string_view chat = "main") {
    RawSocket socket = connect();
    socket.send("GET /v1/conversations/" + std::string(chat) + "/events HTTP/1.0\r\n" +
                "Host: localhost\r\nAuthorization: Bearer " + std::string(token) +
                "\r\nLast-Event-ID: " + std::string(after) + "\r\n\r\n");
    return EventReader(std::move(socket));
  }

  net::test::WebSocketClient follow_by_socket(const std::string& token,
                                              const std::string& query = "?after=0",
                                              const std::string& headers = {}) {
    return net::test::WebSocketClient(
        port(), "/v1/conversations/main/socket" + query, {},
        (token.empty() ? "" : "Authorization: Bearer " + token + "\r\n") + headers);
  }

  HttpChannelOptions options_;

 private:
  void mount(net::Router& router) override {
    mount_ = std::make_unique<HttpMount>(router, tokens_);
  }
  void unmount() override { mount_.reset(); }
  std::unique_ptr<Channel> make_channel(Shard&) override {
    return std::make_unique<HttpChannel>("http", "http", options_, *mount_, metrics_, &library());
  }

  NameTokens tokens_;
  std::unique_ptr<HttpMount> mount_;
};

}  // namespace sluice::http::test
