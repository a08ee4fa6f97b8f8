#pragma once
// DaemonProcess: the real daemon, started as a child on a data directory of the benchmark's, with
// its channel on a free port of the loopback.

#include <cstdint>
#include <string>
#include <vector>

#include "child_process.h"

namespace sluice::bench {

class DaemonProcess {
 public:
  /// echo, asked by the http channel.
  static const std::string kEcho;
  /// Starts it and waits until it says that it is ready. Ends the benchmark if it does not. config:
  /// agents, channels and more; where to listen is added.
  DaemonProcess(const std::string& program, const std::string& directory,
                const std::string& config = kEcho);

  int pid() const { return process_.pid(); }
  void wait_for_end() { process_.wait_for_end(); }
  void pass_over_output() { process_.pass_over_output(); }
  double milliseconds_to_ready() const { return ready_ms_; }
  std::uint16_t port() const { return port_; }
  /// "Authorization: Bearer …\r\n" of the owner.
  std::string authorization() const;
  /// The same of a person who has just been given a token.
  std::string authorization_of_new(const std::string& person) const;

 private:
  const std::string program_;
  const std::string data_;
  const double began_;
  ChildProcess process_;
  std::uint16_t port_ = 0;
  double ready_ms_ = 0;
};

/// Runs a program and gives what it printed, or nothing if it failed to start. seconds: how long.
std::string output_of(const std::vector<std::string>& command, double* seconds = nullptr);
/// From fork to the end of a process that does nothing, in milliseconds.
double bare_process_milliseconds();

}  // namespace sluice::bench
