// cove-train: makes training data, trains the small model that ships with Cove, and exports it in Hugging Face layout.
// Built twice: cove-train with LibTorch, and cove-train-data with only the subcommands that need none.

#include <cstdio>
#include <cstring>

#include "cmd/data_command.h"
#ifdef COVE_TRAINER_TORCH
#include "cmd/fit_command.h"
#include "export/read_weights.h"
#endif

int main(int argc, char** argv) {
  using namespace cove::trainer;
  struct Row {
    const char* name;
    const char* summary;
    int (*run)(int, char**);
  };
  static constexpr Row kRows[] = {{"data", "tokenizer, token shards, held-out tasks", run_data},
#ifdef COVE_TRAINER_TORCH
                                  {"fit", "train, or go on from a checkpoint or a model",
                                   [](int c, char** v) { return run_fit(c, v, read_weights); }},
                                  {"generate", "answer prompts with a checkpoint", run_generate},
                                  {"weights", "checkpoint to model.safetensors", run_weights},
#endif
                                  {"score", "judge generated answers", run_score},
                                  {"export", "complete a Hugging Face directory", run_export}};
  const char* wanted = argc > 1 ? argv[1] : "";
  for (const Row& row : kRows) {
    if (std::strcmp(wanted, row.name) == 0) return row.run(argc - 1, argv + 1);
  }
  const bool help = std::strcmp(wanted, "--help") == 0 || std::strcmp(wanted, "-h") == 0;
  std::FILE* out = help ? stdout : stderr;
  std::fputs("usage: cove-train SUBCOMMAND ... (each has --help)\n", out);
  for (const Row& row : kRows) std::fprintf(out, "  %-9s %s\n", row.name, row.summary);
  return help ? 0 : 2;
}
