#include "tensor/io/safetensors.h"

#include <cstring>

#include <gtest/gtest.h>
#include <unistd.h>
#include <boost/json/array.hpp>

#include "base/file.h"
#include "base/json.h"
#include "base/testing.h"
#include "tensor/io/safetensors_writer.h"

namespace cove {
namespace {

namespace fs = std::filesystem;

class SafetensorsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("cove_safetensors_" + std::to_string(::getpid()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  void write(const std::string& name, std::string_view content) const {
    ASSERT_TRUE(write_file_atomic(folder_ / name, content).has_value());
  }
  // One f32 tensor of two values.
  void write_one(const std::string& file, const std::string& tensor) const {
    const std::vector<float> values = {1.0F, 2.0F};
    const TensorToWrite one{tensor, DType::kF32, {2}, std::as_bytes(std::span(values))};
    ASSERT_TRUE(write_safetensors(folder_ / file, std::span(&one, 1)).has_value());
  }
  fs::path folder_;
};

std::string with_length(std::string_view header, std::string_view data = {}) {
  const uint64_t length = header.size();
  std::string file(sizeof(length), '\0');
  std::memcpy(file.data(), &length, sizeof(length));
  return file.append(header).append(data);
}

std::string parse_message(const std::string& file) {
  const auto header = parse_safetensors(std::as_bytes(std::span(file)), "m.safetensors");
  return header ? "accepted" : header.error().message;
}

TEST_F(SafetensorsTest, reads_back_what_was_written) {
  const std::vector<float> f32 = {1.5F, -2.0F, 0.25F, 8.0F, 0.0F, 3.0F};
  const std::vector<uint16_t> bf16 = {0x3f80, 0x4000};
  const std::vector<int64_t> i64 = {-7};
  const std::vector<TensorToWrite> tensors = {{"b", DType::kBF16, {2}, std::as_bytes(std::span(bf16))},
                                              {"a.weight", DType::kF32, {2, 3}, std::as_bytes(std::span(f32))},
                                              {"none", DType::kF32, {0, 4}, {}},
                                              {"i", DType::kI64, {}, std::as_bytes(std::span(i64))}};
  ASSERT_TRUE(write_safetensors(folder_ / "x.safetensors", tensors, {{"format", "pt"}}).has_value());
  const auto source = open_safetensors(folder_ / "x.safetensors");
  ASSERT_TRUE(source.has_value()) << source.error().message;
  ASSERT_EQ((*source)->tensors().size(), 4U);
  for (const TensorToWrite& written : tensors) {
    const TensorInfo* info = (*source)->find(written.name);
    ASSERT_NE(info, nullptr) << written.name;
    EXPECT_EQ(info->dtype, written.dtype);
    EXPECT_EQ(info->shape, written.shape);
    EXPECT_EQ(info->offset % static_cast<uint64_t>(dtype_info(info->dtype).block_bytes), 0U);
    const std::span<const std::byte> bytes = (*source)->data(*info);
    EXPECT_TRUE(std::ranges::equal(bytes, written.bytes)) << written.name;
  }
  EXPECT_EQ((*source)->find("c"), nullptr);
  const auto header = parse_safetensors(MappedFile::open(folder_ / "x.safetensors").value().bytes(), "x");
  EXPECT_EQ(header.value().metadata.at("format"), "pt");
}

TEST_F(SafetensorsTest, quantised_tensors_are_not_written) {
  const std::vector<std::byte> bytes(34);
  const TensorToWrite tensor{"q", DType::kQ8_0, {32}, bytes};
  const Status status = write_safetensors(folder_ / "x.safetensors", std::span(&tensor, 1));
  ASSERT_FALSE(status.has_value());
  EXPECT_NE(status.error().message.find("write a .gguf"), std::string::npos);
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(SafetensorsTest, a_writer_that_got_too_few_bytes_leaves_no_file) {
  {
    auto writer = SafetensorsWriter::create(folder_ / "x.safetensors", {{"a", DType::kF32, {4}}});
    ASSERT_TRUE(writer.has_value());
    ASSERT_TRUE(writer->append(std::vector<std::byte>(15)).has_value());
    EXPECT_FALSE(writer->finish().has_value());
  }
  EXPECT_TRUE(fs::is_empty(folder_));
}

TEST_F(SafetensorsTest, a_directory_with_an_index_is_one_source) {
  write_one("model-1.safetensors", "a");
  write_one("model-2.safetensors", "b");
  write("model.safetensors.index.json", R"({"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors"}})");
  const auto source = open_safetensors(folder_);
  ASSERT_TRUE(source.has_value()) << source.error().message;
  EXPECT_EQ((*source)->find("b")->file, "model-2.safetensors");
  EXPECT_EQ(view_of(**source, *(*source)->find("b")).as<float>()[1], 2.0F);
}

TEST_F(SafetensorsTest, a_directory_without_an_index_takes_all_its_files) {
  write_one("x.safetensors", "a");
  write_one("y.safetensors", "b");
  EXPECT_EQ(open_safetensors(folder_).value()->tensors().size(), 2U);
  write_one("z.safetensors", "a");
  const auto twice = open_safetensors(folder_);
  ASSERT_FALSE(twice.has_value());
  EXPECT_EQ(twice.error().message, "tensor 'a' is in both x.safetensors and z.safetensors");
}

TEST_F(SafetensorsTest, refuses_an_index_that_does_not_fit_its_files) {
  write_one("model-1.safetensors", "a");
  const auto message = [&](std::string_view index) {
    write("model.safetensors.index.json", index);
    const auto source = open_safetensors(folder_);
    return source ? "accepted" : source.error().message;
  };
  EXPECT_EQ(message(R"({"weight_map":{"a":"model-1.safetensors","b":"model-2.safetensors"}})"),
            "model.safetensors.index.json: file 'model-2.safetensors' is named by the index but is not there; the "
            "download is incomplete");
  EXPECT_EQ(message(R"({"weight_map":{"b":"model-1.safetensors"}})"),
            "model.safetensors.index.json: tensor 'b' should be in 'model-1.safetensors' but is in none of the files");
  EXPECT_NE(message(R"({"weight_map":{"a":"../../etc/passwd"}})").find("not a file beside the index"),
            std::string::npos);
  EXPECT_NE(message(R"({"weight_map":{"a":7}})").find("not a string"), std::string::npos);
  EXPECT_NE(message(R"({"weight_map":{}})").find("empty"), std::string::npos);
  EXPECT_NE(message("[").find("not valid JSON"), std::string::npos);
}

TEST_F(SafetensorsTest, messages_name_tensor_range_and_advice) {
  EXPECT_EQ(parse_message(with_length(R"({"w":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}})", "12345678")),
            "m.safetensors: tensor 'w' needs bytes 63..75 but the file ends at 71; the download is incomplete");
  EXPECT_EQ(parse_message(with_length(R"({"w":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", "12345678")),
            "m.safetensors: tensor 'w' of type F32 and shape [3] takes 12 bytes, but its data_offsets 0..8 hold 8");
  EXPECT_EQ(parse_message(with_length(R"({"w":{"dtype":"F32","shape":[-1],"data_offsets":[0,8]}})")),
            "m.safetensors: header: tensor 'w': shape holds -1, must be a list of integers from 0");
  EXPECT_EQ(parse_message(with_length(R"({"w":{"dtype":"F32","data_offsets":[0,8]}})")),
            "m.safetensors: header: tensor 'w' has no shape");
  EXPECT_EQ(parse_message(with_length(R"({"w":7})")),
            "m.safetensors: header: entry 'w' is a number, must be an object");
  EXPECT_EQ(parse_message(with_length(R"({"w":{"dtype":"F32","shape":[{}],"data_offsets":[0,8]}})")),
            "m.safetensors: header: tensor 'w': shape holds an object, must be a list of integers from 0");
  EXPECT_EQ(parse_message("1234567"),
            "m.safetensors: 7 bytes cannot be a safetensors file; the download is incomplete");
}

TEST_F(SafetensorsTest, unknown_members_of_a_tensor_are_skipped) {
  EXPECT_EQ(
      parse_message(with_length(
          R"({"w":{"x":{"dtype":[1,{"y":null}]},"dtype":"U8","shape":[1],"z":[[1.5]],"data_offsets":[0,1]}})", "1")),
      "accepted");
}

TEST_F(SafetensorsTest, types_and_ranks_it_cannot_compute_with_are_listed) {
  const std::string file = with_length(R"({"a":{"dtype":"F8_E4M3","shape":[2],"data_offsets":[0,2]},)"
                                       R"("b":{"dtype":"F32","shape":[1,1,1,1,1],"data_offsets":[2,6]}})",
                                       "123456");
  const SafetensorsHeader header = parse_safetensors(std::as_bytes(std::span(file)), "m").value();
  EXPECT_EQ(header.tensors[0].dtype, DType::kOpaque);
  EXPECT_EQ(header.tensors[0].type_name, "F8_E4M3");
  EXPECT_EQ(header.tensors[1].type_name, "F32 of 5 dimensions");
}

TEST_F(SafetensorsTest, names_with_control_characters_are_shown_escaped) {
  EXPECT_EQ(parse_message(with_length(R"({"a\u0000\n":1})")),
            "m.safetensors: header: entry 'a\\x00\\x0a' is a number, must be an object");
}

TEST_F(SafetensorsTest, accepts_and_refuses_as_the_published_cases_say) {
  const auto folder = testing::testdata_root() / "formats" / "safetensors";
  COVE_REQUIRE_TESTDATA(folder);
  const json::value cases = parse_json(read_file(folder / "cases.json").value()).value();
  int run = 0;
  for (const json::value& item : find_member(cases, "cases")->as_array()) {
    const std::string name = find_member(item, "file")->as_string().c_str();
    const auto file = MappedFile::open(folder / name);
    ASSERT_TRUE(file.has_value()) << name;
    const auto header = parse_safetensors(file->bytes(), name);
    EXPECT_EQ(header.has_value(), find_member(item, "accept")->as_bool())
        << name << ": " << (header ? "accepted" : header.error().message);
    if (!header) {
      EXPECT_TRUE(header.error().message.starts_with(name + ": ")) << header.error().message;
    }
    ++run;
  }
  EXPECT_EQ(run, 44);
}

}  // namespace
}  // namespace cove
