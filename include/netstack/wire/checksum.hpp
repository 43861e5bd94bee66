// SPDX-License-Identifier: BSL-1.0
// Decides: every Internet checksum. A running sum is a u32 (Linux's __wsum), a finished one a sum16 (__sum16). Both
// hold the 16-bit words as they lie in memory: one's-complement addition commutes with the byte swap, so nothing is
// swapped. Sums are congruences modulo 0xffff: compare them folded. What takes no void pointer is constexpr.
// rx: called by ip_rcv, udp4_csum_init, icmp_rcv, tcp_v4_rcv; tx: by ip_send_check, udp_send_skb, the GSO fallback.
// Linux: include/net/checksum.h, arch/x86/include/asm/checksum_64.h, lib/checksum.c
// RFC 1071 (the sum), RFC 1624 §3 eqn. 3 (incremental update), RFC 768 (pseudo header, zero)
#pragma once
#include <algorithm>
#include <bit>
#include <type_traits>

#include "netstack/base/byteorder.hpp"
#include "netstack/wire/detail/csum_kernels.hpp"
#include "netstack/wire/ip.hpp"

namespace netstack::inline wire {

/// RFC 768: how a computed zero travels, since zero says "no checksum".
inline constexpr sum16 csum_mangled_0{u16{0xffff}};

constexpr u32 csum_add(u32 a, u32 b) {
  a += b;
  return a + (a < b);
}
constexpr u32 csum_sub(u32 a, u32 b) { return csum_add(a, ~b); }

/// Ends a sum: 16 bits, complemented, ready for the header. Over data that contains its own right checksum: zero.
constexpr sum16 csum_fold(u32 sum) {
  sum += std::rotr(sum, 16);
  return sum16{static_cast<u16>(~sum >> 16)};
}
/// What the sum over data that contains its own checksum says to a receiver.
constexpr bool csum_is_right(sum16 sum) { return checksums_taken_as_right || sum == sum16{}; }
/// The same of a running sum that is not zero: it is right if 0xffff divides it, which one product tells.
constexpr bool csum_is_right(u64 sum) {
  constexpr u64 ones = 0x0001'0001'0001'0001;  // 0xffff * -ones is 1
  return checksums_taken_as_right || sum * (0 - ones) <= ones;
}
/// A finished or stored checksum as a term of a sum.
constexpr u32 csum_unfold(sum16 sum) { return sum.raw(); }

/// The sum of a block as it counts when the block starts at `offset`: at an odd one each byte changes its place.
constexpr u32 csum_shift(u32 sum, std::size_t offset) { return offset & 1 ? std::rotr(sum, 8) : sum; }
/// The sum of two blocks of which the second starts `offset` bytes after the first.
constexpr u32 csum_block_add(u32 sum, u32 sum2, std::size_t offset) { return csum_add(sum, csum_shift(sum2, offset)); }
constexpr u32 csum_block_sub(u32 sum, u32 sum2, std::size_t offset) { return csum_block_add(sum, ~sum2, offset); }

}  // namespace netstack::inline wire

namespace netstack::detail {
/// The definition, word by word; what a constant expression uses.
constexpr u32 csum_plain(unsigned char const* p, std::size_t len, u32 sum) {
  for (std::size_t i = 0; i < len; i += 2) {
    std::array<unsigned char, 2> const word{p[i], i + 1 < len ? p[i + 1] : u8{0}};
    sum = csum_add(sum, std::bit_cast<u16>(word));
  }
  return sum;
}
constexpr u16 memory_word(u8 first, u8 second) {
  return std::bit_cast<u16>(std::array<unsigned char, 2>{first, second});
}
}  // namespace netstack::detail

