#pragma once
// EarlyRead: what a successor reads of a store while the process before it still writes there: the
// keys, and where every conversation stands. Opening the store afterwards takes as long as what
// has changed meanwhile, and not as long as all that was ever written.
//
// It only helps: a store can always be opened without it. Used by one thread, until the store is
// open; its connection stays open until then, so that the log need not be read anew.

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "gateway/conversations.h"
#include "store/dedupe.h"
#include "store/sqlite.h"

namespace sluice {

class EarlyRead {
 public:
  /// Of the store at this path, with one core: about a second for five million keys and a million
  /// conversations. kUnsupported: it has another version's tables.
  static Result<std::unique_ptr<EarlyRead>> of(const std::string& path, const char* vfs = nullptr);

  std::shared_ptr<KeySet> keys = std::make_shared<KeySet>();
  Conversations conversations;
  std::int64_t upto = 0;  // no row with a smaller id has been written since; at least 1

 private:
  sqlite::Database db_;
};

}  // namespace sluice
