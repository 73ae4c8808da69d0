#pragma once
// Commands that turn JSON into JSON: one document on standard input, or with --jsonl one a line, where a bad line gives
// {"error"} and the rest goes on; and the lines of a file of JSON lines.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "base/json.h"
#include "base/result.h"

namespace cove::app {

using Convert = std::function<Result<json::object>(const json::object& input)>;

// Every line of standard input; blank lines are skipped. Exit code kCouldNot when one failed.
int convert_lines(const std::string& command, const Convert& convert);

// The whole of standard input as one JSON object; its result.
Result<json::object> convert_document(const Convert& convert);

struct NumberedLine {
  std::string_view text;
  size_t number;  // from 1
};

// The lines of a file that are not blank.
std::vector<NumberedLine> numbered_lines(std::string_view content);

// Exit code after flushing standard output.
int finish_output(const std::string& command, int exit_code);

}  // namespace cove::app
