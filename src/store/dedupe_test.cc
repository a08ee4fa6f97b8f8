#include "store/dedupe.h"

#include <algorithm>
#include <map>

#include <gtest/gtest.h>

#include "base/random.h"

namespace sluice {
namespace {

std::vector<MessageId> find(const KeySet& set, std::uint64_t half) {
  std::vector<MessageId> ids;
  set.find(half, ids);
  std::sort(ids.begin(), ids.end());
  return ids;
}

TEST(KeySetTest, FindsEveryIdOfAKey) {
  KeySet set;
  set.insert(42, MessageId{1});
  set.insert(42, MessageId{2});
  set.insert(43, MessageId{3});
  EXPECT_EQ(find(set, 42), (std::vector{MessageId{1}, MessageId{2}}));
  EXPECT_EQ(find(set, 44), std::vector<MessageId>());
}

TEST(KeySetTest, AgreesWithAMapThroughRandomInsertionsAndErasures) {
  KeySet set;
  std::multimap<std::uint64_t, std::int64_t> model;
  Random random(7);
  for (std::int64_t id = 1; id <= 60'000; ++id) {
    // Few segments and many neighbours, so that chains wrap and holes are filled.
    const std::uint64_t half = (random.below(3) << 54) | (random.below(4000) << 42);
    if (random.percent(60)) {
      set.insert(half, MessageId{id});
      model.emplace(half, id);
    } else if (!model.empty()) {
      const auto it = model.lower_bound(half);
      if (it == model.end()) continue;
      EXPECT_TRUE(set.erase(it->first, MessageId{it->second}));
      EXPECT_FALSE(set.erase(it->first, MessageId{it->second}));
      model.erase(it);
    }
  }
  EXPECT_EQ(set.size(), model.size());
  for (const auto& [half, id] : model) {
    const auto ids = find(set, half);
    EXPECT_EQ(ids.size(), model.count(half));
    EXPECT_TRUE(std::count(ids.begin(), ids.end(), MessageId{id}) == 1);
  }
}

TEST(KeySetTest, HoldsAMillionKeysInAtMost31BytesEach) {
  KeySet set;
  Random random(1);
  std::vector<KeySet::Entry> entries;
  for (std::int64_t id = 1; id <= 1'000'000; ++id) entries.push_back({random.next(), id});
  set.insert(entries);
  EXPECT_EQ(set.size(), 1'000'000u);
  EXPECT_LE(set.memory_bytes(), 31'000'000u);
  for (const auto& entry : entries) ASSERT_EQ(find(set, entry.half).size(), 1u);
}

TEST(BloomFilterTest, KnowsEveryKeyAndAlarmsRarelyForOthers) {
  BloomFilter filter;
  Random random(3);
  std::vector<Key128> keys(BloomFilter::kLayerKeys + 1000);
  for (Key128& key : keys) {
    key = {random.next(), random.next()};
    filter.add(key);
  }
  for (const Key128& key : keys) ASSERT_TRUE(filter.may_contain(key));
  int alarms = 0;
  for (int i = 0; i < 100'000; ++i) alarms += filter.may_contain({random.next(), random.next()});
  EXPECT_LT(alarms, 1000);
}

}  // namespace
}  // namespace sluice
