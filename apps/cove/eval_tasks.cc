#include "eval_tasks.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>

#include <fmt/format.h>
#include <boost/json/object.hpp>
#include <boost/json/string.hpp>

#include "base/file.h"
#include "base/json.h"
#include "json_lines.h"
#include "text/chat/prompt_bos.h"
#include "text/chat/reasoning_parser.h"

namespace cove::app {
namespace {

Result<std::string> text_member(const json::value& line, std::string_view key, std::string fallback) {
  const json::value* found = find_member(line, key);
  if (found == nullptr || found->is_null()) return fallback;
  if (!found->is_string()) return invalid_argument(fmt::format("\"{}\" must be a string", key));
  return std::string(found->get_string());
}

Result<std::string> render(const json::value& line, const json::value& messages, const OpenedModel& model) {
  if (!messages.is_array()) return invalid_argument("\"messages\" must be an array");
  if (model.chat_template == nullptr) {
    return make_error(ErrorCode::kFailedPrecondition,
                      fmt::format("{} has no chat template for \"messages\"; give \"prompt\"", model.path.string()));
  }
  const json::value* tools = find_member(line, "tools");
  const json::object variables = {{"messages", messages},
                                  {"tools", tools == nullptr ? json::value(nullptr) : *tools},
                                  {"add_generation_prompt", true},
                                  {"bos_token", model.bos_token},
                                  {"eos_token", model.eos_token}};
  const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  TRY_ASSIGN(std::string prompt, model.chat_template->render(variables, now));
  return text::with_one_bos(std::move(prompt), model.bos_token);
}

Result<std::string> prompt_of(const json::value& line, const OpenedModel& model) {
  if (const json::value* prompt = find_member(line, "prompt"); prompt != nullptr) {
    if (!prompt->is_string()) return invalid_argument("\"prompt\" must be a string");
    return std::string(prompt->get_string());
  }
  const json::value* messages = find_member(line, "messages");
  if (messages == nullptr) return invalid_argument("the task needs \"prompt\" or \"messages\"");
  return render(line, *messages, model);
}

Result<text::Check> check_of(const json::value& line) {
  if (const json::value* check = find_member(line, "check"); check != nullptr) return text::check_from_json(*check);
  const json::value* answer = find_member(line, "answer");
  if (answer == nullptr || !answer->is_string())
    return invalid_argument("the task needs \"answer\", a string, or \"check\"");
  return text::Check{.kind = text::CheckKind::kExact, .want = {std::string(answer->get_string())}};
}

Result<EvalTask> task_of(std::string_view text, const OpenedModel& model) {
  TRY_ASSIGN(const json::value line, parse_json(text));
  if (!line.is_object()) return invalid_argument("a task is a JSON object");
  EvalTask task;
  TRY_ASSIGN(task.task, text_member(line, "task", "all"));
  TRY_ASSIGN(task.language, text_member(line, "language", ""));
  TRY_ASSIGN(task.prompt, prompt_of(line, model));
  TRY_ASSIGN(task.check, check_of(line));
  TRY_ASSIGN(task.ids, model.tokenizer->encode(task.prompt));
  task.thinks = text::reasoning_start(task.prompt) == text::ReasoningStart::kInside;
  return task;
}

// `limit` of them, spread evenly: files hold one task after the other.
std::vector<NumberedLine> spread(const std::vector<NumberedLine>& lines, int64_t limit) {
  const auto wanted = static_cast<size_t>(limit);
  if (limit <= 0 || wanted >= lines.size()) return lines;
  std::vector<NumberedLine> out;
  for (size_t i = 0; i < wanted; ++i) out.push_back(lines[i * lines.size() / wanted]);
  return out;
}

// What the requests in flight have given so far. The engine's thread writes, the caller's waits.
class Desk {
 public:
  explicit Desk(size_t count) : answers_(count) {}

  class Sink final : public engine::TokenSink {
   public:
    Sink(std::shared_ptr<Desk> desk, size_t index) : desk_(std::move(desk)), index_(index) {}
    void on_output(const engine::Output& output) override {
      const std::lock_guard lock(desk_->mutex_);
      desk_->answers_[index_].text += output.text;
    }
    void on_finish(const engine::Finish& finish) override { desk_->finish(index_, finish); }

   private:
    std::shared_ptr<Desk> desk_;  // shared: the engine's thread may still be leaving finish() when the caller goes on
    size_t index_;
  };

