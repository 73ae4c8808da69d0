#include "bench_model.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <numeric>

#include <fmt/format.h>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "backends/cpu/cpu_backend.h"
#include "backends/cuda/cuda_backend.h"
#include "base/json.h"
#include "bench_weights.h"
#include "engine/options.h"
#include "logit_reader.h"
#include "model/decoder.h"
#include "open_engine.h"

namespace cove::app {
namespace {

constexpr int64_t kPageTokens = 16;
// A longer prompt is computed in steps of this size, about as the engine does.
constexpr int64_t kCpuChunkTokens = 512;
constexpr int64_t kCudaChunkTokens = 4096;
constexpr const char* kCuda = "cuda";
constexpr int kPrefillRepeats = 3;
constexpr int64_t kWarmUpSteps = 2;

double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

Result<BenchCeilings> measure_ceilings(const ModelBenchOptions& options) {
  BenchCeilings ceilings;
  if (options.device != kCuda) {
    TRY_ASSIGN(ceilings.rates, measure_cpu_ceilings({.threads = options.threads, .isa = options.isa}));
    return ceilings;
  }
  TRY_ASSIGN(const CudaCeilings cuda, measure_cuda_ceilings());
  ceilings.device = BenchCeilings::Device::kGpu;
  ceilings.rates.isa = kCuda;
  ceilings.rates.read_gbs.all_threads = cuda.read_gbs;
  ceilings.rates.bf16_gflops.all_threads = cuda.bf16_tflops * 1e3;
  ceilings.rates.int8_gops.all_threads = cuda.int8_tops * 1e3;
  ceilings.fp8_gflops = cuda.fp8_tflops * 1e3;
  return ceilings;
}

// A loaded model and a cache for some sequences that all have the same length.
class Subject {
 public:
  static Result<std::unique_ptr<Subject>> create(const ModelBenchOptions& options, BenchWeights weights) {
    auto subject = std::unique_ptr<Subject>(new Subject(std::move(weights)));
    TRY_ASSIGN(subject->backend_, open_backend({.device = options.device,
                                                .threads = options.threads,
                                                .isa = options.isa,
                                                .weight_format = options.weight_format}));
    subject->chunk_tokens_ = options.device == kCuda ? kCudaChunkTokens : kCpuChunkTokens;
    const int64_t batch = *std::max_element(options.batches.begin(), options.batches.end());
    const auto begin = std::chrono::steady_clock::now();
    TRY_ASSIGN(
        subject->decoder_,
        model::Decoder::load(subject->weights_.spec, subject->weights_.tensors, *subject->backend_,
                             {.batch_tokens_max = std::max(subject->chunk_tokens_, batch), .logit_rows_max = batch},
                             subject->weights_.release));
    subject->load_s_ = seconds_since(begin);
    const DType cache_format = cache_dtype(options.kv_format, subject->weights_.format);
    subject->pages_per_sequence_ = (options.prefill + options.decode + kWarmUpSteps) / kPageTokens + 1;
    TRY_ASSIGN(subject->cache_, subject->backend_->make_kv_cache(
                                    model::Decoder::kv_layout(subject->weights_.spec, kPageTokens, cache_format),
                                    subject->pages_per_sequence_ * batch));
    return subject;
  }

  // Computes positions [begin, begin + count) of the first `batch` sequences; seconds.
  double step(int64_t batch, int64_t begin, int64_t count) {
    const auto started = std::chrono::steady_clock::now();
    submit(batch, begin, count);
    wait();
    return seconds_since(started);
  }

  // One position after the other from `begin` on; seconds from one step's end to the next one's. As in the engine the
  // next step is submitted while one runs, where the backend can.
  std::vector<double> decode(int64_t batch, int64_t begin, int64_t steps) {
    std::vector<double> seconds;
    auto last_end = std::chrono::steady_clock::now();
    int64_t submitted = 0;
    for (int64_t i = 0; i < steps; ++i) {
      const int64_t wanted = std::min(steps, i + (backend_->runs_ahead() ? 2 : 1));
      for (; submitted < wanted; ++submitted) submit(batch, begin + submitted, 1);
      wait();
      seconds.push_back(seconds_since(last_end));
      last_end = std::chrono::steady_clock::now();
    }
    return seconds;
  }

