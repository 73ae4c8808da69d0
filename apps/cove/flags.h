#pragma once
// Command-line flags of one subcommand: a plain face over CLI11, so that only flags.cc compiles it. Every command gets
// --help; wrong usage prints what was wrong and how to call it, and gives exit code 2.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace cove::app {

enum ExitCode : int { kDone = 0, kCouldNot = 1, kWrongUsage = 2, kDeviceFailed = 3 };  // 3: serve alone

class Flags {
 public:
  Flags(const std::string& command, const std::string& summary);
  ~Flags();
  Flags(const Flags&) = delete;
  Flags& operator=(const Flags&) = delete;

  // Names as in "--port" or "-p,--port"; a name without dashes is positional. The target keeps its value when the flag
  // is absent.
  void add(const std::string& name, std::string& target, const std::string& help);
  void add(const std::string& name, int64_t& target, const std::string& help);
  void add(const std::string& name, double& target, const std::string& help);
  void add(const std::string& name, std::optional<std::string>& target, const std::string& help);
  void add(const std::string& name, std::optional<int64_t>& target, const std::string& help);
  void add(const std::string& name, std::vector<std::string>& target, const std::string& help);
  void add_switch(const std::string& name, bool& target, const std::string& help);  // --json
  void require(const std::string& name);  // the flag or positional must be given
  void footer(const std::string& text);   // examples, shown by --help

  // nullopt: go on. Otherwise the exit code (0 after --help, 2 after wrong usage); everything has been printed.
  std::optional<int> parse(int argc, const char* const* argv);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// One subcommand: `run` gets the arguments after the command's name (argv[0] is the command).
struct Command {
  const char* name;
  const char* summary;
  int (*run)(int argc, const char* const* argv);
};

// Prints "cove NAME: message" to standard error and returns kCouldNot.
int fail(const std::string& command, const std::string& message);

}  // namespace cove::app
