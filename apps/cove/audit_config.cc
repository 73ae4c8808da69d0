#include "audit_config.h"

#include <fmt/format.h>

#include "services/auth/rights.h"

namespace cove::app {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kDirDefault = "data/audit";  // as in config.def

Result<std::map<std::string, audit::PromptForm, std::less<>>> forms_by_role(const Config& config) {
  constexpr std::string_view kKey = "audit.prompts_by_role";
  std::map<std::string, audit::PromptForm, std::less<>> forms;
  for (const std::string& entry : config.list(kKey)) {
    const size_t equals = entry.find('=');
    if (equals == std::string::npos)
      return invalid_argument(fmt::format("{}: '{}': write ROLE=full, ROLE=hash or ROLE=none", kKey, entry));
    const auto role = auth::parse_role(entry.substr(0, equals));
    if (!role) return with_context(role.error(), kKey);
    const auto form = audit::parse_prompt_form(entry.substr(equals + 1));
    if (!form) return with_context(form.error(), kKey);
    forms.emplace(auth::to_string(*role), *form);
  }
  return forms;
}

audit::SyncPolicy sync_policy(const std::string& text) {
  if (text == "interval") return audit::SyncPolicy::kInterval;
  return text == "never" ? audit::SyncPolicy::kNever : audit::SyncPolicy::kAlways;
}

fs::path path_or(const std::string& configured, const fs::path& otherwise) {
  return configured.empty() ? otherwise : fs::path(configured);
}

}  // namespace

Result<audit::LogOptions> audit_options(const ServeConfig& config) {
  const Config& values = config.values;
  audit::LogOptions options;
  const std::string& dir = values.string("audit.dir");
  options.dir = dir == kDirDefault ? config.data / "audit" : fs::path(dir);
  options.signing_key_file = path_or(values.string("audit.signing_key_file"), config.data / "audit-signing.pem");
  options.hash_key_file = path_or(values.string("audit.hash_key_file"), config.data / "audit-hash.key");
  TRY_ASSIGN(options.prompts, audit::parse_prompt_form(values.string("audit.prompts")));
  TRY_ASSIGN(options.prompts_by_role, forms_by_role(values));
  options.on_failure =
      values.string("audit.on_failure") == "warn" ? audit::OnFailure::kWarn : audit::OnFailure::kRefuse;
  options.sync = sync_policy(values.string("audit.sync"));
  options.sync_interval = std::chrono::milliseconds(values.integer("audit.sync_interval_ms"));
  options.file_bytes_max = static_cast<uint64_t>(values.integer("audit.file_mb_max")) << 20;
  options.checkpoint_lines = static_cast<uint64_t>(values.integer("audit.checkpoint_lines"));
  return options;
}

}  // namespace cove::app
