#pragma once
// Writes the trained weights as model.safetensors with Hugging Face's names, bf16. Needs nothing but LibTorch, so that
// it also runs on a bare GPU machine; the rest of the model directory is written by `cove-train export`.

#include <filesystem>
#include <vector>

#include "base/result.h"
#include "student/student.h"

namespace cove::trainer {

Status write_weights(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors);

}  // namespace cove::trainer
