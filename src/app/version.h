#pragma once
// The version of this build, from CMakeLists.txt.

#include <string_view>

namespace sluice::app {

inline constexpr std::string_view kVersion = SLUICE_VERSION;

}  // namespace sluice::app
