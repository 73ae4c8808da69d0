// Project Wycheproof's vectors for AES-256-GCM with 96-bit nonces and 128-bit tags, the only form that sealed files
// use.
#include "tensor/io/aes_gcm.h"

#include <algorithm>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/json.h"
#include "base/testing.h"

namespace cove {
namespace {

using Bytes = std::vector<unsigned char>;

Bytes from_hex(std::string_view text) {
  Bytes out;
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    out.push_back(static_cast<unsigned char>(std::stoi(std::string(text.substr(i, 2)), nullptr, 16)));
  }
  return out;
}

Bytes member(const json::value& test, std::string_view key) {
  return from_hex(std::string_view(find_member(test, key)->get_string()));
}

struct Vector {
  Bytes key, iv, aad, message, cipher, tag;
  bool valid = false;
};

std::vector<Vector> read_vectors(const json::value& file) {
  std::vector<Vector> vectors;
  for (const json::value& group : find_member(file, "testGroups")->get_array()) {
    const auto size = [&](const char* name) { return find_member(group, name)->get_int64(); };
    if (size("keySize") != 256 || size("ivSize") != 96 || size("tagSize") != 128) continue;
    for (const json::value& test : find_member(group, "tests")->get_array()) {
      vectors.push_back({member(test, "key"), member(test, "iv"), member(test, "aad"), member(test, "msg"),
                         member(test, "ct"), member(test, "tag"), *find_member(test, "result") == "valid"});
    }
  }
  return vectors;
}

void check(const Vector& v) {
  const GcmKey key(v.key.data(), 32);
  GcmNonce nonce{};
  std::copy(v.iv.begin(), v.iv.end(), nonce.begin());
  Bytes out(v.cipher.size());
  EXPECT_EQ(gcm_decrypt(key, nonce, v.aad, v.cipher, v.tag.data(), out.data()), v.valid);
  if (!v.valid) return;
  EXPECT_EQ(out, v.message);
  Bytes cipher(v.message.size());
  Bytes tag(kGcmTagBytes);
  ASSERT_TRUE(gcm_encrypt(key, nonce, v.aad, v.message, cipher.data(), tag.data()));
  EXPECT_EQ(cipher, v.cipher);
  EXPECT_EQ(tag, v.tag);
  Bytes in_place = v.cipher;  // as sealed files are decrypted
  EXPECT_TRUE(gcm_decrypt(key, nonce, v.aad, in_place, v.tag.data(), in_place.data()));
  EXPECT_EQ(in_place, v.message);
}

TEST(AesGcm, agrees_with_wycheproof) {
  const auto path = testing::testdata_root() / "security" / "wycheproof" / "aes_gcm_test.json";
  COVE_REQUIRE_TESTDATA(path);
  const auto text = read_file(path);
  ASSERT_TRUE(text);
  const auto file = parse_json(*text);
  ASSERT_TRUE(file);
  const std::vector<Vector> vectors = read_vectors(*file);
  EXPECT_EQ(vectors.size(), 66U);
  EXPECT_GT(std::count_if(vectors.begin(), vectors.end(), [](const Vector& v) { return !v.valid; }), 20);
  for (const Vector& v : vectors) check(v);
}

}  // namespace
}  // namespace cove
