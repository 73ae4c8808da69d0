#pragma once
// What `cove encrypt` and `cove decrypt` share: flags, the key, progress, Ctrl-C, the report.

#include <functional>
#include <string>

#include "base/result.h"
#include "flags.h"
#include "tensor/io/sealed_model.h"

namespace cove::app {

struct SealFlags {
  std::string source;
  std::string target;
  std::string key_file;
  bool json = false;
};

// Wrong usage and failures are printed under the command's name; gives the exit code.
struct SealRun {
  const char* command;  // "encrypt"
  const char* done;     // "encrypted"
  std::function<Result<ModelSealReport>(const SealKey& key, const ModelSealOptions& options)> work;
};
int run_seal(const SealFlags& flags, const SealRun& run);

// "DST: 7 files, 355.2 MB encrypted in 0.4 s (0.88 GB/s) with key 0123456789abcdef", or JSON.
struct SealResult {
  std::string place;
  const char* done;
  ModelSealReport report;
  double seconds = 0;
  std::string key_id;
};
void print_seal_result(const SealResult& result, bool json);

}  // namespace cove::app
