#include "text/tokenizer/pre_tokenizer.h"

#include <algorithm>

#include "text/tokenizer/splitters.h"
#include "text/tokenizer/unicode_table.h"

namespace cove::text {

PreTokenizer PreTokenizer::qwen2() { return PreTokenizer(Known::kQwen2); }
PreTokenizer PreTokenizer::llama3() { return PreTokenizer(Known::kLlama3); }
PreTokenizer PreTokenizer::gpt2() { return PreTokenizer(Known::kGpt2); }
PreTokenizer PreTokenizer::deepseek_v3() { return PreTokenizer(Known::kDeepseekV3); }

Status PreTokenizer::split(std::string_view text, Sink sink) const {
  switch (known_) {
    case Known::kQwen2: split_qwen2(text, 1, sink); return {};
    case Known::kLlama3: split_qwen2(text, 3, sink); return {};
    case Known::kGpt2: split_gpt2(text, sink); return {};
    case Known::kDeepseekV3: split_deepseek_v3(text, sink); return {};
    case Known::kNone: break;
  }
  return text.empty() ? Status{} : split_from(0, text, sink);
}

Status PreTokenizer::split_from(size_t index, std::string_view text, Sink sink) const {
  if (index == stages_.size()) return split_byte_level(text, sink);
  TRY_ASSIGN(const std::vector<Part> parts, cut(stages_[index], text));
  for (const Part& part : parts) {
    if (part.span.begin == part.span.end) continue;
    TRY(split_from(index + 1, text.substr(part.span.begin, part.span.end - part.span.begin), sink));
  }
  return {};
}

Status PreTokenizer::split_byte_level(std::string_view text, Sink sink) const {
  std::string prefixed;
  if (byte_level_->add_prefix_space && !text.starts_with(' ')) {
    prefixed.reserve(text.size() + 1);
    prefixed += ' ';
    prefixed += text;
    text = prefixed;
  }
  if (byte_level_->use_regex) {
    split_gpt2(text, sink);
  } else {
    sink(text);
  }
  return {};
}

// Every match and every gap between matches, in order; an empty match only cuts.
Result<std::vector<PreTokenizer::Part>> PreTokenizer::cut(const Stage& stage, std::string_view text) {
  std::vector<Part> parts;
  size_t done = 0;
  for (size_t from = 0; from <= text.size();) {
    TRY_ASSIGN(const std::optional<Regex::Span> match, stage.regex.find(text, from));
    if (!match || (match->begin == match->end && match->begin >= text.size())) break;
    if (done < match->begin) parts.push_back({{done, match->begin}, stage.invert});
    done = match->begin;
    if (match->begin == match->end) {
      from = match->end + classify_at(UnicodeTable::instance(), text, match->end).length;
      continue;
    }
    parts.push_back({*match, !stage.invert});
    from = done = match->end;
  }
  if (done < text.size()) parts.push_back({{done, text.size()}, stage.invert});
  if (stage.behavior != Behavior::kIsolated) merge_parts(stage.behavior, parts);
  return parts;
}

void PreTokenizer::merge_parts(Behavior behavior, std::vector<Part>& parts) {
  if (behavior == Behavior::kRemoved) {
    std::erase_if(parts, [](const Part& part) { return part.matched; });
    return;
  }
  const bool backwards = behavior == Behavior::kMergedWithNext;
  if (backwards) std::reverse(parts.begin(), parts.end());
  std::vector<Part> merged;
  bool previous_matched = false;
  for (const Part& part : parts) {
    const bool joins =
        behavior == Behavior::kContiguous ? part.matched == previous_matched : part.matched && !previous_matched;
    previous_matched = part.matched;
    if (!joins || merged.empty()) {
      merged.push_back(part);
    } else {
      Regex::Span& last = merged.back().span;
      last = {std::min(last.begin, part.span.begin), std::max(last.end, part.span.end)};
    }
  }
  if (backwards) std::reverse(merged.begin(), merged.end());
  parts = std::move(merged);
}

}  // namespace cove::text
