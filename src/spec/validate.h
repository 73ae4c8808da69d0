#pragma once
// Whether a ModelSpec can be a model at all, whatever it was read from. Last step of every family's parser.

#include "base/result.h"
#include "spec/model_spec.h"

namespace cove {

// Limits far above every published model, so that products of sizes cannot overflow and absurd files are named as such.
struct SpecLimits {
  static constexpr int64_t kHiddenMax = 1 << 18;
  static constexpr int64_t kVocabMax = 1 << 24;
  static constexpr int64_t kContextMax = 1 << 30;
  static constexpr int64_t kLayersMax = 2048;
  static constexpr int64_t kHeadsMax = 4096;
  static constexpr int64_t kHeadDimMax = 1024;
  static constexpr int64_t kFfnMax = 1 << 22;
};

// Errors: kDataCorrupt naming the property, its value and what it must be.
Status validate_spec(const ModelSpec& spec);

}  // namespace cove
