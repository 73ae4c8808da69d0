// Kernel bodies in terms of a vector F (vec_*.h); included once by each isa/*.cc inside that file's namespace, which
// makes them kernels of that ISA. Formulas, shapes and layouts: kernel_table.h. Everything accumulates in f32 with
// fused multiply-adds where the ISA has them.

// ---- rows and panels

constexpr int kQuarters = kLanes / 4;  // rows in a vector of a panel, and steps in a vector of a row

struct RawRows {  // 4 bytes a unit
  static constexpr int kUnitBytes = 4;
  INLINE F load_units(const char* p) { return load(reinterpret_cast<const float*>(p)); }
};
struct F16Rows {
  static constexpr int kUnitBytes = 2;
  INLINE F load_units(const char* p) { return load_f16(reinterpret_cast<const uint16_t*>(p)); }
};
struct BF16Rows {
  static constexpr int kUnitBytes = 2;
  INLINE F load_units(const char* p) { return load_bf16(reinterpret_cast<const uint16_t*>(p)); }
};

// Walks kLanes units of every row at a time and hands body(first step, vectors) what of it makes one vector of the
// panel: kQuarters steps of the rows 4 q + v. `steps_left` may be fewer at the end.
template <class Rows, class Body>
INLINE void walk_rows(const RowsArgs& args, Body body) {
  constexpr int kVectorBytes = kLanes * Rows::kUnitBytes;
  const char* rows[kLanes];
  for (int r = 0; r < kLanes; ++r) rows[r] = args.rows + (r < args.row_count ? r * args.row_stride : 0);
  const char* ahead = args.prefetch;
  int64_t step = 0;
  int64_t offset = 0;
  for (; step + kQuarters <= args.steps && offset + kVectorBytes <= args.source_bytes; step += kQuarters) {
    UNROLL for (int v = 0; v < 4; ++v) {
      F block[kQuarters];
      UNROLL for (int q = 0; q < kQuarters; ++q) block[q] = Rows::load_units(rows[4 * q + v] + offset);
      transpose_quarters(block);
      body(step, v, block, kQuarters);
    }
    UNROLL for (int i = 0; i < kLanes * kVectorBytes / 64; ++i) prefetch(ahead + i * 64);
    ahead += kLanes * kVectorBytes;
    offset += kVectorBytes;
  }
  for (; step < args.steps; step += kQuarters, offset += kVectorBytes) {
    const int64_t left = args.source_bytes - offset;
    const int64_t bytes = left < 0 ? 0 : left < kVectorBytes ? left : kVectorBytes;
    const int count = args.steps - step < kQuarters ? static_cast<int>(args.steps - step) : kQuarters;
    for (int v = 0; v < 4; ++v) {
      F block[kQuarters];
      for (int q = 0; q < kQuarters; ++q) {
        alignas(64) char copy[kVectorBytes] = {};
        __builtin_memcpy(copy, rows[4 * q + v] + offset, static_cast<size_t>(bytes));
        block[q] = Rows::load_units(copy);
      }
      transpose_quarters(block);
      body(step, v, block, count);
    }
  }
}

template <class Rows>
static void pack(const PackArgs& args) {
  float* panel = args.panel;
  walk_rows<Rows>(args.from,
                  [panel](int64_t step, int v, const F(&block)[kQuarters], int count) __attribute__((always_inline)) {
                    UNROLL for (int s = 0; s < kQuarters; ++s) {
                      if (s < count) store(panel + ((step + s) * 4 + v) * kLanes, block[s]);
                    }
                  });
}

// ---- float tiles

struct MultiplyAdd {
  INLINE F step(F sum, F w, F x) { return fma(w, x, sum); }
};

template <class Op, int kRows>
static void float_tile(const TileArgs& args) {
  F sum[kRows][4];
  UNROLL for (int r = 0; r < kRows; ++r) {
    UNROLL for (int v = 0; v < 4; ++v) {
      sum[r][v] = args.continues != 0 ? load(args.c + r * args.c_stride + v * kLanes) : zero();
    }
  }
  const float* x = args.x;
  const float* w = args.panel;
  for (int64_t step = 0; step < args.steps; ++step, x += kRows * 4, w += 4 * kLanes) {
    const F w0 = load(w);
    const F w1 = load(w + kLanes);
    const F w2 = load(w + 2 * kLanes);
    const F w3 = load(w + 3 * kLanes);
    UNROLL for (int r = 0; r < kRows; ++r) {
      const F units = repeat_quarter(x + r * 4);
      sum[r][0] = Op::step(sum[r][0], w0, units);
      sum[r][1] = Op::step(sum[r][1], w1, units);
      sum[r][2] = Op::step(sum[r][2], w2, units);
      sum[r][3] = Op::step(sum[r][3], w3, units);
    }
  }
  UNROLL for (int r = 0; r < kRows; ++r) {
    UNROLL for (int v = 0; v < 4; ++v) store(args.c + r * args.c_stride + v * kLanes, sum[r][v]);
  }
}

