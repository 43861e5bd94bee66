// SPDX-License-Identifier: BSL-1.0
// Fuzzes what reads headers and texts without a stack: an input is looked at as an Ethernet frame, and as whatever it
// would be if it began with each other header, with IP options, or with the text of an address. Inputs lie in memory
// that ends where they end.
#include <memory>
#include <string_view>

#include "fuzz/input.hpp"
#include "netstack/core/flow_dissector.hpp"
#include "netstack/wire/arp.hpp"
#include "netstack/wire/checksum.hpp"
#include "netstack/wire/icmp.hpp"
#include "netstack/wire/igmp.hpp"
#include "netstack/wire/ip_options.hpp"
#include "netstack/wire/ptp.hpp"
#include "netstack/wire/tcp_options.hpp"
#include "netstack/wire/udp.hpp"

namespace {

using namespace netstack;
using fuzz::require;
using data = std::span<u8 const>;

/// The header at the front, if there is one.
template <class H>
H const* header(data in) {
  return in.size() >= sizeof(H) ? reinterpret_cast<H const*>(in.data()) : nullptr;
}
/// What keeps a result from being thrown away.
volatile u32 sink;
void use(u32 value) { sink = sink + value; }

void ethernet(data in) {
  u8 const kind = ptp_classify(in.data(), in.size());
  u8 const carrier = kind & ptp_class::pmask;
  require(
      kind == ptp_class::none || carrier == ptp_class::l2 || carrier == ptp_class::ipv4 || carrier == ptp_class::ipv6,
      "a PTP event has one carrier");
  auto const* eth = header<ethhdr>(in);
  if (!eth) return require(kind == ptp_class::none, "a runt is no PTP event");
  char text[3 * eth_alen];
  require(parse_mac(format_mac(eth->h_dest, text)).value() == eth->h_dest, "a MAC address is read as it was written");
  require(!eth->h_dest.is_broadcast() || eth->h_dest.is_multicast(), "everybody is a group");
  auto const* tagged = header<vlan_ethhdr>(in);
  if (!tagged || !eth_type_vlan(tagged->h_vlan_proto)) return;
  vlan_hdr const tag{tagged->h_vlan_TCI, tagged->h_vlan_encapsulated_proto};
  require(vlan_tci(tag.vid(), tag.prio(), tag.cfi()) == tag.h_vlan_TCI.host(), "a tag is the sum of its parts");
}

void flows(data in) {
  for (u16 const protocol : {eth_p::ip, eth_p::ipv6}) {
    flow_keys keys;
    if (!skb_flow_dissect(protocol, in.data(), in.data() + in.size(), keys)) continue;
    flow_keys back = keys;
    std::swap(back.addrs[0], back.addrs[1]);
    std::swap(back.ports[0], back.ports[1]);
    siphash_key_t const key{{1, 2}};
    require(flow_hash(keys, key) == flow_hash(back, key), "both directions are one flow");
  }
}

void arp(data in) {
  auto const* packet = header<arphdr>(in);
  if (packet && packet->is_ether_ipv4()) require(packet->ar_hln == 6 && packet->ar_pln == 4, "lengths are checked");
}

/// An option by its offset in `opt`, which counts from the start of the IP header.
u8 const* option_at(data block, u8 offset) { return block.data() + offset - ip_hlen_min; }
u8 kind_at(data block, u8 offset) { return *option_at(block, offset); }
/// What is written at the option's pointer, `bytes` long, stays within it, or the option is full.
bool has_room(data block, u8 offset, u8 bytes) {
  u8 const* const o = option_at(block, offset);
  return o[2] > o[1] || o[2] - 1 + bytes <= o[1];
}

void ip_options_block(data in) {
  data const block = in.first(std::min(in.size(), ipopt::max_len));
  ip_options opt;
  u8 const error = parse_ip_options(opt, block.data(), block.size());
  require(error == 0 || (error >= ip_hlen_min && error < ip_hlen_max), "an error points into the options");
  ip_option_parser walk{block.data(), block.size()};
  std::size_t end = ip_hlen_min;
  while (auto const* o = walk.next()) {
    require(o->at >= end && o->length >= 2, "options follow one another");
    end = std::size_t{o->at} + o->length;
    require(end <= ip_hlen_min + block.size(), "an option lies within its header");
    for (u8 i = 0; i + 2 < o->length; ++i) use(o->data[i]);
  }
  if (error != 0) return;
  require(walk.error() == 0, "what is taken can be walked");
  if (opt.srr) require(kind_at(block, opt.srr) == (opt.is_strictroute ? ipopt::ssrr : ipopt::lsrr), "srr is a route");
  if (opt.rr) require(kind_at(block, opt.rr) == ipopt::rr, "rr is a record");
  if (opt.ts) require(kind_at(block, opt.ts) == ipopt::timestamp, "ts is a timestamp");
  if (opt.srr) require(has_room(block, opt.srr, 4), "a route has room for an address");
  if (opt.rr) require(has_room(block, opt.rr, 4), "a record has room for an address");
  if (opt.ts) {
    u8 const stamp = (option_at(block, opt.ts)[3] & 15) == ipopt::ts_tsonly ? 4 : 8;
    require(has_room(block, opt.ts, stamp), "a timestamp has room for another");
  }
  if (opt.cipso) require(kind_at(block, opt.cipso) == ipopt::cipso, "cipso is a label");
  if (opt.router_alert) require(kind_at(block, opt.router_alert) == ipopt::ra, "an alert is one");
}

void ip(data in) {
  auto const* iph = header<iphdr>(in);
  if (!iph) return;
  use(u32{iph->version()} + ip_is_fragment(*iph) + static_cast<u32>(iph->frag_start()));
  if (iph->ihl() < 5 || in.size() < iph->header_len()) return;
  ip_options_block(in.subspan(ip_hlen_min, iph->header_len() - ip_hlen_min));
  if (iph->ihl() > 5) return;
  iphdr written;
  ip_write_header(&written, *iph);
  require(ip_fast_csum(&written, 5) == sum16{}, "a header is written with its checksum");
  // RFC 1624: what is changed by halves comes to the same.
  iphdr changed = written;
  changed.daddr = be32{~written.daddr.host()};
  csum_replace4(changed.check, written.daddr, changed.daddr);
  changed.id = be16{7};
  csum_replace2(changed.check, written.id, changed.id);
  require(ip_fast_csum(&changed, 5) == sum16{}, "a change keeps the checksum right");
}

void transports(data in) {
  if (auto const* icmph = header<icmphdr>(in))
    use(icmph->un.gateway().host() + icmph->un.mtu().host() + icmph->un.pointer() + icmp_is_err(icmph->type));
  if (auto const* query = header<igmpv3_query>(in)) {
    require(igmpv3_exp(query->code) >= std::min<u16>(query->code, 128), "a response time does not shrink");
    use(u32{query->suppress()} + query->qrv());
  }
  if (auto const* uh = header<udphdr>(in)) use(uh->len.host());
}

void tcp_options(data in) {
  data const block = in.first(std::min(in.size(), tcpopt::max_len));
  for (bool const syn : {false, true}) {
    tcp_options_received rx;
    bool const whole = tcp_parse_options(rx, block.data(), block.size(), syn);
    require(rx.num_sacks <= tcpopt::max_sacks && rx.fastopen_len <= tcpopt::fastopen_max, "what is counted is there");
    require(rx.snd_wscale <= tcpopt::max_wscale, "a window is scaled by 14 at most");
    tcp_option_parser walk{block.data(), block.size()};
    std::size_t bytes = 0;
    while (auto const* o = walk.next()) {
      require(o->length >= 2 && (bytes += o->length) <= block.size(), "an option lies within its block");
      for (u8 i = 0; i + 2 < o->length; ++i) use(o->data[i]);
    }
    require(whole == !walk.malformed(), "what is taken can be walked");
  }
}

void tcp(data in) {
  auto const* th = header<tcphdr>(in);
  if (!th) return;
  tcphdr again = *th;
  again.set_doff(th->doff());
  require(again.header_len() == th->header_len() && th->header_len() <= tcp_hlen_max, "an offset is at most 15 words");
  use(u32{th->syn()} + th->fin() + th->rst() + th->psh() + th->ack() + th->urg() + th->ece() + th->cwr());
  if (th->header_len() >= tcp_hlen_min && th->header_len() <= in.size())
    tcp_options(in.subspan(tcp_hlen_min, th->header_len() - tcp_hlen_min));
}

void sums(data in) {
  sum16 const whole = csum_fold(csum_partial(in.data(), in.size(), 0));
  require(whole == csum_fold(detail::csum_plain(in.data(), in.size(), 0)), "every kernel has the definition's sum");
  std::size_t const cut = in.empty() ? 0 : in[0] % (in.size() + 1);
  u32 const first = csum_partial(in.data(), cut, 0), second = csum_partial(in.data() + cut, in.size() - cut, 0);
  require(csum_fold(csum_block_add(first, second, cut)) == whole, "a sum is the sum of its parts");
  auto const copy = std::make_unique<u8[]>(in.size());
  require(csum_fold(csum_partial_copy(copy.get(), in.data(), in.size(), 0)) == whole, "a copy is summed");
  require(std::equal(in.begin(), in.end(), copy.get()), "a copy is one");
}

void texts(data in) {
  std::string_view const text{reinterpret_cast<char const*>(in.data()), in.size()};
  char dotted[16], colons[3 * eth_alen];
  if (auto const addr = parse_ipv4(text)) require(format_ipv4(*addr, dotted) == text, "an address has one spelling");
  if (auto const prefix = parse_prefix(text))
    require(prefix->len() <= 32 && prefix->contains(prefix->addr()), "a prefix is one");
  if (auto const mac = parse_mac(text))
    require(parse_mac(format_mac(*mac, colons)).value() == *mac, "a MAC address is one");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(u8 const* bytes, std::size_t size) {
  data const in{bytes, size};
  ethernet(in);
  data const payload = in.subspan(std::min(in.size(), eth_hlen));
  for (data const packet : {in, payload}) {
    flows(packet);
    arp(packet);
    ip(packet);
    transports(packet);
    tcp(packet);
  }
  ip_options_block(in);
  tcp_options(in);
  sums(in);
  texts(in);
  return 0;
}
