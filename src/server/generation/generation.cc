#include "server/generation/generation.h"

#include <algorithm>
#include <utility>

namespace cove::server {
namespace {

using Clock = std::chrono::steady_clock;

// Proxies give up on a silent stream after 15 to 60 seconds.
constexpr std::chrono::seconds kIdleEvery{10};

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

}  // namespace

ApiError submit_error(const Error& error, engine::Health health) {
  if (error.code == ErrorCode::kUnavailable && health == engine::Health::kDraining) {
    return {ApiErrorKind::kDraining, error.message, {}};
  }
  return from_error(error);
}

// Called on the engine's thread; keeps the generation alive until the engine is done with it.
class Generation::Sink final : public engine::TokenSink {
 public:
  Sink(std::shared_ptr<Generation> generation, size_t choice) : generation_(std::move(generation)), choice_(choice) {}
  void on_output(const engine::Output& output) override {
    generation_->deliver({.choice = choice_, .output = output, .finish = std::nullopt});
  }
  void on_finish(const engine::Finish& finish) override {
    generation_->deliver({.choice = choice_, .output = {}, .finish = finish});
  }

 private:
  std::shared_ptr<Generation> generation_;
  size_t choice_;
};

void Generation::start(GenerationStart start) {
  const auto self = std::make_shared<Generation>(std::move(start));
  GenerationStart& s = self->start_;
  for (size_t i = 0; i < s.requests.size(); i += s.choices_per_prompt)
    self->prompt_tokens_ += static_cast<int64_t>(s.requests[i].prompt.size());
  if (s.exchange->closed()) return self->end(GenerationReport::End::kAborted);
  if (!self->submit_all()) return;
  s.exchange->on_abort([self] { self->abort(); });
  if (s.delivery == Delivery::kStream) {
    http::Response head;
    head.content_type = "text/event-stream; charset=utf-8";
    head.headers = s.headers;
    head.headers.push_back({"Cache-Control", "no-cache"});
    head.headers.push_back({"X-Accel-Buffering", "no"});
    s.exchange->start_stream(std::move(head), {.idle_text = ": keep-alive\n\n", .idle_every = kIdleEvery});
    s.exchange->write(s.answer->begin());
  }
}

bool Generation::submit_all() {
  for (size_t i = 0; i < start_.requests.size(); ++i) {
    auto id = start_.engine->submit(std::move(start_.requests[i]), std::make_shared<Sink>(shared_from_this(), i));
    if (!id) {
      const ApiError error = submit_error(id.error(), start_.engine->health());
      for (const engine::RequestId taken : ids_) start_.engine->cancel(taken);
      fail(error);
      return false;
    }
    ids_.push_back(*id);
  }
  return true;
}

void Generation::deliver(Event event) {
  {
    const std::lock_guard lock(mutex_);
    inbox_.push_back(std::move(event));
    if (std::exchange(drain_posted_, true)) return;
  }
  start_.exchange->post([self = shared_from_this()] { self->drain(); });
}

void Generation::drain() {
  std::vector<Event> events;
  {
    const std::lock_guard lock(mutex_);
    events.swap(inbox_);
    drain_posted_ = false;
  }
  if (over_) return;
  for (const Event& event : events) note_time(event);
  if (start_.answer_work == nullptr) {
    Step step = make_step(events);
    return apply(step);
  }
  unworked_.insert(unworked_.end(), std::make_move_iterator(events.begin()), std::make_move_iterator(events.end()));
  if (!working_) start_work();
}

void Generation::note_time(const Event& event) {
  if (event.finish) return;
  generated_tokens_ += static_cast<int64_t>(event.output.tokens.size());
  const bool first = first_output_ == Clock::time_point{};
  last_output_ = event.time;
  if (first) first_output_ = last_output_;
  tokens_after_first_ += static_cast<int64_t>(event.output.tokens.size()) - (first ? 1 : 0);
}

// One task at a time: what comes meanwhile waits for the next.
void Generation::start_work() {
  working_ = true;
  const auto events = std::make_shared<std::vector<Event>>(std::exchange(unworked_, {}));
  const bool taken = start_.answer_work->try_push([self = shared_from_this(), events] {
    const auto step = std::make_shared<Step>(self->make_step(*events));
    self->start_.exchange->post([self, step] {
      self->working_ = false;
      if (self->over_) return;
      self->apply(*step);
      if (!self->over_ && !self->unworked_.empty()) self->start_work();
    });
  });
  if (!taken) fail({ApiErrorKind::kQueueFull, "too many answers wait for plugins; try again in a moment", {}});
}

Generation::Step Generation::make_step(std::vector<Event>& events) {
  Step step;
  for (Event& event : events) {
    handle(event, step);
    if (step.failure) break;
  }
  step.complete = !step.failure && finished_ == start_.requests.size();
  if (step.complete) step.bytes += start_.answer->end();
  step.usage = start_.answer->usage();
  step.plugin_notes = start_.answer->plugin_notes();
  step.shown = start_.answer->take_shown();
  return step;
}

void Generation::handle(Event& event, Step& step) {
  Answer& answer = *start_.answer;
  const size_t choice = event.choice;
  blocked_.resize(start_.requests.size());
  if (!event.finish) {
    step.bytes += answer.on_output(choice, event.output);
  } else if (event.finish->reason == engine::FinishReason::kError) {
    step.failure = from_error(event.finish->error);
  } else if (event.finish->reason == engine::FinishReason::kCancelled && !blocked_[choice]) {
    step.failure = ApiError{ApiErrorKind::kDraining, "the server stopped before the answer was complete", {}};
  } else {
    step.bytes += answer.on_finish(choice, *event.finish);
    step.finish_reason = answer.blocked(choice) ? kBlockedFinish : finish_name(event.finish->reason);
    ++finished_;
  }
  if (!step.failure && answer.failure()) step.failure = answer.failure();
  if (answer.blocked(choice) && !blocked_[choice]) {
    blocked_[choice] = true;
    if (!event.finish) step.blocked.push_back(choice);
  }
}

void Generation::apply(Step& step) {
  usage_ = step.usage;
  append_shown(shown_, std::move(step.shown));
  plugin_notes_ = std::move(step.plugin_notes);
  if (!step.finish_reason.empty()) finish_reason_ = step.finish_reason;
  const bool streamed = start_.delivery == Delivery::kStream;
  if (streamed && !step.bytes.empty()) start_.exchange->write(step.bytes);
  if (over_) return;  // the write found the client gone
  if (step.failure) return fail(*step.failure);
  for (const size_t choice : step.blocked) start_.engine->cancel(ids_[choice]);
  if (!step.complete) return;
  if (streamed) {
    start_.exchange->finish();
  } else {
    start_.exchange->respond({.headers = start_.headers, .body = std::move(step.bytes)});
  }
  end(GenerationReport::End::kComplete);
}

void Generation::abort() {
  if (over_) return;
  for (const engine::RequestId id : ids_) start_.engine->cancel(id);
  end(GenerationReport::End::kAborted);
}

// Before the head is out the client gets a status; after it an error event, which the SDKs raise.
void Generation::fail(const ApiError& error) {
  if (over_) return;
  error_ = api_error_row(error.kind).code;
  for (const engine::RequestId id : ids_) start_.engine->cancel(id);
  if (start_.exchange->answered()) {
    start_.exchange->write("data: " + to_json(error) + "\n\n");
    start_.exchange->write(kStreamDone);
    start_.exchange->finish();
  } else {
    http::Response response = to_response(error);
    response.headers.insert(response.headers.end(), start_.headers.begin(), start_.headers.end());
    start_.exchange->respond(std::move(response));
  }
  end(GenerationReport::End::kFailed);
}

// The answer counts a choice at its end; what was cut off before has cost its tokens all the same.
void Generation::count_unfinished() {
  if (ids_.empty()) return;
  usage_.prompt_tokens = prompt_tokens_;
  usage_.completion_tokens = std::max(usage_.completion_tokens, generated_tokens_);
}

void Generation::end(GenerationReport::End how) {
  if (std::exchange(over_, true)) return;
  if (how != GenerationReport::End::kComplete) count_unfinished();
  GenerationReport report;
  report.usage = usage_;
  report.plugin_notes = plugin_notes_;
  report.shown = std::move(shown_);
  report.error = error_;
  report.end = how;
  report.finish_reason = finish_reason_;
  report.total_s = seconds_between(start_.arrived, Clock::now());
  if (first_output_ != Clock::time_point{}) report.first_token_s = seconds_between(start_.arrived, first_output_);
  if (tokens_after_first_ > 0) {
    report.per_token_s = seconds_between(first_output_, last_output_) / static_cast<double>(tokens_after_first_);
  }
  if (start_.on_end) start_.on_end(std::move(report));
  start_.on_end = nullptr;
}

}  // namespace cove::server
