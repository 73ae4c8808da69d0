// cove decrypt: an encrypted model back to files as they were.
#include "commands.h"
#include "model_key.h"
#include "seal_run.h"

namespace cove::app {
namespace {

constexpr const char* kName = "decrypt";

int run(int argc, const char* const* argv) {
  SealFlags wanted;
  Flags flags(kName, "Writes the files of an encrypted model as they were before. Serving does not need this.");
  flags.add("SRC", wanted.source, "an encrypted model directory or file");
  flags.require("SRC");
  flags.add("DST", wanted.target, "where the plain files go; must not exist yet");
  flags.require("DST");
  add_key_flag(flags, wanted.key_file);
  flags.add_switch("--json", wanted.json, "print JSON");
  flags.footer("Example:\n  cove decrypt sealed/cove-mini plain/cove-mini --key-file model.key");
  if (const auto code = flags.parse(argc, argv)) return *code;
  return run_seal(
      wanted, {.command = kName, .done = "decrypted", .work = [&](const SealKey& key, const ModelSealOptions& options) {
                 return unseal_model(wanted.source, wanted.target, key, options);
               }});
}

}  // namespace

const Command kDecrypt{kName, "write an encrypted model's plain files", run};

}  // namespace cove::app