  double prefill(int64_t length) {
    double seconds = 0;
    for (int64_t begin = 0; begin < length; begin += chunk_tokens_)
      seconds += step(1, begin, std::min(chunk_tokens_, length - begin));
    return seconds;
  }

  const ModelSpec& spec() const { return weights_.spec; }
  const BenchWeights& weights() const { return weights_; }
  const KvCache& cache() const { return *cache_; }
  uint64_t weight_bytes_read() const { return decoder_->bytes_read_per_step(); }
  std::string device() const { return backend_->info().description; }
  double load_s() const { return load_s_; }
  int64_t chunk_tokens() const { return chunk_tokens_; }
  const Status& status() const { return status_; }  // of the steps so far; the first error ends them

 private:
  struct Arrays {  // of a step; the backend may read them until it has ended
    std::vector<int32_t> tokens, positions, slots, pages, rows;
    std::vector<SequenceSlice> slices;
    StepBatch batch;
  };

  explicit Subject(BenchWeights weights) : weights_(std::move(weights)) {}

  void submit(int64_t batch, int64_t begin, int64_t count) {
    if (!status_) return;
    const StepBatch& step = lay_out(batch, begin, count);
    backend_->begin_step(step);
    (void)decoder_->forward(step, *cache_);
    status_ = backend_->submit_step();
  }
  void wait() {
    if (status_) status_ = backend_->wait_step();
  }
  const StepBatch& lay_out(int64_t batch, int64_t begin, int64_t count) {
    turn_ = 1 - turn_;
    Arrays& a = arrays_[turn_];
    a.tokens.clear(), a.positions.clear(), a.slots.clear(), a.slices.clear(), a.pages.clear(), a.rows.clear();
    for (int64_t s = 0; s < batch; ++s) {
      a.slices.push_back({.token_begin = static_cast<int32_t>(a.tokens.size()),
                          .token_count = static_cast<int32_t>(count),
                          .kv_length = static_cast<int32_t>(begin + count),
                          .page_begin = static_cast<int32_t>(a.pages.size())});
      for (int64_t i = begin; i < begin + count; ++i) {
        a.tokens.push_back(static_cast<int32_t>((i * 7919 + s * 31) % weights_.spec.vocab));
        a.positions.push_back(static_cast<int32_t>(i));
        a.slots.push_back(static_cast<int32_t>(s * pages_per_sequence_ * kPageTokens + i));
      }
      for (int64_t p = 0; p < pages_per_sequence_; ++p)
        a.pages.push_back(static_cast<int32_t>(s * pages_per_sequence_ + p));
      a.rows.push_back(static_cast<int32_t>(a.tokens.size()) - 1);
    }
    a.batch = {.tokens = a.tokens,
               .positions = a.positions,
               .slots = a.slots,
               .sequences = a.slices,
               .page_table = a.pages,
               .logit_rows = a.rows};
    return a.batch;
  }

