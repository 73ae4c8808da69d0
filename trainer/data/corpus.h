#pragma once
// Plain text beside the tasks: JSON lines with a "text", cut into passages. Read by `cove-train data`.

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"

namespace cove::trainer {

// Every *.jsonl of `dir` in name order; objects without "text" are left out. Passages are at most `bytes_max` long, cut
// at line ends where possible and never inside a character. Errors: kNotFound, kInvalidArgument naming file and line.
Result<std::vector<std::string>> read_corpus(const std::filesystem::path& dir, size_t bytes_max);

}  // namespace cove::trainer
