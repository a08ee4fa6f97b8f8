#include "child_process.h"

#include <charconv>
#include <csignal>

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"

namespace sluice::bench {

ChildProcess::ChildProcess(const std::vector<std::string>& command) {
  int fds[2];
  SLUICE_ASSERT(::pipe2(fds, O_CLOEXEC) == 0);
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  pid_ = ::fork();
  SLUICE_ASSERT(pid_ >= 0);
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // a section that dies takes it along
    ::dup2(fds[1], STDOUT_FILENO);
    const int nowhere = ::open("/dev/null", O_WRONLY);
    ::dup2(nowhere, STDERR_FILENO);
    ::execv(arguments.front(), arguments.data());
    ::_exit(127);
  }
  ::close(fds[1]);
  out_ = fds[0];
}

ChildProcess::~ChildProcess() {
  if (pid_ > 0) ::kill(pid_, SIGTERM);
  wait_for_end();
  ::close(out_);
}

void ChildProcess::wait_for_end() {
  if (pid_ > 0) ::waitpid(pid_, nullptr, 0);
  pid_ = -1;
}

std::string ChildProcess::read_until(std::string_view mark) {
  std::string said;
  while (said.find(mark) == std::string::npos) {
    char chunk[1024];
    const ssize_t n = ::read(out_, chunk, sizeof chunk);
    if (n <= 0) fmt::print(stderr, "a program did not start: {}\n", said);
    SLUICE_ASSERT(n > 0);
    said.append(chunk, static_cast<std::size_t>(n));
  }
  return said;
}

void ChildProcess::pass_over_output() {
  char chunk[4096];
  for (pollfd ready{out_, POLLIN, 0}; ::poll(&ready, 1, 0) > 0;) {
    if (::read(out_, chunk, sizeof chunk) <= 0) return;
  }
}

std::string ChildProcess::read_all() {
  std::string all;
  char chunk[4096];
  for (ssize_t n = 0; (n = ::read(out_, chunk, sizeof chunk)) > 0;) {
    all.append(chunk, static_cast<std::size_t>(n));
  }
  return all;
}

std::uint16_t port_behind(std::string_view text, std::string_view mark) {
  const std::size_t at = text.find(mark);
  SLUICE_ASSERT(at != std::string_view::npos);
  std::uint16_t port = 0;
  std::from_chars(text.data() + at + mark.size(), text.data() + text.size(), port);
  SLUICE_ASSERT(port != 0);
  return port;
}

namespace {

std::vector<std::string> own_program(std::vector<std::string> words) {
  words.insert(words.begin(), "/proc/self/exe");
  return words;
}

}  // namespace

Helper::Helper(std::vector<std::string> words)
    : process_(own_program(std::move(words))),
      port_(port_behind(process_.read_until("\n"), "port ")) {}

}  // namespace sluice::bench
