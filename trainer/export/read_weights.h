#pragma once
// Begins a student with the weights of a Hugging Face model directory, for `cove-train fit --from`. Apart from
// weights_file.h because it needs Cove's tensor layer, which a bare GPU machine does not build.

#include <filesystem>

#include "base/result.h"
#include "student/student.h"

namespace cove::trainer {

// `path` is a .safetensors file or a directory of them, in any float-like format. Errors: those of the file; a tensor
// that is missing or has another shape than the student's, by name.
Status read_weights(const std::filesystem::path& path, Student& student);

}  // namespace cove::trainer
