#pragma once
// Checks a whole log folder, offline or while a server writes it: `cove audit verify`.

#include <filesystem>
#include <functional>

#include "services/audit/chain_checker.h"

namespace cove::audit {

struct VerifyOptions {
  std::filesystem::path dir{};
  CheckOptions check{};
  // Called now and then: bytes done and bytes in all.
  std::function<void(uint64_t, uint64_t)> progress{};
};

struct VerifyReport {
  CheckReport check;
  size_t files = 0;
  uint64_t bytes = 0;
};

// Errors: kNotFound when there is no log, kIo, kDataCorrupt when files cannot be put in order. What is wrong inside is
// no error but in the report.
Result<VerifyReport> verify(const VerifyOptions& options);

}  // namespace cove::audit
