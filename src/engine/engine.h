#pragma once
// The engine of engine/api, on one thread of its own: take the inbox, plan, run, commit. Where the backend runs ahead,
// the next step is planned and submitted while one runs, and committing falls into the next one's time. Made by
// make_engine.

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "engine/admission_gate.h"
#include "engine/api/engine.h"
#include "engine/kv/kv_pool.h"
#include "engine/make_engine.h"
#include "engine/options.h"
#include "engine/runner/runner.h"
#include "engine/scheduler/scheduler.h"
#include "engine/step_forecast.h"
#include "engine/step_pacer.h"
#include "model/decoder.h"

namespace cove::engine {

// Everything a running engine owns. Members are destroyed bottom up: the cache and weights before the backend, the
// backend before the mapped files.
struct EngineParts {
  std::shared_ptr<const void> files;
  std::shared_ptr<const text::Tokenizer> tokenizer;
  std::unique_ptr<Backend> backend;
  std::unique_ptr<model::Decoder> decoder;
  std::unique_ptr<KvCache> cache;
  std::vector<int32_t> eos_ids;
  ModelInfo info;
};

class LoopEngine final : public Engine {
 public:
  LoopEngine(EngineParts parts, const EngineOptions& options);
  ~LoopEngine() override;  // cancels what is left and joins the thread

  Result<RequestId> submit(Request request, std::shared_ptr<TokenSink> sink) override;
  void cancel(RequestId id) override;
  const ModelInfo& model() const override { return parts_.info; }
  Stats stats() const override;
  Health health() const override;
  void drain() override;
  bool idle() const override;

 private:
  using Clock = std::chrono::steady_clock;
  enum class State : uint8_t { kReady, kDraining, kFailed };

  // A step that was submitted and has not ended.
  struct Flight {
    StepPlan plan;
    Clock::time_point submitted;
    std::vector<std::unique_ptr<Sequence>> finished;  // meanwhile; the step still has parts for them
  };

  // Engine thread.
  void loop();
  bool wait_for_work();
  void wait_for_company(std::unique_lock<std::mutex>& lock);
  void take_inbox();
  void step();
  void wait_for_latecomers();
  Status submit_planned();
  Status end_oldest();
  Flight& land_oldest();
  void record(const Flight& ended);
  void commit(const StepPlan& plan, std::span<const SampleResult> results);
  void count_started(const StepPlan& plan);
  void fail(const Error& error);
  void forget_flights();
  Flight& flight(size_t index) { return flights_[(oldest_ + index) % flights_.size()]; }
  void accept(Sequence& sequence, const SampleResult& result);
  void end_at_stop_token(Sequence& sequence);
  void finish(Sequence& sequence, Finish finish);
  void finish_all(FinishReason reason, const Error& error);
  void publish_stats();
  bool has_work() const { return scheduler_.running() + scheduler_.waiting() > 0 || under_way_ > 0; }
  double seconds_since_beat() const;

  EngineParts parts_;
  const EngineOptions options_;
  KvPool pool_;
  Scheduler scheduler_;
  Runner runner_;
  StepPacer pacer_;
  StepForecast forecast_;
  std::array<Flight, 2> flights_;  // those under way, the oldest first: flight(0), flight(1)
  size_t oldest_ = 0;
  size_t under_way_ = 0;
  Clock::time_point last_end_;                                     // of a step
  std::unordered_map<RequestId, std::unique_ptr<Sequence>> live_;  // taken from the inbox and not finished
  Stats counted_;                                                  // engine thread's own copy

  AdmissionGate gate_;
  std::atomic<State> state_ = State::kReady;
  std::atomic<int64_t> beat_;          // steady clock, nanoseconds
  std::atomic<bool> busy_ = false;     // there is work: the loop must show life
  std::atomic<int64_t> accepted_ = 0;  // submitted and not finished

  mutable std::mutex mutex_;  // guards what follows; never held while a sink is called
  std::condition_variable wake_;
  std::vector<std::unique_ptr<Sequence>> inbox_;  // bounded by gate_
  std::vector<RequestId> cancels_;
  RequestId last_id_ = 0;
  bool stopping_ = false;
  Stats published_;

  std::thread thread_;  // last: runs loop()
};

}  // namespace cove::engine
