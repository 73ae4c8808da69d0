// The hardware's view, written down a second time from the PTX manual: what a bulk tensor copy writes must be what a
// descriptor makes wgmma read.
#include "backends/cuda/hopper/plan/layout.h"

#include <vector>

#include <gtest/gtest.h>

namespace cove::cuda::hopper {
namespace {

constexpr int kTileRowCount = 128;
constexpr int kElementsPerRow = 64;  // bf16 in 128 bytes

// The 128-byte swizzle: bits 4-6 of an address are changed by its bits 7-9.
uint32_t swizzle_address(uint32_t address) { return address ^ ((address >> 7U & 7U) << 4U); }

// Shared memory as 16-bit words.
class Memory {
 public:
  void write(uint32_t address, int value) { words_[address / 2] = value; }
  int read(uint32_t address) const { return words_[address / 2]; }

 private:
  std::vector<int> words_ = std::vector<int>(size_t{228} * 1024 / 2, -1);
};

// A bulk tensor copy of a box of rows of 64 bf16 to `to`; element (r, c) holds first + r * 64 + c.
void copy_box(Memory& memory, uint32_t to, int rows, int first) {
  for (int r = 0; r < rows; ++r) {
    for (int c = 0; c < kElementsPerRow; ++c) {
      const auto linear = to + static_cast<uint32_t>(r) * 128U + static_cast<uint32_t>(c) * 2U;
      memory.write(swizzle_address(linear), first + r * kElementsPerRow + c);
    }
  }
}

struct Descriptor {
  explicit Descriptor(uint64_t bits)
      : start(static_cast<uint32_t>(bits & 0x3FFFU) << 4U),
        leading(static_cast<uint32_t>(bits >> 16U & 0x3FFFU) << 4U),
        stride(static_cast<uint32_t>(bits >> 32U & 0x3FFFU) << 4U),
        base_offset(static_cast<int>(bits >> 49U & 7U)),
        swizzle(static_cast<int>(bits >> 62U)) {}
  uint32_t start;
  uint32_t leading;
  uint32_t stride;
  int base_offset;
  int swizzle;
};

// Row (M or N) and K of a K-major operand of 16-bit elements.
int read_k_major(const Memory& memory, uint64_t bits, uint32_t row, uint32_t k) {
  const Descriptor d(bits);
  return memory.read(swizzle_address(d.start + row / 8 * d.stride + row % 8 * 128 + k * 2));
}

// N and K of an operand whose N runs along the bytes.
int read_n_major(const Memory& memory, uint64_t bits, uint32_t n, uint32_t k) {
  const Descriptor d(bits);
  return memory.read(swizzle_address(d.start + n / 64 * d.leading + k / 8 * d.stride + k % 8 * 128 + n % 64 * 2));
}

TEST(HopperLayout, descriptor_has_the_bits_of_the_manual) {
  const Descriptor d(operand_descriptor(0x2C400, 0x4000, 0x400));
  EXPECT_EQ(d.start, 0x2C400U);
  EXPECT_EQ(d.leading, 0x4000U);
  EXPECT_EQ(d.stride, 0x400U);
  EXPECT_EQ(d.base_offset, 0);
  EXPECT_EQ(d.swizzle, 1);
  EXPECT_EQ(operand_descriptor(0x2C400, 0x4000, 0x400), 0x2C40U | 0x400ULL << 16U | 0x40ULL << 32U | 1ULL << 62U);
}

TEST(HopperLayout, addresses_up_to_the_last_byte_of_shared_memory_fit_a_descriptor) {
  for (uint32_t address = 0; address < 228 * 1024; address += 1024) {
    EXPECT_EQ(Descriptor(k_major_descriptor(address)).start, address);
    const uint64_t last_step = k_major_descriptor(address) + 3 * kNextStepK;
    EXPECT_EQ(Descriptor(last_step).start, address + 96);
    EXPECT_EQ(Descriptor(last_step).stride, 1024U) << "the step ran over into the next field";
  }
}

TEST(HopperLayout, k_major_descriptor_reads_what_the_copy_wrote) {
  for (const uint32_t base : {0U, 16U * 1024U, 196U * 1024U}) {
    Memory memory;
    copy_box(memory, base, kTileRowCount, 0);
    for (uint32_t warpgroup = 0; warpgroup < 2; ++warpgroup) {
      const uint64_t first = k_major_descriptor(base + warpgroup * 64 * kRowBytes);
      for (uint32_t step = 0; step < 4; ++step) {
        for (uint32_t row = 0; row < 64; ++row) {
          for (uint32_t k = 0; k < 16; ++k) {
            const int expected = static_cast<int>((warpgroup * 64 + row) * kElementsPerRow + step * 16 + k);
            ASSERT_EQ(read_k_major(memory, first + step * kNextStepK, row, k), expected)
                << "base " << base << " warpgroup " << warpgroup << " step " << step << " row " << row << " k " << k;
          }
        }
      }
    }
  }
}

TEST(HopperLayout, two_boxes_of_128_rows_are_one_operand_of_256) {
  Memory memory;
  copy_box(memory, 0, 128, 0);
  copy_box(memory, 128 * kRowBytes, 128, 128 * kElementsPerRow);
  for (uint32_t row = 0; row < 256; ++row) {
    ASSERT_EQ(read_k_major(memory, k_major_descriptor(0) + kNextStepK, row, 5),
              static_cast<int>(row * kElementsPerRow + 21));
  }
}

TEST(HopperLayout, stores_through_swizzled_are_what_the_copy_would_have_written) {
  Memory copied;
  copy_box(copied, 2048, 128, 0);
  for (uint32_t row = 0; row < 128; ++row) {
    for (uint32_t column = 0; column < kElementsPerRow; ++column) {
      ASSERT_EQ(copied.read(2048 + swizzled(row, column * 2)), static_cast<int>(row * kElementsPerRow + column));
    }
  }
}

// Values of a tile of 128 positions arrive page by page, 64 columns of a head at a time.
TEST(HopperLayout, n_major_descriptor_reads_pages_as_positions) {
  constexpr uint32_t kColumnBytes = 128 * kRowBytes;
  for (const uint32_t page_tokens : {8U, 16U, 64U, 128U}) {
    Memory memory;
    const uint32_t base = 32 * 1024;
    for (uint32_t column = 0; column < 2; ++column) {
      for (uint32_t page = 0; page < 128 / page_tokens; ++page) {
        const uint32_t to = base + column * kColumnBytes + page * page_tokens * kRowBytes;
        copy_box(memory, to, static_cast<int>(page_tokens),
                 static_cast<int>((column * 128 + page * page_tokens) * kElementsPerRow));
      }
    }
    for (uint32_t step = 0; step < 8; ++step) {
      const uint64_t bits = n_major_descriptor(base, kColumnBytes) + step * kNextStepN;
      for (uint32_t n = 0; n < 128; ++n) {
        for (uint32_t k = 0; k < 16; ++k) {
          const uint32_t position = step * 16 + k;
          const int expected = static_cast<int>((n / 64 * 128 + position) * kElementsPerRow + n % 64);
          ASSERT_EQ(read_n_major(memory, bits, n, k), expected)
              << "pages of " << page_tokens << " n " << n << " k " << k;
        }
      }
    }
  }
}

TEST(HopperLayout, accumulators_of_a_warpgroup_cover_the_tile_once) {
  for (const int columns : {16, 32, 64, 128, 256}) {
    std::vector<int> seen(static_cast<size_t>(64 * columns), 0);
    for (int thread = 0; thread < 128; ++thread) {
      for (int reg = 0; reg < columns / 2; ++reg) {
        const Place place = accumulator_place(thread, reg);
        ASSERT_TRUE(place.row >= 0 && place.row < 64 && place.column >= 0 && place.column < columns);
        ++seen[static_cast<size_t>(place.row * columns + place.column)];
      }
    }
    for (const int count : seen) ASSERT_EQ(count, 1);
  }
}

// Register pair i of the A operand of K step s holds row lane / 4 (+ 8 for odd i), columns 16 s + 2 (lane % 4) (+ 8 for
// i >= 2). Scores packed in order are that operand.
TEST(HopperLayout, scores_as_pairs_are_the_next_products_operand) {
  for (int thread = 0; thread < 128; ++thread) {
    for (int step = 0; step < 8; ++step) {
      for (int i = 0; i < 4; ++i) {
        const Place place = accumulator_place(thread, step * 8 + i * 2);
        EXPECT_EQ(place.row, thread / 32 * 16 + thread % 32 / 4 + i % 2 * 8);
        EXPECT_EQ(place.column, step * 16 + thread % 4 * 2 + i / 2 * 8);
      }
    }
  }
}

// stmatrix.x4: lane l gives the address of row l % 8 of matrix l / 8, and its register i is of matrix i, row l / 4,
// columns 2 (l % 4) and the next.
TEST(HopperLayout, stmatrix_puts_accumulators_where_they_belong) {
  for (uint32_t warp = 0; warp < 4; ++warp) {
    for (int pair = 0; pair < 4; ++pair) {
      for (int lane = 0; lane < 32; ++lane) {
        for (int i = 0; i < 4; ++i) {
          const Place place = accumulator_place(static_cast<int>(warp) * 32 + lane, pair * 8 + i * 2);
          const MatrixRow to = stored_row(warp * 32 + static_cast<uint32_t>(i * 8 + lane / 4));
          EXPECT_EQ(static_cast<int>(to.row), place.row);
          EXPECT_EQ((pair * 2 + static_cast<int>(to.block)) * 8 + lane % 4 * 2, place.column);
        }
      }
    }
  }
}

// {gate, up} rows alternate in groups of eight: as columns of a tile they are neighbouring blocks of a thread, as rows
// the two halves of its 16.
TEST(HopperLayout, gate_and_up_of_an_output_are_in_one_thread) {
  const auto is_gate = [](int row) { return row % 16 < 8; };
  const auto feature = [](int row) { return row / 16 * 8 + row % 8; };
  for (int thread = 0; thread < 128; ++thread) {
    for (int block = 0; block < 16; ++block) {
      const int gate = accumulator_place(thread, 8 * block).column;
      const int up = accumulator_place(thread, 8 * block + 4).column;
      EXPECT_TRUE(is_gate(gate) && !is_gate(up));
      EXPECT_EQ(feature(gate), feature(up));
      EXPECT_EQ(feature(gate), block * 8 + thread % 4 * 2);
    }
    const int gate = accumulator_place(thread, 0).row;
    const int up = accumulator_place(thread, 2).row;
    EXPECT_TRUE(is_gate(gate) && !is_gate(up));
    EXPECT_EQ(feature(gate), feature(up));
  }
}

}  // namespace
}  // namespace cove::cuda::hopper
