// Tokens, honest and hostile. Signatures are made here with OpenSSL and checked against the vectors of others.
#include "services/auth/jwt.h"

#include <filesystem>
#include <set>

#include <gtest/gtest.h>
#include <boost/json.hpp>

#include "base/file.h"
#include "base/testing.h"
#include "services/auth/authenticator.h"
#include "services/auth/base64url.h"
#include "services/auth/testing/sign.h"

namespace cove::auth {
namespace {

using testing::make_token;
using testing::TestKey;

constexpr int64_t kNow = 1'800'000'000;
constexpr std::string_view kIssuer = "https://id.example/realms/cove";

json::object claims(std::string_view subject = "0b1c") {
  return {{"iss", kIssuer}, {"aud", "cove-api"}, {"sub", subject}, {"iat", kNow - 5}, {"exp", kNow + 300}};
}

class ForeignTokensTest : public ::testing::Test {
 protected:
  ForeignTokensTest() { start({}); }
  void start(ForeignIssuer issuer) {
    if (issuer.issuer.empty()) issuer.issuer = kIssuer;
    issuer.audience = "cove-api";
    if (issuer.hs256_secret.empty()) issuer.jwks_url = "https://id.example/jwks";
    auto made = ForeignTokens::create(std::move(issuer), [this](const ForeignIssuer&) -> Result<std::string> {
      ++fetches_;
      if (!reachable_) return make_error(ErrorCode::kUnavailable, "no connection");
      return json::serialize(json::object{{"keys", published_}});
    });
    ASSERT_TRUE(made) << made.error().message;
    foreign_ = std::move(*made);
  }
  Result<Identity> verify(const std::string& token, Waiting waiting = Waiting::kAllowed) {
    TRY_ASSIGN(const ParsedToken parsed, parse_token(token));
    return foreign_->verify(parsed, kNow, waiting, at_);
  }
  std::string refusal(const std::string& token) {
    const auto identity = verify(token);
    if (identity) return "accepted";
    EXPECT_EQ(identity.error().code, ErrorCode::kUnauthenticated) << identity.error().message;
    return identity.error().message;
  }

