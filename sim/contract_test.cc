// The contract's table as tests (docs/contract.md): for each deliberate fault a checker of its
// sentence must find it within 200 seeds that the true core passes, and finds nothing in the true
// core.

#include <cctype>

#include <gtest/gtest.h>

#include "sim/mutants.h"
#include "sim/world.h"

namespace sluice::sim {
namespace {

constexpr std::uint64_t kSeedsMax = 200;

class ContractTest : public ::testing::TestWithParam<MutantInfo> {};

std::string name_of(const ::testing::TestParamInfo<MutantInfo>& info) {
  std::string name(info.param.sentences.substr(0, info.param.sentences.find(' ')));
  name.append("_is_broken_by_").append(info.param.name);
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return name;
}

bool names(const MutantInfo& info, const std::string& sentence) {
  return (" " + std::string(info.sentences) + " ").find(" " + sentence + " ") != std::string::npos;
}

TEST_P(ContractTest, TheFaultIsCaughtAndTheTrueCoreIsNot) {
  const MutantInfo& info = GetParam();
  for (std::uint64_t seed = 1; seed <= kSeedsMax; ++seed) {
    choose_mutant(info.mutant);
    const WorldReport faulty = World(seed, false).run();
    choose_mutant(Mutant::kNone);
    for (const Violation& violation : faulty.violations) {
      if (!names(info, violation.sentence)) continue;
      const WorldReport truth = World(seed, false).run();
      for (const Violation& wrong : truth.violations)
        ADD_FAILURE() << "seed " << seed << ": " << wrong.what;
      return;
    }
  }
  FAIL() << "not caught in " << kSeedsMax << " seeds";
}

INSTANTIATE_TEST_SUITE_P(C, ContractTest,
                         ::testing::ValuesIn(all_mutants().begin(), all_mutants().end()), name_of);

TEST(SimulationTest, ASeedReplaysExactly) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    const WorldReport once = World(seed, false).run();
    const WorldReport again = World(seed, false).run();
    EXPECT_EQ(once.trace, again.trace) << seed;
    EXPECT_EQ(once.steps, again.steps) << seed;
  }
}

}  // namespace
}  // namespace sluice::sim
