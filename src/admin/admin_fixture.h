#pragma once
// For tests of admin: a control socket in a temporary directory, before a store of rows in memory
// and a gateway that only remembers what it was asked. Requests go over the real socket.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include <boost/json.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "admin/control_socket.h"
#include "net/http_client.h"
#include "net/net_fixture.h"
#include "observe/memory_logger.h"

namespace sluice::admin::test {

namespace json = boost::json;

/// Answers from what a test has put in.
class FakeReader : public StoreReader {
 public:
  Result<std::optional<ConversationRow>> conversation(LaneId id) override {
    const auto found = conversations.find(id.value);
    if (found == conversations.end()) return std::optional<ConversationRow>();
    return std::optional(found->second);
  }
  Result<std::vector<ListedConversation>> conversations_of(const std::string&, const std::string&,
                                                           LaneId, std::size_t) override {
    return std::vector<ListedConversation>();
  }
  Result<std::vector<std::shared_ptr<const MessageRow>>> messages(
      std::span<const MessageId>) override {
    return std::vector<std::shared_ptr<const MessageRow>>();
  }
  Result<std::vector<std::shared_ptr<const PartRow>>> parts(std::span<const PartId>) override {
    return std::vector<std::shared_ptr<const PartRow>>();
  }
  Result<std::vector<HistoryRow>> history(HistoryId from, HistoryId after, std::size_t max_rows,
                                          std::size_t) override {
    std::vector<HistoryRow> found;
    for (auto line = lines.rbegin(); line != lines.rend() && found.size() < max_rows; ++line) {
      if (line->id <= from && line->id > after) found.insert(found.begin(), *line);
    }
    return found;
  }
  Result<std::optional<MessageId>> find_event(Key128) override {
    return std::optional<MessageId>();
  }
  Result<std::optional<MessageLife>> life(MessageId id) override {
    const auto found = lives.find(id.value);
    if (found == lives.end()) return std::optional<MessageLife>();
    return std::optional(found->second);
  }
  Result<std::vector<FoundMessage>> find_messages(const MessageFilter& filter) override {
    asked = filter;
    std::vector<FoundMessage> page;
    for (const FoundMessage& message : matches) {
      if (filter.before && message.id >= filter.before) continue;
      if (page.size() < filter.limit) page.push_back(message);
    }
    return page;
  }
  Result<std::vector<DeadLetter>> dead_letters(std::size_t limit, std::int64_t before) override {
    std::vector<DeadLetter> page;
    for (auto letter = dead.rbegin(); letter != dead.rend(); ++letter) {
      if ((before == 0 || letter->first < before) && page.size() < limit) {
        page.push_back(letter->second);
      }
    }
    return page;
  }
  Result<std::optional<DeadLetter>> dead_letter(std::int64_t id) override {
    const auto found_letter = dead.find(id);
    if (found_letter == dead.end()) return std::optional<DeadLetter>();
    return std::optional(found_letter->second);
  }

  std::map<std::int64_t, ConversationRow> conversations;
  std::map<std::int64_t, MessageLife> lives;
  std::map<std::int64_t, DeadLetter> dead;
  std::vector<HistoryRow> lines;      // ascending
  std::vector<FoundMessage> matches;  // descending
  MessageFilter asked;
};

class FakeStore : public Store {
 public:
  explicit FakeStore(Loop& loop) : Store(loop) {}
  FakeReader reader;

 protected:
  void submit(std::shared_ptr<CommitRequest> request) override {
    request->result.emplace(Error(ErrorKind::kUnsupported, "nothing is committed here"));
  }
  void submit(std::shared_ptr<ReadRequest> request) override {
    request->run(reader);
    request->complete();
  }
};

/// What came back over the socket.
struct Reply {
  int status = 0;
  net::HttpHeaders headers;
  std::string body;
  json::object object() const { return json::parse(body).as_object(); }
  std::string detail() const { return json::value_to<std::string>(object().at("detail")); }
};

class AdminTest : public testing::Test {
 protected:
  AdminTest() {
    thread_.run([this] {
      store_ = std::make_unique<FakeStore>(thread_.shard());
      client_ = std::make_unique<net::HttpClient>(thread_.shard(), net::HttpClientOptions{});
    });
  }
  ~AdminTest() override {
    thread_.run([this] {
      socket_.reset();
      operations_.reset();
      client_.reset();
      store_.reset();
    });
  }

