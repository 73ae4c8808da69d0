#pragma once
// What `cove eval` found, as text and as JSON. Used by cmd_eval.cc.

#include <optional>
#include <string>
#include <vector>

#include "eval_tasks.h"
#include "eval_text.h"

namespace cove::app {

struct EvalModelName {
  std::string path;
  std::string format;  // of the weights: "bf16"
  std::string digest;
};

struct TextReport {
  std::string file;
  int64_t bytes = 0;
  TextOptions options;
  TextScore score;
  double seconds = 0;
};

struct TaskReport {
  std::string file;
  TaskOptions options;
  std::vector<TaskTally> rows;
  std::vector<TaskTally> against_rows;      // same tasks in the same order; empty without --against
  std::optional<double> same_answer_share;  // 0..1: answers that are the same text from both models
  int64_t tokens = 0;                       // that MODEL generated
  double seconds = 0;                       // that MODEL took
};

struct EvalReport {
  EvalModelName model;
  std::optional<EvalModelName> against;
  std::optional<TextReport> text;
  std::optional<TaskReport> tasks;
};

std::string report_text(const EvalReport& report);
std::string report_json(const EvalReport& report);

}  // namespace cove::app
