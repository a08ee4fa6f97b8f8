#include "store/early_read.h"

#include <algorithm>
#include <utility>

#include "store/key_load.h"
#include "store/recovery.h"
#include "store/schema.h"

namespace sluice {

Result<std::unique_ptr<EarlyRead>> EarlyRead::of(const std::string& path, const char* vfs) {
  auto db = sqlite::Database::open(path, sqlite::Database::Mode::kQuery, vfs);
  if (!db) return db.error();
  auto early = std::make_unique<EarlyRead>();
  early->db_ = std::move(*db);
  const auto version = early->db_.query_integer("PRAGMA user_version");
  if (!version) return version.error();
  if (version->value_or(0) != static_cast<std::int64_t>(migrations().size()))
    return Error(ErrorKind::kUnsupported, path + " has another version's tables");
  // First: what is written from here on will be read again.
  const auto upto = greatest_id(early->db_);
  if (!upto) return upto.error();
  early->upto = std::max<std::int64_t>(*upto, 1);
  auto keys = KeyLoad::begin(early->db_, "", early->keys);
  if (!keys) return keys.error();
  if (auto r = (*keys)->finish(); !r) return r.error();
  auto conversations = read_conversations(early->db_);
  if (!conversations) return conversations.error();
  early->conversations = std::move(*conversations);
  return early;
}

}  // namespace sluice
