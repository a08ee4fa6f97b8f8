#pragma once
// What a schema says about itself, for people: the commented default file and the reference page.
// Both are generated, so neither can fall behind the code.

#include <string>

#include "config/schema.h"

namespace sluice::config {

/// A file that says nothing yet: every key commented out, with its meaning, type and default.
/// Deleting the
/// "#" before any line gives a valid file, except that a key of an example table needs its table
/// too.
std::string reference_toml(const Schema& schema);

/// For docs/configuration.md.
std::string reference_markdown(const Schema& schema);

}  // namespace sluice::config
