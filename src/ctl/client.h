#pragma once
// Client: asks the running daemon, over its control socket. Shard-confined; a command has one.

#include <chrono>
#include <string>

#include <boost/json/value.hpp>

#include "ctl/console.h"
#include "net/http_client.h"
#include "runtime/shard.h"

namespace sluice::ctl {

struct ClientOptions {
  std::string socket;                     // path of the control socket
  bool json = false;                      // answers as JSON instead of tables
  std::string start_hint = "sluice run";  // how to start a daemon, for the hint when there is none
};

/// What the daemon answered, or why it did not.
struct Reply {
  int exit_code = kDone;  // kFailed: it said no; kUnreachable: nobody is there
  std::string error;      // a sentence, if exit_code is not kDone
  std::string hint;       // what to do about it; may be empty
  int status = 0;         // of HTTP; 0 if there was no answer
  boost::json::value body;
  std::string text;  // the body as it came
  bool ok() const { return exit_code == kDone; }
};

class Client {
 public:
  /// For what may take as long as the store is large.
  static constexpr Duration kPatient = std::chrono::hours(24);
  static constexpr std::uint64_t kAnswerBytes = 64 << 20;

  Client(Shard& shard, ClientOptions options);

  Task<Reply> get(std::string target, Duration timeout = std::chrono::seconds(60));
  Task<Reply> post(std::string target, boost::json::object body,
                   Duration timeout = std::chrono::seconds(60));
  Task<Reply> remove(std::string target);
  /// Any request of one's own, such as a stream's: what http() takes.
  net::HttpClientRequest request(std::string method, std::string target) const;
  net::HttpClient& http() { return http_; }
  const ClientOptions& options() const { return options_; }

  /// A failed exchange as a sentence.
  Reply failure_of(const net::FetchError& error) const;
  /// A status and a body as they came; problem+json becomes a sentence.
  static Reply reply_of(int status, std::string body);

 private:
  Task<Reply> ask(net::HttpClientRequest request);

  ClientOptions options_;
  net::HttpClient http_;
};

}  // namespace sluice::ctl
