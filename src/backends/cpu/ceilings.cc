#include "backends/cpu/ceilings.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

#include "backends/cpu/dispatch.h"
#include "backends/cpu/memory.h"
#include "backends/cpu/thread_pool.h"
#include "backends/cpu/topology.h"

namespace cove {
namespace cpu {
namespace {

constexpr int kRepeats = 3;                  // the best counts: a ceiling is what was possible
constexpr int64_t kRoundsPerPart = 200'000;  // under a millisecond
constexpr int64_t kPartsPerThread = 40;
constexpr int64_t kReadPart = int64_t{4} << 20;

double seconds_of(const auto& body) {
  const auto begin = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double best_rate(double amount, const auto& body) {
  double best = 0;
  for (int i = 0; i < kRepeats; ++i) best = std::max(best, amount / seconds_of(body));
  return best / 1e9;
}

double arithmetic_rate(ThreadPool& pool, double (*peak)(int64_t)) {
  if (peak == nullptr) return 0;
  const double operations = peak(1) * kRoundsPerPart * static_cast<double>(kPartsPerThread * pool.threads());
  return best_rate(operations, [&] {
    pool.parallel_for(kPartsPerThread * pool.threads(), 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) peak(kRoundsPerPart);
    });
  });
}

double read_rate(ThreadPool& pool, const KernelTable& kernels, const AlignedBytes& buffer) {
  const auto parts = static_cast<int64_t>(buffer.bytes()) / kReadPart;
  std::atomic<uint64_t> sink{0};
  return best_rate(static_cast<double>(parts * kReadPart), [&] {
    pool.parallel_for(parts, std::max<int64_t>(1, parts / (pool.threads() * 8)), [&](int64_t begin, int64_t end, int) {
      sink += kernels.read(buffer.data() + begin * kReadPart, (end - begin) * kReadPart);
    });
  });
}

}  // namespace
}  // namespace cpu

Result<CpuCeilings> measure_cpu_ceilings(const CeilingOptions& options) {
  TRY_ASSIGN(const cpu::Choice choice, cpu::choose(options.isa, options.threads));
  TRY_ASSIGN(cpu::AlignedBytes buffer,
             cpu::AlignedBytes::allocate(std::max(options.buffer_bytes, uint64_t{cpu::kReadPart})));
  std::memset(buffer.data(), 1, buffer.bytes());
  CpuCeilings ceilings = {.threads = choice.threads, .isa = choice.kernels->name};
  for (const int threads : {1, choice.threads}) {
    cpu::ThreadPool pool(threads, choice.processors);
    const auto record = [&](CeilingPair& pair, double rate) {
      (threads == 1 ? pair.one_thread : pair.all_threads) = rate;
    };
    record(ceilings.read_gbs, cpu::read_rate(pool, *choice.kernels, buffer));
    record(ceilings.f32_gflops, cpu::arithmetic_rate(pool, choice.kernels->peak_f32));
    record(ceilings.bf16_gflops, cpu::arithmetic_rate(pool, choice.kernels->peak_bf16));
    record(ceilings.int8_gops, cpu::arithmetic_rate(pool, choice.kernels->peak_int8));
  }
  if (choice.threads == 1) {
    for (CeilingPair* pair : {&ceilings.read_gbs, &ceilings.f32_gflops, &ceilings.bf16_gflops, &ceilings.int8_gops}) {
      pair->all_threads = pair->one_thread;
    }
  }
  return ceilings;
}

}  // namespace cove
