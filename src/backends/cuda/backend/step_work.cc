#include "backends/cuda/backend/step_work.h"

#include <algorithm>

namespace cove::cuda {
namespace {

const char* run_linear(const LinearWork& work, void* stream) {
  switch (work.path) {
    case LinearPath::kVector: return launch_vector(work.launch, stream);
    case LinearPath::kSkinny: return launch_skinny(work.launch, stream);
    case LinearPath::kGemm: return launch_gemm(work.launch, stream);
    case LinearPath::kHopper: return hopper::launch_gemm(work.gemm, stream);
    case LinearPath::kHopperPanels: return hopper::launch_panel_gemm(work.panels, stream);
    case LinearPath::kHopper8:
      if (work.activations.x != nullptr) {
        if (const char* error = hopper::launch_quantize_rows(work.activations, stream)) return error;
      }
      return hopper::launch_gemm(work.gemm, stream);
    case LinearPath::kUnpackGemm:
    case LinearPath::kUnpackHopper: break;
  }
  if (const char* error = launch_unpack(work.launch.weight, work.unpacked, stream)) return error;
  if (work.path == LinearPath::kUnpackHopper) return hopper::launch_gemm(work.gemm, stream);
  LinearLaunch unpacked = work.launch;
  unpacked.weight.layout.format = WeightFormat::kBF16;
  unpacked.weight.layout.pitch = unpacked.weight.layout.padded * 2;
  unpacked.weight.layout.group = 0;
  unpacked.weight.weight = work.unpacked;
  return launch_gemm(unpacked, stream);
}

struct Runner {
  void* stream;
  const char* operator()(const EmbedLaunch& args) const { return launch_embed(args, stream); }
  const char* operator()(const RmsNormLaunch& args) const { return launch_rms_norm(args, stream); }
  const char* operator()(const LinearWork& args) const { return run_linear(args, stream); }
  const char* operator()(const TurnsLaunch& args) const { return launch_turns(args, stream); }
  const char* operator()(const RopeKvLaunch& args) const { return launch_rope_kv(args, stream); }
  const char* operator()(const AttentionLaunch& args) const { return launch_attention(args, stream); }
  const char* operator()(const DecodeAttentionLaunch& args) const { return launch_decode_attention(args, stream); }
  const char* operator()(const UnpackPagesLaunch& args) const { return launch_unpack_pages(args, stream); }
  const char* operator()(const hopper::PrefillArgs& args) const {
    return hopper::launch_prefill_attention(args, stream);
  }
  const char* operator()(const GatherLaunch& args) const { return launch_gather(args, stream); }
  const char* operator()(const SampleLaunch& args) const { return launch_sample(args, stream); }
};

}  // namespace

const char* run_work(const Work& work, void* stream) { return std::visit(Runner{stream}, work); }

void run_list(const std::vector<Work>& list, Device& device) {
  for (const Work& work : list) device.note(run_work(work, device.stream()));
}

GraphCache::Entry* GraphCache::find(const std::vector<Work>& list) {
  const auto found =
      std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) { return entry.list == list; });
  return found == entries_.end() ? nullptr : &*found;
}

void GraphCache::run(const std::vector<Work>& list) {
  Entry* entry = find(list);
  if (entry == nullptr) {
    if (entries_.size() == kEntriesMax) {
      entries_.erase(std::min_element(entries_.begin(), entries_.end(),
                                      [](const Entry& a, const Entry& b) { return a.used < b.used; }));
    }
    entries_.push_back({.list = list, .graph = nullptr, .used = ++clock_});
    run_list(list, *device_);
    return;
  }
  entry->used = ++clock_;
  if (entry->graph == nullptr && !entry->cannot) {
    entry->graph = device_->record([device = device_, steps = entry->list] { run_list(steps, *device); });
    entry->cannot = entry->graph == nullptr;
    recorded_ += entry->cannot ? 0 : 1;
  }
  if (entry->graph == nullptr) {
    run_list(list, *device_);
    return;
  }
  device_->run(*entry->graph);
  ++replayed_;
}

}  // namespace cove::cuda
