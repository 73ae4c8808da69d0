#pragma once
// The subcommands of `cove audit`, one file audit_NAME.cc each.

namespace cove::app {

int run_audit_replay(int argc, const char* const* argv);

}  // namespace cove::app
