#include "app/successor.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <utility>

#include <boost/json.hpp>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/paths.h"
#include "app/process.h"
#include "config/file.h"

extern char** environ;

namespace sluice::app {
namespace {

using Type = HandoverLink::Type;

constexpr int kLinkFd = 3;  // in the child
constexpr std::size_t kCommandLineMost = 1 << 20;
constexpr std::size_t kMemoryMost = 12u << 20;            // of HandoverLink::kFrameMost
constexpr Duration kLastWords = std::chrono::seconds(1);  // for a process to end by itself
constexpr Duration kLookAgain = std::chrono::milliseconds(20);
constexpr std::string_view kDeleted = " (deleted)";  // proc(5): the file was replaced
constexpr const char* kOwnImage = "/proc/self/exe";

Error gone(const std::string& what) {
  return Error(ErrorKind::kUnavailable, "the successor " + what);
}

std::string started_from() {
  std::string path(4096, '\0');
  const ssize_t n = ::readlink(kOwnImage, path.data(), path.size());
  path.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  if (path.ends_with(kDeleted)) path.resize(path.size() - kDeleted.size());
  return path.empty() ? std::string(kOwnImage) : path;
}

/// The words of our own command line.
std::vector<std::string> own_arguments() {
  std::vector<std::string> words;
  const Result<std::string> line = config::read_file("/proc/self/cmdline", kCommandLineMost);
  if (!line) return {"sluice", "run"};
  for (std::size_t at = 0; at < line->size();) {
    words.emplace_back(line->c_str() + at);
    at += words.back().size() + 1;
  }
  return words;
}

/// As JSON; nothing if it is too much.
std::string write_memory(const std::map<std::string, std::string>& memory, Logger& log) {
  boost::json::object all;
  for (const auto& [name, text] : memory) all[name] = text;
  std::string bytes = boost::json::serialize(all);
  if (bytes.size() <= kMemoryMost) return bytes;
  log.warn("memory_not_handed_over", {{"bytes", bytes.size()}});
  return {};
}

}  // namespace

Succession::Succession(Parts parts)
    : parts_(std::move(parts)),
      program_(started_from()),
      leftovers_(parts_.shard, parts_.calls),
      changed_(parts_.shard),
      left_(parts_.shard),
      tasks_(parts_.shard),
      visits_(parts_.shard) {}

Result<void> Succession::open_door(const std::string& path) {
  auto door = HandoverDoor::open(parts_.shard, path);
  if (!door) return door.error();
  door_ = std::move(*door);
  visits_.spawn("answer the door", answer_door());
  return {};
}

Task<void> Succession::answer_door() {
  for (;;) {
    HandoverDoor::Visitor visitor = co_await door_->next();
    // Whoever comes to a full house finds the door closed again.
    if (visits_.size() <= kVisitorsMost) visits_.spawn("visitor", receive(std::move(visitor)));
  }
}

Task<void> Succession::receive(HandoverDoor::Visitor visitor) {
  parts_.log.info("takeover_asked", {{"pid", visitor.pid}, {"uid", visitor.user}});
  auto link = HandoverLink::make(parts_.shard, std::move(visitor.socket));
  if (!link) co_return;
  Born born;
  born.pid = visitor.pid;
  born.process = std::move(visitor.process);
  born.link = std::move(*link);
  Result<void> welcome = Error(ErrorKind::kPermissionDenied,
                               "only the user who runs the daemon may take over from it");
  if (visitor.user == ::geteuid()) welcome = co_await until_ready(&born);
  if (welcome && may_begin()) co_await parts_.daemon()->tidy();
  if (welcome) welcome = may_begin();
  if (welcome) {
    busy_ = true;
    failed_.clear();
    tasks_.spawn("hand over", hand_over_to(std::move(born)));
    co_return;
  }
  parts_.log.warn("takeover_refused", {{"error", welcome.error().context()}});
  born.link->send(Type::kRefused, welcome.error().context());
}

Result<void> Succession::may_begin() const {
  if (busy_) return Error(ErrorKind::kConflict, "a restart is under way", ErrorSource::kPeer);
  if (!parts_.may_begin()) {
    return Error(ErrorKind::kConflict,
                 "the daemon is starting or stopping, or the process before it has not ended yet",
                 ErrorSource::kPeer);
  }
  return {};
}

Result<void> Succession::ask() {
  const Result<void> may = may_begin();
  if (!may) return may;
  busy_ = true;
  failed_.clear();
  tasks_.spawn("hand over", hand_over());
  return {};
}

Task<Result<void>> Succession::ask_in_turn() {
  const std::uint64_t mine = ++newest_;
  look_again();
  for (;;) {
    if (mine != newest_) {
      co_return Error(ErrorKind::kConflict, "a newer restart that waits has taken its place",
                      ErrorSource::kPeer);
    }
    if (leaving_) {
      co_return Error(ErrorKind::kUnavailable, "this process has handed over: ask again",
                      ErrorSource::kPeer, Retry::with_backoff());
    }
    Result<void> begun = ask();
    if (begun || parts_.stopping()) co_return begun;
    co_await changed_.wait();
  }
}

Result<Succession::Born> Succession::spawn(Shard& shard, const std::string& program) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
    return gone(fmt::format("can't be spoken to: {}", std::strerror(errno)));
  services::Descriptor ours(ends[0]);
  const services::Descriptor theirs(ends[1]);
  std::vector<std::string> words = own_arguments();
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  std::string variable = fmt::format("{}={}", kHandoverVariable, kLinkFd);
  std::vector<char*> environment;
  for (char** one = environ; *one != nullptr; ++one) {
    // sd_watchdog_enabled(3): whom it is meant for; that will be the successor.
    if (std::string_view(*one).starts_with("WATCHDOG_PID=")) continue;
    environment.push_back(*one);
  }
  environment.push_back(variable.data());
  environment.push_back(nullptr);

  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawn_file_actions_adddup2(&files, theirs.get(), kLinkFd);
  sigset_t none;
  ::sigemptyset(&none);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  Born born;
  const int error = ::posix_spawn(&born.pid, program.c_str(), &files, &attributes, arguments.data(),
                                  environment.data());
  ::posix_spawn_file_actions_destroy(&files);
  ::posix_spawnattr_destroy(&attributes);
  if (error != 0)
    return gone(fmt::format("{} can't be started: {}", program, std::strerror(error)));
  auto link = HandoverLink::make(shard, std::move(ours));
  if (!link) return link.error();
  born.link = std::move(*link);
  return born;
}

