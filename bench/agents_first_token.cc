// From a request to the first delta of its answer, through the daemon with the turn on disk,
// against the same request made directly and one commit of what has to be on disk.

#include <fmt/core.h>

#include "agents_setup.h"
#include "bare_commit.h"
#include "sections.h"

namespace sluice::bench {
namespace {

/// A store that a daemon has made and left.
void make_store(const Scale& scale, const std::string& directory) {
  const DaemonProcess daemon(scale.programs + "/sluice", directory);
}

Row compared(const char* what, std::vector<double> ours, std::vector<double> reference, double q) {
  return at_most(fmt::format("time to first token, {}, model on loopback, turn on disk (reference: "
                             "asked directly + one commit)",
                             what),
                 quantile(std::move(ours), q) * 1e3, "ms", quantile(std::move(reference), q) * 1e3,
                 1.5);
}

}  // namespace

std::vector<Row> first_token(const Scale& scale) {
  if (!has_daemon(scale)) return {};
  const TempDir store(scale.directory);
  make_store(scale, store.path());
  BareCommits commits(store.path() + "/data", false);
  const ModelWorld world(scale);
  StreamLoad direct(world.model_port(), kCompletions, "");
  StreamLoad through(world.daemon().port(), kCompletions, world.daemon().authorization());
  std::vector<double> ours, reference, alone, commit;
  const std::size_t rounds = scale.count(2'000, 20);
  const std::size_t warm_up = rounds / 10;
  // One of each in turn: what disturbs the machine disturbs all of them.
  for (std::size_t i = 0; i < rounds + warm_up; ++i) {
    const double asked = direct.first_token("direct");
    const double committed = commits.accept_one();
    const double answered = through.first_token(fmt::format("user-{}", i % 64));
    if (i < warm_up) continue;
    alone.push_back(asked);
    commit.push_back(committed);
    reference.push_back(asked + committed);
    ours.push_back(answered);
  }
  return {compared("p50", ours, reference, 0.5), compared("p99", ours, reference, 0.99),
          reported("of the reference: asked directly, p50", median(alone) * 1e3, "ms"),
          reported("of the reference: one commit, p50", median(commit) * 1e3, "ms")};
}

}  // namespace sluice::bench
