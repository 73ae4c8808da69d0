#include "tensor/io/sealed_file.h"

#include <fstream>
#include <random>

#include <unistd.h>

#include <gtest/gtest.h>

#include "base/file.h"

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
    EXPECT_TRUE(
        seal_file(dir_ / "plain", dir_ / file, key_,
                  {.name = "weights", .collection = new_collection_id(), .chunk_bytes = 4096, .on_progress = {}}));
    return *read_file(dir_ / file);
  }

  Result<std::string> unseal(const std::string& file, const SealKey& key) {
    TRY_ASSIGN(const SealedFile sealed, SealedFile::open(dir_ / file));
    std::string out(sealed.plain_bytes(), '\0');
    TRY(sealed.decrypt(key, std::as_writable_bytes(std::span(out)), threads_));
    return out;
  }

  Result<std::string> unseal_bytes(const std::string& bytes) {
    std::ofstream(dir_ / "changed", std::ios::binary | std::ios::trunc) << bytes;
    return unseal("changed", key_);
  }

  std::filesystem::path dir_;
  unsigned threads_ = 2;
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

TEST_F(SealedFileTest, refuses_a_flipped_bit_in_every_byte) {
  const std::string sealed = seal(random_text(5000));
  threads_ = 1;
  for (size_t at = 0; at < sealed.size(); ++at) {
    std::string changed = sealed;
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
  const size_t slots = 2 * 68;
  EXPECT_FALSE(unseal_bytes(one.substr(0, head - slots) + two.substr(head - slots, slots) + one.substr(head)));
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

TEST_F(SealedFileTest, an_interrupted_change_of_key_is_refused_and_finished_by_the_next) {
  const std::string text = random_text(5000);
  const std::string before = seal(text);
  const SealKey next = SealKey::generate();
  ASSERT_TRUE(rewrap_key(dir_ / "weights", key_, next));
  const std::string after = *read_file(dir_ / "weights");
  const size_t slots = before.size() - (5000 + 2 * 16) - 2 * 68;
  // The moment between the two writes: both keys are there.
  const std::string between = before.substr(0, slots + 68) + after.substr(slots + 68);
  ASSERT_TRUE(write_file_atomic(dir_ / "weights", between));
  const auto refused = unseal("weights", next);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kFailedPrecondition);
  EXPECT_NE(refused.error().message.find("--rewrap"), std::string::npos);
  ASSERT_TRUE(rewrap_key(dir_ / "weights", key_, next));
  EXPECT_EQ(*read_file(dir_ / "weights"), after);
  EXPECT_EQ(*unseal("weights", next), text);
  // Half of the new slot written: it is written again.
  std::string torn = before;
  torn.replace(slots + 68, 30, after.substr(slots + 68, 30));
  ASSERT_TRUE(write_file_atomic(dir_ / "weights", torn));
  ASSERT_TRUE(rewrap_key(dir_ / "weights", key_, next));
  EXPECT_EQ(*unseal("weights", next), text);
  ASSERT_TRUE(rewrap_key(dir_ / "weights", key_, next)) << "again";
  const Status wrong = rewrap_key(dir_ / "weights", SealKey::generate(), SealKey::generate());
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, ErrorCode::kPermissionDenied);
}

TEST_F(SealedFileTest, a_stopped_run_leaves_nothing) {
  ASSERT_TRUE(write_file_atomic(dir_ / "plain", random_text(50000)));
  const auto stopped = seal_file(
      dir_ / "plain", dir_ / "target", key_,
      {.name = "x", .collection = new_collection_id(), .chunk_bytes = 4096, .on_progress = [](uint64_t done) -> Status {
         if (done < 20000) return {};
         return make_error(ErrorCode::kCancelled, "stop");
       }});
  ASSERT_FALSE(stopped);
  EXPECT_EQ(stopped.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir_), {}), 1) << "only 'plain'";
  EXPECT_FALSE(seal_file(dir_ / "missing", dir_ / "target", key_,
                         {.name = "x", .collection = "c", .chunk_bytes = 4096, .on_progress = {}}));
}

TEST_F(SealedFileTest, decrypts_a_head_and_to_a_file) {
  const std::string text = random_text(10000);
  seal(text);
  const auto sealed = SealedFile::open(dir_ / "weights");
  ASSERT_TRUE(sealed);
  for (const uint64_t bytes : {0, 1, 4096, 4097, 9999, 20000}) {
    const auto head = sealed->decrypt_head(key_, bytes);
    ASSERT_TRUE(head) << head.error().message;
    EXPECT_EQ(*head, text.substr(0, bytes));
  }
  ASSERT_TRUE(sealed->decrypt_to(key_, dir_ / "back", {}));
  EXPECT_EQ(*read_file(dir_ / "back"), text);
  EXPECT_FALSE(sealed->decrypt_to(SealKey::generate(), dir_ / "other", {}));
  EXPECT_FALSE(std::filesystem::exists(dir_ / "other"));
}

TEST(SealKeyTest, reads_what_it_writes_and_refuses_the_rest) {
  const SealKey key = SealKey::generate();
  const Result<SealKey> again = SealKey::from_text("  " + key.to_hex() + "\n");
  ASSERT_TRUE(again);
  EXPECT_EQ(again->id(), key.id());
  EXPECT_FALSE(SealKey::from_text("abcd"));
  EXPECT_FALSE(SealKey::from_text(""));
  const Result<SealKey> wrong = SealKey::from_text(std::string(64, 'g'));
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().message.find("ggg"), std::string::npos) << "messages never show a key";
}

TEST(SealKeyTest, reads_base64_as_key_services_give_it) {
  const auto zeros = SealKey::from_text("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
  ASSERT_TRUE(zeros);
  EXPECT_EQ(zeros->to_hex(), std::string(64, '0'));
  const auto ones = SealKey::from_text("//////////////////////////////////////////8=\n");
  ASSERT_TRUE(ones);
  EXPECT_EQ(ones->to_hex(), std::string(64, 'f'));
  EXPECT_FALSE(SealKey::from_text("////////////////////////////////////////////"));  // 33 bytes
  EXPECT_FALSE(SealKey::from_text("////////////////////////////////////////////=="));
  EXPECT_FALSE(SealKey::from_text("*//////////////////////////////////////////8="));
}

}  // namespace
}  // namespace cove
