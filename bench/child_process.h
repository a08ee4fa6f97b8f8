#pragma once
// ChildProcess: a program that runs beside the benchmark, so that its CPU and memory are nobody
// else's. It ends with its owner.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::bench {

class ChildProcess {
 public:
  explicit ChildProcess(const std::vector<std::string>& command);
  /// SIGTERM, and waits.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  int pid() const { return pid_; }
  /// It ends by itself, and its zombie with it; nothing is left to stop then.
  void wait_for_end();
  /// What it has printed once mark is among it. Ends the benchmark if the program ends before.
  std::string read_until(std::string_view mark);
  /// Throws away what it has printed: a full pipe would hold it up.
  void pass_over_output();
  /// All it prints until it closes its output.
  std::string read_all();

 private:
  int pid_ = -1;  // -1: it has ended
  int out_ = -1;
};

/// The number behind mark.
std::uint16_t port_behind(std::string_view text, std::string_view mark);

/// Another part of this program: sluice_bench ROLE WORDS…, a server that prints "port N".
class Helper {
 public:
  explicit Helper(std::vector<std::string> words);
  int pid() const { return process_.pid(); }
  std::uint16_t port() const { return port_; }

 private:
  ChildProcess process_;
  std::uint16_t port_;
};

}  // namespace sluice::bench
