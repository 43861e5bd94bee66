// SPDX-License-Identifier: BSL-1.0
// What a received datagram's options make us do, and how malformed ones are reported.
#include "netstack/ipv4/ip_rcv_options.hpp"

#include "netstack/ipv4/ip_options_echo.hpp"
#include "support/ip_rig.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

constexpr be32 far = ipv4_addr("198.51.100.9");

struct options_rig : ip_rig<> {
  net_device* eth1;
  options_rig() : eth1(add_device(rig_dev::params{.mac = {{2, 0, 0, 0, 0, 2}}}, "198.51.100.1/24")) {
    know(*eth1, far, peer_mac);
    in_dev_get(*eth0)->cnf.forwarding = in_dev_get(*eth1)->cnf.forwarding = 1;
    ns().sysctl_icmp_ratemask = 0;
  }
  void accept_source_routes() { ns().devconf_all.accept_source_route = 1; }
  /// The reply to an echo request with these options, or nothing.
  std::optional<sent_frame> echo(bytes const& options) {
    inject({.options = options, .payload = echo_request(1, 1, bytes(4))});
    auto frames = sent();
    if (frames.size() != 1) return {};
    return frames[0];
  }
};
bytes addresses(std::initializer_list<char const*> list) {
  bytes out;
  for (char const* a : list) append(out, ipv4_addr(a));
  return out;
}
bytes record_route(std::size_t slots, u8 pointer = 4) {
  bytes out{ipopt::rr, static_cast<u8>(3 + 4 * slots), pointer};
  out.resize(3 + 4 * slots);
  return out;
}
bytes source_route(u8 kind, u8 pointer, bytes const& list) {
  return bytes{kind, static_cast<u8>(3 + list.size()), pointer} + list;
}

}  // namespace

TEST_CASE("record route: our address is written into the next slot and comes back", "[S136]") {
  options_rig rig;
  auto reply = rig.echo(record_route(3));
  REQUIRE(reply);
  CHECK(reply->is_sound());
  CHECK(reply->options() == bytes{ipopt::rr, 15, 8} + addresses({"192.0.2.1"}) + bytes(9));
  // A full one stays as it is; the datagram goes on.
  bytes full = bytes{ipopt::rr, 7, 8} + addresses({"203.0.113.1"});
  reply = rig.echo(full);
  REQUIRE(reply);
  CHECK(reply->options() == full + bytes(1));
}

TEST_CASE("timestamps: time alone, with address, and where we are named", "[S136]") {
  options_rig rig;
  be32 const now = inet_current_timestamp(rig.clock.now + rig.clock.epoch);
  bytes time;
  append(time, now);
  auto reply = rig.echo(bytes{ipopt::timestamp, 12, 5, ipopt::ts_tsonly} + bytes(8));
  REQUIRE(reply);
  CHECK(reply->options() == bytes{ipopt::timestamp, 12, 9, ipopt::ts_tsonly} + time + bytes(4));
  reply = rig.echo(bytes{ipopt::timestamp, 12, 5, ipopt::ts_tsandaddr} + bytes(8));
  REQUIRE(reply);
  CHECK(reply->options() == bytes{ipopt::timestamp, 12, 13, ipopt::ts_tsandaddr} + addresses({"192.0.2.1"}) + time);
  reply = rig.echo(bytes{ipopt::timestamp, 12, 5, ipopt::ts_prespec} + addresses({"192.0.2.1"}) + bytes(4));
  REQUIRE(reply);
  CHECK(reply->options() == bytes{ipopt::timestamp, 12, 13, ipopt::ts_prespec} + addresses({"192.0.2.1"}) + time);
  reply = rig.echo(bytes{ipopt::timestamp, 12, 5, ipopt::ts_prespec} + addresses({"192.0.2.99"}) + bytes(4));
  REQUIRE(reply);
  CHECK(reply->options() == bytes{ipopt::timestamp, 12, 5, ipopt::ts_prespec} + addresses({"192.0.2.99"}) + bytes(4));
  // Full: counted in the overflow nibble; a full count is an error.
  reply = rig.echo(bytes{ipopt::timestamp, 8, 9, ipopt::ts_tsonly} + bytes(4));
  REQUIRE(reply);
  CHECK(reply->options()[3] == 0x10);
  reply = rig.echo(bytes{ipopt::timestamp, 8, 9, 0xf0} + bytes(4));
  REQUIRE(reply);
  CHECK(reply->icmp().type == icmp_type::parameterprob);
}

