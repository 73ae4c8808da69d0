// cove encrypt: a model as it is to an encrypted one that every command reads directly; and changes of its key.
#include <chrono>

#include <fmt/format.h>

#include "commands.h"
#include "model_key.h"
#include "seal_run.h"

namespace cove::app {
namespace {

constexpr const char* kName = "encrypt";

struct EncryptFlags {
  SealFlags seal;
  std::string new_key_file;
  int64_t chunk_kb = 1024;
  bool rewrap = false;
};

int wrong_usage(const std::string& message) {
  fail(kName, message);
  return kWrongUsage;
}

int rewrap(const EncryptFlags& flags) {
  const auto from = read_key(key_places(flags.seal.key_file));
  if (!from) return fail(kName, from.error().message);
  const auto to = read_key_file(flags.new_key_file);
  if (!to) return fail(kName, to.error().message);
  if (from->id() == to->id()) return fail(kName, "both keys are the same; 'cove key new FILE' makes a new one");
  const auto begin = std::chrono::steady_clock::now();
  const auto report = rewrap_model(flags.seal.source, *from, *to);
  if (!report) return fail(kName, report.error().message);
  print_seal_result({.place = flags.seal.source,
                     .done = "re-keyed, not re-encrypted,",
                     .report = *report,
                     .seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(),
                     .key_id = to->id()},
                    flags.seal.json);
  return kDone;
}

int run(int argc, const char* const* argv) {
  EncryptFlags wanted;
  Flags flags(kName,
              "Encrypts a model directory with everything in it, or one .gguf file (AES-256-GCM). serve, chat, bench, "
              "eval and the others read the result directly; nothing is decrypted to disk.");
  flags.add("SRC", wanted.seal.source, "a model directory or a .gguf file; with --rewrap: an encrypted one");
  flags.require("SRC");
  flags.add("DST", wanted.seal.target, "where the encrypted model goes; must not exist yet");
  add_key_flag(flags, wanted.seal.key_file);
  flags.add_switch("--rewrap", wanted.rewrap,
                   "change the key of SRC, in place, without encrypting again; finishes an interrupted change too");
  flags.add("--new-key-file", wanted.new_key_file, "with --rewrap: the key that opens it from now on");
  flags.add("--chunk-kb", wanted.chunk_kb, "KiB that are authenticated together, 4 to 262144 (default: 1024)");
  flags.add_switch("--json", wanted.seal.json, "print JSON");
  flags.footer(
      "Examples:\n  cove key new model.key\n  cove encrypt models/cove-mini sealed/cove-mini --key-file model.key\n"
      "  cove serve --model sealed/cove-mini        with model.key_file: model.key in cove.yaml\n"
      "  cove encrypt --rewrap --key-file model.key --new-key-file next.key sealed/cove-mini\n"
      "Without its key an encrypted model is lost: keep the key in two places. See docs/operations/encryption.md.");
  if (const auto code = flags.parse(argc, argv)) return *code;
  if (wanted.rewrap) {
    if (!wanted.seal.target.empty()) return wrong_usage("--rewrap works in place and takes one path");
    if (wanted.new_key_file.empty()) return wrong_usage("--rewrap needs --new-key-file FILE");
    return rewrap(wanted);
  }
  if (wanted.seal.target.empty()) return wrong_usage("DST is required");
  if (!wanted.new_key_file.empty()) return wrong_usage("--new-key-file goes with --rewrap");
  if (wanted.chunk_kb < 4 || wanted.chunk_kb > 262'144) return wrong_usage("--chunk-kb is 4 to 262144");
  return run_seal(wanted.seal,
                  {.command = kName, .done = "encrypted", .work = [&](const SealKey& key, ModelSealOptions options) {
                     options.chunk_bytes = static_cast<uint32_t>(wanted.chunk_kb) << 10;
                     return seal_model(wanted.seal.source, wanted.seal.target, key, options);
                   }});
}

}  // namespace

const Command kEncrypt{kName, "encrypt a model, or change the key of an encrypted one", run};

}  // namespace cove::app
