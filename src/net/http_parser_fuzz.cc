// Whatever the bytes, as a request and as a response: no crash, bounds hold, and cutting them
// elsewhere gives the same message.
#include <cstdlib>

#include "net/http_parser.h"

using sluice::net::HttpParser;
using sluice::net::HttpParserLimits;

namespace {

struct Parsed {
  bool done = false;
  bool failed = false;
  std::string method;
  std::string body;
  friend bool operator==(const Parsed&, const Parsed&) = default;
};

Parsed parse(HttpParser parser, std::string_view text, std::size_t step) {
  Parsed parsed;
  std::string pending;
  std::size_t at = 0;
  while (!parser.done() && !parsed.failed) {
    const auto used = parser.put(pending);
    if (!used) {
      parsed.failed = true;
      break;
    }
    pending.erase(0, *used);
    if (*used > 0 && !pending.empty()) continue;
    if (at >= text.size()) break;
    pending += text.substr(at, step);
    at += step;
  }
  if (!parsed.failed && parser.head_done() && parser.request().method.size() <= 32) {
    auto split = sluice::net::split_target(parser.request());
    if (split && parser.request().query.size() > sluice::net::kMaxQueryParams) std::abort();
  }
  if (parser.body().size() > 512 || parser.headers().size() > 8) std::abort();
  parsed.done = parser.done();
  parsed.method = parser.request().method;
  parsed.body = parser.body();
  return parsed;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t step = data[0] % 16 + 1;
  const HttpParserLimits limits{.header_bytes = 1024, .header_count = 8, .body_bytes = 512};
  const Parsed whole = parse(HttpParser::for_request(limits), text, text.size() + 1);
  const Parsed cut = parse(HttpParser::for_request(limits), text, step);
  // A bound on what is pending may trip at another byte, but never may a message come out
  // different.
  if (whole.done && cut.done && !(whole == cut)) std::abort();
  if (whole.done != cut.done && !whole.failed && !cut.failed) std::abort();
  parse(HttpParser::for_response(limits, false), text, step);
  parse(HttpParser::for_response(limits, true), text, step);
  return 0;
}
