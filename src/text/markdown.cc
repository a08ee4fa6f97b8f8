#include "text/markdown.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>

#include <cmark-gfm-core-extensions.h>
#include <cmark-gfm-extension_api.h>
#include <cmark-gfm.h>

#include "base/utf8.h"

namespace sluice::text {
namespace {

constexpr int kOptions = CMARK_OPT_VALIDATE_UTF8;  // raw HTML is off unless asked for
constexpr std::string_view kSpecial = "*_~`[]<>&|@!";

struct ParserFree {
  void operator()(cmark_parser* parser) const { cmark_parser_free(parser); }
};
struct NodeFree {
  void operator()(cmark_node* node) const { cmark_node_free(node); }
};

/// Counts what a line begins with: quotes and list markers inside each other.
std::size_t nesting_of(std::string_view line) {
  std::size_t depth = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    const bool spaced = i + 1 >= line.size() || line[i + 1] == ' ' || line[i + 1] == '\t';
    if (c == ' ' || c == '\t' || (c >= '0' && c <= '9')) continue;
    const bool marker = c == '-' || c == '*' || c == '+' || c == '.' || c == ')';
    if (c != '>' && !(marker && spaced)) break;
    ++depth;
  }
  return depth;
}

/// A tree in which nothing can act: see the header.
class Document {
 public:
  explicit Document(std::string_view markdown) {
    // Registers them once for the process, in the library.
    cmark_gfm_core_extensions_ensure_registered();
    parser_.reset(cmark_parser_new(kOptions));
    for (const char* name : {"table", "strikethrough", "autolink", "tasklist"}) {
      if (cmark_syntax_extension* extension = cmark_find_syntax_extension(name)) {
        cmark_parser_attach_syntax_extension(parser_.get(), extension);
      }
    }
    cmark_parser_feed(parser_.get(), markdown.data(), markdown.size());
    root_.reset(cmark_parser_finish(parser_.get()));
    disarm();
  }

  cmark_node* first() const { return cmark_node_first_child(root_.get()); }
  std::string html(cmark_node* node) const {
    char* rendered =
        cmark_render_html(node, kOptions, cmark_parser_get_syntax_extensions(parser_.get()));
    std::string_view rest(rendered);
    std::string out;
    // Only a link's tag looks like this: a "<" of the text is an entity by now.
    constexpr std::string_view kLink = "<a href=";
    for (std::size_t at = rest.find(kLink); at != std::string_view::npos; at = rest.find(kLink)) {
      out.append(rest.substr(0, at));
      out += "<a target=\"_blank\" rel=\"noopener noreferrer nofollow\" href=";
      rest.remove_prefix(at + kLink.size());
    }
    out.append(rest);
    std::free(rendered);
    return out;
  }
  std::string html() const { return html(root_.get()); }

 private:
  void disarm() {
    // First collected, then changed: the iterator must not see its tree change.
    std::vector<cmark_node*> nodes;
    cmark_iter* walk = cmark_iter_new(root_.get());
    for (cmark_event_type event = cmark_iter_next(walk); event != CMARK_EVENT_DONE;
         event = cmark_iter_next(walk)) {
      if (event != CMARK_EVENT_ENTER) continue;
      cmark_node* node = cmark_iter_get_node(walk);
      const cmark_node_type type = cmark_node_get_type(node);
      if (type == CMARK_NODE_LINK || type == CMARK_NODE_IMAGE || type == CMARK_NODE_HTML_BLOCK ||
          type == CMARK_NODE_HTML_INLINE) {
        nodes.push_back(node);
      }
    }
    cmark_iter_free(walk);
    for (cmark_node* node : nodes) disarm(node);
  }

  static void disarm(cmark_node* node) {
    const cmark_node_type type = cmark_node_get_type(node);
    if (type == CMARK_NODE_HTML_BLOCK || type == CMARK_NODE_HTML_INLINE) {
      cmark_node* text = cmark_node_new(CMARK_NODE_TEXT);
      cmark_node_set_literal(text, cmark_node_get_literal(node));
      cmark_node* shown = text;
      if (type == CMARK_NODE_HTML_BLOCK) {
        shown = cmark_node_new(CMARK_NODE_PARAGRAPH);
        cmark_node_append_child(shown, text);
      }
      cmark_node_replace(node, shown);
      cmark_node_free(node);
      return;
    }
    const std::string url = cmark_node_get_url(node);
    if (type == CMARK_NODE_LINK && is_safe(url)) return;
    cmark_node* parent = cmark_node_parent(node);
    if (type == CMARK_NODE_IMAGE && cmark_node_first_child(node) == nullptr) {
      cmark_node* text = cmark_node_new(CMARK_NODE_TEXT);
      cmark_node_set_literal(text, url.c_str());
      cmark_node_append_child(node, text);
    }
    cmark_node* link = nullptr;
    if (type == CMARK_NODE_IMAGE && is_safe(url) && !in_link(parent)) {
      link = cmark_node_new(CMARK_NODE_LINK);
      cmark_node_set_url(link, url.c_str());
      cmark_node_insert_before(node, link);
    }
    while (cmark_node* child = cmark_node_first_child(node)) {
      cmark_node_unlink(child);
      if (link != nullptr) {
        cmark_node_append_child(link, child);
      } else {
        cmark_node_insert_before(node, child);
      }
    }
    cmark_node_free(node);
  }

