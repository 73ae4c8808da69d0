#include "serve_config.h"

#include <string_view>

#include <unistd.h>

#include "base/file.h"

namespace cove::app {
namespace {

constexpr ConfigKey kSchema[] = {
#define COVE_CONFIG(path, type, initial, range, available, help) \
  {path, ConfigType::type, initial, range, available, help},
#include "../api/config.def"
#undef COVE_CONFIG
};

constexpr size_t kConfigBytesMax = 1 << 20;
constexpr std::string_view kSqlite = "sqlite:";

std::vector<std::pair<std::string, std::string>> cove_environment() {
  std::vector<std::pair<std::string, std::string>> out;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const size_t equals = text.find('=');
    // The key itself is no setting: model_key.h reads it.
    if (text.starts_with("COVE_") && !text.starts_with("COVE_MODEL_KEY=") && equals != std::string_view::npos)
      out.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return out;
}

}  // namespace

void add_state_flags(Flags& flags, StateFlags& state) {
  flags.add("--config", state.config, "configuration file (cove.yaml); see docs/operations/configuration.md");
  flags.add("--data", state.data, "folder of the database and the admin key (default: data)");
}

Result<ServeConfig> load_config(const StateFlags& state, std::vector<std::pair<std::string, std::string>> overrides) {
  ConfigSources sources;
  if (state.config) {
    TRY_ASSIGN(sources.yaml, read_file(*state.config, kConfigBytesMax));
    sources.yaml_name = *state.config;
  }
  sources.environment = cove_environment();
  if (state.data)
    overrides.emplace_back("storage.url",
                           std::string(kSqlite) + (std::filesystem::path(*state.data) / "cove.db").string());
  sources.flags = std::move(overrides);
  TRY_ASSIGN(Config values, Config::load(kSchema, sources));
  ServeConfig config{.values = std::move(values), .data = {}, .database = {}};
  config.database = config.values.string("storage.url").substr(kSqlite.size());
  config.data = state.data ? std::filesystem::path(*state.data) : config.database.parent_path();
  if (config.database.empty())
    return invalid_argument("storage.url: 'sqlite:' needs a path, such as sqlite:data/cove.db");
  return config;
}

}  // namespace cove::app
