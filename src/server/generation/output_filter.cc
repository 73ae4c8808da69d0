#include "server/generation/output_filter.h"

#include <boost/json.hpp>

namespace cove::server {

OutputFilter::OutputFilter(std::shared_ptr<plugins::PluginRun> run, size_t choices) {
  active_ = run != nullptr && run->filters_output();
  run_ = std::move(run);
  if (active_) states_.resize(choices);
}

const plugins::PluginNotes& OutputFilter::notes() const {
  static const plugins::PluginNotes kNone;
  return run_ == nullptr ? kNone : run_->notes();
}

std::string OutputFilter::filter(size_t choice, plugins::Piece piece) {
  if (failure_) return {};
  piece.choice = choice;
  auto filtered = run_->postprocess(piece);
  if (!filtered) {
    failure_ = ApiError{ApiErrorKind::kPluginFailed, filtered.error().message, {}};
    return {};
  }
  if (filtered->decision == plugins::Decision::kBlock) states_[choice].blocked = true;
  return std::move(filtered->text);
}

void OutputFilter::add_text(size_t choice, ChatPiece::Kind kind, std::string_view text, plugins::End end,
                            std::vector<ChatPiece>& out) {
  const bool reasoning = kind == ChatPiece::Kind::kReasoning;
  std::optional<uint64_t>& id = reasoning ? states_[choice].reasoning : states_[choice].content;
  if (!id) id = run_->new_text();
  std::string shown = filter(choice, {.text_id = *id,
                                      .stage = reasoning ? plugins::Stage::kReasoning : plugins::Stage::kAnswer,
                                      .text = text,
                                      .end = end});
  if (end == plugins::End::kLast) id.reset();
  if (!shown.empty()) out.push_back({kind, std::move(shown), {}});
}

void OutputFilter::close(size_t choice, ChatPiece::Kind kind, std::vector<ChatPiece>& out) {
  const State& state = states_[choice];
  const bool open = kind == ChatPiece::Kind::kReasoning ? state.reasoning.has_value() : state.content.has_value();
  if (open && !state.blocked) add_text(choice, kind, {}, plugins::End::kLast, out);
}

// Each string, key and whole number of the arguments is a text of its own, so that what comes out is JSON again.
void OutputFilter::filter_strings(size_t choice, json::value& value) {
  const auto filtered = [&](std::string_view text) {
    return filter(choice, {.text_id = run_->new_text(), .text = text, .end = plugins::End::kLast});
  };
  if (json::string* text = value.if_string()) {
    *text = filtered({text->data(), text->size()});
  } else if (value.is_int64() || value.is_uint64()) {
    const std::string digits = json::serialize(value);
    if (const std::string shown = filtered(digits); shown != digits) value = json::string(shown);
  } else if (json::array* items = value.if_array()) {
    for (json::value& item : *items) filter_strings(choice, item);
  } else if (json::object* members = value.if_object()) {
    json::object renamed;
    for (auto& member : *members) {
      filter_strings(choice, member.value());
      renamed[filtered(member.key())] = std::move(member.value());
    }
    *members = std::move(renamed);
  }
}

void OutputFilter::add_call(size_t choice, ChatPiece& piece, std::vector<ChatPiece>& out) {
  auto arguments = parse_json(piece.call.arguments);
  if (!arguments) return;  // the parser of tool calls passes JSON only
  const std::string before = json::serialize(*arguments);
  filter_strings(choice, *arguments);
  if (states_[choice].blocked || failure_) return;
  std::string after = json::serialize(*arguments);
  if (after != before) piece.call.arguments = std::move(after);
  out.push_back(std::move(piece));
}

void OutputFilter::push(size_t choice, std::vector<ChatPiece>& pieces) {
  if (!active_) return;
  std::vector<ChatPiece> out;
  for (ChatPiece& piece : pieces) {
    if (states_[choice].blocked || failure_) break;
    if (piece.kind != ChatPiece::Kind::kReasoning) close(choice, ChatPiece::Kind::kReasoning, out);
    if (states_[choice].blocked || failure_) break;
    if (piece.kind == ChatPiece::Kind::kToolCall) {
      add_call(choice, piece, out);
    } else {
      add_text(choice, piece.kind, piece.text, plugins::End::kMore, out);
    }
  }
  pieces = std::move(out);
}

void OutputFilter::finish(size_t choice, std::vector<ChatPiece>& pieces) {
  if (!active_) return;
  push(choice, pieces);
  close(choice, ChatPiece::Kind::kReasoning, pieces);
  close(choice, ChatPiece::Kind::kContent, pieces);
}

}  // namespace cove::server
