#pragma once
// Markdown (CommonMark with GitHub's tables, strikethrough, task lists and bare links) as HTML that
// a page may show whoever wrote it.
//
// Module text: what all renderers of answers share. It may include base only. Pure functions and
// values; any thread, one at a time for a value.
//
// Inert by construction: HTML in the text is shown as text; links lead to http, https and mailto
// only, and say noopener, noreferrer, nofollow; images become links, so that nothing is fetched.
// The library behind it is cmark-gfm 0.29.0.gfm.6, which takes quadratic time for some texts made
// for that: what is over a bound below is shown as it was written, in <pre class="plain">.
//
// Reference: https://spec.commonmark.org/0.29/, https://github.github.com/gfm/ (2019).

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::text {

struct MarkdownLimits {
  std::size_t bytes = 256 * 1024;
  std::size_t special = 32 * 1024;   // characters that mean something: * _ [ ] ` | < & and so on
  std::size_t brackets = 1000;       // "[" of one paragraph
  std::size_t at_signs = 1000;       // "@": each may begin a link
  std::size_t table_cells = 20'000;  // rows times columns of one table
  std::size_t nesting = 100;         // quotes and lists in one line
};

/// Whether the text is within the limits. O(size).
bool within(const MarkdownLimits& limits, std::string_view markdown);

/// "<" and so on as entities.
std::string escape_html(std::string_view text);

/// The whole text. UTF-8 in and out; what is not becomes U+FFFD.
std::string markdown_to_html(std::string_view markdown);

/// A text that is still being written, as a list of HTML blocks (paragraphs, lists, tables, code).
/// Only the last one can change while the text grows, so a reader keeps what it has and replaces
/// the end. A link defined behind its use is only right once the whole is rendered.
class LiveMarkdown {
 public:
  void append(std::string_view text) { tail_.append(text); }

  /// What a reader must do to its list: drop the blocks from `from` on, then append these.
  struct Change {
    std::size_t from = 0;
    std::vector<std::string> blocks;
  };
  Change render();

  /// What the next render() has to look at.
  std::size_t tail_bytes() const { return tail_.size(); }

 private:
  std::string tail_;          // behind the finished blocks
  std::size_t finished_ = 0;  // blocks
};

}  // namespace sluice::text
