#include "stored_messages.h"

#include <fmt/core.h>

#include "base/assert.h"
#include "measure.h"
#include "store/sqlite.h"

namespace sluice::bench {

namespace {

sqlite::Database open_beside(const std::string& data) {
  auto db = sqlite::Database::open(data + "/sluice.db", sqlite::Database::Mode::kQuery);
  SLUICE_ASSERT(db.has_value());
  return std::move(*db);
}

}  // namespace

std::unordered_map<std::string, int> texts_of_people(const std::string& data, double seconds) {
  sqlite::Database db = open_beside(data);
  const double until = wall_seconds() + seconds;
  for (;;) {
    const auto pending = db.query_integer("SELECT count(*) FROM messages");
    SLUICE_ASSERT(pending.has_value() && wall_seconds() < until);
    if (pending->value_or(0) == 0) break;
    rest(0.05);
  }
  std::unordered_map<std::string, int> found;
  auto rows = db.prepare("SELECT text FROM history WHERE kind = 0");
  SLUICE_ASSERT(rows.has_value());
  rows->start();
  for (auto row = rows->step(); row && *row; row = rows->step()) ++found[rows->text(0)];
  return found;
}

std::size_t answered_at_once(const std::string& data) {
  sqlite::Database db = open_beside(data);
  const auto count = db.query_integer(
      "SELECT count(*) FROM message_log m WHERE outcome = 0 AND attempts = 1 AND "
      "1 = (SELECT count(*) FROM history h WHERE h.turn = m.turn AND h.kind = 1)");
  SLUICE_ASSERT(count.has_value());
  return static_cast<std::size_t>(count->value_or(0));
}

}  // namespace sluice::bench
