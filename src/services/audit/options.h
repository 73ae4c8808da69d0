#pragma once
// How an audit log is kept; filled by apps/ from audit.* of the configuration.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>

#include "services/audit/record.h"

namespace cove::audit {

enum class OnFailure : uint8_t {
  kRefuse,  // no audit, no service
  kWarn,    // serve on, log it, count what was lost
};

enum class SyncPolicy : uint8_t {
  kAlways,    // every group of lines, before OnDurable
  kInterval,  // every sync_interval
  kNever,     // whenever the operating system likes; at rotation and close all the same
};

struct LogOptions {
  std::filesystem::path dir{};               // the lines, cove-audit.pub
  std::filesystem::path signing_key_file{};  // Ed25519; made (0600) when missing
  std::filesystem::path hash_key_file{};     // HMAC-SHA256; made (0600) when missing
  PromptForm prompts = PromptForm::kHash;
  std::map<std::string, PromptForm, std::less<>> prompts_by_role{};  // instead of `prompts`
  OnFailure on_failure = OnFailure::kRefuse;
  SyncPolicy sync = SyncPolicy::kAlways;
  std::chrono::milliseconds sync_interval{1'000};
  uint64_t file_bytes_max = uint64_t{256} << 20;  // a new file behind it, and every day (UTC)
  uint64_t checkpoint_lines = 1'000;
  std::chrono::milliseconds checkpoint_interval{10'000};  // of lines without one; an idle log writes none
  std::chrono::milliseconds retry_pause{1'000};           // after a failed write
  size_t queue_max = 16'384;                              // records, with what was promised
  size_t queue_bytes_max = size_t{256} << 20;             // texts of queued records; beyond it admit() refuses
  std::function<int64_t()> now_ns{};                      // tests; empty = the system clock
};

}  // namespace cove::audit
