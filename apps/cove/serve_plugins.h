#pragma once
// The plugins of cove.yaml, opened for serve.

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/config.h"
#include "services/plugins/plugin_set.h"

namespace cove::app {

// Null when none is configured. Errors name the plugin and the key.
Result<std::unique_ptr<plugins::PluginSet>> open_plugins(const Config& config);

}  // namespace cove::app
