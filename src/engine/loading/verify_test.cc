#include "engine/loading/verify.h"

#include <atomic>
#include <cstring>
#include <map>

#include <gtest/gtest.h>

#include "tensor/formats/codec.h"

namespace cove::engine {
namespace {

class TensorsInMemory final : public WeightSource {
 public:
  std::vector<std::byte>& add(const std::string& name, DType dtype, int64_t elements) {
    const uint64_t bytes = dtype == DType::kOpaque ? 64 : static_cast<uint64_t>(dtype_bytes(dtype, elements));
    tensors_.push_back({name, dtype, {elements}, "m.file", 1000 * (tensors_.size() + 1), bytes, "?"});
    return bytes_[name] = std::vector<std::byte>(bytes);
  }
  std::span<const TensorInfo> tensors() const override { return tensors_; }
  const TensorInfo* find(std::string_view) const override { return nullptr; }
  std::span<const std::byte> data(const TensorInfo& tensor) const override { return bytes_.at(tensor.name); }

 private:
  std::vector<TensorInfo> tensors_;
  std::map<std::string, std::vector<std::byte>> bytes_;
};

TEST(Verify, good_weights_have_no_faults) {
  TensorsInMemory source;
  source.add("a", DType::kF32, 100);
  source.add("b", DType::kQ4_0, 320);
  source.add("c", DType::kOpaque, 100);
  const VerifyReport report = verify_weights(source, {.threads = 2, .on_progress = {}});
  EXPECT_TRUE(report.faults.empty());
  EXPECT_EQ(report.tensors, 3U);
  EXPECT_EQ(report.bytes, 400U + 180 + 64);
  EXPECT_EQ(report.unchecked, std::vector<std::string>{"c"});
}

TEST(Verify, a_bad_value_is_named_with_its_place_in_the_file) {
  TensorsInMemory source;
  auto& a = source.add("a", DType::kBF16, 100);
  auto& b = source.add("b", DType::kQ8_0, 320);
  const uint16_t nan = 0x7fc1;
  std::memcpy(a.data() + 2 * 42, &nan, 2);
  std::memcpy(b.data() + 34 * 3, &nan, 2);
  std::memcpy(b.data() + 34 * 5, &nan, 2);
  const VerifyReport report = verify_weights(source, {.threads = 2, .on_progress = {}});
  ASSERT_EQ(report.faults.size(), 2U);
  EXPECT_EQ(report.faults[0].tensor, "a");
  EXPECT_EQ(report.faults[0].offset, 1000U + 84);
  EXPECT_EQ(report.faults[0].what, "value 42 is infinite or NaN");
  EXPECT_EQ(report.faults[1].offset, 2000U + 102);
  EXPECT_EQ(report.faults[1].what, "the scale of block 3 is infinite or NaN");
}

TEST(Verify, tensors_larger_than_a_piece_are_read_to_their_end) {
  TensorsInMemory source;
  const int64_t blocks = (int64_t{40} << 20) / 34;
  auto& a = source.add("a", DType::kQ8_0, blocks * 32);
  const uint16_t infinity = 0x7c00;
  std::memcpy(a.data() + a.size() - 34, &infinity, 2);
  std::atomic<uint64_t> done = 0;
  const VerifyReport report = verify_weights(source, {.threads = 3, .on_progress = [&](uint64_t bytes) {
                                                        if (bytes == a.size()) done = bytes;
                                                      }});
  EXPECT_EQ(done, a.size());
  ASSERT_EQ(report.faults.size(), 1U);
  EXPECT_EQ(report.faults[0].offset, 1000U + a.size() - 34);
}

}  // namespace
}  // namespace cove::engine
