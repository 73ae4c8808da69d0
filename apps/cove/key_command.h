#pragma once
// Runs the operator's command that prints a key: how keys come from a key management service or a vault. Internal to
// model_key.cc.

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cove::app {

// Words as a shell would see them, without the shell: split at white space, '...' and "..." keep words together, a
// backslash outside of '...' takes the next character as it is. Nothing is expanded: $, *, |, ; and ` are ordinary
// characters. Errors: kInvalidArgument (no word, an open quote).
Result<std::vector<std::string>> split_words(std::string_view text);

// Starts the program (found through PATH) with empty standard input and the same standard error, and returns what it
// prints. Errors: kInvalidArgument, kFailedPrecondition: not found, exit code other than 0, killed, more than 4 KB,
// longer than `timeout` (it and its children are then killed). What it printed is in no message.
Result<std::string> run_key_command(const std::string& command, std::chrono::milliseconds timeout);

}  // namespace cove::app
