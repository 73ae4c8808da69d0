#include "tensor/formats/codec.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include <gtest/gtest.h>
#include <boost/json/array.hpp>

#include "base/file.h"
#include "base/json.h"
#include "base/testing.h"
#include "tensor/decode.h"

namespace cove {
namespace {

constexpr DType kFloatLike[] = {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ4_0};

std::vector<float> normal_values(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0F, 0.7F);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  return values;
}

std::vector<std::byte> encoded(DType dtype, std::span<const float> values) {
  std::vector<std::byte> bytes(static_cast<size_t>(dtype_bytes(dtype, static_cast<int64_t>(values.size()))));
  const Status status = encode(dtype, values, bytes);
  EXPECT_TRUE(status.has_value()) << (status ? "" : status.error().message);
  return bytes;
}

std::vector<float> decoded(DType dtype, std::span<const std::byte> bytes, size_t count) {
  std::vector<float> values(count);
  decode(dtype, bytes, values);
  return values;
}

std::vector<float> read_floats(const std::filesystem::path& path) {
  const std::string raw = read_file(path).value();
  std::vector<float> values(raw.size() / 4);
  std::memcpy(values.data(), raw.data(), values.size() * 4);
  return values;
}

std::vector<std::byte> read_bytes(const std::filesystem::path& path) {
  const std::string raw = read_file(path).value();
  const auto* begin = reinterpret_cast<const std::byte*>(raw.data());
  return {begin, begin + raw.size()};
}

double relative_rmse(std::span<const float> values, std::span<const float> reference) {
  double error = 0;
  double norm = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    error += std::pow(static_cast<double>(values[i]) - static_cast<double>(reference[i]), 2);
    norm += std::pow(static_cast<double>(reference[i]), 2);
  }
  return std::sqrt(error / norm);
}

// Largest error of one value in units of the block's largest magnitude: half a step of the format.
double step_of(DType dtype) {
  switch (dtype) {
    case DType::kF16: return 1.0 / 2048;
    case DType::kBF16: return 1.0 / 256;
    case DType::kQ8_0: return 0.5 / 127 + 1.0 / 2048;
    case DType::kQ4_0: return 1.0 / 8 + 1.0 / 2048;  // the positive end is cut at 7/8
    default: return 0;
  }
}

TEST(Codec, a_decoded_value_is_within_half_a_step_of_the_encoded_one) {
  for (const DType dtype : kFloatLike) {
    const std::vector<float> values = normal_values(32 * 100, 1);
    const std::vector<float> back = decoded(dtype, encoded(dtype, values), values.size());
    const auto block = static_cast<size_t>(dtype_info(dtype).block_elements);
    for (size_t i = 0; i < values.size(); ++i) {
      float extreme = 0;
      for (size_t j = i / block * block; j < (i / block + 1) * block; ++j)
        extreme = std::max(extreme, std::fabs(values[j]));
      EXPECT_LE(std::fabs(back[i] - values[i]), step_of(dtype) * static_cast<double>(extreme))
          << dtype_info(dtype).name;
    }
  }
}

TEST(Codec, encoding_decoded_values_gives_the_same_values) {
  for (const DType dtype : kFloatLike) {
    const std::vector<float> once = decoded(dtype, encoded(dtype, normal_values(32 * 50, 2)), 32 * 50);
    const std::vector<float> twice = decoded(dtype, encoded(dtype, once), once.size());
    if (dtype == DType::kQ8_0 || dtype == DType::kQ4_0) {
      EXPECT_LT(relative_rmse(twice, once), 1e-3) << dtype_info(dtype).name;  // the scale is rounded again
    } else {
      EXPECT_EQ(twice, once) << dtype_info(dtype).name;
    }
  }
}

TEST(Codec, zeros_and_values_too_small_for_a_scale_become_zero) {
  for (const DType dtype : {DType::kQ8_0, DType::kQ4_0}) {
    EXPECT_EQ(decoded(dtype, encoded(dtype, std::vector<float>(32, 0.0F)), 32), std::vector<float>(32, 0.0F));
    std::vector<float> tiny(32, 0.0F);
    tiny[3] = 1e-44F;
    for (const float value : decoded(dtype, encoded(dtype, tiny), 32)) EXPECT_EQ(value, 0.0F);
  }
}

