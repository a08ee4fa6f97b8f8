// Any bytes as a configuration: loading ends, every diagnostic is one line, and a text that loads
// is the same configuration when it is loaded again.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "config/config_fixture.h"

namespace {

using namespace sluice::config;

bool is_one_line(const std::string& text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return false;
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const Schema schema = example::schema();
  static example::FakeSecrets secrets = [] {
    example::FakeSecrets out;
    out.variables["A"] = "secret a";
    out.files["/b"] = "secret b";
    return out;
  }();
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Loaded once = load(schema, text, "fuzz.toml", secrets);
  SLUICE_ASSERT(once.config || !once.problems.empty());
  SLUICE_ASSERT(once.problems.size() <= Problems::kMost + 1);
  for (const Diagnostic& problem : once.problems) SLUICE_ASSERT(is_one_line(problem.to_string()));
  if (once.config) {
    const Loaded again = load(schema, text, "fuzz.toml", secrets);
    SLUICE_ASSERT(again.config && diff(*once.config, *again.config).empty());
  }
  return 0;
}
