#include "config/load.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/config_fixture.h"
#include "config/parse.h"

namespace sluice::config {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;
using namespace example;

class LoadTest : public ::testing::Test {
 protected:
  Loaded load(std::string_view text) {
    return config::load(schema_, text, "/etc/sluice/sluice.toml", secrets_);
  }
  /// The only problem of a text, without the folder.
  std::string problem(std::string_view text) {
    const Loaded loaded = load(text);
    EXPECT_FALSE(loaded.config) << text;
    EXPECT_THAT(loaded.problems, SizeIs(1)) << loaded.to_string();
    return loaded.problems.empty() ? "" : loaded.problems[0].to_string().substr(12);
  }

  const Schema schema_ = schema();
  FakeSecrets secrets_;
};

TEST_F(LoadTest, AnEmptyFileIsTheDefaults) {
  const Loaded loaded = load("");
  ASSERT_TRUE(loaded.config) << loaded.to_string();
  EXPECT_THAT(loaded.problems, SizeIs(0));
  const auto& http = loaded.config->section<HttpOptions>("http");
  EXPECT_EQ(http.timeout, milliseconds(30'000));
  EXPECT_EQ(http.format, Format::kText);
}

TEST_F(LoadTest, EveryTypeIsRead) {
  const Loaded loaded = load(R"(
    data_dir = "state"
    [http]
    listen = "[::1]:80"
    timeout = "1m30s"
    body_max = "64KiB"
    backlog = 7
    offset = -9
    compress = false
    format = "json"
    origins = ["https://a", "https://b"]
    tls = { certificate = "/c.pem", key = "k.pem" }
    [channels.bot]
    kind = "hook"
    callback = "http://x/"
    timeout = "5s"
    agent = "main")");
  ASSERT_TRUE(loaded.config) << loaded.to_string();
  const auto& http = loaded.config->section<HttpOptions>("http");
  EXPECT_EQ(http.listen, "[::1]:80");
  EXPECT_EQ(http.timeout, milliseconds(90'000));
  EXPECT_EQ(http.body_max, 65536u);
  EXPECT_EQ(http.backlog, 7);
  EXPECT_EQ(http.offset, -9);
  EXPECT_FALSE(http.compress);
  EXPECT_EQ(http.format, Format::kJson);
  EXPECT_THAT(http.origins, ::testing::ElementsAre("https://a", "https://b"));
  EXPECT_EQ(http.tls.certificate, "/c.pem");
  const Instance& bot = loaded.config->instances("channels")[0];
  EXPECT_EQ(bot.get<HookOptions>().timeout, std::chrono::seconds(5));
  EXPECT_EQ(bot.get<AccountOptions>().agent, "main");
}

TEST_F(LoadTest, RelativePathsAreTakenFromTheFolderOfTheFile) {
  const Loaded loaded = load("[http.tls]\ncertificate = \"../c.pem\"\nkey = \"/k.pem\"");
  ASSERT_TRUE(loaded.config);
  EXPECT_EQ(loaded.config->section<HttpOptions>("http").tls.certificate, "/etc/c.pem");
  EXPECT_EQ(loaded.config->section<HttpOptions>("http").tls.key, "/k.pem");
  EXPECT_EQ(loaded.config->section<TopOptions>("").data_dir, "/etc/sluice/data");
}

TEST_F(LoadTest, AnUnknownKeyNamesTheNearestOne) {
  EXPECT_EQ(problem("\n[http]\ntiemout = \"3s\""),
            "sluice.toml:3:1: unknown key \"tiemout\" in [http]; did you mean \"timeout\"?");
  EXPECT_EQ(problem("data_dri = \"x\""),
            "sluice.toml:1:1: unknown key \"data_dri\"; did you mean \"data_dir\"?");
}

TEST_F(LoadTest, AnUnknownKeyOfAnInstanceIsComparedWithItsOwnAndTheCommonKeys) {
  EXPECT_EQ(problem("[channels.bot]\nkind = \"web\"\nagnet = \"x\""),
            "sluice.toml:3:1: unknown key \"agnet\" in [channels.bot]; did you mean \"agent\"?");
  // A key of another kind is not offered here.
  EXPECT_EQ(problem("[channels.bot]\nkind = \"web\"\ncallbakc = \"x\""),
            "sluice.toml:3:1: unknown key \"callbakc\" in [channels.bot]");
}

TEST_F(LoadTest, AnUnknownTableNamesTheNearestOne) {
  EXPECT_EQ(problem("[htpt]\nlisten = \"x:1\""),
            "sluice.toml:1:1: unknown table [htpt]; did you mean \"http\"?");
}

TEST_F(LoadTest, NothingIsSuggestedWhereNothingIsNear) {
  EXPECT_EQ(problem("[http]\nxyzzy = 1"), "sluice.toml:2:1: unknown key \"xyzzy\" in [http]");
}

TEST_F(LoadTest, AllProblemsAreToldAtOnceInTheOrderOfTheFile) {
  const Loaded loaded = load(R"(nonsense = 1
[channels.bot]
kind = "hook"
[http]
timeout = 30
format = "jsn"
tls = 5
[channels.other]
kind = "hok")");
  EXPECT_FALSE(loaded.config);
  EXPECT_EQ(
      loaded.to_string(),
      "/etc/sluice/sluice.toml:1:1: unknown key \"nonsense\"\n"
      "/etc/sluice/sluice.toml:2:1: [channels.bot] needs \"callback\": Where answers are "
      "posted to.\n"
      "/etc/sluice/sluice.toml:5:11: [http] timeout: expected a duration such as \"300ms\", "
      "\"30s\" or \"24h\", found an integer without a unit\n"
      "/etc/sluice/sluice.toml:6:10: [http] format: expected one of \"text\", \"json\", found "
      "\"jsn\"; did you mean \"json\"?\n"
      "/etc/sluice/sluice.toml:7:1: expected a table [http.tls], found an integer\n"
      "/etc/sluice/sluice.toml:9:8: [channels.other] kind: expected one of \"hook\", \"web\", "
      "found \"hok\"; did you mean \"hook\"?\n");
}

TEST_F(LoadTest, DiagnosticsCarryTheFullKey) {
  const Loaded loaded = load("[channels.bot]\nkind = \"web\"\nenabled = 1");
  ASSERT_THAT(loaded.problems, SizeIs(1));
  EXPECT_EQ(loaded.problems[0].key, "channels.bot.enabled");
  EXPECT_EQ(loaded.problems[0].at.line, 3u);
}

TEST_F(LoadTest, WrongTypesSayWhatIsExpected) {
  EXPECT_THAT(problem("[http]\ncompress = \"yes\""),
              HasSubstr("2:12: [http] compress: expected true or false, found a string"));
  EXPECT_THAT(problem("[http]\nbacklog = 1.5"), HasSubstr("expected an integer, found a number"));
  EXPECT_THAT(problem("[http]\nlisten = 1979-05-27"), HasSubstr("expected a string, found a date"));
  EXPECT_THAT(problem("[http]\norigins = [\"a\", 3]"),
              HasSubstr("2:17: [http] origins: expected a string in the list, found an integer"));
  EXPECT_THAT(problem("http = 3"), HasSubstr("expected a table [http], found an integer"));
  EXPECT_THAT(problem("[[http]]\nlisten = \"a:1\""),
              HasSubstr("expected a table [http], found a list"));
  EXPECT_THAT(problem("channels = 3"), HasSubstr("expected a table [channels.NAME]"));
  EXPECT_THAT(problem("[channels]\nbot = 3"), HasSubstr("expected a table [channels.bot]"));
}

TEST_F(LoadTest, BoundsAreTold) {
  EXPECT_THAT(problem("[http]\ntimeout = \"10ms\""),
              HasSubstr("[http] timeout: 10ms is too small; 100ms to 1h is allowed"));
  EXPECT_THAT(problem("[http]\nbody_max = \"1GiB\""),
              HasSubstr("1GiB is too large; 1KiB to 64MiB"));
  EXPECT_THAT(problem("[http]\nbacklog = 65536"), HasSubstr("65536 is too large; 0 to 65535"));
  EXPECT_THAT(problem("[http]\nbacklog = -1"), HasSubstr("-1 is too small"));
  EXPECT_THAT(problem("[http]\norigins = [\"\",\"\",\"\",\"\"]"),
              HasSubstr("4 items are too many"));
  EXPECT_THAT(problem("[http]\nlisten = \"" + std::string(4097, ':') + "\""),
              HasSubstr("4097 bytes are too many; 0 to 4096"));
}

TEST_F(LoadTest, UnitsAreCheckedInTheirPlace) {
  EXPECT_THAT(problem("[http]\ntimeout = \"30\""),
              HasSubstr("2:11: [http] timeout: \"30\" is not a duration"));
  EXPECT_THAT(problem("[http]\nbody_max = \"3 parsecs\""), HasSubstr("unknown unit \"parsecs\""));
}

TEST_F(LoadTest, ChecksOfAModuleAreAsked) {
  EXPECT_EQ(problem("[http]\nlisten = \"localhost\""),
            "sluice.toml:2:10: [http] listen: the port is missing");
  EXPECT_EQ(problem("\n[http.tls]\nkey = \"k\""),
            "sluice.toml:2:1: [http.tls] certificate and key belong together");
}

TEST_F(LoadTest, AMissingRequiredKeyIsToldWhereItsTableStarts) {
  EXPECT_EQ(problem("\n\n[channels.bot]\nkind = \"hook\""),
            "sluice.toml:3:1: [channels.bot] needs \"callback\": Where answers are posted to.");
  EXPECT_THAT(problem("[channels.bot]\nkind = \"hook\"\ncallback = \"\""),
              HasSubstr("[channels.bot] callback: must not be empty"));
}

TEST_F(LoadTest, AnInstanceNeedsAKind) {
  EXPECT_EQ(problem("[channels.bot]\nagent = \"x\""),
            "sluice.toml:1:1: [channels.bot] needs \"kind\", one of \"hook\", \"web\"");
  EXPECT_THAT(problem("[channels.bot]\nkind = 7"),
              HasSubstr("2:8: [channels.bot] kind: expected one of"));
}

TEST_F(LoadTest, InstancesKeepTheOrderOfTheFileAndBuiltInOnesFollow) {
  const Loaded loaded = load("[channels.z]\nkind = \"web\"\n[channels.a]\nkind = \"web\"");
  ASSERT_TRUE(loaded.config);
  const auto& channels = loaded.config->instances("channels");
  ASSERT_THAT(channels, SizeIs(3));
  EXPECT_EQ(channels[0].name, "z");
  EXPECT_EQ(channels[0].at.line, 1u);
  EXPECT_EQ(channels[1].name, "a");
  EXPECT_EQ(channels[2].name, "page");
  EXPECT_EQ(channels[2].at.line, 0u);
}

TEST_F(LoadTest, ABuiltInInstanceTakesOptionsWithoutItsKind) {
  const Loaded loaded = load("[channels.page]\ntitle = \"Hello\"\nenabled = false");
  ASSERT_TRUE(loaded.config) << loaded.to_string();
  const auto& channels = loaded.config->instances("channels");
  ASSERT_THAT(channels, SizeIs(1));
  EXPECT_EQ(channels[0].kind, "web");
  EXPECT_EQ(channels[0].get<WebOptions>().title, "Hello");
  EXPECT_FALSE(channels[0].get<AccountOptions>().enabled);
}

TEST_F(LoadTest, InstanceNamesAreShortAndPlain) {
  EXPECT_THAT(problem("[channels.\"a b\"]\nkind = \"web\""),
              HasSubstr("[channels.a b]: a name has"));
  EXPECT_THAT(problem("[channels.\"\"]\nkind = \"web\""), HasSubstr("a name has 1 to 64"));
}

TEST_F(LoadTest, TooManyInstancesAreOneProblem) {
  std::string text;
  for (std::size_t i = 0; i <= kMaxInstances; ++i) text += fmt::format("[channels.c{}]\n", i);
  EXPECT_THAT(problem(text), HasSubstr("[channels] has 257 tables; at most 256"));
}

TEST_F(LoadTest, SecretsComeFromTheEnvironmentAndFromFiles) {
  secrets_.variables["HOOK"] = "from env";
  secrets_.files["/etc/sluice/hook.key"] = "from file";
  const Loaded loaded = load(R"(
    [channels.a]
    kind = "hook"
    callback = "x"
    secret = { env = "HOOK" }
    [channels.b]
    kind = "hook"
    callback = "x"
    secret = { file = "hook.key" })");
  ASSERT_TRUE(loaded.config) << loaded.to_string();
  const auto& channels = loaded.config->instances("channels");
  EXPECT_EQ(channels[0].get<HookOptions>().secret.reveal(), "from env");
  EXPECT_EQ(channels[1].get<HookOptions>().secret.reveal(), "from file");
  EXPECT_THAT(loaded.problems, SizeIs(0));
}

TEST_F(LoadTest, ASecretInTheFileItselfIsAWarningThatDoesNotShowIt) {
  const Loaded loaded =
      load("[channels.a]\nkind = \"hook\"\ncallback = \"x\"\nsecret = \"hunter2\"");
  ASSERT_TRUE(loaded.config);
  EXPECT_EQ(loaded.config->instances("channels")[0].get<HookOptions>().secret.reveal(), "hunter2");
  EXPECT_THAT(loaded.to_string(), StartsWith("/etc/sluice/sluice.toml:4:10: warning: "));
  EXPECT_THAT(loaded.to_string(), Not(HasSubstr("hunter2")));
}

TEST_F(LoadTest, AMissingSecretIsToldWithItsLine) {
  secrets_.variables["EMPTY"] = "";
  const std::string head = "[channels.a]\nkind = \"hook\"\ncallback = \"x\"\nsecret = ";
  EXPECT_THAT(
      problem(head + "{ env = \"NOPE\" }"),
      HasSubstr("sluice.toml:4:18: [channels.a] secret: the environment variable NOPE is not set"));
  EXPECT_THAT(problem(head + "{ env = \"EMPTY\" }"), HasSubstr("EMPTY is empty"));
  EXPECT_THAT(problem(head + "{ file = \"/nope\" }"), HasSubstr("/nope can't be read"));
  EXPECT_THAT(problem(head + "{ evn = \"X\" }"), HasSubstr("did you mean \"env\"?"));
  EXPECT_THAT(problem(head + "{ env = \"A\", file = \"B\" }"), HasSubstr("with one key"));
  EXPECT_THAT(problem(head + "{ }"), HasSubstr("with one key"));
  EXPECT_THAT(problem(head + "{ env = 3 }"), HasSubstr("must be a string"));
  EXPECT_THAT(problem(head + "42"),
              HasSubstr("{ env = \"NAME\" } or { file = \"/path\" }, found an integer"));
}

TEST_F(LoadTest, SyntaxErrorsHaveAPosition) {
  EXPECT_THAT(problem("[http]\nlisten = \n"), StartsWith("sluice.toml:2:"));
  EXPECT_THAT(problem("a = 1\na = 2"), HasSubstr("sluice.toml:2:5: not valid TOML"));
  EXPECT_THAT(problem("[http]\n[http]"), StartsWith("sluice.toml:2:"));
  EXPECT_THAT(problem("[&http]"), StartsWith("sluice.toml:1:2: not valid TOML"));
}

TEST_F(LoadTest, AnUnquotedSecretIsNotRepeatedByASyntaxError) {
  EXPECT_THAT(problem("[channels.a]\nsecret = tok_hunter2"), Not(HasSubstr("hunter2")));
}

TEST_F(LoadTest, BadUtf8IsToldWhereItIs) {
  EXPECT_EQ(problem("# gr\xc3\xbc\xc3\x9f\nx = \"\xff\""),
            "sluice.toml:2:6: the file is not UTF-8 here");
}

TEST_F(LoadTest, ATextBeyondTheBoundIsRefused) {
  EXPECT_THAT(problem(std::string(kMaxBytes + 1, '#')), HasSubstr("at most 1048576 are read"));
}

TEST_F(LoadTest, DeepNestingIsRefusedBeforeItIsParsed) {
  EXPECT_THAT(problem("x = " + std::string(100'000, '[')), HasSubstr("1:37: nested too deep"));
  std::string dotted = "a";
  for (int i = 0; i < 100'000; ++i) dotted += ".a";
  EXPECT_THAT(problem("[" + dotted + "]"), HasSubstr("nested too deep"));
}

TEST_F(LoadTest, BracketsAndDotsInStringsAndCommentsDoNotNest) {
  const std::string many(200, '[');
  const std::string dots(200, '.');
  const Loaded loaded = load("# " + many + dots + "\n[http]\nlisten = \"" + dots + ":\\\"" + many +
                             "\"\norigins = ['" + many + "', \"\"\"\n" + many + "\"\"\"]");
  EXPECT_TRUE(loaded.config) << loaded.to_string();
}

TEST_F(LoadTest, CharactersBeyondAsciiBelongInStringsAndComments) {
  EXPECT_THAT(problem("\nschlüssel = 1"), StartsWith("sluice.toml:2:5: not valid TOML"));
  EXPECT_THAT(problem("[httď]"), StartsWith("sluice.toml:1:5: not valid TOML"));
  const Loaded loaded = load(
      "\xEF\xBB\xBF# grüß\n"
      R"([http]
listen = "ü:\"ü" # ü
origins = ['ü', """"ü""""", '''''ü'''''])");
  ASSERT_TRUE(loaded.config) << loaded.to_string();
  EXPECT_THAT(loaded.config->section<HttpOptions>("http").origins,
              ::testing::ElementsAre("ü", "\"ü\"\"", "''ü''"));
}

TEST_F(LoadTest, MessagesStayOnOneLineWhateverTheFileSays) {
  for (const char* text :
       {"\"a\\nsluice.toml:1:1: forged\\u001b[2J\" = 1", "[\"a\\nb\"]",
        "[http]\nformat = \"x\\ny\"", "[http]\ntimeout = \"\\n1\"", "[channels.\"x\\ny\"]"}) {
    const std::string message = problem(text);
    EXPECT_EQ(message.find_first_of("\n\x1b"), std::string::npos) << message;
  }
}

TEST_F(LoadTest, AtMostAHundredProblemsAreToldAndTheRestCounted) {
  std::string text;
  for (int i = 0; i < 150; ++i) text += fmt::format("zzz{} = 1\n", i);
  const Loaded loaded = load(text);
  ASSERT_THAT(loaded.problems, SizeIs(101));
  EXPECT_EQ(loaded.problems.back().message, "50 more problems");
}

TEST_F(LoadTest, AFileThatIsNotThereIsAProblemOfTheWholeFile) {
  const Loaded loaded = load_file(schema_, "/no/such/sluice.toml", secrets_);
  EXPECT_FALSE(loaded.config);
  EXPECT_THAT(loaded.to_string(), StartsWith("/no/such/sluice.toml: "));
}

}  // namespace
}  // namespace sluice::config
