// Loading, encoding and decoding speed on real tokenizers and texts (COVE_TESTDATA, else build/testdata; skipped when
// missing). One core; MB/s of text. The goal is 10 MB/s.
#include <cstdlib>
#include <fstream>

#include <benchmark/benchmark.h>

#include "base/file.h"
#include "base/utf8.h"
#include "text/tokenizer/splitters.h"
#include "text/tokenizer/tokenizer.h"

namespace cove::text {
namespace {

namespace fs = std::filesystem;

fs::path testdata() {
  const char* root = std::getenv("COVE_TESTDATA");
  return root != nullptr && *root != '\0' ? fs::path(root) : fs::path("build/testdata");
}

const char* const kTokenizers[] = {"deepseek-r1", "deepseek-r1-distill-qwen-assembled", "llama3"};
const char* const kTexts[] = {"en_rust_book.jsonl", "zh_rust_book.jsonl", "sft_gsm8k_train_en.jsonl"};

// At most 4 MB of a corpus file.
std::string corpus(const char* name) {
  std::ifstream file(testdata() / "corpus" / name);
  std::string text(4 << 20, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  text.resize(complete_utf8_prefix(text));
  return text;
}

void load(benchmark::State& state) {
  const fs::path path = testdata() / "tokenizers" / kTokenizers[state.range(0)];
  state.SetLabel(kTokenizers[state.range(0)]);
  for (auto _ : state) {
    auto tokenizer = Tokenizer::from_path(path);
    if (!tokenizer) {
      state.SkipWithError(tokenizer.error().message.c_str());
      break;
    }
    benchmark::DoNotOptimize(tokenizer);
  }
}
BENCHMARK(load)->DenseRange(0, 2)->Unit(benchmark::kMillisecond);

void encode(benchmark::State& state) {
  auto tokenizer = Tokenizer::from_path(testdata() / "tokenizers" / kTokenizers[state.range(0)]);
  const std::string text = corpus(kTexts[state.range(1)]);
  if (!tokenizer || text.empty()) {
    state.SkipWithError("no test data");
    return;
  }
  size_t tokens = 0;
  for (auto _ : state) {
    const auto ids = (*tokenizer)->encode(text);
    tokens = ids->size();
    benchmark::DoNotOptimize(ids->data());
  }
  state.SetLabel(std::string(kTokenizers[state.range(0)]) + " " + kTexts[state.range(1)]);
  state.SetBytesProcessed(static_cast<int64_t>(text.size()) * state.iterations());
  state.counters["bytes/token"] = static_cast<double>(text.size()) / static_cast<double>(tokens);
}
BENCHMARK(encode)->ArgsProduct({{0, 1, 2}, {0, 1, 2}})->Unit(benchmark::kMillisecond);

void encode_one_megabyte_of(benchmark::State& state, std::string_view unit) {
  auto tokenizer = Tokenizer::from_path(testdata() / "tokenizers" / kTokenizers[state.range(0)]);
  std::string text;
  while (text.size() < (size_t{1} << 20)) text += unit;
  if (!tokenizer) {
    state.SkipWithError("no test data");
    return;
  }
  for (auto _ : state) benchmark::DoNotOptimize((*tokenizer)->encode(text)->data());
  state.SetLabel(kTokenizers[state.range(0)]);
  state.SetBytesProcessed(static_cast<int64_t>(text.size()) * state.iterations());
}
BENCHMARK_CAPTURE(encode_one_megabyte_of, letter, "a")->DenseRange(0, 2)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(encode_one_megabyte_of, space, " ")->DenseRange(0, 2)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(encode_one_megabyte_of, ideograph, "的")->DenseRange(0, 2)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(encode_one_megabyte_of, acute, "\xCC\x81")->DenseRange(0, 2)->Unit(benchmark::kMillisecond);

void decode(benchmark::State& state) {
  auto tokenizer = Tokenizer::from_path(testdata() / "tokenizers" / kTokenizers[state.range(0)]);
  const std::string text = corpus(kTexts[1]);
  if (!tokenizer || text.empty()) {
    state.SkipWithError("no test data");
    return;
  }
  const auto ids = (*tokenizer)->encode(text);
  for (auto _ : state) benchmark::DoNotOptimize((*tokenizer)->decode(*ids, true).data());
  state.SetLabel(kTokenizers[state.range(0)]);
  state.SetBytesProcessed(static_cast<int64_t>(text.size()) * state.iterations());
}
BENCHMARK(decode)->DenseRange(0, 2)->Unit(benchmark::kMillisecond);

void split(benchmark::State& state, void (*splitter)(std::string_view, PieceSink)) {
  const std::string text = corpus(kTexts[state.range(0)]);
  for (auto _ : state) {
    size_t pieces = 0;
    const auto count = [&](std::string_view) { ++pieces; };
    splitter(text, count);
    benchmark::DoNotOptimize(pieces);
  }
  state.SetLabel(kTexts[state.range(0)]);
  state.SetBytesProcessed(static_cast<int64_t>(text.size()) * state.iterations());
}
BENCHMARK_CAPTURE(split, deepseek_v3, split_deepseek_v3)->DenseRange(0, 2)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(split, gpt2, split_gpt2)->DenseRange(0, 2)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace cove::text
