#pragma once
// A step as a list of launches that can be compared with another's and run: at once, or recorded as a graph when the
// same list comes again.

#include <cstdint>
#include <memory>
#include <variant>
#include <vector>

#include "backends/cuda/hopper/hopper.h"
#include "backends/cuda/kernels/attention.h"
#include "backends/cuda/kernels/linear.h"
#include "backends/cuda/kernels/rows.h"
#include "backends/cuda/kernels/sample.h"
#include "backends/cuda/plan/linear_plan.h"
#include "backends/cuda/runtime/device.h"

namespace cove::cuda {

struct LinearWork {
  LinearPath path = LinearPath::kSkinny;
  LinearLaunch launch{};
  void* unpacked = nullptr;            // bf16 weights; kUnpackGemm and kUnpackHopper
  hopper::GemmArgs gemm{};             // kHopper, kUnpackHopper, kHopper8
  hopper::PanelGemmArgs panels{};      // kHopperPanels
  hopper::QuantizeArgs activations{};  // kHopper8; x is null where the norm before has rounded already
  bool operator==(const LinearWork&) const = default;
};

using Work = std::variant<EmbedLaunch, RmsNormLaunch, LinearWork, TurnsLaunch, RopeKvLaunch, AttentionLaunch,
                          DecodeAttentionLaunch, UnpackPagesLaunch, hopper::PrefillArgs, GatherLaunch, SampleLaunch>;

// Null, or the error's text.
const char* run_work(const Work& work, void* stream);

// Recorded steps, the least recently used one forgotten when there are too many.
class GraphCache {
 public:
  explicit GraphCache(Device& device) : device_(&device) {}

  // Queues the list: as it is when it is new, from its second time on as a graph.
  void run(const std::vector<Work>& list);
  void clear() { entries_.clear(); }

  int64_t recorded() const { return recorded_; }
  int64_t replayed() const { return replayed_; }

 private:
  static constexpr size_t kEntriesMax = 96;
  struct Entry {
    std::vector<Work> list;
    std::unique_ptr<Graph> graph;  // null until the second time
    bool cannot = false;           // recording failed: run as it is
    uint64_t used = 0;
  };
  Entry* find(const std::vector<Work>& list);

  Device* device_;
  std::vector<Entry> entries_;
  uint64_t clock_ = 0;
  int64_t recorded_ = 0;
  int64_t replayed_ = 0;
};

// Queues every launch of the list and tells the device of errors.
void run_list(const std::vector<Work>& list, Device& device);

}  // namespace cove::cuda
