#pragma once
// Tokenizer, chat template and special tokens of a model, from a directory's JSON files or GGUF metadata. Internal to
// loading/.

#include <memory>

#include "base/file_source.h"
#include "base/result.h"
#include "engine/loading/model_files.h"
#include "tensor/io/gguf.h"
#include "text/tokenizer/tokenizer.h"

namespace cove::engine {

Result<std::unique_ptr<text::Tokenizer>> tokenizer_from_gguf(const GgufMetadata& metadata);
Result<ChatTemplateSource> chat_template_from_gguf(const GgufMetadata& metadata);
// chat_template.jinja, else tokenizer_config.json's chat_template (its "default" one when there are several), else
// chat_template.json.
Result<ChatTemplateSource> chat_template_from_files(const FileSource& files);

}  // namespace cove::engine
