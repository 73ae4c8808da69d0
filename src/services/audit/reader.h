#pragma once
// Reads the records of a log folder in the order in which they were written, while a server may be writing it. Does not
// check the chain: that is verifier.h. Used by replay, export and GET /v1/admin/audit.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "services/audit/log_files.h"
#include "services/audit/record_json.h"

namespace cove::audit {

struct ReadOptions {
  std::filesystem::path dir{};
  int64_t from_ns = INT64_MIN;  // Record::time_ns, first included
  int64_t to_ns = INT64_MAX;    // excluded
  std::string
      user{};  // Caller::id or Caller::user (whose key it is), with or without "user:", or Caller::name; empty = all
};

// One after the other. `line` is the line as it stands, without newline. Both are lent for the call. An error ends the
// reading and comes back.
using OnRecord = std::function<Status(StoredRecord& record, std::string_view line)>;

// Errors: kNotFound when there is no such folder, kDataCorrupt naming file and line, kIo, those of `on_record`. What
// stands behind the last newline is still being written and left out.
Status read_records(const ReadOptions& options, const OnRecord& on_record);
// Only one file of options.dir.
Status read_records_of(const LogFile& file, const ReadOptions& options, const OnRecord& on_record);

}  // namespace cove::audit
