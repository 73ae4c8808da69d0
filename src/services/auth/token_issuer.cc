#include "services/auth/token_issuer.h"

#include <algorithm>

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <boost/json.hpp>

#include "base/file.h"
#include "base/log.h"
#include "services/auth/base64url.h"
#include "services/auth/random_token.h"

namespace cove::auth {

struct TokenIssuer::Key {
  SigningKeyInfo info;
  std::shared_ptr<evp_pkey_st> private_key;
  std::string pem;
  json::object jwk;  // the public half
  VerifyKey verifier;
};

namespace {

constexpr size_t kWidth = 32;
constexpr size_t kFileBytesMax = 1 << 20;

struct FreeBio {
  void operator()(BIO* bio) const { BIO_free(bio); }
};
using Bio = std::unique_ptr<BIO, FreeBio>;
struct FreeDigest {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

Error failed(std::string_view what) { return {ErrorCode::kInternal, fmt::format("OpenSSL could not {}", what)}; }

Result<std::string> new_pem() {
  const Pkey key(EVP_EC_gen("P-256"));
  const Bio bio(BIO_new(BIO_s_mem()));
  if (key == nullptr || bio == nullptr ||
      PEM_write_bio_PKCS8PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return failed("make a signing key");
  }
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<size_t>(size));
}

// The public point as a JWK; its kid is the thumbprint of RFC 7638.
Result<json::object> public_jwk(evp_pkey_st* key) {
  unsigned char* point = nullptr;
  const size_t size = EVP_PKEY_get1_encoded_public_key(key, &point);
  const std::string bytes(reinterpret_cast<const char*>(point), size);
  OPENSSL_free(point);
  if (size != 1 + 2 * kWidth || bytes[0] != '\x04') return data_corrupt("a signing key is not one of the curve P-256");
  const std::string x = base64url_encode(std::string_view(bytes).substr(1, kWidth));
  const std::string y = base64url_encode(std::string_view(bytes).substr(1 + kWidth));
  const std::string kid =
      base64url_encode(sha256(fmt::format(R"({{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}})", x, y)));
  return json::object{{"kty", "EC"},  {"crv", "P-256"}, {"x", x},    {"y", y},
                      {"use", "sig"}, {"alg", "ES256"}, {"kid", kid}};
}

Result<std::string> sign(evp_pkey_st* key, std::string_view text) {
  const std::unique_ptr<EVP_MD_CTX, FreeDigest> context(EVP_MD_CTX_new());
  size_t size = 0;
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  if (context == nullptr || EVP_DigestSignInit(context.get(), nullptr, EVP_sha256(), nullptr, key) != 1 ||
      EVP_DigestSign(context.get(), nullptr, &size, bytes, text.size()) != 1) {
    return failed("sign a token");
  }
  std::string der(size, '\0');
  if (EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(der.data()), &size, bytes, text.size()) != 1)
    return failed("sign a token");
  der.resize(size);
  auto raw = ecdsa_from_der(der, kWidth);
  if (!raw) return failed("sign a token");
  return std::move(*raw);
}

// One program at a time changes the file.
class FileLock {
 public:
  explicit FileLock(const std::filesystem::path& path)
      : fd_(::open((path.string() + ".lock").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600)) {
    if (fd_ >= 0) ::flock(fd_, LOCK_EX);
  }
  ~FileLock() {
    if (fd_ >= 0) ::close(fd_);
  }
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int fd_;
};

Status check_private(const std::filesystem::path& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0 || (info.st_mode & 077) == 0) return {};
  return make_error(ErrorCode::kFailedPrecondition,
                    fmt::format("{}: others may read the keys that sign tokens; chmod 600 it, then 'cove token rotate "
                                "--drop-old' if somebody did",
                                path.string()));
}

}  // namespace

TokenIssuer::~TokenIssuer() = default;

bool TokenIssuer::verifies(const Key& key, int64_t now_s) const {
  return !key.info.verifies_until_s || now_s < *key.info.verifies_until_s;
}

