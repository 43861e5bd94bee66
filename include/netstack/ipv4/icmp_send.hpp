// SPDX-License-Identifier: BSL-1.0
// Decides: whether an ICMP error may be sent about a datagram, to whom, from which address, and how much of the
// datagram it quotes. [S154] [S158] [S159] [S160]
// tx: called by ipv4/ip_input, ip_forward, route_input, arp and the transports (icmp_send) → ipv4/ip_output ip_send_skb
// Linux: net/ipv4/icmp.c (__icmp_send, icmp_push_reply)
// RFC 792, RFC 1122 §3.2.2 (when not to send), RFC 1812 §4.3.2 (source, length, precedence, rate)
#pragma once
#include "netstack/core/sock_mem.hpp"
#include "netstack/ipv4/icmp_limit.hpp"
#include "netstack/ipv4/ip_options_echo.hpp"
#include "netstack/ipv4/ip_way.hpp"
#include "netstack/registry/icmp_control.hpp"
#include "netstack/skb/skb_checksum.hpp"

namespace netstack {

namespace detail {

/// RFC 1812 §4.3.2.3: as much of the datagram as fits into 576 bytes.
inline constexpr u32 icmp_error_max = 576;
/// RFC 1812 §4.3.2.5: errors travel with precedence 6.
inline constexpr u8 iptos_prec_internetcontrol = 0xc0;
inline constexpr u8 iptos_tos_mask = 0x1e;

/// RFC 1122 §3.2.2: a source that defines a single host: not zero, loopback, broadcast, multicast or class E.
[[nodiscard]] inline bool icmp_may_answer(be32 saddr, bool from_loopback) {
  return !ipv4_is_zeronet(saddr) && (!ipv4_is_loopback(saddr) || from_loopback) && (saddr.host() >> 28) < 0xe;
}

/// Shows a packet from its IP header on, wherever its layer has moved data to; puts data back at the end.
class from_network_header {
  sk_buff& skb_;
  int const offset_;

 public:
  explicit from_network_header(sk_buff& skb) : skb_(skb), offset_(skb.network_offset()) { move(offset_); }
  ~from_network_header() { move(-offset_); }
  from_network_header(from_network_header const&) = delete;
  from_network_header& operator=(from_network_header const&) = delete;

