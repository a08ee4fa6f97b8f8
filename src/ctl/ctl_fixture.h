#pragma once
// For tests of ctl: a daemon of our own making behind a real Unix socket, and a console that is
// watched.

#include <functional>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include <boost/json.hpp>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "ctl/commands.h"
#include "ctl/fields.h"
#include "net/http_server.h"
#include "net/net_fixture.h"
#include "net/sse.h"

namespace sluice::ctl::test {

namespace json = boost::json;

/// Answers admin requests from a table, and keeps conversations as the HTTP channel does. Lines
/// survive restart(), like a store. All members are touched on the shard only, or before the first
/// request.
class FakeDaemon {
 public:
  explicit FakeDaemon(std::string path) : path_(std::move(path)) { start(); }
  ~FakeDaemon() { stop(); }

  void start() {
    thread_.run([this] {
      grew_ = std::make_unique<Event>(thread_.shard());
      net::HttpServerHooks hooks;
      hooks.handler = [this](net::HttpExchange& exchange) { return serve(this, &exchange); };
      server_ = std::make_unique<net::HttpServer>(thread_.shard(), net::HttpServerOptions{},
                                                  std::move(hooks));
      const Result<void> listening = server_->listen_unix(path_);
      ASSERT_TRUE(listening) << listening.error().to_string();
    });
  }
  void stop() {
    thread_.run([this] { server_.reset(); });
  }
  /// From inside a request too: what is under way is cut off, its answers are lost.
  void restart_soon() {
    thread_.shard().post_from_any_thread([this] {
      server_.reset();
      net::HttpServerHooks hooks;
      hooks.handler = [this](net::HttpExchange& exchange) { return serve(this, &exchange); };
      server_ = std::make_unique<net::HttpServer>(thread_.shard(), net::HttpServerOptions{},
                                                  std::move(hooks));
      EXPECT_TRUE(server_->listen_unix(path_));
    });
  }

  /// From inside a request: cuts off what is under way and does not come back.
  void stop_soon() {
    thread_.shard().post_from_any_thread([this] { server_.reset(); });
  }

  /// "GET /v1/admin/status" -> status and body.
  void answer(const std::string& request, int status, std::string body) {
    answers_[request] = {status, std::move(body)};
  }
  const std::vector<std::string>& asked() const { return asked_; }  // "POST target body"

  // What a turn does. Called with the message's id and text; returns false if the request's own
  // answer is to be lost.
  std::function<bool(std::int64_t message, const std::string& text)> on_message =
      [this](std::int64_t message, const std::string& text) {
        echo(message, "echo: " + text);
        return true;
      };
  void echo(std::int64_t message, const std::string& answer,
            const std::string& outcome = "answered") {
    const std::int64_t turn = ++ids_;
    line("person", message, turn, texts_[message]);
    line(outcome == "answered" ? "agent" : "notice", 0, turn, answer);
    outcomes_[message] = outcome;
  }
  void line(const std::string& kind, std::int64_t message, std::int64_t turn,
            const std::string& text, bool cut = false) {
    const std::int64_t id = ++ids_;
    const json::object row{{"id", id},     {"kind", kind},  {"message", message},
                           {"turn", turn}, {"text", text},  {"cut", cut},
                           {"at", 1},      {"author", "me"}};
    lines_.push_back(row);
    push(id, fmt::format("id: {}\ndata: {}\n\n", id, json::serialize(row)));
  }
  void live(const std::string& event, const json::object& data) {
    push(0, fmt::format("event: {}\ndata: {}\n\n", event, json::serialize(data)));
  }
  void delta(std::int64_t turn, int attempt, std::size_t offset, const std::string& text) {
    live("delta", {{"turn", turn}, {"attempt", attempt}, {"offset", offset}, {"text", text}});
  }
  std::int64_t next_id() { return ++ids_; }
  void end(std::int64_t message, const std::string& outcome) { outcomes_[message] = outcome; }
  const std::string& text_of_message(std::int64_t message) { return texts_[message]; }
  std::size_t accepted() const { return texts_.size(); }

  int refuse_posts = 0;  // that many are answered 503 first

 private:
  struct Entry {
    std::int64_t id;
    std::string bytes;
  };
  void push(std::int64_t id, std::string bytes) {
    entries_.push_back({id, std::move(bytes)});
    grew_->pulse();
  }

  static Task<void> serve(FakeDaemon* self, net::HttpExchange* exchange) {
    const net::HttpRequest& request = exchange->request();
    self->asked_.push_back(request.method + " " + request.target +
                           (request.body.empty() ? "" : " " + request.body));
    if (request.path.ends_with("/events")) co_return co_await self->events(exchange);
    const auto known = self->answers_.find(request.method + " " + request.target);
    if (known != self->answers_.end()) {
      exchange->respond(net::HttpResponse::json(known->second.first, known->second.second));
    } else if (request.method == "POST" && request.path.ends_with("/messages")) {
      co_await self->post(exchange);
    } else if (request.path.ends_with("/history")) {
      exchange->respond(net::HttpResponse::json(200, self->history(request)));
    } else if (request.path.starts_with("/v1/messages/")) {
      exchange->respond(self->life(std::stoll(request.path.substr(13))));
    } else {
      exchange->respond(net::HttpResponse::problem(404, "not-found", "Not Found", "no such thing"));
    }
  }

