#include "tensor/io/gguf.h"
#include "tensor/io/mapped_weights.h"

namespace cove {

Result<std::unique_ptr<GgufFile>> GgufFile::open(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  TRY_ASSIGN(MappedFile mapped, MappedFile::open(path));
  std::unique_ptr<GgufFile> file(new GgufFile);
  file->file_bytes_ = mapped.bytes().size();
  TRY_ASSIGN(file->header_, parse_gguf(mapped.bytes(), name));
  TRY(check_gguf_data(file->header_, file->file_bytes_, name));
  file->metadata_ = GgufMetadata(file->header_);
  auto weights = std::make_unique<MappedWeights>();
  TRY(weights->add(name, std::move(mapped), file->header_.tensors));
  file->weights_ = std::move(weights);
  return file;
}

}  // namespace cove
