#include "base/secret_memory.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

#include <gtest/gtest.h>

#include "base/file_source.h"

namespace cove {
namespace {

// The flags that the kernel shows for the mapping which holds `address`: "rd wr mr mw me ac dd".
std::string mapping_flags(const void* address) {
  std::ifstream maps("/proc/self/smaps");
  bool inside = false;
  for (std::string line; std::getline(maps, line);) {
    unsigned long begin = 0;
    unsigned long end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2 && line.find('-') < 17) {
      const auto at = reinterpret_cast<unsigned long>(address);
      inside = at >= begin && at < end;
    } else if (inside && line.starts_with("VmFlags:")) {
      return line.substr(8) + " ";
    }
  }
  return "";
}

TEST(SecretMemory, stays_out_of_core_dumps_and_swap) {
  const auto memory = SecretMemory::allocate(1 << 20);
  ASSERT_TRUE(memory);
  memory->bytes()[0] = std::byte{1};
  const std::string flags = mapping_flags(memory->bytes().data());
  EXPECT_NE(flags.find(" dd "), std::string::npos) << flags;
  EXPECT_EQ(flags.find(" lo ") != std::string::npos, memory->locked()) << flags;
}

TEST(SecretMemory, release_wipes_exactly_the_part) {
  const auto memory = SecretMemory::allocate(1 << 20);
  ASSERT_TRUE(memory);
  const auto bytes = memory->bytes();
  std::fill(bytes.begin(), bytes.end(), std::byte{7});
  memory->release(bytes.subspan(1000, 100'000));
  for (size_t i = 0; i < bytes.size(); ++i) {
    ASSERT_EQ(bytes[i], i >= 1000 && i < 101'000 ? std::byte{0} : std::byte{7}) << i;
  }
  memory->release(bytes.first(0));
}

TEST(SecretMemory, refuses_more_than_there_is) {
  const auto memory = SecretMemory::allocate(size_t{1} << 60);
  ASSERT_FALSE(memory);
  EXPECT_EQ(memory.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_TRUE(SecretMemory::allocate(0));
}

TEST(FileBytes, a_mapping_stays_readable_after_release) {
  const DirectoryFiles folder(std::filesystem::path(COVE_SOURCE_DIR) / "src" / "base");
  const auto file = folder.open("config.cc");
  ASSERT_TRUE(file);
  const std::string before(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size());
  file->release(file->bytes());
  EXPECT_EQ(before, *folder.read("config.cc", 1 << 20));
  EXPECT_EQ(std::memcmp(before.data(), file->bytes().data(), before.size()), 0);
  EXPECT_EQ(file->held_bytes(), 0U);
  EXPECT_TRUE(folder.has("config.cc"));
  EXPECT_FALSE(folder.has("no.cc"));
  EXPECT_EQ(folder.read_head("config.cc", 10)->size(), 10U);
  EXPECT_FALSE(folder.read("config.cc", 10));
}

}  // namespace
}  // namespace cove
