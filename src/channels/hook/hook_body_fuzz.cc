// Whatever the bytes: no crash, and what was accepted is UTF-8, whole, and finds its way back.
#include <cstdlib>

#include "base/utf8.h"
#include "channels/hook/body.h"
#include "channels/hook/outcome.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto body = hook::parse_body(text, {});
  if (body) {
    const InboundMessage& m = body->message;
    require(!m.event.empty() && !m.chat.empty() && !m.sender.empty());
    require(m.kind == EventKind::kDelete || !m.text.empty());
    for (const std::string* part : {&m.event, &m.chat, &m.sender, &m.text, &body->callback}) {
      require(is_utf8(*part));
    }
    const hook::ReplyTo back =
        hook::parse_reply_to(to_string(hook::ReplyTo{body->callback, m.event}));
    require(back.callback == body->callback && back.event == m.event);
  } else {
    require(is_utf8(body.error().context()));
  }
  const SendOutcome outcome =
      hook::outcome_of(net::HttpClientResponse{200, {}, std::string(text)}, true, UnixMillis{});
  require(outcome.what == SendOutcome::What::kSent);
  return 0;
}
