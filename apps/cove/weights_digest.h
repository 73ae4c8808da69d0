#pragma once
// A digest of a model's weights, all bytes of them: what the audit log names beside the cheap digest of names, sizes
// and headers (engine/loading/digest.h), which a retrained model of the same shape shares. Used by serve and audit
// replay.

#include <cstdint>
#include <filesystem>
#include <stop_token>
#include <string>

#include "base/result.h"

namespace cove::app {

// "sha256:<hex>" over the names and contents of the .safetensors or .gguf files; "sealed-sha256:<hex>" of an encrypted
// model, over its files as they lie on disk: that one changes when its key does. Read once: the result is kept in
// `cache` (a file of ours) until a file's size, time or place changes. Errors: kIo, kNotFound, kCancelled.
Result<std::string> weights_digest(const std::filesystem::path& model, const std::filesystem::path& cache,
                                   const std::stop_token& stop = {});

// Bytes that weights_digest would read.
uint64_t weights_bytes(const std::filesystem::path& model);

// False only when both name the same kind of digest, one that a change of keys does not change, and it differs.
bool may_be_same_weights(const std::string& a, const std::string& b);

}  // namespace cove::app
