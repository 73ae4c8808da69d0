#pragma once
// What makes a generated answer right: the check that comes with a held-out exercise. Written by `cove-train data
// heldout`, judged by `cove-train score` and `cove eval --tasks`.

#include <string>
#include <string_view>
#include <vector>

#include <boost/json/value.hpp>

#include "base/json.h"
#include "base/result.h"

namespace cove::text {

// kNumber: the last number of the answer equals want[0]. kContains: every want occurs. kAny: one of them does.
// kExact: the answer is want[0], white space at the ends aside. kTool: the one call, in DeepSeek-R1's form, has name
// want[0] and arguments want[1].
enum class CheckKind { kNumber, kContains, kAny, kExact, kTool };

struct Check {
  CheckKind kind = CheckKind::kExact;
  std::vector<std::string> want;
};

// "number", "contains", "any", "exact", "tool".
std::string_view check_name(CheckKind kind);

// {"kind": "number", "want": ["54"]}. Errors: kInvalidArgument for an unknown kind or too few values.
Result<Check> check_from_json(const json::value& value);

struct Verdict {
  bool closed = false;  // </think> was written, or nothing had been opened
  bool correct = false;
};

// `generated` is the decoded continuation of a prompt that ends inside <think>: special tokens written out, no end
// token. Only what follows </think> is judged; an answer that never closes it is wrong.
Verdict judge(std::string_view generated, const Check& check);

// The same for a prompt that opened no reasoning: what comes before </think>, if there is one, is not judged.
Verdict judge_without_reasoning(std::string_view generated, const Check& check);

}  // namespace cove::text
