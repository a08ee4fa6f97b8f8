// Whatever is posted: an error that can be told, or events that keep the promises of body.h.

#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "base/utf8.h"
#include "channels/http/body.h"
#include "net/json_body.h"

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

bool is_clean_or_empty(std::string_view id) { return id.empty() || sluice::net::is_clean_name(id); }

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice;
  if (size == 0) return 0;
  // The first byte chooses who calls and whether there is a header.
  const std::uint8_t flags = data[0];
  const std::string_view json(reinterpret_cast<const char*>(data) + 1, size - 1);
  Result<http::PostedBody> body = http::parse_body(json);
  if (!body) {
    require(is_utf8(body.error().context()));
    return 0;
  }
  require(!body->events.empty() && body->events.size() <= http::kMaxEvents);
  const http::Caller caller{"p/1", (flags & 1) != 0, (flags & 2) != 0};
  std::optional<std::string_view> key;
  if ((flags & 4) != 0) key = "key";
  if (!http::complete(*body, caller, "chat", key)) return 0;
  for (const InboundMessage& event : body->events) {
    require(!event.event.empty() && !event.text.empty() && !event.sender.empty());
    require(is_utf8(event.text) && event.text.find('\0') == std::string::npos);
    for (const std::string* id : {&event.chat, &event.event, &event.revision, &event.sender,
                                  &event.sender_name, &event.session, &event.request_id}) {
      require(is_clean_or_empty(*id));
    }
    require(caller.names_senders || event.sender == caller.person);
    require(http::may_see(caller, event.chat));
    require((event.kind == EventKind::kEdit) == !event.revision.empty());
  }
  return 0;
}
