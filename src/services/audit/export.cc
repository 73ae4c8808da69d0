#include "services/audit/export.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include <fmt/format.h>

#include "base/utf8.h"
#include "services/audit/line.h"

namespace cove::audit {
namespace {

std::string join(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) out += (out.empty() ? "" : " ") + text;
  return out;
}

std::string seeds_text(const std::vector<uint64_t>& seeds) { return fmt::format("{}", fmt::join(seeds, " ")); }

// The same for everybody who reads the file: answers one below the other.
std::string answers_text(const std::vector<AnswerText>& answers) {
  std::string out;
  for (const AnswerText& answer : answers) {
    for (const std::string* text : {&answer.reasoning, &answer.content, &answer.tool_calls}) {
      if (!text->empty()) out += (out.empty() ? "" : "\n") + *text;
    }
  }
  return out;
}

std::string plugins_text(const plugins::PluginNotes& notes) {
  std::string out;
  for (const plugins::PluginNote& note : notes)
    out += fmt::format("{}{}:{}:{}", out.empty() ? "" : " ", note.plugin, note.action, note.count);
  return out;
}

// Numbers stand as they are; everything that may come from outside is made safe.
class Row {
 public:
  void text(std::string_view value) { out_ += first() + csv_cell(value); }
  template <typename T>
  void number(T value) {
    out_ += first() + fmt::format("{}", value);
  }
  void nothing(size_t columns) { out_.append(columns, ','); }
  std::string end() { return out_ + "\r\n"; }

 private:
  std::string first() { return out_.empty() ? "" : ","; }
  std::string out_;
};

constexpr std::string_view kCallColumns[] = {"seq",    "time",    "request_id", "caller",   "user",   "name",
                                             "role",   "key_id",  "address",    "method",   "route",  "path",
                                             "status", "outcome", "error",      "total_ms", "plugins"};
constexpr std::string_view kGenerationColumns[] = {"model",
                                                   "digest",
                                                   "stream",
                                                   "temperature",
                                                   "top_p",
                                                   "top_k",
                                                   "min_p",
                                                   "presence_penalty",
                                                   "frequency_penalty",
                                                   "repetition_penalty",
                                                   "seeds",
                                                   "n",
                                                   "max_tokens",
                                                   "prompt_tokens",
                                                   "cached_tokens",
                                                   "completion_tokens",
                                                   "reasoning_tokens",
                                                   "finish_reasons",
                                                   "first_token_ms",
                                                   "prompt",
                                                   "answers",
                                                   "request"};

void add_generation(Row& row, const Generation& generation) {
  const engine::SamplingOptions& sampling = generation.parameters.sampling;
  row.text(generation.model.name);
  row.text(generation.model.digest);
  row.text(generation.stream ? "true" : "false");
  row.number(sampling.temperature);
  row.number(sampling.top_p);
  row.number(sampling.top_k);
  row.number(sampling.min_p);
  row.number(sampling.presence_penalty);
  row.number(sampling.frequency_penalty);
  row.number(sampling.repetition_penalty);
  row.text(seeds_text(generation.parameters.seeds));
  row.number(generation.parameters.choices);
  row.number(generation.parameters.tokens_max);
  row.number(generation.prompt_tokens);
  row.number(generation.cached_tokens);
  row.number(generation.completion_tokens);
  row.number(generation.reasoning_tokens);
  row.text(join(generation.finish_reasons));
  row.text(generation.first_token_ms < 0 ? std::string() : fmt::format("{}", generation.first_token_ms));
  row.text(generation.prompt);
  row.text(answers_text(generation.answers));
  row.text(generation.request);
}

bool is_control(unsigned char c) { return c < 0x20 || c == 0x7f; }

// Without C0 and C1 control characters.
std::string printable(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const bool c1 = c == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if (c1) ++i;
    if (!c1 && !is_control(c)) out.push_back(text[i]);
  }
  return out;
}

}  // namespace

std::string csv_cell(std::string_view text) {
  constexpr std::string_view kFormula = "=+-@\t\r";
  const bool formula = !text.empty() && kFormula.find(text.front()) != std::string_view::npos;
  if (!formula && text.find_first_of(",\"\r\n") == std::string_view::npos) return std::string(text);
  std::string out = formula ? "\"'" : "\"";
  for (const char c : text) {
    if (c == '"') out.push_back('"');
    out.push_back(c);
  }
  out.push_back('"');
  return out;
}

std::string csv_header() {
  Row row;
  for (const std::string_view name : kCallColumns) row.text(name);
  for (const std::string_view name : kGenerationColumns) row.text(name);
  return row.end();
}

std::string csv_row(uint64_t sequence, const Record& record) {
  Row row;
  row.number(sequence);
  row.text(time_text(record.time_ns));
  row.text(record.request_id);
  row.text(record.caller.id);
  row.text(record.caller.user);
  row.text(record.caller.name);
  row.text(record.caller.role);
  row.number(record.caller.key_id);
  row.text(record.address);
  row.text(record.method);
  row.text(record.route);
  row.text(record.path);
  row.number(record.status);
  row.text(to_string(record.outcome));
  row.text(record.error);
  row.number(record.total_ms);
  row.text(plugins_text(record.plugin_notes));
  if (record.generation) {
    add_generation(row, *record.generation);
  } else {
    row.nothing(std::size(kGenerationColumns));
  }
  return row.end();
}

std::string summary_line(const Record& record) {
  const Caller& caller = record.caller;
  const std::string& who = !caller.user.empty() ? caller.user : caller.id;
  std::string out =
      fmt::format("{} {} {} {} {} {}", time_text(record.time_ns), who.empty() ? "-" : printable(who),
                  printable(record.method), printable(record.path), record.status, to_string(record.outcome));
  if (!record.error.empty()) out += " " + printable(record.error);
  if (record.generation) {
    out += fmt::format(" {} {}+{} tokens", printable(record.generation->model.name), record.generation->prompt_tokens,
                       record.generation->completion_tokens);
  }
  return out + fmt::format(" {:.1f} ms {}", record.total_ms, printable(record.request_id));
}

}  // namespace cove::audit
