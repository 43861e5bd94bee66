// SPDX-License-Identifier: BSL-1.0
// Decides: by which words the next datagram of a flow is recognised, and what it is told: copied from one that went the
// whole way of ip_rcv, route and transport.
// rx: used by ipv4/ip_list_rcv; kept with the device between its bursts (ipv4/inetdevice)
// Linux: none (its nearest: net/ipv4/af_inet.c inet_gro_receive)
#pragma once
#include <array>
#include <bit>
#include <cstring>

#include "netstack/core/dst.hpp"
#include "netstack/ipv4/ip_skb.hpp"
#include "netstack/registry/net_protocol.hpp"
#include "netstack/skb/skb_headers.hpp"
#include "netstack/wire/checksum.hpp"

namespace netstack {

namespace detail {

/// The first eight bytes of a header as ip_pattern compares them: length, TOS, fragment.
[[nodiscard]] constexpr u64 ip_first_words(u8 ver_ihl, u8 tos, u16 frag_off) {
  return std::bit_cast<u64>(
      std::array<u8, 8>{ver_ihl, tos, 0, 0, 0, 0, static_cast<u8>(frag_off >> 8), static_cast<u8>(frag_off)});
}
/// The second eight: the protocol and the source.
[[nodiscard]] constexpr u64 ip_second_words(u8 protocol, be32 saddr) {
  auto const a = saddr.bytes();
  return std::bit_cast<u64>(std::array<u8, 8>{0, protocol, 0, 0, a[0], a[1], a[2], a[3]});
}

static_assert(offsetof(sk_buff, napi_id) == offsetof(sk_buff, skb_iif) + 4);

/// What the next datagram of a flow looks like when it arrives, and what it is told.
struct ip_pattern {
  typedef u64 sixteen_bytes __attribute__((vector_size(16)));

  u64 link = 0;                   ///< the link word of a frame as it arrives
  sixteen_bytes header{};         ///< no options, its TOS, no fragment; protocol and source
  u64 third = 0, third_mask = 0;  ///< destination, and what the transport's first four bytes must be
  u32 told = 0;                   ///< transport_header, pkt_type and flags of a received one
  u64 arrival = 0;                ///< skb_iif and napi_id
  sixteen_bytes parm{};           ///< IPCB
  dst_entry* dst = nullptr;

  static constexpr sixteen_bytes header_mask{ip_first_words(0xff, 0xff, ip_mf | ip_offset),
                                             ip_second_words(0xff, be32{0xffffffff})};
  /// The sixteen bytes at p are the header's, where the mask looks.
  [[nodiscard]] NETSTACK_INLINE bool header_is_at(u8 const* p) const {
    sixteen_bytes const differ = csum_load<sixteen_bytes>(p) ^ header;
#if defined(__SSE4_1__)
    typedef long long words __attribute__((vector_size(16)));
    return __builtin_ia32_ptestz128(words(differ), words(header_mask)) != 0;
#else
    sixteen_bytes const seen = differ & header_mask;
    return (seen[0] | seen[1]) == 0;
#endif
  }
  /// Every transport has eight bytes of header, or it is not of the common kind.
  static constexpr u32 least = static_cast<u32>(sizeof(iphdr)) + 8;

  /// Of a received datagram whose link word was `word`.
  static ip_pattern of(sk_buff& skb, u64 word, inet_flow const& flow) {
    iphdr const& iph = *ip_hdr(skb);
    auto const bytes = [](auto const& at) { return reinterpret_cast<u8 const*>(&at); };
    constexpr u64 addr_mask = std::bit_cast<u64>(std::array<u32, 2>{~u32{0}, 0});
    u64 const mask = addr_mask | std::bit_cast<u64>(std::array<u32, 2>{0, flow.ports_mask});
    return {.link = word,
            .header = sixteen_bytes{ip_first_words(0x45, iph.tos, 0), ip_second_words(iph.protocol, iph.saddr)},
            .third = csum_load<u64>(bytes(iph.daddr)) & mask,
            .third_mask = mask,
            .told = csum_load<u32>(bytes(skb.transport_header)),
            .arrival = csum_load<u64>(bytes(skb.skb_iif)),
            .parm = csum_load<sixteen_bytes>(bytes(IPCB(skb))),
            .dst = skb.dst};
  }
  /// A datagram from which others may be recognised. A route that is held, options, ECN, and a sum that the device made
  /// or has to finish, are each packet's own.
  static bool may_be_of(sk_buff const& skb) {
    iphdr const& iph = *ip_hdr(skb);
    return skb.pkt_type == pkt_type::host && skb.dst_noref && iph.ihl() == 5 && (iph.tos & 3) == 0 &&
           (skb.ip_summed == ip_summed::none || skb.ip_summed == ip_summed::unnecessary);
  }

  /// Length of the datagram if it is of the same addresses and transport, whole, right, linear, without options or ECN,
  /// and nobody has put anything beside it; else 0.
  [[nodiscard]] NETSTACK_INLINE u32 match(sk_buff const& skb) const {
    u64 const lengths = csum_load<u64>(reinterpret_cast<u8 const*>(&skb.len));  // of frags in the upper half
    if (load_link_word(skb) != link || lengths - least > 0xffff ||
        (reinterpret_cast<std::uintptr_t>(skb.dst) | reinterpret_cast<std::uintptr_t>(skb.sk) |
         csum_load<u64>(reinterpret_cast<u8 const*>(&skb.skb_iif))) != 0)
      return 0;
    if (!header_is_at(skb.data) || ((csum_load<u64>(skb.data + 16) ^ third) & third_mask) != 0) return 0;
    u64 const a = csum_load<u64>(skb.data), b = csum_load<u64>(skb.data + 8);
    u32 const len = reinterpret_cast<iphdr const*>(skb.data)->tot_len.host();
    u32 const daddr = csum_load<u32>(skb.data + 16);
    if (len - least > static_cast<u32>(lengths) - least || !csum_is_right(csum_add64(csum_add64(a, b), daddr)))
      return 0;
    return len;
  }
  /// Makes it a received one: data `headers` bytes further, the link's padding behind `len` cut off.
  NETSTACK_INLINE void tell(sk_buff& skb, u32 headers, u32 len, u64 now_real) const {
    skb.dst = dst;
    std::memcpy(static_cast<void*>(&skb.transport_header), &told, sizeof told);
    std::memcpy(static_cast<void*>(&skb.skb_iif), &arrival, sizeof arrival);
    skb.tstamp = skb.tstamp ? skb.tstamp : now_real;
    std::memcpy(static_cast<void*>(&IPCB(skb)), &parm, sizeof parm);
    skb.tail = skb.data + len;
    skb.data += headers;
    skb.len = len - headers;
  }
};

}  // namespace detail

/// The flow whose datagrams arrived last by a device.
struct ip_rx_flow {
  detail::ip_pattern pattern{};
  inet_flow flow{};
  u64 genid = 0;  ///< softnet_data::flow_genid when it was learned; 0: none was
  u8 row = 0;     ///< of Net::inet_protos
};

}  // namespace netstack
