// Markdown from an agent: whatever it is, the HTML is UTF-8 and nothing in it can act; read in
// pieces, a reader's list stays a list.
#include <cstdint>
#include <cstdlib>

#include "base/utf8.h"
#include "text/markdown.h"

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

void check_html(const std::string& html) {
  check(sluice::is_utf8(html));
  for (const char* forbidden : {"<script", "<img", "<iframe", "<svg", "<style", "<!--", "href=\"j",
                                "href=\"J", "href=\"/", "href=\"d", "href=\"#"}) {
    check(html.find(forbidden) == std::string::npos);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_html(sluice::text::markdown_to_html(text));
  sluice::text::LiveMarkdown live;
  std::size_t blocks = 0;
  const std::size_t step = size / 8 + 1;
  for (std::size_t at = 0; at < size; at += step) {
    live.append(text.substr(at, step));
    const auto change = live.render();
    check(change.from <= blocks);
    blocks = change.from + change.blocks.size();
    for (const std::string& block : change.blocks) check_html(block);
  }
  return 0;
}
