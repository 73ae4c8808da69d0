#pragma once
// Draws of the CUDA backend against the host's definition, on a GPU (device_tests) or emulated. For tests.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include <gtest/gtest.h>

#include "backends/cuda/backend/buffers.h"
#include "backends/cuda/kernels/sample.h"
#include "backends/cuda/runtime/device.h"
#include "compute/conformance/fixture.h"
#include "compute/sampling.h"

namespace cove::cuda {

// A device copy of host values; a null pointer after an error, which the test reports.
template <class T>
std::unique_ptr<CudaBuffer> on_device(Device& device, std::span<const T> values) {
  auto pinned = PinnedBuffer::make(device, values.size_bytes());
  auto buffer = CudaBuffer::make(device, values.size_bytes());
  EXPECT_TRUE(pinned && buffer);
  if (!pinned || !buffer) return nullptr;
  std::memcpy((*pinned)->data(), values.data(), values.size_bytes());
  device.upload((*buffer)->data(), (*pinned)->data(), values.size_bytes());
  EXPECT_TRUE(device.synchronize());
  return std::move(*buffer);
}

inline std::vector<SampleRow> to_rows(const std::vector<SampleParams>& params) {
  std::vector<SampleRow> rows;
  for (const SampleParams& p : params) {
    rows.push_back({.seed = p.seed,
                    .position = p.position,
                    .temperature = p.temperature,
                    .top_p = p.top_p,
                    .min_p = p.min_p,
                    .top_k = p.top_k,
                    .greedy = p.temperature < kGreedyTemperature ? 1 : 0});
  }
  return rows;
}

// Every row of `logits` drawn on the device, `at_once` in one go, and by the host.
inline void check_draws(Device& device, std::span<const float> logits, int64_t vocab,
                        const std::vector<SampleParams>& params, size_t at_once = 100) {
  const std::vector<SampleRow> rows = to_rows(params);
  std::vector<int32_t> tokens(params.size(), -7);
  const size_t scratch_bytes = std::min(at_once, rows.size()) * sample_scratch_bytes(vocab);
  const auto scratch = CudaBuffer::make(device, scratch_bytes);
  const auto device_logits = on_device(device, logits);
  const auto device_rows = on_device(device, std::span<const SampleRow>(rows));
  const auto device_tokens = on_device(device, std::span<const int32_t>(tokens));
  const auto host_tokens = PinnedBuffer::make(device, tokens.size() * sizeof(int32_t));
  ASSERT_TRUE(scratch && host_tokens && device_logits && device_rows && device_tokens);
  const auto needs = [&](const SampleRow& row) { return needs_every_weight(row, vocab); };
  const SampleLaunch launch = {.logits = static_cast<const float*>(device_logits->data()),
                               .rows = std::ssize(rows),
                               .vocab = vocab,
                               .params = static_cast<const SampleRow*>(device_rows->data()),
                               .weighs = std::any_of(rows.begin(), rows.end(), needs),
                               .tokens = static_cast<int32_t*>(device_tokens->data()),
                               .scratch = (*scratch)->data(),
                               .scratch_bytes = scratch_bytes};
  device.note(launch_sample(launch, device.stream()));
  device.download((*host_tokens)->data(), device_tokens->data(), tokens.size() * sizeof(int32_t));
  ASSERT_TRUE(device.synchronize());
  std::memcpy(tokens.data(), (*host_tokens)->data(), tokens.size() * sizeof(int32_t));
  SampleScratch host_scratch;
  for (size_t r = 0; r < params.size(); ++r) {
    const auto row = logits.subspan(r * static_cast<size_t>(vocab), static_cast<size_t>(vocab));
    EXPECT_EQ(tokens[r], sample_row(row, params[r], host_scratch).token)
        << "row " << r << " of " << vocab << ": top_k " << params[r].top_k << " top_p " << params[r].top_p << " min_p "
        << params[r].min_p << " temperature " << params[r].temperature;
  }
}

inline void check_every_combination(Device& device) {
  for (const int64_t vocab : {1, 5, 300, 2065, 4097}) {
    std::vector<SampleParams> params;
    for (uint64_t i = 0; i < 48; ++i) {
      SampleParams p;
      p.seed = 0x1234567890ULL * (i + 1);
      p.position = static_cast<int64_t>(i * i * 1'000'003);
      p.temperature = i % 8 == 0 ? 0.0F : 0.3F + 0.1F * static_cast<float>(i % 11);
      if (i % 2 == 0) p.top_p = i % 6 == 0 ? 0.0F : 0.5F + 0.04F * static_cast<float>(i % 13);
      if (i % 3 == 0) p.top_k = static_cast<int32_t>(1 + i);
      if (i % 5 == 0) p.min_p = 0.02F * static_cast<float>(i % 7);
      params.push_back(p);
    }
    std::vector<float> logits = conformance::random_values(vocab * std::ssize(params), 80, 2.0F);
    // Equal values, also at the edges of cuts, and both zeros.
    for (size_t i = 0; i < logits.size(); ++i) {
      if (i % 3 != 0) logits[i] = std::round(logits[i] * 2) / 2;
    }
    check_draws(device, logits, vocab, params, vocab == 300 ? 7 : 100);
  }
}

// Many tokens: few and many candidates of a cut, and more than are collected, by the spread of the logits.
inline void check_large_vocabularies(Device& device) {
  for (const int64_t vocab : {20'011, 152'064}) {
    std::vector<SampleParams> params = {
        {.temperature = 0},
        {},
        {.min_p = 0.01F},
        {.top_p = 0.9F},
        {.temperature = 0.6F, .top_p = 0.95F},
        {.top_p = 0.999F},
        {.top_k = 20},
        {.temperature = 0.7F, .top_k = 20, .top_p = 0.8F},
        {.top_k = 50, .top_p = 0.9F, .min_p = 0.05F},
        {.top_k = static_cast<int32_t>(vocab / 256)},
        {.top_k = static_cast<int32_t>(vocab / 256 + 2), .top_p = 0.5F},  // more than there are groups of 256
    };
    for (size_t i = 0; i < params.size(); ++i) {
      params[i].seed = 0x9876543210ULL * (i + 1);
      params[i].position = static_cast<int64_t>(i);
    }
    for (const float spread : {0.2F, 1.5F, 4.0F}) {
      if (vocab > 100'000 && spread < 1) continue;
      check_draws(device, conformance::random_values(vocab * std::ssize(params), 83, spread), vocab, params);
    }
  }
}

inline void check_equal_values(Device& device) {
  for (const int64_t vocab :
       {3'000, 9'000, 20'000}) {  // more than are compared, more than are collected, by one block and by two
    std::vector<SampleParams> params;
    for (uint64_t i = 0; i < 6; ++i) {
      params.push_back({.top_k = i % 2 == 0 ? 0 : 2000, .top_p = i < 4 ? 0.7F : 1.0F, .seed = 77 + i});
    }
    params[1].top_k = 8;  // there are at least as many groups of 256
    std::vector<float> logits(static_cast<size_t>(vocab) * params.size(), -1.5F);
    logits[5] = 0;
    check_draws(device, logits, vocab, params);
  }
}

inline void check_rows_not_finite(Device& device) {
  std::vector<float> logits = conformance::random_values(3 * 40, 81);
  logits[7] = NAN;
  logits[40 + 39] = INFINITY;
  check_draws(device, logits, 40, std::vector<SampleParams>(3));
  check_draws(device, logits, 40, std::vector<SampleParams>(3, {.temperature = 0}));
  check_draws(device, logits, 40, std::vector<SampleParams>(3, {.top_p = 0.5F}));
  check_draws(device, logits, 40, std::vector<SampleParams>(3, {.top_k = 4}));
}

}  // namespace cove::cuda
