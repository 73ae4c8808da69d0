#include "backends/cpu/cpu_linear.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace cove::cpu {
namespace {

// A row's units are rounded up to whole steps; more for vectors that are stored behind its end.
int64_t pad_units(int64_t units) { return (units + 15) / 16 * 16; }
int64_t steps_of(const CpuLinear& linear) { return (linear.units + 3) / 4; }

bool is_swiglu(const LinearArgs& args) { return args.epilogue == LinearArgs::Epilogue::kSwiGlu; }

int64_t pair_count(const LinearArgs& args, const CpuLinear& linear) {
  const auto panels = static_cast<int64_t>(linear.panels.size());
  return is_swiglu(args) ? panels / 2 : (panels + 1) / 2;
}

}  // namespace

LinearRunner::LinearRunner(const KernelTable& kernels, ThreadPool& pool)
    : kernels_(kernels),
      pool_(pool),
      c_floats_(kRowsPerPass * kPanelsPerTile * 4 * kernels.lanes),
      panel_floats_(kStepsPerChunk * 4 * kernels.lanes) {
  c_.reserve(static_cast<size_t>(pool.threads() * c_floats_) * sizeof(float));
  panel_.reserve(static_cast<size_t>(pool.threads() * panel_floats_) * sizeof(float));
  tiles_.reserve(static_cast<size_t>(kRowsPerPass));
}

int64_t LinearRunner::rows_per_pass(const CpuLinear& linear) const {
  const int64_t unit = linear.path == CpuLinear::Path::kBlocks ? kernels_.block_tile_rows : kernels_.tile_rows;
  const int64_t fitting = kPassBytes / (pad_units(linear.units) * 4);
  return std::clamp(fitting / unit * unit, 8 * unit, kRowsPerPass);
}

void LinearRunner::reserve(const CpuLinear& linear, int64_t rows) {
  const int64_t pass_rows = std::min(rows, rows_per_pass(linear));
  x_.reserve(static_cast<size_t>(pass_rows * pad_units(linear.units)) * sizeof(float));
  if (linear.path != CpuLinear::Path::kBlocks) return;
  const size_t scale_bytes = static_cast<size_t>(pass_rows * (linear.in_features / kBlockInputs)) * sizeof(float);
  x_scale_.reserve(scale_bytes);
  x_offset_.reserve(scale_bytes);
}

void LinearRunner::run(const LinearArgs& args) {
  const auto& linear = static_cast<const CpuLinear&>(*args.weight);
  const int64_t rows = args.x.shape[0];
  const int64_t out_features = is_swiglu(args) ? linear.out_features / 2 : linear.out_features;
  COVE_CHECK(args.x.dtype == DType::kF32 && args.x.shape == (Shape{rows, linear.in_features}));
  COVE_CHECK(args.out.dtype == DType::kF32 && args.out.shape == (Shape{rows, out_features}));
  // {gate, up} are two parts of equal height: their panels pair up.
  COVE_CHECK(!is_swiglu(args) || (linear.part_begin.size() == 3 && linear.part_begin[1] * 2 == linear.panels.size()));
  reserve(linear, rows);
  const bool blocks = linear.path == CpuLinear::Path::kBlocks;
  const int64_t passes = (rows + rows_per_pass(linear) - 1) / std::max<int64_t>(1, rows_per_pass(linear));
  for (int64_t i = 0, first = 0; i < passes; ++i) {
    const Pass pass = {.args = &args,
                       .linear = &linear,
                       .first_row = first,
                       .rows = (rows - first + passes - i - 1) / (passes - i),  // nearly equal ones
                       .x_stride = pad_units(linear.units)};
    first += pass.rows;
    const bool direct = !blocks && pass.rows <= kernels_.direct_rows;
    cut_tiles(pass.rows, blocks ? kernels_.block_tile_rows : direct ? kernels_.direct_rows : kernels_.tile_rows);
    prepare_rows(pass);
    const int64_t pairs = pair_count(args, linear);
    // Long runs for the memory's sake, but several a thread so that a disturbed one does not hold up the others.
    const int64_t grain = std::max<int64_t>(1, pairs / (pool_.threads() * 8));
    pool_.parallel_for(pairs, grain, [&](int64_t begin, int64_t end, int worker) {
      if (blocks) return multiply_blocks(pass, begin, end, worker);
      for (int64_t index = begin; index < end; ++index) {
        const Pair pair = pair_of(pass, index);
        direct ? multiply_direct(pass, pair, worker) : multiply_packed(pass, pair, worker);
        store(pass, pair, {.first_row = 0, .rows = pass.rows}, worker);
      }
    });
  }
}

