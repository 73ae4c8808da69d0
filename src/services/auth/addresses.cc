#include "services/auth/addresses.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include <arpa/inet.h>
#include <fmt/format.h>

namespace cove::auth {
namespace {

constexpr int kV4Offset = 96;  // bits before an IPv4 address in its IPv6 form

std::string_view trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

// "1.2.3.4:80", "[::1]:80" and "[::1]" without port and brackets.
std::string_view without_port(std::string_view text) {
  if (text.starts_with('[')) return text.substr(1, std::min(text.find(']'), text.size()) - 1);
  return std::ranges::count(text, ':') == 1 ? text.substr(0, text.find(':')) : text;
}

}  // namespace

std::optional<IpAddress> parse_ip(std::string_view text) {
  // A zone ("fe80::1%eth0") names an interface of this machine, not another address.
  const std::string plain(text.substr(0, text.find('%')));
  IpAddress address{};
  if (plain.find(':') != std::string::npos) {
    if (::inet_pton(AF_INET6, plain.c_str(), address.data()) != 1) return std::nullopt;
    return address;
  }
  address[10] = address[11] = 0xFF;
  if (::inet_pton(AF_INET, plain.c_str(), address.data() + 12) != 1) return std::nullopt;
  return address;
}

Result<Networks> Networks::parse(const std::vector<std::string>& entries) {
  Networks out;
  for (const std::string& entry : entries) {
    const std::string_view text = trimmed(entry);
    const size_t slash = std::min(text.find('/'), text.size());
    const auto address = parse_ip(text.substr(0, slash));
    const bool v4 = text.substr(0, slash).find(':') == std::string_view::npos;
    const int width = v4 ? 32 : 128;
    int bits = width;
    const std::string_view digits = text.substr(std::min(slash + 1, text.size()));
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
    const bool bad_bits = slash < text.size() && (error != std::errc() || end != digits.data() + digits.size());
    if (!address || bad_bits || bits < 0 || bits > width) {
      return invalid_argument(
          fmt::format("'{}' is no network: write 10.0.0.0/8, 192.168.1.5, 2001:db8::/32 or ::1", entry));
    }
    out.networks_.push_back({*address, v4 ? bits + kV4Offset : bits});
  }
  return out;
}

bool Networks::contains(const IpAddress& address) const {
  return std::ranges::any_of(networks_, [&](const Network& network) {
    const auto bytes = static_cast<size_t>(network.bits / 8);
    if (std::memcmp(network.address.data(), address.data(), bytes) != 0) return false;
    const int rest = network.bits % 8;
    return rest == 0 || ((network.address[bytes] ^ address[bytes]) >> (8 - rest)) == 0;
  });
}

std::string client_address(const AddressRules& rules, std::string_view peer, std::string_view forwarded) {
  std::string client(peer);
  while (!rules.proxies.empty() && !forwarded.empty()) {
    const auto known = parse_ip(client);
    if (!known || !rules.proxies.contains(*known)) break;
    const size_t comma = forwarded.rfind(',');
    const std::string_view last =
        without_port(trimmed(comma == std::string_view::npos ? forwarded : forwarded.substr(comma + 1)));
    forwarded = forwarded.substr(0, comma == std::string_view::npos ? 0 : comma);
    if (!parse_ip(last)) break;
    client = last;
  }
  return client;
}

bool address_allowed(const AddressRules& rules, std::string_view address) {
  if (rules.allowed.empty()) return true;
  const auto parsed = parse_ip(address);
  return parsed && rules.allowed.contains(*parsed);
}

}  // namespace cove::auth
