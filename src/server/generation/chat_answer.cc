#include "server/generation/chat_answer.h"

#include <utility>
#include <vector>

#include "base/json_text.h"
#include "server/generation/chat_choice.h"
#include "server/generation/output_filter.h"
#include "services/auth/random_token.h"

namespace cove::server {
namespace {

struct WholeChoice {
  std::string content;
  std::string reasoning;
  std::string tool_calls;  // comma-separated JSON
};

struct Choice {
  ChatChoice parsed;
  WholeChoice whole;  // Delivery::kWhole only
  size_t tool_calls = 0;
  bool finished = false;
  std::string finish_reason;
  engine::Usage usage;
};

void append_logprobs(std::string& out, const LogprobLists& lists) {
  out += R"({"content":[)" + lists.content + R"(],"refusal":null)";
  if (!lists.reasoning.empty()) out += R"(,"reasoning_content":[)" + lists.reasoning + "]";
  out += "}";
}

// {"id","type":"function","function":{"name","arguments"}}, with "index" in streams.
void append_tool_call(std::string& out, const text::ToolCall& call, std::optional<size_t> index) {
  out += "{";
  if (index) {
    out += R"("index":)";
    append_json_number(out, static_cast<int64_t>(*index));
    out += ",";
  }
  out += R"("id":"call_)" + auth::random_token(18) + R"(","type":"function","function":{"name":)";
  append_json_string(out, call.name);
  out += R"(,"arguments":)";
  append_json_string(out, call.arguments);
  out += "}}";
}

class ChatAnswer final : public Answer {
 public:
  ChatAnswer(const ServedModel& model, ChatAnswerOptions options)
      : options_(std::move(options)),
        head_(answer_head(options_.identity, streamed() ? "chat.completion.chunk" : "chat.completion")),
        filter_(std::move(options_.plugins), options_.choices) {
    const ChatChoiceOptions choice_options{
        .start = options_.start, .think_close_token = model.think_close_token, .parse_tool_calls = options_.tools};
    for (size_t i = 0; i < options_.choices; ++i)
      choices_.push_back({ChatChoice(*model.tokenizer, choice_options), {}, 0, false, {}, {}});
  }

  std::string begin() override {
    std::string out;
    if (!streamed()) return out;
    for (size_t i = 0; i < choices_.size(); ++i) {
      begin_chunk(out, i);
      out += R"("role":"assistant","content":"")";
      end_chunk(out, {}, {});
    }
    return out;
  }

  std::string on_output(size_t index, const engine::Output& output) override {
    std::string out;
    std::vector<ChatPiece> pieces = choices_[index].parsed.push(output);
    if (!options_.reasoning.include) drop_reasoning(pieces);
    filter_.push(index, pieces);
    show(index, pieces, out);
    return out;
  }

  std::string on_finish(size_t index, const engine::Finish& finish) override {
    Choice& choice = choices_[index];
    std::string out;
    std::vector<ChatPiece> pieces = choice.parsed.finish();
    if (!options_.reasoning.include) drop_reasoning(pieces);
    filter_.finish(index, pieces);
    show(index, pieces, out);
    choice.finished = true;
    choice.usage = finish.usage;
    const bool called = choice.tool_calls > 0 && finish.reason == engine::FinishReason::kStop;
    choice.finish_reason = called ? "tool_calls" : finish_name(finish.reason);
    if (filter_.blocked(index)) choice.finish_reason = kBlockedFinish;
    kept(index).finish_reason = choice.finish_reason;
    add_usage(choice);
    if (streamed()) {
      begin_chunk(out, index);
      end_chunk(out, choice.parsed.take_logprobs(), choice.finish_reason);
    }
    return out;
  }

  std::string end() override { return streamed() ? stream_end() : whole_body(); }
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

  void show(size_t index, std::vector<ChatPiece>& pieces, std::string& out) {
    for (ChatPiece& piece : pieces) {
      if (options_.keep == KeepShown::kYes) keep(kept(index), piece);
      emit(index, piece, out);
    }
  }

  static void keep(ShownText& shown, const ChatPiece& piece) {
    switch (piece.kind) {
      case ChatPiece::Kind::kReasoning: shown.reasoning += piece.text; break;
      case ChatPiece::Kind::kContent: shown.content += piece.text; break;
      case ChatPiece::Kind::kToolCall: shown.calls.push_back(piece.call); break;
    }
  }

  void begin_chunk(std::string& out, size_t index) const {
    out += "data: ";
    out += head_;
    out += R"(,"choices":[{"index":)";
    append_json_number(out, static_cast<int64_t>(index));
    out += R"(,"delta":{)";
  }