// Tiles of nearly equal height: 16 rows are 8 + 8, not 12 + 4.
void LinearRunner::cut_tiles(int64_t rows, int64_t rows_max) {
  tiles_.clear();
  const int64_t count = (rows + rows_max - 1) / rows_max;
  int64_t first = 0;
  for (int64_t i = 0; i < count; ++i) {
    const int64_t height = (rows - first + count - i - 1) / (count - i);
    tiles_.push_back({.first_row = first, .rows = height});
    first += height;
  }
}

void LinearRunner::prepare_rows(const Pass& pass) {
  const CpuLinear& linear = *pass.linear;
  const int64_t blocks = linear.in_features / kBlockInputs;
  const auto prepare = linear.path == CpuLinear::Path::kFloat   ? kernels_.prepare
                       : linear.path == CpuLinear::Path::kPairs ? kernels_.prepare_pairs
                                                                : kernels_.prepare_blocks;
  const auto body = [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const Tile& tile = tiles_[static_cast<size_t>(i)];
      prepare({.x = pass.args->x.as<const float>() + (pass.first_row + tile.first_row) * linear.in_features,
               .inputs = linear.in_features,
               .rows = tile.rows,
               .out = x_.as<float>() + tile.first_row * pass.x_stride,
               .x_scale = x_scale_.as<float>() + tile.first_row * blocks,
               .x_offset = x_offset_.as<int32_t>() + tile.first_row * blocks,
               .bias = linear.block_format == BlockFormat::kQ8 ? kernels_.q8_bias : kernels_.q4_bias});
    }
  };
  pool_.parallel_for(static_cast<int64_t>(tiles_.size()), 1, body);
}

LinearRunner::Pair LinearRunner::pair_of(const Pass& pass, int64_t index) const {
  const CpuLinear& linear = *pass.linear;
  const bool swiglu = is_swiglu(*pass.args);
  const auto panels = static_cast<int64_t>(linear.panels.size());
  const int64_t first = swiglu ? index : index * 2;
  // An odd last panel is paired with itself; the copy is not stored.
  const int64_t second = swiglu ? panels / 2 + index : std::min(index * 2 + 1, panels - 1);
  Pair pair;
  pair.prefetch_bytes = linear.panel_bytes * (swiglu ? 1 : 2);
  pair.panels[0] = &linear.panels[static_cast<size_t>(first)];
  pair.panels[1] = &linear.panels[static_cast<size_t>(second)];
  pair.bias[0] = linear.bias.as<const float>() + first * kernels_.lanes;
  pair.bias[1] = linear.bias.as<const float>() + second * kernels_.lanes;
  return pair;
}

RowsArgs LinearRunner::rows_of(const Pass& pass, const Pair& pair, int p, int64_t step, int64_t steps) const {
  const CpuLinear& linear = *pass.linear;
  const int64_t step_bytes = linear.row_format == RowFormat::kRaw32 ? 16 : 8;
  const char* rows = reinterpret_cast<const char*>(pair.panels[p]->rows);
  return {.rows = rows + step * step_bytes,
          .row_stride = linear.row_stride,
          .row_count = pair.panels[p]->row_count,
          .steps = steps,
          .source_bytes = std::min(steps * step_bytes, linear.row_stride - step * step_bytes),
          .prefetch = rows + pair.prefetch_bytes + step * step_bytes * kernels_.lanes};
}

// Few rows: the weights pass through registers once.
void LinearRunner::multiply_direct(const Pass& pass, const Pair& pair, int worker) {
  const CpuLinear& linear = *pass.linear;
  const auto multiply = linear.path == CpuLinear::Path::kPairs
                            ? kernels_.pair_direct
                            : kernels_.direct[static_cast<size_t>(linear.row_format)];
  for (int p = 0; p < kPanelsPerTile; ++p) {
    multiply({.from = rows_of(pass, pair, p, 0, steps_of(linear)),
              .x = x_.as<const float>(),
              .rows = pass.rows,
              .c = c_of(worker) + p * 4 * kernels_.lanes,
              .c_stride = kPanelsPerTile * 4 * kernels_.lanes});
  }
}

