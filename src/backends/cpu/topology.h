#pragma once
// Which processors this process should compute on. Used when a backend is made.

#include <filesystem>
#include <vector>

namespace cove::cpu {

// One logical processor of each physical core in `allowed`, ascending; at most `quota` of them when quota > 0 (a
// control group's CPU limit; rounded up, at least one). `root` is "/" or a folder with the same files (tests).
std::vector<int> pick_processors(const std::vector<int>& allowed, double quota,
                                 const std::filesystem::path& root = "/");

// pick_processors of this process: its affinity and its control group.
std::vector<int> processors_to_use();

}  // namespace cove::cpu
