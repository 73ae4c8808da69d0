// Proof that no code compiled for one instruction set can be linked for another machine: every symbol that the per-ISA
// objects define belongs to their own namespace. A std template or inline function of a header, emitted there, would be
// a weak symbol that the linker may keep for all callers, with AVX-512 in it.
#include <array>
#include <cstdio>
#include <memory>
#include <set>
#include <string>

#include <gtest/gtest.h>

namespace cove::cpu {
namespace {

// Lines of a command's output.
std::vector<std::string> lines_of(const std::string& command) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  std::vector<std::string> lines;
  std::array<char, 8192> line{};
  while (pipe != nullptr && std::fgets(line.data(), line.size(), pipe.get()) != nullptr) {
    std::string text = line.data();
    while (!text.empty() && text.back() == '\n') text.pop_back();
    lines.push_back(std::move(text));
  }
  return lines;
}

// Names that a sanitizer's instrumentation adds; they hold no code of ours.
bool is_instrumentation(const std::string& name) {
  return name.starts_with("__odr_asan") || name.starts_with("DW.ref.") || name.starts_with("_sub_I") ||
         name.starts_with("asan.");
}

TEST(IsaObjects, define_only_symbols_of_their_own_namespace) {
  std::set<std::string> objects;
  std::string object;
  int symbols = 0;
  for (const std::string& line : lines_of("nm -C --defined-only " COVE_BACKENDS_ARCHIVE)) {
    if (line.ends_with(".o:")) {
      object = line.substr(0, line.size() - 1);
      continue;
    }
    const bool is_isa = object.starts_with("avx") || object.starts_with("generic") || object.starts_with("neon");
    if (!is_isa || line.size() < 20) continue;
    const char kind = line[17];
    const std::string name = line.substr(19);
    // Lower case is local to the object (v, w and u are not): the linker cannot give it to anybody else.
    const bool is_shared = std::string_view("TDRBVWvwuC").find(kind) != std::string_view::npos;
    if (!is_shared || is_instrumentation(name)) continue;
    const std::string isa = object.substr(0, object.find('.'));
    EXPECT_TRUE(name.starts_with("cove::cpu::" + isa + "::")) << object << " defines " << kind << " " << name;
    objects.insert(object);
    ++symbols;
  }
  EXPECT_GE(objects.size(), 2U) << "no per-ISA objects seen in " COVE_BACKENDS_ARCHIVE;
  EXPECT_GE(symbols, 2);
}

}  // namespace
}  // namespace cove::cpu
