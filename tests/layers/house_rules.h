#pragma once
// The house rules that a compiler does not check: which layer may include which, where heavy and conditional code may
// stand, how long a file may be. Used by check_house.cc (a ctest entry and `make check`) and by house_rules_test.cc.

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace cove::house {

struct Finding {
  std::string file;  // relative to the tree's root
  int line = 0;      // 1-based; 0 = the file as a whole
  std::string message;
};

// What each layer may include besides itself; keys and values as written in ARCHITECTURE.md ("engine/api" is a layer of
// its own).
using Layers = std::map<std::string, std::vector<std::string>, std::less<>>;

// Reads the block of "name -> a b c" lines under the heading "## Layers". Reports lines that cannot be read, names that
// no row explains, and a row that needs a row below it (so that the block cannot hold a cycle).
Layers parse_layers(std::string_view architecture, std::vector<Finding>& findings);

// The row a path under src/ or trainer/ belongs to: the longest one that is the path or a folder above it; empty when
// none is.
std::string layer_of(std::string_view path, const Layers& layers);

// Rules for one C++ file; `path` is relative to the root ("src/text/bpe.cc").
void check_source(std::string_view path, std::string_view text, const Layers& layers, std::vector<Finding>& findings);

// Rules for every text file: no notes to self, no paths of somebody's machine.
void check_words(std::string_view path, std::string_view text, std::vector<Finding>& findings);

// Everything above for the tree at `root`. A missing or empty ARCHITECTURE.md is a finding.
std::vector<Finding> check_tree(const std::filesystem::path& root);

}  // namespace cove::house