  BenchWeights weights_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<model::Decoder> decoder_;
  std::unique_ptr<KvCache> cache_;
  int64_t pages_per_sequence_ = 0;
  double load_s_ = 0;
  int64_t chunk_tokens_ = kCpuChunkTokens;
  Status status_;
  std::array<Arrays, 2> arrays_;  // in turns
  size_t turn_ = 0;
};

// Operations of one sequence's step of `count` tokens that end at `length`: layers, attention, and the logits of one
// row.
double operations(const ModelSpec& spec, int64_t count, int64_t length) {
  double sum = 2.0 * static_cast<double>(spec.hidden * spec.vocab);
  for (const LayerSpec& layer : spec.layers) {
    const int64_t q = layer.heads * layer.head_dim;
    const int64_t kv = layer.kv_heads * layer.head_dim;
    sum += 2.0 * static_cast<double>(count * (spec.hidden * (2 * q + 2 * kv) + 3 * spec.hidden * layer.ffn_dim));
    const double seen = static_cast<double>(count) * (static_cast<double>(length) - static_cast<double>(count - 1) / 2);
    sum += 4.0 * static_cast<double>(q) * seen;
  }
  return sum;
}

double better(double a, double b) { return std::max(a, b); }

double compute_ceiling(const ModelBenchReport& report) {
  const auto pick = [&](const BenchCeilings& c) {
    return report.arithmetic == "fp8"    ? c.fp8_gflops
           : report.arithmetic == "int8" ? c.rates.int8_gops.all_threads
           : report.arithmetic == "bf16" ? c.rates.bf16_gflops.all_threads
                                         : c.rates.f32_gflops.all_threads;
  };
  return better(pick(report.before), pick(report.after));
}

ModelBenchRow measure_prefill(Subject& subject, int64_t length) {
  std::vector<double> seconds;
  for (int i = 0; i < kPrefillRepeats; ++i) seconds.push_back(subject.prefill(length));
  const double s = median(seconds);
  const double chunks = static_cast<double>((length + subject.chunk_tokens() - 1) / subject.chunk_tokens());
  return {.phase = "prefill",
          .batch = 1,
          .tokens = length,
          .milliseconds = s * 1e3,
          .tokens_per_s = static_cast<double>(length) / s,
          .read_gb_s = chunks * static_cast<double>(subject.weight_bytes_read()) / s / 1e9,
          .gops = operations(subject.spec(), length, length) / s / 1e9};
}

ModelBenchRow measure_decode(Subject& subject, const ModelBenchOptions& options, int64_t batch) {
  const KvLayout& layout = subject.cache().layout;
  const double kv_bytes = static_cast<double>(layout.page_bytes()) / static_cast<double>(layout.page_tokens);
  std::vector<double> seconds = subject.decode(batch, options.prefill, options.decode + kWarmUpSteps);
  seconds.erase(seconds.begin(), seconds.begin() + kWarmUpSteps);
  const double s = median(seconds);
  const double length = static_cast<double>(options.prefill) + static_cast<double>(options.decode) / 2;
  const double read = static_cast<double>(subject.weight_bytes_read()) + static_cast<double>(batch) * length * kv_bytes;
  const auto rows = static_cast<double>(batch);
  return {.phase = "decode",
          .batch = batch,
          .tokens = options.decode,
          .milliseconds = s * 1e3,
          .tokens_per_s = rows / s,
          .read_gb_s = read / s / 1e9,
          .gops = rows * operations(subject.spec(), 1, static_cast<int64_t>(length)) / s / 1e9};
}

Status check(const ModelBenchOptions& options) {
  constexpr int64_t kTokensMax = 1 << 20;
  if (options.prefill < 0 || options.prefill > kTokensMax || options.decode < 0 || options.decode > kTokensMax) {
    return invalid_argument("--prefill and --decode take 0 to 1048576 tokens");
  }
  for (const int64_t batch : options.batches) {
    if (batch < 1 || batch > 256) return invalid_argument("--batch takes sizes from 1 to 256, as in 1,4,8");
  }
  if (!engine::is_kv_format(options.kv_format)) {
    return invalid_argument("--kv-format is auto, f32, f16, bf16 or fp8");
  }
  if (options.batches.empty()) return invalid_argument("--batch needs at least one size, as in 1,4,8");
  return {};
}

boost::json::object pair_json(const CeilingPair& pair) {
  return {{"one_thread", pair.one_thread}, {"all_threads", pair.all_threads}};
}

boost::json::object ceilings_json(const BenchCeilings& ceilings) {
  const CpuCeilings& c = ceilings.rates;
  return {{"threads", c.threads},
          {"isa", c.isa},
          {"read_gb_s", pair_json(c.read_gbs)},
          {"f32_gflop_s", pair_json(c.f32_gflops)},
          {"bf16_gflop_s", pair_json(c.bf16_gflops)},
          {"int8_gop_s", pair_json(c.int8_gops)},
          {"fp8_gflop_s", pair_json({.one_thread = 0, .all_threads = ceilings.fp8_gflops})}};
}

std::string gpu_ceilings_text(const char* when, const BenchCeilings& ceilings) {
  const CpuCeilings& c = ceilings.rates;
  std::string text = fmt::format("  {:<7} {:>8.0f} GB/s read   {:>8.1f} bf16 TFLOP/s", when, c.read_gbs.all_threads,
                                 c.bf16_gflops.all_threads / 1e3);
  if (ceilings.fp8_gflops > 0) text += fmt::format("   {:>8.1f} fp8 TFLOP/s", ceilings.fp8_gflops / 1e3);
  if (c.int8_gops.all_threads > 0) text += fmt::format("   {:>8.1f} int8 TOP/s", c.int8_gops.all_threads / 1e3);
  return text + "\n";
}

std::string ceilings_text(const char* when, const BenchCeilings& ceilings) {
  if (ceilings.device == BenchCeilings::Device::kGpu) return gpu_ceilings_text(when, ceilings);
  const CpuCeilings& c = ceilings.rates;
  return fmt::format("  {:<7} {:>6.1f} {:>6.1f}   {:>6.0f} {:>6.0f}   {:>6.0f} {:>6.0f}   {:>6.0f} {:>6.0f}\n", when,
                     c.read_gbs.one_thread, c.read_gbs.all_threads, c.f32_gflops.one_thread, c.f32_gflops.all_threads,
                     c.bf16_gflops.one_thread, c.bf16_gflops.all_threads, c.int8_gops.one_thread,
                     c.int8_gops.all_threads);
}

}  // namespace

std::string arithmetic_of(const std::string& format, const BenchCeilings& ceilings) {
  const CpuCeilings& rates = ceilings.rates;
  if (ceilings.device == BenchCeilings::Device::kGpu) {
    // Long prompts are multiplied in the weights' own eight bits where the device does that; all else as bf16.
    if (format == "fp8" && ceilings.fp8_gflops > 0) return "fp8";
    return format == "int8" && rates.int8_gops.all_threads > 0 ? "int8" : "bf16";
  }
  if (format == "q8_0" || format == "q4_0") return "int8";
  return format == "bf16" && rates.bf16_gflops.all_threads > 0 ? "bf16" : "f32";
}

Result<ModelBenchReport> run_model_bench(const ModelBenchOptions& options) {
  TRY(check(options));
  const auto opening = std::chrono::steady_clock::now();
  const HostUse host_use = options.device == kCuda ? HostUse::kFewTensors : HostUse::kAllTensors;
  TRY_ASSIGN(BenchWeights weights, options.model.empty() ? random_bench_weights(options.shape, options.format, host_use)
                                                         : open_bench_weights(options.model, options.key));
  const double open_s = seconds_since(opening);
  if (options.prefill + options.decode + kWarmUpSteps > weights.spec.context_max) {
    return invalid_argument(fmt::format("prefill and decode together must stay below the model's context of {} tokens",
                                        weights.spec.context_max));
  }
  ModelBenchReport report;
  TRY_ASSIGN(report.before, measure_ceilings(options));
  TRY_ASSIGN(const auto subject, Subject::create(options, std::move(weights)));
  report.model = subject->weights().name;
  report.format = options.weight_format == "auto" ? subject->weights().format : options.weight_format;
  report.device = subject->device();
  report.kv_format = dtype_info(subject->cache().layout.dtype).name;
  report.arithmetic = arithmetic_of(report.format, report.before);
  report.parameters_read = active_parameters(subject->spec());
  report.weight_bytes_read = subject->weight_bytes_read();
  report.weight_bytes = subject->weights().bytes;
  report.open_s = open_s;
  report.load_s = subject->load_s();
  report.first_step_s = subject->step(1, 0, 1);  // first touch of mapped pages and of scratch
  if (options.prefill > 0) report.rows.push_back(measure_prefill(*subject, options.prefill));
  for (const int64_t batch : options.batches) {
    if (options.decode > 0) report.rows.push_back(measure_decode(*subject, options, batch));
  }
  TRY(subject->status());
  TRY_ASSIGN(report.after, measure_ceilings(options));
  for (ModelBenchRow& row : report.rows) {
    row.read_share =
        row.read_gb_s / better(report.before.rates.read_gbs.all_threads, report.after.rates.read_gbs.all_threads);
    row.compute_share = row.gops / compute_ceiling(report);
  }
  return report;
}

std::string report_text(const ModelBenchReport& report) {
  std::string text = fmt::format("{}, {}, {:.2f} GB read a token ({:.2f} G parameters), cache in {}\n{}\n",
                                 report.model, report.format, static_cast<double>(report.weight_bytes_read) / 1e9,
                                 static_cast<double>(report.parameters_read) / 1e9, report.kv_format, report.device);
  text += fmt::format("opened in {:.2f} s, loaded in {:.2f} s, first step {:.2f} s", report.open_s, report.load_s,
                      report.first_step_s);
  text += report.weight_bytes > 0 ? fmt::format(": {:.2f} GB/s\n\n", report.ready_gb_s()) : "\n\n";
  text += fmt::format("  phase    batch  tokens        ms     tok/s    GB/s  of ceiling     G{}/s  of {} ceiling\n",
                      report.arithmetic == "int8" ? "OP" : "FLOP", report.arithmetic);
  for (const ModelBenchRow& row : report.rows) {
    text += fmt::format("  {:<8} {:>5} {:>7} {:>9.1f} {:>9.1f} {:>7.1f} {:>10.0f}% {:>9.0f} {:>10.0f}%\n", row.phase,
                        row.batch, row.tokens, row.milliseconds, row.tokens_per_s, row.read_gb_s, row.read_share * 100,
                        row.gops, row.compute_share * 100);
  }
  if (report.before.device == BenchCeilings::Device::kGpu) {
    text += "\nceilings of the device, measured in this run:\n";
    return text + ceilings_text("before", report.before) + ceilings_text("after", report.after);
  }
  text += fmt::format(
      "\nceilings measured in this run, 1 and {} threads:\n          read GB/s       f32 GFLOP/s     bf16 GFLOP/s    "
      "int8 GOP/s\n",
      report.before.rates.threads);
  return text + ceilings_text("before", report.before) + ceilings_text("after", report.after);
}

std::string report_json(const ModelBenchReport& report) {
  boost::json::array rows;
  for (const ModelBenchRow& row : report.rows) {
    rows.push_back(boost::json::object{{"phase", row.phase},
                                       {"batch", row.batch},
                                       {"tokens", row.tokens},
                                       {"ms", row.milliseconds},
                                       {"tokens_per_s", row.tokens_per_s},
                                       {"read_gb_s", row.read_gb_s},
                                       {"read_share", row.read_share},
                                       {"gop_s", row.gops},
                                       {"compute_share", row.compute_share}});
  }
  return boost::json::serialize(boost::json::object{{"model", report.model},
                                                    {"format", report.format},
                                                    {"kv_format", report.kv_format},
                                                    {"device", report.device},
                                                    {"arithmetic", report.arithmetic},
                                                    {"parameters_read", report.parameters_read},
                                                    {"weight_bytes_read", report.weight_bytes_read},
                                                    {"weight_bytes", report.weight_bytes},
                                                    {"open_s", report.open_s},
                                                    {"load_s", report.load_s},
                                                    {"first_step_s", report.first_step_s},
                                                    {"ready_gb_s", report.ready_gb_s()},
                                                    {"rows", std::move(rows)},
                                                    {"ceilings_before", ceilings_json(report.before)},
                                                    {"ceilings_after", ceilings_json(report.after)}});
}

}  // namespace cove::app
