#pragma once
// The tokens that steps draw: parameters to the device, tokens back to the host and on to the next step, and the rows
// that the host draws from their logits. Two steps may be under way. Used by backend.cc.

#include <array>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "backends/cuda/backend/buffers.h"
#include "backends/cuda/backend/step_arrays.h"
#include "backends/cuda/kernels/sample.h"
#include "backends/cuda/runtime/device.h"
#include "compute/backend.h"

namespace cove::cuda {

class DrawnTokens {
 public:
  explicit DrawnTokens(Device& device) : device_(&device) {}

  // Errors: kFailedPrecondition (memory).
  Status take_workspace();
  // A step begins that may draw so many rows. What the step before draws stays where it is or moves along.
  Status begin(size_t rows);
  // Checks input tokens that the step before draws.
  void check_fed(std::span<const int32_t> tokens) const;
  // Device memory, int32 [rows]: of the step before, until this step's own launch has drawn. Null before any has.
  const int32_t* tokens() const { return drawn_ == nullptr ? nullptr : static_cast<const int32_t*>(drawn_->data()); }

  // The step's draws as a launch. Errors: kFailedPrecondition (memory).
  Result<SampleLaunch> add(const SampleArgs& args, StepArrays& arrays);
  // Behind the step's launches: queues the way back and marks the step's end.
  void submit();
  // Waits for the oldest step submitted and fills in its results.
  using ReadBack = std::function<Status(const TensorView&, std::span<std::byte>)>;
  Status wait(const ReadBack& read_back);

  size_t under_way() const { return under_way_; }

 private:
  struct Step {
    SampleArgs args;
    std::vector<SampleRow> rows;
    std::unique_ptr<PinnedBuffer> host;  // int32 [rows]

    bool needs_host() const;
  };
  Status reserve(size_t rows);
  Status collect(const Step& step, const ReadBack& read_back);
  const Step& before() const { return steps_[1 - current_]; }

  Device* device_;
  std::unique_ptr<CudaBuffer> scratch_;
  std::unique_ptr<CudaBuffer> drawn_;
  std::array<Step, 2> steps_;  // in turns
  size_t current_ = 0;         // of steps_: the one that is collected, or would be next
  size_t under_way_ = 0;
  SampleScratch host_scratch_;
  std::vector<float> logits_;  // of a row that the host draws
};

}  // namespace cove::cuda
