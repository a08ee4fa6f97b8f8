#include "store/key_load.h"

#include <utility>
#include <vector>

#include <fmt/format.h>

#include "store/schema.h"

namespace sluice {
namespace {
constexpr std::size_t kAtOnce = 8192;  // keys that are put into the set under one lock
}  // namespace

Result<std::unique_ptr<KeyLoad>> KeyLoad::begin(sqlite::Database& db, const std::string& path,
                                                std::shared_ptr<KeySet> set, std::int64_t since) {
  std::unique_ptr<KeyLoad> load(new KeyLoad(db, std::move(set)));
  const auto first =
      db.query_integer(fmt::format("SELECT min(id) FROM key_log WHERE id>{}", since));
  if (!first) return first.error();
  if (!first->has_value()) {
    load->next_ = kRanges;
    return load;
  }
  const auto last = db.query_integer("SELECT max(id) FROM key_log");
  if (!last) return last.error();
  load->first_ = **first;
  load->width_ = (last->value_or(0) - load->first_) / kRanges + 1;
  // The number at the last clean stop: a hint that spares growing the set step by step.
  const auto expected = meta_integer(db, "key_count");
  if (!expected) return expected.error();
  if (expected->value_or(0) > 0) load->set_->reserve(static_cast<std::size_t>(**expected));
  // Ids are dense: there are not many more of them than keys.
  if (!path.empty() && last->value_or(0) - load->first_ >= kAlone) {
    KeyLoad* self = load.get();
    self->helper_ = std::jthread([self, path] { self->helped_ = self->read_from(path); });
  }
  return load;
}

Result<void> KeyLoad::finish() {
  const Result<void> read = read_ranges(db_);
  if (helper_.joinable()) helper_.join();
  return read ? helped_ : read;
}

Result<void> KeyLoad::read_from(const std::string& path) {
  auto db = sqlite::Database::open(path, sqlite::Database::Mode::kQuery);
  // One thread reads them all then; what is wrong with the file is the caller's to find.
  if (!db) return {};
  return read_ranges(*db);
}

Result<void> KeyLoad::read_ranges(sqlite::Database& db) {
  auto range = db.prepare("SELECT id, key FROM key_log WHERE id>=?1 AND id<?2");
  if (!range) return range.error();
  std::vector<KeySet::Entry> entries;
  entries.reserve(kAtOnce);
  for (std::int64_t n = next_++; n < kRanges; n = next_++) {
    range->start(first_ + n * width_, first_ + (n + 1) * width_);
    for (bool more = true; more;) {
      const Result<bool> row = range->step();
      if (!row) return row.error();
      more = *row;
      if (more) entries.push_back({range->key(1).low, range->integer(0)});
      if (entries.size() == kAtOnce || !more) {
        set_->insert(entries);
        entries.clear();
      }
    }
  }
  return {};
}

}  // namespace sluice