// Calls float_tile<Op, rows>; the row count must be a constant for the sums to stay in registers.
template <class Op, int kRows = kTileRows>
static void tile(const TileArgs& args) {
  if (args.rows == kRows) return float_tile<Op, kRows>(args);
  if constexpr (kRows > 1) tile<Op, kRows - 1>(args);
}

template <class Op, class Rows, int kRows>
static void direct_tile(const DirectArgs& args) {
  F sum[kRows][4];
  UNROLL for (int r = 0; r < kRows; ++r) { UNROLL for (int v = 0; v < 4; ++v) sum[r][v] = zero(); }
  const float* x = args.x;
  walk_rows<Rows>(args.from,
                  [&sum, x](int64_t step, int v, const F(&block)[kQuarters], int count) __attribute__((always_inline)) {
                    UNROLL for (int s = 0; s < kQuarters; ++s) {
                      UNROLL for (int r = 0; r < kRows; ++r) {
                        if (s < count)
                          sum[r][v] = Op::step(sum[r][v], block[s], repeat_quarter(x + ((step + s) * kRows + r) * 4));
                      }
                    }
                  });
  UNROLL for (int r = 0; r < kRows; ++r) {
    UNROLL for (int v = 0; v < 4; ++v) store(args.c + r * args.c_stride + v * kLanes, sum[r][v]);
  }
}

template <class Op, class Rows, int kRows = kDirectRows>
static void direct(const DirectArgs& args) {
  if (args.rows == kRows) return direct_tile<Op, Rows, kRows>(args);
  if constexpr (kRows > 1) direct<Op, Rows, kRows - 1>(args);
}

// ---- block tiles: int8 and 4-bit weights

struct Q8Panel {
  static constexpr int kBlockBytes = kLanes * 34;
  INLINE void groups(const uint8_t* quants, int g, I& low, I& high) {  // groups g and g + 4 of 8
    low = load_int(quants + g * kLanes * 4);
    high = load_int(quants + (g + 4) * kLanes * 4);
  }
  INLINE I dot(I sum, I w, I x) { return dot_q8(sum, w, x); }
};
struct Q4Panel {
  static constexpr int kBlockBytes = kLanes * 18;
  INLINE void groups(const uint8_t* quants, int g, I& low, I& high) {
    const I both = load_int(quants + g * kLanes * 4);
    low = low_nibbles(both);
    high = high_nibbles(both);
  }
  INLINE I dot(I sum, I w, I x) { return dot_q4(sum, w, x); }
};

// With one panel the weights are read once, in the order of memory: decode. They are asked for this far ahead, since
// the hardware stops looking ahead at every 4 KB.
constexpr int kBytesAhead = 4096;

template <class Panel, int kRows, int kPanels>
static void blocks_tile(const BlockTileArgs& args) {
  F sum[kRows][kPanels];
  UNROLL for (int r = 0; r < kRows; ++r) { UNROLL for (int p = 0; p < kPanels; ++p) sum[r][p] = zero(); }
  const int8_t* x = args.x;
  int64_t at = 0;
  for (int64_t block = 0; block < args.blocks; ++block, x += kRows * kBlockInputs, at += Panel::kBlockBytes) {
    I dots[kRows][kPanels];
    UNROLL for (int r = 0; r < kRows; ++r) {
      UNROLL for (int p = 0; p < kPanels; ++p) dots[r][p] = set1_int(args.x_offset[block * kRows + r]);
    }
    if constexpr (kPanels == 1) {
      UNROLL for (int i = 0; i < Panel::kBlockBytes; i += 64) prefetch(args.panels[0] + at + kBytesAhead + i);
    }
    UNROLL for (int g = 0; g < 4; ++g) {
      I w[2][kPanels];
      UNROLL for (int p = 0; p < kPanels; ++p) Panel::groups(args.panels[p] + at + kLanes * 2, g, w[0][p], w[1][p]);
      UNROLL for (int half = 0; half < 2; ++half) {
        UNROLL for (int r = 0; r < kRows; ++r) {
          int32_t four;
          __builtin_memcpy(&four, x + ((g + 4 * half) * kRows + r) * 4, 4);
          const I values = set1_int(four);
          UNROLL for (int p = 0; p < kPanels; ++p) dots[r][p] = Panel::dot(dots[r][p], w[half][p], values);
        }
      }
    }
    UNROLL for (int p = 0; p < kPanels; ++p) {
      const F scale = load_f16(reinterpret_cast<const uint16_t*>(args.panels[p] + at));
      UNROLL for (int r = 0; r < kRows; ++r) {
        const F x_scale = set1(args.x_scale[block * kRows + r]);
        sum[r][p] = fma(mul(round_to_float(dots[r][p]), x_scale), scale, sum[r][p]);
      }
    }
  }
  UNROLL for (int r = 0; r < kRows; ++r) {
    UNROLL for (int p = 0; p < kPanels; ++p) store(args.c + (r * kPanelsPerTile + p) * kLanes, sum[r][p]);
  }
}

