#pragma once
// One value of the file as one option: its type, its bounds, its words. Private to config/.

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/load.h"
#include "config/parse.h"

namespace sluice::config {

/// What reading a value needs besides the value.
struct ReadContext {
  Problems& problems;
  SecretSource& secrets;
  std::filesystem::path folder;  // of the file
};

/// "[agents.main] timeout" or, at the top of the file, "timeout".
std::string key_in(std::string_view table, std::string_view key);
/// "agents.main.timeout".
std::string join(std::string_view table, std::string_view key);
/// `; did you mean "timeout"?`, or nothing where no candidate is near.
std::string suggestion(std::string_view word, const std::vector<std::string>& candidates);

/// Nothing, and at least one problem, if the value is wrong.
std::optional<Plain> read_option(ReadContext& context, const Option& option, std::string_view table,
                                 const Value& value);

/// "100ms to 1h": the bounds in the unit of the type.
std::string bounds_text(const Option& option);
/// "a duration such as \"30s\"".
std::string expectation(const Option& option);

}  // namespace sluice::config
