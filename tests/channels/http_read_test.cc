// Reading without following, and who may read what.

#include "tests/channels/http_fixture.h"

namespace sluice::http {
namespace {

using test::Answer;
using test::EventReader;
using test::HttpChannelTest;
using ::testing::ElementsAre;

std::vector<std::string> texts(const Answer& page) {
  std::vector<std::string> found;
  const boost::json::value json = page.json();
  for (const auto& line : json.at("lines").as_array())
    found.emplace_back(line.at("text").as_string());
  return found;
}

TEST_F(HttpChannelTest, AMessagesLifeIsToldFromItsAcceptanceToItsEnd) {
  start();
  const std::string id = std::to_string(say("alice", "m0", "hold it").number("message"));
  const Answer before = request("GET", "/v1/messages/" + id, "alice");
  EXPECT_EQ(before.status, 200) << before.body;
  EXPECT_EQ(before.text("status"), "pending");
  EXPECT_EQ(before.text("id"), "m0");
  EXPECT_EQ(before.text("chat"), "main");
  EventReader reader = follow("alice");
  release();
  reader.lines_until("half and half");
  const Answer after = request("GET", "/v1/messages/" + id, "alice");
  EXPECT_EQ(after.text("status"), "answered");
  EXPECT_EQ(after.number("attempts"), 1);
  EXPECT_LE(after.number("accepted_at"), after.number("started_at"));
  EXPECT_LE(after.number("started_at"), after.number("ended_at"));
  EXPECT_GT(after.number("line"), 0);
}

TEST_F(HttpChannelTest, TheLogIsPagedBackwards) {
  start();
  EventReader reader = follow("alice");
  for (const char* id : {"1", "2", "3"}) {
    say("alice", id, id);
    reader.lines_until(std::string("echo: ") + id);
  }
  const std::string path = "/v1/conversations/main/history?limit=4";
  const Answer newest = request("GET", path, "alice");
  EXPECT_THAT(texts(newest), ElementsAre("2", "echo: 2", "3", "echo: 3"));
  const std::string before = std::to_string(newest.number("before"));
  const Answer older = request("GET", path + "&before=" + before, "alice");
  EXPECT_THAT(texts(older), ElementsAre("1", "echo: 1"));
  EXPECT_TRUE(older.json().at("before").is_null());
}

TEST_F(HttpChannelTest, APollerAsksForWhatCameSince) {
  start();
  EventReader reader = follow("alice");
  say("alice", "1", "1");
  reader.lines_until("echo: 1");
  const std::string since = reader.last_id;
  say("alice", "2", "2");
  reader.lines_until("echo: 2");
  EXPECT_THAT(texts(request("GET", "/v1/conversations/main/history?after=" + since, "alice")),
              ElementsAre("2", "echo: 2"));
}

TEST_F(HttpChannelTest, RefusesPagesThatAreNone) {
  start();
  say("alice", "1", "1");
  const auto status = [this](std::string_view query) {
    return request("GET", "/v1/conversations/main/history?" + std::string(query), "alice").status;
  };
  EXPECT_EQ(status("limit=0"), 400);
  EXPECT_EQ(status("limit=201"), 400);
  EXPECT_EQ(status("before=x"), 400);
  EXPECT_EQ(status("after="), 400);
  EXPECT_EQ(status("before=99999999"), 404);
  EXPECT_EQ(status("after=99999999"), 200);
}

TEST_F(HttpChannelTest, AConversationWithoutAWordIsEmpty) {
  start();
  const Answer page = request("GET", "/v1/conversations/none/history", "alice");
  EXPECT_EQ(page.status, 200);
  EXPECT_THAT(texts(page), ElementsAre());
}

std::vector<std::string> chats(const Answer& page) {
  std::vector<std::string> found;
  const boost::json::value json = page.json();
  for (const auto& row : json.at("conversations").as_array())
    found.emplace_back(row.at("chat").as_string());
  return found;
}

TEST_F(HttpChannelTest, PeopleListTheirConversationsTheNewestBegunFirst) {
  start();
  for (const char* chat : {"first", "second%2Fhalf", "third"}) {
    const std::string path = "/v1/conversations/" + std::string(chat);
    ASSERT_EQ(request("POST", path + "/messages", "alice", R"({"id":"1","text":"Hi"})").status,
              202);
    EventReader reader = follow("alice", "0", chat);
    reader.lines_until("echo: Hi");
  }
  const Answer page = request("GET", "/v1/conversations?limit=2", "alice");
  ASSERT_EQ(page.status, 200) << page.body;
  EXPECT_THAT(chats(page), ElementsAre("third", "second/half"));
  const std::string before = std::to_string(page.number("before"));
  const Answer rest = request("GET", "/v1/conversations?limit=2&before=" + before, "alice");
  EXPECT_THAT(chats(rest), ElementsAre("first"));
  EXPECT_TRUE(rest.json().at("before").is_null());
  const boost::json::value json = rest.json();
  const auto& row = json.at("conversations").at(0);
  EXPECT_EQ(row.at("title").as_string(), "Hi");
  EXPECT_EQ(row.at("last").at("kind").as_string(), "agent");
  EXPECT_EQ(row.at("last").at("text").as_string(), "echo: Hi");
  EXPECT_GE(row.at("last").at("at").as_int64(), row.at("begun_at").as_int64());
}

TEST_F(HttpChannelTest, AConversationIsListedBeforeItsFirstAnswer) {
  start();
  say("alice", "1", "hold on");
  const Answer page = request("GET", "/v1/conversations", "alice");
  EXPECT_THAT(chats(page), ElementsAre("main"));
  const boost::json::value json = page.json();
  EXPECT_EQ(json.at("conversations").at(0).at("title").as_string(), "hold on");
  EXPECT_TRUE(json.at("conversations").at(0).at("last").is_null());
}

TEST_F(HttpChannelTest, AListTellsTheBeginningOfALongLine) {
  start();
  say("alice", "1", "big one");
  follow("alice").next("message");
  const Answer page = request("GET", "/v1/conversations", "alice");
  const boost::json::value json = page.json();
  EXPECT_EQ(json.at("conversations").at(0).at("last").at("text").as_string(),
            std::string(200, 'b'));
}

TEST_F(HttpChannelTest, NobodyListsWhatIsAnothers) {
  start();
  say("alice", "1", "secret");
  EXPECT_THAT(chats(request("GET", "/v1/conversations", "bob")), ElementsAre());
  EXPECT_EQ(request("GET", "/v1/conversations?person=alice", "bob").status, 403);
  EXPECT_EQ(request("GET", "/v1/conversations", "nobody").status, 401);
  EXPECT_THAT(chats(request("GET", "/v1/conversations?person=alice", "robot")),
              ElementsAre("alice/main"));
  EXPECT_THAT(chats(request("GET", "/v1/conversations", "robot")), ElementsAre());
}

TEST_F(HttpChannelTest, RefusesListsThatAreNone) {
  start();
  EXPECT_EQ(request("GET", "/v1/conversations?limit=201", "alice").status, 400);
  EXPECT_EQ(request("GET", "/v1/conversations?before=x", "alice").status, 400);
}

TEST_F(HttpChannelTest, PeopleDoNotSeeEachOther) {
  start();
  EventReader alice = follow("alice");
  const std::string message = std::to_string(say("alice", "m1", "secret").number("message"));
  alice.lines_until("echo: secret");
  EXPECT_EQ(request("GET", "/v1/messages/" + message, "bob").status, 404);
  EXPECT_THAT(texts(request("GET", "/v1/conversations/main/history", "bob")), ElementsAre());
  EXPECT_THAT(texts(request("GET", "/v1/conversations/alice%2Fmain/history", "bob")),
              ElementsAre());
  say("bob", "m1", "his own");
  EventReader bob = follow("bob");
  EXPECT_THAT(bob.lines_until("echo: his own"), ElementsAre("his own", "echo: his own"));
  // A line's id is no way into another conversation.
  EXPECT_EQ(request("GET", "/v1/conversations/main/history?before=" + alice.last_id, "bob").status,
            404);
}

TEST_F(HttpChannelTest, ATokenForAllSeesEveryConversationByItsFullName) {
  start();
  EventReader reader = follow("robot", "0", "alice%2Fmain");
  const std::string message = std::to_string(say("alice", "m1", "hello").number("message"));
  EXPECT_THAT(reader.lines_until("echo: hello"), ElementsAre("hello", "echo: hello"));
  const Answer life = request("GET", "/v1/messages/" + message, "robot");
  EXPECT_EQ(life.text("chat"), "alice/main");
}

}  // namespace
}  // namespace sluice::http
