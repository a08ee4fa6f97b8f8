// Images in by POST, back by GET, and attached to messages.
#include <filesystem>

#include "tests/channels/http_fixture.h"

namespace sluice::http::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

namespace fs = std::filesystem;

std::string png(std::size_t size = 100) {
  std::string bytes("\x89PNG\r\n\x1a\n", 8);
  bytes.resize(size, 'p');
  return bytes;
}
std::string with(std::string_view id, std::string_view attachment, std::string_view more = {}) {
  std::string body = "{\"id\":\"" + std::string(id) + "\",\"attachments\":[\"";
  return body.append(attachment).append("\"]").append(more).append("}");
}

class HttpMediaTest : public HttpChannelTest {
 protected:
  Answer upload(std::string_view token, std::string_view body, std::string_view type = "image/png",
                std::string_view path = "/v1/media") {
    return request("POST", path, token, body, "Content-Type: " + std::string(type) + "\r\n");
  }
  std::string uploaded(std::string_view token, std::string_view body = png()) {
    const Answer answer = upload(token, body);
    EXPECT_EQ(answer.status, 201) << answer.body;
    return answer.text("id");
  }
  Answer fetch(std::string_view token, const std::string& id, std::string_view headers = {}) {
    return request("GET", "/v1/media/" + id, token, {}, headers);
  }
  std::size_t files_left() {
    std::size_t count = 0;
    for (const auto& entry : fs::recursive_directory_iterator(file("store/media"))) {
      count += entry.is_regular_file() ? 1 : 0;
    }
    return count;
  }
  /// Behind everything that waits for the disk.
  void settle() { (void)fetch("robot", uploaded("robot")); }
};

