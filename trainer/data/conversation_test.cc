#include "data/conversation.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "data/bpe_trainer.h"
#include "data/model_directory.h"
#include "tasks/generator.h"
#include "text/chat/chat_template.h"

namespace cove::trainer {
namespace {

std::filesystem::path model_dir() { return std::filesystem::path(COVE_SOURCE_DIR) / "models" / "cove-mini"; }

TEST(Conversation, renders_as_the_shipped_template_does) {
  const auto source = read_file(model_dir() / "chat_template.jinja");
  ASSERT_TRUE(source);
  const auto compiled = text::ChatTemplate::compile(*source);
  ASSERT_TRUE(compiled) << compiled.error().message;
  for (uint64_t i = 0; i < 1500; ++i) {
    const Sample sample = training_sample(5, i);
    json::object variables = request_json(sample);
    variables["add_generation_prompt"] = true;
    variables["bos_token"] = kBos;
    variables["eos_token"] = kEos;
    const auto rendered = (*compiled)->render(variables, 0);
    ASSERT_TRUE(rendered) << rendered.error().message;
    EXPECT_EQ(*rendered, render_prompt(sample));
  }
}

TEST(Conversation, drops_earlier_reasoning_and_refuses_unknown_roles) {
  const auto source = read_file(model_dir() / "chat_template.jinja");
  ASSERT_TRUE(source);
  const auto compiled = text::ChatTemplate::compile(*source);
  ASSERT_TRUE(compiled);
  json::object variables{{"bos_token", kBos}, {"eos_token", kEos}, {"add_generation_prompt", true}};
  variables["messages"] = json::array{json::object{{"role", "user"}, {"content", "1+1"}},
                                      json::object{{"role", "assistant"}, {"content", "<think>\n1+1=2\n</think>\n\n2"}},
                                      json::object{{"role", "user"}, {"content", "?"}}};
  EXPECT_EQ(
      (*compiled)->render(variables, 0).value(),
      "<｜begin▁of▁sentence｜><｜User｜>1+1<｜Assistant｜>2<｜end▁of▁sentence｜><｜User｜>?<｜Assistant｜><think>\n");
  variables["messages"] = json::array{json::object{{"role", "robot"}, {"content", "1+1"}}};
  EXPECT_FALSE((*compiled)->render(variables, 0));
}

TEST(Conversation, learns_the_completion_only) {
  const auto tokenizer = text::Tokenizer::from_path(model_dir());
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  for (uint64_t i = 0; i < 300; ++i) {
    const Sample sample = training_sample(6, i);
    const auto document = tokenize(sample, **tokenizer);
    ASSERT_TRUE(document);
    std::vector<int32_t> prompt, learned;
    for (size_t t = 0; t < document->ids.size(); ++t)
      (document->mask[t] == 0 ? prompt : learned).push_back(document->ids[t]);
    EXPECT_EQ((*tokenizer)->decode(prompt, false), render_prompt(sample));
    EXPECT_EQ((*tokenizer)->decode(learned, false), render_completion(sample));
    EXPECT_EQ(document->ids.front(), (*tokenizer)->find_token(kBos));
    EXPECT_EQ(document->ids.back(), (*tokenizer)->find_token(kEos));
  }
}

TEST(ModelDirectory, has_one_id_for_every_special_token) {
  const auto tokenizer = text::Tokenizer::from_path(model_dir());
  ASSERT_TRUE(tokenizer);
  for (const SpecialToken& token : special_tokens()) {
    const auto ids = (*tokenizer)->encode(token.text);
    ASSERT_TRUE(ids);
    EXPECT_EQ(ids->size(), 1U) << token.text;
  }
  EXPECT_LE((*tokenizer)->vocab_size(), ModelShape{}.vocab);
}

}  // namespace
}  // namespace cove::trainer
