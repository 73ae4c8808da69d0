#include "server/generation/generation.h"

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
  for (Event& event : events) {
    if (over_) return;
    handle(event);
  }
}

void Generation::handle(Event& event) {
  std::string bytes;
  if (!event.finish) {
    const bool first = first_output_ == Clock::time_point{};
    last_output_ = event.time;
    if (first) first_output_ = last_output_;
    tokens_after_first_ += static_cast<int64_t>(event.output.tokens.size()) - (first ? 1 : 0);
    bytes = start_.answer->on_output(event.choice, event.output);
  } else if (event.finish->reason == engine::FinishReason::kError) {
    return fail(from_error(event.finish->error));
  } else if (event.finish->reason == engine::FinishReason::kCancelled) {
    return fail({ApiErrorKind::kDraining, "the server stopped before the answer was complete", {}});
  } else {
    bytes = start_.answer->on_finish(event.choice, *event.finish);
    finish_reason_ = finish_name(event.finish->reason);
    ++finished_;
  }
  const bool complete = finished_ == ids_.size();
  const bool streamed = start_.delivery == Delivery::kStream;
  if (complete) bytes += start_.answer->end();
  if (streamed && !bytes.empty()) start_.exchange->write(bytes);
  if (!complete || over_) return;
  if (streamed) {
    start_.exchange->finish();
  } else {
    start_.exchange->respond({.headers = start_.headers, .body = std::move(bytes)});
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

void Generation::end(GenerationReport::End how) {
  if (std::exchange(over_, true)) return;
  GenerationReport report;
  report.usage = start_.answer->usage();
  report.end = how;
  report.finish_reason = finish_reason_;
  report.total_s = seconds_between(start_.arrived, Clock::now());
  if (first_output_ != Clock::time_point{}) report.first_token_s = seconds_between(start_.arrived, first_output_);
  if (tokens_after_first_ > 0) {
    report.per_token_s = seconds_between(first_output_, last_output_) / static_cast<double>(tokens_after_first_);
  }
  if (start_.on_end) start_.on_end(report);
  start_.on_end = nullptr;
}

}  // namespace cove::server
