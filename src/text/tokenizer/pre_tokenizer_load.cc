// PreTokenizer from its two published declarations: tokenizer.json's "pre_tokenizer" and GGUF's tokenizer.ggml.pre.
#include <fmt/format.h>
#include <boost/json/array.hpp>
#include <boost/json/string.hpp>

#include "text/tokenizer/pre_tokenizer.h"
#include "text/tokenizer/splitters.h"

namespace cove::text {
namespace {

constexpr int kDepthMax = 8;
constexpr size_t kStagesMax = 32;

// DeepSeek-LLM 7B/67B: letters of the Latin, Greek, Cyrillic, ... scripts with case; then ASCII and CJK punctuation.
constexpr std::string_view kDeepseekLlmWords =
    R"(\s?[)"
    R"(A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293}\x{295}-\x{2AF})"
    R"(\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386}\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1})"
    R"(\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F}\x{531}-\x{556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5})"
    R"(\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77}\x{1D79}-)"
    R"(\x{1D9A}\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45}\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57})"
    R"(\x{1F59}\x{1F5B}\x{1F5D}\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4})"
    R"(\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}\x{1FF6}-)"
    R"(\x{1FFC}\x{2102}\x{2107}\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124}\x{2126}\x{2128}\x{212A}-)"
    R"(\x{212D}\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F}\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184}\x{2C00}-)"
    R"(\x{2C7B}\x{2C7E}-\x{2CE4}\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D}\x{A680}-\x{A69B})"
    R"(\x{A722}-\x{A76F}\x{A771}-\x{A787}\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-)"
    R"(\x{FB17}\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}\x{10400}-\x{1044F}\x{104B0}-\x{104D3}\x{104D8}-\x{104FB})"
    R"(\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF}\x{1E900}-\x{1E943})"
    R"(]+)";
constexpr std::string_view kDeepseekLlmSigns = "\\s?[!-/:-~！-／：-～‘-‟　-。]+";
constexpr std::string_view kDeepseekCjk = R"([\x{4E00}-\x{9FA5}\x{800}-\x{4E00}\x{AC00}-\x{D7FF}]+)";
constexpr std::string_view kLineBreak = "[\\r\\n]";

// `\s+$` takes quadratic time on long runs of spaces that do not end the text. Where line breaks have been cut out
// before, `$` can only be the end of the piece, and this form says the same in linear time.
constexpr std::string_view kTrailingSpace = "\\s+$";
constexpr std::string_view kTrailingSpaceLinear = "(?<!\\s)\\s++$";

std::string_view string_member(const json::value& object, std::string_view key) {
  const json::value* member = find_member(object, key);
  const json::string* text = member != nullptr ? member->if_string() : nullptr;
  return text != nullptr ? std::string_view(*text) : std::string_view();
}

Result<bool> bool_member(const json::value& object, std::string_view key, bool fallback) {
  const json::value* member = find_member(object, key);
  if (member == nullptr || member->is_null()) return fallback;
  if (const bool* value = member->if_bool()) return *value;
  return data_corrupt(fmt::format("pre_tokenizer: '{}' must be true or false", key));
}

// Published files hold the line break itself or its escape.
bool is_line_break(std::string_view pattern) { return pattern == kLineBreak || pattern == "[\r\n]"; }

Error unsupported(std::string message) { return {ErrorCode::kUnsupported, std::move(message)}; }

}  // namespace

Result<PreTokenizer> PreTokenizer::from_json(const json::value& declaration) {
  PreTokenizer made(Known::kNone);
  TRY(made.add_json(declaration, 0));
  if (!made.byte_level_)
    return unsupported("pre_tokenizer: has no ByteLevel; only byte-level BPE tokenizers are supported");
  made.recognize();
  return made;
}

Status PreTokenizer::add_json(const json::value& declaration, int depth) {
  if (depth > kDepthMax || stages_.size() >= kStagesMax)
    return unsupported("pre_tokenizer: too many or too deeply nested parts");
  const std::string_view type = string_member(declaration, "type");
  if (type == "Sequence") return add_sequence(declaration, depth);
  if (byte_level_) return unsupported(fmt::format("pre_tokenizer: '{}' after ByteLevel is not supported", type));
  if (type == "Split") return add_split(declaration);
  if (type == "Digits") return add_digits(declaration);
  if (type == "ByteLevel") return add_byte_level(declaration);
  return unsupported(
      fmt::format("pre_tokenizer: type '{}' is not supported (Sequence, Split, Digits and ByteLevel are)", type));
}

Status PreTokenizer::add_sequence(const json::value& declaration, int depth) {
  const json::value* parts = find_member(declaration, "pretokenizers");
  if (parts == nullptr || !parts->is_array())
    return data_corrupt("pre_tokenizer: a Sequence needs the array 'pretokenizers'");
  for (const json::value& part : parts->get_array()) TRY(add_json(part, depth + 1));
  return {};
}

Status PreTokenizer::add_split(const json::value& declaration) {
  const json::value* pattern = find_member(declaration, "pattern");
  if (pattern == nullptr) return data_corrupt("pre_tokenizer: a Split needs a 'pattern'");
  const std::string_view regex = string_member(*pattern, "Regex");
  const std::string_view literal = string_member(*pattern, "String");
  if (regex.empty() && literal.empty())
    return data_corrupt("pre_tokenizer: a Split's pattern needs a 'Regex' or a 'String'");

  static constexpr std::pair<std::string_view, Behavior> kBehaviors[] = {
      {"Isolated", Behavior::kIsolated},
      {"Removed", Behavior::kRemoved},
      {"MergedWithPrevious", Behavior::kMergedWithPrevious},
      {"MergedWithNext", Behavior::kMergedWithNext},
      {"Contiguous", Behavior::kContiguous},
  };
  const std::string_view wanted = string_member(declaration, "behavior");
  std::optional<Behavior> behavior;
  for (const auto& [name, value] : kBehaviors) {
    if (name == wanted) behavior = value;
  }
  if (!behavior) return unsupported(fmt::format("pre_tokenizer: Split behavior '{}' is not supported", wanted));
  TRY_ASSIGN(const bool invert, bool_member(declaration, "invert", false));
  const bool lines_cut =
      !stages_.empty() && stages_[0].behavior == Behavior::kIsolated && is_line_break(stages_[0].pattern);
  const std::string_view source = lines_cut && regex == kTrailingSpace ? kTrailingSpaceLinear : regex;
  TRY_ASSIGN(Regex compiled, regex.empty() ? Regex::compile_literal(literal) : Regex::compile(source));
  stages_.push_back({std::move(compiled), std::string(regex), *behavior, invert});
  return {};
}

Status PreTokenizer::add_digits(const json::value& declaration) {
  TRY_ASSIGN(const bool individual, bool_member(declaration, "individual_digits", false));
  TRY_ASSIGN(Regex compiled, Regex::compile(R"(\p{N})"));
  stages_.push_back({std::move(compiled), R"(\p{N})", individual ? Behavior::kIsolated : Behavior::kContiguous, false});
  return {};
}

Status PreTokenizer::add_byte_level(const json::value& declaration) {
  ByteLevel byte_level;
  TRY_ASSIGN(byte_level.add_prefix_space, bool_member(declaration, "add_prefix_space", true));
  TRY_ASSIGN(byte_level.use_regex, bool_member(declaration, "use_regex", true));
  byte_level_ = byte_level;
  return {};
}

// Published patterns run on the hand-written splitters.
void PreTokenizer::recognize() {
  if (byte_level_->add_prefix_space) return;
  for (const Stage& stage : stages_) {
    if (stage.behavior != Behavior::kIsolated || stage.invert) return;
  }
  const auto is = [&](size_t index, std::string_view pattern) { return stages_[index].pattern == pattern; };
  if (stages_.empty() && byte_level_->use_regex) known_ = Known::kGpt2;
  if (byte_level_->use_regex) return;
  if (stages_.size() == 1 && is(0, kQwen2Pattern)) known_ = Known::kQwen2;
  if (stages_.size() == 1 && is(0, kLlama3Pattern)) known_ = Known::kLlama3;
  if (stages_.size() == 1 && is(0, kGpt2Pattern)) known_ = Known::kGpt2;
  if (stages_.size() == 3 && is(0, kDeepseekV3Patterns[0]) && is(1, kDeepseekV3Patterns[1]) &&
      is(2, kDeepseekV3Patterns[2])) {
    known_ = Known::kDeepseekV3;
  }
}

Result<PreTokenizer> PreTokenizer::from_patterns(const std::vector<std::string_view>& patterns,
                                                 const ByteLevel& byte_level) {
  PreTokenizer made(Known::kNone);
  for (const std::string_view pattern : patterns) {
    TRY_ASSIGN(Regex compiled, Regex::compile(pattern));
    made.stages_.push_back({std::move(compiled), std::string(pattern), Behavior::kIsolated, false});
  }
  made.byte_level_ = byte_level;
  return made;
}

Result<PreTokenizer> PreTokenizer::from_gguf_name(std::string_view name) {
  const auto is_one_of = [&](std::initializer_list<std::string_view> names) {
    for (const std::string_view candidate : names) {
      if (candidate == name) return true;
    }
    return false;
  };
  if (is_one_of({"qwen2", "deepseek-r1-qwen", "megrez", "hunyuan", "stablelm2", "grok-2", "solar-open"}))
    return qwen2();
  if (is_one_of({"llama-bpe", "llama3", "llama-v3", "falcon3", "dbrx", "smaug-bpe", "glm4", "chatglm-bpe"}))
    return llama3();
  if (is_one_of({"deepseek-v3", "hunyuan-dense"})) return deepseek_v3();
  if (is_one_of({"gpt-2", "gpt2", "mpt", "olmo", "jais", "exaone4", "trillion", "granite-docling", "phi-2"}))
    return gpt2();
  if (is_one_of({"starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b"})) {
    return from_patterns({R"(\p{N})"}, {.use_regex = true});
  }
  if (name == "deepseek-coder") {
    return from_patterns({R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", kDeepseekCjk, R"(\p{N})"}, {});
  }
  if (name == "deepseek-llm") {
    return from_patterns(
        {kLineBreak, kDeepseekLlmWords, kDeepseekLlmSigns, kTrailingSpaceLinear, kDeepseekCjk, R"(\p{N}+)"}, {});
  }
  if (name == "falcon") {
    return from_patterns({R"([\p{P}\$\+<=>\^~\|`]+)", kGpt2Pattern, "[0-9][0-9][0-9]"}, {});
  }
  if (name == "default" || name.empty()) {
    return from_patterns({R"([\p{P}\$\+<=>\^~\|]+)", kGpt2Pattern, R"(\p{N}+)", "[0-9][0-9][0-9]"}, {});
  }
  return unsupported(fmt::format(
      "tokenizer.ggml.pre '{}' is not a pre-tokenizer that Cove knows; use the model's tokenizer.json, or convert "
      "the model again with a current converter",
      name));
}

}  // namespace cove::text
