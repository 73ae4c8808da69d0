#pragma once
// Where tests find the real data that others wrote (tokenizers, templates, malformed files); it is not part of this
// repository. Header only; included by *_test.cc alone.

#include <cstdlib>
#include <filesystem>
#include <string>

#include <gtest/gtest.h>

namespace cove::testing {

// $COVE_TESTDATA, else build/testdata (unpacked there by `make test` when ../shared/testdata exists).
inline std::filesystem::path testdata_root() {
  if (const char* root = std::getenv("COVE_TESTDATA"); root != nullptr && *root != '\0') return root;
  return std::filesystem::path(COVE_SOURCE_DIR) / "build" / "testdata";
}

inline bool in_ci() {
  const char* ci = std::getenv("CI");
  return ci != nullptr && std::string(ci) == "true";
}

}  // namespace cove::testing

// Leaves the test when the file or folder is missing: skipped with the reason, but a failure with CI=true.
#define COVE_REQUIRE_TESTDATA(path)                                                              \
  if (!std::filesystem::exists(path)) {                                                          \
    if (cove::testing::in_ci()) FAIL() << (path).string() << " is missing";                      \
    GTEST_SKIP() << (path).string() << " is missing: set COVE_TESTDATA to an unpacked test set"; \
  }
