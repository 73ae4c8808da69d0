#include "data/corpus.h"

#include <algorithm>

#include "base/file.h"
#include "base/json.h"
#include "base/utf8.h"

namespace cove::trainer {
namespace {

void cut_passages(std::string_view text, size_t bytes_max, std::vector<std::string>& out) {
  while (!text.empty()) {
    size_t length = std::min(text.size(), bytes_max);
    if (length < text.size()) {
      size_t line = text.rfind('\n', length);
      length = line != std::string_view::npos && line > bytes_max / 2 ? line + 1
                                                                      : complete_utf8_prefix(text.substr(0, length));
    }
    if (length >= 40) out.emplace_back(text.substr(0, length));
    text.remove_prefix(length);
  }
}

Status read_lines(const std::filesystem::path& path, size_t bytes_max, std::vector<std::string>& out) {
  TRY_ASSIGN(const std::string content, read_file(path));
  int64_t number = 0;
  for (size_t begin = 0; begin < content.size();) {
    size_t end = std::min(content.find('\n', begin), content.size());
    ++number;
    auto value = parse_json(std::string_view(content).substr(begin, end - begin));
    if (!value) return with_context(value.error(), path.string() + " line " + std::to_string(number));
    const json::value* text = find_member(*value, "text");
    if (text != nullptr && text->is_string() && is_valid_utf8(text->get_string()))
      cut_passages(text->get_string(), bytes_max, out);
    begin = end + 1;
  }
  return {};
}

}  // namespace

Result<std::vector<std::string>> read_corpus(const std::filesystem::path& dir, size_t bytes_max) {
  std::error_code error;
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(dir, error)) {
    if (entry.path().extension() == ".jsonl") files.push_back(entry.path());
  }
  if (error) return make_error(ErrorCode::kNotFound, dir.string() + ": " + error.message());
  std::sort(files.begin(), files.end());
  std::vector<std::string> out;
  for (const auto& file : files) TRY(read_lines(file, bytes_max, out));
  return out;
}

}  // namespace cove::trainer
