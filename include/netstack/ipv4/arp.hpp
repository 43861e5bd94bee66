// SPDX-License-Identifier: BSL-1.0
// Decides: how IPv4 next hops are resolved on Ethernet, who is answered, what is learnt, and what happens when somebody
// else uses our address. [S84] [S125] [S126] [S128] [S129]
// rx: called by core/dev_input for eth_p::arp → neigh_update, or a reply through dev_queue_xmit
// tx: ip_neigh is called by ipv4/ip_output → the entry goes to core/neigh_nud neigh_output
// Linux: net/ipv4/arp.c; RFC 826, RFC 1122 §2.3.2, RFC 5227 (address conflicts)
#pragma once
#include "netstack/core/neigh_nud.hpp"
#include "netstack/core/rps.hpp"
#include "netstack/core/rtnl.hpp"
#include "netstack/ipv4/ip.hpp"
#include "netstack/link/eth.hpp"
#include "netstack/registry/notifier.hpp"
#include "netstack/wire/arp.hpp"
#include "netstack/wire/icmp.hpp"

namespace netstack {

namespace detail {
inline constexpr u64 arp_defend_interval = 10'000'000'000;  // RFC 5227 §1.1

template <class Net>
constexpr u8 arp_table_index() {
  for (std::size_t i = 0; i < Net::neigh_tables.size(); ++i)
    if (Net::neigh_tables[i].protocol == eth_p::ip) return static_cast<u8>(i);
  return 0xff;
}
inline void arp_key(u32 (&key)[4], be32 addr) { key[0] = addr.raw(), key[1] = key[2] = key[3] = 0; }
inline be32 arp_addr(neighbour const& n) { return be32::from_raw(n.key[0]); }
}  // namespace detail

template <class Net>
neigh_cache& arp_cache(Net& net) {
  return worker_generic<ipv4>(net.worker()).arp.cache;
}
template <class Net>
neigh_parms* arp_parms(Net&, net_device& dev) {
  in_device* in_dev = in_dev_get(dev);
  return in_dev ? &in_dev->arp_parms : nullptr;
}

/// RFC 1112 §6.4: 01-00-5e and the low 23 bits of the group.
inline mac_addr ip_eth_mc_map(be32 group) {
  u32 const g = group.host();
  return {{0x01, 0x00, 0x5e, static_cast<u8>(g >> 16 & 0x7f), static_cast<u8>(g >> 8), static_cast<u8>(g)}};
}

/// Entries that need no asking: groups, broadcasts, and everything on a link without addresses.
template <class Net>
result<void> arp_constructor(Net& net, neighbour& n) {
  be32 const addr = detail::arp_addr(n);
  net_device& dev = *n.dev;
  rtn const type = inet_addr_type(net, addr);
  n.type = static_cast<u8>(type);
  if (dev.flags & (iff::noarp | iff::loopback) || dev.hard_header_len == 0) {
    n.nud_state = nud::noarp;
    n.ha = dev.dev_addr;
  } else if (type == rtn::multicast) {
    n.nud_state = nud::noarp;
    n.ha = ip_eth_mc_map(addr);
  } else if (type == rtn::broadcast || dev.flags & iff::pointopoint) {
    n.nud_state = nud::noarp;
    n.ha = dev.broadcast;
  }
  return {};
}

/// Builds and sends one ARP packet. `to`: the frame's destination; `tha`: the packet's target address.
template <class Net>
void arp_send(Net& net, u16 op, net_device& dev, be32 dest, be32 src, mac_addr const& to, mac_addr const& tha) {
  if (dev.flags & iff::noarp) return;
  sk_buff* skb = net.worker().pool.alloc_skb();
  if (!skb) return;  // counted by the pool; the asker asks again
  auto* arp = reinterpret_cast<arphdr*>(skb->put(sizeof(arphdr)));
  *arp = {.ar_op = be16{op}, .ar_sha = dev.dev_addr, .ar_sip = src, .ar_tha = tha, .ar_tip = dest};
  skb->reset_network_header();
  skb->dev = &dev;
  skb->protocol = be16{eth_p::arp};
  eth_header(*skb, dev, eth_p::arp, to);
  (void)dev_queue_xmit(net, *skb);
}

/// A gratuitous request: "this address is mine", so that others' caches are right (RFC 5227 §2.3).
template <class Net>
void arp_send_announce(Net& net, net_device& dev, be32 addr) {
  arp_send(net, arpop::request, dev, addr, addr, dev.broadcast, {});
}

/// Asks for n: unicast to the address it had while it is only doubted, else broadcast. The source is the waiting
/// packet's if arp_announce lets us show it on this link.
template <class Net>
void arp_solicit(Net& net, neighbour& n, sk_buff* waiting) {
  net_device& dev = *n.dev;
  in_device const* in_dev = in_dev_get(dev);
  if (!in_dev) return;
  be32 const target = detail::arp_addr(n);
  be32 saddr{};
  if (waiting && waiting->protocol == be16{eth_p::ip}) {
    be32 const from = ip_hdr(*waiting)->saddr;
    s32 const announce = in_dev->maxed(&ipv4_devconf::arp_announce);
    if (announce == 0 && inet_addr_type(net, from) == rtn::local) saddr = from;
    if (announce == 1 && inet_addr_type(net, from) == rtn::local)
      for (auto const& ifa : in_dev->ifa_list)
        if (ifa.matches(target) && ifa.matches(from)) saddr = from;
  }
  if (!saddr) saddr = inet_select_addr(net, &dev, target, rt_scope::link);
  auto const& parms = in_dev->arp_parms;
  auto const asked = static_cast<s32>(n.probes) - 1;
  bool const unicast = asked < parms.ucast_probes && n.nud_state == nud::probe;
  arp_send(net, arpop::request, dev, target, saddr, unicast ? n.ha : dev.broadcast, {});
}

/// Nobody answered for the next hop: its packets come back as host unreachable (RFC 1122 §2.3.2.2, RFC 1812 §4.3.3.1).
template <class Net>
void arp_error_report(Net& net, neighbour&, sk_buff& skb) {
  icmp_send(net, skb, icmp_type::dest_unreach, icmp_code::host_unreach, 0);
  kfree_skb(net, skb, drop_reason::neigh_failed);
}

namespace detail {
template <class Net>
NETSTACK_NOINLINE neighbour* ip_neigh_slow(Net& net, net_device& dev, be32 nexthop) {
  u32 key[4];
  arp_key(key, nexthop);
  if (neighbour* n = neigh_lookup(arp_cache(net), key, dev)) [[likely]]
    return n;
  return neigh_create(net, arp_table_index<Net>(), key, dev);
}
}  // namespace detail
/// The entry of a next hop, made if there is none. Null: the table is full, or the device is going.
template <class Net>
[[nodiscard]] NETSTACK_INLINE neighbour* ip_neigh(Net& net, net_device& dev, be32 nexthop) {
  // One entry serves every next hop of a link that has no addresses.
  be32 const addr = dev.flags & (iff::loopback | iff::pointopoint) ? be32{} : nexthop;
  auto& cache = arp_cache(net);
  // The keys of this cache have one word.
  if (neighbour* const n = cache.recent; n && n->key[0] == addr.raw() && n->dev == &dev) [[likely]] {
    ++cache.lookups, ++cache.hits;
    return n;
  }
  return detail::ip_neigh_slow(net, dev, addr);
}

namespace detail {

/// sysctl arp_ignore: may this request for tip be answered on this device?
template <class Net>
bool arp_ignored(Net& net, in_device const& in_dev, be32 sip, be32 tip) {
  auto const on_this_device = [&](be32 peer, bool same_subnet) {
    for (auto const& ifa : in_dev.ifa_list)
      if (ifa.ifa_local == tip && (!same_subnet || ifa.matches(peer))) return true;
    return false;
  };
  switch (in_dev.maxed(&ipv4_devconf::arp_ignore)) {
    case 0: return false;
    case 1: return !on_this_device(sip, false);
    case 2: return !on_this_device(sip, true);
    case 3: {  // only addresses of global scope, of any device
      net_device* owner = ip_dev_find(net, tip);
      in_device const* owning = owner ? in_dev_get(*owner) : nullptr;
      if (owning)
        for (auto const& ifa : owning->ifa_list)
          if (ifa.ifa_local == tip && ifa.ifa_scope < rt_scope::link) return false;
      return true;
    }
    case 8: return true;
    default: return false;
  }
}

/// RFC 5227 §2.4: another station uses an address of ours: counted, and defended at most once in ten seconds.
template <class Net>
void arp_conflict(Net& net, net_device& dev, be32 addr) {
  ++ipv4_net(net).arp.conflicts;
  in_ifaddr* const ifa = inet_lookup_ifaddr(ipv4_net(net), addr);
  u64 const now = net.worker().now;
  if (!ifa || (ifa->last_defence != 0 && now < ifa->last_defence + arp_defend_interval)) return;
  ifa->last_defence = now;
  arp_send_announce(net, dev, addr);
}

/// Learns from a well-formed packet (RFC 826: merge), answering nothing.
template <class Net>
void arp_learn(Net& net, sk_buff& skb, arphdr const& arp, bool to_us) {
  net_device& dev = *skb.dev;
  in_device const& in_dev = *in_dev_get(dev);
  be32 const sip = arp.ar_sip, tip = arp.ar_tip;
  bool const reply = arp.ar_op == be16{arpop::reply};
  bool const gratuitous = tip == sip || (reply && arp.ar_tha == arp.ar_sha);
  u32 key[4];
  arp_key(key, sip);
  neighbour* n = neigh_lookup(arp_cache(net), key, dev);
  if (!n) {
    // RFC 826: a new pair only if we are the target; unasked announcements only if arp_accept says so.
    bool const accept =
        in_dev.ored(&ipv4_devconf::arp_accept) && gratuitous && inet_addr_type(net, sip) == rtn::unicast;
    if (!(to_us && !reply) && !accept) return;
    n = neigh_create(net, arp_table_index<Net>(), key, dev);
    if (!n) return;
  }
  // An answer that comes right behind another one is not believed: the first of several proxies wins (locktime). Who
  // asks for us speaks for itself.
  bool const override_ = to_us || gratuitous || net.worker().now > n->updated + in_dev.arp_parms.locktime;
  u8 const state = reply && skb.pkt_type == pkt_type::host ? nud::reachable : nud::stale;
  (void)neigh_update(net, *n, &arp.ar_sha, state, override_ ? neigh_update_f::override_ : 0);
}

/// What another worker received and dealt with: this one learns from it, too, whoever of them had asked.
template <class Net>
verdict arp_rcv_handed_on(Net& net, sk_buff& skb, arphdr const& arp) {
  arp_learn(net, skb, arp, false);
  // It is told of by each to the next; who received it knows it.
  if (skb.rps_hops + 1 < static_cast<u32>(std::popcount(net.stack().online_workers())) && rps_hand_on(net, skb))
    return verdict::kept();
  return verdict::consumed();
}

}  // namespace detail

/// Receives an ARP packet, data at it. The frame is only read: replies go into frames of their own.
template <class Net>
verdict arp_rcv(Net& net, sk_buff& skb) {
  net_device& dev = *skb.dev;
  in_device const* in_dev = in_dev_get(dev);
  if (dev.flags & iff::noarp || skb.pkt_type == pkt_type::otherhost || skb.pkt_type == pkt_type::loopback || !in_dev)
    return drop(net, skb, drop_reason::arp_ignored);
  auto const* arp = skb.peek<arphdr>();
  if (!arp || !arp->is_ether_ipv4()) return drop(net, skb, drop_reason::arp_hdr);
  u16 const op = arp->ar_op.host();
  if (op != arpop::request && op != arpop::reply) return drop(net, skb, drop_reason::arp_ignored);
  be32 const sip = arp->ar_sip, tip = arp->ar_tip;
  // Nobody may ask for, or be, a loopback or a group address on a wire; a station is no group either.
  bool const inside = (ipv4_is_loopback(tip) || ipv4_is_loopback(sip)) && !in_dev->ored(&ipv4_devconf::route_localnet);
  if (inside || ipv4_is_multicast(tip) || ipv4_is_multicast(sip) || ipv4_is_lbcast(sip) || !arp->ar_sha.is_valid())
    return drop(net, skb, drop_reason::arp_hdr);
  if (sip == tip && in_dev->ored(&ipv4_devconf::drop_gratuitous_arp)) return drop(net, skb, drop_reason::arp_ignored);

  bool const ours = inet_addr_type(net, tip) == rtn::local;
  if constexpr (Net::sizes.workers > 1)
    if (skb.rps_hops != 0) return detail::arp_rcv_handed_on(net, skb, *arp);
  // RFC 5227 §2.1.1, RFC 2131: a probe from nobody: answer if the address is taken, learn nothing.
  if (!sip) {
    if (op == arpop::request && ours && !detail::arp_ignored(net, *in_dev, sip, tip))
      arp_send(net, arpop::reply, dev, sip, tip, arp->ar_sha, arp->ar_sha);
    return verdict::consumed();
  }
  if (inet_addr_type(net, sip) == rtn::local) {
    if (arp->ar_sha != dev.dev_addr) detail::arp_conflict(net, dev, sip);
    return drop(net, skb, drop_reason::arp_ignored);
  }
  bool const answer = op == arpop::request && ours && !detail::arp_ignored(net, *in_dev, sip, tip);
  detail::arp_learn(net, skb, *arp, answer);
  if (answer) {
    arp_send(net, arpop::reply, dev, sip, tip, arp->ar_sha, arp->ar_sha);
    return verdict::consumed();
  }
  if (op == arpop::request && !ours && sip != tip) return drop(net, skb, drop_reason::arp_ignored);
  bool const telling = sip == tip || (op == arpop::reply && ours);  // another worker may have asked
  if (telling && rps_hand_on(net, skb)) return verdict::kept();
  return verdict::consumed();
}

/// Down, gone, or a new MAC address: what was learnt there is void. [S129]
template <class Net>
void arp_netdev_event(Net& net, netdev_event event, net_device& dev) {
  switch (event) {
    case netdev_event::changeaddr: neigh_flush(net, arp_cache(net), [&](neighbour& n) { return n.dev == &dev; }); break;
    case netdev_event::down:
    case netdev_event::unregister: neigh_ifdown(net, arp_cache(net), dev); break;
    case netdev_event::change:
      if (!dev.carrier_ok())
        if (in_device const* in_dev = in_dev_get(dev); in_dev && in_dev->anded(&ipv4_devconf::arp_evict_nocarrier))
          neigh_ifdown(net, arp_cache(net), dev, true);
      break;
    default: break;
  }
}

/// An address or a device came up: with arp_notify, everybody on the link is told.
template <class Net>
void arp_notify(Net& net, net_device& dev, be32 addr) {
  in_device const* in_dev = in_dev_get(dev);
  if (in_dev && in_dev->ored(&ipv4_devconf::arp_notify) && dev.running()) arp_send_announce(net, dev, addr);
}

namespace detail {
/// RFC 4861 §6.3.2: each device's reachable_time is drawn anew every few hundred seconds.
template <class Worker>
void arp_redraw_reachable_time(Worker& worker) {
  for (auto& net : worker.nets)
    if (net.alive)
      for (auto& dev : net.dev_base)
        if (in_device* in_dev = in_dev_get(dev))
          in_dev->arp_parms.reachable_time =
              neigh_rand_reach_time(worker.random, in_dev->arp_parms.base_reachable_time);
}
}  // namespace detail

/// Boot: every worker's cache, its secret, and its periodic collection.
template <class Net>
result<void> arp_init(Net& init_net) {
  for (u32 w = 0; w < Net::sizes.workers; ++w) {
    auto& worker = init_net.stack().worker(w);
    auto& storage = worker_generic<ipv4>(worker).arp;
    storage.entries.init();
    neigh_cache& cache = storage.cache;
    cache.set_capacity(Net::sizes.max_neigh);
    cache.buckets = storage.buckets;
    cache.mask = static_cast<u32>(std::size(storage.buckets) - 1);
    std::fill(std::begin(storage.buckets), std::end(storage.buckets), nullptr);
    cache.hash_rnd = worker.random.next_u32();
    using storage_type = std::remove_reference_t<decltype(storage)>;
    cache.alloc = [](neigh_cache& c) -> neighbour* { return reinterpret_cast<storage_type*>(&c)->entries.alloc(); };
    cache.release = [](neigh_cache& c, neighbour& n) { reinterpret_cast<storage_type*>(&c)->entries.free(&n); };
    cache.gc_timer.function = [](void* ctx, timer_list& t) {
      auto& k = *static_cast<std::remove_reference_t<decltype(worker)>*>(ctx);
      bool const redraw = k.now >= arp_cache(k.nets[0]).last_rand + 300'000'000'000;
      neigh_periodic_work(k.nets[0], detail::arp_table_index<Net>());
      if (redraw) detail::arp_redraw_reachable_time(k);
      k.timers.mod_timer(t, k.now + ipv4_net(k.nets[0]).arp.parms_default.base_reachable_time / 2);
    };
    worker.timers.mod_timer(cache.gc_timer, worker.now + neigh_parms{}.base_reachable_time / 2);
  }
  return {};
}
template <class Net>
void arp_exit(Net& init_net) {
  for (u32 w = 0; w < Net::sizes.workers; ++w) {
    auto& worker = init_net.stack().worker(w);
    worker.timers.del_timer(worker_generic<ipv4>(worker).arp.cache.gc_timer);
  }
}

/// Adds or changes an entry by hand (`ip neigh replace`), in every worker's slice. State: nud::permanent, reachable,
/// stale or noarp. Errors: no_such_device, invalid_argument, no_buffer_space (table full).
template <class Net>
result<void> neigh_add(Net& net, u32 ifindex, be32 addr, mac_addr mac, u8 state = nud::permanent) {
  if (!(state & nud::valid)) return failure{std::errc::invalid_argument};
  return rtnl(net, [=](auto& slice) -> result<void> {
    net_device* dev = slice.dev_get_by_index(ifindex);
    if (!dev || !in_dev_get(*dev)) return failure{std::errc::no_such_device};
    neighbour* n = ip_neigh(slice, *dev, addr);
    if (!n) return failure{std::errc::no_buffer_space};
    return neigh_update(slice, *n, &mac, state, neigh_update_f::override_ | neigh_update_f::admin);
  });
}
/// Errors: no_such_device, no_such_file_or_directory (no such entry).
template <class Net>
result<void> neigh_del(Net& net, u32 ifindex, be32 addr) {
  return rtnl(net, [=](auto& slice) -> result<void> {
    net_device* dev = slice.dev_get_by_index(ifindex);
    if (!dev) return failure{std::errc::no_such_device};
    u32 key[4];
    detail::arp_key(key, addr);
    neighbour* n = neigh_lookup(arp_cache(slice), key, *dev);
    if (!n) return failure{std::errc::no_such_file_or_directory};
    neigh_remove(slice, arp_cache(slice), *n);
    return {};
  });
}

/// The descriptor that module ipv4 lists in its neigh_tables.
template <class Net>
inline constexpr neigh_table<Net> arp_tbl{
    .family = 2,
    .protocol = eth_p::ip,
    .id = "arp_cache",
    .cache = arp_cache<Net>,
    .parms = arp_parms<Net>,
    .constructor = arp_constructor<Net>,
    .solicit = arp_solicit<Net>,
    .error_report = arp_error_report<Net>,
};

}  // namespace netstack
