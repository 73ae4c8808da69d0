#include "services/audit/keys.h"

#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/file.h"

namespace cove::audit {
namespace {

constexpr size_t kKeyFileBytesMax = 4096;

template <auto kFree>
struct Free {
  template <typename T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using BioPtr = std::unique_ptr<BIO, Free<BIO_free>>;
using ContextPtr = std::unique_ptr<EVP_MD_CTX, Free<EVP_MD_CTX_free>>;

const unsigned char* as_bytes(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

std::string_view trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

Result<Hash> raw_public_key(const EVP_PKEY* key) {
  Hash raw{};
  size_t length = raw.size();
  if (EVP_PKEY_get_raw_public_key(key, raw.data(), &length) != 1 || length != raw.size())
    return invalid_argument("is a key of another kind; Ed25519 is needed");
  return raw;
}

std::string read_bio(BIO* bio) {
  char* data = nullptr;
  const long length = BIO_get_mem_data(bio, &data);
  return {data, static_cast<size_t>(length)};
}

// Reads a secret, or has it made. Empty = it is missing and may be made.
Result<std::string> read_secret(const std::filesystem::path& path, MissingKey missing) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) {
    if (errno != ENOENT)
      return make_error(ErrorCode::kIo, fmt::format("{}: cannot open: {}", path.string(), std::strerror(errno)));
    if (missing == MissingKey::kMake) return std::string();
    return make_error(
        ErrorCode::kFailedPrecondition,
        fmt::format("{}: the key of this audit log is missing; bring it back from your backup, or move the "
                    "log's folder away to begin a new one",
                    path.string()));
  }
  if ((info.st_mode & S_IRWXO) != 0) {
    return make_error(ErrorCode::kFailedPrecondition,
                      fmt::format("{}: every account of this machine may open it; 'chmod 600' it", path.string()));
  }
  TRY_ASSIGN(std::string text, read_file(path, kKeyFileBytesMax));
  if (text.empty()) return invalid_argument(fmt::format("{}: is empty; it should hold a key", path.string()));
  return text;
}

Status save_secret(const std::filesystem::path& path, const std::string& text) {
  std::error_code error;
  std::filesystem::create_directories(path.parent_path(), error);  // a failure shows when the file is made
  return write_file_atomic(path, text, 0600);
}

Result<KeyHandle> new_signing_key(const std::filesystem::path& path) {
  KeyHandle key(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"));
  COVE_CHECK_MSG(key != nullptr, "OpenSSL makes Ed25519 keys");
  const BioPtr bio(BIO_new(BIO_s_secmem()));
  COVE_CHECK(bio != nullptr);
  COVE_CHECK(PEM_write_bio_PKCS8PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1);
  std::string pem = read_bio(bio.get());
  const Status saved = save_secret(path, pem);
  OPENSSL_cleanse(pem.data(), pem.size());
  if (!saved) return saved.error();
  return key;
}

}  // namespace

void FreeKey::operator()(evp_pkey_st* key) const { EVP_PKEY_free(key); }

Hash sha256(std::string_view bytes) {
  Hash hash;
  SHA256(as_bytes(bytes), bytes.size(), hash.data());
  return hash;
}

void append_hex(std::string& out, const unsigned char* bytes, size_t count) {
  static constexpr char kDigits[] = "0123456789abcdef";
  const size_t begin = out.size();
  out.resize(begin + 2 * count);
  for (size_t i = 0; i < count; ++i) {
    out[begin + 2 * i] = kDigits[bytes[i] >> 4];
    out[begin + 2 * i + 1] = kDigits[bytes[i] & 15];
  }
}

std::string to_hex(std::string_view bytes) {
  std::string out;
  append_hex(out, as_bytes(bytes), bytes.size());
  return out;
}

bool read_hex(std::string_view text, unsigned char* bytes, size_t count) {
  if (text.size() != 2 * count) return false;
  for (size_t i = 0; i < count; ++i) {
    const int high = hex_digit(text[2 * i]);
    const int low = hex_digit(text[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    bytes[i] = static_cast<unsigned char>(high << 4 | low);
  }
  return true;
}

Result<PublicKey> PublicKey::from_bytes(const Hash& raw) {
  KeyHandle key(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, raw.data(), raw.size()));
  if (key == nullptr) return invalid_argument("is no Ed25519 public key");
  return PublicKey(std::move(key), raw);
}

Result<PublicKey> PublicKey::from_text(std::string_view text) {
  text = trim(text);
  Hash raw{};
  if (read_hex(text, raw.data(), raw.size())) return from_bytes(raw);
  const BioPtr bio(BIO_new_mem_buf(text.data(), static_cast<int>(std::min<size_t>(text.size(), kKeyFileBytesMax))));
  KeyHandle key(bio == nullptr ? nullptr : PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr));
  if (key == nullptr) return invalid_argument("is neither a public key in PEM nor 64 hex digits");
  TRY_ASSIGN(raw, raw_public_key(key.get()));
  return PublicKey(std::move(key), raw);
}

bool PublicKey::verifies(std::string_view message, const Signature& signature) const {
  const ContextPtr context(EVP_MD_CTX_new());
  if (context == nullptr || EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key_.get()) != 1)
    return false;
  return EVP_DigestVerify(context.get(), signature.data(), signature.size(), as_bytes(message), message.size()) == 1;
}

std::string PublicKey::to_pem() const {
  const BioPtr bio(BIO_new(BIO_s_mem()));
  COVE_CHECK(bio != nullptr && PEM_write_bio_PUBKEY(bio.get(), key_.get()) == 1);
  return read_bio(bio.get());
}

std::string PublicKey::id() const {
  const Hash hash = sha256({reinterpret_cast<const char*>(raw_.data()), raw_.size()});
  std::string out;
  append_hex(out, hash.data(), 8);
  return out;
}

Result<SigningKey> SigningKey::open(const std::filesystem::path& path, MissingKey missing) {
  TRY_ASSIGN(std::string pem, read_secret(path, missing));
  KeyHandle key;
  if (pem.empty()) {
    TRY_ASSIGN(key, new_signing_key(path));
  } else {
    const BioPtr bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    key.reset(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
    OPENSSL_cleanse(pem.data(), pem.size());
    if (key == nullptr) return invalid_argument(fmt::format("{}: holds no private key in PEM", path.string()));
  }
  auto raw = raw_public_key(key.get());
  if (!raw) return with_context(raw.error(), path.string());
  TRY_ASSIGN(PublicKey public_key, PublicKey::from_bytes(*raw));
  return SigningKey(std::move(key), std::move(public_key));
}

Signature SigningKey::sign(std::string_view message) const {
  Signature signature{};
  size_t length = signature.size();
  const ContextPtr context(EVP_MD_CTX_new());
  COVE_CHECK(context != nullptr && EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_.get()) == 1);
  COVE_CHECK(EVP_DigestSign(context.get(), signature.data(), &length, as_bytes(message), message.size()) == 1);
  COVE_CHECK(length == signature.size());
  return signature;
}

Result<HashKey> HashKey::open(const std::filesystem::path& path, MissingKey missing) {
  TRY_ASSIGN(std::string text, read_secret(path, missing));
  Hash key{};
  if (text.empty()) {
    COVE_CHECK_MSG(RAND_bytes(key.data(), static_cast<int>(key.size())) == 1, "OpenSSL has random numbers");
    text = to_hex(key);
    const Status saved = save_secret(path, text + "\n");
    OPENSSL_cleanse(text.data(), text.size());
    if (!saved) return saved.error();
  } else {
    const bool good = read_hex(trim(text), key.data(), key.size());
    OPENSSL_cleanse(text.data(), text.size());
    if (!good) return invalid_argument(fmt::format("{}: should hold 64 hex digits", path.string()));
  }
  return HashKey(key);
}

HashKey::~HashKey() { OPENSSL_cleanse(key_.data(), key_.size()); }

Hash HashKey::hash(std::string_view text) const {
  Hash hash{};
  unsigned int length = 0;
  HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()), as_bytes(text), text.size(), hash.data(), &length);
  return hash;
}

std::string HashKey::id() const { return to_hex(hash("cove audit key id")).substr(0, 16); }

}  // namespace cove::audit
