#include "server/generation/rerun.h"

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "server/generation/audited.h"
#include "server/generation/plan.h"

namespace cove::server {
namespace {

struct Event {
  size_t choice = 0;
  engine::Output output;
  std::optional<engine::Finish> finish;
};

// From the engine's thread to the one that waits.
class Inbox {
 public:
  void push(Event event) {
    {
      const std::lock_guard lock(mutex_);
      events_.push_back(std::move(event));
    }
    came_.notify_one();
  }
  std::vector<Event> wait() {
    std::unique_lock lock(mutex_);
    came_.wait(lock, [this] { return !events_.empty(); });
    return std::exchange(events_, {});
  }

 private:
  std::mutex mutex_;
  std::condition_variable came_;
  std::vector<Event> events_;
};

class Sink final : public engine::TokenSink {
 public:
  Sink(std::shared_ptr<Inbox> inbox, size_t choice) : inbox_(std::move(inbox)), choice_(choice) {}
  void on_output(const engine::Output& output) override { inbox_->push({choice_, output, std::nullopt}); }
  void on_finish(const engine::Finish& finish) override { inbox_->push({choice_, {}, finish}); }

 private:
  std::shared_ptr<Inbox> inbox_;
  size_t choice_;
};

Result<std::vector<engine::RequestId>> submit_all(engine::Engine& engine, std::vector<engine::Request> requests,
                                                  const std::shared_ptr<Inbox>& inbox) {
  std::vector<engine::RequestId> ids;
  for (size_t i = 0; i < requests.size(); ++i) {
    auto id = engine.submit(std::move(requests[i]), std::make_shared<Sink>(inbox, i));
    if (!id) {
      for (const engine::RequestId taken : ids) engine.cancel(taken);
      return id.error();
    }
    ids.push_back(*id);
  }
  return ids;
}

Result<ShownTexts> collect(Answer& answer, Inbox& inbox, size_t choices) {
  ShownTexts shown;
  for (size_t finished = 0; finished < choices;) {
    for (const Event& event : inbox.wait()) {
      if (!event.finish) {
        (void)answer.on_output(event.choice, event.output);
        continue;
      }
      if (event.finish->reason == engine::FinishReason::kError) return event.finish->error;
      (void)answer.on_finish(event.choice, *event.finish);
      ++finished;
    }
    append_shown(shown, answer.take_shown());
  }
  return shown;
}

MakePlan plan_of(std::string_view route) {
  if (route == "/v1/chat/completions") return plan_chat;
  if (route == "/v1/completions") return plan_completion;
  return nullptr;
}

}  // namespace

Result<Rerun> rerun(const RerunInput& input) {
  const MakePlan make_plan = plan_of(input.route);
  if (make_plan == nullptr) return invalid_argument(fmt::format("'{}' asks no model", input.route));
  auto plan = make_plan({.model = input.model,
                         .body = input.request,
                         .now_s = input.time_ns / 1'000'000'000,
                         .resolved = &input.parameters,
                         .keep = KeepShown::kYes});
  if (!plan) return invalid_argument(fmt::format("the request is refused now: {}", plan.error().message));
  const size_t choices = plan->requests.size();
  const auto inbox = std::make_shared<Inbox>();
  engine::Engine& engine = *input.model.engine;
  TRY_ASSIGN(const auto ids, submit_all(engine, std::move(plan->requests), inbox));
  auto shown = collect(*plan->answer, *inbox, choices);
  if (!shown) {
    for (const engine::RequestId id : ids) engine.cancel(id);
    return shown.error();
  }
  Rerun result;
  for (ShownText& one : *shown) {
    result.answers.push_back({.reasoning = std::move(one.reasoning),
                              .content = std::move(one.content),
                              .tool_calls = tool_calls_text(one.calls)});
    result.finish_reasons.push_back(std::move(one.finish_reason));
  }
  return result;
}

}  // namespace cove::server
