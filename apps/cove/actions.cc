#include "actions.h"

#include <cstdio>
#include <cstring>

#include <fmt/format.h>

namespace cove::app {
namespace {

void print_usage(std::FILE* out, const char* command, std::span<const Command> actions) {
  fmt::print(out, "usage: cove {} ACTION [options]\n\n", command);
  for (const Command& action : actions) fmt::print(out, "  {:<10} {}\n", action.name, action.summary);
  fmt::print(out, "\n'cove {} ACTION --help' tells more.\n", command);
}

}  // namespace

int run_action(const char* command, std::span<const Command> actions, int argc, const char* const* argv) {
  const char* wanted = argc > 1 ? argv[1] : "";
  if (std::strcmp(wanted, "--help") == 0 || std::strcmp(wanted, "-h") == 0) {
    print_usage(stdout, command, actions);
    return kDone;
  }
  for (const Command& action : actions) {
    if (std::strcmp(wanted, action.name) == 0) return action.run(argc - 1, argv + 1);
  }
  if (argc > 1) fmt::print(stderr, "cove {}: there is no action '{}'\n\n", command, wanted);
  print_usage(stderr, command, actions);
  return kWrongUsage;
}

}  // namespace cove::app
