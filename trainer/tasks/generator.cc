#include "tasks/generator.h"

#include <algorithm>
#include <charconv>
#include <numeric>

#include "tasks/tasks.h"

namespace cove::trainer {
namespace {

// The templates are written with plain punctuation; this restores the full-width form between Chinese characters.
std::string full_width(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    bool after_text = i > 0 && (static_cast<unsigned char>(text[i - 1]) >= 0x80);
    bool before_text = i + 1 >= text.size() || static_cast<unsigned char>(text[i + 1]) >= 0x80 || text[i + 1] == '\n';
    std::string_view wide;
    if (text[i] == ',' && before_text) wide = "，";
    if (text[i] == '?' && before_text) wide = "？";
    if (text[i] == ':' && after_text) wide = "：";
    if (text[i] == '!' && after_text) wide = "！";
    if (wide.empty()) {
      out += text[i];
    } else {
      out += wide;
    }
  }
  return out;
}

std::string half_width_stop(std::string text) {
  constexpr std::string_view kStop = "。";
  for (size_t at = text.find(kStop); at != std::string::npos; at = text.find(kStop, at + 1))
    text.replace(at, kStop.size(), ".");
  return text;
}

bool plain_question(const Sample& sample) {
  return sample.task == "arithmetic" || sample.task == "word_problem" || sample.task == "percent" ||
         sample.task == "units" || sample.task == "dates" || sample.task == "comparison";
}

void vary_wording(const Draw& draw, Sample& sample) {
  Rng& rng = draw.rng;
  std::string& text = sample.messages.back().content;
  if (sample.messages.back().role != Role::kUser) return;
  if (plain_question(sample) && sample.messages.size() == 1) {
    if (rng.chance(0.15)) {
      text =
          (draw.chinese() ? rng.pick({"请问", "帮我算一下:", "问题:", "算一算:", "你好,", "小港,",
                                      "请回答:", "我想问一下,", "老师,", "请一步一步思考:"})
                          : rng.pick({"Please answer: ", "Question: ", "Hi, ", "Can you help? ", "Solve: ", "Hello. ",
                                      "Problem: ", "Quick question: ", "Think step by step: "})) +
          text;
    }
    if (rng.chance(0.07))
      text += draw.chinese() ? rng.pick({"谢谢", " 请写出过程。", "请直接回答。", "(请计算)", "\n"})
                             : rng.pick({" Thanks.", " Show your work.", " Answer briefly.", " Please.", "\n"});
  }
  if (draw.chinese()) {
    if (sample.task != "json" && rng.chance(0.6)) text = full_width(text);
    if (plain_question(sample) && rng.chance(0.1)) text = half_width_stop(text);
    if (plain_question(sample) && rng.chance(0.12)) {
      for (std::string_view end : {"?", "？", "。"}) {
        if (text.ends_with(end)) text.resize(text.size() - end.size());
      }
    }
  } else if (plain_question(sample) && rng.chance(0.12)) {
    if (!text.empty() && text[0] >= 'A' && text[0] <= 'Z') text[0] = static_cast<char>(text[0] - 'A' + 'a');
    if (rng.chance(0.5) && (text.ends_with("?") || text.ends_with("."))) text.pop_back();
  }
}

void add_system(const Draw& draw, Sample& sample) {
  Rng& rng = draw.rng;
  if (!rng.chance(0.25)) return;
  std::string text =
      rng.chance(0.7) == draw.chinese()
          ? rng.pick({"你是一个乐于助人的助手。", "你是一个有用的AI助手。", "你是小港,Cove 项目的助手。",
                      "请用简洁的语言回答。", "你是一位耐心的老师。", "你是智能客服,请礼貌回答用户的问题。",
                      "请认真思考后再回答。"})
          : rng.pick({"You are a helpful assistant.", "You are a helpful AI assistant.",
                      "You are Cove-mini, the assistant of the Cove project.", "Answer briefly.",
                      "You are a patient teacher.", "Be polite and concise.", "Think carefully before you answer."});
  sample.messages.insert(sample.messages.begin(), {Role::kSystem, text, {}});
}

Sample accepted(const TaskRow& task, Rng& rng, Split split, Language language) {
  for (;;) {
    Draw draw{rng, split, language};
    Sample sample = task.draw(draw);
    if (held_out(sample.key) != (split == Split::kHeldOut)) continue;
    vary_wording(draw, sample);
    add_system(draw, sample);
    return sample;
  }
}

}  // namespace

const std::vector<TaskRow>& task_rows() {
  static const std::vector<TaskRow> rows = {{"arithmetic", arithmetic_task, 17},
                                            {"word_problem", word_problem_task, 18},
                                            {"percent", percent_task, 6},
                                            {"units", units_task, 5},
                                            {"dates", dates_task, 9},
                                            {"comparison", comparison_task, 8},
                                            {"table", table_task, 7},
                                            {"json", json_task, 5},
                                            {"tools", tools_task, 5},
                                            {"reading", reading_task, 10},
                                            {"chat", chat_task, 5},
                                            {"follow_up", follow_up_task, 5}};
  return rows;
}

TaskMix default_mix() {
  TaskMix mix;
  for (const TaskRow& row : task_rows()) mix.push_back(row.weight);
  return mix;
}

Result<TaskMix> parse_mix(std::string_view text) {
  TaskMix mix = default_mix();
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), part.size() + 1));
    const size_t colon = std::min(part.find(':'), part.size());
    const std::string name(part.substr(0, colon)), digits(part.substr(std::min(part.size(), colon + 1)));
    size_t row = 0;
    while (row < mix.size() && task_rows()[row].name != name) ++row;
    int share = -1;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), share);
    const bool whole = error == std::errc() && end == digits.data() + digits.size() && share >= 0 && share <= 10000;
    if (row == mix.size()) return invalid_argument("the mix names '" + name + "', which is no task");
    if (!whole)
      return invalid_argument("the mix needs a share from 0 to 10000 for '" + name + "', as in " + name + ":10");
    mix[row] = share;
  }
  if (std::all_of(mix.begin(), mix.end(), [](int share) { return share == 0; }))
    return invalid_argument("the mix has no task left");
  return mix;
}

Sample training_sample(uint64_t seed, uint64_t index, const TaskMix& mix) {
  Rng rng(seed * 0xD1B54A32D192ED03ULL + index * 0x2545F4914F6CDD1DULL + 1);
  rng.next();
  Language language = rng.chance(0.5) ? Language::kChinese : Language::kEnglish;
  int64_t dice = rng.range(0, std::accumulate(mix.begin(), mix.end(), int64_t{0}) - 1);
  for (size_t row = 0; row < mix.size(); ++row) {
    dice -= mix[row];
    if (dice < 0) return accepted(task_rows()[row], rng, Split::kTrain, language);
  }
  return accepted(task_rows().front(), rng, Split::kTrain, language);
}

Sample heldout_sample(const TaskRow& task, Language language, uint64_t seed, uint64_t index) {
  Rng rng(seed * 0x9E3779B97F4A7C15ULL + index * 0xD6E8FEB86659FD93ULL + stable_hash(task.name) +
          (language == Language::kChinese ? 1 : 2));
  rng.next();
  return accepted(task, rng, Split::kHeldOut, language);
}

}  // namespace cove::trainer
