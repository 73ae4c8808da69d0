// cove-train score and export.

#include <array>
#include <cstdio>
#include <cstring>
#include <map>

#include "base/file.h"
#include "base/json.h"
#include "cmd/arguments.h"
#include "cmd/data_command.h"
#include "data/model_directory.h"
#include "text/chat/answer_check.h"
#include "text/tokenizer/tokenizer.h"

namespace cove::trainer {
namespace {

constexpr const char* kScoreHelp =
    "usage: cove-train score --tasks tasks.jsonl --outputs outputs.jsonl [--model DIR] [--wrong N] [--json 1]\n"
    "  outputs: one line per task, {\"ids\": [...]} (needs --model) or {\"text\": \"...\"}: what was generated after "
    "the prompt\n"
    "  --wrong N prints the first N wrong answers of each task to standard error\n";

struct Tally {
  int64_t total = 0, correct = 0, closed = 0;
};

using Tallies = std::map<std::string, std::array<Tally, 2>>;

Result<std::vector<json::value>> read_lines(const std::filesystem::path& path) {
  TRY_ASSIGN(const std::string content, read_file(path));
  std::vector<json::value> out;
  for (size_t begin = 0; begin < content.size();) {
    const size_t end = std::min(content.find('\n', begin), content.size());
    auto value = parse_json(std::string_view(content).substr(begin, end - begin));
    if (!value) return with_context(value.error(), path.string() + " line " + std::to_string(out.size() + 1));
    out.push_back(std::move(*value));
    begin = end + 1;
  }
  return out;
}

std::string member_text(const json::value& value, std::string_view key) {
  const json::value* found = find_member(value, key);
  return found != nullptr && found->is_string() ? std::string(found->get_string()) : "";
}

Result<text::Check> check_of(const json::value& task) {
  const json::value* check = find_member(task, "check");
  if (check == nullptr) return invalid_argument("a task has no \"check\"");
  return text::check_from_json(*check);
}

std::string generated_text(const json::value& output, const text::Tokenizer* tokenizer) {
  const json::value* ids = find_member(output, "ids");
  if (ids == nullptr || !ids->is_array() || tokenizer == nullptr) return member_text(output, "text");
  std::string out;
  for (const json::value& id : ids->get_array()) {
    if (id.is_int64()) out += tokenizer->token_bytes(static_cast<int32_t>(id.get_int64()));
  }
  return out;
}

void print_table(const Tallies& tallies, bool as_json) {
  Tally all;
  if (as_json) std::printf("{");
  for (const auto& [task, both] : tallies) {
    for (size_t i = 0; i < 2; ++i) {
      const Tally& t = both[i];
      if (t.total == 0) continue;
      all.total += t.total, all.correct += t.correct, all.closed += t.closed;
      const double share = 100.0 * static_cast<double>(t.correct) / static_cast<double>(t.total);
      const double closed = 100.0 * static_cast<double>(t.closed) / static_cast<double>(t.total);
      std::printf(as_json ? "\"%s.%s\":{\"correct\":%.2f,\"closed\":%.2f,\"count\":%lld},"
                          : "%-13s %s  correct %6.2f %%  closes think %6.2f %%  of %lld\n",
                  task.c_str(), i == 0 ? "zh" : "en", share, closed, static_cast<long long>(t.total));
    }
  }
  const double total = static_cast<double>(std::max<int64_t>(1, all.total));
  std::printf(as_json ? "\"%s\":{\"correct\":%.2f,\"closed\":%.2f,\"count\":%lld}}\n"
                      : "%-17scorrect %6.2f %%  closes think %6.2f %%  of %lld\n",
              "all", 100.0 * static_cast<double>(all.correct) / total, 100.0 * static_cast<double>(all.closed) / total,
              static_cast<long long>(all.total));
}

Status score(const Arguments& arguments) {
  TRY_ASSIGN(const auto tasks, read_lines(arguments.text("tasks", "")));
  TRY_ASSIGN(const auto outputs, read_lines(arguments.text("outputs", "")));
  TRY_ASSIGN(const int64_t wrong_max, arguments.integer("wrong", 0));
  TRY_ASSIGN(const int64_t as_json, arguments.integer("json", 0));
  if (tasks.size() != outputs.size())
    return invalid_argument("there are " + std::to_string(tasks.size()) + " tasks but " +
                            std::to_string(outputs.size()) + " outputs");
  std::unique_ptr<text::Tokenizer> tokenizer;
  if (const std::string model = arguments.text("model", ""); !model.empty()) {
    TRY_ASSIGN(tokenizer, text::Tokenizer::from_path(model));
  }
  Tallies tallies;
  std::map<std::string, int64_t> wrong;
  for (size_t i = 0; i < tasks.size(); ++i) {
    TRY_ASSIGN(const text::Check check, check_of(tasks[i]));
    const std::string text = generated_text(outputs[i], tokenizer.get()), task = member_text(tasks[i], "task");
    const text::Verdict verdict = text::judge(text, check);
    Tally& tally = tallies[task][member_text(tasks[i], "language") == "zh" ? 0 : 1];
    ++tally.total;
    tally.correct += verdict.correct ? 1 : 0;
    tally.closed += verdict.closed ? 1 : 0;
    if (!verdict.correct && wrong[task + member_text(tasks[i], "language")]++ < wrong_max) {
      std::fprintf(stderr, "---- wrong: %s\nPROMPT %s\nWANT %s\nGOT %s\n", task.c_str(),
                   member_text(tasks[i], "prompt").c_str(),
                   (member_text(tasks[i], "reasoning") + "\n</think>\n" + member_text(tasks[i], "answer")).c_str(),
                   text.c_str());
    }
  }
  print_table(tallies, as_json == 1);
  return {};
}

Status export_directory(const Arguments& arguments) {
  ModelShape shape;
  SamplingDefaults sampling;
  TRY_ASSIGN(shape.vocab, arguments.integer("vocab", shape.vocab));
  TRY_ASSIGN(shape.hidden, arguments.integer("hidden", shape.hidden));
  TRY_ASSIGN(shape.layers, arguments.integer("layers", shape.layers));
  TRY_ASSIGN(shape.heads, arguments.integer("heads", shape.heads));
  TRY_ASSIGN(shape.kv_heads, arguments.integer("kv-heads", shape.kv_heads));
  TRY_ASSIGN(shape.head_dim, arguments.integer("head-dim", shape.head_dim));
  TRY_ASSIGN(shape.ffn, arguments.integer("ffn", shape.ffn));
  TRY_ASSIGN(shape.context, arguments.integer("context", shape.context));
  TRY_ASSIGN(sampling.temperature, arguments.number("temperature", sampling.temperature));
  TRY_ASSIGN(sampling.top_p, arguments.number("top-p", sampling.top_p));
  return write_model_directory(arguments.text("out", "."), shape, sampling);
}

int run_plain(const char* name, const char* help, int argc, char** argv, const std::vector<std::string>& known,
              Status (*run)(const Arguments&)) {
  if (argc > 1 && (std::strcmp(argv[1], "--help") == 0 || std::strcmp(argv[1], "-h") == 0)) {
    std::fputs(help, stdout);
    return 0;
  }
  const auto arguments = Arguments::parse(argc, argv, known);
  if (!arguments) {
    std::fprintf(stderr, "cove-train %s: %s\n%s", name, arguments.error().message.c_str(), help);
    return 2;
  }
  const Status done = run(*arguments);
  if (done) return 0;
  std::fprintf(stderr, "cove-train %s: %s\n", name, done.error().message.c_str());
  return 1;
}

}  // namespace

int run_score(int argc, char** argv) {
  return run_plain("score", kScoreHelp, argc, argv, {"tasks", "outputs", "model", "wrong", "json"}, score);
}

int run_export(int argc, char** argv) {
  return run_plain(
      "export",
      "usage: cove-train export --out DIR [shape as for fit] [--temperature X] [--top-p X]\n"
      "  DIR holds tokenizer.json, chat_template.jinja and (from `cove-train weights`) model.safetensors; the other "
      "files of the Hugging Face\n"
      "  layout are written beside them\n",
      argc, argv,
      {"out", "vocab", "hidden", "layers", "heads", "kv-heads", "head-dim", "ffn", "context", "temperature", "top-p"},
      export_directory);
}

}  // namespace cove::trainer
