// cove-train-gpu: the subcommands of cove-train that need only LibTorch.
#include <cstdio>
#include <cstring>

#include "cmd/fit_command.h"

int main(int argc, char** argv) {
  using namespace cove::trainer;
  if (argc >= 2 && std::strcmp(argv[1], "fit") == 0) return run_fit(argc - 1, argv + 1, nullptr);
  if (argc >= 2 && std::strcmp(argv[1], "generate") == 0) return run_generate(argc - 1, argv + 1);
  if (argc >= 2 && std::strcmp(argv[1], "weights") == 0) return run_weights(argc - 1, argv + 1);
  std::fputs("usage: cove-train-gpu fit|generate|weights ... (each has --help)\n", stderr);
  return 2;
}
