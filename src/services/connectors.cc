#include "services/connectors.h"

#include <cerrno>
#include <csignal>
#include <cstring>

#include <fcntl.h>
#include <sys/file.h>

#include "services/byte_stream.h"

namespace sluice::services {
namespace {

using MadeLink = Result<std::unique_ptr<Link>>;
using MaybeFrame = std::optional<std::string>;

/// For the exit status of a process whose output has ended.
constexpr Duration kStatusPatience = std::chrono::milliseconds(200);
/// An instance of another process is on its way out.
constexpr Duration kLockAgain = std::chrono::milliseconds(20);

Error ended(std::string how) {
  return Error(ErrorKind::kUnavailable, std::move(how), ErrorSource::kPeer, Retry::with_backoff());
}

class SocketLink : public Link {
 public:
  SocketLink(Loop& loop, std::unique_ptr<net::Transport> transport, Framing framing,
             std::size_t frame_most)
      : loop_(loop),
        frames_(std::make_unique<SocketStream>(std::move(transport)), framing, frame_most) {}

  Task<Result<std::string>> receive() override {
    Result<MaybeFrame> frame = co_await frames_.receive();
    if (!frame) co_return frame.error();
    if (!*frame) co_return ended("the other end closed the connection");
    co_return std::move(**frame);
  }
  Task<Result<void>> send(std::string message, MonoTime deadline) override {
    return frames_.send(std::move(message), deadline);
  }
  Task<void> close(MonoTime deadline) override {
    frames_.bytes().finish_writing();
    Task<Result<void>> rest = read_out();
    (void)co_await run_until(loop_, std::move(rest), deadline);
  }

 private:
  Task<Result<void>> read_out() {
    for (;;) {
      const Result<MaybeFrame> frame = co_await frames_.receive();
      if (!frame || !*frame) co_return Result<void>();
    }
  }

  Loop& loop_;
  FrameStream frames_;
};

class ProcessLink : public Link {
 public:
  ProcessLink(net::Poller& poller, std::unique_ptr<PipeStream> pipes, Framing framing,
              std::shared_ptr<ChildProcess> child, LogRing* log)
      : loop_(poller.shard()),
        frames_(std::move(pipes), framing),
        child_(std::move(child)),
        log_(log),
        errors_(poller),
        tasks_(poller.shard()) {}
  ~ProcessLink() override {
    child_->send(SIGKILL);
    log_->flush();
  }

  Result<void> follow_errors(Descriptor errors) {
    const Result<void> adopted = errors_.adopt(std::move(errors));
    if (adopted) tasks_.spawn("service_errors", read_errors());
    return adopted;
  }

  Task<Result<std::string>> receive() override {
    Result<MaybeFrame> frame = co_await frames_.receive();
    if (!frame) co_return frame.error();
    if (*frame) co_return std::move(**frame);
    co_await child_->ended.wait_until(loop_.now() + kStatusPatience);
    co_return ended(child_->ended.is_set() ? "the process ended with " + child_->how
                                           : std::string("the process closed its output"));
  }
  Task<Result<void>> send(std::string message, MonoTime deadline) override {
    return frames_.send(std::move(message), deadline);
  }
  Task<void> close(MonoTime deadline) override {
    const MonoTime now = loop_.now();
    const Duration part = std::max(Duration(0), deadline - now) * 2 / 5;
    frames_.bytes().finish_writing();  // well-behaved ones end at the end of their input
    co_await child_->ended.wait_until(now + part);
    if (child_->ended.is_set()) co_return;
    child_->send(SIGTERM);
    co_await child_->ended.wait_until(now + part * 2);
    if (child_->ended.is_set()) co_return;
    log_->note("it does not end: killed");
    child_->send(SIGKILL);
    co_await child_->ended.wait_until(deadline);
  }
  std::int64_t process_id() const override { return child_->id; }

 private:
  Task<void> read_errors() {
    constexpr std::size_t kReadBytes = 4096;
    std::string buffer(kReadBytes, '\0');
    for (;;) {
      const Result<std::size_t> got = co_await errors_.read(buffer.data(), buffer.size());
      if (!got || *got == 0) break;
      log_->feed(std::string_view(buffer).substr(0, *got));
      co_await yield(loop_);
    }
    log_->flush();
  }

  Loop& loop_;
  FrameStream frames_;
  std::shared_ptr<ChildProcess> child_;
  LogRing* log_;
  PipeEnd errors_;
  TaskGroup tasks_;
};

}  // namespace

std::unique_ptr<Link> make_socket_link(Loop& loop, std::unique_ptr<net::Transport> transport,
                                       Framing framing, std::size_t frame_most) {
  return std::make_unique<SocketLink>(loop, std::move(transport), framing, frame_most);
}

Task<Result<Descriptor>> ProcessConnector::hold_lock(MonoTime deadline) {
  if (lock_.empty()) co_return Descriptor();
  Descriptor file(::open(lock_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!file.is_open()) {
    co_return Error(ErrorKind::kUnavailable, lock_ + ": " + std::strerror(errno));
  }
  while (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK || poller_.shard().now() >= deadline) {
      co_return Error(ErrorKind::kUnavailable, lock_ + ": " + std::strerror(errno),
                      ErrorSource::kSelf, Retry::with_backoff());
    }
    co_await sleep_for(poller_.shard(), kLockAgain);
  }
  co_return file;
}

Task<MadeLink> ProcessConnector::connect(MonoTime deadline, LogRing* log) {
  Result<Descriptor> lock = co_await hold_lock(deadline);
  if (!lock) co_return lock.error();
  reaper_.prepare();
  const std::uint64_t mark = reaper_.next_mark();
  auto spawned = spawn_process(plan_, mark);
  if (!spawned) co_return spawned.error();
  const auto child = reaper_.adopt(spawned->id, std::move(spawned->handle), mark);
  child->lock = std::move(*lock);
  auto pipes = std::make_unique<PipeStream>(poller_);
  const Result<void> adopted = pipes->adopt(std::move(spawned->input), std::move(spawned->output));
  auto link = std::make_unique<ProcessLink>(poller_, std::move(pipes), framing_, child, log);
  const Result<void> followed = link->follow_errors(std::move(spawned->errors));
  if (!adopted) co_return adopted.error();
  if (!followed) co_return followed.error();
  co_return std::unique_ptr<Link>(std::move(link));
}

Task<MadeLink> TcpConnector::connect(MonoTime deadline, LogRing*) {
  const auto found = co_await net::resolve(poller_.shard(), host_, port_, deadline);
  if (!found) co_return found.error();
  Error last = ended(host_ + " has no address");
  for (const net::Endpoint& endpoint : *found) {
    auto transport = std::make_unique<net::Transport>(poller_);
    const Result<void> connected = co_await transport->connect(endpoint, deadline);
    if (connected) {
      co_return make_socket_link(poller_.shard(), std::move(transport), framing_);
    }
    last = connected.error();
  }
  co_return last;
}

Task<MadeLink> UnixConnector::connect(MonoTime deadline, LogRing*) {
  auto transport = std::make_unique<net::Transport>(poller_);
  const Result<void> connected = co_await transport->connect_unix(path_, deadline);
  if (!connected) co_return connected.error();
  co_return make_socket_link(poller_.shard(), std::move(transport), framing_);
}

}  // namespace sluice::services
