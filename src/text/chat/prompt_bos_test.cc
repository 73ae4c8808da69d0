#include "text/chat/prompt_bos.h"

#include <gtest/gtest.h>

namespace cove::text {
namespace {

TEST(PromptBos, is_added_when_the_template_wrote_none) {
  EXPECT_EQ(with_one_bos("Hi", "<s>"), "<s>Hi");
  EXPECT_EQ(with_one_bos("", "<s>"), "<s>");
  EXPECT_EQ(with_one_bos(" Hi <s>", "<s>"), "<s> Hi <s>");
}

TEST(PromptBos, is_kept_when_the_template_wrote_it) {
  EXPECT_EQ(with_one_bos("<s>Hi", "<s>"), "<s>Hi");
  EXPECT_EQ(with_one_bos("\n\n<s>Hi", "<s>"), "\n\n<s>Hi");
}

TEST(PromptBos, is_reduced_to_one) {
  EXPECT_EQ(with_one_bos("<s><s><s>Hi", "<s>"), "<s>Hi");
  EXPECT_EQ(with_one_bos("<s><s>", "<s>"), "<s>");
}

TEST(PromptBos, is_left_alone_inside_the_text_and_for_models_without_one) {
  EXPECT_EQ(with_one_bos("<s>what is <s>?", "<s>"), "<s>what is <s>?");
  EXPECT_EQ(with_one_bos("Hi", ""), "Hi");
}

}  // namespace
}  // namespace cove::text