template <class Panel, int kRows = kBlockTileRows>
static void block_tile(const BlockTileArgs& args) {
  if (args.rows == kRows) {
    return args.panels[1] != nullptr ? blocks_tile<Panel, kRows, 2>(args) : blocks_tile<Panel, kRows, 1>(args);
  }
  if constexpr (kRows > 1) block_tile<Panel, kRows - 1>(args);
}

// ---- elementwise

// e^x within 2 ulp for x in [-87.3, 88]; clamped outside; NaN stays NaN. Cephes' polynomial after x = n ln 2 + r.
INLINE F exp(F x) {
  x = max(set1(-87.3F), min(set1(88.0F), x));
  const F n = round(mul(x, set1(1.44269504088896341F)));
  F r = fma(n, set1(-0.693359375F), x);
  r = fma(n, set1(2.12194440e-4F), r);
  F p = set1(1.9875691500e-4F);
  p = fma(p, r, set1(1.3981999507e-3F));
  p = fma(p, r, set1(8.3334519073e-3F));
  p = fma(p, r, set1(4.1665795894e-2F));
  p = fma(p, r, set1(1.6666665459e-1F));
  p = fma(p, r, set1(5.0000001201e-1F));
  p = add(fma(p, mul(r, r), r), set1(1.0F));
  return times_power_of_two(p, n);
}

INLINE F silu(F x) { return div(x, add(set1(1.0F), exp(sub(zero(), x)))); }

// Sum j of panel p in row r.
INLINE F sum_of(const StoreArgs& args, int64_t r, int p) {
  const float* c = args.c + (r * kPanelsPerTile + p) * args.partials * kLanes;
  return args.partials == 1 ? load(c)
                            : sum_partials(load(c), load(c + kLanes), load(c + 2 * kLanes), load(c + 3 * kLanes));
}

static void store_plain(const StoreArgs& args) {
  for (int p = 0; p < kPanelsPerTile; ++p) {
    if (args.columns[p] == 0) continue;
    const F bias = load(args.bias[p]);
    float* out = args.out + p * kLanes;
    for (int64_t r = 0; r < args.rows; ++r, out += args.out_stride) {
      const F value = add(sum_of(args, r, p), bias);
      if (args.columns[p] == kLanes) {
        store(out, value);
      } else {
        store_n(out, value, args.columns[p]);
      }
    }
  }
}

static void store_swiglu(const StoreArgs& args) {
  const F gate_bias = load(args.bias[0]);
  const F up_bias = load(args.bias[1]);
  for (int64_t r = 0; r < args.rows; ++r) {
    const F value = mul(silu(add(sum_of(args, r, 0), gate_bias)), add(sum_of(args, r, 1), up_bias));
    store_n(args.out + r * args.out_stride, value, args.columns[0]);
  }
}

static void prepare(const PrepareArgs& args) {
  float* out = static_cast<float*>(args.out);
  for (int64_t k = 0; k < args.inputs; k += 4) {
    for (int64_t r = 0; r < args.rows; ++r, out += 4) {
      const float* x = args.x + r * args.inputs + k;
      if (k + 4 <= args.inputs) {
        __builtin_memcpy(out, x, 16);
      } else {
        for (int64_t i = 0; i < 4; ++i) out[i] = k + i < args.inputs ? x[i] : 0.0F;
      }
    }
  }
}

