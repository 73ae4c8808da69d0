#pragma once
// The training loop of `cove-train fit`: batches from token shards, warm-up / stable / decay schedule by steps or
// clock, checkpoints that continue exactly, one JSON line of progress every log_every steps.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "base/result.h"
#include "loop/optimizer.h"
#include "loop/token_shards.h"
#include "student/student.h"

namespace cove::trainer {

struct FitOptions {
  std::filesystem::path data_dir;
  std::filesystem::path checkpoint;  // read when it exists, written at the end and every checkpoint_every steps
  std::filesystem::path log;         // JSON lines, appended; empty = none
  int64_t batch_tokens = 131072;
  int64_t document_max = 2048;
  int64_t steps = 1000;  // of the whole schedule, all runs together
  int64_t warmup_steps = 200;
  int64_t decay_steps = 0;  // the last ones: linear to zero
  double learning_rate = 3e-3;
  double seconds_max = 0;    // ends this run early, with a checkpoint; 0 = no limit
  double decay_seconds = 0;  // the last ones before seconds_max: linear to zero by the clock, for a machine of unknown
                             // speed; 0 = by steps alone
  int64_t log_every = 50;
  int64_t checkpoint_every = 1000;
  int64_t data_wait_s = 60;
  bool wrap_data = false;
  uint64_t seed = 1;
  OptimizerOptions optimizer;
};

struct FitResult {
  int64_t steps_done = 0;   // all runs together
  int64_t tokens_done = 0;  // this run
  double seconds = 0;       // this run
  double last_loss = 0;     // mean of the last log interval, nats per predicted token
  bool finished = false;    // the schedule's end was reached, by steps or by the clock
};

// Learning rate of step `step` (from 1), `elapsed_s` seconds into this run.
double scheduled_rate(const FitOptions& options, int64_t step, double elapsed_s);

// Trains `student` in place. `progress` is called with every log line. Errors: data that ends or is corrupt, a
// checkpoint of another shape, a loss that is not finite.
Result<FitResult> fit(Student& student, const FitOptions& options,
                      const std::function<void(const std::string&)>& progress);

struct Checkpoint {
  int64_t steps = 0;
  DataPosition data;
};
Status save_checkpoint(const std::filesystem::path& path, const Optimizer& optimizer, const DataPosition& data);
// Restores the optimizer and the student. Errors: kNotFound, kInvalidArgument (other model).
Result<Checkpoint> load_checkpoint(const std::filesystem::path& path, Optimizer& optimizer);

}  // namespace cove::trainer
