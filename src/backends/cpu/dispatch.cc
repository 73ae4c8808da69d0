#include "backends/cpu/dispatch.h"

#include <array>

#include <fmt/format.h>

#include "backends/cpu/topology.h"

#if defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

namespace cove::cpu {

// One per isa/*.cc; each file is compiled with its own flags, so nothing of theirs may be called before runs_here is
// known.
namespace generic {
const KernelTable& kernels();
}
#if defined(__x86_64__)
namespace avx2 {
const KernelTable& kernels();
}
namespace avx512 {
const KernelTable& kernels();
}
namespace avx512_bf16 {
const KernelTable& kernels();
}
#elif defined(__aarch64__)
namespace neon_dotprod {
const KernelTable& kernels();
}
#endif

namespace {

#if defined(__x86_64__)
bool has_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
}
bool has_avx512() {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni");
}
bool has_avx512_bf16() { return has_avx512() && __builtin_cpu_supports("avx512bf16"); }
// Intel's vdpbf16ps does as many products a cycle as half its f32 multiply-adds; AMD's does twice as many as those.
bool is_fast(std::string_view isa) { return isa != "avx512_bf16" || !__builtin_cpu_is("intel"); }
#else
bool is_fast(std::string_view) { return true; }
#endif

}  // namespace

std::span<const IsaEntry> isa_entries() {
#if defined(__x86_64__)
  static const std::array<IsaEntry, 4> entries = {{
      {"avx512_bf16", has_avx512_bf16(), avx512_bf16::kernels},
      {"avx512", has_avx512(), avx512::kernels},
      {"avx2", has_avx2(), avx2::kernels},
      {"generic", true, generic::kernels},
  }};
#elif defined(__aarch64__)
  static const std::array<IsaEntry, 2> entries = {{
      {"neon_dotprod", (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0, neon_dotprod::kernels},
      {"generic", true, generic::kernels},
  }};
#else
  static const std::array<IsaEntry, 1> entries = {{{"generic", true, generic::kernels}}};
#endif
  return entries;
}

Result<Choice> choose(const std::string& isa, int threads) {
  if (threads < 0 || threads > 1024) {
    return invalid_argument(fmt::format("threads must be 0 (automatic) to 1024, not {}", threads));
  }
  std::string here;
  const IsaEntry* chosen = nullptr;
  for (const IsaEntry& entry : isa_entries()) {
    if (entry.runs_here) here += here.empty() ? entry.name : fmt::format(", {}", entry.name);
    const bool wanted = isa.empty() ? entry.runs_here && is_fast(entry.name) : entry.name == isa;
    if (wanted && chosen == nullptr) chosen = &entry;
  }
  if (chosen == nullptr) {
    return invalid_argument(fmt::format("there is no instruction set '{}'; here run: {}", isa, here));
  }
  if (!chosen->runs_here) {
    return make_error(ErrorCode::kUnsupported,
                      fmt::format("this processor does not have '{}'; here run: {}", isa, here));
  }
  Choice choice = {.kernels = &chosen->kernels(), .threads = threads, .processors = processors_to_use()};
  if (threads == 0) choice.threads = static_cast<int>(choice.processors.size());
  return choice;
}

}  // namespace cove::cpu
