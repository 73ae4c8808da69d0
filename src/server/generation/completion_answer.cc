#include "server/generation/completion_answer.h"

#include <utility>
#include <vector>

#include "base/json_text.h"
#include "server/generation/logprob_text.h"
#include "server/generation/output_filter.h"

namespace cove::server {
namespace {

struct Choice {
  CompletionLogprobs logprobs;
  std::string text;  // Delivery::kWhole only
  std::string finish_reason;
};

class CompletionAnswer final : public Answer {
 public:
  CompletionAnswer(const ServedModel& model, CompletionAnswerOptions options)
      : options_(std::move(options)),
        head_(answer_head(options_.identity, "text_completion")),
        filter_(std::move(options_.plugins), options_.choices) {
    for (size_t i = 0; i < options_.choices; ++i) choices_.push_back({CompletionLogprobs(*model.tokenizer), {}, {}});
  }

  std::string begin() override { return {}; }

  std::string on_output(size_t index, const engine::Output& output) override {
    Choice& choice = choices_[index];
    for (const engine::Logprob& logprob : output.logprobs) choice.logprobs.add(logprob);
    std::vector<ChatPiece> pieces;
    if (!output.text.empty()) pieces.push_back({ChatPiece::Kind::kContent, output.text, {}});
    filter_.push(index, pieces);
    return emit(index, pieces);
  }

  std::string on_finish(size_t index, const engine::Finish& finish) override {
    Choice& choice = choices_[index];
    std::vector<ChatPiece> pieces;
    filter_.finish(index, pieces);
    std::string out = emit(index, pieces);
    choice.finish_reason = filter_.blocked(index) ? kBlockedFinish : finish_name(finish.reason);
    kept(index).finish_reason = choice.finish_reason;
    if (index % options_.choices_per_prompt == 0) {
      usage_.prompt_tokens += finish.usage.prompt_tokens;
      usage_.cached_tokens += finish.usage.cached_tokens;
    }
    usage_.completion_tokens += finish.usage.completion_tokens;
    if (streamed()) append_chunk(out, index, {});
    return out;
  }

  std::string end() override {
    std::string out;
    if (streamed()) {
      if (options_.include_usage) {
        out = "data: " + head_ + R"(,"choices":[],)";
        append_usage(out, usage_);
        out += "}\n\n";
      }
      out += kStreamDone;
      return out;
    }
    out = head_ + R"(,"choices":[)";
    for (size_t i = 0; i < choices_.size(); ++i) {
      if (i > 0) out += ",";
      append_choice(out, i, choices_[i].text);
    }
    out += "],";
    append_usage(out, usage_);
    out += "}";
    return out;
  }

  const AnswerUsage& usage() const override { return usage_; }
  bool blocked(size_t choice) const override { return filter_.blocked(choice); }
  const std::optional<ApiError>& failure() const override { return filter_.failure(); }
  const plugins::PluginNotes& plugin_notes() const override { return filter_.notes(); }
  ShownTexts take_shown() override { return std::exchange(shown_, {}); }

 private:
  bool streamed() const { return options_.delivery == Delivery::kStream; }

  ShownText& kept(size_t index) {
    if (shown_.empty()) shown_.resize(choices_.size());
    return shown_[index];
  }

  std::string emit(size_t index, const std::vector<ChatPiece>& pieces) {
    std::string out;
    for (const ChatPiece& piece : pieces) {
      if (options_.keep == KeepShown::kYes) kept(index).content += piece.text;
      if (streamed()) {
        append_chunk(out, index, piece.text);
      } else {
        choices_[index].text += piece.text;
      }
    }
    return out;
  }

  void append_choice(std::string& out, size_t index, std::string_view text) {
    Choice& choice = choices_[index];
    out += R"({"index":)";
    append_json_number(out, static_cast<int64_t>(index));
    out += R"(,"text":)";
    append_json_string(out, text);
    out += R"(,"logprobs":)";
    out += options_.logprobs && !choice.logprobs.empty() ? choice.logprobs.take() : "null";
    out += R"(,"finish_reason":)";
    if (choice.finish_reason.empty()) {
      out += "null";
    } else {
      append_json_string(out, choice.finish_reason);
    }
    out += "}";
  }

  void append_chunk(std::string& out, size_t index, std::string_view text) {
    out += "data: " + head_ + R"(,"choices":[)";
    append_choice(out, index, text);
    out += options_.include_usage ? "],\"usage\":null}\n\n" : "]}\n\n";
  }

  CompletionAnswerOptions options_;
  std::string head_;
  std::vector<Choice> choices_;
  OutputFilter filter_;
  AnswerUsage usage_;
  ShownTexts shown_;  // since the last take_shown()
};

}  // namespace

std::unique_ptr<Answer> make_completion_answer(const ServedModel& model, CompletionAnswerOptions options) {
  return std::make_unique<CompletionAnswer>(model, std::move(options));
}

}  // namespace cove::server
