#include "ctl/chat_input.h"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <deque>
#include <thread>

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "runtime/wait.h"

namespace sluice::ctl {
namespace {

using What = InputEvent::What;

/// Cuts what is read into lines.
class LineSplitter {
 public:
  explicit LineSplitter(bool whole) : whole_(whole) {}

  void put(std::string_view bytes, std::deque<InputEvent>& out) {
    while (!bytes.empty()) {
      const std::size_t at = whole_ ? std::string_view::npos : bytes.find('\n');
      const bool ends = at != std::string_view::npos;
      const std::string_view piece = bytes.substr(0, ends ? at : bytes.size());
      too_long_ = too_long_ || line_.size() + piece.size() > ChatInput::kLineBytes;
      if (!too_long_) line_ += piece;
      bytes.remove_prefix(piece.size() + (ends ? 1 : 0));
      if (ends) finish(out);
    }
  }
  void end(std::deque<InputEvent>& out) {
    if (!line_.empty() || too_long_) finish(out);
    out.push_back({What::kEnd, {}});
  }

 private:
  void finish(std::deque<InputEvent>& out) {
    if (!line_.empty() && line_.back() == '\r') line_.pop_back();
    out.push_back(too_long_ ? InputEvent{What::kTooLong, {}}
                            : InputEvent{What::kLine, std::move(line_)});
    line_.clear();
    too_long_ = false;
  }
  const bool whole_;
  std::string line_;
  bool too_long_ = false;
};

}  // namespace

struct ChatInput::Impl {
  /// Shared with what has been posted and not run.
  struct Arrived {
    explicit Arrived(Loop& loop) : changed(loop) {}
    std::deque<InputEvent> events;
    Event changed;
  };

  Impl(Shard& s, int fd, InputOptions o)
      : shard(s), in(fd), options(o), arrived(std::make_shared<Arrived>(s)) {
    wake = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    SLUICE_ASSERT(wake >= 0);
    if (options.interrupts) {
      sigset_t interrupt;
      sigemptyset(&interrupt);
      sigaddset(&interrupt, SIGINT);
      pthread_sigmask(SIG_BLOCK, &interrupt, &old_mask);
      interrupts = ::signalfd(-1, &interrupt, SFD_CLOEXEC | SFD_NONBLOCK);
      SLUICE_ASSERT(interrupts >= 0);
    }
    thread = std::thread([this] { run(); });
  }
  ~Impl() {
    stopping = true;
    poke();
    thread.join();
    ::close(wake);
    if (interrupts >= 0) {
      ::close(interrupts);
      pthread_sigmask(SIG_SETMASK, &old_mask, nullptr);
    }
  }

  void poke() const {
    const std::uint64_t one = 1;
    // A full counter wakes just as well.
    const ssize_t n = ::write(wake, &one, sizeof one);
    (void)n;
  }

  // The thread.
  void run() {
    LineSplitter splitter(options.whole);
    std::deque<InputEvent> ready;
    bool at_end = false;
    while (!stopping) {
      while (!ready.empty() && ahead < kEventsMax) {
        post(std::move(ready.front()));
        ready.pop_front();
      }
      pollfd waits[3] = {{wake, POLLIN, 0}, {interrupts, POLLIN, 0}, {-1, POLLIN, 0}};
      if (!at_end && ready.empty() && ahead < kEventsMax) waits[2].fd = in;
      if (::poll(waits, 3, -1) < 0 && errno != EINTR) return;
      std::uint64_t scratch[16];
      if (waits[0].revents != 0) (void)!::read(wake, scratch, sizeof scratch[0]);
      if (waits[1].revents != 0) {
        signalfd_siginfo info;
        if (::read(interrupts, &info, sizeof info) > 0) post({What::kInterrupt, {}});
      }
      if (waits[2].revents != 0) at_end = !read_some(splitter, ready);
    }
  }
  bool read_some(LineSplitter& splitter, std::deque<InputEvent>& ready) const {
    char bytes[16 * 1024];
    const ssize_t n = ::read(in, bytes, sizeof bytes);
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) return true;
    if (n > 0) {
      splitter.put(std::string_view(bytes, static_cast<std::size_t>(n)), ready);
      return true;
    }
    splitter.end(ready);
    return false;
  }
  void post(InputEvent event) {
    ++ahead;
    shard.post_from_any_thread([to = arrived, event = std::move(event)] {
      to->events.push_back(event);
      to->changed.pulse();
    });
  }

  Shard& shard;
  const int in;
  const InputOptions options;
  std::shared_ptr<Arrived> arrived;
  int wake = -1;
  int interrupts = -1;
  sigset_t old_mask{};
  std::atomic<bool> stopping{false};
  std::atomic<std::size_t> ahead{0};  // posted and not taken
  std::thread thread;
};

ChatInput::ChatInput(Shard& shard, int fd, InputOptions options)
    : impl_(std::make_unique<Impl>(shard, fd, options)) {}
ChatInput::~ChatInput() = default;

Task<InputEvent> ChatInput::next() {
  const std::shared_ptr<Impl::Arrived> arrived = impl_->arrived;
  while (arrived->events.empty()) co_await arrived->changed.wait();
  InputEvent event = std::move(arrived->events.front());
  arrived->events.pop_front();
  --impl_->ahead;
  impl_->poke();
  co_return event;
}

}  // namespace sluice::ctl
