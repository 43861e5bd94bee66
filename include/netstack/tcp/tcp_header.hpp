// SPDX-License-Identifier: BSL-1.0
// Decides: how the header of a segment is written: in words as long as they can be, summed on the way, for the
// few kinds that most segments are, and for any.
// tx: called by tcp_transmit, tcp_burst, tcp_v4_xmit
// Linux: net/ipv4/tcp_output.c (__tcp_transmit_skb, tcp_options_write)
// RFC 9293 §3.1, RFC 7323 §3.2
#pragma once
#include <cstring>

#include "netstack/skb/skb_checksum.hpp"
#include "netstack/wire/tcp.hpp"
#include "netstack/wire/tcp_options.hpp"

namespace netstack {

/// The fields of a header, in host order but the ports.
struct tcp_header_fields {
  be16 source{}, dest{};
  u32 seq = 0, ack_seq = 0;
  u8 flags = 0;
  u16 window = 0;
  u16 urg_ptr = 0;
};

namespace detail {
/// MUST-2: the checksum of a header at data, or what of it the device does not do. `pseudo`: of the pseudo header
/// alone; `sum`: of that, header and options; skb.csum: over the payload.
NETSTACK_INLINE u16 tcp_header_check(sk_buff& skb, u64 pseudo, u64 sum) {
  if (skb.ip_summed != ip_summed::partial) [[likely]]
    return csum_fold(csum_from64to32(csum_add64(sum, skb.csum))).raw();
  skb.csum_start = skb.offset_of(0);
  skb.csum_offset = offsetof(tcphdr, check);
  return static_cast<u16>(~csum_fold(csum_from64to32(pseudo)).raw());
}
/// The header of a segment of `len` bytes with it, whose options were written: `stamp` are eight bytes of them, `sum`
/// is over the others. `flow`: the sum of the pseudo header without the length; check(pseudo, sum): of that, header and
/// options. From registers, in words as long as they can be: what was stored in small pieces is not read back.
template <class Check>
NETSTACK_INLINE void tcp_put_header(u8* at, tcp_header_fields const& f, u32 hlen, u32 len, u64 sum, u64 stamp, u32 flow,
                                    Check&& check_of) {
  u64 const first = f.source.raw() | u64{f.dest.raw()} << 16 | u64{be32{f.seq}.raw()} << 32;
  u64 const second = be64{u64{f.ack_seq} << 32 | hlen / 4 << 28 | u32{f.flags} << 16 | f.window}.raw();
  u16 const urg = be16{f.urg_ptr}.raw();
  u64 const pseudo = u64{flow} + be16{static_cast<u16>(len)}.raw();
  u16 const check = check_of(pseudo, csum_add4(sum + pseudo + urg, first, second, stamp, 0));
  u32 const last = check | u32{urg} << 16;
  std::memcpy(at, &first, sizeof first);
  std::memcpy(at + 8, &second, sizeof second);
  std::memcpy(at + 16, &last, sizeof last);
}
/// … of a packet.
NETSTACK_INLINE void tcp_write_header(sk_buff& skb, u8* at, tcp_header_fields const& f, u32 hlen, u64 sum, u64 stamp,
                                      u32 flow) {
  tcp_put_header(at, f, hlen, skb.len, sum, stamp, flow,
                 [&](u64 pseudo, u64 all) NETSTACK_INLINE_LAMBDA { return tcp_header_check(skb, pseudo, all); });
  skb.reset_transport_header();
}
/// The option that most segments have; its eight bytes that change.
NETSTACK_INLINE u64 tcp_put_stamp(u8* options, u32 tsval, u32 tsecr) {
  u32 const lead = tcpopt::tstamp_lead;
  u64 const stamp = be64{u64{tsval} << 32 | tsecr}.raw();
  std::memcpy(options, &lead, sizeof lead);
  std::memcpy(options + 4, &stamp, sizeof stamp);
  return stamp;
}
inline constexpr u32 tcp_stamped_hlen = static_cast<u32>(tcp_hlen_min) + tcpopt::tstamp_aligned;
/// … of the connection's segments that have no other option. Windows asks for no time stamps.
template <bool Stamped>
inline constexpr u32 tcp_common_hlen = Stamped ? tcp_stamped_hlen : static_cast<u32>(tcp_hlen_min);
inline constexpr u32 tcp_syn_hlen = static_cast<u32>(tcp_hlen_min) + tcpopt::syn_aligned;
/// The options that nearly every SYN has: their words need no second look. The sum of all but the stamp, which are
/// eight bytes; from registers, too.
struct tcp_syn_sum {
  u64 sum, stamp;
};
NETSTACK_INLINE tcp_syn_sum tcp_put_syn_options(u8* options, tcp_out_options const& opts) {
  u64 const first = be64{u64{tcpopt::syn_mss_word | opts.mss} << 32 | tcpopt::syn_tstamp_word}.raw(),
            stamp = be64{u64{opts.tsval} << 32 | opts.tsecr}.raw();
  u32 const scale = be32{tcpopt::syn_wscale_word | opts.wscale}.raw();
  static_assert(sizeof first + sizeof stamp + sizeof scale == tcpopt::syn_aligned);
  std::memcpy(options, &first, sizeof first);
  std::memcpy(options + 8, &stamp, sizeof stamp);
  std::memcpy(options + 16, &scale, sizeof scale);
  return {(first >> 32) + static_cast<u32>(first) + scale, stamp};
}
/// … or others (`common`: they are those), with its header, where it leaves; `hlen` bytes.
NETSTACK_INLINE void tcp_write_syn(u8* at, tcp_header_fields const& f, tcp_out_options const& opts, bool common,
                                   u32 hlen, u32 flow) {
  u8* const options = at + tcp_hlen_min;
  auto const check_of = [](u64, u64 all) NETSTACK_INLINE_LAMBDA { return csum_fold(csum_from64to32(all)).raw(); };
  if (common) [[likely]] {
    auto const [sum, stamp] = tcp_put_syn_options(options, opts);
    return tcp_put_header(at, f, tcp_syn_hlen, tcp_syn_hlen, sum, stamp, flow, check_of);
  }
  tcp_options_write(options, opts);
  tcp_put_header(at, f, hlen, hlen, csum_partial(options, hlen - tcp_hlen_min, 0), 0, flow, check_of);
}
/// … in front of the payload.
inline void tcp_push_syn_header(sk_buff& skb, tcp_header_fields const& f, tcp_out_options const& opts, u32 flow) {
  u8* const at = skb.push(tcp_syn_hlen);
  auto const [sum, stamp] = tcp_put_syn_options(at + tcp_hlen_min, opts);
  tcp_write_header(skb, at, f, tcp_syn_hlen, sum, stamp, flow);
}
}  // namespace detail

/// Writes header and the one option that most segments have in front of the payload.
NETSTACK_INLINE void tcp_push_stamped_header(sk_buff& skb, tcp_header_fields const& f, u32 tsval, u32 tsecr, u32 flow) {
  u8* const at = skb.push(detail::tcp_stamped_hlen);
  u64 const stamp = detail::tcp_put_stamp(at + tcp_hlen_min, tsval, tsecr);
  detail::tcp_write_header(skb, at, f, detail::tcp_stamped_hlen, tcpopt::tstamp_lead, stamp, flow);
}
/// Writes a header without options in front of the payload.
NETSTACK_INLINE void tcp_push_bare_header(sk_buff& skb, tcp_header_fields const& f, u32 flow) {
  constexpr u32 hlen = detail::tcp_common_hlen<false>;
  detail::tcp_write_header(skb, skb.push(hlen), f, hlen, 0, 0, flow);
}
/// The same with any options.
inline void tcp_push_header(sk_buff& skb, tcp_header_fields const& f, tcp_out_options const& opts, u32 flow) {
  if (opts.is_common_syn()) return detail::tcp_push_syn_header(skb, f, opts, flow);
  if (opts.is_stamp()) return tcp_push_stamped_header(skb, f, opts.tsval, opts.tsecr, flow);
  u32 const optlen = opts.size(), hlen = static_cast<u32>(tcp_hlen_min) + optlen;
  u8* const at = skb.push(hlen);
  if (optlen != 0) tcp_options_write(at + tcp_hlen_min, opts);
  detail::tcp_write_header(skb, at, f, hlen, csum_partial(at + tcp_hlen_min, optlen, 0), 0, flow);
}

}  // namespace netstack
