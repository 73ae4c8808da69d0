// What auditing costs: the caller's time per append (which is what a request feels), and how many lines a second the
// log takes. COVE_BENCH_DIR says on which disk; the default is the temporary folder.
#include <atomic>
#include <cstdlib>
#include <filesystem>

#include <benchmark/benchmark.h>

#include "base/check.h"
#include "services/audit/record_json.h"
#include "services/audit/testing/log_folder.h"
#include "services/audit/verifier.h"

namespace cove::audit {
namespace {

LogOptions bench_options(const testing::LogFolder& folder, SyncPolicy sync, PromptForm form) {
  LogOptions options = folder.options();
  options.sync = sync;
  options.prompts = form;
  options.queue_max = 1 << 16;
  return options;
}

// Lines a second from one thread that never waits but for places in the queue: the writer is what binds.
void BM_lines(benchmark::State& state) {
  const testing::LogFolder folder;
  const auto sync = static_cast<SyncPolicy>(state.range(0));
  const auto log = testing::open_log(bench_options(folder, sync, static_cast<PromptForm>(state.range(1))));
  const Record record = testing::chat_record();
  int64_t lines = 0;
  for (auto _ : state) {
    for (int i = 0; i < 1000; ++i, ++lines) {
      auto slot = log->admit();
      while (!slot) slot = log->admit();
      log->append(std::move(*slot), record);
    }
    COVE_CHECK(log->flush().has_value());
  }
  state.SetItemsProcessed(lines);
  state.counters["syncs"] = static_cast<double>(log->stats().syncs);
}
BENCHMARK(BM_lines)
    ->ArgNames({"sync", "form"})
    ->ArgsProduct({{static_cast<int>(SyncPolicy::kAlways), static_cast<int>(SyncPolicy::kNever)},
                   {static_cast<int>(PromptForm::kNone), static_cast<int>(PromptForm::kHash),
                    static_cast<int>(PromptForm::kFull)}})
    ->UseRealTime();

// The caller's time for admit and append, with the writer at work beside it.
void BM_append(benchmark::State& state) {
  const testing::LogFolder folder;
  const auto log = testing::open_log(bench_options(folder, SyncPolicy::kAlways, PromptForm::kHash));
  const Record record = testing::chat_record();
  int64_t appended = 0;
  for (auto _ : state) {
    state.PauseTiming();
    if (++appended % 1000 == 0) COVE_CHECK(log->flush().has_value());  // no record may be refused
    Record copy = record;
    state.ResumeTiming();
    auto slot = log->admit();
    log->append(std::move(*slot), std::move(copy));
  }
  COVE_CHECK(log->flush().has_value() && log->stats().dropped == 0);
}
BENCHMARK(BM_append)->Iterations(50'000);

// From append until the record is on disk, one at a time: what a caller that waits for it adds to its answer.
void BM_durable(benchmark::State& state) {
  const testing::LogFolder folder;
  const auto log = testing::open_log(bench_options(folder, SyncPolicy::kAlways, PromptForm::kHash));
  const Record record = testing::chat_record();
  for (auto _ : state) {
    std::atomic<bool> done{false};
    log->append({}, record, [&](const Status& on_disk) {
      COVE_CHECK(on_disk.has_value());
      done = true;
      done.notify_one();
    });
    done.wait(false);
  }
}
BENCHMARK(BM_durable)->UseRealTime();

void BM_verify(benchmark::State& state) {
  const testing::LogFolder folder;
  testing::make_log(folder.options(), 20'000);
  uint64_t bytes = 0;
  uint64_t lines = 0;
  for (auto _ : state) {
    const auto report = verify({.dir = folder.dir()});
    COVE_CHECK(report.has_value() && report->check.problems_total == 0);
    bytes += report->bytes;
    lines += report->check.lines;
  }
  state.SetBytesProcessed(static_cast<int64_t>(bytes));
  state.SetItemsProcessed(static_cast<int64_t>(lines));
}
BENCHMARK(BM_verify)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace cove::audit
