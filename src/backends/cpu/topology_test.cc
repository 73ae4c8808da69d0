#include "backends/cpu/topology.h"

#include <filesystem>
#include <fstream>
#include <string>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace cove::cpu {
namespace {

// A machine of four processors on two cores: 0 and 2 share one, 1 and 3 the other.
class Topology : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = std::filesystem::path(::testing::TempDir()) /
            fmt::format("cove-topology-{}", ::testing::UnitTest::GetInstance()->random_seed());
    for (int i = 0; i < 4; ++i) {
      const auto folder = root_ / fmt::format("sys/devices/system/cpu/cpu{}/topology", i);
      std::filesystem::create_directories(folder);
      std::ofstream(folder / "thread_siblings_list") << (i % 2 == 0 ? "0,2" : "1,3") << "\n";
    }
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  std::filesystem::path root_;
};

TEST_F(Topology, takes_one_processor_of_each_core) {
  EXPECT_EQ(pick_processors({0, 1, 2, 3}, 0, root_), (std::vector<int>{0, 1}));
}

TEST_F(Topology, keeps_to_the_processors_it_is_allowed) {
  EXPECT_EQ(pick_processors({2, 3}, 0, root_), (std::vector<int>{2, 3}));
  EXPECT_EQ(pick_processors({2}, 0, root_), (std::vector<int>{2}));
}

TEST_F(Topology, keeps_to_the_control_groups_quota) {
  EXPECT_EQ(pick_processors({0, 1, 2, 3}, 1.5, root_), (std::vector<int>{0, 1}));
  EXPECT_EQ(pick_processors({0, 1, 2, 3}, 1.0, root_), (std::vector<int>{0}));
  EXPECT_EQ(pick_processors({0, 1, 2, 3}, 0.2, root_), (std::vector<int>{0}));
}

TEST_F(Topology, takes_every_processor_where_the_kernel_tells_no_siblings) {
  EXPECT_EQ(pick_processors({0, 1, 2}, 0, root_ / "nowhere"), (std::vector<int>{0, 1, 2}));
}

TEST(ProcessorsToUse, finds_at_least_one) { EXPECT_GE(processors_to_use().size(), 1U); }

}  // namespace
}  // namespace cove::cpu
