#include "services/plugins/mask/mask_stream.h"

#include <random>

#include <gtest/gtest.h>

#include "base/utf8.h"
#include "services/plugins/plugin_set.h"

namespace cove::plugins {
namespace {

DataKinds all_kinds() {
  DataKinds kinds;
  for (const DataKind kind : kDataKinds) kinds.add(kind);
  return kinds;
}

std::string masked(std::string_view text, MaskStyle style = MaskStyle::kPlaceholder) {
  Vault vault;
  MaskStream stream({.kinds = all_kinds(), .style = style, .masking = &vault});
  std::string out;
  stream.push(text, out);
  stream.finish(out);
  return out;
}

// 11010519491231002X is the example of GB 11643-1999.
TEST(Mask, knows_identity_numbers_by_their_checksum) {
  EXPECT_EQ(masked("身份证11010519491231002X。"), "身份证[ID_1]。");
  EXPECT_EQ(masked("身份证11010519491231002x"), "身份证[ID_1]");
  EXPECT_EQ(masked("440524188001010014"), "[ID_1]");
  EXPECT_EQ(masked("110105 19491231 002X"), "[ID_1]");
  EXPECT_EQ(masked("１１０１０５１９４９１２３１００２X"), "[ID_1]") << "full width";
  EXPECT_EQ(masked("110105194912310021"), "110105194912310021") << "wrong check character";
  EXPECT_EQ(masked("990105194912310029"), "990105194912310029") << "no such region";
  EXPECT_EQ(masked("a11010519491231002X"), "a11010519491231002X") << "inside a longer word";
  EXPECT_EQ(masked("11010519491231002Xa"), "11010519491231002Xa");
}

TEST(Mask, knows_mobile_numbers) {
  EXPECT_EQ(masked("电话13812345678，或13912345678"), "电话[MOBILE_1]，或[MOBILE_2]");
  EXPECT_EQ(masked("138-1234-5678 / 138 1234 5678"), "[MOBILE_1] / [MOBILE_2]");
  EXPECT_EQ(masked("+86 13812345678, +8613812345678, 0086-138-1234-5678"), "[MOBILE_1], [MOBILE_2], [MOBILE_3]");
  EXPECT_EQ(masked("13812345678 13812345678"), "[MOBILE_1] [MOBILE_1]") << "the same value, the same name";
  EXPECT_EQ(masked("12812345678"), "12812345678");
  EXPECT_EQ(masked("138123456789"), "138123456789") << "too long";
  EXPECT_EQ(masked("2024 13812345678"), "2024 [MOBILE_1]");
}

TEST(Mask, knows_bank_cards_by_luhn_and_prefix) {
  EXPECT_EQ(masked("4111111111111111"), "[CARD_1]");
  EXPECT_EQ(masked("卡号6222 0212 3456 7890 128"), masked("卡号6222 0212 3456 7890 128"));
  EXPECT_EQ(masked("5555-5555-5555-4444"), "[CARD_1]");
  EXPECT_EQ(masked("378282246310005"), "[CARD_1]");
  EXPECT_EQ(masked("3782 822463 10005"), "[CARD_1]");
  EXPECT_EQ(masked("4111111111111112"), "4111111111111112") << "Luhn fails";
  EXPECT_EQ(masked("9111111111111111"), "9111111111111111");
  EXPECT_EQ(masked("0000000000000000"), "0000000000000000") << "Luhn holds, but no card begins so";
}

TEST(Mask, knows_addresses) {
  EXPECT_EQ(masked("Write to a.b+c@example.co.uk."), "Write to [EMAIL_1].");
  EXPECT_EQ(masked("邮箱zhang@qq.com和13812345678@139.com"), "邮箱[EMAIL_1]和[EMAIL_2]");
  EXPECT_EQ(masked("a@b, @name, x@localhost, 1@2.3"), "a@b, @name, x@localhost, 1@2.3");
}

TEST(Mask, keeps_the_format_where_asked) {
  EXPECT_EQ(masked("13812345678", MaskStyle::kPartial), "138****5678");
  EXPECT_EQ(masked("138-1234-5678", MaskStyle::kPartial), "138-****-5678");
  EXPECT_EQ(masked("11010519491231002X", MaskStyle::kPartial), "110***********002X");
  EXPECT_EQ(masked("4111 1111 1111 1111", MaskStyle::kPartial), "4111 **** **** 1111");
  EXPECT_EQ(masked("zhang.san@example.com", MaskStyle::kPartial), "z****.***@example.com");
  EXPECT_EQ(masked("a@b.com 13812345678", MaskStyle::kStars), "*@*.*** ***********");
}

constexpr std::string_view kParts[] = {"13812345678",
                                       "138-1234-5678",
                                       "11010519491231002X",
                                       "1101051949",
                                       "4111 1111 1111 1111",
                                       "a@b.com",
                                       "x.y@qq.com.",
                                       "@",
                                       ".",
                                       " ",
                                       "-",
                                       "好",
                                       "７",
                                       "ab",
                                       "+86",
                                       "86",
                                       "0",
                                       "[MOBILE_1]",
                                       "[MOB",
                                       "]",
                                       "\n",
                                       "🙂"};

TEST(Mask, streams_equal_whole_texts_at_every_cut) {
  const unsigned seed = 4;
  std::mt19937 random(seed);
  Vault known;
  known.placeholder_of(DataKind::kMobile, "15912345678");
  const auto run = [&](std::string_view text, size_t step, size_t first) {
    Vault vault = known;
    MaskStream stream({.kinds = all_kinds(), .masking = &vault, .restoring = &known});
    std::string out;
    stream.push(text.substr(0, first), out);
    for (size_t at = first; at < text.size(); at += step) {
      stream.push(text.substr(at, step), out);
      EXPECT_LE(stream.held(), kDataBytesMax + 4);
    }
    stream.finish(out);
    return out;
  };
  for (int round = 0; round < 500; ++round) {
    std::string text;
    for (size_t i = random() % 8; i > 0; --i) text += kParts[random() % std::size(kParts)];
    const std::string whole = run(text, text.size() + 1, 0);
    ASSERT_EQ(run(text, 1, 0), whole) << "seed " << seed << ": " << text;
    for (size_t cut = 0; cut <= text.size(); ++cut)
      ASSERT_EQ(run(text, text.size() + 1, cut), whole) << "seed " << seed << " cut " << cut << ": " << text;
  }
}

TEST(Mask, holds_back_little_of_long_nonsense) {
  Vault vault;
  MaskStream stream({.kinds = all_kinds(), .masking = &vault});
  std::string out;
  for (int i = 0; i < 5000; ++i) {
    stream.push("a1.b2-", out);
    ASSERT_LE(stream.held(), kDataBytesMax);
  }
  stream.finish(out);
  EXPECT_EQ(out.size(), 30000U);
}

TEST(MaskPlugin, puts_values_back_into_the_answer) {
  PluginOptions options;
  options.name = "pii";
  options.type = PluginType::kMask;
  options.mask = {.kinds = {"mobile", "email"}, .style = MaskStyle::kPlaceholder, .restore = true};
  auto set = PluginSet::create({options});
  ASSERT_TRUE(set) << set.error().message;
  auto run = (*set)->open({});
  Input input;
  input.texts = {{"system", "Boss: a@b.com"}, {"user", "Call 13812345678 or a@b.com, 4111111111111111"}};
  ASSERT_TRUE(run->preprocess(input));
  EXPECT_EQ(input.texts[0].text, "Boss: [EMAIL_1]");
  EXPECT_EQ(input.texts[1].text, "Call [MOBILE_1] or [EMAIL_1], 4111111111111111");
  std::string answer;
  const uint64_t id = run->new_text();
  for (const char* piece : {"I call [MOB", "ILE", "_1] and [EMAIL_1", "], not [EMAIL_2] but 139", "12345678 [x"})
    answer += run->postprocess({.text_id = id, .text = piece})->text;
  answer += run->postprocess({.text_id = id, .text = "", .end = End::kLast})->text;
  EXPECT_EQ(answer, "I call 13812345678 and a@b.com, not [EMAIL_2] but [MOBILE_2] [x");
  ASSERT_EQ(run->notes().size(), 2U);
  EXPECT_EQ(run->notes()[0].action, "masked");
  EXPECT_EQ(run->notes()[0].count, 4U);
  EXPECT_EQ(run->notes()[1].count, 2U);
}

TEST(MaskPlugin, refuses_what_cannot_work) {
  PluginOptions options;
  options.name = "pii";
  options.type = PluginType::kMask;
  options.mask.kinds = {"passport"};
  EXPECT_EQ(PluginSet::create({options}).error().message,
            "plugin 'pii': kinds: 'passport' is none of id, mobile, card, email");
  options.mask = {.kinds = {"id"}, .style = MaskStyle::kStars, .restore = true};
  EXPECT_FALSE(PluginSet::create({options}));
}

}  // namespace
}  // namespace cove::plugins