void Succession::send_signal(const Born& born, int signal) {
  if (born.process.is_open()) {
    ::syscall(SYS_pidfd_send_signal, born.process.get(), signal, nullptr, 0);
  } else {
    ::kill(born.pid, signal);
  }
}

Task<std::string> Succession::bury_stranger(Born* born) {
  send_signal(*born, SIGKILL);
  pollfd ended{born->process.get(), POLLIN, 0};
  while (::poll(&ended, 1, 0) == 0) co_await sleep_for(parts_.shard, kLookAgain);
  born->link.reset();
  co_return "ended";
}

Task<std::string> Succession::bury(Born* born) {
  if (born->process.is_open()) co_return co_await bury_stranger(born);
  // It may still be on its way out, with an exit code to tell.
  const MonoTime until = parts_.shard.now() + (born->link == nullptr ? Duration(0) : kLastWords);
  int status = 0;
  pid_t ended = ::waitpid(born->pid, &status, WNOHANG);
  while (ended == 0 && parts_.shard.now() < until) {
    co_await sleep_for(parts_.shard, kLookAgain);
    ended = ::waitpid(born->pid, &status, WNOHANG);
  }
  if (ended == 0) {
    ::kill(born->pid, SIGKILL);
    ended = ::waitpid(born->pid, &status, 0);
  }
  born->link.reset();
  co_return WIFEXITED(status) ? fmt::format("exited with {}", WEXITSTATUS(status))
                              : fmt::format("died of signal {}", WTERMSIG(status));
}

