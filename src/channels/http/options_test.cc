#include "channels/http/options.h"

#include <gtest/gtest.h>

#include "config/config_fixture.h"

namespace sluice::http {
namespace {

config::Loaded load(std::string_view text) {
  config::Schema schema;
  config::Kinds channels;
  channels.add<HttpChannelOptions>("http", "Our own API.")
      .add<HttpChannelOptions>("cli", "The terminal.")
      .builtin("http", "http")
      .builtin("cli", "cli");
  schema.instances("channels", "Accounts that messages come from.", std::move(channels));
  static config::example::FakeSecrets secrets;
  static config::Schema kept = std::move(schema);  // a Config refers to it
  return config::load(kept, text, "sluice.toml", secrets);
}

TEST(HttpOptionsTest, AreReadFromTheirTable) {
  const config::Loaded loaded = load(
      "[channels.http]\n"
      "body_max = \"64KiB\"\n");
  ASSERT_TRUE(loaded.config) << loaded.to_string();
  for (const config::Instance& channel : loaded.config->instances("channels")) {
    if (channel.name != "http") continue;
    const auto& options = channel.get<HttpChannelOptions>();
    EXPECT_EQ(options.body_max, 64u << 10);
  }
}

}  // namespace
}  // namespace sluice::http
