#include "config/reference.h"

#include <sstream>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/config_fixture.h"

namespace sluice::config {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using namespace example;

/// The file of somebody who took every "#" away.
std::string uncommented(const std::string& text) {
  std::istringstream in(text);
  std::string out;
  for (std::string line; std::getline(in, line);) {
    const bool live = line.size() > 1 && line[0] == '#' && line[1] != ' ';
    out += (live ? line.substr(1) : line) + "\n";
  }
  return out;
}

TEST(ReferenceTest, TheDefaultFileLoadsAndSaysNothing) {
  const Schema s = schema();
  FakeSecrets secrets;
  const Loaded empty = load(s, "", "f", secrets);
  const Loaded loaded = load(s, reference_toml(s), "f", secrets);
  ASSERT_TRUE(loaded.config) << loaded.to_string();
  EXPECT_THAT(loaded.problems, IsEmpty());
  EXPECT_THAT(diff(*empty.config, *loaded.config), IsEmpty());
}

TEST(ReferenceTest, WithEveryKeyUncommentedItStillSaysTheDefaults) {
  const Schema s = schema();
  FakeSecrets secrets;
  secrets.variables["HOOK_SECRET"] = "x";
  std::string text = uncommented(reference_toml(s));
  const std::string empty = "callback = \"\"";  // required, so it has no default
  ASSERT_NE(text.find(empty), std::string::npos);
  text.replace(text.find(empty), empty.size(), "callback = \"x\"");
  const Loaded defaults = load(s, "", "f", secrets);
  const Loaded loaded = load(s, text, "f", secrets);
  ASSERT_TRUE(loaded.config) << loaded.to_string() << text;
  EXPECT_THAT(diff(*defaults.config, *loaded.config),
              ::testing::ElementsAre(Change{Change::What::kAdded, "channels.my_hook", false}));
}

TEST(ReferenceTest, EveryKeyHasItsMeaningTypeAndDefault) {
  const std::string text = reference_toml(schema());
  EXPECT_THAT(text, HasSubstr("# How long a request may take. (duration, 100ms to 1h)\n"
                              "#timeout = \"30s\"\n"));
  EXPECT_THAT(text, HasSubstr("# Address and port. (text; a change needs a restart)\n"
                              "#listen = \"127.0.0.1:8480\"\n"));
  EXPECT_THAT(text, HasSubstr("#secret = { env = \"HOOK_SECRET\" }\n"));
  EXPECT_THAT(text, HasSubstr("\n[channels.page]\n#kind = \"web\"\n"));
  EXPECT_THAT(text, HasSubstr("\n#[channels.my_hook]\n#kind = \"hook\"\n"));
}

TEST(ReferenceTest, KeysOfTheTopComeBeforeAnyTable) {
  const std::string text = reference_toml(schema());
  EXPECT_LT(text.find("#data_dir"), text.find("[http]"));
}

TEST(ReferenceTest, ThePageHasARowForEveryKey) {
  const std::string page = reference_markdown(schema());
  EXPECT_THAT(page, StartsWith("## Top of the file\n"));
  EXPECT_THAT(page,
              HasSubstr("| `body_max` | size, 1KiB to 64MiB | `\"1MiB\"` | The largest body. |\n"));
  EXPECT_THAT(page, HasSubstr("Connections that wait \\| to be accepted."));
  EXPECT_THAT(page, HasSubstr("| `callback` | text | required | Where answers are posted to. |\n"));
  EXPECT_THAT(page, HasSubstr("#### `[http.tls]`\n"));
  EXPECT_THAT(page, HasSubstr("### `kind = \"hook\"`\n"));
  EXPECT_THAT(page, HasSubstr("`[channels.page]` (kind `web`) exists without being written."));
}

}  // namespace
}  // namespace sluice::config