  // Made once: RSA keys take a while.
  inline static const TestKey rsa_ = TestKey::rsa("rsa-1");
  inline static const TestKey ec_ = TestKey::ec("ec-1", "P-256");
  inline static const TestKey ec384_ = TestKey::ec("ec-2", "P-384");
  json::array published_ = {rsa_.jwk(), ec_.jwk(), ec384_.jwk()};
  bool reachable_ = true;
  int fetches_ = 0;
  ForeignTokens::Clock::time_point at_ = ForeignTokens::Clock::now();
  std::unique_ptr<ForeignTokens> foreign_;
};

TEST_F(ForeignTokensTest, every_algorithm_of_a_published_key_is_accepted) {
  for (const std::string_view alg : {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}) {
    const auto identity = verify(make_token(rsa_, alg, claims()));
    ASSERT_TRUE(identity) << alg << ": " << identity.error().message;
    EXPECT_EQ(identity->id, "jwt:" + std::string(kIssuer) + "|0b1c");
    EXPECT_EQ(identity->role, Role::kUser);
  }
  EXPECT_TRUE(verify(make_token(ec_, "ES256", claims())));
  EXPECT_TRUE(verify(make_token(ec384_, "ES384", claims())));
  EXPECT_EQ(fetches_, 1) << "the keys are kept";
}

TEST_F(ForeignTokensTest, a_key_is_used_with_its_own_algorithms_only) {
  EXPECT_NE(refusal(make_token(ec384_, "ES384", claims(), {{"alg", "ES256"}})), "accepted");
  EXPECT_NE(refusal(make_token(rsa_, "RS256", claims(), {{"alg", "PS256"}})), "accepted");
  EXPECT_NE(refusal(make_token(rsa_, "RS256", claims(), {{"alg", "ES256"}})), "accepted");
  json::object only = rsa_.jwk();
  only["alg"] = "RS256";
  published_ = {only};
  start({});
  EXPECT_TRUE(verify(make_token(rsa_, "RS256", claims())));
  EXPECT_NE(refusal(make_token(rsa_, "RS512", claims())), "accepted") << "the JWK itself names RS256";
}

TEST_F(ForeignTokensTest, alg_none_is_refused_in_every_spelling) {
  for (const std::string_view none : {"none", "None", "NONE", "nOnE", "", "HS512", "RS1", "ES256K", "EdDSA"}) {
    const std::string honest = make_token(rsa_, "RS256", claims(), {{"alg", none}});
    EXPECT_NE(refusal(honest).find("algorithm"), std::string::npos) << none;
    EXPECT_NE(refusal(honest.substr(0, honest.rfind('.') + 1)), "accepted") << none;
  }
}

TEST_F(ForeignTokensTest, a_public_key_is_never_a_secret) {
  // The classic confusion: HS256 with the public key, in each of its spellings, as the secret.
  for (const std::string& secret : {rsa_.public_pem(), json::serialize(rsa_.jwk()), rsa_.public_der(),
                                    std::string(rsa_.jwk().at("n").as_string())}) {
    EXPECT_NE(refusal(make_token(TestKey::secret("rsa-1", secret), "HS256", claims())), "accepted");
  }
  // Nor is a secret that the JWKS itself publishes.
  json::object oct{{"kty", "oct"}, {"kid", "s"}, {"k", base64url_encode(std::string(32, 'k'))}, {"alg", "HS256"}};
  published_ = {rsa_.jwk(), oct};
  start({});
  EXPECT_NE(refusal(make_token(TestKey::secret("s", std::string(32, 'k')), "HS256", claims())), "accepted");
}

TEST_F(ForeignTokensTest, hs256_works_with_a_configured_secret_only) {
  const std::string secret(32, 's');
  EXPECT_NE(refusal(make_token(TestKey::secret("", secret), "HS256", claims())), "accepted");
  start({.hs256_secret = secret});
  EXPECT_TRUE(verify(make_token(TestKey::secret("", secret), "HS256", claims())));
  EXPECT_NE(refusal(make_token(TestKey::secret("", std::string(32, 'x')), "HS256", claims())), "accepted");
  EXPECT_NE(verify(make_token(rsa_, "RS256", claims())).has_value(), true) << "no JWKS is configured";
  EXPECT_FALSE(ForeignTokens::create({.issuer = "i", .audience = "a", .hs256_secret = "too short"}));
}

TEST_F(ForeignTokensTest, a_kid_is_a_name_and_nothing_else) {
  for (const std::string& kid : std::vector<std::string>{"../../../../dev/null", "/dev/null", "x' UNION SELECT 'secret",
                                                         "https://evil.example/k", std::string("rsa-1\0", 6), "RSA-1",
                                                         "", "rsa-1 ", "$(id)", "|id", "%00"}) {
    EXPECT_NE(refusal(make_token(rsa_, "RS256", claims(), {{"kid", kid}})), "accepted") << kid;
  }
  EXPECT_NE(refusal(make_token(rsa_, "RS256", claims(), {{"kid", std::string(300, 'k')}})), "accepted");
  EXPECT_NE(refusal(make_token(rsa_, "RS256", claims(), {{"kid", 1}})), "accepted");
  EXPECT_NE(refusal(make_token(rsa_, "RS256", claims(), {{"kid", json::array{"rsa-1"}}})), "accepted");
}

TEST_F(ForeignTokensTest, keys_that_a_token_brings_along_are_not_looked_at) {
  const TestKey evil = TestKey::rsa("evil");
  for (const json::object& extra : {json::object{{"jwk", evil.jwk()}, {"kid", "evil"}},
                                    json::object{{"jku", "https://evil.example/jwks"}, {"kid", "evil"}},
                                    json::object{{"x5u", "https://evil.example/cert"}, {"kid", "rsa-1"}},
                                    json::object{{"x5c", json::array{"MIIB"}}, {"kid", "rsa-1"}},
                                    json::object{{"jwk", evil.jwk()}, {"kid", "rsa-1"}}}) {
    EXPECT_NE(refusal(make_token(evil, "RS256", claims(), extra)), "accepted") << json::serialize(extra);
  }
  // And do no harm in a token that is otherwise good.
  EXPECT_TRUE(verify(make_token(rsa_, "RS256", claims(), {{"jku", "https://evil.example/jwks"}})));
}

TEST_F(ForeignTokensTest, without_a_kid_only_an_unambiguous_key_serves) {
  EXPECT_TRUE(verify(make_token(rsa_, "RS256", claims(), {{"kid", nullptr}})));
  published_ = {rsa_.jwk(), TestKey::rsa("rsa-2").jwk()};
  start({});
  EXPECT_NE(refusal(make_token(rsa_, "RS256", claims(), {{"kid", nullptr}})), "accepted");
}

struct ClaimCase {
  std::string_view name;
  json::value value;  // null = absent
  std::string_view says;
};

TEST_F(ForeignTokensTest, every_claim_is_checked) {
  for (const ClaimCase& c : std::vector<ClaimCase>{{"exp", kNow - 61, "expired"},
                                                   {"exp", nullptr, "no expiry"},
                                                   {"exp", "tomorrow", "no time"},
                                                   {"exp", 1e300, "no time"},
                                                   {"exp", -1, "no time"},
                                                   {"nbf", kNow + 61, "not valid yet"},
                                                   {"nbf", "x", "no time"},
                                                   {"iat", kNow + 61, "future"},
                                                   {"aud", "other", "audience"},
                                                   {"aud", nullptr, "audience"},
                                                   {"aud", json::array{"x"}, "audience"},
                                                   {"aud", 5, "audience"},
                                                   {"aud", json::object{{"cove-api", 1}}, "audience"},
                                                   {"iss", "https://evil", "issuer"},
                                                   {"iss", nullptr, "issuer"},
                                                   {"iss", "https://id.example/realms/cove/", "issuer"},
                                                   {"sub", nullptr, "subject"},
                                                   {"sub", "", "subject"},
                                                   {"sub", "a\nb", "subject"},
                                                   {"sub", json::string(300, 'x'), "subject"},
                                                   {"sub", 7, "subject"}}) {
    json::object all = claims();
    if (c.value.is_null()) {
      all.erase(c.name);
    } else {
      all[c.name] = c.value;
    }
    EXPECT_NE(refusal(make_token(rsa_, "RS256", all)).find(c.says), std::string::npos)
        << c.name << "=" << json::serialize(c.value) << ": " << refusal(make_token(rsa_, "RS256", all));
  }
  json::object fine = claims();
  fine["aud"] = json::array{"account", "cove-api"};
  fine["exp"] = kNow - 59;
  fine["nbf"] = kNow + 59;
  EXPECT_TRUE(verify(make_token(rsa_, "RS256", fine))) << "within the leeway, one of several audiences";
  fine["exp"] = static_cast<double>(kNow) + 10.5;
  EXPECT_TRUE(verify(make_token(rsa_, "RS256", fine)));
}

TEST_F(ForeignTokensTest, whatever_is_changed_after_signing_is_refused) {
  const std::string good = make_token(rsa_, "RS256", claims());
  ASSERT_TRUE(verify(good));
  const size_t first = good.find('.');
  const size_t second = good.rfind('.');
  const std::string other_header = base64url_encode(R"({"alg":"RS256","kid":"rsa-1","typ":"JWT","x":1})");
  json::object raised = claims("root");
  const std::string other_claims = base64url_encode(json::serialize(raised));
  EXPECT_NE(refusal(other_header + good.substr(first)), "accepted");
  EXPECT_NE(refusal(good.substr(0, first + 1) + other_claims + good.substr(second)), "accepted");
  for (const size_t at : {second + 1, second + 20, good.size() - 1}) {
    std::string broken = good;
    broken[at] = broken[at] == 'A' ? 'B' : 'A';
    EXPECT_NE(refusal(broken), "accepted") << at;
  }
}

TEST_F(ForeignTokensTest, malformed_tokens_are_refused) {
  const std::string good = make_token(rsa_, "RS256", claims());
  const std::string header = good.substr(0, good.find('.'));
  const std::string tail = good.substr(good.find('.'));
  const auto with_header = [&](std::string_view text) { return base64url_encode(text) + tail; };
  for (const std::string& token : {std::string(),
                                   std::string("."),
                                   std::string(".."),
                                   std::string("..."),
                                   std::string("a.b.c"),
                                   good + ".",
                                   "." + good,
                                   good + ".x",
                                   good + "=",
                                   good + "\n",
                                   " " + good,
                                   header + "=" + tail,
                                   header + "+" + tail,
                                   with_header(""),
                                   with_header("[]"),
                                   with_header("null"),
                                   with_header("{"),
                                   with_header("{}"),
                                   with_header(R"({"alg":"RS256","kid":"rsa-1","crit":["exp"],"exp":1})"),
                                   with_header(R"({"alg":"RS256","kid":"rsa-1","alg":"RS256"})"),
                                   with_header(R"({"alg":"none","alg":"RS256","kid":"rsa-1"})"),
                                   with_header(R"({"alg":["RS256"],"kid":"rsa-1"})"),
                                   with_header(R"({"alg":"RS256","kid":"rsa-1","typ":"logout+jwt"})"),
                                   with_header("{\"alg\":\"RS256\",\"kid\":\"\xFF\"}"),
                                   with_header(std::string(100, '[')),
                                   good.substr(0, good.rfind('.') + 1),
                                   good.substr(0, good.rfind('.')),
                                   std::string(20000, 'a') + ".b.c"}) {
    const auto parsed = parse_token(token);
    const bool refused = !parsed || !verify(token);
    EXPECT_TRUE(refused) << token.substr(0, 80);
  }
}

TEST_F(ForeignTokensTest, claims_that_stand_twice_are_refused) {
  for (const std::string_view text : {R"({"sub":"a","sub":"b"})", R"({"a":{"b":1,"b":2}})",
                                      R"([{"x":[{"y":1,"y":1}]}])", R"({"s\u0075b":"a","sub":"b"})"}) {
    const std::string wrapped = text.starts_with("[") ? "{\"l\":" + std::string(text) + "}" : std::string(text);
    const auto parsed = parse_token(base64url_encode(R"({"alg":"RS256"})") + "." + base64url_encode(wrapped) + ".AAAA");
    ASSERT_FALSE(parsed) << text;
    EXPECT_NE(parsed.error().message.find("twice"), std::string::npos) << parsed.error().message;
  }
  EXPECT_TRUE(parse_token(base64url_encode(R"({"alg":"RS256"})") + "." +
                          base64url_encode(R"({"a:b":"c:\":","d":["x:y",{"a:b":1}],"e":""})") + ".AAAA"))
      << "colons in texts are no members";
}

TEST_F(ForeignTokensTest, an_oversized_token_is_refused_before_it_is_read) {
  json::object big = claims();
  big["padding"] = std::string(20'000, 'p');
  const auto parsed = parse_token(make_token(rsa_, "RS256", big));
  ASSERT_FALSE(parsed);
  EXPECT_NE(parsed.error().message.find("larger"), std::string::npos);
}

TEST_F(ForeignTokensTest, roles_come_from_the_configured_claim) {
  json::object all = claims();
  all["realm_access"] = json::object{{"roles", json::array{"offline_access", "staff", "cove-admins"}}};
  all["preferred_username"] = "alice";
  start({.role_map = {{"staff", Role::kOperator}, {"cove-admins", Role::kAdmin}}});
  const auto identity = verify(make_token(rsa_, "RS256", all));
  ASSERT_TRUE(identity);
  EXPECT_EQ(identity->role, Role::kAdmin) << "the strongest counts";
  EXPECT_EQ(identity->name, "alice");
  start({.roles_claim = "https://x/role", .role_map = {{"aud", Role::kAuditor}}, .default_role = std::nullopt});
  EXPECT_EQ(verify(make_token(rsa_, "RS256", all)).error().code, ErrorCode::kPermissionDenied);
  all["https://x/role"] = "aud";
  EXPECT_EQ(verify(make_token(rsa_, "RS256", all))->role, Role::kAuditor);
  all["https://x/role"] = json::array{1, nullptr, json::object{}};
  EXPECT_EQ(verify(make_token(rsa_, "RS256", all)).error().code, ErrorCode::kPermissionDenied);
}

TEST_F(ForeignTokensTest, unknown_keys_are_fetched_at_a_bounded_rate) {
  EXPECT_EQ(verify(make_token(rsa_, "RS256", claims()), Waiting::kNo).error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(fetches_, 0) << "who may not wait does not fetch";
  EXPECT_TRUE(verify(make_token(rsa_, "RS256", claims())));
  const TestKey fresh = TestKey::ec("fresh", "P-256");
  for (int i = 0; i < 50; ++i) EXPECT_NE(refusal(make_token(fresh, "ES256", claims())), "accepted");
  EXPECT_EQ(fetches_, 1) << "a flood of unknown keys fetches nothing more";
  published_.push_back(fresh.jwk());
  at_ += std::chrono::seconds(11);
  EXPECT_TRUE(verify(make_token(fresh, "ES256", claims())));
  EXPECT_EQ(fetches_, 2);
  EXPECT_EQ(verify(make_token(TestKey::ec("x", "P-256"), "ES256", claims()), Waiting::kNo).error().code,
            ErrorCode::kUnauthenticated);
}

TEST_F(ForeignTokensTest, keys_outlive_an_outage_but_not_for_ever) {
  ASSERT_TRUE(verify(make_token(rsa_, "RS256", claims())));
  EXPECT_FALSE(foreign_->wants_refresh(at_));
  reachable_ = false;
  at_ += std::chrono::seconds(301);
  EXPECT_TRUE(foreign_->wants_refresh(at_));
  EXPECT_FALSE(foreign_->wants_refresh(at_)) << "one refresh at a time";
  EXPECT_FALSE(foreign_->refresh(at_));
  EXPECT_TRUE(verify(make_token(rsa_, "RS256", claims())));
  at_ += std::chrono::hours(25);
  EXPECT_EQ(verify(make_token(rsa_, "RS256", claims())).error().code, ErrorCode::kUnavailable);
  reachable_ = true;
  at_ += std::chrono::seconds(11);
  EXPECT_TRUE(verify(make_token(rsa_, "RS256", claims())));
}

TEST_F(ForeignTokensTest, a_withdrawn_key_ends_with_the_next_fetch) {
  ASSERT_TRUE(verify(make_token(rsa_, "RS256", claims())));
  published_ = {ec_.jwk()};
  at_ += std::chrono::seconds(301);
  ASSERT_TRUE(foreign_->refresh(at_));
  EXPECT_NE(refusal(make_token(rsa_, "RS256", claims())), "accepted");
}

TEST(ForeignIssuerOptions, half_a_configuration_is_refused) {
  EXPECT_FALSE(ForeignTokens::create({.audience = "a", .jwks_url = "https://x"}));
  EXPECT_FALSE(ForeignTokens::create({.issuer = "i", .jwks_url = "https://x"}));
  EXPECT_FALSE(ForeignTokens::create({.issuer = "i", .audience = "a"}));
  EXPECT_FALSE(ForeignTokens::create({.issuer = "i", .audience = "a", .jwks_url = "ftp://x"}));
  EXPECT_TRUE(ForeignTokens::create({.issuer = "i", .audience = "a", .jwks_url = "file:///x"}));
}

TEST(KeySet, keys_of_other_kinds_are_passed_over_and_weak_ones_refused) {
  const TestKey rsa = TestKey::rsa("a");
  const auto parse = [](const json::array& keys) {
    return KeySet::parse(json::serialize(json::object{{"keys", keys}}));
  };
  json::object encrypting = rsa.jwk();
  encrypting["use"] = "enc";
  json::object signing_only = rsa.jwk();
  signing_only["key_ops"] = json::array{"sign"};
  json::object off_curve = TestKey::ec("b", "P-256").jwk();
  off_curve["y"] = base64url_encode(std::string(32, '\1'));
  json::object tiny = rsa.jwk();
  tiny["n"] = base64url_encode(std::string(128, '\xFD'));  // 1024 bits
  json::object even = rsa.jwk();
  even["e"] = base64url_encode("\x02");
  for (const json::object& bad :
       {encrypting, signing_only, off_curve, tiny, even, json::object{{"kty", "oct"}, {"k", "AAAA"}},
        json::object{{"kty", "OKP"}, {"crv", "Ed25519"}, {"x", "AAAA"}}, json::object{{"kty", "RSA"}},
        json::object{}}) {
    EXPECT_FALSE(parse({bad})) << json::serialize(bad);
    EXPECT_EQ(parse({bad, rsa.jwk()})->size(), 1U);
  }
  EXPECT_FALSE(KeySet::parse("{}"));
  EXPECT_FALSE(KeySet::parse("[]"));
  EXPECT_FALSE(KeySet::parse("not json"));
  EXPECT_FALSE(KeySet::parse(R"({"keys":[]})"));
}

TEST(Base64Url, is_strict) {
  EXPECT_EQ(base64url_decode("").value(), "");
  EXPECT_EQ(base64url_decode("AQ").value(), "\x01");
  for (const std::string_view bad : {"A", "AQ==", "AR", "AQI=", "A Q", "A+", "A/", "AQ\n", "AAAAA"})
    EXPECT_FALSE(base64url_decode(bad)) << bad;
  for (size_t size = 0; size < 70; ++size) {
    std::string bytes;
    for (size_t i = 0; i < size; ++i) bytes.push_back(static_cast<char>(i * 37 + size));
    EXPECT_EQ(base64url_decode(base64url_encode(bytes)).value(), bytes);
  }
}

std::filesystem::path security_data() { return cove::testing::testdata_root() / "security"; }

// The JOSE cookbook (RFC 7520): signatures that others made, over what is no JWT.
TEST(JoseCookbook, its_signatures_verify) {
  const auto folder = security_data();
  COVE_REQUIRE_TESTDATA(folder);
  for (const auto& [file, key_file] :
       std::vector<std::pair<std::string, std::string>>{{"4_1.rsa_v15_signature.json", "3_3.rsa_public_key.json"},
                                                        {"4_2.rsa-pss_signature.json", "3_3.rsa_public_key.json"}}) {
    const json::value example = parse_json(read_file(folder / "jose-cookbook/jws" / file).value()).value();
    const json::value jwk = parse_json(read_file(folder / "jose-cookbook/jwk" / key_file).value()).value();
    const auto key = VerifyKey::from_jwk(jwk);
    ASSERT_TRUE(key) << key.error().message;
    const std::string compact(example.at("output").at("compact").as_string());
    const auto alg = parse_algorithm(text_claim(example.at("signing").at("protected"), "alg"));
    ASSERT_TRUE(alg);
    const auto signature = base64url_decode(compact.substr(compact.rfind('.') + 1));
    EXPECT_TRUE(key->verify(*alg, compact.substr(0, compact.rfind('.')), *signature)) << file;
    EXPECT_FALSE(key->verify(*alg, compact.substr(0, compact.rfind('.') - 1), *signature)) << file;
  }
  const json::value hmac =
      parse_json(read_file(folder / "jose-cookbook/jws/4_4.hmac-sha2_integrity_protection.json").value()).value();
  const json::value secret =
      parse_json(read_file(folder / "jose-cookbook/jwk/3_5.symmetric_key_mac_computation.json").value()).value();
  const auto key = VerifyKey::from_secret(*base64url_decode(std::string(secret.at("k").as_string())));
  const std::string compact(hmac.at("output").at("compact").as_string());
  EXPECT_TRUE(key->verify(Algorithm::kHs256, compact.substr(0, compact.rfind('.')),
                          *base64url_decode(compact.substr(compact.rfind('.') + 1))));
  EXPECT_FALSE(VerifyKey::from_jwk(secret)) << "a secret is no key of a JWKS";
}

std::string from_hex(std::string_view hex) {
  std::string out;
  for (size_t i = 0; i + 1 < hex.size(); i += 2)
    out.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  return out;
}

std::string text_at(const json::value& value, std::string_view name) { return std::string(value.at(name).as_string()); }

// Wycheproof's hostile ECDSA signatures: ranges of r and s, wrong lengths, encodings, special points.
TEST(Wycheproof, ecdsa_p256_p1363) {
  const auto folder = security_data();
  COVE_REQUIRE_TESTDATA(folder);
  const json::value file =
      parse_json(read_file(folder / "wycheproof/ecdsa_secp256r1_sha256_p1363_test.json").value()).value();
  int checked = 0;
  for (const json::value& group : file.at("testGroups").as_array()) {
    const json::value* source = find_member(group, "publicKey");
    const json::value& point = source != nullptr ? *source : group.at("key");
    const std::string x = from_hex(text_at(point, "wx"));
    const std::string y = from_hex(text_at(point, "wy"));
    const auto fixed = [](std::string bytes) {
      while (bytes.size() > 32) bytes.erase(0, 1);
      return std::string(32 - bytes.size(), '\0') + bytes;
    };
    const json::object jwk{
        {"kty", "EC"}, {"crv", "P-256"}, {"x", base64url_encode(fixed(x))}, {"y", base64url_encode(fixed(y))}};
    const auto key = VerifyKey::from_jwk(json::value(jwk));
    ASSERT_TRUE(key) << key.error().message;
    for (const json::value& test : group.at("tests").as_array()) {
      const bool good = key->verify(Algorithm::kEs256, from_hex(text_at(test, "msg")), from_hex(text_at(test, "sig")));
      const std::string expected = text_at(test, "result");
      EXPECT_TRUE(expected == "acceptable" || good == (expected == "valid")) << "tcId " << test.at("tcId").as_int64();
      ++checked;
    }
  }
  EXPECT_GT(checked, 100);
}

TEST(Wycheproof, rsa_pkcs1_2048_sha256) {
  const auto folder = security_data();
  COVE_REQUIRE_TESTDATA(folder);
  const json::value file =
      parse_json(read_file(folder / "wycheproof/rsa_signature_2048_sha256_test.json").value()).value();
  int checked = 0;
  for (const json::value& group : file.at("testGroups").as_array()) {
    const json::value* source = find_member(group, "publicKey");
    const json::value& numbers = source != nullptr ? *source : group;
    const auto number = [&](std::string_view a, std::string_view b) {
      const json::value* member = find_member(numbers, a);
      std::string hex(member != nullptr ? member->as_string() : numbers.at(b).as_string());
      return base64url_encode(from_hex(hex.size() % 2 == 0 ? hex : "0" + hex));
    };
    const json::object jwk{{"kty", "RSA"}, {"n", number("modulus", "n")}, {"e", number("publicExponent", "e")}};
    const auto key = VerifyKey::from_jwk(json::value(jwk));
    ASSERT_TRUE(key) << key.error().message;
    for (const json::value& test : group.at("tests").as_array()) {
      const bool good = key->verify(Algorithm::kRs256, from_hex(text_at(test, "msg")), from_hex(text_at(test, "sig")));
      const std::string expected = text_at(test, "result");
      EXPECT_TRUE(expected == "acceptable" || good == (expected == "valid")) << "tcId " << test.at("tcId").as_int64();
      ++checked;
    }
  }
  EXPECT_GT(checked, 100);
}

TEST(Wycheproof, hmac_sha256) {
  const auto folder = security_data();
  COVE_REQUIRE_TESTDATA(folder);
  const json::value file = parse_json(read_file(folder / "wycheproof/hmac_sha256_test.json").value()).value();
  int checked = 0;
  for (const json::value& group : file.at("testGroups").as_array()) {
    if (group.at("tagSize").as_int64() != 256) continue;
    for (const json::value& test : group.at("tests").as_array()) {
      const auto key = VerifyKey::from_secret(from_hex(text_at(test, "key")));
      if (!key) continue;  // shorter than is accepted here
      EXPECT_EQ(key->verify(Algorithm::kHs256, from_hex(text_at(test, "msg")), from_hex(text_at(test, "tag"))),
                text_at(test, "result") == "valid")
          << test.at("tcId").as_int64();
      ++checked;
    }
  }
  EXPECT_GT(checked, 50);
}

}  // namespace
}  // namespace cove::auth