// Many rows: a chunk of a panel is shuffled into L1 once and multiplied with every tile.
void LinearRunner::multiply_packed(const Pass& pass, const Pair& pair, int worker) {
  const CpuLinear& linear = *pass.linear;
  const auto pack = kernels_.pack[static_cast<size_t>(linear.row_format)];
  const auto multiply = linear.path == CpuLinear::Path::kPairs ? kernels_.pair_tile : kernels_.tile;
  const int64_t c_stride = kPanelsPerTile * 4 * kernels_.lanes;
  float* c = c_of(worker);
  float* panel = panel_.as<float>() + worker * panel_floats_;
  for (int p = 0; p < kPanelsPerTile; ++p) {
    for (int64_t step = 0; step < steps_of(linear); step += kStepsPerChunk) {
      const int64_t steps = std::min(kStepsPerChunk, steps_of(linear) - step);
      pack({.from = rows_of(pass, pair, p, step, steps), .panel = panel});
      for (const Tile& tile : tiles_) {
        multiply({.x = x_.as<const float>() + tile.first_row * pass.x_stride + step * 4 * tile.rows,
                  .rows = tile.rows,
                  .panel = panel,
                  .steps = steps,
                  .c = c + tile.first_row * c_stride + p * 4 * kernels_.lanes,
                  .c_stride = c_stride,
                  .continues = step != 0 ? 1 : 0});
      }
    }
  }
}

// Pairs [begin, end). Several pairs that fit L2 together share a walk over x, and each tile is stored while its sums
// are in L1.
void LinearRunner::multiply_blocks(const Pass& pass, int64_t begin, int64_t end, int worker) {
  constexpr int64_t kGroupBytes = 320 << 10;
  const int64_t group = std::max<int64_t>(1, kGroupBytes / (kPanelsPerTile * pass.linear->panel_bytes));
  for (int64_t first = begin; first < end; first += group) {
    for (const Tile& tile : tiles_) {
      for (int64_t index = first; index < std::min(end, first + group); ++index) {
        const Pair pair = pair_of(pass, index);
        multiply_block_tile(pass, pair, tile, worker);
        store(pass, pair, tile, worker);
      }
    }
  }
}

void LinearRunner::multiply_block_tile(const Pass& pass, const Pair& pair, const Tile& tile, int worker) {
  const CpuLinear& linear = *pass.linear;
  const auto multiply = kernels_.block_tile[static_cast<size_t>(linear.block_format)];
  const int64_t blocks = linear.in_features / kBlockInputs;
  const auto* first = reinterpret_cast<const uint8_t*>(pair.panels[0]->rows);
  const auto* second = reinterpret_cast<const uint8_t*>(pair.panels[1]->rows);
  BlockTileArgs args = {.x = x_.as<const int8_t>() + tile.first_row * pass.x_stride * 4,
                        .x_scale = x_scale_.as<const float>() + tile.first_row * blocks,
                        .x_offset = x_offset_.as<const int32_t>() + tile.first_row * blocks,
                        .rows = tile.rows,
                        .panels = {first, second},
                        .blocks = blocks,
                        .c = c_of(worker)};
  if (tiles_.size() > 1) return multiply(args);  // two panels share the broadcasts of x
  args.panels[1] = nullptr;                      // one tile: memory binds, so read it in its order
  multiply(args);
  args.panels[0] = second;
  args.c += kernels_.lanes;
  multiply(args);
}

// Rows of `tile`, whose sums begin at c.
void LinearRunner::store(const Pass& pass, const Pair& pair, const Tile& tile, int worker) {
  const int64_t out_stride = pass.args->out.shape[1];
  float* out = pass.args->out.as<float>() + (pass.first_row + tile.first_row) * out_stride;
  StoreArgs store = {.c = c_of(worker),
                     .partials = pass.linear->path == CpuLinear::Path::kBlocks ? 1 : 4,
                     .rows = tile.rows,
                     .bias = {pair.bias[0], pair.bias[1]},
                     .out = out + pair.panels[0]->first_output,
                     .out_stride = out_stride,
                     .columns = {pair.panels[0]->row_count, pair.panels[1]->row_count}};
  if (is_swiglu(*pass.args)) return kernels_.store_swiglu(store);
  const bool alone = pair.panels[0] == pair.panels[1];
  const bool adjacent = pair.panels[1]->first_output == pair.panels[0]->first_output + kernels_.lanes;
  if (!alone && adjacent) return kernels_.store(store);
  store.columns[1] = 0;
  kernels_.store(store);
  if (alone) return;
  // The second panel begins another part behind a short first one: store it by itself.
  store.columns[0] = 0;
  store.columns[1] = pair.panels[1]->row_count;
  store.out = out + pair.panels[1]->first_output - kernels_.lanes;
  kernels_.store(store);
}

}  // namespace cove::cpu
