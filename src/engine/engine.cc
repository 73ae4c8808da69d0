#include "engine/engine.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "base/log.h"
#include "engine/request_check.h"

namespace cove::engine {
namespace {

SchedulerLimits scheduler_limits(const EngineOptions& options) {
  return {.batch_tokens_max = options.batch_tokens_max,
          .sequences_max = std::min(options.sequences_max, options.batch_tokens_max)};
}

Logprob to_logprob(const SampleResult& result) {
  Logprob logprob{.token = result.token, .logprob = result.logprob, .top = {}};
  for (const TokenLogprob& item : result.top) logprob.top.emplace_back(item.token, item.logprob);
  return logprob;
}

Usage usage_of(const Sequence& sequence) {
  return {.prompt_tokens = static_cast<int32_t>(sequence.prompt_tokens),
          .cached_tokens = sequence.cached_tokens,
          .completion_tokens = static_cast<int32_t>(sequence.generated())};
}

// A lost page is a bug that would otherwise show only as a slow starvation.
void check_pages(const Status& status) {
  if (!status) COVE_CHECK_MSG(false, status.error().message);
}

}  // namespace

LoopEngine::LoopEngine(EngineParts parts, const EngineOptions& options)
    : parts_(std::move(parts)),
      options_(options),
      pool_(parts_.cache->pages, parts_.cache->layout.page_tokens,
            options.prefix_cache ? PrefixSharing::kOn : PrefixSharing::kOff),
      scheduler_(scheduler_limits(options), pool_),
      runner_(*parts_.backend, *parts_.decoder, std::move(parts_.cache)),
      pacer_(options.step_target_ms, options.batch_tokens_max),
      gate_(options.queue_max),
      beat_(Clock::now().time_since_epoch().count()) {
  publish_stats();
  thread_ = std::thread([this] { loop(); });
}

LoopEngine::~LoopEngine() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

// --- Any thread ---

Result<RequestId> LoopEngine::submit(Request request, std::shared_ptr<TokenSink> sink) {
  COVE_CHECK(sink != nullptr);
  TRY(check_request(request, parts_.info));
  const int64_t prompt = static_cast<int64_t>(request.prompt.size());
  const int64_t context_max = parts_.info.context_max;
  const int64_t length_max = request.tokens_max > 0 ? std::min(prompt + request.tokens_max, context_max) : context_max;
  const TokenRulesContext context{.vocab = parts_.info.vocab, .eos_ids = parts_.eos_ids};
  auto sequence = std::make_unique<Sequence>(0, std::move(request), std::move(sink), *parts_.tokenizer, context);
  sequence->length_max = length_max;
  RequestId id = 0;
  {
    const std::lock_guard lock(mutex_);
    if (state_ == State::kFailed)
      return make_error(ErrorCode::kUnavailable, "the engine has failed and must be restarted");
    if (state_ == State::kDraining || stopping_) {
      return make_error(ErrorCode::kUnavailable, "the engine is draining and takes no new requests");
    }
    TRY(gate_.enter(sequence->request.tenant));
    id = sequence->id = ++last_id_;
    ++accepted_;
    busy_ = true;
    inbox_.push_back(std::move(sequence));
  }
  wake_.notify_all();
  return id;
}

void LoopEngine::cancel(RequestId id) {
  {
    const std::lock_guard lock(mutex_);
    cancels_.push_back(id);
  }
  wake_.notify_all();
}

Stats LoopEngine::stats() const {
  const std::lock_guard lock(mutex_);
  Stats stats = published_;
  stats.requests_waiting += static_cast<int64_t>(inbox_.size());
  stats.seconds_since_step = busy_ ? seconds_since_beat() : 0.0;
  return stats;
}

double LoopEngine::seconds_since_beat() const {
  const Clock::duration since = Clock::now().time_since_epoch() - Clock::duration(beat_);
  return std::chrono::duration<double>(since).count();
}

Health LoopEngine::health() const {
  if (state_ == State::kFailed) return Health::kFailed;
  if (busy_ && seconds_since_beat() > static_cast<double>(options_.stuck_after_s)) return Health::kStuck;
  return state_ == State::kDraining ? Health::kDraining : Health::kReady;
}

void LoopEngine::drain() {
  const std::lock_guard lock(mutex_);
  if (state_ == State::kReady) state_ = State::kDraining;
}

bool LoopEngine::idle() const { return accepted_ == 0; }

// --- Engine thread ---

void LoopEngine::loop() {
  while (wait_for_work()) {
    beat_ = Clock::now().time_since_epoch().count();
    take_inbox();
    if (state_ == State::kFailed) {
      finish_all(FinishReason::kError,
                 make_error(ErrorCode::kUnavailable, "the engine has failed and must be restarted"));
    } else if (has_work()) {
      step();
    }
    if (live_.empty() && under_way_ == 0) check_pages(pool_.check_idle_counts());
  }
  forget_flights();
  take_inbox();
  finish_all(FinishReason::kCancelled, {});
  check_pages(pool_.check_idle_integrity());
}

// Sleeps while there is nothing to do; false when the engine is to end.
bool LoopEngine::wait_for_work() {
  std::unique_lock lock(mutex_);
  busy_ = has_work() || !inbox_.empty();
  if (!busy_) {
    wake_.wait(lock, [this] { return stopping_ || !inbox_.empty() || !cancels_.empty(); });
    beat_ = Clock::now().time_since_epoch().count();
    wait_for_company(lock);
  }
  return !stopping_;
}

void LoopEngine::wait_for_company(std::unique_lock<std::mutex>& lock) {
  if (options_.batch_window_ms == 0 || inbox_.empty()) return;
  wake_.wait_for(lock, std::chrono::milliseconds(options_.batch_window_ms),
                 [this] { return stopping_ || static_cast<int64_t>(inbox_.size()) >= options_.sequences_max; });
}

void LoopEngine::take_inbox() {
  std::vector<std::unique_ptr<Sequence>> arrived;
  std::vector<RequestId> cancelled;
  {
    const std::lock_guard lock(mutex_);
    arrived.swap(inbox_);
    cancelled.swap(cancels_);
    published_.requests_waiting += static_cast<int64_t>(arrived.size());  // until the next publish_stats
  }
  for (auto& sequence : arrived) {
    scheduler_.add(*sequence);
    live_.emplace(sequence->id, std::move(sequence));
  }
  for (const RequestId id : cancelled) {
    const auto found = live_.find(id);
    if (found == live_.end()) continue;
    ++counted_.cancelled;
    finish(*found->second, {.reason = FinishReason::kCancelled});
  }
}

// One step ends. Where that is possible the next one has been submitted before, so that the device goes on meanwhile.
void LoopEngine::step() {
  Status status;
  if (under_way_ == 0) {
    scheduler_.plan(pacer_.prompt_tokens(), flight(0).plan);
    COVE_CHECK_MSG(!flight(0).plan.slices.empty(), "sequences wait but no step could be planned");
    status = submit_planned();
  }
  if (status && options_.overlap_steps && runner_.can_run_ahead()) {
    wait_for_latecomers();
    scheduler_.plan_ahead(pacer_.prompt_tokens(), flight(1).plan);
    if (!flight(1).plan.slices.empty()) status = submit_planned();
  }
  if (status) status = end_oldest();
  if (!status) fail(status.error());
  publish_stats();
}

// As long as the step under way leaves time for it: a step that is submitted cannot be joined or left any more.
void LoopEngine::wait_for_latecomers() {
  const Flight& running = flight(0);
  const double planning_s = forecast_.planning_s(running.plan.tokens);
  if (planning_s == 0) return;
  const auto begin = std::max(running.submitted, last_end_);
  std::this_thread::sleep_until(begin +
                                std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(planning_s)));
  take_inbox();
}

