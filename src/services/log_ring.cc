#include "services/log_ring.h"

#include "base/utf8.h"

namespace sluice::services {

void LogRing::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    const std::string_view piece = bytes.substr(0, end);
    const std::size_t room = kLineBytes - partial_.size();
    partial_ += piece.substr(0, room);  // of a longer line the rest is lost
    if (end == std::string_view::npos) return;
    bytes.remove_prefix(end + 1);
    push(false, std::exchange(partial_, {}));
  }
}

void LogRing::flush() {
  if (!partial_.empty()) push(false, std::exchange(partial_, {}));
}

void LogRing::note(std::string_view text) {
  push(true, std::string(text.substr(0, utf8_floor(text, kLineBytes))));
}

void LogRing::push(bool ours, std::string text) {
  if (!ours) {
    text = strip_terminal_controls(text);
    if (text.ends_with('\r')) text.pop_back();
    if (!is_utf8(text)) {
      for (char& c : text) {
        if (static_cast<unsigned char>(c) >= 0x80) c = '?';
      }
    }
    log_.debug("service_said", {{"service", service_}, {"line", text}});
  }
  if (lines_.size() == kLinesMost) lines_.pop_front();
  lines_.push_back({loop_.wall(), ours, std::move(text)});
}

}  // namespace sluice::services
