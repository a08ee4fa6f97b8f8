#pragma once
// BareCommits: the row changes of turns in a loop that does nothing else: prepared statements, one
// commit for a group, the same schema, settings and checkpoints as the store. The reference of the
// rows about durable turns: what SQLite and the disk allow.
//
// In each commit one group of turns is accepted, the group before it ends, and the one before that
// is settled, so that no row is made and removed in the same commit. Single-threaded.

#include <string>
#include <vector>

#include "base/random.h"
#include "store/sqlite.h"

namespace sluice::bench {

class BareCommits {
 public:
  /// directory holds a store that nobody has open. push: replies go through the outbox.
  BareCommits(const std::string& directory, bool push);
  struct Sample {
    double turns = 0;
    double seconds = 0;
    double cpu = 0;
  };
  Sample run(double seconds, double turns_per_commit);
  /// Accepts one turn, attempt included, in a commit of its own, and returns how long that took.
  double accept_one();
  /// Until the log is written over for the first time, as it then always is; at most so long.
  void warm_up(double seconds, double turns_per_commit);

 private:
  struct Turn {
    std::int64_t message;
    std::int64_t turn;
    std::int64_t part;
  };
  void prepare();
  void commit(std::size_t turns);
  Turn accept();
  void end(const Turn& turn);
  void settle(const Turn& turn);
  void checkpoint_if_due();

  const bool push_;
  sqlite::Database db_;
  sqlite::Statement begin_, commit_, key_, message_, turn_, end_turn_, log_, unmessage_, history_,
      part_, log_part_, unpart_;
  std::vector<Turn> accepted_;
  std::vector<Turn> ended_;
  Random random_{7};
  std::int64_t last_id_ = 0;
  int log_pages_ = 0;
  int checkpoints_ = 0;
};

}  // namespace sluice::bench
