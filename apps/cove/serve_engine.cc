#include "serve_engine.h"

namespace cove::app {

OpenEngineOptions engine_options(const Config& config, const std::filesystem::path& model,
                                 const std::optional<SealKey>& key) {
  OpenEngineOptions options;
  options.model = model;
  options.key = key;
  options.name = config.string("model.name");
  options.device = {.device = config.string("engine.device"),
                    .reproducible = config.boolean("engine.reproducible"),
                    .weight_format = config.string("engine.weight_format")};
  options.engine.memory_fraction = config.number("engine.memory_fraction");
  options.engine.batch_window_ms = config.integer("engine.batch_window_ms");
  options.engine.batch_tokens_max = config.integer("engine.batch_tokens_max");
  options.engine.sequences_max = config.integer("engine.sequences_max");
  options.engine.kv_format = config.string("engine.kv_format");
  options.engine.prefix_cache = config.boolean("engine.prefix_cache");
  options.engine.overlap_steps = config.boolean("engine.overlap_steps");
  options.engine.queue_max = config.integer("limits.queue_max");
  options.engine.context_max = config.integer("model.context_max");
  return options;
}

server::ServedModelParts served_parts(const OpenedModel& opened) {
  const SamplingDefaults& d = opened.defaults;
  return {.engine = opened.engine.get(),
          .tokenizer = opened.tokenizer.get(),
          .chat_template = opened.chat_template.get(),
          .name = opened.engine->model().name,
          .aliases = {},
          .defaults = {.temperature = d.temperature,
                       .top_p = d.top_p,
                       .top_k = d.top_k,
                       .min_p = d.min_p,
                       .repetition_penalty = d.repetition_penalty},
          .bos_token = opened.bos_token,
          .eos_token = opened.eos_token};
}

}  // namespace cove::app
