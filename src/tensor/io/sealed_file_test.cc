#include "tensor/io/sealed_file.h"

#include <random>

#include <unistd.h>

#include <gtest/gtest.h>

namespace cove {
namespace {

class SealedFileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    dir_ = std::filesystem::temp_directory_path() / ("cove_sealed_test_" + std::to_string(::getpid()));
    std::filesystem::create_directories(dir_);
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  std::string random_text(size_t size) {
    std::string text(size, '\0');
    for (char& c : text) c = static_cast<char>(random_());
    return text;
  }

  // Seals `text` in chunks of 4096 and returns the sealed file's bytes.
  std::string seal(const std::string& text, const std::string& file = "weights") {
    EXPECT_TRUE(write_file_atomic(dir_ / "plain", text));
    EXPECT_TRUE(seal_file(dir_ / "plain", dir_ / file, key_,
                          {.name = "weights", .collection = new_collection_id(), .chunk_bytes = 4096}));
    return *read_file(dir_ / file);
  }

  Result<std::string> unseal(const std::string& file, const SealKey& key) {
    TRY_ASSIGN(const SealedFile sealed, SealedFile::open(dir_ / file));
    std::string out(sealed.plain_bytes(), '\0');
    TRY(sealed.decrypt(key, std::as_writable_bytes(std::span(out)), 2));
    return out;
  }

  Result<std::string> unseal_bytes(const std::string& bytes) {
    EXPECT_TRUE(write_file_atomic(dir_ / "changed", bytes));
    return unseal("changed", key_);
  }

  std::filesystem::path dir_;
  SealKey key_ = SealKey::generate();
  std::mt19937_64 random_{7};
};

TEST_F(SealedFileTest, gives_back_what_was_sealed_at_every_size) {
  for (const size_t size : {size_t{0}, size_t{1}, size_t{4095}, size_t{4096}, size_t{4097}, size_t{50000}}) {
    const std::string text = random_text(size);
    seal(text);
    const Result<std::string> back = unseal("weights", key_);
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(*back, text) << size;
  }
}

TEST_F(SealedFileTest, ciphertext_does_not_hold_the_plaintext) {
  const std::string sealed = seal(std::string(20000, 'A'));
  EXPECT_EQ(sealed.find(std::string(16, 'A')), std::string::npos);
}

TEST_F(SealedFileTest, refuses_another_key_by_name) {
  seal("secret");
  const Result<std::string> opened = unseal("weights", SealKey::generate());
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::kPermissionDenied);
  EXPECT_NE(opened.error().message.find(key_.id()), std::string::npos);
}

TEST_F(SealedFileTest, refuses_a_flipped_bit_anywhere) {
  const std::string sealed = seal(random_text(9000));
  for (int i = 0; i < 300; ++i) {
    std::string changed = sealed;
    const size_t at = random_() % changed.size();
    changed[at] = static_cast<char>(changed[at] ^ (1 << (random_() % 8)));
    EXPECT_FALSE(unseal_bytes(changed)) << "bit in byte " << at;
  }
}

TEST_F(SealedFileTest, refuses_every_truncation_and_extension) {
  const std::string sealed = seal(random_text(9000));
  for (size_t size = 0; size < sealed.size(); size += 97) EXPECT_FALSE(unseal_bytes(sealed.substr(0, size))) << size;
  EXPECT_FALSE(unseal_bytes(sealed + "x"));
  EXPECT_FALSE(unseal_bytes(sealed.substr(0, sealed.size() - 4096 - 16)));  // a whole chunk
}

TEST_F(SealedFileTest, refuses_reordered_chunks_and_says_which) {
  std::string sealed = seal(random_text(3 * 4096));
  const size_t chunk = 4096 + 16;
  const size_t data = sealed.size() - 3 * chunk;
  std::swap_ranges(sealed.begin() + static_cast<std::ptrdiff_t>(data),
                   sealed.begin() + static_cast<std::ptrdiff_t>(data + chunk),
                   sealed.begin() + static_cast<std::ptrdiff_t>(data + chunk));
  const Result<std::string> opened = unseal_bytes(sealed);
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().message.find("chunk 0 of 3"), std::string::npos) << opened.error().message;
}

TEST_F(SealedFileTest, refuses_a_chunk_of_another_file_under_the_same_key) {
  const std::string one = seal(random_text(2 * 4096), "one");
  const std::string two = seal(random_text(2 * 4096), "two");
  ASSERT_EQ(one.size(), two.size());
  const size_t chunk = 4096 + 16;
  EXPECT_FALSE(unseal_bytes(one.substr(0, one.size() - chunk) + two.substr(two.size() - chunk)));
  // Nor does another file's header or key slot fit.
  const size_t head = one.size() - 2 * chunk;
  EXPECT_FALSE(unseal_bytes(two.substr(0, head) + one.substr(head)));
  EXPECT_FALSE(unseal_bytes(one.substr(0, head - 68) + two.substr(head - 68, 68) + one.substr(head)));
}

TEST_F(SealedFileTest, changing_the_key_leaves_the_chunks_as_they_are) {
  const std::string text = random_text(20000);
  const std::string before = seal(text);
  const SealKey next = SealKey::generate();
  ASSERT_TRUE(rewrap_key(dir_ / "weights", key_, next));
  const std::string after = *read_file(dir_ / "weights");
  ASSERT_EQ(before.size(), after.size());
  const size_t data = before.size() - (20000 + 5 * 16);
  EXPECT_EQ(before.substr(data), after.substr(data));
  EXPECT_FALSE(unseal("weights", key_));
  EXPECT_EQ(*unseal("weights", next), text);
}

TEST(SealKeyTest, reads_what_it_writes_and_refuses_the_rest) {
  const SealKey key = SealKey::generate();
  const Result<SealKey> again = SealKey::from_hex(key.to_hex() + "\n");
  ASSERT_TRUE(again);
  EXPECT_EQ(again->id(), key.id());
  EXPECT_FALSE(SealKey::from_hex("abcd"));
  EXPECT_FALSE(SealKey::from_hex(std::string(64, 'g')));
}

}  // namespace
}  // namespace cove
