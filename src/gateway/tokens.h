#pragma once
// How many tokens a text may be. Every model counts its own way and none tells before it is asked,
// so this is a rule of thumb for bounds: four ASCII characters a token, and one for each character
// of other scripts, which errs on the side of too many. Any thread.

#include <cstddef>
#include <string_view>

namespace sluice {

std::size_t estimate_tokens(std::string_view text);

}  // namespace sluice