// The plan behind those under way.
Status LoopEngine::submit_planned() {
  Flight& planned = flight(under_way_);
  count_started(planned.plan);
  planned.submitted = Clock::now();
  TRY(runner_.submit(planned.plan));
  scheduler_.submitted(planned.plan);
  ++under_way_;
  return {};
}

void LoopEngine::count_started(const StepPlan& plan) {
  for (const Sequence* sequence : plan.started) {
    gate_.leave(sequence->request.tenant);
    counted_.cached_prompt_tokens += static_cast<uint64_t>(sequence->cached_tokens);
  }
}

Status LoopEngine::end_oldest() {
  const Result<std::span<const SampleResult>> results = runner_.wait();
  Flight& ended = land_oldest();
  if (results) {
    record(ended);
    commit(ended.plan, *results);
  }
  ended.finished.clear();
  return results ? Status() : Status(results.error());
}

// The oldest step has ended, well or not; its flight can be read until another step is planned.
LoopEngine::Flight& LoopEngine::land_oldest() {
  Flight& landed = flight(0);
  scheduler_.ended(landed.plan);
  oldest_ = (oldest_ + 1) % flights_.size();
  --under_way_;
  return landed;
}

void LoopEngine::record(const Flight& ended) {
  const auto now = Clock::now();
  const double seconds = std::chrono::duration<double>(now - std::max(ended.submitted, last_end_)).count();
  pacer_.record(ended.plan.tokens, seconds);
  forecast_.record(ended.plan.tokens, seconds);
  last_end_ = now;
  ++counted_.steps;
  for (const PlannedSlice& slice : ended.plan.slices) {
    const int64_t prompt_left = slice.sequence->prompt_tokens - slice.begin;
    counted_.prompt_tokens += static_cast<uint64_t>(std::clamp(prompt_left, int64_t{0}, slice.count));
  }
}

