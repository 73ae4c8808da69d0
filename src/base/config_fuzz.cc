// Any text as cove.yaml: refused or read, never a crash; what was read answers for every key.
#include "base/config.h"

namespace {

constexpr cove::ConfigKey kSchema[] = {
#define COVE_CONFIG(path, type, initial, range, available, help) \
  {path, cove::ConfigType::type, initial, range, available, help},
#include "../api/config.def"
#undef COVE_CONFIG
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  const auto config = cove::Config::load(
      kSchema,
      {.yaml = {reinterpret_cast<const char*>(data), bytes}, .yaml_name = "cove.yaml", .environment = {}, .flags = {}});
  if (!config) return 0;
  for (const cove::Config& item : config->maps("plugins")) {
    (void)item.string("name");
    (void)item.list("stages");
    (void)item.integer("timeout_ms");
  }
  return 0;
}
