#include "json_lines.h"

#include <algorithm>
#include <cstdio>
#include <iostream>

#include <fmt/format.h>
#include <boost/json/serialize.hpp>

#include "flags.h"

namespace cove::app {
namespace {

// Room for a request of the largest size that a server takes, many times over.
constexpr size_t kDocumentBytesMax = size_t{1} << 30;

Result<json::object> convert_text(std::string_view text, const Convert& convert) {
  TRY_ASSIGN(const json::value value, parse_json(text));
  if (!value.is_object()) return invalid_argument("the input is JSON, but not an object");
  return convert(value.get_object());
}

}  // namespace

int convert_lines(const std::string& command, const Convert& convert) {
  int exit_code = kDone;
  std::string line;
  while (std::getline(std::cin, line)) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    Result<json::object> result = convert_text(line, convert);
    if (!result) {
      result = json::object{{"error", result.error().message}};
      exit_code = kCouldNot;
    }
    fmt::print("{}\n", json::serialize(*result));
  }
  return finish_output(command, exit_code);
}

Result<json::object> convert_document(const Convert& convert) {
  std::string text;
  char buffer[1 << 16];
  while (const size_t got = std::fread(buffer, 1, sizeof buffer, stdin)) {
    text.append(buffer, got);
    if (text.size() > kDocumentBytesMax) return invalid_argument("the input is larger than 1 GiB");
  }
  return convert_text(text, convert);
}

std::vector<NumberedLine> numbered_lines(std::string_view content) {
  std::vector<NumberedLine> lines;
  for (size_t begin = 0, number = 1; begin < content.size(); ++number) {
    const size_t end = std::min(content.find('\n', begin), content.size());
    const std::string_view text = content.substr(begin, end - begin);
    if (text.find_first_not_of(" \t\r") != std::string_view::npos) lines.push_back({text, number});
    begin = end + 1;
  }
  return lines;
}

int finish_output(const std::string& command, int exit_code) {
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) return fail(command, "cannot write to standard output");
  return exit_code;
}

}  // namespace cove::app
