// check_house [ROOT]: prints every broken house rule as "file:line: message"; exit 1 when there is one.
#include <cstdio>

#include "house_rules.h"

int main(int argc, char** argv) {
  const auto findings = cove::house::check_tree(argc > 1 ? argv[1] : ".");
  for (const auto& finding : findings) {
    std::printf("%s:%d: %s\n", finding.file.c_str(), finding.line, finding.message.c_str());
  }
  std::printf("%zu broken house rules\n", findings.size());
  return findings.empty() ? 0 : 1;
}