  void started() {
    const std::lock_guard lock(mutex_);
    ++running_;
  }
  // The engine refused it: no finish will come.
  void never_ran() {
    const std::lock_guard lock(mutex_);
    --running_;
  }
  // Until at most `most` are running; how many are done.
  int64_t wait_until_running_at_most(int64_t most) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return running_ <= most; });
    return done_;
  }
  // After the last has finished.
  Result<std::vector<TaskAnswer>> take() {
    const std::lock_guard lock(mutex_);
    if (failed_) return error_;
    return std::move(answers_);
  }
  bool failed() {
    const std::lock_guard lock(mutex_);
    return failed_;
  }

 private:
  void finish(size_t index, const engine::Finish& finish) {
    const std::lock_guard lock(mutex_);
    answers_[index].tokens = finish.usage.completion_tokens;
    answers_[index].cut = finish.reason == engine::FinishReason::kLength;
    if (finish.reason == engine::FinishReason::kError) failed_ = true, error_ = finish.error;
    --running_;
    ++done_;
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<TaskAnswer> answers_;
  int64_t running_ = 0;
  int64_t done_ = 0;
  bool failed_ = false;
  Error error_;
};

engine::Request request_for(const EvalTask& task, const TaskOptions& options) {
  engine::Request request;
  request.prompt = task.ids;
  request.tokens_max = static_cast<int32_t>(options.tokens_max);
  request.sampling.temperature = static_cast<float>(options.temperature);
  request.sampling.top_p = static_cast<float>(options.top_p);
  request.sampling.seed = options.seed;
  return request;
}

Error refused(const Error& error, const EvalTask& task, size_t index) {
  return with_context(error,
                      fmt::format("task {} ('{}', a prompt of {} tokens)", index + 1, task.task, task.ids.size()));
}

}  // namespace

Result<std::vector<EvalTask>> read_tasks(const std::filesystem::path& path, const OpenedModel& model, int64_t limit) {
  TRY_ASSIGN(const std::string content, read_file(path));
  std::vector<EvalTask> tasks;
  for (const NumberedLine& line : spread(numbered_lines(content), limit)) {
    auto task = task_of(line.text, model);
    if (!task) return with_context(task.error(), fmt::format("{} line {}", path.string(), line.number));
    tasks.push_back(std::move(*task));
  }
  if (tasks.empty()) return invalid_argument(fmt::format("{} holds no task", path.string()));
  return tasks;
}

Result<std::vector<TaskAnswer>> answer_tasks(const OpenedModel& model, const std::vector<EvalTask>& tasks,
                                             const TaskOptions& options, const std::function<void(int64_t)>& progress) {
  const auto desk = std::make_shared<Desk>(tasks.size());
  std::optional<Error> error;
  for (size_t i = 0; i < tasks.size() && !error && !desk->failed(); ++i) {
    progress(desk->wait_until_running_at_most(options.at_once - 1));
    desk->started();
    const auto id = model.engine->submit(request_for(tasks[i], options), std::make_shared<Desk::Sink>(desk, i));
    if (!id) {
      error = refused(id.error(), tasks[i], i);
      desk->never_ran();
    }
  }
  progress(desk->wait_until_running_at_most(0));
  if (error) return *error;
  TRY_ASSIGN(std::vector<TaskAnswer> answers, desk->take());
  for (size_t i = 0; i < tasks.size(); ++i) {
    answers[i].verdict = tasks[i].thinks ? text::judge(answers[i].text, tasks[i].check)
                                         : text::judge_without_reasoning(answers[i].text, tasks[i].check);
  }
  return answers;
}

std::vector<TaskTally> tally(const std::vector<EvalTask>& tasks, const std::vector<TaskAnswer>& answers) {
  std::vector<TaskTally> rows;
  for (size_t i = 0; i < tasks.size(); ++i) {
    auto row = std::ranges::find_if(
        rows, [&](const TaskTally& r) { return r.task == tasks[i].task && r.language == tasks[i].language; });
    if (row == rows.end())
      row = rows.insert(rows.end(), TaskTally{.task = tasks[i].task, .language = tasks[i].language});
    ++row->count;
    row->correct += answers[i].verdict.correct ? 1 : 0;
    row->closed += answers[i].verdict.closed ? 1 : 0;
    row->cut += answers[i].cut ? 1 : 0;
  }
  return rows;
}

TaskTally total_of(const std::vector<TaskTally>& rows) {
  TaskTally total{.task = "all", .language = ""};
  for (const TaskTally& row : rows) {
    total.count += row.count;
    total.correct += row.correct;
    total.closed += row.closed;
    total.cut += row.cut;
  }
  return total;
}

}  // namespace cove::app
