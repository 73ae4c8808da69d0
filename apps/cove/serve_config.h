#pragma once
// cove.yaml, environment and flags, as the commands that touch state read them: serve, apikey.

#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/config.h"
#include "flags.h"

namespace cove::app {

// The flags that such commands share.
struct StateFlags {
  std::optional<std::string> config;
  std::optional<std::string> data;
};
void add_state_flags(Flags& flags, StateFlags& state);

struct ServeConfig {
  Config values;
  std::filesystem::path data;  // where the database and admin.key are
  std::filesystem::path database;
};

// `overrides`: path and text, from the command's own flags. Errors name the file, variable or flag.
Result<ServeConfig> load_config(const StateFlags& state, std::vector<std::pair<std::string, std::string>> overrides);

}  // namespace cove::app
