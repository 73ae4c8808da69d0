#include "services/auth/verify_key.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <boost/json/array.hpp>

#include "services/auth/base64url.h"
#include "services/auth/random_token.h"

namespace cove::auth {
namespace {

constexpr size_t kKidBytesMax = 256;
constexpr size_t kKeysMax = 200;
constexpr size_t kSecretBytesMin = 32;  // RFC 7518, 3.2: at least as long as the hash
constexpr int kRsaBitsMin = 2048;
constexpr int kRsaBitsMax = 8192;  // more would let one token hold a thread up
constexpr int kExponentBitsMax = 64;

struct AlgorithmRow {
  Algorithm algorithm;
  std::string_view name;
  const EVP_MD* (*digest)();
};
constexpr AlgorithmRow kAlgorithms[] = {
    {Algorithm::kRs256, "RS256", EVP_sha256}, {Algorithm::kRs384, "RS384", EVP_sha384},
    {Algorithm::kRs512, "RS512", EVP_sha512}, {Algorithm::kPs256, "PS256", EVP_sha256},
    {Algorithm::kPs384, "PS384", EVP_sha384}, {Algorithm::kPs512, "PS512", EVP_sha512},
    {Algorithm::kEs256, "ES256", EVP_sha256}, {Algorithm::kEs384, "ES384", EVP_sha384},
    {Algorithm::kHs256, "HS256", EVP_sha256},
};
const AlgorithmRow& row_of(Algorithm algorithm) {
  return *std::ranges::find(kAlgorithms, algorithm, &AlgorithmRow::algorithm);
}

struct FreeBignum {
  void operator()(BIGNUM* number) const { BN_free(number); }
};
using Bignum = std::unique_ptr<BIGNUM, FreeBignum>;
struct FreeSignature {
  void operator()(ECDSA_SIG* signature) const { ECDSA_SIG_free(signature); }
};
using Signature = std::unique_ptr<ECDSA_SIG, FreeSignature>;
struct FreeBuilder {
  void operator()(OSSL_PARAM_BLD* builder) const { OSSL_PARAM_BLD_free(builder); }
};
struct FreeParams {
  void operator()(OSSL_PARAM* params) const { OSSL_PARAM_free(params); }
};
struct FreeContext {
  void operator()(EVP_PKEY_CTX* context) const { EVP_PKEY_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_PKEY_CTX, FreeContext>;
struct FreeDigest {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

const unsigned char* bytes_of(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

Bignum number_of(std::string_view bytes) {
  return Bignum(BN_bin2bn(bytes_of(bytes), static_cast<int>(bytes.size()), nullptr));
}

std::optional<std::string> text_member(const json::value& jwk, std::string_view name) {
  const json::value* member = find_member(jwk, name);
  if (member == nullptr || !member->is_string()) return std::nullopt;
  return std::string(member->get_string());
}

Result<std::string> bytes_member(const json::value& jwk, std::string_view name) {
  const auto text = text_member(jwk, name);
  auto bytes = text ? base64url_decode(*text) : std::nullopt;
  if (!bytes || bytes->empty()) return invalid_argument(fmt::format("the key's '{}' is not base64url", name));
  return std::move(*bytes);
}

Result<Pkey> build(const char* type, OSSL_PARAM_BLD* builder) {
  const std::unique_ptr<OSSL_PARAM, FreeParams> params(OSSL_PARAM_BLD_to_param(builder));
  const Context context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* made = nullptr;
  if (params == nullptr || context == nullptr || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &made, EVP_PKEY_PUBLIC_KEY, params.get()) != 1) {
    return invalid_argument(fmt::format("the {} key cannot be used", type));
  }
  Pkey key(made);
  const Context check(EVP_PKEY_CTX_new_from_pkey(nullptr, key.get(), nullptr));
  if (check == nullptr || EVP_PKEY_public_check(check.get()) != 1)
    return invalid_argument(fmt::format("the {} key is not a valid one", type));
  return key;
}

Result<Pkey> rsa_key(const json::value& jwk) {
  TRY_ASSIGN(const std::string modulus, bytes_member(jwk, "n"));
  TRY_ASSIGN(const std::string exponent, bytes_member(jwk, "e"));
  if (modulus.size() > kRsaBitsMax / 8 + 1) return invalid_argument("the RSA key is too long");
  const Bignum n = number_of(modulus);
  const Bignum e = number_of(exponent);
  const int bits = BN_num_bits(n.get());
  if (bits < kRsaBitsMin || bits > kRsaBitsMax)
    return invalid_argument(
        fmt::format("the RSA key has {} bits; {} to {} are accepted", bits, kRsaBitsMin, kRsaBitsMax));
  if (BN_is_odd(e.get()) == 0 || BN_is_one(e.get()) != 0 || BN_num_bits(e.get()) > kExponentBitsMax)
    return invalid_argument("the RSA key's exponent is not acceptable");
  const std::unique_ptr<OSSL_PARAM_BLD, FreeBuilder> builder(OSSL_PARAM_BLD_new());
  OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get());
  OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get());
  return build("RSA", builder.get());
}

Result<Pkey> ec_key(const json::value& jwk, const char* group, size_t width) {
  TRY_ASSIGN(const std::string x, bytes_member(jwk, "x"));
  TRY_ASSIGN(const std::string y, bytes_member(jwk, "y"));
  if (x.size() != width || y.size() != width) return invalid_argument("the EC key's x or y has the wrong length");
  const std::string point = '\x04' + x + y;
  const std::unique_ptr<OSSL_PARAM_BLD, FreeBuilder> builder(OSSL_PARAM_BLD_new());
  OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, group, 0);
  OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size());
  return build("EC", builder.get());
}

// `use` and `key_ops`, when given, must name signatures.
bool for_signatures(const json::value& jwk) {
  const json::value* use = find_member(jwk, "use");
  if (use != nullptr && (!use->is_string() || use->get_string() != "sig")) return false;
  const json::value* operations = find_member(jwk, "key_ops");
  if (operations == nullptr) return true;
  if (!operations->is_array()) return false;
  return std::ranges::any_of(operations->get_array(),
                             [](const json::value& name) { return name.is_string() && name.get_string() == "verify"; });
}

}  // namespace

