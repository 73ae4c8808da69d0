#include "loop/fit.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <future>

namespace cove::trainer {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

// Loss and gradient norm are added up on the device and read once per interval, so that the loop does not wait for the
// GPU.
struct Interval {
  torch::Tensor loss_sum;
  torch::Tensor norm_sum;
  int64_t steps = 0;
  int64_t tokens = 0;
  Clock::time_point begin = Clock::now();

  void add(const torch::Tensor& loss, const torch::Tensor& norm, int64_t batch_tokens) {
    loss_sum = steps == 0 ? loss.detach() : loss_sum + loss.detach();
    norm_sum = steps == 0 ? norm : norm_sum + norm;
    ++steps;
    tokens += batch_tokens;
  }
};

std::string progress_line(const Interval& interval, int64_t step, double rate, double loss, double norm) {
  char line[256];
  std::snprintf(line, sizeof(line),
                R"({"step":%lld,"loss":%.5f,"gradient_norm":%.4f,"learning_rate":%.6f,"tokens_per_s":%.0f})",
                static_cast<long long>(step), loss, norm, rate,
                static_cast<double>(interval.tokens) / seconds_since(interval.begin));
  return line;
}

void append_line(const std::filesystem::path& path, const std::string& line) {
  if (path.empty()) return;
  std::ofstream(path, std::ios::app) << line << "\n";
}

}  // namespace

double scheduled_rate(const FitOptions& options, int64_t step, double elapsed_s) {
  const auto ratio = [](int64_t part, int64_t whole) { return static_cast<double>(part) / static_cast<double>(whole); };
  if (step <= options.warmup_steps) return options.learning_rate * ratio(step, options.warmup_steps);
  if (options.decay_seconds > 0)
    return options.learning_rate * std::clamp((options.seconds_max - elapsed_s) / options.decay_seconds, 0.0, 1.0);
  const int64_t left = options.steps - step + 1;
  if (left <= options.decay_steps)
    return options.learning_rate * ratio(std::max<int64_t>(left, 0), options.decay_steps);
  return options.learning_rate;
}

Status save_checkpoint(const std::filesystem::path& path, const Optimizer& optimizer, const DataPosition& data) {
  const std::filesystem::path temporary = path.string() + ".tmp";
  try {
    torch::serialize::OutputArchive archive;
    archive.write("master", optimizer.master.cpu());
    archive.write("first_moment", optimizer.first_moment.cpu());
    archive.write("second_moment", optimizer.second_moment.cpu());
    archive.write("counters", torch::tensor({optimizer.steps, data.shard, data.document}, torch::kLong));
    archive.save_to(temporary.string());
  } catch (const std::exception& error) {
    return make_error(ErrorCode::kIo, temporary.string() + ": " + error.what());
  }
  std::error_code error;
  std::filesystem::rename(temporary, path, error);
  if (error) return make_error(ErrorCode::kIo, path.string() + ": " + error.message());
  return {};
}

Result<Checkpoint> load_checkpoint(const std::filesystem::path& path, Optimizer& optimizer) {
  if (!std::filesystem::exists(path)) return make_error(ErrorCode::kNotFound, path.string() + ": no such checkpoint");
  try {
    torch::serialize::InputArchive archive;
    archive.load_from(path.string());
    torch::Tensor master, first, second, counters;
    archive.read("master", master);
    archive.read("first_moment", first);
    archive.read("second_moment", second);
    archive.read("counters", counters);
    if (master.sizes() != optimizer.master.sizes()) {
      return invalid_argument(path.string() + ": holds a model of " + std::to_string(master.numel()) +
                              " parameters, not " + std::to_string(optimizer.master.numel()));
    }
    const torch::NoGradGuard guard;
    optimizer.master.copy_(master);
    optimizer.first_moment.copy_(first);
    optimizer.second_moment.copy_(second);
    const int64_t* values = counters.data_ptr<int64_t>();
    optimizer.steps = values[0];
    optimizer.publish();
    return Checkpoint{values[0], {values[1], values[2]}};
  } catch (const std::exception& error) {
    return data_corrupt(path.string() + ": is not a checkpoint: " + error.what());
  }
}

Result<FitResult> fit(Student& student, const FitOptions& options,
                      const std::function<void(const std::string&)>& progress) {
  Optimizer optimizer(student, options.optimizer);
  DataPosition begin;
  if (!options.checkpoint.empty() && std::filesystem::exists(options.checkpoint)) {
    TRY_ASSIGN(const Checkpoint checkpoint, load_checkpoint(options.checkpoint, optimizer));
    begin = checkpoint.data;
  }
  BatchSource source({.dir = options.data_dir,
                      .batch_tokens = options.batch_tokens,
                      .document_max = options.document_max,
                      .wait_s = options.data_wait_s,
                      .wrap = options.wrap_data},
                     begin);
  const Clock::time_point started = Clock::now();
  FitResult result;
  Interval interval;
  DataPosition consumed = begin;  // what the finished steps have used: the prefetched batch is not part of it
  auto prefetch = [&source] {
    Result<TokenBatch> batch = source.next();
    return std::make_pair(std::move(batch), source.position());
  };
  auto pending = std::async(std::launch::async, prefetch);
  while (optimizer.steps < options.steps &&
         (options.seconds_max <= 0 || seconds_since(started) < options.seconds_max)) {
    auto [batch, position] = pending.get();
    if (!batch) return std::move(batch).error();
    pending = std::async(std::launch::async, prefetch);
    const torch::Tensor loss = student.backward(*batch);
    const double rate = scheduled_rate(options, optimizer.steps + 1, seconds_since(started));
    interval.add(loss, optimizer.step(rate), options.batch_tokens);
    consumed = position;
    result.tokens_done += options.batch_tokens;
    const bool last = optimizer.steps == options.steps;
    if (optimizer.steps % options.log_every == 0 || last) {
      const double n = static_cast<double>(interval.steps);
      result.last_loss = interval.loss_sum.item<double>() / n;
      if (!std::isfinite(result.last_loss)) {
        return make_error(ErrorCode::kInternal, "the loss is not finite at step " + std::to_string(optimizer.steps) +
                                                    "; lower the learning rate and continue from the last checkpoint");
      }
      const std::string line =
          progress_line(interval, optimizer.steps, rate, result.last_loss, interval.norm_sum.item<double>() / n);
      append_line(options.log, line);
      progress(line);
      interval = Interval{};
    }
    if (!options.checkpoint.empty() && optimizer.steps % options.checkpoint_every == 0 && !last) {
      TRY(save_checkpoint(options.checkpoint, optimizer, consumed));
    }
  }
  if (!options.checkpoint.empty()) TRY(save_checkpoint(options.checkpoint, optimizer, consumed));
  result.steps_done = optimizer.steps;
  result.seconds = seconds_since(started);
  const bool time_is_over = options.seconds_max > 0 && result.seconds >= options.seconds_max;
  result.finished = optimizer.steps >= options.steps || (options.decay_seconds > 0 && time_is_over);
  return result;
}

}  // namespace cove::trainer
