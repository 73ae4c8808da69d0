#pragma once
// Exercises with known answers: reads them, lets a model answer them through the engine as a server would, and counts
// what is right. Used by cmd_eval.cc.
//
// One JSON object a line: "prompt" (text as the model reads it) or "messages" (and "tools"; the model's chat template
// renders them), what is right ("answer", the exact final answer, or "check", see text/chat/answer_check.h), and
// optionally "task" and "language", by which results are grouped.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "open_engine.h"
#include "text/chat/answer_check.h"

namespace cove::app {

struct EvalTask {
  std::string task;      // "all" when the line names none
  std::string language;  // may be empty
  std::string prompt;    // as rendered
  std::vector<int32_t> ids;
  bool thinks = false;  // the prompt ends inside <think>: the answer is what follows </think>
  text::Check check;
};

// `limit` > 0: that many, spread evenly over the file. Errors name the line: not JSON, no question, no answer, refused
// by the template; kInvalidArgument when the file holds no task.
Result<std::vector<EvalTask>> read_tasks(const std::filesystem::path& path, const OpenedModel& model, int64_t limit);

struct TaskOptions {
  int64_t tokens_max = 600;
  double temperature = 0;  // greedy
  double top_p = 1;
  uint64_t seed = 1;
  int64_t at_once = 16;  // requests in the engine
};

struct TaskAnswer {
  std::string text;  // what followed the prompt
  int64_t tokens = 0;
  bool cut = false;  // ended by tokens_max or the context
  text::Verdict verdict;
};

// Answers in the tasks' order. `progress` hears how many are done. Errors: the engine refuses a prompt (too long) or
// fails.
Result<std::vector<TaskAnswer>> answer_tasks(const OpenedModel& model, const std::vector<EvalTask>& tasks,
                                             const TaskOptions& options, const std::function<void(int64_t)>& progress);

struct TaskTally {
  std::string task;
  std::string language;
  int64_t count = 0;
  int64_t correct = 0;
  int64_t closed = 0;  // the reasoning ended
  int64_t cut = 0;
};

// One row per task and language, in order of first appearance.
std::vector<TaskTally> tally(const std::vector<EvalTask>& tasks, const std::vector<TaskAnswer>& answers);
TaskTally total_of(const std::vector<TaskTally>& rows);

}  // namespace cove::app
