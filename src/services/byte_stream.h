#pragma once
// ByteStream: the two directions of a connection with a service, as bytes: the pipes of a process,
// or a socket. Shard-confined; one reader and one writer at a time; destroying it closes.

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "net/poller.h"
#include "net/transport.h"
#include "runtime/task.h"
#include "services/descriptor.h"
#include "services/framing.h"

namespace sluice::services {

class ByteStream {
 public:
  virtual ~ByteStream() = default;
  /// At least one byte; 0 at the end. out outlives the task.
  virtual Task<Result<std::size_t>> read(char* out, std::size_t size) = 0;
  virtual Task<Result<void>> write(std::string bytes, MonoTime deadline) = 0;
  virtual void finish_writing() = 0;
};

/// One end of a pipe.
class PipeEnd {
 public:
  explicit PipeEnd(net::Poller& poller) : watch_(poller) {}
  Result<void> adopt(Descriptor end);
  Task<Result<std::size_t>> read(char* out, std::size_t size);
  Task<Result<void>> write(std::string bytes, MonoTime deadline);
  void close();

 private:
  Descriptor end_;
  net::Watch watch_;
};

class PipeStream : public ByteStream {
 public:
  explicit PipeStream(net::Poller& poller) : input_(poller), output_(poller) {}
  /// input: what we write to. output: what we read from.
  Result<void> adopt(Descriptor input, Descriptor output);
  Task<Result<std::size_t>> read(char* out, std::size_t size) override;
  Task<Result<void>> write(std::string bytes, MonoTime deadline) override;
  void finish_writing() override { input_.close(); }

 private:
  PipeEnd input_;
  PipeEnd output_;
};

class SocketStream : public ByteStream {
 public:
  explicit SocketStream(std::unique_ptr<net::Transport> transport)
      : transport_(std::move(transport)) {}
  Task<Result<std::size_t>> read(char* out, std::size_t size) override;
  Task<Result<void>> write(std::string bytes, MonoTime deadline) override;
  void finish_writing() override { transport_->finish_writing(); }

 private:
  std::unique_ptr<net::Transport> transport_;
};

/// Frames of a stream.
class FrameStream {
 public:
  FrameStream(std::unique_ptr<ByteStream> stream, Framing framing, std::size_t most = kFrameMost)
      : stream_(std::move(stream)), deframer_(framing, most), framing_(framing) {}
  /// Nothing: the stream has ended, perhaps within a frame.
  Task<Result<std::optional<std::string>>> receive();
  Task<Result<void>> send(std::string message, MonoTime deadline);
  ByteStream& bytes() { return *stream_; }

 private:
  static constexpr std::size_t kReadBytes = 16 * 1024;
  std::unique_ptr<ByteStream> stream_;
  Deframer deframer_;
  Framing framing_;
  std::string buffer_;
};

}  // namespace sluice::services