  Task<void> post(net::HttpExchange* exchange) {
    if (refuse_posts > 0) {
      --refuse_posts;
      exchange->respond(net::HttpResponse::problem(503, "unavailable", "Not now", "starting"));
      co_return;
    }
    const json::value body = json::parse(exchange->request().body);
    const std::string id = text_of(body, "id");
    const auto known = by_client_id_.find(id);
    std::int64_t message = 0;
    bool answered = true;
    if (known != by_client_id_.end()) {
      message = known->second;
    } else {
      message = ++ids_;
      by_client_id_[id] = message;
      texts_[message] = text_of(body, "text");
      answered = on_message(message, texts_[message]);
    }
    if (!answered) {
      Event never(thread_.shard());
      co_await never.wait();
    }
    exchange->respond(net::HttpResponse::json(202, fmt::format("{{\"message\":{}}}", message)));
  }

  std::string history(const net::HttpRequest& request) const {
    const std::size_t limit = std::stoul(std::string(request.query_value("limit").value_or("50")));
    json::array page;
    const std::size_t from = lines_.size() > limit ? lines_.size() - limit : 0;
    for (std::size_t i = from; i < lines_.size(); ++i) page.push_back(lines_[i]);
    return json::serialize(json::object{{"conversation", 1}, {"lines", page}, {"before", nullptr}});
  }

  net::HttpResponse life(std::int64_t message) const {
    if (!texts_.contains(message)) {
      return net::HttpResponse::problem(404, "not-found", "Not Found", "no such message");
    }
    const auto outcome = outcomes_.find(message);
    const std::string status = outcome == outcomes_.end() ? "pending" : outcome->second;
    return net::HttpResponse::json(
        200, json::serialize(json::object{{"message", message}, {"status", status}}));
  }

  Task<void> events(net::HttpExchange* exchange) {
    const std::string from(exchange->request().headers.get("Last-Event-ID").value_or("0"));
    const std::int64_t after = std::stoll(from);
    const std::size_t had = entries_.size();
    exchange->cancel_when_gone();
    auto sent = co_await exchange->start_stream(net::sse_response());
    for (std::size_t i = 0; sent; ++i) {
      while (i >= entries_.size()) co_await grew_->wait();
      const Entry entry = entries_[i];
      if (entry.id == 0 ? i < had : entry.id <= after) continue;
      sent = co_await exchange->write(entry.bytes);
    }
  }

  const std::string path_;
  std::map<std::string, std::pair<int, std::string>> answers_;
  std::vector<std::string> asked_;
  std::vector<json::object> lines_;
  std::vector<Entry> entries_;
  std::map<std::string, std::int64_t> by_client_id_;
  std::map<std::int64_t, std::string> texts_;
  std::map<std::int64_t, std::string> outcomes_;
  std::int64_t ids_ = 0;
  net::test::ShardThread thread_;
  std::unique_ptr<Event> grew_;
  std::unique_ptr<net::HttpServer> server_;
};

/// Collects output, and does something, once, when it has come to contain a text.
class WatchedOutput : public std::stringbuf {
 public:
  void when(std::string seen, std::function<void()> then) {
    waits_.emplace_back(std::move(seen), std::move(then));
  }

 protected:
  int sync() override {
    while (!waits_.empty() && str().find(waits_.front().first) != std::string::npos) {
      const std::function<void()> then = std::move(waits_.front().second);
      waits_.erase(waits_.begin());
      then();
    }
    return 0;
  }

 private:
  std::vector<std::pair<std::string, std::function<void()>>> waits_;  // in order
};

class CtlTest : public testing::Test {
 protected:
  CtlTest() : out_(&watched_) {
    // Before any thread starts: SIGINT is for signalfd alone.
    sigset_t interrupt;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    pthread_sigmask(SIG_BLOCK, &interrupt, &old_mask_);
    EXPECT_EQ(::pipe(pipe_), 0);
    daemon_ = std::make_unique<FakeDaemon>(socket());
    options_.socket = socket();
  }
  ~CtlTest() override {
    daemon_.reset();
    close_input();
    ::close(pipe_[0]);
    pthread_sigmask(SIG_SETMASK, &old_mask_, nullptr);
  }

  std::string socket() const { return dir_.file("control.sock"); }
  void type(std::string_view text) {
    ASSERT_EQ(::write(pipe_[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  void close_input() {
    if (pipe_[1] >= 0) ::close(std::exchange(pipe_[1], -1));
  }

  /// "name=value" each; "name" for a flag.
  int run(std::string_view command, std::vector<std::string> given = {}) {
    Values values;
    for (const std::string& one : given) {
      const std::size_t at = one.find('=');
      values.add(one.substr(0, at), at == std::string::npos ? "" : one.substr(at + 1));
    }
    const CommandSpec* spec = find_command(command);
    if (spec == nullptr) ADD_FAILURE() << "no command " << command;
    return spec == nullptr ? -1 : ctl::run(*spec, options_, values, console());
  }
  Console console() { return Console{out_, err_, pipe_[0], interactive_}; }
  std::string out() const { return watched_.str(); }
  std::string err() const { return err_.str(); }

  net::test::TempDir dir_;
  sigset_t old_mask_{};
  int pipe_[2] = {-1, -1};
  ClientOptions options_;
  bool interactive_ = false;
  std::unique_ptr<FakeDaemon> daemon_;
  WatchedOutput watched_;
  std::ostream out_;
  std::ostringstream err_;
};

}  // namespace sluice::ctl::test
