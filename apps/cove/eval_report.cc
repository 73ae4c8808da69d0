#include "eval_report.h"

#include <numbers>

#include <fmt/format.h>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "base/json.h"

namespace cove::app {
namespace {

double share(int64_t part, int64_t whole) {
  return whole == 0 ? 0.0 : static_cast<double>(part) / static_cast<double>(whole);
}

// How many bits a byte of the text costs: comparable between models with different tokenizers, unlike perplexity.
double bits_per_byte(double nats, int64_t bytes) { return nats / std::numbers::ln2 / static_cast<double>(bytes); }

std::string text_part(const EvalReport& report) {
  const TextReport& text = *report.text;
  const TextScore& score = text.score;
  std::string out = fmt::format("{}: {} tokens in {} windows of {}, moved by {}; {:.1f} s\n", text.file, score.tokens,
                                score.windows, text.options.window, text.options.stride, text.seconds);
  out += fmt::format("  perplexity  {:.4f}  ({:.4f} bits per byte)\n", score.perplexity(),
                     bits_per_byte(score.nats, text.bytes));
  if (!score.divergence) return out;
  const Divergence& d = *score.divergence;
  out += fmt::format("  against     {:.4f}  ({:+.3f} %)\n", score.against_perplexity(),
                     100.0 * (score.perplexity() / score.against_perplexity() - 1.0));
  out += fmt::format("  divergence  mean {:.3g} nats, median {:.3g}, p99 {:.3g}, largest {:.3g}\n", d.mean, d.median,
                     d.p99, d.max);
  return out + fmt::format("  same likeliest token  {:.2f} %\n", 100.0 * d.top1_share);
}

std::string task_row(const TaskTally& row, const TaskTally* against) {
  std::string out =
      fmt::format("  {:<14} {:<3} {:5} of {:<5} {:6.1f} %  reasoning closed {:6.1f} %", row.task, row.language,
                  row.correct, row.count, 100.0 * share(row.correct, row.count), 100.0 * share(row.closed, row.count));
  if (row.cut > 0) out += fmt::format(", {} cut off", row.cut);
  if (against != nullptr) out += fmt::format("; against {:6.1f} %", 100.0 * share(against->correct, against->count));
  return out + "\n";
}

std::string tasks_part(const TaskReport& tasks) {
  const bool compared = !tasks.against_rows.empty();
  std::string out = fmt::format("{}: {} tokens generated in {:.1f} s\n", tasks.file, tasks.tokens, tasks.seconds);
  for (size_t i = 0; i < tasks.rows.size(); ++i)
    out += task_row(tasks.rows[i], compared ? &tasks.against_rows[i] : nullptr);
  const TaskTally total = total_of(tasks.rows), against_total = total_of(tasks.against_rows);
  out += task_row(total, compared ? &against_total : nullptr);
  if (tasks.same_answer_share) out += fmt::format("  same answer  {:.1f} %\n", 100.0 * *tasks.same_answer_share);
  return out;
}

json::object model_json(const EvalModelName& model) {
  return {{"path", model.path}, {"format", model.format}, {"digest", model.digest}};
}

json::object text_json(const TextReport& text) {
  const TextScore& score = text.score;
  json::object out = {{"file", text.file},
                      {"bytes", text.bytes},
                      {"tokens", score.tokens},
                      {"windows", score.windows},
                      {"window", text.options.window},
                      {"stride", text.options.stride},
                      {"nats_per_token", score.nats / static_cast<double>(score.tokens)},
                      {"perplexity", score.perplexity()},
                      {"bits_per_byte", bits_per_byte(score.nats, text.bytes)},
                      {"seconds", text.seconds}};
  if (score.divergence) {
    const Divergence& d = *score.divergence;
    out["against_perplexity"] = score.against_perplexity();
    out["kl_nats"] = json::object{{"mean", d.mean}, {"median", d.median}, {"p99", d.p99}, {"max", d.max}};
    out["top1_agreement"] = d.top1_share;
  }
  return out;
}

json::object tally_json(const TaskTally& row, const TaskTally* against) {
  json::object out = {{"task", row.task},
                      {"language", row.language},
                      {"count", row.count},
                      {"correct", share(row.correct, row.count)},
                      {"closed", share(row.closed, row.count)},
                      {"cut", row.cut}};
  if (against != nullptr) out["against_correct"] = share(against->correct, against->count);
  return out;
}

json::object tasks_json(const TaskReport& tasks) {
  const bool compared = !tasks.against_rows.empty();
  json::array rows;
  for (size_t i = 0; i < tasks.rows.size(); ++i)
    rows.push_back(tally_json(tasks.rows[i], compared ? &tasks.against_rows[i] : nullptr));
  const TaskTally total = total_of(tasks.rows), against_total = total_of(tasks.against_rows);
  json::object out = {{"file", tasks.file},
                      {"temperature", tasks.options.temperature},
                      {"tokens", tasks.tokens},
                      {"seconds", tasks.seconds},
                      {"all", tally_json(total, compared ? &against_total : nullptr)},
                      {"by_task", std::move(rows)}};
  if (tasks.same_answer_share) out["same_answers"] = *tasks.same_answer_share;
  return out;
}

}  // namespace

std::string report_text(const EvalReport& report) {
  std::string out = fmt::format("{} ({})\n", report.model.path, report.model.format);
  if (report.against) out += fmt::format("against {} ({})\n", report.against->path, report.against->format);
  if (report.text) out += "\n" + text_part(report);
  if (report.tasks) out += "\n" + tasks_part(*report.tasks);
  out.pop_back();  // the last line break is the printer's
  return out;
}

std::string report_json(const EvalReport& report) {
  json::object out = {{"model", model_json(report.model)}};
  if (report.against) out["against"] = model_json(*report.against);
  if (report.text) out["text"] = text_json(*report.text);
  if (report.tasks) out["tasks"] = tasks_json(*report.tasks);
  return json::serialize(out);
}

}  // namespace cove::app
