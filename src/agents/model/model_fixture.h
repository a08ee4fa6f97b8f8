#pragma once
// For tests of model agents: a model of one's own making that can misbehave in every way, and an
// agent that asks it.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "agents/model/model_agent.h"
#include "base/utf8.h"
#include "gateway/message_json.h"
#include "net/net_fixture.h"

namespace sluice::model_test {

using net::test::RawServer;
using net::test::RawSocket;
using net::test::ShardThread;

inline constexpr const char* kStreamHead =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
    "Transfer-Encoding: chunked\r\n\r\n";
inline constexpr const char* kLastChunk = "0\r\n\r\n";

inline std::string chunk(std::string_view bytes) {
  return fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes);
}
/// A complete answer that is no stream.
inline std::string plain(int status, std::string_view body, std::string_view headers = "",
                         std::string_view type = "application/json") {
  return fmt::format("HTTP/1.1 {} X\r\nContent-Type: {}\r\nContent-Length: {}\r\n{}\r\n{}", status,
                     type, body.size(), headers, body);
}
/// A complete stream of these bytes.
inline std::string streamed(std::string_view bytes) {
  return kStreamHead + chunk(bytes) + kLastChunk;
}

inline std::shared_ptr<MessageRow> message(std::string text) {
  auto row = std::make_shared<MessageRow>();
  row->text = std::move(text);
  return row;
}
inline HistoryRow line(HistoryKind kind, std::string text) {
  HistoryRow row;
  row.kind = kind;
  row.text = std::move(text);
  return row;
}
/// The JSON in which a message's extra and a line's meta name images.
inline std::string attached(const std::vector<std::string>& ids) {
  MessageExtra extra;
  extra.attachments = ids;
  return to_json(extra);
}
inline std::shared_ptr<MessageRow> message_with(std::string text,
                                                const std::vector<std::string>& ids) {
  auto row = message(std::move(text));
  row->extra = attached(ids);
  return row;
}
inline HistoryRow line_with(std::string text, const std::vector<std::string>& ids) {
  HistoryRow row = line(HistoryKind::kPerson, std::move(text));
  row.meta = attached(ids);
  return row;
}
inline TurnRequest turn(std::string text = "hello") {
  TurnRequest request;
  request.turn = TurnId{42};
  request.request_id = "r1";
  request.messages.push_back(message(std::move(text)));
  return request;
}

class Recorder : public DeltaSink {
 public:
  void delta(std::string_view text) override { deltas.emplace_back(text); }
  std::string text() const {
    std::string all;
    for (const std::string& one : deltas) all += one;
    return all;
  }
  std::vector<std::string> deltas;
};

/// Answers each request of its one connection with the next of these answers, then closes it.
class Model {
 public:
  explicit Model(std::vector<std::string> answers)
      : server_([this, answers](RawSocket& socket) {
          for (const std::string& answer : answers) {
            requests_.push_back(socket.read_response());
            if (!socket.send(answer)) return;
          }
        }) {}
  explicit Model(std::string answer) : Model(std::vector<std::string>{std::move(answer)}) {}
  /// What it does after it has read a request.
  explicit Model(std::function<void(RawSocket&)> serve)
      : server_([this, serve](RawSocket& socket) {
          requests_.push_back(socket.read_response());
          serve(socket);
        }) {}

  std::string url() const { return fmt::format("http://127.0.0.1:{}", server_.port()); }
  std::uint16_t port() const { return server_.port(); }
  /// Head and body of the requests; once their answers have come.
  const std::vector<std::string>& requests() const { return requests_; }

 private:
  std::vector<std::string> requests_;
  RawServer server_;
};

class ModelTest : public ::testing::Test {
 protected:
  ~ModelTest() override {
    thread_.run([this] {
      agent_.reset();
      library_.reset();
    });
  }
  /// Before make().
  void open_library() {
    thread_.run([this] {
      media::LibraryOptions options;
      options.disk_low_bytes = 0;
      auto opened = media::Library::open(thread_.shard(), metrics_, HashKey{1},
                                         directory_.file("media"), options);
      ASSERT_TRUE(opened) << opened.error().to_string();
      library_ = std::move(*opened);
    });
  }
  /// The id of a PNG of that many bytes.
  std::string put(std::size_t size = 9) {
    std::string bytes("\x89PNG\r\n\x1a\n", 8);
    bytes.resize(size, 'p');
    return thread_.await<std::string>([&] { return put_all(library_.get(), bytes); });
  }
  std::int64_t erase_all() {
    return thread_.await<Result<std::int64_t>>([&] { return library_->erase("http", "alice"); })
        .value();
  }

  using Make = std::function<Result<std::unique_ptr<Agent>>(ModelSurroundings)>;
  void make(const Make& make_agent) {
    thread_.run([&] {
      auto made = make_agent({thread_.shard(), metrics_, log_, library_.get()});
      ASSERT_TRUE(made.has_value()) << made.error().to_string();
      agent_ = std::move(*made);
    });
  }
  Result<AgentReply> ask(TurnRequest request = turn()) {
    sink_.deltas.clear();
    Result<AgentReply> reply =
        thread_.await<Result<AgentReply>>([this, request] { return agent_->run(request, sink_); });
    // Whatever happened: what a person has seen is text.
    EXPECT_TRUE(is_utf8(sink_.text()));
    return reply;
  }
  Error failure(TurnRequest request = turn()) {
    const Result<AgentReply> reply = ask(std::move(request));
    EXPECT_TRUE(reply.has_error());
    return reply ? Error() : reply.error();
  }
  std::int64_t tokens(std::string_view kind) {
    return metrics_.value("sluice_model_tokens_total",
                          {{"agent", agent_->info().name}, {"kind", std::string(kind)}});
  }

  Metrics metrics_;
  NullLogger log_;
  Recorder sink_;
  net::test::TempDir directory_;
  ShardThread thread_;
  std::unique_ptr<media::Library> library_;
  std::unique_ptr<Agent> agent_;

 private:
  static Task<std::string> put_all(media::Library* library, std::string bytes) {
    auto begun = co_await library->begin("http", "alice", media::Type::kPng, std::nullopt);
    if (!begun) co_return "";
    const Result<void> written = co_await (*begun)->write(std::move(bytes));
    const Result<media::Kept> kept = co_await (*begun)->finish();
    co_return written&& kept ? kept->id.text() : "";
  }
};

}  // namespace sluice::model_test
