#pragma once
// What this build calls itself: the project's version of CMakeLists.txt, or what SLUICE_VERSION
// says (scripts/package).

#include <string_view>

namespace sluice::app {

extern const std::string_view kVersion;

}  // namespace sluice::app
