// Any bytes as config.json and generation_config.json: what is accepted has sizes that can be counted.
#include <cstdlib>

#include "base/json.h"
#include "spec/expected_tensors.h"
#include "spec/families/family.h"
#include "spec/generation_defaults.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto config = cove::parse_json({reinterpret_cast<const char*>(data), size});
  if (!config) return 0;
  (void)cove::parse_generation_config(*config);
  const auto spec = cove::spec_from_config(*config);
  if (!spec) return 0;
  const int64_t parameters = cove::total_parameters(*spec);
  if (parameters <= 0 || cove::active_parameters(*spec) > parameters || cove::kv_elements_per_token(*spec) <= 0) {
    std::abort();
  }
  return 0;
}
