#include "cmd/data_command.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>

#include <boost/json/serialize.hpp>

#include "base/file.h"
#include "cmd/arguments.h"
#include "data/bpe_trainer.h"
#include "data/conversation.h"
#include "data/corpus.h"
#include "data/model_directory.h"
#include "data/producer.h"
#include "tasks/generator.h"
#include "text/chat/answer_check.h"
#include "text/tokenizer/pre_tokenizer.h"

namespace cove::trainer {
namespace {

constexpr const char* kHelp =
    "usage: cove-train data tokenizer|shards|heldout|show [options]\n"
    "  tokenizer --out DIR [--corpus DIR] [--vocab 7168] [--samples 40000] [--seed 1]   learns tokenizer.json\n"
    "  shards    --out DIR --model DIR [--corpus DIR] [--first 0] [--count 1] [--threads 1] [--samples 8192] "
    "[--corpus-percent 3] [--seed 1]\n"
    "            [--mix comparison:30,table:20]   token shards of the training mix; shard i depends on the options and "
    "i "
    "alone;\n"
    "            --mix changes the named tasks' shares (percent of the documents by default)\n"
    "  heldout   --out DIR --model DIR [--per-task 200] [--seed 1]   tasks.jsonl and shard-000000.bin with their "
    "prompts: problems that no\n"
    "            training sample holds, per task and language\n"
    "  show      [--task NAME] [--language zh|en] [--count 3] [--seed 1] [--heldout 1]   samples as text\n";
constexpr size_t kPassageBytes = 3000;

int usage(const std::string& message) {
  std::fprintf(stderr, "cove-train data: %s\n%s", message.c_str(), kHelp);
  return 2;
}

Result<std::vector<std::string>> corpus_of(const Arguments& arguments) {
  const std::string dir = arguments.text("corpus", "");
  if (dir.empty()) return std::vector<std::string>{};
  return read_corpus(dir, kPassageBytes);
}

Status make_dir(const std::filesystem::path& dir) {
  std::error_code error;
  std::filesystem::create_directories(dir, error);
  if (error) return make_error(ErrorCode::kIo, dir.string() + ": " + error.message());
  return {};
}

Status count_pieces(std::string_view text, PieceCounts& counts) {
  static const text::PreTokenizer pre = text::PreTokenizer::qwen2();
  return pre.split(text, [&](std::string_view piece) { ++counts[std::string(piece)]; });
}

// Control tokens would otherwise be learned as text: they are cut out of what is counted.
Status count_conversation(const std::string& text, PieceCounts& counts) {
  std::string_view rest = text;
  while (!rest.empty()) {
    size_t at = std::string_view::npos, length = 0;
    for (const SpecialToken& token : special_tokens()) {
      size_t found = rest.find(token.text);
      if (found < at) at = found, length = token.text.size();
    }
    TRY(count_pieces(rest.substr(0, at), counts));
    if (at == std::string_view::npos) return {};
    rest.remove_prefix(at + length);
  }
  return {};
}

Status data_tokenizer(const Arguments& arguments) {
  TRY_ASSIGN(const int64_t vocab, arguments.integer("vocab", 7168));
  TRY_ASSIGN(const int64_t samples, arguments.integer("samples", 40000));
  TRY_ASSIGN(const int64_t seed, arguments.integer("seed", 1));
  const auto special = special_tokens();
  if (vocab < 512) return invalid_argument("--vocab must be at least 512");
  PieceCounts counts;
  TRY_ASSIGN(const auto corpus, corpus_of(arguments));
  for (const std::string& passage : corpus) TRY(count_pieces(passage, counts));
  for (int64_t i = 0; i < samples; ++i) {
    const Sample sample = training_sample(static_cast<uint64_t>(seed), static_cast<uint64_t>(i));
    TRY(count_conversation(render_prompt(sample) + render_completion(sample), counts));
  }
  const BpeVocabulary learned = train_bpe(counts, static_cast<size_t>(vocab) - special.size());
  std::fprintf(stderr, "%zu different pieces, %zu tokens learned\n", counts.size(), learned.tokens.size());
  const std::filesystem::path dir = arguments.text("out", ".");
  TRY(make_dir(dir));
  return write_file_atomic(dir / "tokenizer.json", tokenizer_json(learned, special));
}

Status data_shards(const Arguments& arguments) {
  ProducerOptions options;
  options.dir = arguments.text("out", ".");
  TRY_ASSIGN(options.first, arguments.integer("first", 0));
  TRY_ASSIGN(options.count, arguments.integer("count", 1));
  TRY_ASSIGN(options.threads, arguments.integer("threads", 1));
  TRY_ASSIGN(options.samples_per_shard, arguments.integer("samples", options.samples_per_shard));
  TRY_ASSIGN(const int64_t seed, arguments.integer("seed", 1));
  TRY_ASSIGN(const double percent, arguments.number("corpus-percent", 3));
  if (options.first < 0 || options.count < 1 || options.threads < 1 || options.threads > 256 ||
      options.samples_per_shard < 1 || percent < 0 || percent > 100)
    return invalid_argument(
        "--first, --count, --threads (at most 256), --samples and --corpus-percent must be positive");
  options.seed = static_cast<uint64_t>(seed);
  options.corpus_share = percent / 100;
  TRY_ASSIGN(options.mix, parse_mix(arguments.text("mix", "")));
  TRY_ASSIGN(const auto tokenizer, text::Tokenizer::from_path(arguments.text("model", ".")));
  TRY_ASSIGN(const auto corpus, corpus_of(arguments));
  TRY(make_dir(options.dir));
  TRY_ASSIGN(const int64_t tokens, produce_shards(options, corpus, *tokenizer));
  std::printf("{\"shards\":%lld,\"tokens\":%lld}\n", static_cast<long long>(options.count),
              static_cast<long long>(tokens));
  return {};
}

const char* language_name(Language language) { return language == Language::kChinese ? "zh" : "en"; }

json::object task_line(const Sample& sample) {
  json::object line = request_json(sample);
  line["task"] = sample.task;
  line["language"] = language_name(sample.language);
  line["prompt"] = render_prompt(sample);
  line["reasoning"] = sample.reasoning;
  line["answer"] = render_answer(sample);
  line["check"] = json::object{{"kind", text::check_name(sample.check.kind)},
                               {"want", json::array(sample.check.want.begin(), sample.check.want.end())}};
  return line;
}

Status data_heldout(const Arguments& arguments) {
  TRY_ASSIGN(const int64_t per_task, arguments.integer("per-task", 200));
  TRY_ASSIGN(const int64_t seed, arguments.integer("seed", 1));
  TRY_ASSIGN(const auto tokenizer, text::Tokenizer::from_path(arguments.text("model", ".")));
  const std::filesystem::path dir = arguments.text("out", ".");
  TRY(make_dir(dir));
  std::string lines;
  std::vector<Document> prompts;
  for (const TaskRow& task : task_rows()) {
    for (Language language : {Language::kChinese, Language::kEnglish}) {
      for (int64_t i = 0; i < per_task; ++i) {
        Sample sample = heldout_sample(task, language, static_cast<uint64_t>(seed), static_cast<uint64_t>(i));
        sample.task = task.name;
        lines += json::serialize(task_line(sample)) + "\n";
        TRY_ASSIGN(const auto ids, tokenizer->encode(render_prompt(sample)));
        prompts.push_back({{ids.begin(), ids.end()}, std::vector<uint8_t>(ids.size(), 0)});
      }
    }
  }
  TRY(write_file_atomic(dir / "tasks.jsonl", lines));
  return write_shard(dir, 0, prompts);
}

Status data_show(const Arguments& arguments) {
  TRY_ASSIGN(const int64_t count, arguments.integer("count", 3));
  TRY_ASSIGN(const int64_t seed, arguments.integer("seed", 1));
  TRY_ASSIGN(const int64_t heldout, arguments.integer("heldout", 0));
  const std::string task = arguments.text("task", ""), language = arguments.text("language", "");
  int64_t shown = 0;
  for (uint64_t i = 0; shown < count && i < 1'000'000; ++i) {
    Sample sample;
    if (heldout == 1) {
      const TaskRow& row = task_rows()[i % task_rows().size()];
      sample = heldout_sample(row, i / task_rows().size() % 2 == 0 ? Language::kChinese : Language::kEnglish,
                              static_cast<uint64_t>(seed), i);
    } else {
      sample = training_sample(static_cast<uint64_t>(seed), i);
    }
    if ((!task.empty() && sample.task != task) || (!language.empty() && language != language_name(sample.language)))
      continue;
    ++shown;
    std::printf("---- %s %s\n%s%s\n", sample.task.c_str(), language_name(sample.language),
                render_prompt(sample).c_str(), render_completion(sample).c_str());
  }
  return {};
}

}  // namespace

int run_data(int argc, char** argv) {
  if (argc < 2) return usage("what shall be made?");
  const std::string what = argv[1];
  if (what == "--help" || what == "-h" || (argc > 2 && std::strcmp(argv[2], "--help") == 0)) {
    std::fputs(kHelp, stdout);
    return 0;
  }
  struct Part {
    const char* name;
    std::vector<std::string> known;
    Status (*run)(const Arguments&);
  };
  const Part parts[] = {
      {"tokenizer", {"out", "corpus", "vocab", "samples", "seed"}, data_tokenizer},
      {"shards",
       {"out", "model", "corpus", "first", "count", "threads", "samples", "corpus-percent", "seed", "mix"},
       data_shards},
      {"heldout", {"out", "model", "per-task", "seed"}, data_heldout},
      {"show", {"task", "language", "count", "seed", "heldout"}, data_show}};
  for (const Part& part : parts) {
    if (what != part.name) continue;
    auto arguments = Arguments::parse(argc - 1, argv + 1, part.known);
    if (!arguments) return usage(arguments.error().message);
    const Status done = part.run(*arguments);
    if (done) return 0;
    std::fprintf(stderr, "cove-train data %s: %s\n", part.name, done.error().message.c_str());
    return 1;
  }
  return usage("'" + what + "' is not one of tokenizer, shards, heldout, show");
}

}  // namespace cove::trainer
