// cove audit ACTION: the audit log from outside. Works on the files, also while `cove serve` writes them.
#include <chrono>
#include <cstdio>

#include <fmt/format.h>

#include "actions.h"
#include "audit_commands.h"
#include "audit_config.h"
#include "base/file.h"
#include "commands.h"
#include "services/audit/head.h"
#include "services/audit/keys.h"
#include "services/audit/log_files.h"

namespace cove::app {

void add_audit_flags(Flags& flags, AuditFlags& audit) {
  flags.add("--dir", audit.dir, "folder of the log; without it, audit.dir of the configuration");
  add_state_flags(flags, audit.state);
}

Result<std::filesystem::path> audit_dir(const AuditFlags& audit) {
  if (audit.dir) return std::filesystem::path(*audit.dir);
  TRY_ASSIGN(const ServeConfig config, load_config(audit.state, {}));
  TRY_ASSIGN(const audit::LogOptions options, audit_options(config));
  return options.dir;
}

namespace {

int run_head(int argc, const char* const* argv) {
  AuditFlags audit;
  Flags flags("audit head",
              "Prints the last line's number and hash. Keep it where the server cannot change it: 'cove audit verify "
              "--head FILE' proves later that the log still holds all that it held now.");
  add_audit_flags(flags, audit);
  flags.footer("example:\n  cove audit head >> /mnt/elsewhere/audit-heads.jsonl");
  if (const auto code = flags.parse(argc, argv)) return *code;
  const auto dir = audit_dir(audit);
  if (!dir) return fail("audit head", dir.error().message);
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto head = audit::read_head(*dir, std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
  if (!head) return fail("audit head", head.error().message);
  fmt::print("{}\n", audit::to_json(*head));
  return kDone;
}

// From the signing key where it is at hand, else what the server left in the log's folder.
Result<audit::PublicKey> public_key(const AuditFlags& audit) {
  if (audit.dir) {
    TRY_ASSIGN(const std::string pem, read_file(std::filesystem::path(*audit.dir) / audit::kPublicKeyFile, 4096));
    return audit::PublicKey::from_text(pem);
  }
  TRY_ASSIGN(const ServeConfig config, load_config(audit.state, {}));
  TRY_ASSIGN(const audit::LogOptions options, audit_options(config));
  TRY_ASSIGN(const audit::SigningKey key,
             audit::SigningKey::open(options.signing_key_file, audit::MissingKey::kRefuse));
  return key.public_key();
}

int run_key(int argc, const char* const* argv) {
  AuditFlags audit;
  Flags flags("audit key",
              "Prints the public key that the log's checkpoints are verified with. Give it to whoever verifies.");
  add_audit_flags(flags, audit);
  flags.footer("example:\n  cove audit key > cove-audit.pub");
  if (const auto code = flags.parse(argc, argv)) return *code;
  const auto key = public_key(audit);
  if (!key) return fail("audit key", key.error().message);
  fmt::print("{}", key->to_pem());
  return kDone;
}

constexpr Command kActions[] = {
    {"verify", "find lines that were edited, removed, inserted, moved or cut off", run_audit_verify},
    {"head", "the last line's number and hash, to keep elsewhere", run_head},
    {"key", "the public key that the checkpoints are verified with", run_key},
    {"tail", "the last records; -f follows", run_audit_tail},
    {"export", "records of a period and a user, as CSV or JSON", run_audit_export},
    {"replay", "run recorded requests again and compare", run_audit_replay},
};

int run(int argc, const char* const* argv) { return run_action("audit", kActions, argc, argv); }

}  // namespace

extern const Command kAudit{"audit", "verify, read and export the audit log", run};

}  // namespace cove::app
