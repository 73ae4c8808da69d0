#pragma once
// How a command gets a secret: from a file, from a prompt without echo, or from a pipe. Never from an argument, which
// every process of the machine can read.

#include <optional>
#include <string>

#include "base/result.h"

namespace cove::app {

// The first line of `file`, or of standard input when it is no terminal; on a terminal asks twice. Errors:
// kInvalidArgument (empty, or the two differ), kIo, kNotFound.
Result<std::string> read_secret(const std::optional<std::string>& file, const std::string& what);

}  // namespace cove::app