void FreePkey::operator()(evp_pkey_st* key) const { EVP_PKEY_free(key); }

std::string_view to_string(Algorithm algorithm) { return row_of(algorithm).name; }

std::optional<Algorithm> parse_algorithm(std::string_view text) {
  const auto* row = std::ranges::find(kAlgorithms, text, &AlgorithmRow::name);
  return row == std::end(kAlgorithms) ? std::nullopt : std::optional(row->algorithm);
}

Result<VerifyKey> VerifyKey::from_jwk(const json::value& jwk) {
  const auto type = text_member(jwk, "kty");
  if (!type) return invalid_argument("a key without 'kty'");
  VerifyKey key;
  Pkey made;
  if (*type == "RSA") {
    TRY_ASSIGN(made, rsa_key(jwk));
  } else if (*type == "EC") {
    const std::string curve = text_member(jwk, "crv").value_or("");
    if (curve != "P-256" && curve != "P-384")
      return make_error(ErrorCode::kUnsupported, "only the curves P-256 and P-384 are known");
    key.kind_ = curve == "P-256" ? Kind::kP256 : Kind::kP384;
    TRY_ASSIGN(made, curve == "P-256" ? ec_key(jwk, "prime256v1", 32) : ec_key(jwk, "secp384r1", 48));
  } else {
    return make_error(ErrorCode::kUnsupported, "only keys of the kinds RSA and EC are known");
  }
  if (!for_signatures(jwk)) return invalid_argument("the key is not made for signatures");
  key.key_ = std::shared_ptr<evp_pkey_st>(made.release(), FreePkey());
  key.kid_ = text_member(jwk, "kid").value_or("");
  if (key.kid_.size() > kKidBytesMax) return invalid_argument("the key's 'kid' is too long");
  if (const json::value* alg = find_member(jwk, "alg"); alg != nullptr) {
    key.only_ = alg->is_string() ? parse_algorithm(std::string(alg->get_string())) : std::nullopt;
    if (!key.only_ || !key.allows(*key.only_)) return invalid_argument("the key's 'alg' does not fit its kind");
  }
  return key;
}

Result<VerifyKey> VerifyKey::from_secret(std::string secret) {
  if (secret.size() < kSecretBytesMin)
    return invalid_argument(fmt::format("a secret for HS256 has at least {} bytes", kSecretBytesMin));
  VerifyKey key;
  key.kind_ = Kind::kSecret;
  key.secret_ = std::move(secret);
  return key;
}

bool VerifyKey::allows(Algorithm algorithm) const {
  if (only_ && *only_ != algorithm) return false;
  switch (algorithm) {
    case Algorithm::kEs256: return kind_ == Kind::kP256;
    case Algorithm::kEs384: return kind_ == Kind::kP384;
    case Algorithm::kHs256: return kind_ == Kind::kSecret;
    default: return kind_ == Kind::kRsa;
  }
}

