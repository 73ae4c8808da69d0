#include "text/tokenizer/normalizer.h"

#include <cstdlib>
#include <random>

#include <gtest/gtest.h>
#include <utf8proc.h>

#include "base/utf8.h"

namespace cove::text {
namespace {

std::string nfc(std::string_view text) {
  std::string buffer;
  return std::string(normalize_nfc(text, buffer));
}

std::string reference(const std::string& text) {
  utf8proc_uint8_t* composed = utf8proc_NFC(reinterpret_cast<const utf8proc_uint8_t*>(text.c_str()));
  std::string result = reinterpret_cast<const char*>(composed);
  std::free(composed);
  return result;
}

TEST(Normalizer, composes) {
  EXPECT_EQ(nfc("e\u0301"), "\u00E9");
  EXPECT_EQ(nfc("\u212B"), "\u00C5") << "the angstrom sign";
  EXPECT_EQ(nfc("\u1112\u1161\u11AB"), "\uD55C") << "Hangul";
  EXPECT_EQ(nfc("a\u0323\u0302b"), "\u1EADb");
  EXPECT_EQ(nfc("a\u0302\u0323b"), "\u1EADb") << "marks are put in order first";
  EXPECT_EQ(nfc("\u0958"), "\u0915\u093C") << "excluded from composition";
}

TEST(Normalizer, returns_a_composed_text_itself) {
  const std::string text = "plain, 中文, é, русский and 한국어";
  std::string buffer;
  EXPECT_EQ(normalize_nfc(text, buffer).data(), text.data());
  EXPECT_EQ(nfc(""), "");
}

TEST(Normalizer, equals_utf8proc_on_every_character_alone_and_between_letters) {
  for (char32_t c = 1; c < 0x30000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string text;
    append_utf8(text, c);
    text += "o\u0308";
    append_utf8(text, c);
    ASSERT_EQ(nfc(text), reference(text)) << static_cast<unsigned>(c);
  }
}

TEST(Normalizer, equals_utf8proc_on_random_texts) {
  static const char32_t kInteresting[] = {'a',    'e',    ' ',     0xE9,    0x300,   0x301,   0x323, 0x327,  0x345,
                                          0x1100, 0x1161, 0x11A8,  0xAC00,  0xAC01,  0x915,   0x93C, 0x9C7,  0x9BE,
                                          0x212B, 0x1E69, 0x3099,  0x304B,  0x304C,  0x4E2D,  0x5D0, 0x5B0,  0x5BC,
                                          0xFB1D, 0xF900, 0x2F800, 0x1D15E, 0x110A5, 0x110BA, 0x338, 0x226E, '<'};
  std::mt19937 random(7);
  for (int i = 0; i < 20000; ++i) {
    std::string text;
    for (size_t length = random() % 12; length > 0; --length)
      append_utf8(text, kInteresting[random() % std::size(kInteresting)]);
    ASSERT_EQ(nfc(text), reference(text)) << "text " << i << " of seed 7";
  }
}

TEST(Normalizer, takes_little_time_on_a_megabyte_of_marks_in_the_wrong_order) {
  std::string text = "a";
  while (text.size() < (1 << 20)) text += "\u0301\u0323";
  const std::string composed = nfc(text);
  EXPECT_EQ(composed.substr(0, 3), "\u1EA1");
  EXPECT_EQ(nfc(composed), composed);
}

}  // namespace
}  // namespace cove::text
