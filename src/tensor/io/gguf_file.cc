#include "tensor/io/gguf.h"
#include "tensor/io/mapped_weights.h"

namespace cove {

Result<std::unique_ptr<GgufFile>> GgufFile::open(const std::filesystem::path& path) {
  TRY_ASSIGN(MappedFile mapped, MappedFile::open(path));
  return open(FileBytes(std::move(mapped)), path.filename().string());
}

Result<std::unique_ptr<GgufFile>> GgufFile::open(FileBytes content, const std::string& name) {
  std::unique_ptr<GgufFile> file(new GgufFile);
  file->file_bytes_ = content.bytes().size();
  TRY_ASSIGN(file->header_, parse_gguf(content.bytes(), name));
  TRY(check_gguf_data(file->header_, file->file_bytes_, name));
  file->metadata_ = GgufMetadata(file->header_);
  auto weights = std::make_unique<MappedWeights>();
  TRY(weights->add(name, std::move(content), file->header_.tensors));
  file->weights_ = std::move(weights);
  return file;
}

}  // namespace cove
