// A WebSocket server that says what it hears, for clients that nobody here wrote
// (websocket_test.py). Prints its port; ends when its input does. With a certificate and a key as
// arguments it speaks TLS.
#include <cstdio>
#include <optional>
#include <string>
#include <thread>

#include "net/http_server.h"

namespace sluice {
namespace {

Task<void> echo(net::HttpExchange* exchange) {
  auto socket = co_await exchange->upgrade({});
  if (!socket) co_return;
  Result<void> written;
  while (written) {
    Result<std::string> text = co_await (*socket)->read();
    if (!text) co_return;
    written = co_await (*socket)->write(*std::move(text));
  }
}

int serve(int argc, char** argv) {
  SystemClock clock;
  Shard shard(clock, 1);
  net::HttpServerHooks hooks;
  hooks.handler = [](net::HttpExchange& exchange) { return echo(&exchange); };
  std::optional<net::HttpServer> server;
  server.emplace(shard, net::HttpServerOptions{}, std::move(hooks));
  std::shared_ptr<net::TlsContext> tls;
  if (argc == 3) {
    auto made = net::TlsContext::for_server({argv[1], argv[2]});
    if (!made) return 1;
    tls = std::move(*made);
  }
  const auto bound = server->listen_tcp("127.0.0.1", 0, tls);
  if (!bound) return 1;
  std::printf("%u\n", static_cast<unsigned>(bound->port));
  std::fflush(stdout);
  std::thread input([&shard] {
    while (std::getchar() != EOF) {
    }
    shard.stop();
  });
  shard.run();
  input.join();
  return 0;
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) { return sluice::serve(argc, argv); }