TEST_CASE("malformed options: parameter problem with the place, and one drop", "[S136][URGENT/11]") {
  struct {
    char const* what;
    bytes options;
    u8 pointer;
  } const corpus[] = {
      {"length 0", {ipopt::rr, 0, 4, 0}, 20},
      {"length 1", {ipopt::rr, 1, 4, 0}, 20},
      {"length beyond the header", {ipopt::noop, ipopt::rr, 200, 4}, 21},
      {"a kind as the last byte", {ipopt::noop, ipopt::noop, ipopt::noop, ipopt::rr}, 23},
      {"a route of two bytes", {ipopt::rr, 2, ipopt::end, 0}, 21},
      {"a pointer into the head", {ipopt::rr, 7, 3, 0, 0, 0, 0, 0}, 22},
      {"a pointer into the middle of the last slot", {ipopt::rr, 7, 5, 0, 0, 0, 0, 0}, 22},
      {"two source routes", source_route(ipopt::lsrr, 4, bytes(4)) + source_route(ipopt::lsrr, 4, bytes(4)), 27},
      {"loose and strict", source_route(ipopt::lsrr, 4, bytes(4)) + source_route(ipopt::ssrr, 4, bytes(4)), 27},
      {"nine of them",
       [] {
         bytes many;
         while (many.size() + 4 <= 40) many = many + bytes{ipopt::ssrr, 4, 4, 0};
         return many;
       }(),
       22},
      {"two record routes", record_route(1) + record_route(1), 27},
      {"router alert of two bytes", {ipopt::ra, 2, 0, 0}, 21},
      {"timestamp flag 2", bytes{ipopt::timestamp, 12, 5, 2} + bytes(8), 23},
  };
  for (auto const& c : corpus) {
    options_rig rig;
    INFO(c.what);
    rig.inject({.options = c.options, .payload = echo_request(1, 1, bytes(4))});
    auto const sent = rig.sent();
    REQUIRE(sent.size() == 1);
    CHECK(sent[0].is_sound());
    CHECK(sent[0].icmp().type == icmp_type::parameterprob);
    CHECK(sent[0].icmp().un.pointer() == c.pointer);
    CHECK(sent[0].ip().ihl() == 5);  // nothing of such options comes back in ours
    CHECK(rig.drops(drop_reason::ip_inhdr) == 1);
    CHECK(rig.ip().InHdrErrors.read() == 1);
    rig.still_alive();
  }
}

TEST_CASE("source routes are refused unless both the device and the namespace accept them", "[S136]") {
  options_rig rig;
  bytes const route = source_route(ipopt::lsrr, 4, addresses({"198.51.100.9"}));
  CHECK_FALSE(rig.echo(route));
  CHECK(rig.drops(drop_reason::ip_srr) == 1);
  CHECK(rig.sent().empty());
  rig.accept_source_routes();
  in_dev_get(*rig.eth0)->cnf.accept_source_route = 0;
  CHECK_FALSE(rig.echo(route));
  CHECK(rig.drops(drop_reason::ip_srr) == 2);
}

