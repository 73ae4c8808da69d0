// docs/formats/sealed.md, followed by hand: nothing of the code under test is used to read a file that it wrote, and a
// file that was written once stays readable.
#include <array>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <unistd.h>
#include <boost/json.hpp>

#include "base/file.h"
#include "tensor/io/sealed_file.h"

namespace cove {
namespace {

using Bytes = std::vector<unsigned char>;

Bytes open_gcm(const Bytes& key, const Bytes& nonce, const Bytes& associated, const Bytes& cipher_and_tag) {
  const std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> context(EVP_CIPHER_CTX_new(),
                                                                                EVP_CIPHER_CTX_free);
  Bytes tag(cipher_and_tag.end() - 16, cipher_and_tag.end());
  Bytes plain(cipher_and_tag.size() - 16 + 1);
  int length = 0;
  EVP_DecryptInit_ex(context.get(), EVP_aes_256_gcm(), nullptr, key.data(), nonce.data());
  EVP_DecryptUpdate(context.get(), nullptr, &length, associated.data(), static_cast<int>(associated.size()));
  EVP_DecryptUpdate(context.get(), plain.data(), &length, cipher_and_tag.data(),
                    static_cast<int>(cipher_and_tag.size() - 16));
  EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_GCM_SET_TAG, 16, tag.data());
  int rest = 0;
  EXPECT_EQ(EVP_DecryptFinal_ex(context.get(), plain.data() + length, &rest), 1);
  plain.resize(cipher_and_tag.size() - 16);
  return plain;
}

Bytes sha256(const Bytes& bytes) {
  Bytes digest(32);
  EVP_Digest(bytes.data(), bytes.size(), digest.data(), nullptr, EVP_sha256(), nullptr);
  return digest;
}

Bytes cut(const Bytes& from, size_t at, size_t size) {
  EXPECT_LE(at + size, from.size());
  return {from.begin() + static_cast<std::ptrdiff_t>(at), from.begin() + static_cast<std::ptrdiff_t>(at + size)};
}

// Section by section as the document has them.
Bytes decode_by_the_document(const Bytes& file, const Bytes& key) {
  EXPECT_EQ(std::string(file.begin(), file.begin() + 8), "COVESEAL");
  EXPECT_EQ(cut(file, 8, 4), (Bytes{1, 0, 0, 0}));
  const size_t json_bytes = file[12] | file[13] << 8 | file[14] << 16 | size_t{file[15]} << 24;
  const Bytes text = cut(file, 16, json_bytes);
  const auto header = boost::json::parse(std::string(text.begin(), text.end())).as_object();
  EXPECT_EQ(header.at("cipher").as_string(), "AES-256-GCM");
  const auto chunk_bytes = static_cast<size_t>(header.at("chunk_bytes").as_int64());
  const auto plain_bytes = static_cast<size_t>(header.at("plain_bytes").as_int64());
  const Bytes digest = sha256(cut(file, 0, 16 + json_bytes));
  const Bytes slot = cut(file, 16 + json_bytes, 68);
  EXPECT_EQ(cut(slot, 0, 8), cut(sha256(key), 0, 8));
  EXPECT_EQ(cut(file, 16 + json_bytes + 68, 68), Bytes(68, 0));
  const Bytes data_key = open_gcm(key, cut(slot, 8, 12), digest, cut(slot, 20, 48));
  Bytes plain;
  size_t at = 16 + json_bytes + 136;
  const size_t chunks = plain_bytes == 0 ? 1 : (plain_bytes + chunk_bytes - 1) / chunk_bytes;
  for (size_t i = 0; i < chunks; ++i) {
    Bytes nonce(12, 0);
    nonce[11] = static_cast<unsigned char>(i);
    nonce[10] = static_cast<unsigned char>(i >> 8);
    Bytes associated = digest;
    for (size_t b = 0; b < 8; ++b) associated.push_back(static_cast<unsigned char>(i >> (8 * b)));
    associated.push_back(i + 1 == chunks ? 1 : 0);
    const size_t size = std::min(chunk_bytes, plain_bytes - i * chunk_bytes);
    const Bytes chunk = open_gcm(data_key, nonce, associated, cut(file, at, size + 16));
    plain.insert(plain.end(), chunk.begin(), chunk.end());
    at += size + 16;
  }
  EXPECT_EQ(at, file.size());
  return plain;
}

Bytes bytes_of(const std::string& text) { return {text.begin(), text.end()}; }

TEST(SealedFormat, the_document_decodes_what_cove_encrypts) {
  const auto dir = std::filesystem::temp_directory_path() / ("cove_sealed_format_" + std::to_string(::getpid()));
  std::filesystem::create_directories(dir);
  const SealKey key = SealKey::generate();
  for (const size_t size : {size_t{0}, size_t{5}, size_t{4096}, size_t{1'200'000}}) {  // the last has 293 chunks
    std::string text(size, '\0');
    for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * i >> 3);
    ASSERT_TRUE(write_file_atomic(dir / "plain", text));
    ASSERT_TRUE(seal_file(dir / "plain", dir / "sealed", key,
                          {.name = "plain", .collection = "c", .chunk_bytes = 4096, .on_progress = {}}));
    const Bytes plain =
        decode_by_the_document(bytes_of(*read_file(dir / "sealed")), {key.bytes().begin(), key.bytes().end()});
    EXPECT_EQ(plain, bytes_of(text)) << size;
  }
  std::filesystem::remove_all(dir);
}

}  // namespace
}  // namespace cove
