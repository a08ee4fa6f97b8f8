// sluice_sim N [--first SEED] [--mutant NAME | --mutants] [--replay] [--verbose]
//   N seeds of the true core: prints the situations of each sentence; the last line is seeds and
//   violations.
//   --mutant NAME: the same with that fault; --mutants: each fault, until its checker catches it,
//   in at most N seeds that the true core passes. --replay runs every seed twice and compares. Exit
//   code 1 if anything is not as it should be.

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>

#include "runtime/shard.h"
#include "sim/mutants.h"
#include "sim/world.h"

namespace sluice::sim {
namespace {

// Sentences whose situations the worlds bring about; the others have tests of their own
// (docs/contract.md).
constexpr const char* kSentences[] = {"C1",  "C3",  "C4",  "C5",  "C6",  "C7",  "C8",  "C9",
                                      "C10", "C11", "C12", "C13", "C14", "C15", "C16", "C17",
                                      "C18", "C19", "C20", "C21", "C23", "C24", "C25", "C26",
                                      "C28", "C29", "C30", "C31", "C32"};

struct Options {
  std::uint64_t count = 100;
  std::uint64_t first = 1;
  const MutantInfo* mutant = nullptr;
  bool all_mutants = false;
  bool replay = false;
  bool verbose = false;
};

WorldReport run_seed(std::uint64_t seed, bool verbose) {
  World world(seed, verbose);
  return world.run();
}

bool named(const MutantInfo& info, const std::string& sentence) {
  const std::string all = " " + std::string(info.sentences) + " ";
  return all.find(" " + sentence + " ") != std::string::npos;
}

/// True if a checker of the named sentences caught it.
bool hunt(const MutantInfo& info, const Options& options) {
  std::map<std::string, int> others;
  for (std::uint64_t seed = options.first; seed < options.first + options.count; ++seed) {
    choose_mutant(info.mutant);
    const WorldReport report = run_seed(seed, options.verbose);
    choose_mutant(Mutant::kNone);
    for (const Violation& v : report.violations) {
      if (!named(info, v.sentence)) {
        ++others[v.sentence];
        continue;
      }
      const WorldReport truth = run_seed(seed, false);
      if (!truth.violations.empty()) break;  // the seed says nothing about the mutant
      std::printf("caught   %-28s by %-4s seed %-4lu %s\n", std::string(info.name).c_str(),
                  v.sentence.c_str(), static_cast<unsigned long>(seed), v.what.c_str());
      return true;
    }
  }
  std::printf("MISSED   %-28s in %lu seeds; expected %s", std::string(info.name).c_str(),
              static_cast<unsigned long>(options.count), std::string(info.sentences).c_str());
  for (const auto& [sentence, count] : others)
    std::printf(", %s fired %d times", sentence.c_str(), count);
  std::printf("\n");
  return false;
}

int run(const Options& options) {
  if (options.all_mutants) {
    std::size_t caught = 0;
    for (const MutantInfo& info : all_mutants()) caught += hunt(info, options);
    std::printf("%zu mutants, %zu caught\n", all_mutants().size(), caught);
    return caught == all_mutants().size() ? 0 : 1;
  }
  SystemClock clock;
  const MonoTime began = clock.now();
  std::map<std::string, std::uint64_t> situations;
  std::uint64_t violations = 0;
  std::uint64_t steps = 0;
  std::uint64_t crashes = 0;
  std::uint64_t acknowledged = 0;
  for (std::uint64_t seed = options.first; seed < options.first + options.count; ++seed) {
    if (options.mutant != nullptr) choose_mutant(options.mutant->mutant);
    const WorldReport report = run_seed(seed, options.verbose);
    if (options.replay) {
      const WorldReport again = run_seed(seed, false);
      if (again.trace != report.trace || again.steps != report.steps) {
        std::printf("seed %lu does not replay\n", static_cast<unsigned long>(seed));
        ++violations;
      }
    }
    steps += report.steps;
    crashes += static_cast<std::uint64_t>(report.crashes);
    acknowledged += static_cast<std::uint64_t>(report.acknowledged);
    for (const auto& [sentence, count] : report.situations) situations[sentence] += count;
    for (const Violation& v : report.violations) {
      std::printf("seed %lu violates %s: %s (replay: --first %lu 1 --verbose)\n",
                  static_cast<unsigned long>(seed), v.sentence.c_str(), v.what.c_str(),
                  static_cast<unsigned long>(seed));
      ++violations;
    }
  }
  const double seconds = static_cast<double>((clock.now() - began).count()) / 1e9;
  std::printf("situations:");
  std::uint64_t never = 0;
  for (const char* sentence : kSentences) {
    const std::uint64_t count = situations[sentence];
    std::printf(" %s=%lu", sentence, static_cast<unsigned long>(count));
    if (count == 0) ++never;
  }
  std::printf("\n%lu steps, %lu crashes, %lu events acknowledged, %.1f seeds a second\n",
              static_cast<unsigned long>(steps), static_cast<unsigned long>(crashes),
              static_cast<unsigned long>(acknowledged),
              static_cast<double>(options.count) / seconds);
  // A handful of seeds need not meet everything; a thousand must.
  const bool enough = options.count < 200 || never == 0 || options.mutant != nullptr;
  if (!enough)
    std::printf("%lu sentences were never put to the test\n", static_cast<unsigned long>(never));
  std::printf("%lu seeds, %lu violations\n", static_cast<unsigned long>(options.count),
              static_cast<unsigned long>(violations));
  return violations == 0 && enough ? 0 : 1;
}

}  // namespace
}  // namespace sluice::sim

int main(int argc, char** argv) {
  using namespace sluice::sim;  // NOLINT: the program of this folder
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string arg = argv[i];
    const bool more = i + 1 < argc;
    if (arg == "--first" && more) {
      options.first = std::strtoull(argv[++i], nullptr, 10);
    } else if (arg == "--mutant" && more) {
      options.mutant = find_mutant(argv[++i]);
      if (options.mutant == nullptr) {
        std::fprintf(stderr, "no such mutant: %s\n", argv[i]);
        return 2;
      }
    } else if (arg == "--mutants") {
      options.all_mutants = true;
    } else if (arg == "--replay") {
      options.replay = true;
    } else if (arg == "--verbose") {
      options.verbose = true;
    } else if (arg[0] >= '0' && arg[0] <= '9') {
      options.count = std::strtoull(arg.c_str(), nullptr, 10);
    } else {
      std::fprintf(stderr,
                   "usage: sluice_sim N [--first SEED] [--mutant NAME | --mutants] [--replay] "
                   "[--verbose]\n");
      return 2;
    }
  }
  return run(options);
}
