#pragma once
// A Record as the members of a "request" line, and back. docs/formats/audit.md names them.

#include <string>

#include "base/json.h"
#include "base/result.h"
#include "services/audit/keys.h"
#include "services/audit/record.h"

namespace cove::audit {

// Appends JSON members, each with a comma in front. Texts are kept as `form` says; bytes that are no UTF-8 become
// U+FFFD.
struct TextKeeping {
  PromptForm form = PromptForm::kHash;
  const HashKey* key = nullptr;  // for kHash
};
void append_record(std::string& out, const Record& record, const TextKeeping& keeping);

// A stored text is "hmac-sha256:<hex>" when it was hashed.
inline constexpr std::string_view kHashedText = "hmac-sha256:";

struct StoredRecord {
  Record record;  // texts as they are stored
  PromptForm texts = PromptForm::kNone;
};
// Errors: kDataCorrupt naming the member.
Result<StoredRecord> parse_record(const json::object& object);

}  // namespace cove::audit
