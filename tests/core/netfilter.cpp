// SPDX-License-Identifier: BSL-1.0
// Hooks at the five points of a datagram's way: order, verdicts, what each point sees, and that none costs nothing.
#include "netstack/core/netfilter.hpp"

#include <string>

#include "support/ip_rig.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

struct hook_log {
  std::string seen;
  nf_verdict early = nf_verdict::accept, late = nf_verdict::accept;
  nf_inet at = nf_inet::pre_routing;
  u32 repeats = 0;
  sk_buff* stolen = nullptr;
  int network_offset[5]{}, transport_offset[5]{};
  u16 mac_len[5]{};
};

/// Two hooks at each point, listed in the wrong order: priority decides.
struct hooks : module {
  using pernet = hook_log;
  template <class Net, nf_inet Point, char Name>
  static nf_verdict hook(Net& net, sk_buff& skb) {
    auto& log = net_generic<hooks>(net);
    constexpr auto i = static_cast<std::size_t>(Point);
    log.seen += "PIFOT"[i];
    log.seen += Name;
    log.network_offset[i] = skb.network_offset();
    log.transport_offset[i] = skb.transport_offset();
    log.mac_len[i] = skb.mac_len;
    if (log.at != Point) return nf_verdict::accept;
    nf_verdict& v = Name == 'e' ? log.early : log.late;
    if (v == nf_verdict::repeat && log.repeats-- == 0) v = nf_verdict::accept;
    if (v == nf_verdict::stolen) log.stolen = &skb;
    return v;
  }
  template <class Net, nf_inet Point>
  static constexpr std::array<nf_hook_ops<Net>, 2> pair{
      nf_hook_ops<Net>{Point, hook<Net, Point, 'l'>, 100, "late"},
      nf_hook_ops<Net>{Point, hook<Net, Point, 'e'>, -100, "early"},
  };
  template <class Net>
  static constexpr std::array nf_hooks = netstack::concat<nf_hook_ops<Net>>(pair<Net, nf_inet::pre_routing>,
                                                                            pair<Net, nf_inet::local_in>,
                                                                            pair<Net, nf_inet::forward>,
                                                                            pair<Net, nf_inet::local_out>,
                                                                            pair<Net, nf_inet::post_routing>);
};
struct hooked_host : rig_stack<hooked_host, hooks> {};

template <class Rig>
hook_log& log(Rig& rig) {
  return net_generic<hooks>(rig.net());
}
datagram const ping{.payload = echo_request(1, 1, bytes(8))};

}  // namespace

TEST_CASE("hooks are asked in order of priority, at each point of the way", "[S173][S53]") {
  ip_rig<hooked_host> rig;
  rig.inject(ping);
  CHECK(log(rig).seen == "PePlIeIlOeOlTeTl");
  for (auto const point : {nf_inet::pre_routing, nf_inet::local_in, nf_inet::local_out, nf_inet::post_routing}) {
    auto const i = static_cast<std::size_t>(point);
    INFO("point " << i);
    CHECK(log(rig).network_offset[i] == 0);
    CHECK(log(rig).transport_offset[i] == 20);
  }
  CHECK(log(rig).mac_len[0] == eth_hlen);
  CHECK(rig.sent().size() == 1);

  // Through the host: FORWARD instead of LOCAL_IN and LOCAL_OUT.
  net_device* eth1 = rig.add_device(rig_dev::params{.mac = {{2, 0, 0, 0, 0, 2}}}, "198.51.100.1/24");
  rig.know(*eth1, ipv4_addr("198.51.100.9"), peer_mac);
  detail::devconf_of(rig.net(), rig.eth0->ifindex)->forwarding = 1;
  log(rig).seen.clear();
  rig.inject({.daddr = ipv4_addr("198.51.100.9"), .protocol = 99});
  CHECK(log(rig).seen == "PePlFeFlTeTl");
  CHECK(rig.sent(*eth1).size() == 1);
}

