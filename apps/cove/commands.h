#pragma once
// Every subcommand of `cove`, one file cmd_NAME.cc each. main.cc shows them in this order.

#include "flags.h"

namespace cove::app {

extern const Command kDoctor;

inline const Command* const kCommands[] = {
    &kDoctor,
};

}  // namespace cove::app
