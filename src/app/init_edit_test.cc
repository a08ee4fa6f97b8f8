#include "app/init_edit.h"

#include <gtest/gtest.h>

namespace sluice::app {
namespace {

std::string edited(std::string_view text, const std::vector<TomlEdit>& edits) {
  const Result<std::string> out = edit_toml(text, edits);
  return out ? *out : "error: " + out.error().context();
}

const TomlEdit kAgent{"channels.http", "agent", "\"gpt\""};

TEST(InitEditTest, ReplacesAValueAndNothingElse) {
  EXPECT_EQ(
      edited("# mine\n[channels.http]\n  agent  =  'echo'   # why\nmode = \"collect\"\n", {kAgent}),
      "# mine\n[channels.http]\n  agent  =  \"gpt\"   # why\nmode = \"collect\"\n");
}

TEST(InitEditTest, ReplacesAValueOfSeveralLines) {
  const TomlEdit stop{"agents.a", "stop", "[]"};
  EXPECT_EQ(edited("[agents.a]\nstop = [ # ]\n  \"a]\", # b\n  'c',\n]  # end\nx = 1\n", {stop}),
            "[agents.a]\nstop = []  # end\nx = 1\n");
}

TEST(InitEditTest, ReplacesATextWithQuotesInIt) {
  const TomlEdit system{"agents.a", "system", "\"new\""};
  EXPECT_EQ(edited("[agents.a]\nsystem = \"\"\"say \\\"#\\\"\n[x]\n\"\"\"\ny = 2\n", {system}),
            "[agents.a]\nsystem = \"new\"\ny = 2\n");
}

TEST(InitEditTest, PutsANewKeyBelowItsCommentedDefault) {
  EXPECT_EQ(edited("[channels.http]\n#kind = \"http\"\n\n# Who.\n#agent = \"\"\n\n[agents.echo]\n",
                   {kAgent}),
            "[channels.http]\n#kind = \"http\"\n\n# Who.\n#agent = \"\"\nagent = \"gpt\"\n\n"
            "[agents.echo]\n");
}

TEST(InitEditTest, PutsANewKeyBelowItsTablesHead) {
  EXPECT_EQ(
      edited("[ channels . \"http\" ] # mine\nmode = \"collect\"\n[channels.cli]\n#agent = 1\n",
             {kAgent}),
      "[ channels . \"http\" ] # mine\nagent = \"gpt\"\nmode = \"collect\"\n[channels.cli]\n"
      "#agent = 1\n");
}

TEST(InitEditTest, DoesNotTakeACommentedTableForThisOne) {
  EXPECT_EQ(edited("[channels.http]\n#[channels.my_hook]\n#agent = \"\"\n", {kAgent}),
            "[channels.http]\nagent = \"gpt\"\n#[channels.my_hook]\n#agent = \"\"\n");
}

TEST(InitEditTest, PutsANewTableAtTheEnd) {
  EXPECT_EQ(
      edited("a = 1", {{"agents.gpt", "kind", "\"openai\""}, {"agents.gpt", "model", "\"m\""}}),
      "a = 1\n\n[agents.gpt]\nkind = \"openai\"\nmodel = \"m\"\n");
}

TEST(InitEditTest, KeepsTheLineEndsOfTheFile) {
  EXPECT_EQ(edited("[channels.http]\r\nmode = \"x\"\r\n", {kAgent}),
            "[channels.http]\r\nagent = \"gpt\"\r\nmode = \"x\"\r\n");
}

TEST(InitEditTest, ChangesNothingTwice) {
  const std::vector<TomlEdit> edits = {kAgent, {"agents.gpt", "kind", "\"openai\""}};
  const std::string once = edited("[channels.http]\n", edits);
  EXPECT_EQ(edited(once, edits), once);
}

TEST(InitEditTest, RefusesAFileThatItDoesNotUnderstand) {
  for (const char* text : {"channels = { http = { agent = \"echo\" } }\n",
                           "channels.http.agent = \"echo\"\n", "[channels]\nhttp.mode = \"x\"\n",
                           "[channels.http\n", "x = \"\"\"\n[channels.http]\n\"\"\"\nx.y = 1\n"}) {
    EXPECT_TRUE(edit_toml(text, {kAgent}).has_error()) << text;
  }
}

TEST(InitEditTest, IsNotMisledByAHeadWithinAText) {
  const std::string text = "x = \"\"\"\n[channels.http]\n\"\"\"\n";
  // Better refused than put into the text.
  EXPECT_TRUE(edit_toml(text, {kAgent}).has_error());
}

TEST(InitEditTest, QuotesWhatATextMayHold) {
  EXPECT_EQ(toml_string("a\"b\\c\nd"), "\"a\\\"b\\\\c\\u000Ad\"");
}

TEST(InitEditTest, WritesLinesForAPerson) {
  EXPECT_EQ(toml_lines({kAgent, {"channels.http", "mode", "1"}, {"agents.a", "b", "2"}}),
            "[channels.http]\nagent = \"gpt\"\nmode = 1\n\n[agents.a]\nb = 2\n");
}

}  // namespace
}  // namespace sluice::app
