#pragma once
// audit.* of the configuration: where the audit log is and how it is kept. Used by serve and `cove audit`.

#include <filesystem>

#include "base/result.h"
#include "serve_config.h"
#include "services/audit/options.h"

namespace cove::app {

// Errors name the key. The default audit.dir is the folder audit in --data; the keys that sign and hash lie in --data
// unless configured.
Result<audit::LogOptions> audit_options(const ServeConfig& config);

}  // namespace cove::app