bool VerifyKey::verify(Algorithm algorithm, std::string_view signed_text, std::string_view signature) const {
  if (!allows(algorithm)) return false;
  const EVP_MD* digest = row_of(algorithm).digest();
  if (kind_ == Kind::kSecret) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> mac{};
    unsigned size = 0;
    if (HMAC(digest, secret_.data(), static_cast<int>(secret_.size()), bytes_of(signed_text), signed_text.size(),
             mac.data(), &size) == nullptr) {
      return false;
    }
    return equal_secrets({reinterpret_cast<const char*>(mac.data()), size}, signature);
  }
  std::string der(signature);
  if (kind_ != Kind::kRsa) {
    const auto converted = ecdsa_to_der(signature, kind_ == Kind::kP256 ? 32 : 48);
    if (!converted) return false;
    der = *converted;
  }
  const std::unique_ptr<EVP_MD_CTX, FreeDigest> context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* options = nullptr;
  if (context == nullptr || EVP_DigestVerifyInit(context.get(), &options, digest, nullptr, key_.get()) != 1)
    return false;
  const bool pss = algorithm == Algorithm::kPs256 || algorithm == Algorithm::kPs384 || algorithm == Algorithm::kPs512;
  if (pss && (EVP_PKEY_CTX_set_rsa_padding(options, RSA_PKCS1_PSS_PADDING) != 1 ||
              EVP_PKEY_CTX_set_rsa_pss_saltlen(options, RSA_PSS_SALTLEN_DIGEST) != 1)) {
    return false;
  }
  return EVP_DigestVerify(context.get(), bytes_of(der), der.size(), bytes_of(signed_text), signed_text.size()) == 1;
}

Result<KeySet> KeySet::parse(std::string_view text) {
  TRY_ASSIGN(const json::value document, parse_json(text, {.depth_max = 16, .bytes_max = size_t{1} << 20}));
  const json::value* keys = find_member(document, "keys");
  if (keys == nullptr || !keys->is_array()) return invalid_argument("a JWKS is an object with an array 'keys'");
  if (keys->get_array().size() > kKeysMax)
    return invalid_argument(fmt::format("a JWKS of more than {} keys", kKeysMax));
  KeySet set;
  std::string last_error = "it holds no keys";
  for (const json::value& jwk : keys->get_array()) {
    auto key = VerifyKey::from_jwk(jwk);
    if (key) {
      set.keys_.push_back(std::move(*key));
    } else {
      last_error = key.error().message;
    }
  }
  if (set.keys_.empty()) return invalid_argument("a JWKS without a usable key: " + last_error);
  return set;
}

KeySet KeySet::of(VerifyKey key) {
  KeySet set;
  set.keys_.push_back(std::move(key));
  return set;
}

const VerifyKey* KeySet::find(const std::optional<std::string>& kid, Algorithm algorithm) const {
  const VerifyKey* found = nullptr;
  for (const VerifyKey& key : keys_) {
    if (!key.allows(algorithm) || (kid && key.kid() != *kid)) continue;
    if (kid) return &key;
    if (found != nullptr) return nullptr;
    found = &key;
  }
  return found;
}

std::optional<std::string> ecdsa_to_der(std::string_view raw, size_t width) {
  if (raw.size() != 2 * width) return std::nullopt;
  const Signature signature(ECDSA_SIG_new());
  Bignum r = number_of(raw.substr(0, width));
  Bignum s = number_of(raw.substr(width));
  if (signature == nullptr || r == nullptr || s == nullptr || ECDSA_SIG_set0(signature.get(), r.get(), s.get()) != 1)
    return std::nullopt;
  // The signature owns them now.
  [[maybe_unused]] const BIGNUM* owned_r = r.release();
  [[maybe_unused]] const BIGNUM* owned_s = s.release();
  unsigned char* der = nullptr;
  const int size = i2d_ECDSA_SIG(signature.get(), &der);
  if (size <= 0) return std::nullopt;
  std::string out(reinterpret_cast<const char*>(der), static_cast<size_t>(size));
  OPENSSL_free(der);
  return out;
}

std::optional<std::string> ecdsa_from_der(std::string_view der, size_t width) {
  const unsigned char* at = bytes_of(der);
  const Signature signature(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())));
  if (signature == nullptr) return std::nullopt;
  std::string raw(2 * width, '\0');
  auto* out = reinterpret_cast<unsigned char*>(raw.data());
  const int bytes = static_cast<int>(width);
  if (BN_bn2binpad(ECDSA_SIG_get0_r(signature.get()), out, bytes) != bytes ||
      BN_bn2binpad(ECDSA_SIG_get0_s(signature.get()), out + width, bytes) != bytes) {
    return std::nullopt;
  }
  return raw;
}

}  // namespace cove::auth
