#include "tasks/generator.h"

#include <set>
#include <string_view>

#include <gtest/gtest.h>

#include "data/conversation.h"

namespace cove::trainer {
namespace {

TEST(Generator, draws_the_same_sample_for_a_seed_and_index) {
  for (uint64_t i = 0; i < 200; ++i) {
    const Sample a = training_sample(3, i), b = training_sample(3, i);
    EXPECT_EQ(render_prompt(a) + render_completion(a), render_prompt(b) + render_completion(b));
  }
  EXPECT_NE(render_prompt(training_sample(3, 1)), render_prompt(training_sample(4, 1)));
}

TEST(Generator, keeps_held_out_problems_out_of_training) {
  std::set<std::string> trained;
  for (uint64_t i = 0; i < 20000; ++i) {
    const Sample sample = training_sample(1, i);
    EXPECT_FALSE(held_out(sample.key)) << sample.key;
    trained.insert(sample.messages.back().content);
  }
  for (const TaskRow& row : task_rows()) {
    for (uint64_t i = 0; i < 50; ++i) {
      for (Language language : {Language::kChinese, Language::kEnglish}) {
        const Sample sample = heldout_sample(row, language, 1, i);
        EXPECT_TRUE(held_out(sample.key)) << sample.key;
        EXPECT_EQ(sample.language, language);
      }
    }
  }
}

TEST(Generator, never_trains_on_the_documented_example) {
  EXPECT_TRUE(held_out("running|23|+48|-17"));
  for (uint64_t i = 0; i < 50000; ++i) {
    const Sample sample = training_sample(1, i);
    const std::string& text = sample.messages.back().content;
    const bool same = text.find("23") != std::string::npos && text.find("48") != std::string::npos &&
                      text.find("17") != std::string::npos && sample.key == "running|23|+48|-17";
    EXPECT_FALSE(same) << text;
  }
}

TEST(Generator, covers_every_task_in_both_languages) {
  std::set<std::pair<std::string, Language>> seen;
  for (uint64_t i = 0; i < 3000; ++i) {
    const Sample sample = training_sample(1, i);
    seen.insert({sample.task, sample.language});
  }
  EXPECT_EQ(seen.size(), 2 * task_rows().size());
}

TEST(Generator, mixes_the_tasks_as_asked) {
  const Result<TaskMix> mix = parse_mix("arithmetic:0,table:300");
  ASSERT_TRUE(mix) << mix.error().message;
  int tables = 0;
  for (uint64_t i = 0; i < 1000; ++i) {
    const Sample sample = training_sample(1, i, *mix);
    EXPECT_NE(sample.task, "arithmetic");
    tables += sample.task == "table" ? 1 : 0;
  }
  EXPECT_GT(tables, 700);  // 300 of 376 shares
  EXPECT_LT(tables, 890);
  EXPECT_EQ(*parse_mix(""), default_mix());
}

TEST(Generator, refuses_a_mix_it_does_not_understand) {
  for (const char* text : {"tables:3", "table", "table:", "table:-1", "table:x", "table:3x", "table:10001", ":3", ","})
    EXPECT_FALSE(parse_mix(text)) << text;
  std::string none;
  for (const TaskRow& row : task_rows()) none += std::string(row.name) + ":0,";
  EXPECT_FALSE(parse_mix(none));
}

size_t occurrences(std::string_view text, std::string_view part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + part.size())) ++count;
  return count;
}

TEST(Generator, goes_through_all_keys_before_it_says_that_one_is_missing) {
  int seen = 0;
  for (uint64_t i = 0; i < 20000; ++i) {
    const Sample sample = training_sample(1, i);
    if (sample.task != "json" || sample.reasoning.find("no key") == std::string::npos) continue;
    ++seen;
    const std::string_view keys = std::string_view(sample.reasoning).substr(0, sample.reasoning.find('\n'));
    EXPECT_EQ(occurrences(keys, ",") + 1, occurrences(sample.messages.back().content, "\": ")) << sample.reasoning;
  }
  EXPECT_GT(seen, 5);
}

TEST(Generator, judges_its_own_answers_as_right) {
  for (const TaskRow& row : task_rows()) {
    for (uint64_t i = 0; i < 100; ++i) {
      const Sample sample = heldout_sample(row, i % 2 == 0 ? Language::kChinese : Language::kEnglish, 2, i);
      const std::string completion = render_completion(sample);
      const text::Verdict verdict = text::judge(completion.substr(0, completion.size() - kEos.size()), sample.check);
      EXPECT_TRUE(verdict.closed && verdict.correct) << sample.task << "\n" << completion;
    }
  }
}

TEST(Scoring, does_not_accept_an_open_thought_or_another_number) {
  const Check check{CheckKind::kNumber, {"54"}};
  EXPECT_FALSE(text::judge("23+48=71\n71-17=54", check).closed);
  EXPECT_TRUE(text::judge("x\n</think>\n\n还剩54个。", check).correct);
  EXPECT_FALSE(text::judge("x\n</think>\n\n还剩154个。", check).correct);
  EXPECT_FALSE(text::judge("x\n</think>\n\n还剩-54个。", check).correct);
}

}  // namespace
}  // namespace cove::trainer
