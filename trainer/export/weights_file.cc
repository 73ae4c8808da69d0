#include "export/weights_file.h"

#include <fstream>

namespace cove::trainer {
namespace {

// Names hold letters, digits, '.' and '_' alone: no escaping is needed.
std::string header_json(const std::vector<NamedTensor>& tensors) {
  std::string header = R"({"__metadata__":{"format":"pt"})";
  int64_t offset = 0;
  for (const NamedTensor& tensor : tensors) {
    header += ",\"" + tensor.name + R"(":{"dtype":"BF16","shape":[)";
    for (int64_t d = 0; d < tensor.value.dim(); ++d)
      header += (d == 0 ? "" : ",") + std::to_string(tensor.value.size(d));
    const int64_t end = offset + tensor.value.numel() * 2;
    header += "],\"data_offsets\":[" + std::to_string(offset) + "," + std::to_string(end) + "]}";
    offset = end;
  }
  header += "}";
  header.append((8 - header.size() % 8) % 8, ' ');
  return header;
}

}  // namespace

Status write_weights(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  const std::string header = header_json(tensors);
  const uint64_t length = header.size();
  out.write(reinterpret_cast<const char*>(&length), sizeof(length));
  out << header;
  for (const NamedTensor& tensor : tensors) {
    if (tensor.value.scalar_type() != torch::kBFloat16 || !tensor.value.is_contiguous()) {
      return invalid_argument(tensor.name + ": must be contiguous bf16");
    }
    out.write(static_cast<const char*>(tensor.value.data_ptr()),
              static_cast<std::streamsize>(tensor.value.numel() * 2));
  }
  out.flush();
  if (!out) return make_error(ErrorCode::kIo, path.string() + ": cannot write");
  return {};
}

}  // namespace cove::trainer
