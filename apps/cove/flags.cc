#include "flags.h"

#include <cstdio>
#include <iostream>

#include <CLI/CLI.hpp>

namespace cove::app {

struct Flags::Impl {
  CLI::App app;
  std::string command;
};

Flags::Flags(const std::string& command, const std::string& summary) : impl_(std::make_unique<Impl>()) {
  impl_->command = command;
  impl_->app.description(summary);
  impl_->app.name("cove " + command);
}
Flags::~Flags() = default;

void Flags::add(const std::string& name, std::string& target, const std::string& help) {
  impl_->app.add_option(name, target, help);
}
void Flags::add(const std::string& name, int64_t& target, const std::string& help) {
  impl_->app.add_option(name, target, help);
}
void Flags::add(const std::string& name, double& target, const std::string& help) {
  impl_->app.add_option(name, target, help);
}
void Flags::add(const std::string& name, std::optional<std::string>& target, const std::string& help) {
  impl_->app.add_option(name, target, help);
}
void Flags::add(const std::string& name, std::optional<int64_t>& target, const std::string& help) {
  impl_->app.add_option(name, target, help);
}
void Flags::add(const std::string& name, std::vector<std::string>& target, const std::string& help) {
  impl_->app.add_option(name, target, help);
}
void Flags::add_switch(const std::string& name, bool& target, const std::string& help) {
  impl_->app.add_flag(name, target, help);
}
void Flags::require(const std::string& name) { impl_->app.get_option(name)->required(); }
void Flags::footer(const std::string& text) { impl_->app.footer(text); }

std::optional<int> Flags::parse(int argc, const char* const* argv) {
  try {
    impl_->app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    std::cout << impl_->app.help();
    return kDone;
  } catch (const CLI::ParseError& error) {
    std::cerr << "cove " << impl_->command << ": " << error.what() << "\n\n" << impl_->app.help();
    return kWrongUsage;
  }
  return std::nullopt;
}

int fail(const std::string& command, const std::string& message) {
  std::fprintf(stderr, "cove %s: %s\n", command.c_str(), message.c_str());
  return kCouldNot;
}

}  // namespace cove::app
