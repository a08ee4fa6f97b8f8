#pragma once
// RestartedDaemon: the real daemon, which hands over to one process after another; the port and
// the folder stay. Its log is read for what it says of its restarts.
//
// For a process that has called adopt_orphans(): what takes over is its child in the end.

#include <cstdint>
#include <fstream>
#include <initializer_list>
#include <string>
#include <string_view>

#include "daemon_process.h"

namespace sluice::bench {

/// From now on the processes below us that lose their parents are our children.
void adopt_orphans();
/// Until a child, or what becomes one of ours, has ended; killed when that takes kPatience.
void wait_for_end(int pid);

class RestartedDaemon {
 public:
  static constexpr double kPatience = 60;  // seconds: for a start, a restart, an end

  /// config: agents, channels and more; where to listen and to log is added.
  RestartedDaemon(const std::string& program, const std::string& directory,
                  const std::string& config);
  /// Stops it, whichever process it is by now.
  ~RestartedDaemon();

  std::uint16_t port() const { return first_.port(); }
  std::string authorization() const { return first_.authorization(); }
  double milliseconds_to_ready() const { return first_.milliseconds_to_ready(); }
  std::string data() const { return directory_ + "/data"; }
  /// Who holds the store.
  int pid() const { return holder_; }

  struct Restart {
    std::string failed;     // why it came to nothing
    double command_ms = 0;  // from the signal until the successor accepts
    double pause_ms = 0;    // of intake, as the daemon tells it
  };
  /// ask() and wait(), once the process before this one has ended.
  Restart restart();
  /// SIGUSR1.
  void ask();
  Restart wait();
  /// Until the process before this one has ended.
  void wait_until_alone();
  /// The successor was killed: until the process before it has found another one. False if it does
  /// not.
  bool wait_until_replaced();

 private:
  /// The next line of the log with one of these events.
  std::string wait_for(std::initializer_list<std::string_view> events);
  void end_earlier();

  const std::string directory_;
  DaemonProcess first_;
  std::ifstream log_;
  int holder_;
  int earlier_ = 0;  // 0: it has ended
  double asked_at_ = 0;
};

}  // namespace sluice::bench
