// cove: one binary, one subcommand a file. Finds the command and hands it the rest of the arguments.
#include <cstdio>
#include <cstring>

#include "commands.h"

namespace {

void print_usage(std::FILE* out) {
  std::fprintf(out, "cove %s: a private harbour for DeepSeek R1\n\nusage: cove COMMAND [options]\n\n", COVE_VERSION);
  for (const cove::app::Command* command : cove::app::kCommands) {
    if (command != nullptr) std::fprintf(out, "  %-10s %s\n", command->name, command->summary);
  }
  std::fprintf(out, "\n'cove COMMAND --help' tells more.\n");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    print_usage(stderr);
    return cove::app::kWrongUsage;
  }
  if (std::strcmp(argv[1], "--help") == 0 || std::strcmp(argv[1], "-h") == 0 || std::strcmp(argv[1], "help") == 0) {
    print_usage(stdout);
    return cove::app::kDone;
  }
  if (std::strcmp(argv[1], "--version") == 0 || std::strcmp(argv[1], "version") == 0) {
    std::printf("cove %s\n", COVE_VERSION);
    return cove::app::kDone;
  }
  for (const cove::app::Command* command : cove::app::kCommands) {
    if (command != nullptr && std::strcmp(argv[1], command->name) == 0) return command->run(argc - 1, argv + 1);
  }
  std::fprintf(stderr, "cove: there is no command '%s'\n\n", argv[1]);
  print_usage(stderr);
  return cove::app::kWrongUsage;
}
