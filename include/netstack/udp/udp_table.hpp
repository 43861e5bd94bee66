// SPDX-License-Identifier: BSL-1.0
// Decides: which socket a datagram is for: of those bound to its port, the one that asks for most of what the datagram
// has (local address, peer, device). Equal ones: the latest, or by a hash of the flow in a SO_REUSEPORT group. Sockets
// are found by hash of address and port; by port alone for multicast and for bind().
// [S98] [S105] [S149]
// rx: called by udp_input and udp_err; tables filled by udp_port
// Linux: net/ipv4/udp.c (compute_score, udp4_lib_lookup2, __udp4_lib_lookup, udp_lib_rehash)
#pragma once
#include "netstack/base/jhash.hpp"
#include "netstack/udp/udp_sock.hpp"

namespace netstack {

template <class Net>
[[nodiscard]] u32 udp_hashfn(Net const& net, u16 num) {
  return (num + net.index * 0x9e37u) & udp_table<Net::sizes.sock_hash>::mask;
}
template <class Net>
[[nodiscard]] u32 ipv4_portaddr_hash(Net const& net, be32 saddr, u16 num) {
  return jhash_1word(saddr.raw(), net.index) ^ num;
}
/// A number that is the same for all packets of a flow.
template <class Net>
[[nodiscard]] u32 udp_ehashfn(Net& net, be32 laddr, u16 lport, be32 faddr, be16 fport) {
  return jhash_3words(laddr.raw(), faddr.raw(), u32{lport} << 16 | fport.raw(), udp_worker_of(net).ehash_secret);
}

template <class Net>
[[nodiscard]] auto& udp_slot(Net& net, u16 num) {
  return udp_worker_of(net).table.hash[udp_hashfn(net, num)];
}
template <class Net>
[[nodiscard]] auto& udp_slot2(Net& net, u32 portaddr_hash) {
  auto& table = udp_worker_of(net).table;
  return table.hash2[portaddr_hash & table.mask];
}

/// proto::hash: from here on datagrams find the socket. Its port and address must be set.
template <class Net>
result<void> udp_lib_hash(Net& net, sock& sk) {
  flow_genid_bump(net.worker().softnet);
  sk.sk_hash = ipv4_portaddr_hash(net, sk.sk_rcv_saddr, sk.sk_num);
  udp_slot(net, sk.sk_num).push_front(udp_sk(sk));
  udp_slot2(net, sk.sk_hash).push_front(sk);
  return {};
}
template <class Net>
void udp_lib_unhash(Net& net, sock& sk) {
  if (sk.sk_num == 0) return;  // no port: not in the tables
  flow_genid_bump(net.worker().softnet);
  auto& slot = udp_slot(net, sk.sk_num);
  slot.erase(slot.iterator_to(udp_sk(sk)));
  auto& slot2 = udp_slot2(net, sk.sk_hash);
  slot2.erase(slot2.iterator_to(sk));
  sk.sk_num = 0;
}
/// proto::rehash: the local address changed.
template <class Net>
void udp_v4_rehash(Net& net, sock& sk) {
  if (sk.sk_num == 0) return;
  flow_genid_bump(net.worker().softnet);
  auto& old_slot = udp_slot2(net, sk.sk_hash);
  old_slot.erase(old_slot.iterator_to(sk));
  sk.sk_hash = ipv4_portaddr_hash(net, sk.sk_rcv_saddr, sk.sk_num);
  udp_slot2(net, sk.sk_hash).push_front(sk);
}

/// What a datagram shows to a lookup: its source, its destination, and the ifindex it came in by.
struct udp_key {
  be32 saddr{};
  be16 sport{};
  be32 daddr{};
  u16 hnum = 0;
  u32 dif = 0;
};

namespace detail {

/// How much of the datagram the socket asks for; -1: something else. `addr`: the address of the slot looked at.
inline int udp_score(sock const& sk, void const* net, udp_key const& key, be32 addr) {
  if (sk.sk_rcv_saddr != addr || sk.sk_num != key.hnum || sk.sk_net != net) return -1;
  int score = 1;
  if (sk.sk_daddr) {
    if (sk.sk_daddr != key.saddr) return -1;
    score += 4;
  }
  if (sk.sk_dport) {
    if (sk.sk_dport != key.sport) return -1;
    score += 4;
  }
  if (sk.sk_bound_dev_if != 0) {
    if (sk.sk_bound_dev_if != key.dif) return -1;
    score += 4;
  }
  return score;
}

/// The best socket bound to `addr`. Equal members of a reuseport group: each has the same chance over all flows, and a
/// flow always meets the same one while the group stays as it is.
template <class Net>
sock* udp4_lib_lookup2(Net& net, udp_key const& key, be32 addr) {
  sock* best = nullptr;
  int best_score = 0;
  u32 flow = 0, equals = 0;
  for (auto& sk : udp_slot2(net, ipv4_portaddr_hash(net, addr, key.hnum))) {
    int const score = udp_score(sk, &net, key, addr);
    if (score > best_score) {
      best = &sk;
      best_score = score;
      equals = sk.sk_reuseport;
      if (equals) flow = udp_ehashfn(net, key.daddr, key.hnum, key.saddr, key.sport);
    } else if (score == best_score && equals != 0 && sk.sk_reuseport) {
      // The n-th member takes the place with probability 1/n.
      if ((u64{flow} * ++equals) >> 32 == 0) best = &sk;
      flow = flow * 1664525u + 1013904223u;
    }
  }
  return best;
}

}  // namespace detail

/// The socket of a unicast datagram, or null. A socket bound to the address itself beats any that is bound to none.
template <class Net>
[[nodiscard]] sock* udp4_lib_lookup(Net& net, udp_key const& key) {
  sock* sk = detail::udp4_lib_lookup2(net, key, key.daddr);
  return sk ? sk : detail::udp4_lib_lookup2(net, key, inaddr_any);
}

/// The connected socket of exactly this flow, if it is the first in its slot: what early demux can afford to look at.
template <class Net>
[[nodiscard]] sock* udp4_lib_demux_lookup(Net& net, udp_key const& key) {
  auto& slot = udp_slot2(net, ipv4_portaddr_hash(net, key.daddr, key.hnum));
  if (slot.empty()) return nullptr;
  sock& sk = slot.front();
  bool const exact = sk.sk_net == &net && sk.sk_rcv_saddr == key.daddr && sk.sk_num == key.hnum &&
                     sk.sk_daddr == key.saddr && sk.sk_dport == key.sport &&
                     (sk.sk_bound_dev_if == 0 || sk.sk_bound_dev_if == key.dif);
  return exact ? &sk : nullptr;
}

/// Does the socket want this multicast or broadcast datagram? Linux: __udp_is_mcast_sock
[[nodiscard]] inline bool udp_is_mcast_sock(sock const& sk, void const* net, udp_key const& key) {
  if (sk.sk_net != net || sk.sk_num != key.hnum) return false;
  if (sk.sk_daddr && sk.sk_daddr != key.saddr) return false;
  if (sk.sk_dport && sk.sk_dport != key.sport) return false;
  if (sk.sk_rcv_saddr && sk.sk_rcv_saddr != key.daddr) return false;
  if (sk.sk_bound_dev_if != 0 && sk.sk_bound_dev_if != key.dif) return false;
  return ip_mc_sf_allow(inet_sk(sk), key.daddr);
}

}  // namespace netstack
