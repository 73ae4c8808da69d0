#include "seal_run.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <optional>

#include <fmt/format.h>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "base/json.h"
#include "model_key.h"
#include "model_report.h"
#include "progress.h"

namespace cove::app {
namespace {

using Clock = std::chrono::steady_clock;

volatile std::sig_atomic_t interrupted = 0;
extern "C" void on_seal_interrupt(int) { interrupted = 1; }

// Ctrl-C and SIGTERM stop the work, which then removes what it wrote so far.
void catch_interrupts() {
  struct sigaction action = {};
  action.sa_handler = on_seal_interrupt;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

}  // namespace

void print_seal_result(const SealResult& result, bool json) {
  const auto bytes = static_cast<double>(result.report.bytes);
  if (json) {
    fmt::print("{}\n", json::serialize(json::object{{"path", result.place},
                                                    {"files", result.report.files},
                                                    {"bytes", result.report.bytes},
                                                    {"seconds", result.seconds},
                                                    {"key_id", result.key_id}}));
    return;
  }
  fmt::print("{}: {} file{}, {} {} in {:.1f} s ({:.2f} GB/s) with key {}\n", result.place, result.report.files,
             result.report.files == 1 ? "" : "s", bytes_text(bytes), result.done, result.seconds,
             bytes / 1e9 / std::max(result.seconds, 1e-9), result.key_id);
}

int run_seal(const SealFlags& flags, const SealRun& run) {
  const auto key = read_key(key_places(flags.key_file));
  if (!key) return fail(run.command, key.error().message);
  catch_interrupts();
  const auto begin = Clock::now();
  std::optional<Progress> progress;
  std::mutex mutex;
  ModelSealOptions options;
  options.on_progress = [&](uint64_t done, uint64_t total) -> Status {
    if (interrupted != 0) return make_error(ErrorCode::kCancelled, "interrupted; nothing was left behind");
    {
      const std::lock_guard lock(mutex);
      if (!progress) progress.emplace(run.command, total);
    }
    progress->at(done);
    return {};
  };
  const auto report = run.work(*key, options);
  progress.reset();
  if (!report) return fail(run.command, report.error().message);
  print_seal_result({.place = flags.target,
                     .done = run.done,
                     .report = *report,
                     .seconds = std::chrono::duration<double>(Clock::now() - begin).count(),
                     .key_id = key->id()},
                    flags.json);
  return kDone;
}

}  // namespace cove::app
