#pragma once
// A tokenizer of a model's files, whether they lie in a folder or are encrypted. Called by engine/loading.

#include <memory>

#include "base/file_source.h"
#include "base/result.h"
#include "text/tokenizer/tokenizer.h"

namespace cove::text {

// As Tokenizer::from_path of a folder with these files.
Result<std::unique_ptr<Tokenizer>> tokenizer_from_files(const FileSource& files);

}  // namespace cove::text
