#include "app/init_terminal.h"

#include <charconv>
#include <csignal>

#include <fmt/format.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

namespace sluice::app {
namespace {

/// While it lives, what is typed is not shown, and ^C ends the line instead of the process: the
/// terminal has to be put back first. ^C is let in only while a wait() lasts, so none is lost
/// between the question and the wait.
class Hidden {
 public:
  explicit Hidden(int fd) : fd_(fd) {
    if (::tcgetattr(fd, &before_) != 0) return;
    sigset_t interrupts;
    ::sigemptyset(&interrupts);
    ::sigaddset(&interrupts, SIGINT);
    ::pthread_sigmask(SIG_BLOCK, &interrupts, &mask_);
    struct sigaction noted{};
    noted.sa_handler = [](int) {};
    ::sigemptyset(&noted.sa_mask);
    ::sigaction(SIGINT, &noted, &on_interrupt_);
    termios quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    ::tcsetattr(fd, TCSAFLUSH, &quiet);
    hidden_ = true;
  }
  ~Hidden() {
    if (!hidden_) return;
    ::tcsetattr(fd_, TCSAFLUSH, &before_);
    ::sigaction(SIGINT, &on_interrupt_, nullptr);
    ::pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
  }
  Hidden(const Hidden&) = delete;
  Hidden& operator=(const Hidden&) = delete;

  /// Until there is something to read; false on ^C.
  bool wait() const {
    pollfd wanted{fd_, POLLIN, 0};
    return ::ppoll(&wanted, 1, nullptr, hidden_ ? &mask_ : nullptr) == 1;
  }

 private:
  int fd_;
  bool hidden_ = false;
  termios before_{};
  sigset_t mask_{};
  struct sigaction on_interrupt_{};
};

}  // namespace

void Terminal::say(std::string_view text) { out_ << text << std::flush; }

std::optional<std::string> Terminal::read_line(const std::function<bool()>& wait) {
  std::string line;
  while (line.size() < kLineMax) {
    char c = 0;
    if (wait && !wait()) return std::nullopt;
    const ssize_t n = ::read(in_, &c, 1);
    if (n <= 0) return std::nullopt;
    if (c != '\n') {
      line += c;
      continue;
    }
    const std::size_t first = line.find_first_not_of(" \t\r");
    if (first == std::string::npos) return std::string();
    return line.substr(first, line.find_last_not_of(" \t\r") - first + 1);
  }
  return std::nullopt;
}

std::optional<std::string> Terminal::ask(std::string_view question, std::string_view fallback) {
  say(fallback.empty() ? fmt::format("{}: ", question)
                       : fmt::format("{} [{}]: ", question, fallback));
  std::optional<std::string> line = read_line({});
  if (line && line->empty()) line = std::string(fallback);
  return line;
}

std::optional<std::string> Terminal::ask_hidden(std::string_view question) {
  std::optional<std::string> line;
  {
    // First hidden, then asked: who answers at once is not shown either.
    const Hidden hidden(in_);
    say(fmt::format("{}: ", question));
    line = read_line([&hidden] { return hidden.wait(); });
  }
  say("\n");
  return line;
}

std::optional<std::size_t> Terminal::choose(std::string_view question, std::size_t count,
                                            std::size_t fallback) {
  for (int tries = 0; tries < kTriesMax; ++tries) {
    const std::optional<std::string> line = ask(question, std::to_string(fallback));
    if (!line) return std::nullopt;
    std::size_t number = 0;
    const char* const end = line->data() + line->size();
    const auto [stopped, bad] = std::from_chars(line->data(), end, number);
    if (bad == std::errc() && stopped == end && number >= 1 && number <= count) return number;
    say(fmt::format("  a number from 1 to {}, please\n", count));
  }
  return std::nullopt;
}

}  // namespace sluice::app
