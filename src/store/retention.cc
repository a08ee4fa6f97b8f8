#include "store/retention.h"

#include <iterator>
#include <string_view>

#include <fmt/format.h>

#include "base/mutant.h"

namespace sluice {
namespace {

constexpr std::int64_t kSliceRows = 500;

struct AgingTable {
  std::string_view name;
  std::string_view stamp;
  std::int64_t Retention::Counts::* count;
};
constexpr AgingTable kTables[] = {
    {"history", "at", &Retention::Counts::history},
    {"message_log", "ended_at", &Retention::Counts::messages},
    {"part_log", "settled_at", &Retention::Counts::parts},
    {"dead_messages", "died_at", &Retention::Counts::dead_letters},
    {"dead_parts", "died_at", &Retention::Counts::dead_letters},
};

}  // namespace

Result<bool> Retention::step(UnixMillis now) {
  if (at_ == 0 && now < next_pass_) return false;
  if (at_ < std::size(kTables)) {
    const Result<bool> more = remove_rows(at_, UnixMillis{now.ms - limits_.text.count()});
    if (!more) return more;
    if (!*more) ++at_;
    return true;
  }
  const std::size_t before = keys_.size();
  const UnixMillis cutoff =
      mutant(Mutant::kPruneLiveKeys) ? now : UnixMillis{now.ms - limits_.keys.count()};
  const Result<bool> more = keys_.prune_slice(cutoff);
  if (!more) return more;
  counts_.keys += static_cast<std::int64_t>(before - keys_.size());
  if (*more) return true;
  at_ = 0;
  next_pass_ = now + kEvery;
  return false;
}

Result<bool> Retention::remove_rows(std::size_t table, UnixMillis cutoff) {
  const AgingTable& t = kTables[table];
  // Rows lie in the order of their ids and so nearly in the order of time: the old ones are a
  // prefix. Only its first rows are looked at; one that is younger than its neighbours waits for a
  // later pass.
  auto scope = sqlite::WriteScope::begin(db_);
  if (!scope) return scope.error();
  auto r =
      db_.exec(fmt::format("DELETE FROM {0} WHERE id IN (SELECT id FROM (SELECT id, {1} AS stamp "
                           "FROM {0} ORDER BY id LIMIT {2}) "
                           "WHERE stamp < {3})",
                           t.name, t.stamp, kSliceRows, cutoff.ms));
  if (!r) return r.error();
  const std::int64_t removed = db_.changes();
  if (r = scope->commit(); !r) return r.error();
  counts_.*t.count += removed;
  return removed == kSliceRows;
}

}  // namespace sluice
