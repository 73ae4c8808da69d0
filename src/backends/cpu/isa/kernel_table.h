#pragma once
// The plain table of kernels that each instruction set exports; the drivers in backends/cpu call through it. Only plain
// data here: the per-ISA files that include this are compiled with flags of their own, and an inline function or std
// template in it would be emitted for their instruction set and might be linked for every machine (isa_symbols_test.cc
// proves that none is).
//
// Order of summation, the contract that makes a row's result independent of its batch. Float weights: an output has
// four partial sums; sum j takes the products of units j, j + 4, j + 8 ... in that order, and at the end (0 + 1) + (2 +
// 3). Block formats: one sum; integers within a block of 32 inputs, then one f32 multiply-add a block in ascending
// order. No kernel splits these over tiles or threads.
//
// Units. The float kernels see a row of inputs as 4-byte units: one f32, or two bf16 of consecutive inputs. Four units
// are a step. A panel is `lanes` rows of weights; of each step it has four vectors, and vector v holds in its q-th
// quarter of 4 lanes the step's units of row 4 q + v. So four partial sums of a row lie side by side, rows become
// panels by shuffling whole quarters (f32 and pairs: 8 shuffles for 16 vectors' worth of AVX-512 loads), and decode can
// do that in registers without storing the panel.

#include <stddef.h>
#include <stdint.h>

namespace cove::cpu {

constexpr int64_t kPanelsPerTile = 2;
constexpr int64_t kAttentionBlock = 16;  // positions
constexpr int64_t kQueriesPerTile = 8;
constexpr int64_t kBlockInputs = 32;  // of q8_0 and q4_0

// How a row-major weight row becomes units.
enum class RowFormat : uint8_t {
  kRaw32,  // copied: f32, or pairs of bf16 where the ISA multiplies them (has_bf16_dot)
  kF16,    // widened to f32
  kBF16,   // widened to f32
};
enum class BlockFormat : uint8_t { kQ8, kQ4 };
enum class CacheFormat : uint8_t { kF32, kF16, kBF16 };

// Rows of weights as they lie in memory.
struct RowsArgs {
  const char* rows;      // first row, at the first input of this part
  int64_t row_stride;    // bytes
  int64_t row_count;     // 1..lanes; missing rows repeat the first
  int64_t steps;         // of this part
  int64_t source_bytes;  // of a row that may be read; units beyond it are zero
  const char* prefetch;  // where the next panel's bytes lie, in order; prefetched at the rate the rows are read
};

// Shuffles rows into a panel, [steps][4][lanes], 64-byte aligned. Memory binds when the rows come from there, shuffles
// otherwise.
struct PackArgs {
  RowsArgs from;
  float* panel;
};

// c[rows][4 * lanes] = (continues ? c : 0) + partial sums of x w^T over `steps`, from a panel.
struct TileArgs {
  const float* x;      // [steps][rows][4] units
  int64_t rows;        // 1..tile_rows
  const float* panel;  // [steps][4][lanes]
  int64_t steps;
  float* c;          // vector v of row r at c + r * c_stride + v * lanes
  int64_t c_stride;  // floats
  int32_t continues;
};

// The same straight from the rows, over their whole length: c = partial sums. 2 FLOP a weight and row: memory binds.
struct DirectArgs {
  RowsArgs from;
  const float* x;
  int64_t rows;  // 1..direct_rows
  float* c;
  int64_t c_stride;
};

// Block formats, over whole rows: c[rows][kPanelsPerTile][lanes] = x w^T.
// Panel: per block of 32 inputs: lanes f16 scales, then quants [8][lanes][4] int8 (kQ8; plus block_bias, as uint8) or
// [4][lanes][4] bytes (kQ4; low nibbles are groups 0..3, high ones 4..7).
struct BlockTileArgs {
  const int8_t* x;                        // [blocks][8][rows][4]
  const float* x_scale;                   // [blocks][rows]
  const int32_t* x_offset;                // [blocks][rows]: -bias * sum of the block's x, what the weights' bias adds
  int64_t rows;                           // 1..block_tile_rows
  const uint8_t* panels[kPanelsPerTile];  // the second may be null: only column 0 of c is written then
  int64_t blocks;
  float* c;
};

// out[r][j] = c[r][j] + bias[j], or silu(gate) * up of two panels.
struct StoreArgs {
  const float* c;    // [rows][kPanelsPerTile][partials][lanes]
  int64_t partials;  // 4: c holds partial sums as TileArgs leaves them; 1: sums
  int64_t rows;
  const float* bias[kPanelsPerTile];  // [lanes]
  float* out;                         // first row, at this tile's first column
  int64_t out_stride;                 // floats
  int64_t columns[kPanelsPerTile];    // outputs of each panel that exist, 0..lanes
};

// The rows of one tile of f32 activations to units, all rows of a step before the next: what is written is then written
// once.
struct PrepareArgs {
  const float* x;  // [rows][inputs]
  int64_t inputs;
  int64_t rows;
  void* out;          // [steps][rows][4] units (the last step filled up with zeros), or as BlockTileArgs::x
  float* x_scale;     // block formats only, [blocks][rows]
  int32_t* x_offset;  // block formats only
  int32_t bias;       // block formats only
};

struct NormArgs {
  float* residual;     // [width]
  const float* delta;  // [width] or null
  const float* scale;  // [width]
  float* out;          // [width]
  int64_t width;
  float eps;
};

// Rotates one head in place. cosine and sine [dim / 2].
struct RotateArgs {
  float* head;
  const float* cosine;
  const float* sine;
  int64_t dim;
};

// One token's head into the cache: keys [dim][kAttentionBlock] (transposed within 16 positions), values
// [16][value_stride].
struct CacheWriteArgs {
  const float* key;
  const float* value;
  int64_t dim;
  void* keys;  // of the block
  void* values;
  int64_t value_stride;
  int64_t position;  // in the block, 0..15
};

// Up to kQueriesPerTile queries that share a key head, over blocks of 16 positions in order, online softmax in f32
// block by block: the order, and so the result, does not depend on which queries share the tile.
struct AttentionTileArgs {
  const float* const* queries;  // [count] -> [dim]
  float* const* outputs;        // [count] -> [dim]
  const int32_t* visible;       // [count] positions that each query sees, at least 1
  int64_t count;
  const void* const* keys;    // [blocks] -> [dim][16]
  const void* const* values;  // [blocks] -> [16][value_stride]
  int64_t dim;
  int64_t value_stride;  // dim rounded up to 16
  float scale;
  float* scratch;  // [count][value_stride + 1], [count][16], 64-byte aligned
};

struct KernelTable {
  const char* name;
  int32_t lanes;        // f32 in a vector; 16 is divisible by it
  int32_t tile_rows;    // rows that TileArgs takes
  int32_t direct_rows;  // rows that DirectArgs takes
  int32_t block_tile_rows;
  int32_t q8_bias;       // added to every q8_0 quant when it is packed: 128 where the ISA multiplies unsigned by signed
  int32_t q4_bias;       // 8 where the raw nibbles are multiplied, 0 where the kernel subtracts
  int32_t has_bf16_dot;  // pairs of bf16 are multiplied as such; 0 = the pair kernels are null

