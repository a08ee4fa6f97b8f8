#include "services/byte_stream.h"

#include <cerrno>
#include <cstring>
#include <string_view>

#include <unistd.h>

namespace sluice::services {
namespace {

Error broken(std::string_view what, int error) {
  return Error(ErrorKind::kUnavailable, std::string(what) + ": " + std::strerror(error),
               ErrorSource::kPeer, Retry::with_backoff());
}

}  // namespace

Result<void> PipeEnd::adopt(Descriptor end) {
  end_ = std::move(end);
  return watch_.start(end_.get());
}

void PipeEnd::close() {
  watch_.stop();
  end_.reset();
}

Task<Result<std::size_t>> PipeEnd::read(char* out, std::size_t size) {
  for (;;) {
    const ssize_t got = ::read(end_.get(), out, size);
    if (got >= 0) co_return static_cast<std::size_t>(got);
    if (errno == EINTR) continue;
    if (errno != EAGAIN) co_return broken("read", errno);
    watch_.exhausted(net::Watch::Side::kRead);
    co_await watch_.wait(net::Watch::Side::kRead, MonoTime::max());
  }
}

Task<Result<void>> PipeEnd::write(std::string bytes, MonoTime deadline) {
  std::string_view rest = bytes;
  while (!rest.empty()) {
    if (!end_.is_open()) co_return broken("write", EPIPE);
    const ssize_t wrote = ::write(end_.get(), rest.data(), rest.size());
    if (wrote >= 0) {
      rest.remove_prefix(static_cast<std::size_t>(wrote));
      continue;
    }
    if (errno == EINTR) continue;
    if (errno != EAGAIN) co_return broken("write", errno);
    watch_.exhausted(net::Watch::Side::kWrite);
    const net::Wake wake = co_await watch_.wait(net::Watch::Side::kWrite, deadline);
    if (wake == net::Wake::kTimeout) {
      co_return Error(ErrorKind::kTimeout, "the service does not read", ErrorSource::kPeer,
                      Retry::with_backoff());
    }
  }
  co_return Result<void>();
}

Result<void> PipeStream::adopt(Descriptor input, Descriptor output) {
  const Result<void> adopted = input_.adopt(std::move(input));
  return adopted ? output_.adopt(std::move(output)) : adopted;
}

Task<Result<std::size_t>> PipeStream::read(char* out, std::size_t size) {
  return output_.read(out, size);
}

Task<Result<void>> PipeStream::write(std::string bytes, MonoTime deadline) {
  return input_.write(std::move(bytes), deadline);
}

Task<Result<std::size_t>> SocketStream::read(char* out, std::size_t size) {
  using Status = net::Transport::Status;
  for (;;) {
    const net::Transport::Io io = transport_->try_read(out, size);
    if (io.status == Status::kDone) co_return io.bytes;
    if (io.status == Status::kEof) co_return std::size_t{0};
    if (io.status == Status::kFailed) co_return broken("read", errno == 0 ? EPIPE : errno);
    co_await transport_->watch().wait(io.side, MonoTime::max());
  }
}

Task<Result<void>> SocketStream::write(std::string bytes, MonoTime deadline) {
  constexpr Duration kLongest = std::chrono::hours(24);  // the deadline comes first
  return transport_->write_all(std::move(bytes), kLongest, deadline);
}

Task<Result<std::optional<std::string>>> FrameStream::receive() {
  for (;;) {
    auto frame = deframer_.next();
    if (!frame) co_return frame.error();
    if (*frame) co_return std::move(*frame);
    buffer_.resize(kReadBytes);
    const Result<std::size_t> got = co_await stream_->read(buffer_.data(), buffer_.size());
    if (!got) co_return got.error();
    if (*got == 0) co_return std::optional<std::string>();
    deframer_.feed(std::string_view(buffer_).substr(0, *got));
  }
}

Task<Result<void>> FrameStream::send(std::string message, MonoTime deadline) {
  std::string bytes = framed(framing_, message);
  message = std::string();
  co_return co_await stream_->write(std::move(bytes), deadline);
}

}  // namespace sluice::services
