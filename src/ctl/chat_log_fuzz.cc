// A daemon that sends anything: lines come in ascending order, and the pieces of an answer always
// join to the beginning of what its line says.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "ctl/chat_log.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice;
  net::SseParser parser(64 * 1024);
  std::vector<net::SseEvent> events;
  const auto parsed =
      parser.put(std::string_view(reinterpret_cast<const char*>(data), size), events);
  (void)parsed;  // what came before it failed is still to be read
  ctl::ChatLog log(0);
  std::string shown;
  for (const net::SseEvent& event : events) {
    std::int64_t last = log.last();
    std::vector<ctl::ChatEvent> news;
    const auto read = log.put(event, news);
    if (!read) SLUICE_ASSERT(news.empty());
    for (const ctl::ChatEvent& one : news) {
      if (const auto* line = std::get_if<ctl::ChatLine>(&one)) {
        SLUICE_ASSERT(line->id > last);
        last = line->id;
        SLUICE_ASSERT(line->given == 0 || line->text.substr(0, line->given) == shown);
        if (line->given > 0) shown.clear();
      } else if (const auto* piece = std::get_if<ctl::ChatPiece>(&one)) {
        shown += piece->text;
      } else if (std::holds_alternative<ctl::ChatVoid>(one)) {
        SLUICE_ASSERT(!shown.empty());
        shown.clear();
      }
    }
  }
  return 0;
}
