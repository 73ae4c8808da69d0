#include "services/auth/addresses.h"

#include <gtest/gtest.h>

namespace cove::auth {
namespace {

bool in(const std::vector<std::string>& networks, std::string_view address) {
  return Networks::parse(networks)->contains(*parse_ip(address));
}

TEST(Networks, contain_what_their_bits_say) {
  EXPECT_TRUE(in({"10.0.0.0/8"}, "10.255.1.2"));
  EXPECT_FALSE(in({"10.0.0.0/8"}, "11.0.0.0"));
  EXPECT_TRUE(in({"192.168.1.128/25"}, "192.168.1.200"));
  EXPECT_FALSE(in({"192.168.1.128/25"}, "192.168.1.127"));
  EXPECT_TRUE(in({"192.168.1.5"}, "192.168.1.5"));
  EXPECT_FALSE(in({"192.168.1.5"}, "192.168.1.4"));
  EXPECT_TRUE(in({"0.0.0.0/0"}, "8.8.8.8"));
  EXPECT_FALSE(in({"0.0.0.0/0"}, "2001:db8::1"));
  EXPECT_TRUE(in({"::/0"}, "8.8.8.8")) << "all of IPv6 holds the mapped IPv4 addresses";
  EXPECT_TRUE(in({"2001:db8::/33"}, "2001:db8:7fff::1"));
  EXPECT_FALSE(in({"2001:db8::/33"}, "2001:db8:8000::1"));
  EXPECT_TRUE(in({"10.0.0.0/8"}, "::ffff:10.1.2.3")) << "IPv4 in its IPv6 form is the same address";
  EXPECT_TRUE(in({"fe80::/10"}, "fe80::1%eth0"));
  EXPECT_TRUE(in({"1.1.1.1", " ::1 "}, "::1"));
  EXPECT_FALSE(in({}, "::1"));
}

TEST(Networks, what_is_none_is_refused_by_name) {
  for (const std::string entry : {"", "x", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "10.0.0.0/8x", "::1/129",
                                  "10.0.0", "10.0.0.0.0", "1.2.3.4/8/8", "example.com", "[::1]"}) {
    const auto networks = Networks::parse({entry});
    ASSERT_FALSE(networks) << entry;
    EXPECT_NE(networks.error().message.find("'" + entry + "'"), std::string::npos);
  }
}

TEST(ClientAddress, only_a_trusted_proxy_is_believed) {
  const AddressRules none;
  EXPECT_EQ(client_address(none, "10.0.0.1", "1.2.3.4"), "10.0.0.1");
  const AddressRules rules{.allowed = {}, .proxies = *Networks::parse({"10.0.0.0/8", "::1"})};
  EXPECT_EQ(client_address(rules, "10.0.0.1", "1.2.3.4"), "1.2.3.4");
  EXPECT_EQ(client_address(rules, "9.9.9.9", "1.2.3.4"), "9.9.9.9");
  EXPECT_EQ(client_address(rules, "10.0.0.1", ""), "10.0.0.1");
  EXPECT_EQ(client_address(rules, "10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.2"), "1.2.3.4")
      << "what the client itself wrote comes first and is not believed";
  EXPECT_EQ(client_address(rules, "10.0.0.1", "10.0.0.3,10.0.0.2"), "10.0.0.3");
  EXPECT_EQ(client_address(rules, "10.0.0.1", "1.2.3.4, unknown"), "10.0.0.1");
  EXPECT_EQ(client_address(rules, "10.0.0.1", "1.2.3.4:5555"), "1.2.3.4");
  EXPECT_EQ(client_address(rules, "::1", "[2001:db8::1]:80"), "2001:db8::1");
  EXPECT_EQ(client_address(rules, "::1", ",,,"), "::1");
  EXPECT_EQ(client_address(rules, "::1", "["), "::1");
}

TEST(AddressAllowed, an_empty_list_allows_everybody) {
  EXPECT_TRUE(address_allowed({}, "1.2.3.4"));
  EXPECT_TRUE(address_allowed({}, ""));
  const AddressRules rules{.allowed = *Networks::parse({"10.0.0.0/8"}), .proxies = {}};
  EXPECT_TRUE(address_allowed(rules, "10.1.1.1"));
  EXPECT_FALSE(address_allowed(rules, "1.2.3.4"));
  EXPECT_FALSE(address_allowed(rules, "")) << "an address that cannot be read is not allowed";
}

}  // namespace
}  // namespace cove::auth
