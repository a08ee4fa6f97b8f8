#include "daemon_process.h"

#include <charconv>
#include <csignal>
#include <filesystem>
#include <fstream>

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/assert.h"
#include "measure.h"

namespace sluice::bench {
namespace {

/// Returns the child's id; its standard output is `out`.
int start(const std::vector<std::string>& command, int& out) {
  int fds[2];
  SLUICE_ASSERT(::pipe2(fds, O_CLOEXEC) == 0);
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const int pid = ::fork();
  SLUICE_ASSERT(pid >= 0);
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // a section that dies takes it along
    ::dup2(fds[1], STDOUT_FILENO);
    const int nowhere = ::open("/dev/null", O_WRONLY);
    ::dup2(nowhere, STDERR_FILENO);
    ::execv(arguments.front(), arguments.data());
    ::_exit(127);
  }
  ::close(fds[1]);
  out = fds[0];
  return pid;
}

}  // namespace

DaemonProcess::DaemonProcess(const std::string& program, const std::string& directory)
    : data_(directory + "/data") {
  const std::string config = directory + "/sluice.toml";
  std::filesystem::create_directories(directory);
  std::ofstream(config) << "[server]\nlisten = [\"127.0.0.1:0\"]\n"
                           "[agents.echo]\nkind = \"echo\"\n"
                           "[channels.http]\nkind = \"http\"\nagent = \"echo\"\n";
  const double began = wall_seconds();
  pid_ = start({program, "run", "--config", config, "--data", data_}, out_);
  await_ready(out_);
  ready_ms_ = (wall_seconds() - began) * 1e3;
}

DaemonProcess::~DaemonProcess() {
  ::kill(pid_, SIGTERM);
  int status = 0;
  ::waitpid(pid_, &status, 0);
  ::close(out_);
}

void DaemonProcess::await_ready(int out) {
  std::string said;
  constexpr std::string_view kUrl = "http://127.0.0.1:";
  while (said.find("  control ") == std::string::npos) {
    char chunk[1024];
    const ssize_t n = ::read(out, chunk, sizeof chunk);
    if (n <= 0) fmt::print(stderr, "the daemon did not start: {}\n", said);
    SLUICE_ASSERT(n > 0);
    said.append(chunk, static_cast<std::size_t>(n));
  }
  const std::size_t at = said.find(kUrl);
  SLUICE_ASSERT(at != std::string::npos);
  std::from_chars(said.data() + at + kUrl.size(), said.data() + said.size(), port_);
}

std::string DaemonProcess::authorization() const {
  std::ifstream in(data_ + "/owner.token");
  std::string token;
  in >> token;
  return fmt::format("Authorization: Bearer {}\r\n", token);
}

std::string output_of(const std::vector<std::string>& command, double* seconds) {
  const double began = wall_seconds();
  int out = -1;
  const int pid = start(command, out);
  std::string all;
  char chunk[4096];
  for (ssize_t n = 0; (n = ::read(out, chunk, sizeof chunk)) > 0;) {
    all.append(chunk, static_cast<std::size_t>(n));
  }
  ::close(out);
  int status = 0;
  ::waitpid(pid, &status, 0);
  if (seconds != nullptr) *seconds = wall_seconds() - began;
  return all;
}

double bare_process_milliseconds() {
  double seconds = 0;
  (void)output_of({"/bin/true"}, &seconds);
  return seconds * 1e3;
}

}  // namespace sluice::bench
