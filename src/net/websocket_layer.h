#pragma once
// WsLayer: a Transport as Beast's websocket stream wants to see it. Internal to websocket.cc, the
// only file that may include this.
//
// Beast starts an operation and expects a handler to be called; we wait in coroutines of our own,
// one for each direction, and call it from there, never from inside the start. Shard-confined;
// destroying it drops operations under way without calling their handlers.

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include <boost/asio/async_result.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/beast/core/bind_handler.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/beast/core/role.hpp>

#include "net/transport.h"
#include "runtime/shard.h"
#include "runtime/wait.h"

namespace sluice::net {

class WsLayer {
 public:
  using executor_type = boost::asio::io_context::executor_type;
  using ErrorCode = boost::beast::error_code;
  using Signature = void(ErrorCode, std::size_t);
  static constexpr std::size_t kWriteBytes = 64 * 1024;  // gathered for one write

  WsLayer(Shard& shard, Transport& transport, std::string already_read, Duration stall)
      : shard_(shard),
        transport_(transport),
        already_read_(std::move(already_read)),
        stall_(stall),
        read_wanted_(shard),
        write_wanted_(shard),
        side_free_(shard),
        reader_(read_loop(this)),
        writer_(write_loop(this)) {
    reader_.start();
    writer_.start();
  }
  WsLayer(const WsLayer&) = delete;
  WsLayer& operator=(const WsLayer&) = delete;

  executor_type get_executor() { return shard_.io().get_executor(); }

  template <class Buffers, class Token>
  auto async_read_some(const Buffers& buffers, Token&& token) {
    return boost::asio::async_initiate<Token, Signature>(
        [this](auto handler, const Buffers& into) {
          for (auto at = boost::asio::buffer_sequence_begin(into);
               at != boost::asio::buffer_sequence_end(into); ++at) {
            read_into_ = boost::asio::mutable_buffer(*at);
            if (read_into_.size() > 0) break;
          }
          reading_ = erase(std::move(handler));
          read_wanted_.set();
        },
        token, buffers);
  }

  template <class Buffers, class Token>
  auto async_write_some(const Buffers& buffers, Token&& token) {
    return boost::asio::async_initiate<Token, Signature>(
        [this](auto handler, const Buffers& from) {
          // Header and payload leave in one segment.
          out_.resize(std::min(boost::asio::buffer_size(from), kWriteBytes));
          boost::asio::buffer_copy(boost::asio::buffer(out_), from);
          writing_ = erase(std::move(handler));
          write_wanted_.set();
        },
        token, buffers);
  }

  void finish_writing() { transport_.finish_writing(); }
  MonoTime last_heard() const { return last_heard_; }

 private:
  /// A handler whose type nobody knows.
  struct Operation {
    virtual ~Operation() = default;
    virtual void complete(ErrorCode ec, std::size_t bytes) = 0;
  };
  template <class Handler>
  struct OperationOf final : Operation {
    explicit OperationOf(Handler h) : handler(std::move(h)) {}
    void complete(ErrorCode ec, std::size_t bytes) override { std::move(handler)(ec, bytes); }
    Handler handler;
  };
  template <class Handler>
  static std::unique_ptr<Operation> erase(Handler handler) {
    return std::make_unique<OperationOf<Handler>>(std::move(handler));
  }

  static Task<void> read_loop(WsLayer* self);
  static Task<void> write_loop(WsLayer* self);
  Task<ErrorCode> read_some(std::size_t* bytes);
  Task<ErrorCode> write_some(std::size_t* bytes);
  Task<Wake> wait(Watch::Side side, MonoTime deadline);

  Shard& shard_;
  Transport& transport_;
  std::string already_read_;
  const Duration stall_;
  MonoTime last_heard_ = shard_.now();

  std::unique_ptr<Operation> reading_;
  std::unique_ptr<Operation> writing_;
  boost::asio::mutable_buffer read_into_;
  std::string out_;
  Event read_wanted_;
  Event write_wanted_;
  // TLS may have to read in order to write, but each side of a Watch has room for one waiter.
  bool side_taken_[2] = {false, false};
  Event side_free_;
  Running reader_;  // last: they use all of the above
  Running writer_;
};

/// Found by Beast by its arguments: both sides have said goodbye.
template <class Handler>
void async_teardown(boost::beast::role_type, WsLayer& layer, Handler&& handler) {
  layer.finish_writing();
  boost::asio::post(
      layer.get_executor(),
      boost::beast::bind_front_handler(std::forward<Handler>(handler), WsLayer::ErrorCode()));
}
inline void beast_close_socket(WsLayer& layer) { layer.finish_writing(); }

}  // namespace sluice::net
