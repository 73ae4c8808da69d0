#pragma once
// Runs a recorded request once more, without HTTP and without plugins: what `cove audit replay` compares with the
// record. It is planned and answered by the same code as the request itself was.

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "server/served_model.h"
#include "services/audit/record.h"

namespace cove::server {

struct RerunInput {
  const ServedModel& model;
  std::string_view route;               // "/v1/chat/completions" or "/v1/completions"
  std::string_view request;             // audit::Generation::request
  const audit::Parameters& parameters;  // as recorded: seed, defaults and lengths of then
  int64_t time_ns = 0;                  // audit::Record::time_ns
};

struct Rerun {
  std::vector<audit::AnswerText> answers;  // by choice
  std::vector<std::string> finish_reasons;
};

// Waits for the engine; any thread, several at a time. Errors: kInvalidArgument when the route has no generation or the
// request is refused now, and what the engine says.
Result<Rerun> rerun(const RerunInput& input);

}  // namespace cove::server
