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
#include "netstack/wire/ethernet.hpp"

namespace netstack {

namespace detail {

/// The first eight bytes of a header as ip_pattern compares them: length, TOS, fragment.
[[nodiscard]] NETSTACK_INLINE constexpr u64 ip_first_words(u8 ver_ihl, u8 tos, u16 frag_off) {
  return std::bit_cast<u64>(
      std::array<u8, 8>{ver_ihl, tos, 0, 0, 0, 0, static_cast<u8>(frag_off >> 8), static_cast<u8>(frag_off)});
}
/// The second eight: the protocol and the source.
[[nodiscard]] NETSTACK_INLINE constexpr u64 ip_second_words(u8 protocol, be32 saddr) {
  auto const a = saddr.bytes();
  return std::bit_cast<u64>(std::array<u8, 8>{0, protocol, 0, 0, a[0], a[1], a[2], a[3]});
}

static_assert(offsetof(sk_buff, napi_id) == offsetof(sk_buff, skb_iif) + 4);

/// Sixteen bytes as they lie in memory, compared and stored at once.
typedef u64 sixteen_bytes __attribute__((vector_size(16)));

/// Where the bytes at p are not these …
[[nodiscard]] NETSTACK_INLINE sixteen_bytes bytes_differ(u8 const* p, sixteen_bytes const& bytes) {
  typedef u64 anywhere __attribute__((vector_size(16), aligned(1), may_alias));  // copied, it would stay in memory too
  return *reinterpret_cast<anywhere const*>(p) ^ bytes;
}
/// … and that they do so nowhere that the mask looks.
[[nodiscard]] NETSTACK_INLINE bool nowhere(sixteen_bytes const& differ, sixteen_bytes const& mask) {
#if defined(__SSE4_1__)
  typedef long long words __attribute__((vector_size(16)));
  return __builtin_ia32_ptestz128(words(differ), words(mask)) != 0;
#else
  sixteen_bytes const seen = differ & mask;
  return (seen[0] | seen[1]) == 0;
#endif
}
/// The bytes at p are these, where the mask looks.
[[nodiscard]] NETSTACK_INLINE bool bytes_match(u8 const* p, sixteen_bytes const& bytes, sixteen_bytes const& mask) {
  return nowhere(bytes_differ(p, bytes), mask);
}
typedef std::array<sixteen_bytes, 2> thirty_two_bytes;
[[nodiscard]] NETSTACK_INLINE bool bytes_match(u8 const* p, thirty_two_bytes const& bytes,
                                               thirty_two_bytes const& mask) {
#if defined(__AVX__)
  typedef long long words __attribute__((vector_size(32), aligned(1), may_alias));
  auto const at = [](auto const* of) -> words const& { return *reinterpret_cast<words const*>(of); };
  return __builtin_ia32_ptestz256(at(p) ^ at(&bytes), at(&mask)) != 0;
#else
  return bytes_match(p, bytes[0], mask[0]) && bytes_match(p + sizeof bytes[0], bytes[1], mask[1]);
#endif
}
constexpr u8 const* bytes_of(auto const& object) { return reinterpret_cast<u8 const*>(&object); }
/// The checksum of a header without options is right.
[[nodiscard]] NETSTACK_INLINE bool ip_header_is_right(u8 const* iph) {
  return csum_is_right(csum_add64(csum_add64(csum_load<u64>(iph), csum_load<u64>(iph + 8)), csum_load<u32>(iph + 16)));
}

/// What the next datagram of a flow looks like when it arrives, and what it is told.
struct ip_pattern {
  u64 link = 0;                   ///< the link word of a frame as it arrives
  sixteen_bytes header{};         ///< no options, its TOS, no fragment; protocol and source
  u64 third = 0, third_mask = 0;  ///< destination, and what the transport's first four bytes must be
  u32 told = 0;                   ///< transport_header, pkt_type and flags of a received one
  u64 arrival = 0;                ///< skb_iif and napi_id
  sixteen_bytes parm{};           ///< IPCB
  dst_entry* dst = nullptr;

  static constexpr sixteen_bytes header_mask{ip_first_words(0xff, 0xff, ip_mf | ip_offset),
                                             ip_second_words(0xff, be32{0xffffffff})};
  static constexpr sixteen_bytes anybodys_mask{ip_first_words(0xff, 0xff, ip_mf | ip_offset),
                                               ip_second_words(0xff, be32{})};
  /// Every transport has eight bytes of header, or it is not of the common kind.
  static constexpr u32 least = static_cast<u32>(sizeof(iphdr)) + 8;