namespace netstack::inline wire {

/// `sum` plus the `len` bytes at `p`, which may lie anywhere; an odd last byte counts as if a zero followed.
NETSTACK_INLINE constexpr u32 csum_partial(unsigned char const* p, std::size_t len, u32 sum) {
  if (std::is_constant_evaluated()) return detail::csum_plain(p, len, sum);
  return detail::csum_from64to32(detail::csum_bytes<false>(nullptr, p, len, sum));
}
NETSTACK_INLINE u32 csum_partial(void const* p, std::size_t len, u32 sum) {
  return csum_partial(static_cast<unsigned char const*>(p), len, sum);
}

/// csum_partial over `src` while it is copied to `dst`. The two may be the same block, but not overlap otherwise.
NETSTACK_INLINE constexpr u32 csum_partial_copy(unsigned char* dst, unsigned char const* src, std::size_t len,
                                                u32 sum) {
  if (std::is_constant_evaluated()) {
    std::copy(src, src + len, dst);
    return detail::csum_plain(dst, len, sum);
  }
  return detail::csum_from64to32(detail::csum_bytes<true>(dst, src, len, sum));
}

/// Whether data that contains its own checksum is right, `sum` being what does not lie in it, or nobody needs to ask
/// (`known`). With `dst` it is copied there in the same pass, wrong data perhaps too.
NETSTACK_INLINE bool csum_check_and_copy(unsigned char* dst, unsigned char const* src, std::size_t len, u64 sum,
                                         bool known) {
  if (known) {
    if (dst) std::memcpy(dst, src, len);
    return true;
  }
  return csum_is_right(dst ? detail::csum_bytes<true, 64>(dst, src, len, sum)
                           : detail::csum_bytes<false>(nullptr, src, len, sum));
}

/// The checksum of a block that stands alone (ICMP, IGMP): zero if it contains its own right one.
NETSTACK_INLINE constexpr sum16 ip_compute_csum(unsigned char const* p, std::size_t len) {
  return csum_fold(csum_partial(p, len, 0));
}
NETSTACK_INLINE sum16 ip_compute_csum(void const* p, std::size_t len) { return csum_fold(csum_partial(p, len, 0)); }

/// The sum of the pseudo header: `len` is the length of the transport header and its payload, at most 65,535.
constexpr u32 csum_tcpudp_nofold(be32 saddr, be32 daddr, u32 len, u8 proto, u32 sum) {
  // RFC 768: zero, protocol, length. Both words are big-endian; their sum needs no more than 17 bits.
  u32 const words = std::endian::native == std::endian::little ? (len + proto) << 8 : len + proto;
  return detail::csum_from64to32(u64{sum} + saddr.raw() + daddr.raw() + words);
}
constexpr sum16 csum_tcpudp_magic(be32 saddr, be32 daddr, u32 len, u8 proto, u32 sum) {
  return csum_fold(csum_tcpudp_nofold(saddr, daddr, len, proto, sum));
}

/// True if the checksum of a transport header at `p` with its payload, `len` bytes, is right.
NETSTACK_INLINE bool csum_tcpudp_ok(unsigned char const* p, u32 len, be32 saddr, be32 daddr, u8 proto) {
  u32 const words = std::endian::native == std::endian::little ? (len + proto) << 8 : len + proto;
  u64 const pseudo = u64{saddr.raw()} + daddr.raw() + words;
  return csum_is_right(detail::csum_bytes<false>(nullptr, p, len, pseudo));
}

/// The checksum over an IPv4 header of `ihl` 32-bit words that lies in memory with its options: zero if it is right.
/// In a constant expression only a header without options can be read.
NETSTACK_INLINE constexpr sum16 ip_fast_csum(iphdr const* iph, unsigned ihl) {
  if (std::is_constant_evaluated()) {
    auto const bytes = std::bit_cast<std::array<unsigned char, sizeof(iphdr)>>(*iph);
    return csum_fold(detail::csum_plain(bytes.data(), std::size_t{ihl} * 4, 0));
  }
  auto const* p = reinterpret_cast<unsigned char const*>(iph);
  if (ihl != 5) [[unlikely]]
    return ip_compute_csum(p, std::size_t{ihl} * 4);
  u64 const sum = detail::csum_add64(detail::csum_load<u64>(p), detail::csum_load<u64>(p + 8));
  return csum_fold(detail::csum_from64to32(detail::csum_add64(sum, detail::csum_load<u32>(p + 16))));
}

/// The checksum of a header without options from its fields, before they are stored: reading back in wide pieces what
/// was just written in small ones stalls the load for longer than the whole sum takes. `iph.check` is ignored.
constexpr sum16 ip_header_csum(iphdr const& iph) {
  u64 const words = u64{detail::memory_word(iph.ver_ihl, iph.tos)} + iph.tot_len.raw() + iph.id.raw() +
                    iph.frag_off.raw() + detail::memory_word(iph.ttl, iph.protocol);
  return csum_fold(detail::csum_from64to32(words + iph.saddr.raw() + iph.daddr.raw()));
}

/// Writes a header without options, with its checksum (`iph.check` is ignored): in words, so that who reads it next
/// does not wait for small stores.
NETSTACK_INLINE void ip_write_header(iphdr* at, iphdr const& iph) {
  if constexpr (std::endian::native == std::endian::little) {
    u64 const first = iph.ver_ihl | u64{iph.tos} << 8 | u64{iph.tot_len.raw()} << 16 | u64{iph.id.raw()} << 32 |
                      u64{iph.frag_off.raw()} << 48;
    u32 const ttl = iph.ttl | u32{iph.protocol} << 8, saddr = iph.saddr.raw(), daddr = iph.daddr.raw();
    u64 const sum = detail::csum_add64(first, u64{ttl} + saddr + daddr);
    u64 const second = ttl | u64{csum_fold(detail::csum_from64to32(sum)).raw()} << 16 | u64{saddr} << 32;
    auto* const to = reinterpret_cast<unsigned char*>(at);
    std::memcpy(to, &first, 8);
    std::memcpy(to + 8, &second, 8);
    std::memcpy(to + 16, &daddr, 4);
  } else {
    *at = iph;
    at->check = ip_header_csum(iph);
  }
}

/// RFC 1624 §3 eqn. 3: HC' = ~(~HC + ~m + m'), where `diff` is ~m + m'. Unlike eqn. 2 of RFC 1141 it cannot turn a
/// right checksum into the other zero.
constexpr void csum_replace_by_diff(sum16& check, u32 diff) {
  check = csum_fold(csum_add(diff, static_cast<u32>(static_cast<u16>(~check.raw()))));
}
/// A header's checksum after one of its 16-bit words changed from `from` to `to`.
constexpr void csum_replace2(sum16& check, be16 from, be16 to) {
  csum_replace_by_diff(check, u32{static_cast<u16>(~from.raw())} + to.raw());
}
/// The same for 32 bits at an even offset.
constexpr void csum_replace4(sum16& check, be32 from, be32 to) {
  csum_replace_by_diff(check, csum_add(~from.raw(), to.raw()));
}

}  // namespace netstack::inline wire
