#include "store/key_load.h"

#include <algorithm>

#include "store/files.h"
#include "store/store_fixture.h"

namespace sluice {
namespace {

class KeyLoadTest : public StoreFixture {
 protected:
  static constexpr std::int64_t kKeys = KeyLoad::kAlone + 20'000;

  KeyLoadTest() {
    open();
    close();
    auto db = sqlite::Database::open(path_, sqlite::Database::Mode::kExisting);
    EXPECT_TRUE(db);
    db_ = std::move(*db);
    const auto filled = db_.exec(
        "WITH RECURSIVE n(i) AS (SELECT 7 UNION ALL SELECT i + 1 FROM n WHERE i < " +
        std::to_string(kKeys + 6) +
        ") INSERT INTO key_log(id, key, content, at) SELECT i, randomblob(16), zeroblob(16), 1 "
        "FROM n");
    EXPECT_TRUE(filled) << filled.error().to_string();
  }
  std::shared_ptr<KeySet> load(const std::string& path) {
    auto set = std::make_shared<KeySet>();
    auto load = KeyLoad::begin(db_, path, set);
    EXPECT_TRUE(load);
    EXPECT_TRUE((*load)->finish());
    return set;
  }
  void expect_all_in(const KeySet& set) {
    EXPECT_EQ(set.size(), static_cast<std::size_t>(kKeys));
    auto all = db_.prepare("SELECT id, key FROM key_log");
    ASSERT_TRUE(all);
    std::vector<MessageId> found;
    while (*all->step()) {
      found.clear();
      set.find(all->key(1).low, found);
      ASSERT_TRUE(std::find(found.begin(), found.end(), all->id<MessageId>(0)) != found.end());
    }
  }

  const std::string path_ = files::join(directory_, files::kDatabase);
  sqlite::Database db_;
};

TEST_F(KeyLoadTest, TwoThreadsReadEveryKeyOnce) { expect_all_in(*load(path_)); }

TEST_F(KeyLoadTest, OneAloneReadsThemToo) { expect_all_in(*load("")); }

TEST_F(KeyLoadTest, AnEmptyLogIsReadAtOnce) {
  ASSERT_TRUE(db_.exec("DELETE FROM key_log"));
  EXPECT_EQ(load(path_)->size(), 0u);
}

TEST_F(KeyLoadTest, OneThatIsNotFinishedLeavesNothingRunning) {
  auto set = std::make_shared<KeySet>();
  ASSERT_TRUE(KeyLoad::begin(db_, path_, set));
  EXPECT_LE(set->size(), static_cast<std::size_t>(kKeys));
}

}  // namespace
}  // namespace sluice
