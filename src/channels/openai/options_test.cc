#include "channels/openai/options.h"

#include <gtest/gtest.h>

#include "config/config_fixture.h"

namespace sluice::openai {
namespace {

config::Loaded load(std::string_view text) {
  config::Schema schema;
  config::Kinds channels;
  channels.add<OpenAiFaceOptions>("openai", "For OpenAI's clients.");
  schema.instances("channels", "Accounts that messages come from.", std::move(channels));
  static config::example::FakeSecrets secrets;
  static config::Schema kept = std::move(schema);  // a Config refers to it
  return config::load(kept, text, "sluice.toml", secrets);
}

TEST(OpenAiFaceOptionsTest, AreReadFromTheirTable) {
  const config::Loaded loaded = load(
      "[channels.shop]\nkind = \"openai\"\nmodels = [\"gpt-4o\"]\n"
      "answer_timeout = \"30s\"\nrequests_per_person = 7\n");
  ASSERT_TRUE(loaded.config) << loaded.to_string();
  const auto& options = loaded.config->instances("channels").front().get<OpenAiFaceOptions>();
  EXPECT_EQ(options.models, std::vector<std::string>{"gpt-4o"});
  EXPECT_EQ(options.answer_timeout, std::chrono::seconds(30));
  EXPECT_EQ(options.requests_per_person, 7u);
}

TEST(OpenAiFaceOptionsTest, AWaitWithoutBoundIsRefused) {
  EXPECT_FALSE(load("[channels.shop]\nkind = \"openai\"\nanswer_timeout = \"24h\"\n").config);
}

}  // namespace
}  // namespace sluice::openai