// The drawn tokens, in the plan's order. Those of sequences that have finished meanwhile are nobody's.
void LoopEngine::commit(const StepPlan& plan, std::span<const SampleResult> results) {
  size_t row = 0;
  for (const PlannedSlice& slice : plan.slices) {
    if (!slice.draws) continue;
    const SampleResult& result = results[row++];
    if (slice.sequence->finished) continue;
    --slice.sequence->drawing;
    accept(*slice.sequence, result);
  }
  COVE_CHECK(row == results.size());
}

void LoopEngine::fail(const Error& error) {
  {
    const std::lock_guard lock(mutex_);
    state_ = State::kFailed;
  }
  log::error("engine.failed", {{"reason", error.message}});
  forget_flights();
  finish_all(FinishReason::kError, with_context(error, "the device failed"));
}

// Waits for what is under way; nobody gets its tokens.
void LoopEngine::forget_flights() {
  while (under_way_ > 0) {
    (void)runner_.wait();
    land_oldest().finished.clear();
  }
}

void LoopEngine::accept(Sequence& sequence, const SampleResult& result) {
  if (result.token < 0) {
    const std::string what = fmt::format("the model gave logits that are not finite at position {}", sequence.length());
    return finish(sequence, {.reason = FinishReason::kError, .error = make_error(ErrorCode::kInternal, what)});
  }
  ++counted_.generated_tokens;
  if (sequence.rules.ends(result.token)) return end_at_stop_token(sequence);

  sequence.tokens.push_back(result.token);
  sequence.rules.accept(result.token);
  Output output{.text = sequence.output.push(result.token), .tokens = {result.token}, .logprobs = {}};
  if (sequence.request.sampling.top_logprobs >= 0) output.logprobs.push_back(to_logprob(result));
  const bool full = sequence.length() == sequence.length_max;
  if (full) output.text += sequence.output.finish();
  sequence.sink->on_output(output);
  if (const auto& stop = sequence.output.stopped_at()) {
    finish(sequence, {.reason = FinishReason::kStop, .stop_string = *stop, .usage = usage_of(sequence)});
  } else if (full) {
    finish(sequence, {.reason = FinishReason::kLength, .usage = usage_of(sequence)});
  }
}

// The end token counts as generated, but is no part of the output.
void LoopEngine::end_at_stop_token(Sequence& sequence) {
  const Output output{.text = sequence.output.finish(), .tokens = {}, .logprobs = {}};
  if (!output.text.empty()) sequence.sink->on_output(output);
  Finish end{.reason = FinishReason::kStop, .stop_string = sequence.output.stopped_at().value_or("")};
  end.usage = usage_of(sequence);
  ++end.usage.completion_tokens;
  finish(sequence, std::move(end));
}

// Pages come back and statistics are up to date before the sink hears of it; with steps under way, the pages when those
// have ended.
void LoopEngine::finish(Sequence& sequence, Finish finish) {
  const auto found = live_.find(sequence.id);
  COVE_CHECK(found != live_.end());
  std::unique_ptr<Sequence> owned = std::move(found->second);
  live_.erase(found);
  if (!owned->admitted_before) gate_.leave(owned->request.tenant);
  owned->finished = true;
  scheduler_.remove(*owned);
  if (finish.usage.prompt_tokens == 0) finish.usage = usage_of(*owned);
  publish_stats();
  const std::shared_ptr<TokenSink> sink = std::move(owned->sink);
  if (owned->steps_under_way > 0) flight(under_way_ - 1).finished.push_back(std::move(owned));
  sink->on_finish(finish);
  --accepted_;
}

void LoopEngine::finish_all(FinishReason reason, const Error& error) {
  while (!live_.empty()) finish(*live_.begin()->second, {.reason = reason, .error = error});
}

void LoopEngine::publish_stats() {
  counted_.requests_running = scheduler_.running();
  counted_.requests_waiting = scheduler_.waiting();
  counted_.pages_total = pool_.total();
  counted_.pages_used = pool_.used();
  counted_.pages_cached = pool_.cached();
  counted_.preemptions = scheduler_.preemptions();
  const std::lock_guard lock(mutex_);
  published_ = counted_;
}

}  // namespace cove::engine