TEST_CASE("every verdict at every point", "[S173][S171]") {
  struct {
    nf_inet at;
    char const* before;  ///< what is seen up to and including the early hook there
  } const points[] = {{nf_inet::pre_routing, "Pe"},
                      {nf_inet::local_in, "PePlIe"},
                      {nf_inet::local_out, "PePlIeIlOe"},
                      {nf_inet::post_routing, "PePlIeIlOeOlTe"}};
  for (auto const& p : points) {
    INFO("point " << static_cast<int>(p.at));
    ip_rig<hooked_host> rig;
    auto& l = log(rig);
    l.at = p.at;

    l.early = nf_verdict::drop;
    rig.inject(ping);
    CHECK(l.seen == p.before);
    CHECK(rig.drops(drop_reason::netfilter_drop) == 1);

    // Nobody composes a queue, so asking for one is a refusal.
    l.seen.clear();
    l.early = nf_verdict::queue;
    rig.inject(ping);
    CHECK(l.seen == p.before);
    CHECK(rig.drops(drop_reason::netfilter_drop) == 2);

    l.seen.clear();
    l.early = nf_verdict::stolen;
    rig.inject(ping);
    CHECK(l.seen == p.before);
    CHECK(rig.drops(drop_reason::netfilter_drop) == 2);
    CHECK(rig.host.worker().pool.in_use() == 1);
    REQUIRE(l.stolen);
    consume_skb(*l.stolen);
    CHECK(rig.sent().empty());

    l.seen.clear();
    l.early = nf_verdict::repeat;
    l.repeats = 2;
    rig.inject(ping);
    CHECK(l.seen.substr(0, std::string(p.before).size() + 4) == p.before +
                                                                    l.seen.substr(std::string(p.before).size() - 2, 2) +
                                                                    l.seen.substr(std::string(p.before).size() - 2, 2));
    CHECK(rig.sent().size() == 1);

    // The later hook may refuse as well.
    l.seen.clear();
    l.early = nf_verdict::accept;
    l.late = nf_verdict::drop;
    rig.inject(ping);
    CHECK(rig.drops(drop_reason::netfilter_drop) == 3);
    CHECK(rig.sent().empty());
    l.late = nf_verdict::accept;
    rig.still_alive();
  }
}

TEST_CASE("a hook that never decides counts as a refusal", "[S173]") {
  ip_rig<hooked_host> rig;
  log(rig).early = nf_verdict::repeat;
  log(rig).repeats = ~0u;
  rig.inject(ping);
  CHECK(rig.drops(drop_reason::netfilter_drop) == 1);
  CHECK(log(rig).seen.size() == 2 * (1 + detail::nf_max_repeat));
}

TEST_CASE("a refused datagram of our own is an error to its sender", "[S173]") {
  ip_rig<hooked_host> rig;
  log(rig).at = nf_inet::local_out;
  log(rig).early = nf_verdict::drop;
  auto const r = rig.send({.daddr = peer_addr}, {.protocol = 99}, bytes(4));
  REQUIRE_FALSE(r);
  CHECK(r.error() == std::errc::operation_not_permitted);
  CHECK(rig.host.worker().pool.in_use() == 0);
}

TEST_CASE("each namespace has its own hook state", "[S171]") {
  ip_rig<hooked_host> rig;
  auto other = rig.host.copy_net_ns();
  REQUIRE(other);
  log(rig).early = nf_verdict::drop;
  auto dev = register_netdev<rig_dev>(**other, "eth%d", rig_dev::params{});
  REQUIRE(dev);
  REQUIRE(dev_open(**other, **dev));
  REQUIRE(inet_addr_add(**other, (*dev)->ifindex, ipv4_cidr("192.0.2.1/24")));
  REQUIRE(neigh_add(**other, (*dev)->ifindex, peer_addr, peer_mac));
  rig.inject(ping);
  CHECK(rig.sent().empty());
  rig.inject(ping, our_mac, *dev);
  CHECK(netdev_priv<rig_dev>(**dev).tx.size() == 1);
  CHECK(net_generic<hooks>(**other).seen == "PePlIeIlOeOlTeTl");
}

TEST_CASE("a composition without filters has empty hook arrays", "[S173]") {
  using net_t = ip_rig<>::net_t;
  STATIC_REQUIRE(net_t::nf_hooks<nf_inet::pre_routing>.empty());
  STATIC_REQUIRE(net_t::nf_hooks<nf_inet::post_routing>.empty());
  ip_rig<> rig;
  rig.still_alive();
}
