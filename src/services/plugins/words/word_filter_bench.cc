// The word filter over real text with real lists: $COVE_TESTDATA/words and corpus, 50 000 words. Bytes per second of
// one core, everything included: folding, matching, replacing.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include <benchmark/benchmark.h>

#include "services/plugins/words/word_filter.h"

namespace cove::plugins {
namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& path, size_t bytes_max) {
  std::ifstream in(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  while (text.size() > bytes_max || (!text.empty() && static_cast<signed char>(text.back()) < 0)) text.pop_back();
  return text;
}

fs::path testdata() {
  const char* path = std::getenv("COVE_TESTDATA");
  return path == nullptr ? fs::path() : fs::path(path);
}

WordList real_words(size_t words_max) {
  std::string all;
  if (fs::exists(testdata() / "words")) {
    for (const auto& entry : fs::recursive_directory_iterator(testdata() / "words")) {
      if (entry.path().extension() == ".txt") all += read(entry.path(), size_t{1} << 26) + "\n";
    }
  }
  auto list = make_word_list(std::vector<WordSource>{{"words", all, WordAction::kReplace}});
  if (!list) return {};
  while (list->words.size() > words_max) list->words.erase(list->words.end() - 1);
  return std::move(*list);
}

enum class Which : uint8_t { kBest, kAutomaton };

void filter_text(benchmark::State& state, Which which, const char* corpus, size_t chunk) {
  WordList list = real_words(50'000);
  const std::string text = list.words.empty() ? "" : read(testdata() / "corpus" / corpus, size_t{4} << 20);
  if (text.empty()) return state.SkipWithError("set COVE_TESTDATA");
  const std::vector<std::string> folded = folded_words(list);
  auto matcher = which == Which::kBest ? std::move(*make_matcher(folded)) : make_aho_corasick(folded);
  const WordFilter filter(std::move(list), {}, std::move(matcher));
  state.SetLabel(std::string(filter.matcher().name()) + " " + corpus);
  uint64_t replaced = 0;
  for (auto _ : state) {
    WordStream stream(filter);
    std::string out;
    out.reserve(text.size());
    for (size_t at = 0; at < text.size(); at += chunk) stream.push(std::string_view(text).substr(at, chunk), out);
    stream.finish(out);
    benchmark::DoNotOptimize(out);
    replaced = stream.counts().replaced;
  }
  state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * text.size()));
  state.counters["words"] = static_cast<double>(filter.list().words.size());
  state.counters["replaced"] = static_cast<double>(replaced);
}

BENCHMARK_CAPTURE(filter_text, zh_whole, Which::kBest, "zh_d2l.jsonl", size_t{1} << 26);
BENCHMARK_CAPTURE(filter_text, zh_dense_whole, Which::kBest, "zh_javaguide.jsonl", size_t{1} << 26);
BENCHMARK_CAPTURE(filter_text, en_whole, Which::kBest, "en_classic_books_sample.jsonl", size_t{1} << 26);
BENCHMARK_CAPTURE(filter_text, zh_automaton, Which::kAutomaton, "zh_d2l.jsonl", size_t{1} << 26);
// As a model's tokens come.
BENCHMARK_CAPTURE(filter_text, zh_six_bytes_a_time, Which::kBest, "zh_d2l.jsonl", size_t{6});

}  // namespace
}  // namespace cove::plugins
