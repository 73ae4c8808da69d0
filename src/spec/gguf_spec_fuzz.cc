// Any bytes as a GGUF model: metadata to specification to tensors, as loading does it.
#include <algorithm>
#include <cstdlib>

#include "spec/expected_tensors.h"
#include "spec/families/family.h"
#include "tensor/io/gguf.h"

namespace {

class FuzzedWeights final : public cove::WeightSource {
 public:
  FuzzedWeights(const cove::GgufHeader& header, std::span<const std::byte> file) : header_(header), file_(file) {}
  std::span<const cove::TensorInfo> tensors() const override { return header_.tensors; }
  const cove::TensorInfo* find(std::string_view name) const override {
    const auto found = std::ranges::find(header_.tensors, name, &cove::TensorInfo::name);
    return found == header_.tensors.end() ? nullptr : &*found;
  }
  std::span<const std::byte> data(const cove::TensorInfo& tensor) const override {
    return file_.subspan(tensor.offset, tensor.bytes);
  }

 private:
  const cove::GgufHeader& header_;
  std::span<const std::byte> file_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto file = std::as_bytes(std::span(data, size));
  const auto header = cove::parse_gguf(file, "fuzz.gguf");
  if (!header || !cove::check_gguf_data(*header, size, "fuzz.gguf")) return 0;
  const FuzzedWeights weights(*header, file);
  const auto spec = cove::spec_from_gguf(cove::GgufMetadata(*header), weights);
  if (!spec) return 0;
  const auto names = cove::match_tensors(*spec, weights, cove::Container::kGguf);
  if (!names) return 0;
  for (const auto& [canonical, name] : *names) {
    if (!cove::view_of(weights, *weights.find(name)) && weights.find(name)->bytes > 0) std::abort();
  }
  return 0;
}
