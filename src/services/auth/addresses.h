#pragma once
// Lists of IP networks ("10.0.0.0/8", "::1", "2001:db8::/32"), and who a request really comes from when a proxy that
// the configuration trusts passed it on.

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cove::auth {

// An IPv4 address is its IPv6 form ::ffff:a.b.c.d.
using IpAddress = std::array<uint8_t, 16>;
std::optional<IpAddress> parse_ip(std::string_view text);

class Networks {
 public:
  // Errors: kInvalidArgument naming the entry that is none.
  static Result<Networks> parse(const std::vector<std::string>& entries);
  bool empty() const { return networks_.empty(); }
  bool contains(const IpAddress& address) const;

 private:
  struct Network {
    IpAddress address{};
    int bits = 128;
  };
  std::vector<Network> networks_;
};

struct AddressRules {
  Networks allowed;  // empty = everybody
  Networks proxies;  // whose X-Forwarded-For is believed; empty = nobody's
};

// The client's address: `peer`, or, when that is a trusted proxy, the last entry of X-Forwarded-For that is none.
// `forwarded` is that header's value, all of its lines joined by ','. What cannot be read there ends the walk at the
// proxy that sent it.
std::string client_address(const AddressRules& rules, std::string_view peer, std::string_view forwarded);
bool address_allowed(const AddressRules& rules, std::string_view address);

}  // namespace cove::auth
