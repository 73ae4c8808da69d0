#pragma once
// Runs a command as main.cc does and keeps what it printed; for tests.

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "flags.h"

namespace cove::app {

struct Ran {
  int exit_code = 0;
  std::string out;
  std::string err;
};

inline Ran run_command(const Command& command, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), command.name);
  std::vector<const char*> pointers;
  pointers.reserve(arguments.size());
  for (const std::string& argument : arguments) pointers.push_back(argument.c_str());
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  Ran ran;
  ran.exit_code = command.run(static_cast<int>(pointers.size()), pointers.data());
  ran.err = ::testing::internal::GetCapturedStderr();
  ran.out = ::testing::internal::GetCapturedStdout();
  return ran;
}

}  // namespace cove::app
