#pragma once
// SLUICE_ASSERT(condition): programmer errors end the process, also in release builds. What is on
// disk is consistent at every instant, so ending is always safer than going on with a broken
// invariant.

namespace sluice {
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line);
}

#define SLUICE_ASSERT(condition) \
  ((condition) ? static_cast<void>(0) : ::sluice::assertion_failed(#condition, __FILE__, __LINE__))
