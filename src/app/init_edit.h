#pragma once
// Editing a TOML file as a person would: single values change, and every other byte, comments
// included, stays. What the edits would do is read back before anybody sees it, so a file written
// in a way that this does not understand is refused instead of damaged.
//
// Thread: any; pure. Limits: those of config/parse.h.
// Reference: https://toml.io/en/v1.0.0

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace sluice::app {

/// [table] key = value. Table and key are bare keys, the table with dots between; value is TOML.
struct TomlEdit {
  std::string table;
  std::string key;
  std::string value;
  friend bool operator==(const TomlEdit&, const TomlEdit&) = default;
};

/// The text with these values. A key that is there is replaced; a new one is put below its own
/// commented default, else below the table's head; a new table is put at the end.
/// kInvalidArgument: the text is no TOML, or can't be edited so (inline tables, dotted keys).
Result<std::string> edit_toml(std::string_view text, const std::vector<TomlEdit>& edits);

/// The same as lines for a person to put in by hand.
std::string toml_lines(const std::vector<TomlEdit>& edits);

/// A text as a TOML string.
std::string toml_string(std::string_view text);

}  // namespace sluice::app
