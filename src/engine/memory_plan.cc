#include "engine/memory_plan.h"

#include <algorithm>
#include <array>
#include <limits>

#include <fmt/format.h>

#include "base/check.h"

namespace cove::engine {
namespace {

constexpr int64_t kContextWorthServing = 1024;  // below this a reduced context is refused rather than served

int64_t pages_for(const MemoryDemand& demand, int64_t tokens) {
  return (tokens + demand.page_tokens - 1) / demand.page_tokens;
}

uint64_t budget_of(const MemoryDemand& demand) {
  if (demand.memory_total == 0) return std::numeric_limits<uint64_t>::max();
  const auto allowed = static_cast<uint64_t>(static_cast<double>(demand.memory_total) * demand.memory_fraction);
  return std::min(allowed, demand.memory_free);
}

Error does_not_fit(const MemoryDemand& demand, uint64_t budget, int64_t context) {
  const uint64_t kv = static_cast<uint64_t>(pages_for(demand, context)) * demand.page_bytes;
  const uint64_t needed = demand.weight_bytes + demand.workspace_bytes + kv;
  const auto percent = static_cast<int>(demand.memory_fraction * 100.0 + 0.5);
  return make_error(
      ErrorCode::kFailedPrecondition,
      fmt::format("the model needs {} (weights {}, workspace {}, keys and values of {} tokens {}), but {} may be used "
                  "({} of {} is free, engine.memory_fraction allows {} %): lower model.context_max or "
                  "engine.batch_tokens_max, raise engine.memory_fraction, or take a smaller weight format",
                  format_bytes(needed), format_bytes(demand.weight_bytes), format_bytes(demand.workspace_bytes),
                  context, format_bytes(kv), format_bytes(budget), format_bytes(demand.memory_free),
                  format_bytes(demand.memory_total), percent));
}

// More pages than all sequences at their longest can never be used.
int64_t useful_pages(const MemoryDemand& demand, int64_t context) {
  const int64_t all = pages_for(demand, context) * demand.sequences_max;
  if (demand.kv_tokens_max == 0) return all;
  return std::min(all, std::max(pages_for(demand, demand.kv_tokens_max), int64_t{1}));
}

}  // namespace

std::string format_bytes(uint64_t bytes) {
  constexpr std::array<const char*, 5> kUnits = {"B", "kB", "MB", "GB", "TB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 999.5 && unit + 1 < kUnits.size()) {
    value /= 1000.0;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.3g} {}", value, kUnits[unit]);
}

Result<MemoryPlan> plan_memory(const MemoryDemand& demand) {
  COVE_CHECK(demand.page_bytes > 0 && demand.page_tokens > 0 && demand.context_model > 0);
  if (demand.context_wanted > demand.context_model) {
    return invalid_argument(fmt::format("model.context_max is {}, the model was made for {} tokens",
                                        demand.context_wanted, demand.context_model));
  }
  const uint64_t budget = budget_of(demand);
  const uint64_t fixed = demand.weight_bytes + demand.workspace_bytes;
  const int64_t wanted = demand.context_wanted > 0 ? demand.context_wanted : demand.context_model;
  if (fixed > budget) return does_not_fit(demand, budget, wanted);

  const int64_t addressable = std::numeric_limits<int32_t>::max() / demand.page_tokens;  // slots are 32-bit
  const auto affordable =
      static_cast<int64_t>(std::min((budget - fixed) / demand.page_bytes, static_cast<uint64_t>(addressable)));
  MemoryPlan plan{
      .weight_bytes = demand.weight_bytes, .workspace_bytes = demand.workspace_bytes, .budget_bytes = budget};
  plan.pages = std::min(affordable, useful_pages(demand, wanted));
  plan.context_max = std::min(wanted, plan.pages * demand.page_tokens);
  const bool may_reduce = demand.context_wanted == 0 && plan.context_max >= std::min(wanted, kContextWorthServing);
  if (plan.context_max < wanted && !may_reduce) return does_not_fit(demand, budget, wanted);
  plan.kv_bytes = static_cast<uint64_t>(plan.pages) * demand.page_bytes;
  return plan;
}

}  // namespace cove::engine
