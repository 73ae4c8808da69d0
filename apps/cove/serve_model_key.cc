#include "serve_model_key.h"

#include "base/log.h"
#include "engine/loading/model_source.h"
#include "model_key.h"

namespace cove::app {

Result<std::optional<SealKey>> served_model_key(const Config& config, const std::filesystem::path& model) {
  ModelKeys keys(
      {.flag_file = {}, .file = config.string("model.key_file"), .command = config.string("model.key_command")});
  TRY_ASSIGN(std::optional<SealKey> key, keys.key_of(model));
  if (!engine::needs_key(model)) {
    // Whoever configures a key expects a protected model; this one anybody could have changed.
    if (keys.has_place())
      log::warn("serve.model_not_encrypted", {{"model", model.string()}, {"effect", "the key is not used"}});
    return key;
  }
  const auto opened = engine::open_model_source(model, key);
  if (!opened) return engine::about_model(model, opened.error());
  log::info("serve.model_key", {{"model", model.string()}, {"key_id", key->id()}});
  return key;
}

}  // namespace cove::app
