// Any text as a script: it may fail, but not crash, not take more memory than it may, and not take long.
#include <chrono>
#include <cstdlib>

#include "services/plugins/lua/sandbox.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  using namespace cove::plugins;
  if (bytes > 4096) return 0;
  constexpr SandboxLimits kLimits{
      .memory_bytes = size_t{1} << 20, .instructions_max = 100'000, .timeout = std::chrono::milliseconds(200)};
  const auto sandbox = Sandbox::create(kLimits);
  if (!sandbox) std::abort();
  const auto code = (*sandbox)->compile({reinterpret_cast<const char*>(data), bytes}, "fuzz");
  if (!code) return 0;
  const auto begin = std::chrono::steady_clock::now();
  (void)(*sandbox)->run(*code, "fuzz");
  if ((*sandbox)->memory_used() > kLimits.memory_bytes) std::abort();
  if (std::chrono::steady_clock::now() - begin > std::chrono::seconds(20)) std::abort();
  return 0;
}