// Quants are x / d with d = max |x| / 127, rounded to nearest even; d = 0 gives zeros. A NaN or infinity makes the
// scale NaN, and so the row's outputs, as in f32.
INLINE void prepare_block(const PrepareArgs& args, int64_t block, int64_t row) {
  constexpr int kVectors = kBlockInputs / kLanes;
  constexpr uint32_t kInfinity = 0x7f800000;
  F x[kVectors];
  UNROLL for (int i = 0; i < kVectors; ++i) x[i] = load(args.x + row * args.inputs + block * kBlockInputs + i * kLanes);
  // Rows lie far apart and are walked side by side, more streams than the hardware follows.
  const float* ahead = args.x + row * args.inputs + block * kBlockInputs + 512;
  prefetch(ahead);
  prefetch(ahead + 16);
  const uint32_t bits = largest_magnitude(x);  // as an integer: NaN is larger than infinity, and that than every number
  float biggest;
  __builtin_memcpy(&biggest, &bits, 4);
  const F inverse = set1(biggest > 1e-30F && bits < kInfinity ? 127.0F / biggest : 0.0F);
  alignas(64) int8_t quants[kBlockInputs];
  UNROLL for (int i = 0; i < kVectors; ++i) store_quants(quants + i * kLanes, mul(x[i], inverse));
  args.x_scale[block * args.rows + row] = bits < kInfinity ? biggest * (1.0F / 127.0F) : __builtin_nanf("");
  args.x_offset[block * args.rows + row] = -args.bias * sum_quants(quants);
  int8_t* out = static_cast<int8_t*>(args.out) + (block * 8 * args.rows + row) * 4;
  UNROLL for (int g = 0; g < 8; ++g) __builtin_memcpy(out + g * args.rows * 4, quants + g * 4, 4);
}

static void prepare_blocks(const PrepareArgs& args) {
  for (int64_t block = 0; block < args.inputs / kBlockInputs; ++block) {
    for (int64_t row = 0; row < args.rows; ++row) prepare_block(args, block, row);
  }
}

static void rms_norm(const NormArgs& args) {
  F squares = zero();
  for (int64_t i = 0; i < args.width; i += kLanes) {
    const int64_t n = args.width - i < kLanes ? args.width - i : kLanes;
    F x = load_n(args.residual + i, n);
    if (args.delta != nullptr) {
      x = add(x, load_n(args.delta + i, n));
      store_n(args.residual + i, x, n);
    }
    squares = fma(x, x, squares);
  }
  const float mean = sum(squares) / static_cast<float>(args.width);
  const F inverse = set1(1.0F / __builtin_sqrtf(mean + args.eps));
  for (int64_t i = 0; i < args.width; i += kLanes) {
    const int64_t n = args.width - i < kLanes ? args.width - i : kLanes;
    store_n(args.out + i, mul(mul(load_n(args.residual + i, n), inverse), load_n(args.scale + i, n)), n);
  }
}

static void rotate(const RotateArgs& args) {
  const int64_t half = args.dim / 2;
  for (int64_t i = 0; i < half; i += kLanes) {
    const int64_t n = half - i < kLanes ? half - i : kLanes;
    const F a = load_n(args.head + i, n);
    const F b = load_n(args.head + half + i, n);
    const F cosine = load_n(args.cosine + i, n);
    const F sine = load_n(args.sine + i, n);
    store_n(args.head + i, sub(mul(a, cosine), mul(b, sine)), n);
    store_n(args.head + half + i, add(mul(b, cosine), mul(a, sine)), n);
  }
}

static void rotate_interleaved(const RotateArgs& args) {
  for (int64_t i = 0; i < args.dim / 2; ++i) {
    const float a = args.head[2 * i];
    const float b = args.head[2 * i + 1];
    args.head[2 * i] = a * args.cosine[i] - b * args.sine[i];
    args.head[2 * i + 1] = b * args.cosine[i] + a * args.sine[i];
  }
}

// ---- key-value cache and attention

struct CacheF32 {
  using Element = float;
  INLINE F load_values(const float* p) { return load(p); }
  INLINE void store_values(float* p, F x) { store(p, x); }
};
struct CacheF16 {
  using Element = uint16_t;
  INLINE F load_values(const uint16_t* p) { return load_f16(p); }
  INLINE void store_values(uint16_t* p, F x) { store_f16(p, x); }
};
struct CacheBF16 {
  using Element = uint16_t;
  INLINE F load_values(const uint16_t* p) { return load_bf16(p); }
  INLINE void store_values(uint16_t* p, F x) { store_bf16(p, x); }
};

