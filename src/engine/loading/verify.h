#pragma once
// Reads every byte of a model's weights and looks for what a good file never has. Called by `cove model verify`.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tensor/io/weight_source.h"

namespace cove::engine {

struct WeightFault {
  std::string file;
  std::string tensor;
  uint64_t offset = 0;  // of the first bad value (or block), from the beginning of the file
  std::string what;     // "value 17 is infinite or NaN", "the scale of block 3 is infinite or NaN"
};

struct VerifyReport {
  uint64_t tensors = 0;
  uint64_t bytes = 0;
  std::vector<std::string> unchecked;  // tensors of types whose values Cove cannot decode
  std::vector<WeightFault> faults;     // the first of each bad tensor
};

struct VerifyOptions {
  int threads = 1;
  std::function<void(uint64_t bytes_done)> on_progress;  // from any of the threads, now and then; may be empty
};

VerifyReport verify_weights(const WeightSource& source, const VerifyOptions& options);

}  // namespace cove::engine