void Succession::call_off() {
  if (awaited_ > 0) ::kill(awaited_, SIGKILL);  // until_ready() sees it go
}

void Succession::stop() {
  stopping_ = true;
  if (successor_) send_signal(*successor_, SIGTERM);
}

Result<void> Succession::check_hello(const std::string& hello) const {
  std::vector<std::string> words(1);
  for (const char c : hello) {
    if (c == ' ') {
      words.emplace_back();
    } else {
      words.back() += c;
    }
  }
  const auto wrong = [](const std::string& why) {
    return Error(ErrorKind::kInvalidArgument, "the successor " + why, ErrorSource::kPeer);
  };
  if (words.front() != std::to_string(kHandoverProtocol))
    return wrong("speaks another protocol: " + hello);
  if (words.size() != 3) return wrong("does not keep to the protocol");
  if (words.back() != identity_of(parts_.data))
    return wrong("is configured with another data directory than " + parts_.data);
  return {};
}

Task<Result<void>> Succession::until_ready(Born* born) {
  const MonoTime until = parts_.shard.now() + parts_.options().upgrade_timeout;
  bool known = false;
  for (;;) {
    const Result<HandoverLink::Frame> frame = co_await born->link->receive(until);
    if (!frame && frame.error().kind() == ErrorKind::kInvalidArgument) {
      co_return frame.error().within("the successor does not keep to the protocol");
    }
    if (!frame && frame.error().kind() == ErrorKind::kTimeout) {
      co_return Error(ErrorKind::kTimeout, "the successor says nothing", ErrorSource::kPeer);
    }
    if (!frame) co_return frame.error();
    if (frame->type == Type::kReady && known) co_return Result<void>();
    if (frame->type != Type::kHello) {
      co_return Error(ErrorKind::kInvalidArgument, "the successor does not keep to the protocol",
                      ErrorSource::kPeer);
    }
    Result<void> checked = check_hello(frame->payload);
    if (!checked) co_return checked;
    known = true;
  }
}

Task<Result<void>> Succession::until_child_ready(Born* born) {
  awaited_ = born->pid;
  Result<void> ready = co_await until_ready(born);
  awaited_ = -1;
  if (ready) co_return ready;
  const std::string how = co_await bury(born);
  if (ready.error().kind() == ErrorKind::kUnavailable) co_return gone(how);
  co_return ready;
}

Task<Result<void>> Succession::give(Born* born) {
  HandoverLink& link = *born->link;
  for (const CallNews& news :
       leftovers_.attach([&link](CallNews told) { link.send(Type::kNews, encode(told)); })) {
    link.send(Type::kNews, encode(news));
  }
  std::string names = estate_->in_good_order ? "good\nlock\n" : "crashed\nlock\n";
  std::vector<int> fds = {estate_->lock.get()};
  if (estate_->control.is_open()) {
    names += std::string(kControlOfEstate) + "\n";
    fds.push_back(estate_->control.get());
  }
  for (const auto& [place, fd] : estate_->listeners) {
    names += place + "\n";
    fds.push_back(fd.get());
  }
  names += write_memory(estate_->memory, parts_.log);
  link.send(Type::kCommit, std::move(names), std::move(fds));
  const MonoTime until = parts_.shard.now() + parts_.options().upgrade_timeout;
  for (;;) {
    const Result<HandoverLink::Frame> frame = co_await link.receive(until);
    if (!frame) co_return frame.error();
    if (frame->type == Type::kAccepting) {
      parts_.announcer.succeeded_by(born->pid);
      parts_.daemon()->open_relay();
      co_return Result<void>();
    }
    if (frame->type == Type::kNews) take_news(frame->payload);
  }
}

Task<void> Succession::hand_over() {
  parts_.log.info("restart_begins", {{"program", program_}});
  Result<Born> born = spawn(parts_.shard, program_);
  Result<void> ready = born ? Result<void>() : Result<void>(born.error());
  if (born) ready = co_await until_child_ready(&*born);
  if (ready && parts_.may_begin()) co_await parts_.daemon()->tidy();
  if (!parts_.may_begin()) {
    if (ready) co_await bury(&*born);
    ready = gone("came too late: a stop has begun");
  }
  if (!ready) {
    failed_ = ready.error().context();
    parts_.log.error("restart_failed", {{"error", failed_}});
    busy_ = false;
    look_again();
    co_return;
  }
  co_await hand_over_to(std::move(*born));
}

