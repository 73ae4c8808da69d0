#include "house_rules.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <tuple>

namespace cove::house {
namespace {

constexpr int kLinesMax = 600;

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

std::string_view trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

std::vector<std::string> split_words(std::string_view text) {
  std::istringstream in{std::string(text)};
  return {std::istream_iterator<std::string>(in), {}};
}

bool is_under(std::string_view path, std::string_view folder) {
  return path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
}

bool contains(const std::vector<std::string>& list, std::string_view what) {
  return std::find(list.begin(), list.end(), what) != list.end();
}

bool is_test_only(std::string_view path) {
  for (const std::string_view ending :
       {"_test.cc", "_bench.cc", "_fuzz.cc", "_testing.h", "_testing.cc", "base/testing.h"}) {
    if (path.ends_with(ending)) return true;
  }
  return is_under(path, "tests") || path.find("/conformance/") != std::string_view::npos ||
         path.find("/testing/") != std::string_view::npos;
}

struct Include {
  std::string_view target;
  bool quoted = false;
};

std::optional<Include> parse_include(std::string_view line) {
  line = trim(line);
  if (!line.starts_with('#')) return std::nullopt;
  line = trim(line.substr(1));
  if (!line.starts_with("include")) return std::nullopt;
  line = trim(line.substr(7));
  if (line.size() < 2 || (line[0] != '"' && line[0] != '<')) return std::nullopt;
  const size_t end = line.find(line[0] == '"' ? '"' : '>', 1);
  if (end == std::string_view::npos) return std::nullopt;
  return Include{line.substr(1, end - 1), line[0] == '"'};
}

// A header (by the beginning of its path) that only some folders may include, and why.
struct Room {
  std::string_view header;
  std::vector<std::string_view> folders;
  std::string_view why;
};

const std::vector<Room>& rooms() {
  static const std::vector<Room> kRooms = {
      {"cuda", {"src/backends/cuda", "tests/gpu"}, "CUDA stays in src/backends/cuda"},
      {"cublas", {"src/backends/cuda"}, "CUDA stays in src/backends/cuda"},
      {"nvml", {"src/backends/cuda"}, "NVML is loaded at run time; no header of it is needed"},
      {"torch/", {"trainer"}, "LibTorch stays in trainer/"},
      {"ATen/", {"trainer"}, "LibTorch stays in trainer/"},
      {"c10/", {"trainer"}, "LibTorch stays in trainer/"},
      {"boost/asio", {"src/server", "apps/cove/bench_url.cc"}, "Asio stays in src/server"},
      {"boost/beast", {"src/server", "apps/cove/bench_url.cc"}, "Beast stays in src/server"},
      {"CLI/", {"apps/cove/flags.cc", "trainer"}, "flags go through apps/cove/flags.h"},
      {"spdlog/", {"src/base"}, "logging goes through base/log.h"},
      {"sqlite3.h", {"src/storage"}, "SQL stays in src/storage"},
      {"curl/", {"src/services/outbound"}, "requests to other machines go through services/outbound"},
      {"hs/", {"src/services/plugins/words"}, "Hyperscan stays in src/services/plugins/words"},
      {"lua.h", {"src/services/plugins/lua"}, "Lua stays in src/services/plugins/lua"},
      {"dlfcn.h",
       {"src/services/plugins/native", "src/backends/cuda", "src/base/nvml.cc"},
       "loading code at run time is kept in few places"},
      {"pcre2.h", {"src/text"}, "PCRE2 stays in src/text"},
  };
  return kRooms;
}

void check_rooms(std::string_view path, int line, const Include& include, std::vector<Finding>& findings) {
  for (const Room& room : rooms()) {
    if (include.quoted || !include.target.starts_with(room.header)) continue;
    const bool allowed = std::any_of(room.folders.begin(), room.folders.end(),
                                     [&](std::string_view folder) { return is_under(path, folder); });
    if (!allowed) {
      findings.push_back(
          {std::string(path), line, "includes <" + std::string(include.target) + ">: " + std::string(room.why)});
    }
  }
  const bool is_gtest = include.target.starts_with("gtest/") || include.target.starts_with("gmock/") ||
                        include.target == "base/testing.h";
  if (is_gtest && !is_test_only(path)) {
    findings.push_back({std::string(path), line, "includes a test header but is no test"});
  }
}

void check_layer(std::string_view path, int line, const Include& include, const Layers& layers,
                 std::vector<Finding>& findings) {
  const std::string own = layer_of(path, layers);
  if (own.empty() || !include.quoted) return;
  const std::string target = layer_of("src/" + std::string(include.target), layers);
  if (target.empty() || target == own) return;
  const std::vector<std::string>& allowed = layers.find(own)->second;
  // A layer may use its own sub-layers (engine uses engine/api); a row that names a layer does not name its sub-layers.
  if (contains(allowed, target) || is_under(target, own)) return;
  findings.push_back({std::string(path), line,
                      "includes \"" + std::string(include.target) + "\": " + own + " may not use " + target +
                          " (see the layers block of ARCHITECTURE.md)"});
}

// Backends choose by instruction set; LibTorch's versions differ in one file, and the program without it in another.
bool may_be_conditional(std::string_view path) {
  return is_under(path, "src/backends") || path == "trainer/student/torch_compat.h" || path == "trainer/cmd/main.cc" ||
         is_test_only(path);
}

// Kernel bodies that each ISA includes into its own namespace.
bool is_body(std::string_view path) { return path.find("/isa/") != std::string_view::npos; }

void check_line(std::string_view path, int number, std::string_view line, std::vector<Finding>& findings) {
  const std::string_view code = trim(line);
  if (code.starts_with('#') && !may_be_conditional(path)) {
    const std::string_view word = trim(code.substr(1));
    if (word.starts_with("if") || word.starts_with("elif")) {
      findings.push_back({std::string(path), number, "conditional compilation stands in src/backends only"});
    }
  }
  if (path.ends_with(".h") && code.starts_with("using namespace")) {
    findings.push_back({std::string(path), number, "a header has no using-namespace"});
  }
}

bool may_be_long(std::string_view path) {
  return path.find("/kernels/") != std::string_view::npos || path.find("/isa/") != std::string_view::npos;
}

std::string read_text(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

bool is_cpp(std::string_view path) {
  for (const std::string_view ending : {".cc", ".h", ".cu", ".cuh"}) {
    if (path.ends_with(ending)) return true;
  }
  return false;
}

bool is_text(const std::filesystem::path& path) {
  constexpr std::array kEndings = {".cc", ".h",    ".cu",  ".cuh", ".md",  ".txt", ".cmake", ".sh", ".js",
                                   ".py", ".html", ".css", ".def", ".mjs", ".ts",  ".yaml",  ".yml"};
  const std::string name = path.filename().string();
  return std::find(kEndings.begin(), kEndings.end(), path.extension().string()) != kEndings.end() ||
         name == "Makefile" || name == "run";
}

bool is_ours(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  if (name.starts_with('.') && name != ".ci") return false;
  return name != "build" && name != "node_modules" && name != "data" && name != "models" && name != "corpus" &&
         name != "golden" && name != "goldens" && name != "LICENSE" && name != "licenses";
}

bool is_word_byte(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

bool has_word(std::string_view line, std::string_view word) {
  for (size_t at = line.find(word); at != std::string_view::npos; at = line.find(word, at + 1)) {
    const bool begins = at == 0 || !is_word_byte(line[at - 1]);
    const bool ends = at + word.size() == line.size() || !is_word_byte(line[at + word.size()]);
    if (begins && ends) return true;
  }
  return false;
}

void check_folders(const std::filesystem::path& root, const Layers& layers, std::vector<Finding>& findings) {
  if (!std::filesystem::is_directory(root / "src")) return;
  for (const auto& entry : std::filesystem::directory_iterator(root / "src")) {
    const std::string name = entry.path().filename().string();
    if (entry.is_directory() && !layers.contains(name)) {
      findings.push_back({"src/" + name, 0, "the layers block of ARCHITECTURE.md has no row for this folder"});
    }
  }
}

}  // namespace

Layers parse_layers(std::string_view architecture, std::vector<Finding>& findings) {
  Layers layers;
  const std::vector<std::string_view> lines = split_lines(architecture);
  const auto heading =
      std::find_if(lines.begin(), lines.end(), [](auto line) { return line.starts_with("## Layers"); });
  for (auto at = heading; at != lines.end(); ++at) {
    if (at != heading && at->starts_with("## ")) break;
    const size_t arrow = at->find("->");
    if (arrow == std::string_view::npos || !at->starts_with("    ")) continue;
    const int number = static_cast<int>(at - lines.begin()) + 1;
    const std::vector<std::string> names = split_words(at->substr(0, arrow));
    if (names.size() != 1 || layers.contains(names[0])) {
      findings.push_back({"ARCHITECTURE.md", number, "a row of the layers block is NAME -> NAMES, each NAME once"});
      continue;
    }
    std::vector<std::string> allowed = split_words(at->substr(arrow + 2));
    for (const std::string& name : allowed) {
      if (!layers.contains(name)) {
        findings.push_back({"ARCHITECTURE.md", number, names[0] + " needs " + name + ", which no row above explains"});
      }
    }
    layers.emplace(names[0], std::move(allowed));
  }
  if (layers.empty()) findings.push_back({"ARCHITECTURE.md", 0, "has no layers block under '## Layers'"});
  return layers;
}

std::string layer_of(std::string_view path, const Layers& layers) {
  if (path.starts_with("src/")) path.remove_prefix(4);
  std::string best;
  for (const auto& [name, allowed] : layers) {
    if (is_under(path, name) && name.size() > best.size()) best = name;
  }
  return best;
}

void check_source(std::string_view path, std::string_view text, const Layers& layers, std::vector<Finding>& findings) {
  const std::vector<std::string_view> lines = split_lines(text);
  if (path.ends_with(".h") && !is_body(path) && (lines.empty() || lines[0] != "#pragma once")) {
    findings.push_back({std::string(path), 1, "a header begins with #pragma once"});
  }
  if (std::ssize(lines) > kLinesMax && !may_be_long(path)) {
    findings.push_back(
        {std::string(path), 0,
         std::to_string(lines.size()) + " lines; a file holds one idea in at most " + std::to_string(kLinesMax)});
  }
  for (size_t i = 0; i < lines.size(); ++i) {
    const int number = static_cast<int>(i) + 1;
    check_line(path, number, lines[i], findings);
    const std::optional<Include> include = parse_include(lines[i]);
    if (!include) continue;
    check_rooms(path, number, *include, findings);
    check_layer(path, number, *include, layers, findings);
  }
}

void check_words(std::string_view path, std::string_view text, std::vector<Finding>& findings) {
  // Written in halves, so that this file passes its own check.
  static const std::array<std::string, 2> kNotes = {std::string("TO") + "DO", std::string("FIX") + "ME"};
  static const std::array<std::string, 4> kPaths = {std::string("/ho") + "me/", std::string("/ro") + "ot/",
                                                    std::string("/Us") + "ers/", std::string("/wo") + "rk/"};
  const std::vector<std::string_view> lines = split_lines(text);
  for (size_t i = 0; i < lines.size(); ++i) {
    const int number = static_cast<int>(i) + 1;
    for (const std::string& note : kNotes) {
      if (has_word(lines[i], note))
        findings.push_back({std::string(path), number, "a note to self: finish it or open an issue"});
    }
    for (const std::string& folder : kPaths) {
      const size_t at = lines[i].find(folder);
      if (at == std::string_view::npos || (at > 0 && (is_word_byte(lines[i][at - 1]) || lines[i][at - 1] == '.')))
        continue;
      findings.push_back({std::string(path), number, "a path of somebody's machine: " + folder});
    }
  }
}

std::vector<Finding> check_tree(const std::filesystem::path& root) {
  std::vector<Finding> findings;
  const Layers layers = parse_layers(read_text(root / "ARCHITECTURE.md"), findings);
  check_folders(root, layers, findings);
  auto options = std::filesystem::directory_options::skip_permission_denied;
  std::filesystem::recursive_directory_iterator walk(root, options);
  for (const auto& entry : walk) {
    if (!is_ours(entry.path())) {
      walk.disable_recursion_pending();
      continue;
    }
    if (!entry.is_regular_file() || !is_text(entry.path())) continue;
    const std::string path = entry.path().lexically_relative(root).generic_string();
    const std::string text = read_text(entry.path());
    check_words(path, text, findings);
    if (is_cpp(path)) check_source(path, text, layers, findings);
  }
  std::sort(findings.begin(), findings.end(),
            [](const Finding& a, const Finding& b) { return std::tie(a.file, a.line) < std::tie(b.file, b.line); });
  return findings;
}

}  // namespace cove::house
