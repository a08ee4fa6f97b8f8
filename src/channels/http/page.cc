#include "channels/http/page.h"

#include <string>

namespace sluice::http {
namespace {

std::string_view type_of(std::string_view name) {
  if (name.ends_with(".html")) return "text/html; charset=utf-8";
  if (name.ends_with(".js")) return "text/javascript; charset=utf-8";
  if (name.ends_with(".css")) return "text/css; charset=utf-8";
  return "image/svg+xml";
}

net::HttpResponse answer(const net::HttpRequest& request, const PageFile& file) {
  net::HttpResponse response;
  response.headers.set("Content-Type", type_of(file.name));
  response.headers.set("ETag", file.tag);
  // Asked for each time, so that a new daemon never meets an old page; the answer is mostly 304.
  response.headers.set("Cache-Control", "no-cache");
  response.headers.set("Vary", "Accept-Encoding");
  response.headers.set("Content-Security-Policy", kContentSecurityPolicy);
  response.headers.set("Referrer-Policy", "no-referrer");
  response.headers.set("X-Content-Type-Options", "nosniff");
  response.headers.set("Cross-Origin-Opener-Policy", "same-origin");
  response.headers.set("Cross-Origin-Resource-Policy", "same-origin");
  // RFC 9110 13.1.2: weak comparison, since a proxy may have made the tag weak.
  if (request.headers.has_token("if-none-match", file.tag) ||
      request.headers.has_token("if-none-match", "W/" + std::string(file.tag))) {
    response.status = 304;
    return response;
  }
  if (request.headers.has_token("accept-encoding", "gzip")) {
    response.headers.set("Content-Encoding", "gzip");
    response.body = file.gzip;
  } else {
    response.body = file.plain;
  }
  return response;
}

Task<void> serve(net::HttpExchange* exchange, const PageFile* file) {
  exchange->respond(answer(exchange->request(), *file));
  co_return;
}

}  // namespace

void mount_page(net::Router& router) {
  for (const PageFile& file : page_files()) {
    const std::string path = file.name == "index.html" ? "/" : "/" + std::string(file.name);
    net::RouteOptions options;
    options.body_limit = 0;
    router.add(
        "GET", path, [&file](net::HttpExchange& exchange) { return serve(&exchange, &file); },
        options);
  }
}

}  // namespace sluice::http
