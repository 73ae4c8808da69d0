#pragma once
// "--name value" arguments of cove-train's subcommands that also build on a bare machine with nothing but LibTorch.

#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace cove::trainer {

class Arguments {
 public:
  // Every argument must be "--name value" with a name out of `known`, or "--help". Errors: kInvalidArgument naming the
  // argument.
  static Result<Arguments> parse(int argc, char** argv, const std::vector<std::string>& known) {
    Arguments out;
    for (int i = 1; i < argc; ++i) {
      const std::string name = argv[i];
      bool is_known = false;
      for (const std::string& k : known) is_known = is_known || name == "--" + k;
      if (!is_known) return invalid_argument("unknown argument '" + name + "'");
      if (i + 1 >= argc) return invalid_argument("'" + name + "' needs a value");
      out.values_[name.substr(2)] = argv[++i];
    }
    return out;
  }

  std::string text(const std::string& name, const std::string& fallback) const {
    const auto found = values_.find(name);
    return found == values_.end() ? fallback : found->second;
  }
  Result<int64_t> integer(const std::string& name, int64_t fallback) const {
    const auto found = values_.find(name);
    if (found == values_.end()) return fallback;
    char* end = nullptr;
    const long long value = std::strtoll(found->second.c_str(), &end, 10);
    if (end == found->second.c_str() || *end != '\0')
      return invalid_argument("--" + name + " must be a whole number, not '" + found->second + "'");
    return static_cast<int64_t>(value);
  }
  Result<double> number(const std::string& name, double fallback) const {
    const auto found = values_.find(name);
    if (found == values_.end()) return fallback;
    char* end = nullptr;
    const double value = std::strtod(found->second.c_str(), &end);
    if (end == found->second.c_str() || *end != '\0')
      return invalid_argument("--" + name + " must be a number, not '" + found->second + "'");
    return value;
  }

 private:
  std::map<std::string, std::string> values_;
};

}  // namespace cove::trainer