template <class Cache>
static void cache_write(const CacheWriteArgs& args) {
  using Element = typename Cache::Element;
  auto* keys = static_cast<Element*>(args.keys) + args.position;
  auto* values = static_cast<Element*>(args.values) + args.position * args.value_stride;
  for (int64_t i = 0; i < args.dim; i += kLanes) {
    const int64_t n = args.dim - i < kLanes ? args.dim - i : kLanes;
    alignas(64) Element converted[kLanes];
    Cache::store_values(converted, load_n(args.key + i, n));
    for (int64_t j = 0; j < n; ++j) keys[(i + j) * kAttentionBlock] = converted[j];
    Cache::store_values(values + i, load_n(args.value + i, n));  // the stride is padded: a whole vector fits
  }
}

constexpr int kBlockVectors = kAttentionBlock / kLanes;

// scores[q][16] = q k^T of one block of keys, for a fixed number of queries.
template <class Cache, int kCount>
INLINE void block_scores(const AttentionTileArgs& args, const typename Cache::Element* keys, float* scores) {
  F s[kCount][kBlockVectors];
  UNROLL for (int q = 0; q < kCount; ++q) { UNROLL for (int v = 0; v < kBlockVectors; ++v) s[q][v] = zero(); }
  for (int64_t d = 0; d < args.dim; ++d) {
    F k[kBlockVectors];
    UNROLL for (int v = 0; v < kBlockVectors; ++v) k[v] = Cache::load_values(keys + d * kAttentionBlock + v * kLanes);
    UNROLL for (int q = 0; q < kCount; ++q) {
      const F x = set1(args.queries[q][d]);
      UNROLL for (int v = 0; v < kBlockVectors; ++v) s[q][v] = fma(x, k[v], s[q][v]);
    }
  }
  UNROLL for (int q = 0; q < kCount; ++q) {
    UNROLL for (int v = 0; v < kBlockVectors; ++v) store(scores + q * kAttentionBlock + v * kLanes, s[q][v]);
  }
}

// sums[q][dim] += weights[q][tokens] values[tokens][dim].
template <class Cache, int kCount>
INLINE void block_values(const AttentionTileArgs& args, const typename Cache::Element* values, const float* weights,
                         float* sums, int64_t tokens) {
  const int64_t stride = args.value_stride;
  for (int64_t d = 0; d < stride; d += kLanes) {
    F s[kCount];
    UNROLL for (int q = 0; q < kCount; ++q) s[q] = load(sums + q * stride + d);
    for (int64_t t = 0; t < tokens; ++t) {
      const F v = Cache::load_values(values + t * stride + d);
      UNROLL for (int q = 0; q < kCount; ++q) s[q] = fma(set1(weights[q * kAttentionBlock + t]), v, s[q]);
    }
    UNROLL for (int q = 0; q < kCount; ++q) store(sums + q * stride + d, s[q]);
  }
}

// Online softmax of one query over one block: scores become weights, and what was summed so far is rescaled where the
// maximum grew.
INLINE void block_softmax(float* scores, float scale, int64_t visible, float& top, float& total, float* sums,
                          int64_t stride) {
  F s[kBlockVectors];
  F best = set1(-__builtin_inff());
  UNROLL for (int v = 0; v < kBlockVectors; ++v) {
    const int64_t n = visible - v * kLanes;
    s[v] = mul(load(scores + v * kLanes), set1(scale));
    s[v] = n >= kLanes ? s[v] : select_first(s[v], set1(-__builtin_inff()), n > 0 ? n : 0);
    best = max(best, s[v]);
  }
  const float block_top = largest(best);
  if (!(block_top <= top)) {
    const F shrink = exp(sub(set1(top), set1(block_top)));
    alignas(64) float first_lane[kLanes];
    store(first_lane, shrink);
    total *= first_lane[0];
    for (int64_t d = 0; d < stride; d += kLanes) store(sums + d, mul(load(sums + d), shrink));
    top = block_top;
  }
  F added = zero();
  UNROLL for (int v = 0; v < kBlockVectors; ++v) {
    const int64_t n = visible - v * kLanes;
    F weight = exp(sub(s[v], set1(top)));
    weight = n >= kLanes ? weight : select_first(weight, zero(), n > 0 ? n : 0);
    store(scores + v * kLanes, weight);
    added = add(added, weight);
  }
  total += sum(added);
}