  void end_chunk(std::string& out, const LogprobLists& logprobs, std::string_view finish_reason) const {
    out += R"(},"logprobs":)";
    if (options_.logprobs && !logprobs.empty()) {
      append_logprobs(out, logprobs);
    } else {
      out += "null";
    }
    out += R"(,"finish_reason":)";
    if (finish_reason.empty()) {
      out += "null";
    } else {
      append_json_string(out, finish_reason);
    }
    out += options_.include_usage ? "}],\"usage\":null}\n\n" : "}]}\n\n";
  }

  void emit(size_t index, ChatPiece& piece, std::string& out) {
    Choice& choice = choices_[index];
    if (!streamed()) return collect(choice, piece);
    begin_chunk(out, index);
    switch (piece.kind) {
      case ChatPiece::Kind::kReasoning: append_reasoning(out, piece.text); break;
      case ChatPiece::Kind::kContent:
        out += R"("content":)";
        append_json_string(out, piece.text);
        break;
      case ChatPiece::Kind::kToolCall:
        out += R"("tool_calls":[)";
        append_tool_call(out, piece.call, choice.tool_calls++);
        out += "]";
        break;
    }
    end_chunk(out, choice.parsed.take_logprobs(), {});
  }

  void append_reasoning(std::string& out, std::string_view text) const {
    out += R"("reasoning_content":)";
    append_json_string(out, text);
    if (!options_.reasoning.alias) return;
    out += R"(,"reasoning":)";
    append_json_string(out, text);
  }

  static void drop_reasoning(std::vector<ChatPiece>& pieces) {
    std::erase_if(pieces, [](const ChatPiece& piece) { return piece.kind == ChatPiece::Kind::kReasoning; });
  }

  static void collect(Choice& choice, ChatPiece& piece) {
    WholeChoice& whole = choice.whole;
    switch (piece.kind) {
      case ChatPiece::Kind::kReasoning: whole.reasoning += piece.text; break;
      case ChatPiece::Kind::kContent: whole.content += piece.text; break;
      case ChatPiece::Kind::kToolCall:
        if (choice.tool_calls++ > 0) whole.tool_calls += ",";
        append_tool_call(whole.tool_calls, piece.call, std::nullopt);
        break;
    }
  }

  void add_usage(const Choice& choice) {
    // All choices share one prompt; it counts once.
    usage_.prompt_tokens = choice.usage.prompt_tokens;
    usage_.cached_tokens = std::max<int64_t>(usage_.cached_tokens, choice.usage.cached_tokens);
    usage_.completion_tokens += choice.usage.completion_tokens;
    usage_.reasoning_tokens += std::min<int64_t>(choice.parsed.reasoning_tokens(), choice.usage.completion_tokens);
  }

  std::string stream_end() const {
    std::string out;
    if (options_.include_usage) {
      out = "data: " + head_ + R"(,"choices":[],)";
      append_usage(out, usage_);
      out += "}\n\n";
    }
    out += kStreamDone;
    return out;
  }

  void append_message(std::string& out, const WholeChoice& whole) const {
    out += R"({"role":"assistant","content":)";
    if (whole.content.empty() && !whole.tool_calls.empty()) {
      out += "null";
    } else {
      append_json_string(out, whole.content);
    }
    out += R"(,"refusal":null)";
    if (!whole.reasoning.empty()) {
      out += ",";
      append_reasoning(out, whole.reasoning);
    }
    if (!whole.tool_calls.empty()) out += R"(,"tool_calls":[)" + whole.tool_calls + "]";
    out += "}";
  }

  std::string whole_body() {
    std::string out = head_ + R"(,"choices":[)";
    for (size_t i = 0; i < choices_.size(); ++i) {
      Choice& choice = choices_[i];
      out += i == 0 ? R"({"index":)" : R"(,{"index":)";
      append_json_number(out, static_cast<int64_t>(i));
      out += R"(,"message":)";
      append_message(out, choice.whole);
      out += R"(,"logprobs":)";
      if (options_.logprobs) {
        append_logprobs(out, choice.parsed.take_logprobs());
      } else {
        out += "null";
      }
      out += R"(,"finish_reason":)";
      append_json_string(out, choice.finish_reason);
      out += "}";
    }
    out += "],";
    append_usage(out, usage_);
    out += "}";
    return out;
  }

  ChatAnswerOptions options_;
  std::string head_;
  std::vector<Choice> choices_;
  OutputFilter filter_;
  AnswerUsage usage_;
  ShownTexts shown_;  // since the last take_shown()
};

}  // namespace

std::unique_ptr<Answer> make_chat_answer(const ServedModel& model, ChatAnswerOptions options) {
  return std::make_unique<ChatAnswer>(model, std::move(options));
}

}  // namespace cove::server
