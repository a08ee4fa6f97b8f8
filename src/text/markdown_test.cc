#include "text/markdown.h"

#include <gmock/gmock.h>

#include "base/random.h"
#include "base/utf8.h"

namespace sluice::text {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

/// What a reader has after the text came in pieces.
class Reader {
 public:
  void put(LiveMarkdown& live, std::string_view piece) {
    live.append(piece);
    const LiveMarkdown::Change change = live.render();
    ASSERT_LE(change.from, blocks.size());
    blocks.resize(change.from);
    blocks.insert(blocks.end(), change.blocks.begin(), change.blocks.end());
  }
  std::string html() const {
    std::string all;
    for (const std::string& block : blocks) all += block;
    return all;
  }
  std::vector<std::string> blocks;
};

constexpr std::string_view kDocument =
    "# Title\n\nSome *text* with `code` and\na second line.\n\n- one\n- two\n\n  still two\n\n"
    "1. a\n   - b\n\n> quote\nlazy\n\n```cpp\nint main() {}\n\n// more\n```\n\nbefore\n"
    "| a | b |\n|---|--:|\n| 1 | 2 |\n\nSetext\n===\n\n***\n\n    indented\n\n- [x] done\n\n"
    "~~gone~~ https://example.org/x?a=1&b=2 end\r\n\r\nä ö ü 🙂\rlast";

TEST(MarkdownTest, RendersWhatPeopleWrite) {
  const std::string html = markdown_to_html(kDocument);
  for (const char* part :
       {"<h1>Title</h1>", "<em>text</em>", "<code>code</code>", "<li>", "<blockquote>",
        "<pre><code class=\"language-cpp\">int main() {}\n\n// more\n</code></pre>", "<table>",
        "<del>gone</del>", "href=\"https://example.org/x?a=1&amp;b=2\"", "<input type=\"checkbox\"",
        "🙂"}) {
    EXPECT_THAT(html, HasSubstr(part));
  }
}

TEST(MarkdownTest, ShowsHtmlAsText) {
  const std::string html =
      markdown_to_html("<script>alert(1)</script>\n\na <img src=x onerror=alert(1)> b");
  EXPECT_THAT(html, HasSubstr("&lt;script&gt;alert(1)&lt;/script&gt;"));
  EXPECT_THAT(html, HasSubstr("&lt;img src=x onerror=alert(1)&gt;"));
  EXPECT_THAT(html, Not(HasSubstr("<script")));
  EXPECT_THAT(html, Not(HasSubstr("<img")));
}

TEST(MarkdownTest, LinksLeadOnlyWhereLinksMay) {
  for (const char* url : {"javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x",
                          "vbscript:x", "file:///x", "/logout", "//evil.example", "#x",
                          "&#106;avascript:alert(1)", " javascript:alert(1)", "http:", "blob:x"}) {
    const std::string html = markdown_to_html("[click](<" + std::string(url) + ">)");
    EXPECT_THAT(html, Not(HasSubstr("<a"))) << url;
    EXPECT_THAT(html, HasSubstr("click")) << url;
  }
}

TEST(MarkdownTest, LinksCannotLeaveTheirAttribute) {
  const std::string html = markdown_to_html("[x](<https://e.org/\" onmouseover=\"alert(1)>)");
  EXPECT_THAT(html, Not(HasSubstr("\" onmouseover=")));
}

TEST(MarkdownTest, LinksSayThatTheyTellNobodyWhereTheyCameFrom) {
  EXPECT_EQ(markdown_to_html("[a *b*](HTTPS://e.org \"title\")"),
            "<p><a target=\"_blank\" rel=\"noopener noreferrer nofollow\" href=\"HTTPS://e.org\" "
            "title=\"title\">a <em>b</em></a></p>\n");
}

TEST(MarkdownTest, ImagesBecomeLinks) {
  const std::string html = markdown_to_html("![a cat](https://e.org/cat.png) ![](https://e.org/2)");
  EXPECT_THAT(html, Not(HasSubstr("<img")));
  EXPECT_THAT(html, HasSubstr(">a cat</a>"));
  EXPECT_THAT(html, HasSubstr(">https://e.org/2</a>"));
}

TEST(MarkdownTest, LinksAndImagesOfATableAreThereToo) {
  const std::string html = markdown_to_html(
      "| a | b |\n|---|---|\n| [x](https://e.org) | [y](javascript:z) ![i](https://e.org/i) |\n");
  EXPECT_THAT(html, HasSubstr("href=\"https://e.org\">x</a>"));
  EXPECT_THAT(html, HasSubstr("<td>y <a"));
  EXPECT_THAT(html, HasSubstr("href=\"https://e.org/i\">i</a>"));
}

TEST(MarkdownTest, AnImageInALinkIsItsText) {
  EXPECT_THAT(markdown_to_html("[![alt](https://e.org/i)](https://e.org)"),
              HasSubstr("href=\"https://e.org\">alt</a>"));
}

TEST(MarkdownTest, AnInfoStringCannotLeaveItsAttribute) {
  EXPECT_THAT(markdown_to_html("```x\"onclick=\"alert(1)\na\n```"), Not(HasSubstr("\"onclick=")));
}

TEST(MarkdownTest, WhatIsNotUtf8IsReplaced) {
  const std::string html = markdown_to_html("a \xff b");
  EXPECT_TRUE(is_utf8(html));
}

TEST(MarkdownTest, IsReadyForNothing) {
  EXPECT_EQ(markdown_to_html(""), "");
  LiveMarkdown live;
  EXPECT_TRUE(live.render().blocks.empty());
}

TEST(MarkdownTest, ShowsTextMadeToBeSlowAsItIs) {
  const auto many = [](std::string_view unit, std::size_t bytes) {
    std::string text;
    while (text.size() < bytes) text += unit;
    return text;
  };
  std::string wide_table = many("|x", 2000) + "\n" + many("|-", 2000) + "\n";
  wide_table += many("a\n", 100'000);
  for (const std::string& text :
       {many("![[]()", 64'000), many("|x", 64'000), many("> ", 64'000), many("a@b.c", 64'000),
        many("*_", 64'000), wide_table, std::string(300'000, 'a')}) {
    EXPECT_THAT(markdown_to_html(text), StartsWith("<pre class=\"plain\">")) << text.substr(0, 10);
  }
}

TEST(MarkdownTest, WhatIsNotUtf8IsReplacedInTextThatIsShownAsItIs) {
  const std::string quotes(200, '>');
  EXPECT_THAT(markdown_to_html(quotes + "\xF4 \xC3\xA9\xE2\x82 end\xF0\x9F"),
              EndsWith("&gt;\xEF\xBF\xBD \xC3\xA9\xEF\xBF\xBD\xEF\xBF\xBD end"
                       "\xEF\xBF\xBD\xEF\xBF\xBD</pre>\n"));
}

TEST(MarkdownTest, RendersALongOrdinaryText) {
  std::string text;
  while (text.size() < 200'000)
    text += "An *ordinary* paragraph with `code`, [a link](https://e.org).\n\n";
  EXPECT_THAT(markdown_to_html(text), StartsWith("<p>An <em>"));
}

TEST(LiveMarkdownTest, EndsWithWhatTheWholeTextIs) {
  Random random(1);
  for (int round = 0; round < 300; ++round) {
    LiveMarkdown live;
    Reader reader;
    std::string_view rest = kDocument;
    while (!rest.empty()) {
      const std::size_t size = std::min<std::size_t>(rest.size(), 1 + random.below(40));
      reader.put(live, rest.substr(0, size));
      rest.remove_prefix(size);
    }
    ASSERT_EQ(reader.html(), markdown_to_html(kDocument)) << round;
  }
}

TEST(LiveMarkdownTest, SendsFinishedBlocksOnce) {
  LiveMarkdown live;
  Reader reader;
  reader.put(live, "one\n\ntwo\n");
  live.append("more\n\nthree\n");
  const LiveMarkdown::Change change = live.render();
  EXPECT_EQ(change.from, 1u);
  EXPECT_EQ(change.blocks, (std::vector<std::string>{"<p>two\nmore</p>\n", "<p>three</p>\n"}));
  EXPECT_EQ(live.tail_bytes(), 6u);
}

TEST(LiveMarkdownTest, HalfALineMayStillBelongToTheListBeforeIt) {
  LiveMarkdown live;
  Reader reader;
  reader.put(live, "1. a\n\n2");
  EXPECT_EQ(reader.blocks.size(), 2u);
  reader.put(live, ". b");
  EXPECT_EQ(reader.blocks.size(), 1u);
}

TEST(LiveMarkdownTest, AnUnclosedFenceIsCodeAlready) {
  LiveMarkdown live;
  Reader reader;
  reader.put(live, "Look:\n\n```sh\nls\n\n# not a title");
  EXPECT_THAT(reader.blocks[1], HasSubstr("<code class=\"language-sh\">ls\n\n# not a title"));
}

}  // namespace
}  // namespace sluice::text