Task<void> Succession::hand_over_to(Born born) {
  successor_.emplace(std::move(born));
  leaving_ = true;
  look_again();
  co_await yield(parts_.shard);  // out of the visit that has led here
  visits_.cancel();
  if (door_ != nullptr) door_->leave_path();
  door_.reset();
  Result<Estate> estate = co_await parts_.daemon()->leave();
  if (!estate) {
    // The store did not close: what is on disk is enough to go on from, as after a crash.
    parts_.log.error("storage_failed", {{"error", estate.error().to_string()}});
    std::_Exit(kExitStoreFailed);
  }
  estate_.emplace(std::move(*estate));
  left_.set();
  const Result<void> given = co_await give(&*successor_);
  const auto pause =
      std::chrono::duration_cast<milliseconds>(parts_.shard.now() - estate_->pause_began);
  if (given) {
    parts_.log.info("restarted", {{"pid", successor_->pid},
                                  {"pause_ms", pause.count()},
                                  {"calls", parts_.calls.all().size()}});
    co_return;
  }
  parts_.log.error("successor_failed", {{"error", given.error().to_string()}});
  co_await rebirth();
}

Task<void> Succession::rebirth() {
  estate_->in_good_order = false;  // what the dead one had begun was interrupted
  for (int n = 0; n < kRebirthsMost; ++n) {
    leftovers_.let_go();
    if (successor_ && successor_->link != nullptr) {
      const std::string how = co_await bury(&*successor_);
      parts_.log.error("successor_died", {{"how", how}});
    }
    successor_.reset();
    if (stopping_) std::_Exit(kExitForced);
    Result<Born> born = spawn(parts_.shard, kOwnImage);
    Result<void> done = born ? Result<void>() : Result<void>(born.error());
    if (born) {
      successor_.emplace(std::move(*born));
      done = co_await until_child_ready(&*successor_);
    }
    if (done) done = co_await give(&*successor_);
    parts_.log.warn("successor_replaced",
                    {{"ok", done.has_value()}, {"error", done ? "" : done.error().to_string()}});
    if (done) co_return;
  }
  std::_Exit(kExitStartFailed);  // whoever supervises us starts from the disk
}

void Succession::take_news(std::string_view bytes) {
  Result<CallNews> news = decode_call_news(bytes);
  if (!news) return;
  if (auto* dropped = std::get_if<CallDropped>(&*news)) leftovers_.heard(*dropped);
  if (auto* answer = std::get_if<AgentAnswered>(&*news)) leftovers_.heard(std::move(*answer));
}

Task<bool> Succession::hear() {
  const Result<HandoverLink::Frame> frame = co_await successor_->link->receive(MonoTime::max());
  if (!frame) co_return false;
  stopping_ = stopping_ || frame->type == Type::kStopping;
  if (frame->type == Type::kNews) take_news(frame->payload);
  co_return true;
}

Task<int> Succession::linger() {
  co_await tasks_.join(MonoTime::max());
  tasks_.spawn("close", parts_.daemon()->close_what_is_left());
  const MonoTime least = parts_.shard.now() + parts_.options().rollback_window;
  while (!parts_.calls.empty() || parts_.shard.now() < least || tasks_.size() > 0) {
    // Calls end by the successor's word alone; then only answers may be left to bring back.
    const MonoTime look =
        parts_.calls.empty() ? std::max(least, parts_.shard.now() + kLookAgain) : MonoTime::max();
    const auto heard = co_await run_until(parts_.shard, hear(), look);
    if (heard.ended == Ended::kDeadline || *heard.value) continue;
    if (stopping_) co_return parts_.calls.empty() ? kExitClean : kExitForced;
    co_await rebirth();
  }
  co_return kExitClean;
}

}  // namespace sluice::app
