#pragma once
// The subcommands of `cove audit`, one file audit_NAME.cc each, and what they share.

#include <filesystem>
#include <optional>
#include <string>

#include "base/result.h"
#include "flags.h"
#include "serve_config.h"

namespace cove::app {

// Which log: --dir, or audit.dir of the configuration.
struct AuditFlags {
  StateFlags state;
  std::optional<std::string> dir;
};
void add_audit_flags(Flags& flags, AuditFlags& audit);
Result<std::filesystem::path> audit_dir(const AuditFlags& audit);

int run_audit_export(int argc, const char* const* argv);
int run_audit_replay(int argc, const char* const* argv);
int run_audit_tail(int argc, const char* const* argv);
int run_audit_verify(int argc, const char* const* argv);

}  // namespace cove::app
