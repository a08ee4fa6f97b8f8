#pragma once
// The hook of a daemon in small.

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "channels/hook/channel.h"
#include "tests/faces/face_fixture.h"

namespace sluice::hook::test {

using faces::test::Answer;
using faces::test::EventReader;
using net::test::RawSocket;

class HookFaceTest : public faces::test::FaceTest {
 protected:
  HookFaceTest() : FaceTest("desk") {
    options_.agent = "agent";
    options_.token = config::Secret("s3cret");
  }
  ~HookFaceTest() override { crash(); }

  static std::string body(std::string_view id, std::string_view text, std::string_view by) {
    std::string out = R"({"chat":"c1","sender":"ann","id":")";
    out.append(id).append(R"(","text":")").append(text);
    out.append(R"(","answer":")").append(by);
    return out + "\"}";
  }
  RawSocket send(std::string_view body, std::string_view version = "1.1") {
    RawSocket socket = RawSocket::connect(port());
    socket.send(format("POST /hook/desk HTTP/" + std::string(version), "s3cret", body, {}));
    return socket;
  }
  Answer post(std::string_view body) {
    RawSocket socket = send(body);
    return read(socket);
  }
  EventReader stream(std::string_view id, std::string_view text) {
    return EventReader(send(body(id, text, "stream"), "1.0"));
  }
  Answer get(std::string_view path, std::string_view token = "s3cret",
             std::string_view headers = {}) {
    RawSocket socket = RawSocket::connect(port());
    socket.send(format("GET " + std::string(path) + " HTTP/1.1", token, {}, headers));
    return read(socket);
  }

  HookOptions options_;

 private:
  void mount(net::Router& router) override { mount_ = std::make_unique<HookMount>(router); }
  void unmount() override {
    mount_.reset();
    client_.reset();
  }
  std::unique_ptr<Channel> make_channel(Shard& shard) override {
    client_ = std::make_unique<net::HttpClient>(shard, net::HttpClientOptions{});
    return *HookChannel::make("desk", options_, *mount_, *client_, shard);
  }

  std::unique_ptr<HookMount> mount_;
  std::unique_ptr<net::HttpClient> client_;
};

}  // namespace sluice::hook::test
