// SPDX-License-Identifier: BSL-1.0
// Decides: what an IPv4 socket knows beyond a sock: the address and port it sends from, how its packets look, what its
// receiver wants to be told; and what a datagram socket keeps of the datagram it is still collecting.
// Linux: include/net/inet_sock.h (struct inet_sock, struct inet_cork)
#pragma once
#include "netstack/core/sock.hpp"
#include "netstack/ipv4/ip.hpp"
#include "netstack/ipv4/ip_options_get.hpp"
#include "netstack/registry/pernet.hpp"

namespace netstack {

struct ipv4;

/// What IP_RECV* options ask to be told about each packet (Linux's IP_CMSG_*).
namespace ip_cmsg {
inline constexpr u16 pktinfo = 1, ttl = 2, tos = 4, recvopts = 8, retopts = 16, origdstaddr = 64, checksum = 128;
}

/// A datagram under construction (MSG_MORE, UDP_CORK): everything about it was fixed by its first part.
struct inet_cork {
  sk_buff* skb = nullptr;  ///< data at the transport header; null: nothing pending
  rtable* rt = nullptr;    ///< held
  flowi4 fl4{};
  ip_tx tx{};
  u32 csum = 0;      ///< over the payload so far, unless the device will make it
  u8 csum_mode = 0;  ///< who makes it, in the transport's terms
  unsigned char options[ipopt::max_len]{};
};

/// What was asked for by options: a connection has it all from the socket that listened.
struct inet_settings {
  std::int16_t uc_ttl = -1;  ///< -1: sysctl ip_default_ttl
  u16 cmsg_flags = 0;        ///< ip_cmsg::…
  u8 tos = 0;
  u8 min_ttl = 0;
  ip_pmtudisc pmtudisc = ip_pmtudisc::want;
  bool recverr : 1 = false;
  bool hdrincl : 1 = false;
  bool mc_loop : 1 = true;
  bool mc_all : 1 = true;  ///< gets every group that the host is in, joined by itself or not
  bool freebind : 1 = false;
  bool transparent : 1 = false;
  bool nodefrag : 1 = false;
  bool is_icsk : 1 = false;
  bool bind_address_no_port : 1 = false;
  bool defer_connect : 1 = false;  ///< connect() was called, and waits for data to go with the SYN
};

struct inet_sock : sock, inet_settings {
  be16 inet_sport{};
  be32 inet_saddr{};  ///< source of what it sends; zero: the route's
};

[[nodiscard]] inline inet_sock& inet_sk(sock& sk) { return static_cast<inet_sock&>(sk); }
[[nodiscard]] inline inet_sock const& inet_sk(sock const& sk) { return static_cast<inet_sock const&>(sk); }

[[nodiscard]] inline u8 inet_optlen(inet_sock const& inet) {
  return inet.sk_rare->opt ? inet.sk_rare->opt->optlen : u8{0};
}
/// From now on it sends none.
template <class Net>
void inet_free_options(Net& net, inet_sock& inet) {
  if (inet.sk_rare->opt) [[unlikely]]
    worker_generic<ipv4>(net.worker()).ip_options.free(std::exchange(sk_own_rare(inet).opt, nullptr));
}
/// From now on these go with what it sends; an empty block: none. False: there is no room for more, and nothing
/// changed.
template <class Net>
[[nodiscard]] bool inet_set_options(Net& net, inet_sock& inet, inet_options const& opt) {
  if (opt.optlen == 0) return inet_free_options(net, inet), true;
  sock_rare* const rare = sk_rare_of(net, inet);
  if (!rare || (!rare->opt && !(rare->opt = worker_generic<ipv4>(net.worker()).ip_options.alloc()))) return false;
  *rare->opt = opt;
  return true;
}

/// May a packet for a group reach this socket? Membership by socket comes with IGMP; until then each hears every group
/// that the host is in, unless it renounced IP_MULTICAST_ALL. Linux: ip_mc_sf_allow
[[nodiscard]] inline bool ip_mc_sf_allow(inet_sock const& inet, be32 daddr) {
  return inet.mc_all || !ipv4_is_multicast(daddr);
}

}  // namespace netstack