TEST_CASE("a source route that names us is followed", "[S136]") {
  options_rig rig;
  rig.accept_source_routes();
  SECTION("on to the next stop") {
    rig.inject(
        {.options = source_route(ipopt::lsrr, 4, addresses({"198.51.100.9", "203.0.113.1"})), .payload = bytes(4)});
    auto const sent = rig.sent(*rig.eth1);
    REQUIRE(sent.size() == 1);
    CHECK(sent[0].ip().daddr == far);
    CHECK(sent[0].ip().ttl == 63);
    CHECK(ip_compute_csum(sent[0].frame.data() + eth_hlen, 32) == sum16{});
    CHECK(sent[0].options() == bytes{ipopt::lsrr, 11, 8} + addresses({"198.51.100.1", "203.0.113.1"}) + bytes{0});
  }
  SECTION("through several of our own addresses") {
    rig.inject(
        {.options = source_route(ipopt::lsrr, 4, addresses({"198.51.100.1", "198.51.100.9"})), .payload = bytes(4)});
    auto const sent = rig.sent(*rig.eth1);
    REQUIRE(sent.size() == 1);
    CHECK(sent[0].ip().daddr == far);
    CHECK(sent[0].options() == bytes{ipopt::lsrr, 11, 12} + addresses({"192.0.2.1", "198.51.100.1"}) + bytes{0});
  }
  SECTION("to its end, which is us: the answer goes back the same way") {
    rig.know(*rig.eth0, ipv4_addr("192.0.2.21"), peer_mac);
    auto const again = rig.echo(source_route(ipopt::lsrr, 12, addresses({"192.0.2.20", "192.0.2.21"})));
    REQUIRE(again);
    CHECK(again->ip().daddr == ipv4_addr("192.0.2.21"));
    CHECK(again->options() == bytes{ipopt::lsrr, 11, 4} + addresses({"192.0.2.20", "192.0.2.9"}) + bytes{0});
  }
  SECTION("nowhere") {
    rig.inject({.options = source_route(ipopt::lsrr, 4, addresses({"203.0.113.1"})), .payload = bytes(4)});
    CHECK(rig.drops(drop_reason::ip_srr) == 1);
  }
  SECTION("strict, and we are not on it") {
    rig.inject(
        {.daddr = far, .options = source_route(ipopt::ssrr, 4, addresses({"203.0.113.1"})), .payload = bytes(4)});
    auto const sent = rig.sent();
    REQUIRE(sent.size() == 1);
    CHECK(sent[0].icmp().type == icmp_type::parameterprob);
    CHECK(sent[0].icmp().un.pointer() == 16);
  }
  SECTION("strict, but the next stop is behind a gateway") {
    REQUIRE(ip_route_add(rig.net(), {.fc_dst_len = 24, .fc_dst = ipv4_addr("203.0.113.0"), .fc_gw4 = far}));
    rig.inject({.options = source_route(ipopt::ssrr, 4, addresses({"203.0.113.1"})), .payload = bytes(4)});
    auto const sent = rig.sent();
    REQUIRE(sent.size() == 1);
    CHECK(sent[0].icmp().type == icmp_type::dest_unreach);
    CHECK(sent[0].icmp().code == icmp_code::sr_failed);
  }
  SECTION("sent to many: refused") {
    rig.inject({.options = source_route(ipopt::lsrr, 4, addresses({"198.51.100.9"})), .payload = bytes(4)},
               mac_broadcast);
    CHECK(rig.drops(drop_reason::ip_srr) == 1);
  }
  rig.still_alive();
}

TEST_CASE("a router records the address of the device a datagram leaves by", "[S136]") {
  options_rig rig;
  rig.inject({.daddr = far, .protocol = 17, .options = record_route(2), .payload = bytes(8)});
  auto const sent = rig.sent(*rig.eth1);
  REQUIRE(sent.size() == 1);
  CHECK(sent[0].options() == bytes{ipopt::rr, 11, 8} + addresses({"198.51.100.1"}) + bytes(5));
  CHECK(ip_compute_csum(sent[0].frame.data() + eth_hlen, 32) == sum16{});
}

TEST_CASE("router alert and options nobody knows are let through", "[S136]") {
  options_rig rig;
  CHECK(rig.echo(bytes{ipopt::ra, 4, 0, 0}));
  CHECK(rig.echo(bytes{99, 6, 1, 2, 3, 4}));
  CHECK(rig.echo(bytes{ipopt::end, 0xff, 0xff, 0xff}));  // padding behind the end
  CHECK(rig.echo(bytes(40, ipopt::noop)));
}
