#include "services/spawn.h"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <optional>
#include <string_view>

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "services/process_mark.h"

namespace sluice::services {
namespace {

constexpr std::string_view kUsualPath = "/usr/local/bin:/usr/bin:/bin";
constexpr int kFirstFree = 3;  // above standard input, output and error

Error refused(std::string_view what, int error) {
  return Error(ErrorKind::kUnavailable, std::string(what) + ": " + std::strerror(error),
               ErrorSource::kSelf, Retry::with_backoff());
}

struct Pipe {
  Descriptor read;
  Descriptor write;
};

/// Both ends above 2, so that the child can put them in their places one by one.
Result<Pipe> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return refused("pipe", errno);
  Pipe pipe{Descriptor(ends[0]), Descriptor(ends[1])};
  for (Descriptor* end : {&pipe.read, &pipe.write}) {
    if (end->get() >= kFirstFree) continue;
    const int moved = ::fcntl(end->get(), F_DUPFD_CLOEXEC, kFirstFree);
    if (moved < 0) return refused("pipe", errno);
    *end = Descriptor(moved);
  }
  return pipe;
}

std::string_view path_of(const ProcessPlan& plan) {
  for (const std::string_view one : plan.environment) {
    if (one.starts_with("PATH=")) return one.substr(5);
  }
  return kUsualPath;
}

Result<std::string> find_program(const ProcessPlan& plan) {
  if (plan.command.find('/') != std::string::npos) return plan.command;
  std::string_view rest = path_of(plan);
  while (!rest.empty()) {
    const std::string_view folder = rest.substr(0, rest.find(':'));
    rest.remove_prefix(std::min(rest.size(), folder.size() + 1));
    std::string path(folder);
    path.append("/").append(plan.command);
    if (!folder.empty() && ::access(path.c_str(), X_OK) == 0) return path;
  }
  return Error(ErrorKind::kNotFound, plan.command + ": there is no such program in PATH (" +
                                         std::string(path_of(plan)) + ")");
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

/// What the child is told; made before, because it may not allocate.
struct Orders {
  const char* program;
  char* const* arguments;
  char* const* environment;
  const char* folder;  // nullptr: ours
  int input;
  int output;
  int errors;
  pid_t parent;
  std::uint64_t mark;
};

/// In the child, which shares our memory: system calls only. Returns what went wrong.
int become_program(const Orders& orders) {
  ::setpgid(0, 0);
  put_mark(orders.mark);
  struct sigaction usual{};
  usual.sa_handler = SIG_DFL;
  // Ignored signals would stay ignored: a service must die of its broken pipe.
  for (int number = 1; number < NSIG; ++number) ::sigaction(number, &usual, nullptr);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != orders.parent) return ESRCH;  // we died just now
  if (::dup2(orders.input, 0) < 0 || ::dup2(orders.output, 1) < 0 || ::dup2(orders.errors, 2) < 0) {
    return errno;
  }
  // Whatever a library opened without O_CLOEXEC. Marked, not closed: the table may be ours too.
  ::syscall(SYS_close_range, kFirstFree, ~0U, CLOSE_RANGE_CLOEXEC);
  if (orders.folder != nullptr && ::chdir(orders.folder) != 0) return errno;
  ::execve(orders.program, orders.arguments, orders.environment);
  return errno;
}

/// Not inlined: the frame in which vfork returns twice holds nothing else.
[[gnu::noinline]] pid_t start_child(const Orders& orders, volatile int* error) {
  const pid_t child = ::vfork();
  if (child == 0) {
    *error = become_program(orders);
    ::_exit(127);
  }
  if (child < 0) *error = errno;
  return child;
}

Result<void> do_not_block(const Descriptor& descriptor) {
  if (::fcntl(descriptor.get(), F_SETFL, O_NONBLOCK) != 0) return refused("pipe", errno);
  return {};
}

}  // namespace

Result<SpawnedProcess> spawn_process(const ProcessPlan& plan, std::uint64_t mark) {
  const Result<std::string> program = find_program(plan);
  if (!program) return program.error();
  Result<Pipe> input = make_pipe();
  Result<Pipe> output = make_pipe();
  Result<Pipe> errors = make_pipe();
  for (const auto* pipe : {&input, &output, &errors}) {
    if (!*pipe) return pipe->error();
  }
  for (const auto* end : {&input->write, &output->read, &errors->read}) {
    const Result<void> done = do_not_block(*end);
    if (!done) return done.error();
  }
  std::vector<std::string> words{plan.command};
  words.insert(words.end(), plan.arguments.begin(), plan.arguments.end());
  const std::vector<char*> arguments = pointers(words);
  const std::vector<char*> environment = pointers(plan.environment);
  const Orders orders{program->c_str(),
                      arguments.data(),
                      environment.data(),
                      plan.folder.empty() ? nullptr : plan.folder.c_str(),
                      input->read.get(),
                      output->write.get(),
                      errors->write.get(),
                      ::getpid(),
                      mark};
  volatile int error = 0;
  const pid_t child = start_child(orders, &error);
  if (child < 0) return refused("starting a process", error);
  if (error != 0) {
    ::waitpid(child, nullptr, 0);  // it is gone already
    return Error(error == ENOENT ? ErrorKind::kNotFound : ErrorKind::kUnavailable,
                 *program + ": " + std::strerror(error));
  }
  SpawnedProcess out;
  out.id = child;
  out.handle = Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
  out.input = std::move(input->write);
  out.output = std::move(output->read);
  out.errors = std::move(errors->read);
  if (!out.handle.is_open()) {
    const int why = errno;
    ::kill(-child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    return refused("pidfd_open", why);
  }
  return out;
}

}  // namespace sluice::services
