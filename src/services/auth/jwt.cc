#include "services/auth/jwt.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "services/auth/base64url.h"

namespace cove::auth {
namespace {

constexpr size_t kKidBytesMax = 256;
constexpr size_t kSubjectBytesMax = 255;  // OpenID Connect Core, 2
constexpr JsonLimits kJsonLimits{.depth_max = 16, .bytes_max = kTokenBytesMax};

Error refused(std::string message) { return {ErrorCode::kUnauthenticated, std::move(message)}; }

size_t members_in(const json::value& value) {
  size_t count = 0;
  if (value.is_object()) {
    for (const auto& member : value.get_object()) count += 1 + members_in(member.value());
  } else if (value.is_array()) {
    for (const json::value& item : value.get_array()) count += members_in(item);
  }
  return count;
}

// In a valid JSON text every ':' outside of strings belongs to one member.
size_t members_written(std::string_view text) {
  size_t count = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (in_string && text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      in_string = !in_string;
    } else if (!in_string && text[i] == ':') {
      ++count;
    }
  }
  return count;
}

// The part as a JSON object in which no name stands twice: parsers differ in which of two they take.
Result<json::value> object_part(std::string_view part, std::string_view name) {
  const auto text = base64url_decode(part);
  if (!text) return refused(fmt::format("the token's {} is not base64url", name));
  auto value = parse_json(*text, kJsonLimits);
  if (!value || !value->is_object()) return refused(fmt::format("the token's {} is not a JSON object", name));
  if (members_in(*value) != members_written(*text))
    return refused(fmt::format("the token's {} has a name twice", name));
  return value;
}

bool is_token_type(std::string_view type) {
  std::string lower(type);
  std::ranges::transform(lower, lower.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return lower == "jwt" || lower == "at+jwt" || lower == "application/at+jwt" || lower == "application/jwt";
}

Status read_header(const json::value& header, ParsedToken& token) {
  const auto algorithm = parse_algorithm(text_claim(header, "alg"));
  if (!algorithm) return refused("the token's algorithm is none that is accepted here");
  token.algorithm = *algorithm;
  if (find_member(header, "crit") != nullptr) return refused("the token uses an extension that is not known here");
  if (const json::value* type = find_member(header, "typ");
      type != nullptr && (!type->is_string() || !is_token_type(std::string(type->get_string())))) {
    return refused("the token is of another type than JWT");
  }
  const json::value* kid = find_member(header, "kid");
  if (kid == nullptr) return {};
  if (!kid->is_string() || kid->get_string().size() > kKidBytesMax) return refused("the token's kid is not acceptable");
  token.kid = std::string(kid->get_string());
  return {};
}

bool is_for(const json::value& claims, std::string_view audience) {
  const json::value* claim = find_member(claims, "aud");
  if (claim == nullptr) return false;
  const auto same = [&](const json::value& value) { return value.is_string() && value.get_string() == audience; };
  return same(*claim) || (claim->is_array() && std::ranges::any_of(claim->get_array(), same));
}

bool plain_subject(std::string_view subject) {
  return !subject.empty() && subject.size() <= kSubjectBytesMax &&
         std::ranges::none_of(subject, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7F'; });
}

// A time claim that is there but no time is wrong, not absent.
bool malformed_time(const json::value& claims, std::string_view name) {
  return find_member(claims, name) != nullptr && !time_claim(claims, name);
}

}  // namespace

bool looks_like_token(std::string_view credential) {
  return std::ranges::count(credential, '.') >= 2 && !credential.starts_with("sk-");
}

Result<ParsedToken> parse_token(std::string_view token) {
  if (token.size() > kTokenBytesMax) return refused(fmt::format("the token is larger than {} bytes", kTokenBytesMax));
  if (std::ranges::count(token, '.') != 2) return refused("a token has three parts");
  const size_t first = token.find('.');
  const size_t second = token.find('.', first + 1);
  ParsedToken parsed;
  TRY_ASSIGN(const json::value header, object_part(token.substr(0, first), "header"));
  TRY(read_header(header, parsed));
  TRY_ASSIGN(parsed.claims, object_part(token.substr(first + 1, second - first - 1), "content"));
  const auto signature = base64url_decode(token.substr(second + 1));
  if (!signature || signature->empty()) return refused("the token's signature is missing or not base64url");
  parsed.signature = *signature;
  parsed.signed_text = token.substr(0, second);
  return parsed;
}

std::string token_issuer(const ParsedToken& token) { return text_claim(token.claims, "iss"); }

std::string text_claim(const json::value& claims, std::string_view name) {
  const json::value* claim = find_member(claims, name);
  return claim != nullptr && claim->is_string() ? std::string(claim->get_string()) : std::string();
}

std::optional<int64_t> time_claim(const json::value& claims, std::string_view name) {
  const json::value* claim = find_member(claims, name);
  if (claim == nullptr || !claim->is_number()) return std::nullopt;
  constexpr double kLatest = 1e12;  // far beyond any calendar, far below what a double keeps exactly
  const double seconds = claim->to_number<double>();
  if (!(seconds >= 0) || seconds > kLatest) return std::nullopt;
  return static_cast<int64_t>(std::floor(seconds));
}

Status check_claims(const json::value& claims, const ClaimRules& rules, int64_t now_s) {
  if (text_claim(claims, "iss") != rules.issuer) return refused("the token is of another issuer");
  if (!is_for(claims, rules.audience)) return refused("the token is made out for another audience");
  for (const std::string_view name : {"exp", "nbf", "iat"}) {
    if (malformed_time(claims, name)) return refused(fmt::format("the token's '{}' is no time", name));
  }
  const auto expires = time_claim(claims, "exp");
  if (!expires) return refused("the token has no expiry");
  if (now_s >= *expires + rules.leeway_s) return refused("the token has expired");
  if (time_claim(claims, "nbf").value_or(0) > now_s + rules.leeway_s) return refused("the token is not valid yet");
  if (time_claim(claims, "iat").value_or(0) > now_s + rules.leeway_s)
    return refused("the token was issued in the future");
  if (!plain_subject(text_claim(claims, "sub"))) return refused("the token has no usable subject");
  return {};
}

}  // namespace cove::auth
