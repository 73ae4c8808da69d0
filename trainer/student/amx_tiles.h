#pragma once
// Products of bf16 matrices on AMX tiles, for direct_step.cc: operands laid out in tiles of 1 KiB, results handed out
// in blocks of 32 x 32 f32. Included only where the compiler may use AMX and AVX-512 BF16.
//
// A tile has 16 rows of 64 bytes. The left operand's holds 16 rows of 32 consecutive k; the right one's holds 16
// columns, its row r the pairs (k = 2 r, 2 r + 1) of each: "pairs" below. Sizes are multiples of 32.

#include <cstdint>

#include <immintrin.h>

namespace cove::trainer::amx {

constexpr int64_t kTile = 512;  // elements
constexpr int64_t kBlock = 32;  // rows and columns of a block of results, and k of a tile

// Every thread calls this before its first product in a parallel region: libraries may have set tiles of their own.
struct alignas(64) TileConfig {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t bytes_per_row[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
inline constexpr TileConfig kTileConfig{};  // not on the stack: g++ 12 takes only its first bytes for used
inline void configure() { _tile_loadconfig(&kTileConfig); }

inline __m512 load(const uint16_t* p) {
  return _mm512_castsi512_ps(
      _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))), 16));
}
inline void store(uint16_t* p, __m512 x) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x)));
}

// 16 x 16 dwords in place.
inline void transpose(__m512i (&r)[16]) {
  __m512i t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  // r[4 g + j] holds, in its lane l, column 4 l + j of rows 4 g .. 4 g + 3.
  for (int j = 0; j < 4; ++j) {
    const __m512i low01 = _mm512_shuffle_i32x4(r[j], r[4 + j], 0x88);   // lanes 0, 2 of groups 0, 1
    const __m512i high01 = _mm512_shuffle_i32x4(r[j], r[4 + j], 0xdd);  // lanes 1, 3
    const __m512i low23 = _mm512_shuffle_i32x4(r[8 + j], r[12 + j], 0x88);
    const __m512i high23 = _mm512_shuffle_i32x4(r[8 + j], r[12 + j], 0xdd);
    t[j] = _mm512_shuffle_i32x4(low01, low23, 0x88);        // column j
    t[8 + j] = _mm512_shuffle_i32x4(low01, low23, 0xdd);    // column 8 + j
    t[4 + j] = _mm512_shuffle_i32x4(high01, high23, 0x88);  // column 4 + j
    t[12 + j] = _mm512_shuffle_i32x4(high01, high23, 0xdd);
  }
  for (int i = 0; i < 16; ++i) r[i] = t[i];
}

// 32 rows of x from `x`, 16 columns, as pairs of rows.
inline void load_pairs(const uint16_t* x, int64_t ld, __m512i (&r)[16]) {
  for (int i = 0; i < 16; ++i) {
    const auto row = [&](int64_t k) {
      return _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + k * ld)));
    };
    r[i] = _mm512_or_si512(row(2 * i), _mm512_slli_epi32(row(2 * i + 1), 16));
  }
}
inline void store_tile(uint16_t* out, const __m512i (&r)[16]) {
  for (int i = 0; i < 16; ++i) _mm512_storeu_si512(out + 32 * i, r[i]);
}

// Tile (n, k) of an operand of `k_blocks` lies at (n * k_blocks + k) * kTile; n counts 16 columns (or rows), k 32.

// x [k, n] row-major as a right operand: sum over its rows.
inline void pack_right(const uint16_t* x, int64_t ld, int64_t k_blocks, int64_t k, int64_t n, uint16_t* out) {
  __m512i r[16];
  load_pairs(x + k * 32 * ld + n * 16, ld, r);
  store_tile(out + (n * k_blocks + k) * kTile, r);
}
// x [n, k] row-major as a right operand: sum over its columns.
inline void pack_right_transposed(const uint16_t* x, int64_t ld, int64_t k_blocks, int64_t k, int64_t n,
                                  uint16_t* out) {
  __m512i r[16];
  for (int i = 0; i < 16; ++i) r[i] = _mm512_loadu_si512(x + (n * 16 + i) * ld + k * 32);
  transpose(r);
  store_tile(out + (n * k_blocks + k) * kTile, r);
}
// x [k, n] row-major as a left operand of n rows: sum over its rows.
inline void pack_left_transposed(const uint16_t* x, int64_t ld, int64_t k_blocks, int64_t k, int64_t n, uint16_t* out) {
  __m512i r[16];
  load_pairs(x + k * 32 * ld + n * 16, ld, r);
  transpose(r);
  store_tile(out + (n * k_blocks + k) * kTile, r);
}

// Left operands: 32 rows that begin at a multiple of 32.
struct Rows {
  const uint16_t* data;  // of the first row
  int64_t ld;
  const uint16_t* tile(int64_t half, int64_t k) const { return data + half * 16 * ld + k * 32; }
  int64_t stride() const { return ld * 2; }
};
struct Tiles {
  const uint16_t* data;  // of the first row's tiles
  int64_t k_blocks;
  const uint16_t* tile(int64_t half, int64_t k) const { return data + (half * k_blocks + k) * kTile; }
  static int64_t stride() { return 64; }
};

struct Range {
  int64_t begin;
  int64_t end;
};

// 32 rows of left times the columns of right in blocks n (of 32), summed over k blocks. out(column, block) gets each
// block of 32 x 32 f32 row-major.
template <class Left, class Out>
inline void multiply(const Left& left, const uint16_t* right, int64_t k_blocks, Range n, Range k, Out&& out) {
  alignas(64) float block[32 * 32];
  for (int64_t column = n.begin; column < n.end; ++column) {
    const uint16_t* right0 = right + 2 * column * k_blocks * kTile;
    const uint16_t* right1 = right0 + k_blocks * kTile;
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
    for (int64_t i = k.begin; i < k.end; ++i) {
      _tile_loadd(4, left.tile(0, i), left.stride());
      _tile_loadd(6, right0 + i * kTile, 64);
      _tile_dpbf16ps(0, 4, 6);
      _tile_loadd(7, right1 + i * kTile, 64);
      _tile_dpbf16ps(1, 4, 7);
      _tile_loadd(5, left.tile(1, i), left.stride());
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
    _tile_stored(0, block, 128);
    _tile_stored(1, block + 16, 128);
    _tile_stored(2, block + 16 * 32, 128);
    _tile_stored(3, block + 16 * 32 + 16, 128);
    out(column * 32, static_cast<const float*>(block));
  }
}

// e^x to 2 units in the last place; 0 below -87.
inline __m512 exp(__m512 x) {
  x = _mm512_max_ps(_mm512_min_ps(x, _mm512_set1_ps(88.0F)), _mm512_set1_ps(-104.0F));
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504F)), 0);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375F), x);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4F), r);
  __m512 p = _mm512_set1_ps(1.0F / 720);
  for (const float c : {1.0F / 120, 1.0F / 24, 1.0F / 6, 0.5F, 1.0F, 1.0F})
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(c));
  return _mm512_scalef_ps(p, n);
}

}  // namespace cove::trainer::amx
