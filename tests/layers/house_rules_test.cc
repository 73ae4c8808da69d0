#include "house_rules.h"

#include <fstream>
#include <string>

#include <gtest/gtest.h>
#include <unistd.h>

namespace cove::house {
namespace {

constexpr std::string_view kArchitecture =
    "# A\n\n## Layers\n\n    base       ->\n    text       -> base\n    engine/api -> base\n    engine     -> base "
    "text\n"
    "    server     -> base text engine/api\n\n## Next\n    x -> y\n";

Layers layers() {
  std::vector<Finding> findings;
  Layers parsed = parse_layers(kArchitecture, findings);
  EXPECT_TRUE(findings.empty());
  return parsed;
}

std::vector<Finding> findings_of(std::string_view path, std::string_view text) {
  std::vector<Finding> findings;
  check_source(path, text, layers(), findings);
  check_words(path, text, findings);
  return findings;
}

TEST(HouseRules, reads_the_layers_block_and_stops_at_the_next_heading) {
  const Layers parsed = layers();
  EXPECT_EQ(parsed.size(), 5U);
  EXPECT_EQ(parsed.find("server")->second, (std::vector<std::string>{"base", "text", "engine/api"}));
}

TEST(HouseRules, refuses_a_row_that_needs_a_row_below) {
  std::vector<Finding> findings;
  parse_layers("## Layers\n    base -> text\n    text -> base\n", findings);
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].line, 2);
}

TEST(HouseRules, refuses_a_page_without_a_block) {
  std::vector<Finding> findings;
  parse_layers("# nothing here\n", findings);
  EXPECT_EQ(findings.size(), 1U);
}

TEST(HouseRules, finds_the_innermost_layer) {
  EXPECT_EQ(layer_of("src/engine/api/engine.h", layers()), "engine/api");
  EXPECT_EQ(layer_of("src/engine/apiary.h", layers()), "engine");
  EXPECT_EQ(layer_of("apps/cove/main.cc", layers()), "");
}

TEST(HouseRules, accepts_what_the_block_allows) {
  EXPECT_TRUE(findings_of("src/server/a.cc", "#include \"engine/api/engine.h\"\n#include \"text/t.h\"\n").empty());
  EXPECT_TRUE(findings_of("src/engine/a.cc", "#include \"engine/api/engine.h\"\n#include <vector>\n").empty());
  EXPECT_TRUE(findings_of("apps/cove/a.cc", "#include \"engine/run.h\"\n").empty());
}

TEST(HouseRules, refuses_an_upward_include) {
  const auto findings = findings_of("src/text/a.cc", "// x\n#include \"server/http.h\"\n");
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].line, 2);
}

TEST(HouseRules, refuses_reaching_past_engine_api) {
  EXPECT_EQ(findings_of("src/server/a.cc", "#include \"engine/scheduler/scheduler.h\"\n").size(), 1U);
  EXPECT_EQ(findings_of("src/engine/api/a.h", "#pragma once\n#include \"text/t.h\"\n").size(), 1U);
}

TEST(HouseRules, refuses_heavy_headers_outside_their_rooms) {
  EXPECT_EQ(findings_of("src/engine/a.cc", "#include <cuda_runtime.h>\n").size(), 1U);
  EXPECT_EQ(findings_of("apps/cove/a.cc", "#include <torch/torch.h>\n").size(), 1U);
  EXPECT_EQ(findings_of("src/text/a.cc", "#include <boost/asio/post.hpp>\n").size(), 1U);
  EXPECT_EQ(findings_of("src/text/a.cc", "#include <gtest/gtest.h>\n").size(), 1U);
  EXPECT_TRUE(findings_of("src/text/a_test.cc", "#include <gtest/gtest.h>\n#include \"base/testing.h\"\n").empty());
  EXPECT_TRUE(findings_of("src/backends/cuda/a.cc", "#include <cuda_runtime.h>\n").empty());
}

TEST(HouseRules, refuses_conditional_code_outside_backends) {
  EXPECT_EQ(findings_of("src/text/a.cc", "#ifdef FAST\n#endif\n").size(), 1U);
  EXPECT_TRUE(findings_of("src/backends/cpu/a.cc", "#if defined(__x86_64__)\n#endif\n").empty());
}

TEST(HouseRules, refuses_headers_that_leak) {
  EXPECT_EQ(findings_of("src/text/a.h", "#ifndef A\n").size(), 2U);
  EXPECT_EQ(findings_of("src/text/a.h", "#pragma once\nusing namespace std;\n").size(), 1U);
}

TEST(HouseRules, refuses_long_files_but_not_long_kernels) {
  std::string text;
  for (int i = 0; i < 601; ++i) text += "int x;\n";
  EXPECT_EQ(findings_of("src/text/a.cc", text).size(), 1U);
  EXPECT_TRUE(findings_of("src/backends/cpu/isa/a.cc", text).empty());
}

TEST(HouseRules, refuses_notes_to_self_and_machine_paths) {
  const std::string note = std::string("// TO") + "DO: later\n";
  const std::string path = std::string("open(\"/ho") + "me/me/x\")\n";
  EXPECT_EQ(findings_of("docs/a.md", note).size(), 1U);
  EXPECT_EQ(findings_of("docs/a.md", path).size(), 1U);
  EXPECT_TRUE(findings_of("docs/a.md", "$HOME/x and METHODOLOGY\n").empty());
}

class BadTree : public ::testing::Test {
 protected:
  void SetUp() override {
    root_ = std::filesystem::temp_directory_path() / ("cove_house_" + std::to_string(::getpid()));
    write("ARCHITECTURE.md", kArchitecture);
    write("src/base/a.h", "#pragma once\n");
  }
  void TearDown() override { std::filesystem::remove_all(root_); }
  void write(const std::string& path, std::string_view text) {
    std::filesystem::create_directories((root_ / path).parent_path());
    std::ofstream(root_ / path) << text;
  }
  std::filesystem::path root_;
};

TEST_F(BadTree, a_clean_tree_passes) { EXPECT_TRUE(check_tree(root_).empty()); }

TEST_F(BadTree, reports_each_broken_rule_with_its_place) {
  write("src/base/b.cc", "#include \"base/a.h\"\n#include \"server/s.h\"\n");
  write("src/attic/c.cc", "int c;\n");
  write("build/dev/d.cc", "#include \"server/s.h\"\n#ifdef X\n");
  const auto findings = check_tree(root_);
  ASSERT_EQ(findings.size(), 2U);
  EXPECT_EQ(findings[0].file, "src/attic");
  EXPECT_EQ(findings[1].file, "src/base/b.cc");
  EXPECT_EQ(findings[1].line, 2);
}

TEST_F(BadTree, misses_the_architecture_page) {
  std::filesystem::remove(root_ / "ARCHITECTURE.md");
  EXPECT_FALSE(check_tree(root_).empty());
}

}  // namespace
}  // namespace cove::house
