#pragma once
// Commands that consist of actions, as in "cove audit verify".

#include <span>

#include "flags.h"

namespace cove::app {

// Runs the action that argv[1] names, with the arguments after it. Without one, with an unknown one or with --help it
// prints what there is.
int run_action(const char* command, std::span<const Command> actions, int argc, const char* const* argv);

}  // namespace cove::app