template <class Cache, int kCount>
static void attend(const AttentionTileArgs& args) {
  const int64_t stride = args.value_stride;
  float* sums = args.scratch;
  float* scores = sums + kCount * stride;
  float top[kCount];
  float total[kCount];
  int64_t longest = 0;
  for (int q = 0; q < kCount; ++q) {
    top[q] = -__builtin_inff();
    total[q] = 0;
    longest = args.visible[q] > longest ? args.visible[q] : longest;
    for (int64_t d = 0; d < stride; d += kLanes) store(sums + q * stride + d, zero());
  }
  for (int64_t begin = 0; begin < longest; begin += kAttentionBlock) {
    const int64_t block = begin / kAttentionBlock;
    block_scores<Cache, kCount>(args, static_cast<const typename Cache::Element*>(args.keys[block]), scores);
    for (int q = 0; q < kCount; ++q) {
      const int64_t visible = args.visible[q] - begin;
      float* weights = scores + q * kAttentionBlock;
      if (visible > 0) {
        block_softmax(weights, args.scale, visible, top[q], total[q], sums + q * stride, stride);
      } else {
        for (int v = 0; v < kBlockVectors; ++v) store(weights + v * kLanes, zero());
      }
    }
    // Only positions that some query of this tile sees: what lies behind them in the page may be anything.
    const int64_t tokens = longest - begin < kAttentionBlock ? longest - begin : kAttentionBlock;
    block_values<Cache, kCount>(args, static_cast<const typename Cache::Element*>(args.values[block]), scores, sums,
                                tokens);
  }
  for (int q = 0; q < kCount; ++q) {
    const F inverse = set1(1.0F / total[q]);
    for (int64_t d = 0; d < args.dim; d += kLanes) {
      const int64_t n = args.dim - d < kLanes ? args.dim - d : kLanes;
      store_n(args.outputs[q] + d, mul(load(sums + q * stride + d), inverse), n);
    }
  }
}

template <class Cache, int kCount = kQueriesPerTile>
static void attention_tile(const AttentionTileArgs& args) {
  if (args.count == kCount) return attend<Cache, kCount>(args);
  if constexpr (kCount > 1) attention_tile<Cache, kCount - 1>(args);
}

// ---- ceilings

constexpr int kPeakSums = 12;  // more than latency times throughput of every ISA here, and few enough for its registers

static double peak_f32(int64_t rounds) {
  F sums[kPeakSums];
  UNROLL for (int i = 0; i < kPeakSums; ++i) sums[i] = set1(static_cast<float>(i));
  const F a = set1(0.5F);
  for (int64_t round = 0; round < rounds; ++round) {
    UNROLL for (int i = 0; i < kPeakSums; ++i) sums[i] = fma(sums[i], a, a);
    UNROLL for (int i = 0; i < kPeakSums; ++i) KEEP(sums[i]);
  }
  return static_cast<double>(rounds) * kPeakSums * kLanes * 2;
}

static double peak_int8(int64_t rounds) {
  I sums[kPeakSums];
  UNROLL for (int i = 0; i < kPeakSums; ++i) sums[i] = set1_int(i);
  const I a = set1_int(0x01010101);
  const I b = set1_int(0x01020301);
  for (int64_t round = 0; round < rounds; ++round) {
    UNROLL for (int i = 0; i < kPeakSums; ++i) sums[i] = dot_q8(sums[i], a, b);
    UNROLL for (int i = 0; i < kPeakSums; ++i) KEEP(sums[i]);
  }
  return static_cast<double>(rounds) * kPeakSums * kLanes * 8;
}

static uint64_t read_memory(const void* data, int64_t bytes) {
  const char* p = static_cast<const char*>(data);
  F sums[4] = {zero(), zero(), zero(), zero()};
  for (int64_t i = 0; i < bytes; i += 4 * kLanes * 4) {
    UNROLL for (int j = 0; j < 4; ++j) {
      const char* at = p + i + j * kLanes * 4;
      prefetch(at + 8192);
      sums[j] = add(sums[j], load(reinterpret_cast<const float*>(at)));
    }
  }
  const float total = sum(add(add(sums[0], sums[1]), add(sums[2], sums[3])));
  uint32_t bits;
  __builtin_memcpy(&bits, &total, 4);
  return bits;
}