TEST_F(HttpMediaTest, AnImageComesBackToWhoSentItAndToNobodyElse) {
  start();
  const Answer answer = upload("alice", png(700'000));
  EXPECT_EQ(answer.status, 201);
  EXPECT_EQ(answer.text("type"), "image/png");
  EXPECT_EQ(answer.number("bytes"), 700'000);
  const std::string id = answer.text("id");
  EXPECT_EQ(fetch("bob", id).status, 404);
  EXPECT_EQ(fetch("", id).status, 401);
  EXPECT_EQ(fetch("robot", id).status, 200) << "may see everything of the account";
  // HTTP/1.0, whose bodies are not chunked.
  RawSocket socket = connect();
  socket.send("GET /v1/media/" + id +
              " HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer alice\r\n\r\n");
  const std::string all = socket.read_all();
  EXPECT_THAT(all, ::testing::StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(all.substr(all.find("\r\n\r\n") + 4), png(700'000));
}

TEST_F(HttpMediaTest, AnImageCanDoNothingInABrowser) {
  start();
  const std::string id = uploaded("alice");
  const Answer answer = fetch("alice", id);
  EXPECT_EQ(answer.body, png());
  for (const char* header :
       {"Content-Type: image/png\r\n", "X-Content-Type-Options: nosniff\r\n",
        "Content-Security-Policy: default-src 'none'; sandbox\r\n",
        "Cache-Control: private, no-cache\r\n", "Cross-Origin-Resource-Policy: same-origin\r\n"}) {
    EXPECT_THAT(answer.head, HasSubstr(header));
  }
  EXPECT_EQ(fetch("alice", id, "If-None-Match: \"" + id + "\"\r\n").status, 304);
  EXPECT_EQ(fetch("bob", id, "If-None-Match: \"" + id + "\"\r\n").status, 404);
}

TEST_F(HttpMediaTest, WhatIsNoImageIsRefused) {
  start();
  EXPECT_EQ(upload("alice", "<svg onload='alert(1)'/>", "image/svg+xml").status, 415);
  EXPECT_EQ(upload("alice", "{}", "application/json").status, 415);
  EXPECT_EQ(upload("alice", png(), "image/jpeg").status, 415);
  EXPECT_EQ(upload("alice", "<html><script>alert(1)</script></html>").status, 415);
  EXPECT_THAT(upload("alice", png(), "image/gif").text("detail"), "it is image/png, not image/gif");
  EXPECT_EQ(request("POST", "/v1/media", "alice", png(),
                    "Content-Type: image/png\r\nContent-Encoding: gzip\r\n")
                .status,
            415);
  EXPECT_EQ(
      request("POST", "/v1/media", "alice", {}, "Content-Type: image/png\r\nContent-Length: 0\r\n")
          .status,
      400);
  EXPECT_EQ(upload("nobody", png()).status, 401);
  settle();
  EXPECT_EQ(files_left(), 1u);
}

TEST_F(HttpMediaTest, WhatIsTooLargeIsRefusedBeforeItsBodyOrWhereItCrossesTheBound) {
  media_options_.file_bytes = 100'000;
  start();
  uploaded("alice", png(100'000));
  RawSocket declared = connect();
  declared.send(
      "POST /v1/media HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer alice\r\n"
      "Content-Type: image/png\r\nContent-Length: 100001\r\n\r\n");
  EXPECT_THAT(declared.read_all(), ::testing::StartsWith("HTTP/1.1 413 "));
  RawSocket chunked = connect();
  chunked.send(
      "POST /v1/media HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer alice\r\n"
      "Content-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n186a1\r\n" +
      png(100'001) + "\r\n0\r\n\r\n");
  EXPECT_THAT(chunked.read_until("\r\n\r\n"), ::testing::StartsWith("HTTP/1.1 413 "));
  settle();
  EXPECT_EQ(files_left(), 2u);
}

TEST_F(HttpMediaTest, AnUploadThatIsCutLeavesNothing) {
  start();
  {
    RawSocket socket = connect();
    socket.send(
        "POST /v1/media HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer alice\r\n"
        "Content-Type: image/png\r\nContent-Length: 500000\r\n\r\n" +
        png(300'000));
  }
  // The server has noticed once it counts as refused.
  while (metrics_.value("sluice_media_refused_total") == 0) settle();
  settle();
  for (const auto& entry : fs::recursive_directory_iterator(file("store/media"))) {
    if (entry.is_regular_file()) EXPECT_EQ(entry.file_size(), 100u);
  }
}

TEST_F(HttpMediaTest, AnUploadDoesNotHoldUpTheAccountsEnd) {
  start();
  RawSocket socket = connect();
  socket.send(
      "POST /v1/media HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer alice\r\n"
      "Content-Type: image/png\r\nContent-Length: 500000\r\n\r\n" +
      png(300'000));
  const auto begun = [&] {
    for (const auto& entry : fs::directory_iterator(file("store/media/partial"))) {
      if (entry.is_regular_file()) return true;
    }
    return false;
  };
  while (!begun()) settle();
  unregister();
  EXPECT_THAT(socket.read_until("\r\n\r\n"), ::testing::StartsWith("HTTP/1.1 503 "));
  const bool again = register_channel();
  ASSERT_TRUE(again);
  settle();
  EXPECT_TRUE(fs::is_empty(file("store/media/partial")));
}

TEST_F(HttpMediaTest, IdsLeadNowhereElse) {
  start();
  const std::string id = uploaded("alice");
  for (const std::string& bad :
       {std::string("..%2F..%2Fhash.key"), "%2e%2e%2f" + id, id + "%00.png", id + "%2F..",
        std::string("partial%2F1"), std::string(5000, 'a'), id.substr(1), id + "x"}) {
    EXPECT_EQ(fetch("robot", bad).status, 404) << bad;
    EXPECT_THAT(post("alice", with("m", bad)).status, ::testing::AnyOf(422, 413)) << bad;
  }
}

TEST_F(HttpMediaTest, AMessageCarriesItsSendersImagesOnly) {
  start();
  const std::string mine = uploaded("alice");
  const std::string other = uploaded("bob");
  const Answer refused = post("alice", with("m1", other, ",\"text\":\"look\""));
  EXPECT_EQ(refused.status, 422);
  EXPECT_EQ(refused.text("type"), "urn:sluice:problem:unknown-attachment");
  std::string unknown = mine;
  unknown[26] = unknown[26] == '0' ? '1' : '0';
  EXPECT_EQ(post("alice", with("m1", unknown, ",\"text\":\"look\"")).status, 422);
  EXPECT_EQ(post("alice", with("m1", mine, ",\"text\":\"look\"")).status, 202);
  EXPECT_EQ(follow("alice").lines_until("echo: look").front(), "look");
}

TEST_F(HttpMediaTest, TheLineInTheLogNamesWhatWasAttached) {
  start();
  const std::string id = uploaded("alice");
  EXPECT_EQ(post("alice", with("m1", id, ",\"text\":\"look\"")).status, 202);
  EventReader reader = follow("alice");
  const boost::json::value line = boost::json::parse(reader.next("message").data);
  EXPECT_EQ(line.at("meta").at("attachments"), boost::json::value({id}));
}

TEST_F(HttpMediaTest, AnImageIsEnoughOfAMessage) {
  start();
  EXPECT_EQ(post("alice", with("m1", uploaded("alice"))).status, 202);
  EXPECT_EQ(post("alice", R"({"id":"m2","attachments":[]})").status, 400);
}

TEST_F(HttpMediaTest, WhatIsAttachedIsPartOfTheContent) {
  start();
  const std::string one = uploaded("alice");
  const std::string two = uploaded("alice");
  EXPECT_EQ(post("alice", with("m1", one, ",\"text\":\"x\"")).status, 202);
  const Answer again = post("alice", with("m1", one, ",\"text\":\"x\""));
  EXPECT_EQ(again.status, 200);
  EXPECT_TRUE(again.json().at("duplicate").as_bool());
  EXPECT_EQ(post("alice", with("m1", two, ",\"text\":\"x\"")).text("type"),
            "urn:sluice:problem:id-reused");
}

TEST_F(HttpMediaTest, WhoPostsForOthersUploadsForThem) {
  start();
  EXPECT_EQ(upload("alice", png(), "image/png", "/v1/media?sender=bob").status, 403);
  const std::string id = upload("robot", png(), "image/png", "/v1/media?sender=alice").text("id");
  EXPECT_EQ(fetch("alice", id).status, 200);
  EXPECT_EQ(post("robot", with("m1", id, ",\"text\":\"x\",\"sender\":\"alice\"")).status, 202);
  EXPECT_EQ(post("robot", with("m2", id, ",\"text\":\"x\"")).status, 422);
}

TEST_F(HttpMediaTest, AnEditHasNoAttachments) {
  start();
  const std::string body = R"({"replaces":"m1","revision":"2","text":"x","attachments":[]})";
  EXPECT_EQ(post("alice", body).status, 400);
}

TEST_F(HttpMediaTest, WhoMayNotWriteMayNotUploadEither) {
  options_.allow = {"bob"};
  start();
  EXPECT_EQ(upload("alice", png()).status, 403);
  EXPECT_EQ(upload("bob", png()).status, 201);
}

TEST_F(HttpMediaTest, ItIsThereAfterACrash) {
  start();
  const std::string id = uploaded("alice");
  crash();
  start();
  EXPECT_EQ(fetch("alice", id).body, png());
}

}  // namespace
}  // namespace sluice::http::test