Result<TokenIssuer::Keys> TokenIssuer::read_keys() const {
  TRY(check_private(options_.path));
  TRY_ASSIGN(const std::string text, read_file(options_.path, kFileBytesMax));
  const auto broken = [&] { return data_corrupt(options_.path.string() + ": not a file of signing keys"); };
  const auto document = parse_json(text);
  const json::value* list = document ? find_member(*document, "keys") : nullptr;
  if (list == nullptr || !list->is_array() || list->get_array().empty()) return broken();
  Keys keys;
  for (const json::value& entry : list->get_array()) {
    Key key;
    key.pem = text_claim(entry, "private_key");
    const auto created = time_claim(entry, "created_s");
    const Bio bio(BIO_new_mem_buf(key.pem.data(), static_cast<int>(key.pem.size())));
    key.private_key =
        std::shared_ptr<evp_pkey_st>(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr), FreePkey());
    if (key.private_key == nullptr || !created) return broken();
    TRY_ASSIGN(key.jwk, public_jwk(key.private_key.get()));
    TRY_ASSIGN(key.verifier, VerifyKey::from_jwk(json::value(key.jwk)));
    key.info = {.kid = key.verifier.kid(),
                .created_s = *created,
                .retired_s = time_claim(entry, "retired_s"),
                .verifies_until_s = time_claim(entry, "verifies_until_s")};
    keys.push_back(std::move(key));
  }
  if (keys.front().info.retired_s) return broken();
  return keys;
}

Status TokenIssuer::write_keys(const Keys& keys) const {
  json::array list;
  for (const Key& key : keys) {
    json::object entry{{"kid", key.info.kid}, {"created_s", key.info.created_s}, {"private_key", key.pem}};
    if (key.info.retired_s) entry["retired_s"] = *key.info.retired_s;
    if (key.info.verifies_until_s) entry["verifies_until_s"] = *key.info.verifies_until_s;
    list.push_back(std::move(entry));
  }
  return write_file_atomic(options_.path, json::serialize(json::object{{"keys", std::move(list)}}) + "\n", 0600);
}

Result<std::unique_ptr<TokenIssuer>> TokenIssuer::open(const TokenIssuerOptions& options, int64_t now_s) {
  std::unique_ptr<TokenIssuer> issuer(new TokenIssuer(options));
  std::error_code error;
  if (!std::filesystem::exists(options.path, error)) {
    std::filesystem::create_directories(options.path.parent_path(), error);
    TRY(issuer->rotate(OldKeys::kOverlap, now_s));
  }
  TRY_ASSIGN(Keys keys, issuer->read_keys());
  issuer->keys_ = std::make_shared<const Keys>(std::move(keys));
  issuer->read_at_ = std::filesystem::last_write_time(options.path, error);
  return issuer;
}

std::shared_ptr<const TokenIssuer::Keys> TokenIssuer::current(int64_t now_s) {
  const std::lock_guard lock(mutex_);
  if (now_s == looked_s_ && keys_ != nullptr) return keys_;
  looked_s_ = now_s;
  std::error_code error;
  const auto changed = std::filesystem::last_write_time(options_.path, error);
  if (error || changed == read_at_) return keys_;
  auto keys = read_keys();
  if (!keys) {
    log::error("auth.signing_keys_unreadable", {{"error", keys.error().message}, {"effect", "the earlier ones stay"}});
    return keys_;
  }
  read_at_ = changed;
  keys_ = std::make_shared<const Keys>(std::move(*keys));
  log::info("auth.signing_keys_read", {{"kid", keys_->front().info.kid}, {"keys", keys_->size()}});
  return keys_;
}