TEST(Codec, quantised_formats_refuse_what_they_cannot_hold) {
  for (const DType dtype : {DType::kQ8_0, DType::kQ4_0}) {
    std::vector<std::byte> bytes(static_cast<size_t>(dtype_bytes(dtype, 64)));
    std::vector<float> values(64, 1.0F);
    values[40] = std::numeric_limits<float>::quiet_NaN();
    const Status nan = encode(dtype, values, bytes);
    ASSERT_FALSE(nan.has_value());
    EXPECT_NE(nan.error().message.find("index 40"), std::string::npos) << nan.error().message;
    values[40] = 1e30F;
    const Status large = encode(dtype, values, bytes);
    ASSERT_FALSE(large.has_value());
    EXPECT_NE(large.error().message.find("index 32..63"), std::string::npos) << large.error().message;
  }
}

TEST(Codec, finds_the_first_value_or_scale_that_is_not_finite) {
  const std::vector<float> values = normal_values(32 * 300, 3);
  for (const DType dtype : kFloatLike) {
    std::vector<std::byte> bytes = encoded(dtype, values);
    EXPECT_EQ(find_not_finite(dtype, bytes), kAllFinite);
    const DTypeInfo& info = dtype_info(dtype);
    const size_t unit = 150;
    const auto at = unit * static_cast<size_t>(info.block_bytes);
    const uint32_t infinity = dtype == DType::kF32 ? 0x7f800000U : dtype == DType::kBF16 ? 0x7f80U : 0xfc00U;
    std::memcpy(bytes.data() + at, &infinity, dtype == DType::kF32 ? 4 : 2);
    EXPECT_EQ(find_not_finite(dtype, bytes), unit) << info.name;
  }
}

// Vectors of ggml itself: decoding must give its floats exactly; encoding must be at least as good as its own.
TEST(Codec, agrees_with_ggml) {
  const auto folder = testing::testdata_root() / "formats" / "ggml-quant-vectors";
  COVE_REQUIRE_TESTDATA(folder);
  const std::vector<float> source = read_floats(folder / "source.f32");
  const json::value index = parse_json(read_file(folder / "index.json").value()).value();
  int compared = 0;
  for (const json::value& row : index.as_array()) {
    const std::string type = find_member(row, "type")->as_string().c_str();
    const std::optional<DType> dtype = dtype_from_name(type);
    if (!dtype) continue;
    ++compared;
    const std::vector<std::byte> bytes = read_bytes(folder / (type + ".bin"));
    const std::vector<float> expected = read_floats(folder / (type + ".f32"));
    EXPECT_EQ(dtype_info(*dtype).block_bytes, find_member(row, "type_size")->as_int64());
    EXPECT_EQ(decoded(*dtype, bytes, expected.size()), expected) << type;
    const std::vector<float> ours = decoded(*dtype, encoded(*dtype, source), source.size());
    EXPECT_LE(relative_rmse(ours, source), find_member(row, "rel_rmse")->to_number<double>() * 1.05) << type;
  }
  EXPECT_EQ(compared, 4);
}

TEST(Codec, q8_0_encodes_to_the_very_bytes_of_ggml) {
  const auto folder = testing::testdata_root() / "formats" / "ggml-quant-vectors";
  COVE_REQUIRE_TESTDATA(folder);
  EXPECT_EQ(encoded(DType::kQ8_0, read_floats(folder / "source.f32")), read_bytes(folder / "q8_0.bin"));
}

TEST(Codec, integers_cannot_be_read_as_numbers) {
  std::vector<int32_t> data(4);
  std::vector<float> out(4);
  const Status status = decode_to_f32({data.data(), DType::kI32, {4}}, out);
  ASSERT_FALSE(status.has_value());
  EXPECT_EQ(status.error().code, ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace cove
