#pragma once
// FollowLoad: pages that follow conversations over WebSockets, are sent off when the daemon
// restarts, and come back when they were told to, behind the last line that they saw. What they
// were told and what they show is kept. One thread.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace sluice::bench {

class FollowLoad {
 public:
  static constexpr std::uint16_t kRestarting = 1012;

  struct Page {
    std::string chat;
    int fd = -1;
    bool open = false;  // the server has answered
    std::string in;
    // What it was told when it was sent off.
    int times_sent_off = 0;
    std::uint16_t code = 0;  // the last one; 0: cut off without a word
    double retry_ms = -1;    // -1: no hint
    double comes_back_at = 0;
    std::vector<double> came_back_at;
    // What it shows.
    std::int64_t last_line = 0;
    std::string growing;               // of the turn that runs
    bool missed = false;               // a piece of it
    std::vector<std::string> answers;  // the agent's lines
  };

  FollowLoad(std::uint16_t port, std::string authorization);
  ~FollowLoad();
  FollowLoad(const FollowLoad&) = delete;
  FollowLoad& operator=(const FollowLoad&) = delete;

  /// One more, which is on its way; run_until() sees to it.
  void open(const std::string& chat);
  /// Until done, looked at now and then; false if it is not in so many seconds.
  bool run_until(const std::function<bool()>& done, double seconds);
  const std::vector<Page>& pages() const { return pages_; }

 private:
  void connect(std::size_t i, const std::string& after);
  void take(std::size_t i);
  void read_frames(std::size_t i);
  void leave(Page& page);
  static void show(Page& page, std::string_view events);

  const std::uint16_t port_;
  const std::string authorization_;
  const int epoll_;
  std::vector<Page> pages_;
};

}  // namespace sluice::bench
