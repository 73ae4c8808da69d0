#include "base/machine.h"

#include <fstream>
#include <string>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace cove::machine {
namespace {

// A folder with the few files of / that the probes read.
class FakeRoot : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = std::filesystem::temp_directory_path() / ("cove_machine_" + std::to_string(::getpid()));
    std::filesystem::create_directories(root_);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  void write(const std::string& path, const std::string& text) {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  std::filesystem::path root_;
};

TEST_F(FakeRoot, counts_threads_and_cores) {
  std::string text;
  for (int i = 0; i < 4; ++i) {
    text += "processor\t: " + std::to_string(i) +
            "\nmodel name\t: Test CPU @ 3.0GHz\nphysical id\t: 0\ncore id\t\t: " + std::to_string(i / 2) +
            "\nflags\t\t: fpu avx2 fma avx512_vnni made_up\n\n";
  }
  write("proc/cpuinfo", text);
  write("sys/fs/cgroup/cpu.max", "150000 100000\n");
  const CpuInfo cpu = probe_cpu(root_);
  EXPECT_EQ(cpu.model, "Test CPU @ 3.0GHz");
  EXPECT_EQ(cpu.threads, 4);
  EXPECT_EQ(cpu.cores, 2);
  EXPECT_DOUBLE_EQ(cpu.cgroup_cpus, 1.5);
  EXPECT_EQ(cpu.features, (std::vector<std::string>{"avx2", "fma", "avx512_vnni"}));
}

TEST_F(FakeRoot, reads_an_arm_processor) {
  write("proc/cpuinfo",
        "processor\t: 0\nFeatures\t: fp asimd asimddp\n\nprocessor\t: 1\nFeatures\t: fp asimd asimddp\n\nModel\t\t: "
        "Raspberry Pi 5\n");
  write("sys/fs/cgroup/cpu.max", "max 100000\n");
  const CpuInfo cpu = probe_cpu(root_);
  EXPECT_EQ(cpu.model, "Raspberry Pi 5");
  EXPECT_EQ(cpu.cores, 2);
  EXPECT_DOUBLE_EQ(cpu.cgroup_cpus, 0);
  EXPECT_EQ(cpu.features, (std::vector<std::string>{"asimd", "asimddp"}));
}

TEST_F(FakeRoot, memory_is_bounded_by_the_control_group) {
  write("proc/meminfo", "MemTotal:       16384 kB\nMemFree:  1 kB\nMemAvailable:    8192 kB\n");
  EXPECT_EQ(probe_memory(root_).usable_bytes(), 16384 * 1024);
  write("sys/fs/cgroup/memory.max", "max\n");
  EXPECT_EQ(probe_memory(root_).cgroup_max_bytes, 0);
  write("sys/fs/cgroup/memory.max", "4194304\n");
  EXPECT_EQ(probe_memory(root_).usable_bytes(), 4194304);
  EXPECT_EQ(probe_memory(root_).available_bytes, 8192 * 1024);
}

TEST_F(FakeRoot, missing_files_leave_zeros) {
  const CpuInfo cpu = probe_cpu(root_ / "nothing");
  EXPECT_EQ(cpu.threads, 0);
  EXPECT_TRUE(cpu.features.empty());
  EXPECT_EQ(probe_memory(root_ / "nothing").usable_bytes(), 0);
  EXPECT_EQ(probe_system(root_ / "nothing").name, "");
}

TEST_F(FakeRoot, names_the_system) {
  write("etc/os-release", "NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n");
  EXPECT_EQ(probe_system(root_).name, "Debian GNU/Linux 12 (bookworm)");
}

TEST_F(FakeRoot, disk_of_a_folder_to_come_is_that_of_its_parent) {
  const DiskInfo disk = probe_disk(root_ / "not" / "yet" / "there");
  EXPECT_EQ(disk.path, root_.string());
  EXPECT_GT(disk.total_bytes, 0);
}

TEST_F(FakeRoot, finds_only_executable_programs) {
  write("a/tool", "text");
  write("b/tool", "#!/bin/sh\n");
  std::filesystem::permissions(root_ / "b/tool", std::filesystem::perms::owner_all);
  const std::string path = (root_ / "a").string() + ":" + (root_ / "missing").string() + "::" + (root_ / "b").string();
  EXPECT_EQ(find_program("tool", path), root_ / "b/tool");
  EXPECT_EQ(find_program("other", path), "");
  EXPECT_EQ(find_program("tool", ""), "");
}

TEST(Machine, this_machine_has_a_processor_and_memory) {
  EXPECT_GT(probe_cpu().threads, 0);
  EXPECT_GT(probe_cpu().threads_allowed, 0);
  EXPECT_GT(probe_memory().usable_bytes(), 0);
  EXPECT_NE(probe_limits().files_soft, 0);
  EXPECT_FALSE(probe_system().libc.empty());
}

TEST(Machine, sees_a_taken_port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  ASSERT_EQ(::inet_pton(AF_INET, "127.0.0.1", &address.sin_addr), 1);
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  ASSERT_EQ(::listen(fd, 1), 0);
  socklen_t size = sizeof(address);
  ASSERT_EQ(::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size), 0);
  const uint16_t port = ntohs(address.sin_port);
  EXPECT_FALSE(port_is_free("127.0.0.1", port));
  ::close(fd);
  EXPECT_TRUE(port_is_free("127.0.0.1", port));
  EXPECT_FALSE(port_is_free("not an address", port));
}

TEST(Machine, a_missing_socket_does_not_answer) {
  EXPECT_FALSE(socket_answers("/nonexistent/socket"));
  EXPECT_FALSE(socket_answers(std::string(500, 'x')));
}

TEST(Machine, compares_versions_by_number) {
  EXPECT_TRUE(version_at_least("2.36", "2.4"));
  EXPECT_TRUE(version_at_least("6.1.0-18-amd64", "5.10"));
  EXPECT_FALSE(version_at_least("5.4.0", "5.10"));
  EXPECT_TRUE(version_at_least("12.1", "12.1"));
  EXPECT_FALSE(version_at_least("", "1"));
}

}  // namespace
}  // namespace cove::machine
