#include "base/file.h"

#include <string>
#include <utility>

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

namespace cove {
namespace {

class FileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("cove_file_" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path folder_;
};

TEST_F(FileTest, reads_back_what_was_written) {
  const std::string content("a\0b\n小", 7);
  ASSERT_TRUE(write_file_atomic(folder_ / "x", content).has_value());
  EXPECT_EQ(read_file(folder_ / "x").value(), content);
  ASSERT_TRUE(write_file_atomic(folder_ / "x", "").has_value());
  EXPECT_EQ(read_file(folder_ / "x").value(), "");
}

TEST_F(FileTest, secrets_get_their_mode_and_leave_no_temporary_file) {
  ASSERT_TRUE(write_file_atomic(folder_ / "key", "secret", 0600).has_value());
  struct stat info{};
  ASSERT_EQ(::stat((folder_ / "key").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_), {}), 1);
}

TEST_F(FileTest, errors_name_the_path) {
  const auto missing = read_file(folder_ / "missing");
  ASSERT_FALSE(missing.has_value());
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_NE(missing.error().message.find("missing"), std::string::npos);
  EXPECT_EQ(read_file(folder_).error().code, ErrorCode::kInvalidArgument);
  EXPECT_FALSE(write_file_atomic(folder_ / "no" / "such" / "folder", "x").has_value());
}

TEST_F(FileTest, refuses_to_read_more_than_the_limit) {
  ASSERT_TRUE(write_file_atomic(folder_ / "x", "12345").has_value());
  EXPECT_TRUE(read_file(folder_ / "x", 5).has_value());
  EXPECT_EQ(read_file(folder_ / "x", 4).error().code, ErrorCode::kInvalidArgument);
}

TEST_F(FileTest, maps_a_file_and_survives_moves) {
  ASSERT_TRUE(write_file_atomic(folder_ / "x", "weights").has_value());
  auto mapped = MappedFile::open(folder_ / "x");
  ASSERT_TRUE(mapped.has_value());
  MappedFile moved = std::move(*mapped);
  ASSERT_EQ(moved.bytes().size(), 7U);
  EXPECT_EQ(static_cast<char>(moved.bytes()[6]), 's');
  MappedFile target;
  target = std::move(moved);
  EXPECT_EQ(target.bytes().size(), 7U);
}

TEST_F(FileTest, maps_an_empty_file_and_refuses_a_missing_one) {
  ASSERT_TRUE(write_file_atomic(folder_ / "x", "").has_value());
  EXPECT_TRUE(MappedFile::open(folder_ / "x")->bytes().empty());
  EXPECT_EQ(MappedFile::open(folder_ / "y").error().code, ErrorCode::kNotFound);
  EXPECT_EQ(MappedFile::open(folder_).error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace cove
