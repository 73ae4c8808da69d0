#include "spec/generation_defaults.h"

#include "spec/config_reader.h"

namespace cove {

Result<GenerationDefaults> parse_generation_config(const json::value& config) {
  const ConfigReader reader(config, "generation_config.json");
  if (!config.is_object()) return data_corrupt("generation_config.json: is not an object");
  GenerationDefaults defaults;
  TRY_ASSIGN(defaults.temperature, reader.number("temperature", {0.0, 100.0}));
  TRY_ASSIGN(defaults.top_p, reader.number("top_p", {0.0, 1.0}));
  TRY_ASSIGN(defaults.top_k, reader.integer("top_k", {0, 1 << 30}));
  TRY_ASSIGN(defaults.min_p, reader.number("min_p", {0.0, 1.0}));
  TRY_ASSIGN(defaults.repetition_penalty, reader.number("repetition_penalty", {0.01, 100.0}));
  TRY_ASSIGN(const std::optional<bool> sampled, reader.boolean("do_sample"));
  if (sampled == false) defaults.temperature = 0.0;
  TRY_ASSIGN(const std::vector<int32_t> bos, reader.token_ids("bos_token_id"));
  if (!bos.empty()) defaults.bos_id = bos.front();
  TRY_ASSIGN(defaults.eos_ids, reader.token_ids("eos_token_id"));
  return defaults;
}

}  // namespace cove
