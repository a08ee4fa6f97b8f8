#pragma once
// The deliberate faults of base/mutant.h by name, and which sentence's checker has to catch each.

#include <optional>
#include <span>
#include <string_view>

#include "base/mutant.h"

namespace sluice::sim {

struct MutantInfo {
  Mutant mutant;
  std::string_view name;
  std::string_view sentences;  // any of these catches it: "C3" or "C1 C25"
};

std::span<const MutantInfo> all_mutants();
const MutantInfo* find_mutant(std::string_view name);

}  // namespace sluice::sim
