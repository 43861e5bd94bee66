// SPDX-License-Identifier: BSL-1.0
// Proves wire/ipv4_addr.hpp: special addresses at both edges of each range, prefixes, and text in both directions
// (against the system's inet_pton and inet_ntop).
#include "netstack/wire/ipv4_addr.hpp"

#include <arpa/inet.h>

#include <cstring>
#include <random>
#include <string>

#include "support/frame.hpp"

using namespace netstack;

namespace {

/// True for first … last and false for the addresses around them.
template <class Predicate>
constexpr bool exactly(Predicate is, std::string_view first, std::string_view last) {
  u32 const low = ipv4_addr(first).host();
  u32 const high = ipv4_addr(last).host();
  return is(be32{low}) && is(be32{high}) && is(be32{low + (high - low) / 2}) && (low == 0 || !is(be32{low - 1})) &&
         (high == 0xffffffff || !is(be32{high + 1}));
}

constexpr bool refuses(std::string_view text) {
  auto const addr = parse_ipv4(text);
  return !addr && addr.error() == std::errc::invalid_argument;
}
constexpr bool refuses_prefix(std::string_view text) {
  auto const prefix = parse_prefix(text);
  return !prefix && prefix.error() == std::errc::invalid_argument;
}
constexpr bool formats(be32 addr, std::string_view want) {
  char text[16] = {};
  return format_ipv4(addr, text) == want && text[want.size()] == '\0';
}

constexpr ipv4_prefix lan = ipv4_cidr("192.0.2.77/24");

}  // namespace

TEST_CASE("special addresses end where their range ends", "[ipv4_addr]") {
  CHECK_BOTH(exactly(ipv4_is_zeronet, "0.0.0.0", "0.255.255.255"));
  CHECK_BOTH(exactly(ipv4_is_loopback, "127.0.0.0", "127.255.255.255"));
  CHECK_BOTH(exactly(ipv4_is_multicast, "224.0.0.0", "239.255.255.255"));
  CHECK_BOTH(exactly(ipv4_is_local_multicast, "224.0.0.0", "224.0.0.255"));
  CHECK_BOTH(exactly(ipv4_is_lbcast, "255.255.255.255", "255.255.255.255"));
  CHECK_BOTH(exactly(ipv4_is_all_snoopers, "224.0.0.106", "224.0.0.106"));
  CHECK_BOTH(exactly(ipv4_is_private_10, "10.0.0.0", "10.255.255.255"));
  CHECK_BOTH(exactly(ipv4_is_private_172, "172.16.0.0", "172.31.255.255"));
  CHECK_BOTH(exactly(ipv4_is_private_192, "192.168.0.0", "192.168.255.255"));
  CHECK_BOTH(exactly(ipv4_is_linklocal_169, "169.254.0.0", "169.254.255.255"));
  CHECK_BOTH(exactly(ipv4_is_anycast_6to4, "192.88.99.0", "192.88.99.255"));
  CHECK_BOTH(exactly(ipv4_is_test_192, "192.0.2.0", "192.0.2.255"));
  CHECK_BOTH(exactly(ipv4_is_test_198, "198.18.0.0", "198.19.255.255"));
  CHECK_BOTH(exactly(ipv4_is_private, "10.0.0.0", "10.255.255.255"));
  CHECK_BOTH(exactly(ipv4_is_private, "172.16.0.0", "172.31.255.255"));
  CHECK_BOTH(exactly(ipv4_is_private, "192.168.0.0", "192.168.255.255"));
  CHECK_BOTH(inaddr_allhosts_group == ipv4_addr("224.0.0.1") && inaddr_allrtrs_group == ipv4_addr("224.0.0.2"));
  CHECK_BOTH(inaddr_loopback == ipv4_addr("127.0.0.1") && inaddr_any == ipv4_addr("0.0.0.0"));
}

TEST_CASE("masks and their lengths are inverses", "[ipv4_addr]") {
  CHECK_BOTH(inet_make_mask(0) == be32{});
  CHECK_BOTH(inet_make_mask(1) == ipv4_addr("128.0.0.0"));
  CHECK_BOTH(inet_make_mask(31) == ipv4_addr("255.255.255.254"));
  CHECK_BOTH(inet_make_mask(32) == inaddr_broadcast);
  CHECK_BOTH(inet_make_mask(33) == inaddr_broadcast);
  for (unsigned len = 0; len <= 32; ++len) CHECK(inet_mask_len(inet_make_mask(len)) == len);
}

