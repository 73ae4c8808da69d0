#include "backends/cuda/hopper/plan/schedule.h"

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include <gtest/gtest.h>

namespace cove::cuda::hopper {
namespace {

// Walks every cluster's units as the kernel does and counts how often each (tile, block of K) is computed.
void check_tile_schedule(const TileSchedule& s, int clusters) {
  std::vector<int> seen(static_cast<size_t>(s.tiles()) * static_cast<size_t>(s.k_blocks), 0);
  std::map<int, std::set<int>> parts_of;      // split tile -> parts
  std::map<int, std::pair<int, int>> placed;  // split tile -> tile
  for (int cluster = 0; cluster < clusters; ++cluster) {
    for (int u = cluster; u < s.units(); u += clusters) {
      const TileUnit unit = tile_unit(s, u);
      ASSERT_TRUE(unit.m >= 0 && unit.m < s.tiles_m && unit.n >= 0 && unit.n < s.tiles_n);
      ASSERT_LT(unit.k_begin, unit.k_end);
      for (int k = unit.k_begin; k < unit.k_end; ++k) {
        ++seen[static_cast<size_t>(unit.m * s.tiles_n + unit.n) * static_cast<size_t>(s.k_blocks) +
               static_cast<size_t>(k)];
      }
      if (unit.split_tile < 0) continue;
      ASSERT_TRUE(parts_of[unit.split_tile].insert(unit.part).second);
      const auto where = placed.emplace(unit.split_tile, std::pair{unit.m, unit.n}).first->second;
      ASSERT_EQ(where, (std::pair{unit.m, unit.n})) << "one counter for two tiles";
    }
  }
  for (const int count : seen) ASSERT_EQ(count, 1);
  ASSERT_EQ(static_cast<int>(parts_of.size()), s.split > 1 ? s.tiles() - s.full_tiles : 0);
  for (const auto& [tile, parts] : parts_of) {
    ASSERT_LT(tile, s.tiles() - s.full_tiles);
    ASSERT_EQ(static_cast<int>(parts.size()), s.split);
    ASSERT_EQ(*parts.rbegin(), s.split - 1);
  }
}

TEST(HopperSchedule, every_block_of_every_tile_is_computed_once) {
  for (const int tiles_m : {1, 2, 7, 16, 33}) {
    for (const int tiles_n : {1, 3, 14, 40}) {
      for (const int raster : {1, 8, 16}) {
        for (const int split : {1, 2, 3, 7}) {
          TileSchedule s{.tiles_m = tiles_m, .tiles_n = tiles_n, .k_blocks = 11, .split = split, .raster = raster};
          for (const int full : {0, s.tiles() / 66 * 66, s.tiles()}) {
            s.full_tiles = full;
            check_tile_schedule(s, 66);
            check_tile_schedule(s, 5);
          }
        }
      }
    }
  }
}

TEST(HopperSchedule, neighbours_in_time_share_rows_and_columns) {
  const TileSchedule s{.tiles_m = 16, .tiles_n = 148, .k_blocks = 56, .full_tiles = 16 * 148, .raster = 8};
  std::set<int> rows;
  std::set<int> columns;
  for (int u = 0; u < 66; ++u) {
    rows.insert(tile_unit(s, u).m);
    columns.insert(tile_unit(s, u).n);
  }
  EXPECT_EQ(rows.size(), 8U);
  EXPECT_EQ(columns.size(), 9U);
}

void check_stream_schedule(const StreamSchedule& s) {
  std::vector<int> seen(static_cast<size_t>(s.units()), 0);
  std::map<int, std::set<int>> workers_of;  // shared tile -> workers
  std::set<int> slots;
  int64_t shortest = s.units();
  int64_t longest = 0;
  ASSERT_EQ(s.begin(0), 0);
  ASSERT_EQ(s.begin(s.workers), s.units());
  for (int worker = 0; worker < s.workers; ++worker) {
    const int64_t end = s.begin(worker + 1);
    shortest = std::min(shortest, end - s.begin(worker));
    longest = std::max(longest, end - s.begin(worker));
    for (int64_t at = s.begin(worker); at < end;) {
      const StreamUnit unit = stream_unit(s, at, end);
      ASSERT_LT(unit.k_begin, unit.k_end);
      ASSERT_LE(unit.k_end, s.k_blocks);
      for (int k = unit.k_begin; k < unit.k_end; ++k) {
        const int64_t u = static_cast<int64_t>(unit.tile) * s.k_blocks + k;
        ASSERT_EQ(s.owner(u), worker);
        ++seen[static_cast<size_t>(u)];
      }
      ASSERT_TRUE(unit.first_worker <= worker && worker <= unit.last_worker);
      if (unit.shared()) {
        workers_of[unit.tile].insert(worker);
        ASSERT_EQ(static_cast<int>(unit.slot(worker)),
                  2 * unit.first_worker + 2 * (worker - unit.first_worker) + (worker == unit.first_worker ? 1 : 0));
        ASSERT_TRUE(slots.insert(unit.slot(worker)).second) << "two parts in one slot";
        ASSERT_LT(unit.slot(worker), 2 * s.workers);
      } else {
        ASSERT_TRUE(unit.k_begin == 0 && unit.k_end == s.k_blocks);
      }
      at += unit.k_end - unit.k_begin;
    }
  }
  for (const int count : seen) ASSERT_EQ(count, 1);
  EXPECT_LE(longest - shortest, 1) << "the workers' stretches are equal";
  for (const auto& [tile, workers] : workers_of) {
    const int64_t first = static_cast<int64_t>(tile) * s.k_blocks;
    ASSERT_EQ(*workers.begin(), s.owner(first));
    ASSERT_EQ(*workers.rbegin(), s.owner(first + s.k_blocks - 1));
    ASSERT_EQ(static_cast<int>(workers.size()), *workers.rbegin() - *workers.begin() + 1)
        << "every worker between the first and the last adds a part: the last one to arrive knows how many there are";
  }
}

TEST(HopperSchedule, a_stream_is_cut_into_equal_stretches_that_cover_it) {
  for (const int tiles : {1, 2, 5, 28, 36, 131, 297}) {
    for (const int k_blocks : {1, 2, 7, 56, 296}) {
      for (const int workers : {1, 2, 3, 17, 132}) {
        const StreamSchedule s{.tiles = tiles, .k_blocks = k_blocks, .workers = workers};
        if (s.workers <= s.units()) check_stream_schedule(s);
      }
    }
  }
}

}  // namespace
}  // namespace cove::cuda::hopper