  void (*pack[3])(const PackArgs&);             // by RowFormat
  void (*tile)(const TileArgs&);                // units are f32
  void (*pair_tile)(const TileArgs&);           // units are pairs of bf16; or null
  void (*direct[3])(const DirectArgs&);         // by RowFormat; units are f32
  void (*pair_direct)(const DirectArgs&);       // or null
  void (*block_tile[2])(const BlockTileArgs&);  // by BlockFormat
  void (*store)(const StoreArgs&);
  void (*store_swiglu)(const StoreArgs&);
  void (*prepare)(const PrepareArgs&);         // f32 units
  void (*prepare_pairs)(const PrepareArgs&);   // bf16 pairs, rounded to nearest even; or null
  void (*prepare_blocks)(const PrepareArgs&);  // int8 with one f32 scale per 32

  void (*rms_norm)(const NormArgs&);
  void (*rotate)(const RotateArgs&);              // (i, i + dim/2)
  void (*rotate_interleaved)(const RotateArgs&);  // (2i, 2i + 1)
  void (*cache_write[3])(const CacheWriteArgs&);  // by CacheFormat
  void (*attention_tile[3])(const AttentionTileArgs&);

  // Ceilings (ceilings.cc): register-resident loops, returning the operations done in `rounds`; a product and a sum are
  // two.
  double (*peak_f32)(int64_t rounds);
  double (*peak_bf16)(int64_t rounds);  // null without has_bf16_dot
  double (*peak_int8)(int64_t rounds);
  uint64_t (*read)(const void* data, int64_t bytes);  // sums a multiple of 1024 bytes
};

}  // namespace cove::cpu