  /// The second half of `third`.
  static u64 ports_word(u32 ports) { return std::bit_cast<u64>(std::array<u32, 2>{0, ports}); }
  /// Of a received datagram whose link word was `word`.
  static ip_pattern of(sk_buff& skb, u64 word, inet_flow const& flow) {
    iphdr const& iph = *ip_hdr(skb);
    constexpr u64 addr_mask = std::bit_cast<u64>(std::array<u32, 2>{~u32{0}, 0});
    u64 const mask = addr_mask | ports_word(flow.ports_mask);
    return {.link = word,
            .header = sixteen_bytes{ip_first_words(0x45, iph.tos, 0), ip_second_words(iph.protocol, iph.saddr)},
            .third = csum_load<u64>(bytes_of(iph.daddr)) & mask,
            .third_mask = mask,
            .told = csum_load<u32>(bytes_of(skb.transport_header)),
            .arrival = csum_load<u64>(bytes_of(skb.skb_iif)),
            .parm = csum_load<sixteen_bytes>(bytes_of(IPCB(skb))),
            .dst = skb.dst};
  }
  /// ECT(0): a router could have marked each of them, and marked none.
  [[nodiscard]] NETSTACK_INLINE bool capable() const {
    return (header[0] & ip_first_words(0, inet_ecn::ect_0, 0)) != 0;
  }
  /// A datagram from which others may be recognised. A route that is held, options, a mark of congestion, and a sum
  /// that the device made or has to finish, are each packet's own; and a route that has gone meanwhile is nobody's.
  static bool may_be_of(sk_buff const& skb) {
    iphdr const& iph = *ip_hdr(skb);
    return skb.pkt_type == pkt_type::host && skb.dst_noref && !skb.dst->obsolete && iph.ihl() == 5 &&
           (iph.tos & 1) == 0 && (skb.ip_summed == ip_summed::none || skb.ip_summed == ip_summed::unnecessary);
  }

