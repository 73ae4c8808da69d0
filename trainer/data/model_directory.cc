#include "data/model_directory.h"

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include "base/file.h"
#include "base/json.h"
#include "data/conversation.h"
#include "text/tokenizer/tokenizer.h"

namespace cove::trainer {
namespace {

// Boost serialises on one line; people read these files.
std::string pretty(const json::object& object) {
  std::string out = "{\n";
  size_t left = object.size();
  for (const auto& [key, value] : object) {
    out += "  " + json::serialize(key) + ": " + json::serialize(value) + (--left > 0 ? ",\n" : "\n");
  }
  return out + "}\n";
}

json::object config(const ModelShape& shape, int32_t bos, int32_t eos) {
  return {{"architectures", json::array{"Qwen2ForCausalLM"}},
          {"model_type", "qwen2"},
          {"vocab_size", shape.vocab},
          {"hidden_size", shape.hidden},
          {"intermediate_size", shape.ffn},
          {"num_hidden_layers", shape.layers},
          {"num_attention_heads", shape.heads},
          {"num_key_value_heads", shape.kv_heads},
          {"head_dim", shape.head_dim},
          {"hidden_act", "silu"},
          {"max_position_embeddings", shape.context},
          {"rms_norm_eps", shape.norm_eps},
          {"rope_theta", shape.rope_theta},
          {"tie_word_embeddings", true},
          {"use_sliding_window", false},
          {"attention_dropout", 0.0},
          {"bos_token_id", bos},
          {"eos_token_id", eos},
          {"torch_dtype", "bfloat16"}};
}

}  // namespace

std::vector<SpecialToken> special_tokens() {
  return {{"<｜begin▁of▁sentence｜>", true},
          {"<｜end▁of▁sentence｜>", true},
          {"<｜▁pad▁｜>", true},
          {"<｜User｜>", true},
          {"<｜Assistant｜>", true},
          {"<think>", false},
          {"</think>", false},
          {"<｜tool▁calls▁begin｜>", false},
          {"<｜tool▁calls▁end｜>", false},
          {"<｜tool▁call▁begin｜>", false},
          {"<｜tool▁call▁end｜>", false},
          {"<｜tool▁outputs▁begin｜>", false},
          {"<｜tool▁outputs▁end｜>", false},
          {"<｜tool▁output▁begin｜>", false},
          {"<｜tool▁output▁end｜>", false},
          {"<｜tool▁sep｜>", false}};
}

Status write_model_directory(const std::filesystem::path& dir, const ModelShape& shape,
                             const SamplingDefaults& sampling) {
  TRY_ASSIGN(const auto tokenizer, text::Tokenizer::from_path(dir));
  TRY_ASSIGN(const std::string chat_template, read_file(dir / "chat_template.jinja"));
  if (tokenizer->vocab_size() > shape.vocab)
    return invalid_argument("tokenizer.json has more entries than the model's vocabulary");
  const auto bos = tokenizer->find_token(kBos), eos = tokenizer->find_token(kEos);
  if (!bos || !eos) return invalid_argument("tokenizer.json has no begin or end of sentence token");
  TRY(write_file_atomic(dir / "config.json", pretty(config(shape, *bos, *eos))));
  TRY(write_file_atomic(dir / "generation_config.json", pretty({{"bos_token_id", *bos},
                                                                {"eos_token_id", *eos},
                                                                {"do_sample", true},
                                                                {"temperature", sampling.temperature},
                                                                {"top_p", sampling.top_p}})));
  return write_file_atomic(dir / "tokenizer_config.json", pretty({{"tokenizer_class", "PreTrainedTokenizerFast"},
                                                                  {"bos_token", kBos},
                                                                  {"eos_token", kEos},
                                                                  {"pad_token", "<｜▁pad▁｜>"},
                                                                  {"add_bos_token", false},
                                                                  {"clean_up_tokenization_spaces", false},
                                                                  {"model_max_length", shape.context},
                                                                  {"chat_template", chat_template}}));
}

}  // namespace cove::trainer
