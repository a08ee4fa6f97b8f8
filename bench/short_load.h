#pragma once
// ShortLoad: clients that open a connection, send one request, read the whole answer and close, so
// many side by side, while something is done to the server. Or clients that keep their connections
// for as long as the server lets them.
//
// What goes wrong is told apart, and nothing is tried again. Runs on a thread of its own from its
// construction to finish(); never longer than kLongest.

#include <atomic>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace sluice::bench {

struct LoadReport {
  std::uint64_t answered = 0;
  std::uint64_t refused = 0;    // nobody listened
  std::uint64_t reset = 0;      // cut off
  std::uint64_t ended = 0;      // closed before the answer was whole
  std::uint64_t timed_out = 0;  // kPatience
  std::uint64_t wrong = 0;      // another answer than the one expected
  std::string first_wrong;
  std::vector<double> milliseconds;  // of each answered one, from the connection's start

  std::uint64_t failed() const { return refused + reset + ended + timed_out + wrong; }
  /// "3 refused, 1 reset"; "none".
  std::string failures() const;
};

class ShortLoad {
 public:
  static constexpr double kPatience = 3;   // seconds for one request
  static constexpr double kLongest = 300;  // seconds

  struct Plan {
    std::uint16_t port = 0;
    std::size_t at_once = 128;
    /// The request of the client of this number.
    std::function<std::string(std::size_t client)> make;
    std::string status = "HTTP/1.1 200";
    std::string body;           // is in every right answer
    bool keeps = false;         // connections
    std::uint64_t at_most = 0;  // requests; 0: as many as fit
    /// Each right answer, whole; on the load's thread.
    std::function<void(std::size_t client, const std::string& answer)> on_answer;
  };
  explicit ShortLoad(Plan plan);
  ~ShortLoad();
  ShortLoad(const ShortLoad&) = delete;
  ShortLoad& operator=(const ShortLoad&) = delete;

  /// Ends when at least so many requests were made, and all of them have come to their ends.
  LoadReport finish(std::uint64_t at_least);
  std::uint64_t made() const { return made_; }
  /// Of these, the ones that were written whole.
  std::uint64_t asked() const { return asked_; }

 private:
  struct Client {
    int fd = -1;
    double began = 0;
    std::size_t sent = 0;
    bool connected = false;
    std::string out;
    std::string in;
  };
  void run();
  void begin(std::size_t i);
  void watch(std::size_t i);
  void proceed(std::size_t i);
  bool send(Client& client);
  void take(Client& client, std::size_t i);
  void end(std::size_t i, std::uint64_t& counter);
  void answered(std::size_t i);
  void rest(std::size_t i);
  void look_at_the_time();
  bool more() const;

  const Plan plan_;
  const int epoll_;
  std::vector<Client> clients_;
  std::vector<std::size_t> idle_;
  std::size_t busy_ = 0;
  LoadReport report_;
  double give_up_ = 0;
  std::atomic<std::uint64_t> made_ = 0;
  std::atomic<std::uint64_t> asked_ = 0;
  std::atomic<std::uint64_t> at_least_ = UINT64_MAX;  // until finish()
  std::thread thread_;
};

}  // namespace sluice::bench
