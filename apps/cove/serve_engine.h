#pragma once
// From the configuration to the engine that serves it. Used by serve, and by audit replay, which must run requests just
// as serve did.

#include <filesystem>
#include <optional>

#include "base/config.h"
#include "open_engine.h"
#include "server/served_model.h"

namespace cove::app {

OpenEngineOptions engine_options(const Config& config, const std::filesystem::path& model,
                                 const std::optional<SealKey>& key);
server::ServedModelParts served_parts(const OpenedModel& opened);

}  // namespace cove::app
