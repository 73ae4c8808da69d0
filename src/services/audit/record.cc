#include "services/audit/record.h"

#include <fmt/format.h>

namespace cove::audit {

std::string_view to_string(PromptForm form) {
  switch (form) {
    case PromptForm::kNone: return "none";
    case PromptForm::kHash: return "hash";
    case PromptForm::kFull: return "full";
  }
  return "none";
}

Result<PromptForm> parse_prompt_form(std::string_view text) {
  for (const PromptForm form : {PromptForm::kNone, PromptForm::kHash, PromptForm::kFull}) {
    if (text == to_string(form)) return form;
  }
  return invalid_argument(fmt::format("'{}' is none of full, hash, none", text));
}

std::string_view to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::kComplete: return "complete";
    case Outcome::kAborted: return "aborted";
    case Outcome::kFailed: return "failed";
    case Outcome::kRefused: return "refused";
  }
  return "failed";
}

}  // namespace cove::audit
