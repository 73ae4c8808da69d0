#include "tensor/io/gguf.h"

#include <algorithm>
#include <cstring>

#include <gtest/gtest.h>
#include <unistd.h>
#include <boost/json/array.hpp>

#include "base/json.h"
#include "base/testing.h"
#include "tensor/io/gguf_types.h"
#include "tensor/io/gguf_writer.h"

namespace cove {
namespace {

namespace fs = std::filesystem;

std::string u32(uint32_t value) { return {reinterpret_cast<const char*>(&value), sizeof(value)}; }
std::string u64(uint64_t value) { return {reinterpret_cast<const char*>(&value), sizeof(value)}; }
std::string text(std::string_view value) { return u64(value.size()).append(value); }
std::string head(uint64_t tensors, uint64_t pairs) { return "GGUF" + u32(3) + u64(tensors) + u64(pairs); }

std::string parse_message(const std::string& file) {
  const auto header = parse_gguf(std::as_bytes(std::span(file)), "m.gguf");
  return header ? "accepted" : header.error().message;
}

class GgufTest : public ::testing::Test {
 protected:
  void SetUp() override { path_ = fs::temp_directory_path() / ("cove_gguf_" + std::to_string(::getpid()) + ".gguf"); }
  void TearDown() override { fs::remove(path_); }
  fs::path path_;
};

TEST_F(GgufTest, reads_back_what_was_written) {
  GgufPairs pairs;
  pairs.add("general.architecture", "qwen2");
  pairs.add_u32("qwen2.block_count", 28);
  pairs.add_f32("qwen2.rope.freq_base", 10000.0F);
  pairs.add_bool("tokenizer.ggml.add_bos_token", true);
  pairs.add_strings("tokenizer.ggml.tokens", std::vector<std::string>{"a", "", "小"});
  pairs.add_i32s("tokenizer.ggml.token_type", std::vector<int32_t>{1, 3, -1});
  const std::vector<PlannedTensor> plan = {{"w", DType::kQ8_0, {3, 64}}, {"b", DType::kF32, {3}}};
  std::vector<std::byte> w(3 * 2 * 34);
  w[5] = std::byte{7};
  const std::vector<float> b = {1, 2, 3};
  auto writer = GgufWriter::create(path_, pairs, plan);
  ASSERT_TRUE(writer.has_value()) << writer.error().message;
  ASSERT_TRUE(writer->append(w).has_value());
  ASSERT_TRUE(writer->end_tensor().has_value());
  ASSERT_TRUE(writer->append(std::as_bytes(std::span(b))).has_value());
  ASSERT_TRUE(writer->end_tensor().has_value());
  ASSERT_TRUE(writer->finish().has_value());

  const auto file = GgufFile::open(path_);
  ASSERT_TRUE(file.has_value()) << file.error().message;
  const GgufMetadata& metadata = (*file)->metadata();
  EXPECT_EQ(metadata.string("general.architecture"), "qwen2");
  EXPECT_EQ(metadata.integer("qwen2.block_count"), 28);
  EXPECT_EQ(metadata.number("qwen2.rope.freq_base"), 10000.0);
  EXPECT_EQ(metadata.boolean("tokenizer.ggml.add_bos_token"), true);
  EXPECT_EQ(metadata.strings("tokenizer.ggml.tokens"), (std::vector<std::string>{"a", "", "小"}));
  EXPECT_EQ(metadata.integers("tokenizer.ggml.token_type"), (std::vector<int64_t>{1, 3, -1}));
  EXPECT_EQ(metadata.floats("tokenizer.ggml.token_type"), (std::vector<float>{1, 3, -1}));
  EXPECT_EQ(metadata.string("qwen2.block_count"), std::nullopt);
  EXPECT_EQ(metadata.integer("missing"), std::nullopt);
  const WeightSource& weights = (*file)->weights();
  ASSERT_NE(weights.find("w"), nullptr);
  EXPECT_EQ(weights.find("w")->shape, (Shape{3, 64}));
  EXPECT_TRUE(std::ranges::equal(weights.data(*weights.find("w")), w));
  EXPECT_EQ(view_of(weights, *weights.find("b")).as<float>()[2], 3.0F);
}

TEST_F(GgufTest, a_file_of_metadata_alone_stays_readable) {
  GgufPairs pairs;
  pairs.add("general.architecture", "llama");
  auto writer = GgufWriter::create(path_, pairs, {});
  ASSERT_TRUE(writer.has_value() && writer->finish().has_value());
  const auto file = GgufFile::open(path_);
  ASSERT_TRUE(file.has_value()) << file.error().message;
  EXPECT_EQ((*file)->metadata().string("general.architecture"), "llama");
}

TEST_F(GgufTest, a_truncated_file_names_tensor_range_and_advice) {
  auto writer = GgufWriter::create(path_, {}, std::vector<PlannedTensor>{{"w", DType::kF32, {100}}});
  ASSERT_TRUE(writer->append(std::vector<std::byte>(400)).has_value());
  ASSERT_TRUE(writer->end_tensor().has_value() && writer->finish().has_value());
  const auto size = fs::file_size(path_);
  fs::resize_file(path_, size - 100);
  const auto file = GgufFile::open(path_);
  ASSERT_FALSE(file.has_value());
  EXPECT_EQ(
      file.error().message.find("tensor 'w' needs bytes 64..464 but the file ends at 380; the download is incomplete"),
      path_.filename().string().size() + 2)
      << file.error().message;
}

TEST_F(GgufTest, every_cut_of_a_file_is_refused_or_a_shorter_file) {
  GgufPairs pairs;
  pairs.add("general.architecture", "qwen2");
  pairs.add_strings("s", std::vector<std::string>{"a", "bc"});
  auto writer = GgufWriter::create(path_, pairs, std::vector<PlannedTensor>{{"w", DType::kF32, {8}}});
  ASSERT_TRUE(writer->append(std::vector<std::byte>(32)).has_value());
  ASSERT_TRUE(writer->end_tensor().has_value() && writer->finish().has_value());
  const std::string whole = read_file(path_).value();
  for (size_t length = 0; length < whole.size(); ++length) {
    const std::string cut = whole.substr(0, length);
    const auto header = parse_gguf(std::as_bytes(std::span(cut)), "m");
    EXPECT_FALSE(header.has_value() && check_gguf_data(*header, length, "m").has_value()) << length;
  }
}

TEST_F(GgufTest, messages_name_what_is_wrong) {
  EXPECT_EQ(parse_message("GGML"), "m.gguf: does not begin with 'GGUF': not a GGUF file");
  EXPECT_EQ(parse_message("GGUF" + u32(0x03000000)), "m.gguf: is a big-endian GGUF file; convert it to little-endian");
  EXPECT_EQ(parse_message("GGUF" + u32(3) + u64(1)),
            "m.gguf: the number of metadata pairs needs 8 bytes at byte 16 but the file ends at 16; the download is "
            "incomplete");
  EXPECT_EQ(parse_message(head(0, 1) + text("k") + u32(13) + u32(0)), "m.gguf: metadata 'k' has the unknown type 13");
  EXPECT_EQ(parse_message(head(0, 1) + text("k") + u32(9) + u32(9) + u64(1)),
            "m.gguf: metadata 'k' is an array of arrays");
  EXPECT_EQ(parse_message(head(0, 1) + text("k") + u32(9) + u32(10) + u64(uint64_t{1} << 61)),
            "m.gguf: metadata 'k' claims 2305843009213693952 elements");
  EXPECT_EQ(parse_message(head(uint64_t{1} << 60, 0)),
            "m.gguf: claims 1152921504606846976 tensors and 0 metadata pairs, more than its 24 bytes can hold");
  EXPECT_EQ(parse_message(head(1, 0) + text("w") + u32(1) + u64(33) + u32(8) + u64(0)),
            "m.gguf: tensor 'w': rows of 33 values cannot be cut into the blocks of 32 that Q8_0 needs");
  EXPECT_EQ(parse_message(head(1, 0) + text("w") + u32(3) + u64(0) + u64(uint64_t{1} << 40) + u64(uint64_t{1} << 40)),
            "m.gguf: tensor 'w': its dimensions 0 x 1099511627776 x 1099511627776 are absurd");
  EXPECT_EQ(parse_message(head(1, 0) + text("w") + u32(1) + u64(32) + u32(77) + u64(0)),
            "m.gguf: tensor 'w' has the unknown type 77");
  EXPECT_EQ(parse_message(head(1, 0) + text("w") + u32(5)),
            "m.gguf: tensor 'w' claims 5 dimensions, at most 4 are possible");
}

// One line of cases.jsonl against what we make of the file. The reference's TENSORS_ cases hold no data.
void run_case(const json::value& item, const fs::path& folder) {
  const std::string name = find_member(item, "file")->as_string().c_str();
  const auto file = MappedFile::open(folder / name);
  ASSERT_TRUE(file.has_value()) << name;
  const auto header = parse_gguf(file->bytes(), name);
  bool accepted = header.has_value();
  if (accepted && find_member(item, "loads_data")->as_bool()) {
    accepted = check_gguf_data(*header, file->bytes().size(), name).has_value();
  }
  EXPECT_EQ(accepted, find_member(item, "expect_accept")->as_bool())
      << name << (header ? "" : ": " + header.error().message);
  if (!accepted || !header || find_member(item, "n_kv") == nullptr) return;
  EXPECT_EQ(static_cast<int64_t>(header->metadata.size()), find_member(item, "n_kv")->as_int64()) << name;
  EXPECT_EQ(static_cast<int64_t>(header->alignment), find_member(item, "alignment")->as_int64()) << name;
  EXPECT_EQ(static_cast<int64_t>(header->data_offset), find_member(item, "data_offset")->as_int64()) << name;
  const json::array& tensors = find_member(item, "tensors")->as_array();
  ASSERT_EQ(header->tensors.size(), tensors.size()) << name;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const TensorInfo& tensor = header->tensors[i];
    EXPECT_EQ(tensor.name, find_member(tensors[i], "name")->as_string().c_str()) << name;
    std::string expected_type = find_member(tensors[i], "type")->as_string().c_str();
    std::ranges::transform(expected_type, expected_type.begin(), ::toupper);
    EXPECT_EQ(tensor.type_name, expected_type) << name;
    EXPECT_EQ(static_cast<int64_t>(tensor.offset - header->data_offset), find_member(tensors[i], "offset")->as_int64());
    EXPECT_EQ(static_cast<int64_t>(tensor.bytes), find_member(tensors[i], "size")->as_int64()) << tensor.type_name;
  }
}

TEST_F(GgufTest, accepts_and_refuses_as_the_published_cases_say) {
  const auto folder = testing::testdata_root() / "formats" / "gguf-malformed";
  COVE_REQUIRE_TESTDATA(folder);
  const std::string lines = read_file(folder / "cases.jsonl").value();
  int run = 0;
  for (size_t begin = 0; begin < lines.size();) {
    const size_t end = std::min(lines.find('\n', begin), lines.size());
    const json::value item = parse_json(lines.substr(begin, end - begin)).value();
    begin = end + 1;
    // Some of the cases have no file in the set.
    if (!fs::exists(folder / find_member(item, "file")->as_string().c_str())) continue;
    run_case(item, folder);
    ++run;
  }
  EXPECT_EQ(run, 31);
}

TEST_F(GgufTest, every_published_tensor_type_has_its_size) {
  const auto folder = testing::testdata_root() / "formats" / "ggml-quant-vectors";
  COVE_REQUIRE_TESTDATA(folder);
  const json::value index = parse_json(read_file(folder / "index.json").value()).value();
  for (const json::value& row : index.as_array()) {
    const auto id = static_cast<uint32_t>(find_member(row, "ggml_type_id")->as_int64());
    const GgufTensorType* type = find_gguf_tensor_type(id);
    ASSERT_NE(type, nullptr) << id;
    EXPECT_EQ(static_cast<int64_t>(type->block_elements), find_member(row, "block_size")->as_int64()) << type->name;
    EXPECT_EQ(static_cast<int64_t>(type->block_bytes), find_member(row, "type_size")->as_int64()) << type->name;
  }
}

}  // namespace
}  // namespace cove
