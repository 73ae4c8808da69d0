#pragma once
// The head of a log: which line is the last, and its hash. Kept elsewhere it proves later that nothing before it was
// changed and that the log was not cut off before it.

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "services/audit/keys.h"

namespace cove::audit {

struct Head {
  std::string log_id;
  uint64_t sequence = 0;
  Hash hash{};
  std::string time;  // when the head was read
};

// One line of JSON, without newline.
std::string to_json(const Head& head);
// One head a line; empty lines are left out. Errors: kInvalidArgument naming the line.
Result<std::vector<Head>> parse_heads(std::string_view text);
// Of the log in `dir`; works while a server writes it. Errors: kNotFound when there is none, kDataCorrupt.
Result<Head> read_head(const std::filesystem::path& dir, int64_t now_ns);

}  // namespace cove::audit