  /// Opens the socket with what the test has set up so far.
  void open() {
    thread_.run([this] {
      Parts parts{thread_.shard(), *store_,      metrics_,      face(),
                  hooks_,          "1.2.3-test", dir_.file(""), UnixMillis{1'700'000'000'000}};
      operations_ = std::make_unique<Operations>(std::move(parts));
      socket_ = std::make_unique<ControlSocket>(thread_.shard(), *operations_, log_);
      const Result<void> listening = socket_->listen(path());
      ASSERT_TRUE(listening) << listening.error().to_string();
    });
  }
  std::string path() const { return dir_.file("run/control.sock"); }

  Reply get(const std::string& target) { return ask("GET", target, ""); }
  Reply post(const std::string& target, const std::string& body = "") {
    return ask("POST", target, body);
  }
  Reply ask(const std::string& method, const std::string& target, const std::string& body,
            const std::string& type = "application/json") {
    if (socket_ == nullptr) open();
    net::HttpClientRequest request;
    request.method = method;
    request.url.host = "sluice";
    request.url.target = "/v1/admin/" + target;
    request.unix_path = path();
    request.body = body;
    if (!body.empty()) request.headers.set("Content-Type", type);
    return thread_.await<Reply>([this, request] { return fetch(client_.get(), request); });
  }

  static Task<Reply> fetch(net::HttpClient* client, net::HttpClientRequest request) {
    const auto response = co_await client->fetch(std::move(request));
    if (!response) co_return Reply{0, {}, response.error().error.to_string()};
    co_return Reply{response->status, response->headers, response->body};
  }

  GatewayFace face() {
    GatewayFace face;
    face.status = [this] { return status_; };
    face.pause = [this](std::string account, std::string reason) {
      return did("pause " + account + ": " + reason);
    };
    face.resume = [this](std::string account) { return did("resume " + account); };
    face.redrive = [this](std::int64_t id) { return did("redrive " + std::to_string(id)); };
    face.discard = [this](std::int64_t id) { return did("discard " + std::to_string(id)); };
    face.stop_turn = [this](LaneId lane) {
      done_.push_back("stop " + std::to_string(lane.value));
      active_.clear();
      return refuse_ ? Result<void>(*refuse_) : Result<void>();
    };
    face.accept_clock = [this] { return did("accept_clock"); };
    face.hold_person = [this](std::string_view, std::string_view person, bool hold) {
      done_.push_back(std::string(hold ? "hold " : "let go ") + std::string(person));
    };
    face.person_is_active = [this](std::string_view, std::string_view person) {
      const auto looks = active_.find(std::string(person));
      return looks != active_.end() && looks->second-- > 0;
    };
    face.head = [this](LaneId) {
      const auto& lines = store_->reader.lines;
      return lines.empty() ? HistoryId{} : lines.back().id;
    };
    return face;
  }
  Task<Result<void>> did(std::string what) {
    done_.push_back(what);
    return result_of(refuse_);
  }
  static Task<Result<void>> result_of(std::optional<Error> error) {
    if (error) co_return *error;
    co_return Result<void>();
  }

  net::test::TempDir dir_;
  MemoryLogger log_;
  Metrics metrics_;
  GatewayStatus status_;
  Hooks hooks_;
  std::map<std::string, int> active_;  // people with something pending, for so many looks
  std::vector<std::string> done_;      // what the gateway was asked
  std::optional<Error> refuse_;        // what it answers instead of success
  net::test::ShardThread thread_;
  std::unique_ptr<FakeStore> store_;
  std::unique_ptr<Operations> operations_;
  std::unique_ptr<ControlSocket> socket_;
  std::unique_ptr<net::HttpClient> client_;
};

}  // namespace sluice::admin::test
