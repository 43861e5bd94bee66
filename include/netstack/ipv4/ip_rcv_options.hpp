// SPDX-License-Identifier: BSL-1.0
// Decides: what the options of a received datagram make us do: record our address and the time, follow a source route
// (only where the device and the namespace both accept it), or report where they are malformed.
// rx: called by ipv4/ip_input ip_rcv_finish_core and ipv4/ip_forward
// Linux: net/ipv4/ip_options.c (ip_options_compile, ip_options_rcv_srr, ip_forward_options), ip_input.c
// (ip_rcv_options) RFC 791 §3.1, RFC 1122 §3.2.1.8, RFC 1812 §4.2.2.6, §5.2.4
#pragma once
#include <cstring>
#include <optional>

#include "netstack/core/drop.hpp"
#include "netstack/ipv4/ip.hpp"
#include "netstack/ipv4/route_input.hpp"
#include "netstack/skb/skb_pull.hpp"
#include "netstack/wire/checksum.hpp"
#include "netstack/wire/icmp.hpp"

namespace netstack {

/// RFC 791 §3.1: milliseconds since midnight UT.
[[nodiscard]] inline be32 inet_current_timestamp(u64 now_real_ns) {
  return be32{static_cast<u32>(now_real_ns / 1'000'000 % 86'400'000)};
}

/// The header's checksum after its options changed.
inline void ip_send_check(iphdr& iph) {
  iph.check = {};
  iph.check = ip_fast_csum(&iph, iph.ihl());
}

namespace detail {

inline void store_addr(u8* at, be32 addr) { std::memcpy(at, &addr, sizeof addr); }
[[nodiscard]] inline be32 load_addr(u8 const* at) {
  be32 addr;
  std::memcpy(&addr, at, sizeof addr);
  return addr;
}

/// Puts a word into the next free slot of a route or timestamp option, and moves its pointer.
inline void option_append(u8* option, be32 word) {
  store_addr(option + option[2] - 1, word);
  option[2] = static_cast<u8>(option[2] + 4);
}

template <class Net>
void record_timestamp(Net& net, u8* option, be32 ours) {
  be32 const now = inet_current_timestamp(net.worker().now_real);
  if (option[2] > option[1]) {  // full: RFC 791 counts the hosts that found no room
    option[3] = static_cast<u8>(option[3] + 0x10);
    return;
  }
  switch (option[3] & 0x0f) {
    case ipopt::ts_tsandaddr: option_append(option, ours); break;
    case ipopt::ts_prespec:
      if (inet_addr_type(net, load_addr(option + option[2] - 1)) != rtn::local) return;
      option[2] = static_cast<u8>(option[2] + 4);
      break;
    default: break;
  }
  option_append(option, now);
}

}  // namespace detail

/// Record route and timestamp: `ours` is the address by which this host takes part. Options were checked by
/// ip_rcv_options; the packet's header must be writable.
template <class Net>
void ip_options_record(Net& net, sk_buff& skb, be32 ours) {
  auto const& opt = IPCB(skb).opt;
  if (!opt.rr && !opt.ts) return;
  iphdr& iph = *ip_hdr(skb);
  u8* const start = skb.head + skb.network_header;
  if (opt.rr && start[opt.rr + 2] <= start[opt.rr + 1]) detail::option_append(start + opt.rr, ours);
  if (opt.ts) detail::record_timestamp(net, start + opt.ts, ours);
  ip_send_check(iph);
}

/// A source-routed datagram leaves for its next stop: RFC 1122 §3.2.1.8 (c): the stop becomes its destination, and the
/// slot it was read from gets the address by which we send.
inline void ip_options_next_stop(sk_buff& skb, be32 ours) {
  auto& parm = IPCB(skb);
  if (!(parm.flags & ipskb::srr_is_hit)) return;
  u8* const srr = skb.head + skb.network_header + parm.opt.srr;
  ip_hdr(skb)->daddr = detail::load_addr(srr + srr[2] - 1);
  detail::option_append(srr, ours);
  ip_send_check(*ip_hdr(skb));
}

namespace detail {

/// Follows a source route that names this host: on to the next address in it that is not ours.
template <class Net>
std::optional<drop_reason> ip_options_rcv_srr(Net& net, sk_buff& skb) {
  auto const& opt = IPCB(skb).opt;
  if (skb.pkt_type != pkt_type::host) return drop_reason::ip_srr;
  if (skb_rtable(skb)->rt_type == rtn::unicast) {
    if (!opt.is_strictroute) return {};  // between two stops of a loose route: we merely forward
    icmp_send(net, skb, icmp_type::parameterprob, icmp_code::bad_ip_header, 16u << 24);
    return drop_reason::ip_srr;
  }
  iphdr& iph = *ip_hdr(skb);
  u8* const srr = skb.head + skb.network_header + opt.srr;
  while (srr[2] + 3 <= srr[1]) {
    be32 const here = iph.daddr;
    iph.daddr = load_addr(srr + srr[2] - 1);
    skb_dst_drop(skb);
    if (ip_route_input_noref(net, skb, nullptr)) return drop_reason::ip_srr;
    rtn const next = skb_rtable(skb)->rt_type;
    if (next == rtn::unicast) {
      // The header is changed when the datagram is sure to leave: until then an error is about what came in.
      iph.daddr = here;
      IPCB(skb).flags |= ipskb::srr_is_hit;
      break;
    }
    if (next != rtn::local) return drop_reason::ip_srr;
    option_append(srr, here);
  }
  ip_send_check(iph);
  return {};
}

}  // namespace detail

/// Reads the options of a routed datagram and acts on them. Answers why it must be dropped, if it must.
template <class Net>
NETSTACK_NOINLINE std::optional<drop_reason> ip_rcv_options(Net& net, sk_buff& skb) {
  u8 const* const block = skb.head + skb.network_header + ip_hlen_min;
  auto& opt = IPCB(skb).opt;
  if (u8 const at = parse_ip_options(opt, block, ip_hdrlen(skb) - ip_hlen_min)) {
    opt = {};
    icmp_send(net, skb, icmp_type::parameterprob, icmp_code::bad_ip_header, u32{at} << 24);
    return drop_reason::ip_inhdr;
  }
  if (opt.srr) {
    in_device const* in_dev = in_dev_get(*skb.dev);
    // RFC 1122 §3.3.5: following source routes is off unless an administrator wants it.
    if (!in_dev || !in_dev->anded(&ipv4_devconf::accept_source_route) || !skb_ensure_writable(skb, ip_hdrlen(skb)))
      return drop_reason::ip_srr;
    if (auto why = detail::ip_options_rcv_srr(net, skb)) return why;
  }
  // A router records the address of the device that the datagram leaves by: ip_forward does.
  if ((opt.rr || opt.ts) && skb_rtable(skb)->input == dst_in::local_deliver && skb_ensure_writable(skb, ip_hdrlen(skb)))
    ip_options_record(net, skb, fib_compute_spec_dst(net, skb));
  return {};
}

}  // namespace netstack
