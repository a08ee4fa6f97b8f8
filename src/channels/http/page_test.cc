#include "channels/http/page.h"

#include <algorithm>

#include <gmock/gmock.h>

#include "net/net_fixture.h"

namespace sluice::http {
namespace {

using net::test::RawSocket;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class PageTest : public ::testing::Test {
 protected:
  PageTest() {
    thread_.run([this] {
      mount_page(router_);
      net::HttpServerHooks hooks;
      router_.attach(hooks);
      server_ = std::make_unique<net::HttpServer>(thread_.shard(), net::HttpServerOptions{},
                                                  std::move(hooks));
      port_ = server_->listen_tcp("127.0.0.1", 0)->port;
    });
  }
  ~PageTest() override {
    thread_.run([this] { server_.reset(); });
  }
  std::string get(const std::string& path, const std::string& headers = {}) {
    RawSocket client = RawSocket::connect(port_);
    client.send("GET " + path + " HTTP/1.1\r\nHost: h\r\n" + headers + "\r\n");
    return client.read_response();
  }

 private:
  net::test::ShardThread thread_;
  net::Router router_;
  std::unique_ptr<net::HttpServer> server_;
  std::uint16_t port_ = 0;
};

TEST_F(PageTest, IsServedWithAPolicyThatLetsNothingElseIn) {
  const std::string page = get("/");
  EXPECT_THAT(page, StartsWith("HTTP/1.1 200 OK"));
  EXPECT_THAT(page, HasSubstr("Content-Type: text/html; charset=utf-8\r\n"));
  EXPECT_THAT(page, HasSubstr("Content-Security-Policy: default-src 'none'; script-src 'self'"));
  EXPECT_THAT(page, HasSubstr("<!doctype html>"));
}

TEST_F(PageTest, EveryFileThatItNamesIsThere) {
  const std::string page = get("/");
  for (const PageFile& file : page_files()) {
    if (file.name == "index.html") continue;
    EXPECT_THAT(page, HasSubstr("\"/" + std::string(file.name) + "\""));
    EXPECT_THAT(get("/" + std::string(file.name)), StartsWith("HTTP/1.1 200 OK"));
  }
}

TEST_F(PageTest, HasNoScriptOrStyleOfItsOwnAndNoOtherHost) {
  for (const PageFile& file : page_files()) {
    EXPECT_EQ(file.plain.find("https://"), std::string_view::npos) << file.name;
    if (!file.name.ends_with(".html")) continue;
    EXPECT_EQ(file.plain.find("<style"), std::string_view::npos);
    EXPECT_EQ(file.plain.find(" style="), std::string_view::npos);
    EXPECT_EQ(file.plain.find(" onclick="), std::string_view::npos);
    EXPECT_EQ(file.plain.find("<script>"), std::string_view::npos);
  }
}

TEST_F(PageTest, IsSmall) {
  std::size_t bytes = 0;
  for (const PageFile& file : page_files()) bytes += file.gzip.size();
  EXPECT_LT(bytes, 100u * 1024);
}

TEST_F(PageTest, IsCompressedForWhoTakesIt) {
  const std::string page = get("/main.js", "Accept-Encoding: br, gzip\r\n");
  EXPECT_THAT(page, HasSubstr("Content-Encoding: gzip\r\n"));
  EXPECT_THAT(page, HasSubstr("\r\n\r\n\x1f\x8b"));
  EXPECT_THAT(get("/main.js"), Not(HasSubstr("Content-Encoding")));
}

TEST_F(PageTest, IsNotSentAgainWhileItIsTheSame) {
  const std::string tag(page_files().front().tag);
  const std::string again = get("/", "If-None-Match: " + tag + "\r\n");
  EXPECT_THAT(again, StartsWith("HTTP/1.1 304 "));
  EXPECT_THAT(again, Not(HasSubstr("<!doctype")));
  EXPECT_THAT(get("/", "If-None-Match: \"other\"\r\n"), StartsWith("HTTP/1.1 200 "));
}

}  // namespace
}  // namespace sluice::http