Result<std::vector<SigningKeyInfo>> TokenIssuer::rotate(OldKeys old_keys, int64_t now_s) {
  {
    const FileLock only_one(options_.path);
    Keys keys;
    std::error_code error;
    if (std::filesystem::exists(options_.path, error)) {
      TRY_ASSIGN(keys, read_keys());
      keys.front().info.retired_s = now_s;
      keys.front().info.verifies_until_s = now_s + options_.ttl_s + options_.leeway_s;
    }
    if (old_keys == OldKeys::kDrop) keys.clear();
    std::erase_if(keys, [&](const Key& key) { return !verifies(key, now_s); });
    Key fresh;
    TRY_ASSIGN(fresh.pem, new_pem());
    const Bio bio(BIO_new_mem_buf(fresh.pem.data(), static_cast<int>(fresh.pem.size())));
    const Pkey key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
    TRY_ASSIGN(const json::object jwk, public_jwk(key.get()));
    fresh.info = {
        .kid = std::string(jwk.at("kid").as_string()), .created_s = now_s, .retired_s = {}, .verifies_until_s = {}};
    keys.insert(keys.begin(), std::move(fresh));
    TRY(write_keys(keys));
    log::info("auth.signing_key_made", {{"kid", keys.front().info.kid}, {"keys", keys.size()}});
  }
  {
    const std::lock_guard lock(mutex_);
    read_at_ = {};
    looked_s_ = 0;
  }
  return list(now_s);
}

std::vector<SigningKeyInfo> TokenIssuer::list(int64_t now_s) {
  std::vector<SigningKeyInfo> out;
  const auto keys = current(now_s);
  if (keys == nullptr) return out;
  for (const Key& key : *keys) {
    if (verifies(key, now_s)) out.push_back(key.info);
  }
  return out;
}

std::string TokenIssuer::jwks(int64_t now_s) {
  json::array list;
  const auto keys = current(now_s);
  for (const Key& key : *keys) {
    if (verifies(key, now_s)) list.push_back(key.jwk);
  }
  return json::serialize(json::object{{"keys", std::move(list)}});
}

Result<IssuedToken> TokenIssuer::issue(const Identity& identity, const Scopes& scopes, int64_t now_s) {
  const auto keys = current(now_s);
  const Key& key = keys->front();
  const json::object header{{"alg", "ES256"}, {"typ", "at+jwt"}, {"kid", key.info.kid}};
  json::object claims{{"iss", options_.issuer},
                      {"aud", options_.issuer},
                      {"sub", identity.id},
                      {"iat", now_s},
                      {"exp", now_s + options_.ttl_s},
                      {"jti", random_token(16)},
                      {"role", to_string(identity.role)}};
  if (!scopes.empty()) claims["scope"] = join_scopes(scopes);
  const std::string text = base64url_encode(json::serialize(header)) + "." + base64url_encode(json::serialize(claims));
  TRY_ASSIGN(const std::string signature, sign(key.private_key.get(), text));
  return IssuedToken{.token = text + "." + base64url_encode(signature), .expires_in_s = options_.ttl_s};
}

Result<TokenGrant> TokenIssuer::verify(const ParsedToken& token, int64_t now_s) {
  const auto keys = current(now_s);
  const auto key = std::ranges::find_if(
      *keys, [&](const Key& candidate) { return token.kid == candidate.info.kid && verifies(candidate, now_s); });
  if (key == keys->end()) return Error{ErrorCode::kUnauthenticated, "the token's key is not known here (any more)"};
  if (!key->verifier.verify(token.algorithm, token.signed_text, token.signature))
    return Error{ErrorCode::kUnauthenticated, "the token's signature is not valid"};
  // Our own clock wrote the times: no leeway.
  TRY(check_claims(token.claims, {.issuer = options_.issuer, .audience = options_.issuer, .leeway_s = 0}, now_s));
  return TokenGrant{.subject = text_claim(token.claims, "sub"),
                    .scopes = split_scopes(text_claim(token.claims, "scope")),
                    .issued_s = time_claim(token.claims, "iat").value_or(0)};
}

}  // namespace cove::auth
