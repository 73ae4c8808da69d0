// Special tokens as their makers published them in code, for vocabulary files that come without a list: Qwen2.5's
// tokenizer_config.json, Llama 3's tokenizer.py, DeepSeek V3's tokenizer.json.
#include <fmt/format.h>

#include "text/tokenizer/loaders.h"

namespace cove::text {
namespace {

struct Known {
  std::string_view content;
  bool special;
};

std::vector<AddedToken> number_from(int32_t first_id, std::initializer_list<Known> tokens) {
  std::vector<AddedToken> added;
  for (const Known& token : tokens) {
    added.push_back({.content = std::string(token.content),
                     .id = first_id + static_cast<int32_t>(added.size()),
                     .special = token.special});
  }
  return added;
}

}  // namespace

std::vector<AddedToken> qwen2_added_tokens() {
  return number_from(151643, {{"<|endoftext|>", true},        {"<|im_start|>", true},       {"<|im_end|>", true},
                              {"<|object_ref_start|>", true}, {"<|object_ref_end|>", true}, {"<|box_start|>", true},
                              {"<|box_end|>", true},          {"<|quad_start|>", true},     {"<|quad_end|>", true},
                              {"<|vision_start|>", true},     {"<|vision_end|>", true},     {"<|vision_pad|>", true},
                              {"<|image_pad|>", true},        {"<|video_pad|>", true},      {"<tool_call>", false},
                              {"</tool_call>", false},        {"<|fim_prefix|>", false},    {"<|fim_middle|>", false},
                              {"<|fim_suffix|>", false},      {"<|fim_pad|>", false},       {"<|repo_name|>", false},
                              {"<|file_sep|>", false}});
}

// As of Llama 3.1, which gave names to three reserved tokens of Llama 3.
std::vector<AddedToken> llama3_added_tokens() {
  std::vector<AddedToken> added = number_from(128000, {{"<|begin_of_text|>", true},
                                                       {"<|end_of_text|>", true},
                                                       {"<|reserved_special_token_0|>", true},
                                                       {"<|reserved_special_token_1|>", true},
                                                       {"<|finetune_right_pad_id|>", true},
                                                       {"<|reserved_special_token_2|>", true},
                                                       {"<|start_header_id|>", true},
                                                       {"<|end_header_id|>", true},
                                                       {"<|eom_id|>", true},
                                                       {"<|eot_id|>", true},
                                                       {"<|python_tag|>", true}});
  for (int32_t number = 3; added.size() < 256; ++number) {
    added.push_back(
        {.content = fmt::format("<|reserved_special_token_{}|>", number), .id = 128008 + number, .special = true});
  }
  return added;
}

std::vector<AddedToken> deepseek_v3_added_tokens() {
  std::vector<AddedToken> added =
      number_from(0, {{"<｜begin▁of▁sentence｜>", true}, {"<｜end▁of▁sentence｜>", true}, {"<｜▁pad▁｜>", true}});
  for (int32_t number = 0; number < 800; ++number) {
    added.push_back(
        {.content = fmt::format("<｜place▁holder▁no▁{}｜>", number), .id = 128000 + number, .special = true});
  }
  std::vector<AddedToken> named = number_from(128800, {{"<｜fim▁hole｜>", false},
                                                       {"<｜fim▁begin｜>", false},
                                                       {"<｜fim▁end｜>", false},
                                                       {"<｜User｜>", false},
                                                       {"<｜Assistant｜>", false},
                                                       {"<|EOT|>", true},
                                                       {"<｜tool▁calls▁begin｜>", false},
                                                       {"<｜tool▁calls▁end｜>", false},
                                                       {"<｜tool▁call▁begin｜>", false},
                                                       {"<｜tool▁call▁end｜>", false},
                                                       {"<｜tool▁outputs▁begin｜>", false},
                                                       {"<｜tool▁outputs▁end｜>", false},
                                                       {"<｜tool▁output▁begin｜>", false},
                                                       {"<｜tool▁output▁end｜>", false},
                                                       {"<｜tool▁sep｜>", false}});
  for (AddedToken& token : named) token.normalized = true;
  added.insert(added.end(), named.begin(), named.end());
  return added;
}

}  // namespace cove::text
