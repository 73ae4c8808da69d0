#include "backends/cpu/dispatch.h"

#include <array>

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

const KernelTable& best_kernels() {
  for (const IsaEntry& entry : isa_entries()) {
    if (entry.runs_here) return entry.kernels();
  }
  return generic::kernels();
}

}  // namespace cove::cpu
