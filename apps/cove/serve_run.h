#pragma once
// The body of `cove serve`, with the opening of the model as a parameter, so that tests can put a device behind it that
// fails.

#include <functional>

#include "open_engine.h"

namespace cove::app {

using OpenModel = std::function<Result<OpenedModel>(const OpenEngineOptions&)>;

// Serves until a stop signal. Exit code: kDone, kCouldNot, kWrongUsage, or kDeviceFailed: the device failed while
// serving, everybody was answered, and a fresh process can serve again.
int run_serve(int argc, const char* const* argv, const OpenModel& open);

}  // namespace cove::app