 private:
  void move(int by) { by < 0 ? skb_.push(static_cast<u32>(-by)) : skb_.pull(static_cast<u32>(by)); }
};

/// Is the datagram itself an ICMP error, or nothing that is known to be none? (RFC 1122 §3.2.2: errors about errors are
/// never sent.)
template <class Net>
bool icmp_is_about_error(sk_buff const& about) {
  iphdr const& iph = *ip_hdr(about);
  u8 type = 0;
  if (iph.protocol != ipproto::icmp) return false;
  if (about.len <= iph.header_len() || !skb_copy_bits(about, static_cast<u32>(iph.header_len()), &type, 1)) return true;
  if (type > nr_icmp_types) return true;
  auto const& control = Net::icmp_pointers[type];
  return control.error || (!control.handler && type != icmp_type::echoreply);  // which ping, if composed, handles
}

/// May an error be sent about this datagram at all?
template <class Net>
bool icmp_may_report(Net& net, sk_buff const& about) {
  iphdr const& iph = *ip_hdr(about);
  // RFC 1122 §3.2.2: not about a link-layer broadcast, an IP broadcast or multicast, or a later fragment.
  if (about.pkt_type != pkt_type::host || iph.frag_off & be16{ip_offset}) return false;
  rtable const* rt = skb_rtable(about);
  rtn const to = rt ? rt->rt_type : inet_addr_type(net, iph.daddr);
  if (to == rtn::broadcast || to == rtn::multicast) return false;
  return icmp_may_answer(iph.saddr, about.dev && about.dev->is_loopback()) && !icmp_is_about_error<Net>(about);
}

/// RFC 1812 §4.3.2.4: the address that the datagram was for, if it is ours; else of the device the error leaves by, or
/// by choice of the one that the datagram came in by.
template <class Net>
be32 icmp_error_source(Net& net, sk_buff const& about) {
  iphdr const& iph = *ip_hdr(about);
  rtable const* rt = skb_rtable(about);
  bool const received = !rt || rt->rt_is_input;
  rtn const to = rt ? rt->rt_type : inet_addr_type(net, iph.daddr);
  if (received && to == rtn::local) return iph.daddr;
  if (!received || !ipv4_net(net).sysctl_icmp_errors_use_inbound_ifaddr) return {};
  net_device const* in = net.dev_get_by_index(about.skb_iif);
  return in ? inet_select_addr(net, in, iph.saddr, rt_scope::link) : be32{};
}

/// Sends what is complete but for its counters and its owner: the control socket pays until it is gone. Takes the skb.
template <class Net>
void icmp_push_reply(Net& net, sk_buff& skb, rtable& rt, flowi4 const& fl4, ip_tx const& tx, u8 type) {
  auto& ns = ipv4_net(net);
  sock& sk = *ns.icmp_sk;
  auto& mib = ns.mib;
  if (sk_wmem_alloc_get(sk) + skb.truesize > sk.sk_sndbuf) {
    ++mib.icmp_statistics.OutErrors;
    kfree_skb(net, skb, drop_reason::socket_rcvbuff);
    return;
  }
  skb_set_owner_w(skb, sk);
  ++mib.icmp_statistics.OutMsgs;
  ++mib.icmpmsg_statistics.OutType[type];
  (void)ip_send_plain(net, skb, rt, fl4, tx);  // what goes wrong there is counted there
}

/// The error's text: header, quotation, checksum.
template <class Net>
sk_buff* icmp_build_error(Net& net, sk_buff const& about, u8 type, u8 code, u32 info, u32 room) {
  sk_buff* skb = net.worker().pool.alloc_skb();
  if (!skb) return nullptr;
  u32 const quoted = std::min({room, about.len, skb->tailroom() - u32{sizeof(icmphdr)}});
  auto* icmph = reinterpret_cast<icmphdr*>(skb->put(sizeof(icmphdr) + quoted));
  *icmph = {.type = type, .code = code, .un = std::bit_cast<icmp_un>(be32{info})};
  auto* quotation = reinterpret_cast<u8*>(icmph + 1);
  if (!skb_copy_bits(about, 0, quotation, quoted)) {
    consume_skb(*skb);
    return nullptr;
  }
  skb_checksum_in_copy(about, quotation, quoted);  // one that was left to us: nobody on a wire saw it unfinished
  icmph->checksum = ip_compute_csum(icmph, sizeof(icmphdr) + quoted);
  return skb;
}

}  // namespace detail

template <class Net>
NETSTACK_NOINLINE void icmp_send(Net& net, sk_buff& about, u8 type, u8 code, u32 info) {
  detail::from_network_header const view{about};
  if (!detail::icmp_may_report(net, about)) return;
  iphdr const& iph = *ip_hdr(about);
  ip_options_reply const options = ip_options_echo(about);
  u8 const tos = (iph.tos & detail::iptos_tos_mask) | detail::iptos_prec_internetcontrol;
  flowi4 fl4{.daddr = options.faddr ? options.faddr : iph.saddr,
             .saddr = detail::icmp_error_source(net, about),
             .tos = tos,
             .proto = ipproto::icmp};
  auto rt = ip_route_output_key(net, fl4);
  if (!rt || !icmp_xrlim_allow(net, *(*rt)->dev, fl4.daddr, type, code)) return;

  u32 const overhead = static_cast<u32>(sizeof(iphdr) + sizeof(icmphdr)) + options.len;
  u32 const most = std::min(ip_dst_mtu(net, **rt, fl4.daddr), detail::icmp_error_max);
  // RFC 1122 §3.2.2: at least the header and eight bytes more.
  if (most < overhead + iph.header_len() + 8) return;
  sk_buff* skb = detail::icmp_build_error(net, about, type, code, info, most - overhead);
  if (!skb) {
    ++ICMP_STATS(net).OutErrors;
    return;
  }
  ip_tx const tx{.tos = tos,
                 .protocol = ipproto::icmp,
                 .pmtudisc = ip_pmtudisc::dont,
                 .options = options.data,
                 .optlen = options.len};
  detail::icmp_push_reply(net, *skb, **rt, fl4, tx, type);
}

}  // namespace netstack