  /// Length of the datagram if it is of the same addresses, TOS and transport, whole, right, linear, without options,
  /// and nobody has put anything beside it; else 0.
  [[nodiscard]] NETSTACK_INLINE u32 match(sk_buff const& skb) const {
    return match(skb, [] { return false; });
  }
  /// … or of another source, of which `other` decides.
  template <class Other>
  [[nodiscard]] NETSTACK_INLINE u32 match(sk_buff const& skb, Other&& other) const {
    u64 const lengths = csum_load<u64>(bytes_of(skb.len));  // of frags in the upper half
    if (load_link_word(skb) != link || lengths - least > 0xffff ||
        (reinterpret_cast<std::uintptr_t>(skb.dst) | reinterpret_cast<std::uintptr_t>(skb.sk) |
         csum_load<u64>(bytes_of(skb.skb_iif))) != 0)
      return 0;
    if (((csum_load<u64>(skb.data + 16) ^ third) & third_mask) != 0) return 0;
    if (!bytes_match(skb.data, header, header_mask)) [[unlikely]]
      if (!bytes_match(skb.data, header, anybodys_mask) || !other()) return 0;
    u32 const len = reinterpret_cast<iphdr const*>(skb.data)->tot_len.host();
    return len - least <= static_cast<u32>(lengths) - least && ip_header_is_right(skb.data) ? len : 0;
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

/// The same for a whole Ethernet frame, as a driver asks (registry/rx_flow).
struct ip_frame_pattern {
  /// Its first bytes, in two pieces.
  struct front {
    thirty_two_bytes first{};
    sixteen_bytes second{};
  };
  front bytes{}, mask{};
  front others{};  ///< the mask of what may be for others than the last one was
  /// Where a received one came from, that no socket has it, its way and its link word; and the end of its second line.
  four_words told{};
  sixteen_bytes told_tail{};
  u16 at = 0;          ///< bytes from skb.head to the frame
  bool known = false;  ///< the flow comes in such frames

  static constexpr u32 least = sizeof(thirty_two_bytes) + sizeof(sixteen_bytes);
  /// Whom the frame is for, its ethertype, and ip_pattern::header_mask …
  static constexpr sixteen_bytes link_mask{
      std::bit_cast<u64>(std::array<u8, 8>{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0}),
      std::bit_cast<u64>(std::array<u8, 8>{0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff})};
  static constexpr u64 frag_mask =
      std::bit_cast<u64>(std::array<u8, 8>{0, 0, 0, 0, (ip_mf | ip_offset) >> 8, 0xff, 0, 0xff});
  /// … with the destination's first half …
  static constexpr thirty_two_bytes first_mask{
      link_mask, {frag_mask, std::bit_cast<u64>(std::array<u8, 8>{0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})}};
  /// … and without the source.
  static constexpr thirty_two_bytes anybody_mask{
      link_mask, {frag_mask, std::bit_cast<u64>(std::array<u8, 8>{0, 0, 0, 0, 0, 0, 0xff, 0xff})}};

  /// Of a received datagram, data behind its headers.
  static ip_frame_pattern of(sk_buff const& skb, ip_pattern const& p, bool mixes) {
    ip_frame_pattern f;
    if (skb.mac_len != eth_hlen || skb.mac_header + eth_hlen != skb.network_header ||
        skb.head + skb.mac_header + least > skb.end)
      return f;
    // The frame itself, of which the masks show what the pattern shows; the ports, of which the transport decides, lie
    // in the last word.
    u8 const* const frame = skb.head + skb.mac_header;
    constexpr auto last_word = [](u64 third) {
      return sixteen_bytes{std::endian::native == std::endian::little ? third >> 16 : third << 16, 0};
    };
    std::memcpy(&f.bytes, frame, least);
    f.mask = {first_mask, last_word(p.third_mask | ip_pattern::ports_word(mixes ? ~u32{0} : 0))};
    f.others = {mixes ? anybody_mask : first_mask, last_word(p.third_mask)};
    auto const tail =
        std::bit_cast<std::array<u64, 2>>(skb_tail_group{.mac_header = skb.mac_header, .mac_len = eth_hlen});
    f.told = four_words{reinterpret_cast<std::uintptr_t>(skb.dev), 0, reinterpret_cast<std::uintptr_t>(p.dst),
                        load_link_word(skb)};
    f.told_tail = sixteen_bytes{tail[0], tail[1]};
    f.at = skb.mac_header;
    f.known = true;
    return f;
  }
  /// What the packet of such a frame is told, whatever it knew.
  NETSTACK_INLINE void tell(sk_buff& skb) const {
    *reinterpret_cast<four_words*>(&skb.dev) = told;
    store_pair(&skb.csum, told_tail[0], told_tail[1]);
  }
  /// From now on the last one is from there.
  void turn(u32 saddr, u32 ports) {
    std::memcpy(reinterpret_cast<u8*>(&bytes) + 26, &saddr, sizeof saddr);
    std::memcpy(reinterpret_cast<u8*>(&bytes) + 34, &ports, sizeof ports);
  }
  /// The frame is of the flow, the datagram whole and its header right. One that the link has padded is not. If it is
  /// like the others, but not like the last one, `other` decides.
  template <class Other>
  [[nodiscard]] NETSTACK_INLINE bool match(u8 const* mac, u32 frame_len, Other&& other) const {
    if (frame_len < least) return false;
    sixteen_bytes const second = bytes_differ(mac + sizeof bytes.first, bytes.second);
    auto const alike = [&](front const& of) NETSTACK_INLINE_LAMBDA {
      return bytes_match(mac, bytes.first, of.first) && nowhere(second, of.second);
    };
    if (!alike(mask)) [[unlikely]]
      if (!alike(others) || !other()) return false;
    u8 const* const iph = mac + eth_hlen;
    return reinterpret_cast<iphdr const*>(iph)->tot_len.host() + eth_hlen == frame_len && ip_header_is_right(iph);
  }
};

}  // namespace detail

/// The flow whose datagrams arrived last by a device.
struct ip_rx_flow {
  detail::ip_pattern pattern{};
  detail::ip_frame_pattern frame{};
  inet_flow flow{};
  u64 genid = 0;  ///< softnet_data::flow_genid when it was learned; 0: none was
  u8 row = 0;     ///< of Net::inet_protos
  u8 hlen = 0;    ///< bytes of transport header in front of the payload

  /// With ECN a sender's data is capable and its acknowledgments are not (RFC 3168 §6.1.4): it looks from now on for
  /// the other ones. False: the datagram differs by more than that.
  bool turn_capable(sk_buff const& skb) {
    auto const tos_of = [](auto& header) -> auto& { return reinterpret_cast<u8*>(&header)[offsetof(iphdr, tos)]; };
    if (skb.headlen() < sizeof(iphdr) || (skb.data[offsetof(iphdr, tos)] ^ tos_of(pattern.header)) != inet_ecn::ect_0)
      return false;
    tos_of(pattern.header) ^= inet_ecn::ect_0;
    reinterpret_cast<u8*>(&frame.bytes)[eth_hlen + offsetof(iphdr, tos)] ^= inet_ecn::ect_0;
    return true;
  }
};

}  // namespace netstack
