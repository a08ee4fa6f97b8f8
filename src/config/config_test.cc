#include "config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/config_fixture.h"

namespace sluice::config {

void PrintTo(const Change& change, std::ostream* out) {
  *out << change.key << " what=" << static_cast<int>(change.what)
       << " restart=" << change.needs_restart;
}

namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using namespace example;
using What = Change::What;

class ConfigTest : public ::testing::Test {
 protected:
  Config load(std::string_view text) {
    Loaded loaded = config::load(schema_, text, "sluice.toml", secrets_);
    EXPECT_TRUE(loaded.config) << loaded.to_string();
    return std::move(*loaded.config);
  }
  std::vector<Change> changes(std::string_view before, std::string_view after) {
    return diff(load(before), load(after));
  }

  const Schema schema_ = schema();
  FakeSecrets secrets_;
};

TEST_F(ConfigTest, TheSameSettingsHaveNoDifferenceHoweverTheyAreWritten) {
  EXPECT_THAT(changes("", "[http]\ntimeout = \"0.5m\"\nbacklog = 0x80"), IsEmpty());
}

TEST_F(ConfigTest, ChangedKeysAreListedWithWhetherTheyNeedARestart) {
  EXPECT_THAT(changes("[http]\nlisten = \"a:1\"", "[http]\nlisten = \"a:2\"\ntimeout = \"9s\""),
              ElementsAre(Change{What::kChanged, "http.listen", true},
                          Change{What::kChanged, "http.timeout", false}));
  EXPECT_THAT(changes("", "[http.tls]\nkey = \"k\"\ncertificate = \"c\""),
              ElementsAre(Change{What::kChanged, "http.tls.certificate", false},
                          Change{What::kChanged, "http.tls.key", false}));
}

TEST_F(ConfigTest, AnInstanceThatCameOrWentIsOneChange) {
  const std::string_view with = "[channels.b]\nkind = \"hook\"\ncallback = \"x\"";
  EXPECT_THAT(changes("", with), ElementsAre(Change{What::kAdded, "channels.b", false}));
  EXPECT_THAT(changes(with, ""), ElementsAre(Change{What::kRemoved, "channels.b", false}));
}

TEST_F(ConfigTest, AnInstanceOfAnotherKindIsOneChange) {
  EXPECT_THAT(
      changes("[channels.b]\nkind = \"hook\"\ncallback = \"x\"", "[channels.b]\nkind = \"web\""),
      ElementsAre(Change{What::kChanged, "channels.b", false}));
}

TEST_F(ConfigTest, AChangedOptionOfAnInstanceHasItsKey) {
  EXPECT_THAT(changes("", "[channels.page]\ntitle = \"New\""),
              ElementsAre(Change{What::kChanged, "channels.page.title", false}));
}

TEST_F(ConfigTest, AChangedSecretIsSeen) {
  const std::string_view text =
      "[channels.b]\nkind = \"hook\"\ncallback = \"x\"\nsecret = { env = \"S\" }";
  secrets_.variables["S"] = "one";
  const Config before = load(text);
  secrets_.variables["S"] = "two";
  EXPECT_THAT(diff(before, load(text)),
              ElementsAre(Change{What::kChanged, "channels.b.secret", false}));
}

TEST_F(ConfigTest, SettingsShowEveryEffectiveValueButNoSecret) {
  secrets_.variables["S"] = "hunter2";
  const auto settings =
      load("[channels.b]\nkind = \"hook\"\ncallback = \"x\"\nsecret = { env = \"S\" }").settings();
  EXPECT_THAT(settings, Contains(Pair("channels.b.kind", "\"hook\"")));
  EXPECT_THAT(settings, Contains(Pair("channels.b.secret", "(secret)")));
  EXPECT_THAT(settings, Contains(Pair("http.timeout", "\"30s\"")));
  EXPECT_THAT(settings, Contains(Pair("http.origins", R"(["http://localhost", "a\"b"])")));
}

struct TwiceOptions {
  bool a = false;
};
void declare(Section<TwiceOptions>& s) {
  s.flag("a", &TwiceOptions::a, "Once.");
  s.flag("a", &TwiceOptions::a, "Twice.");
}

TEST(SchemaDeathTest, AKeyDeclaredTwiceEndsTheProcess) {
  EXPECT_DEATH(Schema().section<TwiceOptions>("x", "X."), "");
}

struct OutsideOptions {
  int a = 7;
};
void declare(Section<OutsideOptions>& s) { s.integer("a", &OutsideOptions::a, "A.").between(1, 5); }

TEST(SchemaDeathTest, ADefaultOutOfBoundsEndsTheProcess) {
  EXPECT_DEATH(Schema().section<OutsideOptions>("x", "X."), "");
}

}  // namespace
}  // namespace sluice::config
