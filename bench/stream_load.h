#pragma once
// StreamLoad: asks for streams of chat completions and looks at when their deltas come. Knows the
// deltas of mock_model.h, whoever hands them on.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace sluice::bench {

class StreamLoad {
 public:
  /// path and headers ("Name: value\r\n…") of each request.
  StreamLoad(std::uint16_t port, std::string path, std::string headers);
  ~StreamLoad();
  StreamLoad(const StreamLoad&) = delete;
  StreamLoad& operator=(const StreamLoad&) = delete;

  /// Seconds from the request to the first delta of a stream that has only one, on a connection
  /// that is kept; the stream is read to its end.
  double first_token(const std::string& user);

  struct Sample {
    std::uint64_t deltas = 0;
    std::vector<double> late;  // seconds from leaving the model to arriving here, of each
  };
  /// So many streams side by side, each of another user. Of what comes between `opened`, called a
  /// second after all have begun, and `closing`, called when the first ends.
  Sample run(std::size_t streams, std::size_t deltas, std::uint64_t every_us,
             const std::string& users, const std::function<void()>& opened,
             const std::function<void()>& closing);

 private:
  struct Connection {
    int fd = -1;
    bool begun = false;
    bool ended = false;
    std::string rest;  // the beginning of a mark that is cut
  };
  static Connection connect(std::uint16_t port);
  std::string request(const std::string& user, std::size_t deltas, std::uint64_t every_us) const;
  /// Reads once. Gives the moments of the deltas.
  void take(Connection& connection, std::vector<std::uint64_t>& marks) const;

  const std::uint16_t port_;
  const std::string path_;
  const std::string headers_;
  Connection kept_;
};

}  // namespace sluice::bench