  static bool in_link(cmark_node* node) {
    for (; node != nullptr; node = cmark_node_parent(node)) {
      if (cmark_node_get_type(node) == CMARK_NODE_LINK) return true;
    }
    return false;
  }

  static bool is_safe(std::string_view url) {
    constexpr std::array<std::string_view, 3> kSchemes = {"http://", "https://", "mailto:"};
    return std::any_of(kSchemes.begin(), kSchemes.end(), [url](std::string_view scheme) {
      return url.size() > scheme.size() &&
             std::equal(scheme.begin(), scheme.end(), url.begin(), [](char a, char b) {
               return a == (b >= 'A' && b <= 'Z' ? static_cast<char>(b - 'A' + 'a') : b);
             });
    });
  }

  std::unique_ptr<cmark_parser, ParserFree> parser_;
  std::unique_ptr<cmark_node, NodeFree> root_;
};

/// As cmark does: a byte that belongs to no code point becomes U+FFFD.
std::string repaired(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    std::size_t length = 1;
    while (length < 4 && length < text.size() && !is_utf8(text.substr(0, length))) ++length;
    const bool whole = is_utf8(text.substr(0, length));
    if (!whole) length = 1;
    out += whole ? text.substr(0, length) : "\xEF\xBF\xBD";
    text.remove_prefix(length);
  }
  return out;
}

std::string plain(std::string_view text) {
  const std::string html = escape_html(text);
  return "<pre class=\"plain\">" + (is_utf8(html) ? html : repaired(html)) + "</pre>\n";
}

/// Where each line begins, as cmark counts them: LF, CR LF and CR end one.
std::vector<std::size_t> line_starts(std::string_view text) {
  std::vector<std::size_t> starts{0};
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool cr_of_crlf = text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n';
    if ((text[i] == '\n' || text[i] == '\r') && !cr_of_crlf) starts.push_back(i + 1);
  }
  return starts;
}

}  // namespace

bool within(const MarkdownLimits& limits, std::string_view markdown) {
  if (markdown.size() > limits.bytes) return false;
  std::size_t special = 0;
  std::size_t at_signs = 0;
  std::size_t brackets = 0;  // of this run of lines without an empty one between them
  std::size_t lines = 0;
  std::size_t columns = 0;
  while (!markdown.empty()) {
    const std::size_t end = std::min(markdown.find_first_of("\r\n"), markdown.size());
    const std::string_view line = markdown.substr(0, end);
    markdown.remove_prefix(std::min(end + 1, markdown.size()));
    // Inside quotes and lists empty lines look different; then a run is longer than a paragraph.
    if (line.find_first_not_of(" \t") == std::string_view::npos) {
      brackets = lines = columns = 0;
      continue;
    }
    std::size_t bars = 0;
    for (const char c : line) {
      if (kSpecial.find(c) == std::string_view::npos) continue;
      ++special;
      at_signs += c == '@' ? 1 : 0;
      brackets += c == '[' ? 1 : 0;
      bars += c == '|' ? 1 : 0;
    }
    ++lines;
    columns = std::max(columns, bars + 1);
    const bool table = columns > 1;
    if (special > limits.special || at_signs > limits.at_signs || brackets > limits.brackets ||
        nesting_of(line) > limits.nesting ||
        (table &&
         (columns > limits.table_cells / columns || lines > limits.table_cells / columns))) {
      return false;
    }
  }
  return true;
}

std::string escape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size() + text.size() / 16);
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string markdown_to_html(std::string_view markdown) {
  if (!within(MarkdownLimits{}, markdown)) return plain(markdown);
  return Document(markdown).html();
}

LiveMarkdown::Change LiveMarkdown::render() {
  Change change;
  change.from = finished_;
  if (!within(MarkdownLimits{}, tail_)) {
    change.blocks.push_back(plain(tail_));
    return change;
  }
  const Document document(tail_);
  // A block is finished once another begins on a later line that is whole: half a line may still
  // turn out to belong to what is before it ("2" becomes "2. item"). A paragraph that turns into a
  // table leaves its beginning to a new one that says it is on line 0: those two belong together.
  const std::vector<std::size_t> starts = line_starts(tail_);
  const int whole_lines = static_cast<int>(starts.size()) - 1;
  std::size_t kept = 0;         // blocks that are finished
  std::size_t group_begin = 0;  // the first block that begins on the line of the present one
  int rest_line = 1;            // where the blocks behind the finished ones begin
  int last_line = 0;            // the last line of what came before
  for (cmark_node* block = document.first(); block != nullptr; block = cmark_node_next(block)) {
    const int begin = cmark_node_get_start_line(block);
    change.blocks.push_back(document.html(block));
    if (begin == 0) continue;
    if (begin > last_line && begin > rest_line && begin <= whole_lines) {
      kept = group_begin;
      rest_line = begin;
    }
    last_line = std::max({last_line, cmark_node_get_end_line(block), begin});
    group_begin = change.blocks.size();
  }
  tail_.erase(0, starts[static_cast<std::size_t>(rest_line - 1)]);
  finished_ += kept;
  return change;
}

}  // namespace sluice::text
