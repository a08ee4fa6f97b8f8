#include "beast_peers.h"

#include <array>
#include <cstdio>
#include <memory>
#include <optional>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>
#include <fmt/core.h>

namespace sluice::bench {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using Code = boost::system::error_code;

tcp::endpoint loopback(std::uint16_t port) { return {asio::ip::address_v4::loopback(), port}; }

/// One connection of a client, request after request.
class Relayed : public std::enable_shared_from_this<Relayed> {
 public:
  Relayed(tcp::socket client, std::uint16_t upstream)
      : client_(std::move(client)), upstream_(client_.get_executor()), port_(upstream) {}

  void read_request() {
    request_.emplace();
    http::async_read(client_, from_client_, *request_,
                     [self = shared_from_this()](Code ec, std::size_t) {
                       if (!ec) self->connect();
                     });
  }

 private:
  void connect() {
    if (upstream_.is_open()) return send_request();
    upstream_.async_connect(loopback(port_), [self = shared_from_this()](Code ec) {
      if (ec) return;
      self->upstream_.set_option(tcp::no_delay(true));
      self->send_request();
    });
  }
  void send_request() {
    http::async_write(upstream_, request_->get(),
                      [self = shared_from_this()](Code ec, std::size_t) {
                        if (!ec) self->read_head();
                      });
  }
  void read_head() {
    answer_.emplace();
    answer_->body_limit(boost::none);
    http::async_read_header(upstream_, from_upstream_, *answer_,
                            [self = shared_from_this()](Code ec, std::size_t) {
                              if (!ec) self->send_head();
                            });
  }
  void send_head() {
    head_.emplace(http::status::ok, 11);
    head_->set(http::field::content_type, answer_->get()[http::field::content_type]);
    head_->chunked(true);
    head_writer_.emplace(*head_);
    http::async_write_header(client_, *head_writer_,
                             [self = shared_from_this()](Code ec, std::size_t) {
                               if (!ec) self->read_piece();
                             });
  }
  void read_piece() {
    answer_->get().body().data = piece_.data();
    answer_->get().body().size = piece_.size();
    http::async_read_some(upstream_, from_upstream_, *answer_,
                          [self = shared_from_this()](Code ec, std::size_t) {
                            if (!ec || ec == http::error::need_buffer) self->send_piece();
                          });
  }
  void send_piece() {
    const std::size_t size = piece_.size() - answer_->get().body().size;
    if (size == 0) return after_piece();
    asio::async_write(client_, http::make_chunk(asio::const_buffer(piece_.data(), size)),
                      [self = shared_from_this()](Code ec, std::size_t) {
                        if (!ec) self->after_piece();
                      });
  }
  void after_piece() {
    if (!answer_->is_done()) return read_piece();
    asio::async_write(client_, http::make_chunk_last(),
                      [self = shared_from_this()](Code ec, std::size_t) {
                        if (!ec) self->read_request();
                      });
  }

  tcp::socket client_;
  tcp::socket upstream_;
  const std::uint16_t port_;
  beast::flat_buffer from_client_;
  beast::flat_buffer from_upstream_;
  std::optional<http::request_parser<http::string_body>> request_;
  std::optional<http::response_parser<http::buffer_body>> answer_;
  std::optional<http::response<http::empty_body>> head_;
  std::optional<http::response_serializer<http::empty_body>> head_writer_;
  std::array<char, 4096> piece_;
};

class Socket : public std::enable_shared_from_this<Socket> {
 public:
  explicit Socket(tcp::socket socket) : socket_(std::move(socket)) {}
  void open() {
    socket_.async_accept([self = shared_from_this()](Code ec) {
      if (!ec) self->read();
    });
  }

 private:
  void read() {
    socket_.async_read(buffer_, [self = shared_from_this()](Code ec, std::size_t) {
      self->buffer_.clear();
      if (!ec) self->read();
    });
  }
  beast::websocket::stream<tcp::socket> socket_;
  beast::flat_buffer buffer_;
};

template <class Take>
class Acceptor {
 public:
  Acceptor(asio::io_context& io, Take take) : listener_(io, loopback(0)), take_(std::move(take)) {
    listener_.listen(4096);
    fmt::print("port {}\n", listener_.local_endpoint().port());
    std::fflush(stdout);
    next();
  }

 private:
  void next() {
    listener_.async_accept([this](Code ec, tcp::socket socket) {
      if (!ec) {
        socket.set_option(tcp::no_delay(true));
        take_(std::move(socket));
      }
      next();
    });
  }
  tcp::acceptor listener_;
  Take take_;
};

}  // namespace

int beast_relay(std::uint16_t upstream) {
  asio::io_context io(1);
  const Acceptor acceptor(io, [upstream](tcp::socket socket) {
    std::make_shared<Relayed>(std::move(socket), upstream)->read_request();
  });
  io.run();
  return 0;
}

int beast_sockets() {
  asio::io_context io(1);
  const Acceptor acceptor(
      io, [](tcp::socket socket) { std::make_shared<Socket>(std::move(socket))->open(); });
  io.run();
  return 0;
}

}  // namespace sluice::bench
