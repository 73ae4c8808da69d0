#pragma once
// Which part of a matrix product a thread block computes, and in what order. Pure arithmetic shared by host and device:
// the kernels walk it, plan.cc chooses its numbers, schedule_test.cc checks that every (tile, k block) is computed
// exactly once.

#include <cstdint>

#include "backends/cuda/hopper/plan/layout.h"

namespace cove::cuda::hopper {

constexpr int kTileRows = 128;  // rows of the wgmma M side that one thread block computes: two warpgroups of 64

// Large products. A tile is kTileRows * cluster rows of x by block_n outputs; a cluster computes one at a time, the
// block of rank r its r-th kTileRows rows. The first full_tiles are computed whole, in order, cluster c taking c, c +
// clusters, ...; each of the rest is split along K into `split` parts so that the last wave is short.
struct TileSchedule {
  int32_t tiles_m = 0;  // in units of kTileRows * cluster
  int32_t tiles_n = 0;
  int32_t k_blocks = 0;
  int32_t full_tiles = 0;
  int32_t split = 1;   // parts of a tile that is not computed whole, <= k_blocks
  int32_t raster = 8;  // tiles along M that are walked before the next along N: their rows and columns stay in L2

  COVE_HOST_DEVICE constexpr int32_t tiles() const { return tiles_m * tiles_n; }
  COVE_HOST_DEVICE constexpr int32_t units() const { return full_tiles + (tiles() - full_tiles) * split; }
};

struct TileUnit {
  int32_t m = 0;
  int32_t n = 0;
  int32_t k_begin = 0;
  int32_t k_end = 0;
  int32_t part = 0;         // 0 .. split - 1
  int32_t split_tile = -1;  // which of the split tiles, from 0; -1: computed whole
};

// Tiles in groups of `raster` along M; within a group M runs fastest.
COVE_HOST_DEVICE constexpr TileUnit place_tile(const TileSchedule& s, int32_t tile) {
  const int32_t group_tiles = s.raster * s.tiles_n;
  const int32_t first_m = tile / group_tiles * s.raster;
  const int32_t left = s.tiles_m - first_m;
  const int32_t width = left < s.raster ? left : s.raster;
  const int32_t in_group = tile % group_tiles;
  return {first_m + in_group % width, in_group / width, 0, s.k_blocks, 0, -1};
}

COVE_HOST_DEVICE constexpr TileUnit tile_unit(const TileSchedule& s, int32_t unit) {
  if (unit < s.full_tiles) return place_tile(s, unit);
  const int32_t split_tile = (unit - s.full_tiles) / s.split;
  const int32_t part = (unit - s.full_tiles) % s.split;
  TileUnit u = place_tile(s, s.full_tiles + split_tile);
  u.k_begin = static_cast<int32_t>(static_cast<int64_t>(s.k_blocks) * part / s.split);
  u.k_end = static_cast<int32_t>(static_cast<int64_t>(s.k_blocks) * (part + 1) / s.split);
  u.part = part;
  u.split_tile = s.split > 1 ? split_tile : -1;
  return u;
}

// Workers that may share a tile of a small batch by adding in each other's shared memory: blocks of one cluster.
constexpr int kClusterPartsMax = 4;

// Small batches. The k blocks of all tiles (kTileRows rows of the weights each, or twice as many for pairs of blocks)
// in one line, tile by tile; worker w of `workers` takes an equal, contiguous stretch, so that all read the same number
// of bytes. A tile that several workers touch is summed by whoever finishes last, in the order of the workers.
struct StreamSchedule {
  int32_t tiles = 0;
  int32_t k_blocks = 0;
  int32_t workers = 1;  // <= units()

  COVE_HOST_DEVICE constexpr int64_t units() const { return static_cast<int64_t>(tiles) * k_blocks; }
  // First unit of worker w; begin(workers) is units().
  COVE_HOST_DEVICE constexpr int64_t begin(int32_t w) const { return units() * w / workers; }
  // The worker whose stretch holds a unit.
  COVE_HOST_DEVICE constexpr int32_t owner(int64_t unit) const {
    return static_cast<int32_t>(((unit + 1) * workers - 1) / units());
  }
};

struct StreamUnit {
  int32_t tile = 0;
  int32_t k_begin = 0;
  int32_t k_end = 0;
  int32_t first_worker = 0;  // of those that share the tile
  int32_t last_worker = 0;

  COVE_HOST_DEVICE constexpr bool shared() const { return first_worker != last_worker; }
  // Where worker w leaves its part of a shared tile. A worker shares at most the tile it begins in and the tile it ends
  // in; it is the first worker of the latter only, unless both are one.
  COVE_HOST_DEVICE constexpr int32_t slot(int32_t w) const { return 2 * w + (w == first_worker ? 1 : 0); }
};

// The piece of work that begins at `unit` in a stretch that ends at `end`.
COVE_HOST_DEVICE constexpr StreamUnit stream_unit(const StreamSchedule& s, int64_t unit, int64_t end) {
  StreamUnit u;
  u.tile = static_cast<int32_t>(unit / s.k_blocks);
  u.k_begin = static_cast<int32_t>(unit % s.k_blocks);
  const int64_t tile_begin = static_cast<int64_t>(u.tile) * s.k_blocks;
  const int64_t tile_end = tile_begin + s.k_blocks;
  u.k_end = static_cast<int32_t>((end < tile_end ? end : tile_end) - tile_begin);
  u.first_worker = s.owner(tile_begin);
  u.last_worker = s.owner(tile_end - 1);
  return u;
}

}  // namespace cove::cuda::hopper