TEST_CASE("a prefix holds an interface's address and its network", "[ipv4_addr]") {
  CHECK_BOTH(lan.addr() == ipv4_addr("192.0.2.77") && lan.len() == 24);
  CHECK_BOTH(lan.mask() == ipv4_addr("255.255.255.0"));
  CHECK_BOTH(lan.network() == ipv4_addr("192.0.2.0") && lan.broadcast() == ipv4_addr("192.0.2.255"));
  CHECK_BOTH(lan.contains(ipv4_addr("192.0.2.0")) && lan.contains(ipv4_addr("192.0.2.255")));
  CHECK_BOTH(!lan.contains(ipv4_addr("192.0.1.255")) && !lan.contains(ipv4_addr("192.0.3.0")));
  CHECK_BOTH(ipv4_cidr("0.0.0.0/0").contains(inaddr_broadcast) && ipv4_prefix{} == ipv4_cidr("0.0.0.0/0"));
  CHECK_BOTH(ipv4_cidr("192.0.2.1/32").contains(ipv4_addr("192.0.2.1")));
  CHECK_BOTH(!ipv4_cidr("192.0.2.1/32").contains(ipv4_addr("192.0.2.0")));
  // RFC 3021: both addresses of a /31 are hosts.
  CHECK_BOTH(ipv4_cidr("192.0.2.0/31").broadcast() == inaddr_broadcast);
  CHECK_BOTH(ipv4_cidr("192.0.2.1/30").broadcast() == ipv4_addr("192.0.2.3"));
  CHECK_BOTH(lan != ipv4_cidr("192.0.2.77/25") && lan != ipv4_cidr("192.0.2.78/24"));
}

TEST_CASE("a prefix cannot hold a length above 32", "[ipv4_addr]") {
  CHECK_BOTH(ipv4_prefix::make(inaddr_loopback, 32).has_value());
  CHECK_BOTH(!ipv4_prefix::make(inaddr_loopback, 33).has_value());
  CHECK_BOTH(!ipv4_prefix::make(inaddr_loopback, 256 + 24).has_value());
  CHECK_BOTH(refuses_prefix("192.0.2.1/33"));
  CHECK_BOTH(refuses_prefix("192.0.2.1/280"));
  CHECK_BOTH(refuses_prefix("192.0.2.1/-1"));
  CHECK_BOTH(refuses_prefix("192.0.2.1/"));
  CHECK_BOTH(refuses_prefix("192.0.2.1"));
  CHECK_BOTH(refuses_prefix("192.0.2.1/24 "));
  CHECK_BOTH(refuses_prefix("192.0.2.1/024"));
  CHECK_BOTH(refuses_prefix("192.0.2/24"));
  CHECK_BOTH(refuses_prefix("/24"));
}

TEST_CASE("only a full dotted quad is an address", "[ipv4_addr]") {
  CHECK_BOTH(*parse_ipv4("192.0.2.1") == be32{0xc0000201U});
  CHECK_BOTH(*parse_ipv4("0.0.0.0") == be32{});
  CHECK_BOTH(*parse_ipv4("255.255.255.255") == be32{0xffffffffU});
  for (auto const* text :
       {"",         ".",        "1",         "1.2",        "1.2.3",    "1.2.3.",     "1.2.3.4.",        "1.2.3.4.5",
        ".1.2.3.4", "1..2.3",   "1.2.3.256", "1.2.3.1000", "01.2.3.4", "1.2.3.04",   "1.2.3.00",        "0x1.2.3.4",
        " 1.2.3.4", "1.2.3.4 ", "1.2.3.-4",  "1.2.3.+4",   "a.b.c.d",  "1.2.3.4/24", "4294967295.1.1.1"})
    CHECK(refuses(text));
  CHECK_BOTH(refuses("1.2.3.256"));
  CHECK_BOTH(refuses("010.0.0.1"));
  CHECK_BOTH(refuses(std::string_view{"1.2.3.4\0", 8}));
}

TEST_CASE("text is what the system writes, and reads back to the same address", "[ipv4_addr]") {
  CHECK_BOTH(formats(be32{}, "0.0.0.0"));
  CHECK_BOTH(formats(be32{0xffffffffU}, "255.255.255.255"));
  CHECK_BOTH(formats(be32{0x0a640909U}, "10.100.9.9"));
  CHECK_BOTH(formats(be32{0x01630064U}, "1.99.0.100"));
  std::mt19937 rng{1};
  for (int i = 0; i < 20000; ++i) {
    be32 const addr{static_cast<u32>(rng())};
    char ours[16], system[INET_ADDRSTRLEN];
    std::string const text{format_ipv4(addr, ours)};
    auto const raw = addr.raw();
    REQUIRE(text == inet_ntop(AF_INET, &raw, system, sizeof system));
    REQUIRE(parse_ipv4(text).value() == addr);
    // One character changed: we accept what inet_pton accepts, and nothing else.
    std::string broken = text;
    broken[rng() % broken.size()] = ".0159/x "[rng() % 8];
    u32 theirs = 0;
    bool const accepted = inet_pton(AF_INET, broken.c_str(), &theirs) == 1;
    auto const parsed = parse_ipv4(broken);
    CAPTURE(broken);
    REQUIRE(parsed.has_value() == accepted);
    if (accepted) REQUIRE(parsed->raw() == theirs);
  }
}
