#pragma once
// A folder for a log that goes away with the test, and records to put into it.

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/check.h"
#include "services/audit/audit_log.h"
#include "services/audit/log_files.h"

namespace cove::audit::testing {

class LogFolder {
 public:
  LogFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "cove-audit-XXXXXX").string();
    COVE_CHECK(::mkdtemp(name.data()) != nullptr);
    root_ = name;
  }
  ~LogFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(root_, ignored);
  }
  LogFolder(const LogFolder&) = delete;
  LogFolder& operator=(const LogFolder&) = delete;

  const std::filesystem::path& root() const { return root_; }
  std::filesystem::path dir() const { return root_ / "audit"; }
  LogOptions options() const {
    LogOptions options;
    options.dir = dir();
    options.signing_key_file = root_ / "signing.pem";
    options.hash_key_file = root_ / "hash.key";
    options.sync = SyncPolicy::kNever;
    options.retry_pause = std::chrono::milliseconds(5);
    return options;
  }
  std::vector<LogFile> files() const {
    auto files = list_log_files(dir());
    COVE_CHECK(files.has_value());
    return *files;
  }

 private:
  std::filesystem::path root_;
};

inline std::string read_text(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void write_text(const std::filesystem::path& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << text;
}

inline std::vector<std::string> read_lines(const std::filesystem::path& path) {
  const std::string text = read_text(path);
  std::vector<std::string> lines;
  size_t begin = 0;
  for (size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n', begin)) {
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

inline void write_lines(const std::filesystem::path& path, const std::vector<std::string>& lines) {
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  write_text(path, text);
}

// What a chat request leaves behind; every field has a value of its own.
inline Record chat_record(int number = 1) {
  Record record;
  record.time_ns = 1'795'000'000'000'000'000 + int64_t{number} * 1'000'000;
  record.request_id = fmt::format("req-{}", number);
  record.caller = {.id = "key:7", .user = "user:alice", .name = "laptop", .role = "user", .key_id = 7};
  record.address = "192.0.2.4";
  record.method = "POST";
  record.route = "/v1/chat/completions";
  record.path = "/v1/chat/completions";
  record.status = 200;
  record.total_ms = 12.5;
  Generation generation;
  generation.model = {.name = "cove-mini", .digest = "abc", .device = "cpu: 2 threads", .weights = "def"};
  generation.stream = true;
  Parameters& parameters = generation.parameters;
  parameters.sampling = {.temperature = 0.6F,
                         .top_p = 0.95F,
                         .top_k = 40,
                         .min_p = 0.05F,
                         .presence_penalty = 0.1F,
                         .frequency_penalty = -0.2F,
                         .repetition_penalty = 1.1F,
                         .logit_bias = {{5, -100.0F}, {9, 0.5F}},
                         .seed = 18'446'744'073'709'551'615U,
                         .top_logprobs = 3};
  parameters.seeds = {18'446'744'073'709'551'615U, 2};
  parameters.choices = 2;
  parameters.tokens_max = 256;
  parameters.tokens_min = 1;
  parameters.stop = {"\n\n", "结束"};
  parameters.stop_tokens = {3, 4};
  parameters.ignore_eos = true;
  parameters.thinking_budget = 64;
  parameters.tools = {"weather"};
  parameters.tool_choice = "auto";
  parameters.constraint = R"({"type":"json_object"})";
  generation.prompt_tokens = 21;
  generation.cached_tokens = 16;
  generation.completion_tokens = 40;
  generation.reasoning_tokens = 30;
  generation.finish_reasons = {"stop", "length"};
  generation.first_token_ms = 3.25;
  generation.prompt = "<|User|>小明有23个苹果<|Assistant|><think>";
  generation.answers = {{.reasoning = "23+48", .content = "54", .tool_calls = {}},
                        {.reasoning = {}, .content = "五十四", .tool_calls = R"([{"id":"call_1"}])"}};
  generation.request = R"({"model":"cove-mini","messages":[{"role":"user","content":"小明有23个苹果"}]})";
  record.generation = std::move(generation);
  record.plugin_notes = {{.plugin = "mask", .action = "masked", .count = 2}};
  record.details = {{"user", "alice"}};
  return record;
}

// A call that is no generation.
inline Record plain_record(int number = 1) {
  Record record = chat_record(number);
  record.method = "GET";
  record.route = "/v1/models";
  record.path = "/v1/models";
  record.generation.reset();
  record.plugin_notes.clear();
  record.details.clear();
  return record;
}

inline std::unique_ptr<Log> open_log(const LogOptions& options) {
  auto log = Log::open(options);
  COVE_CHECK_MSG(log.has_value(), log ? "" : log.error().message.c_str());
  return std::move(*log);
}

// A closed log of `records` records.
inline void make_log(const LogOptions& options, int records) {
  const auto log = open_log(options);
  for (int i = 1; i <= records; ++i) {
    log->append({}, plain_record(i));
    if (i % 1000 == 0) COVE_CHECK(log->flush().has_value());  // the queue is bounded
  }
  COVE_CHECK(log->close().has_value());
}

}  // namespace cove::audit::testing
