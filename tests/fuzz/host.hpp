// SPDX-License-Identifier: BSL-1.0
// Decides: the host that is fuzzed: its stores are so small that inputs fill them, its devices check whatever is sent,
// its clock is virtual, and it starts anew for each input, so a finding needs no more than its own bytes. eth0 has
// 192.0.2.1/24 unless it is told otherwise, eth1 198.51.100.1/24. After each input still_answers() wants all memory
// back, and answers to ARP and ping.
//   struct host : netstack::stack<host, presets::host, fuzz::wire, fuzz::sizes> {};
//   fuzz::rig<host> rig;  …  rig.receive(0, frame);  …  rig.still_answers();
#pragma once
#include <cstring>
#include <deque>
#include <vector>

#include "fuzz/input.hpp"
#include "netstack/netstack.hpp"
#include "netstack/skb/skb_frags.hpp"
#include "support/virtual_clock.hpp"

namespace netstack::fuzz {

using bytes = std::vector<u8>;

inline constexpr config small{.max_net = 2,
                              .skb_pool = 96,
                              .skb_clones = 16,
                              .max_dev = 8,
                              .max_addr = 12,
                              .max_route = 32,
                              .max_neigh = 12,
                              .max_peer = 12,
                              .max_sock = 8,
                              .max_handle = 8,
                              .sock_hash = 8,
                              .rps_ring = 16,
                              .control_ring = 256,
                              .drop_trace = 8};
using sizes = netstack::sizes<small>;

/// What no input may make a device send: an Ethernet frame from somebody else, of a wrong length, or with an IP header
/// of ours that is wrong.
inline void check_sent(net_device const& dev, bytes const& frame) {
  require(frame.size() >= eth_hlen && frame.size() <= dev.mtu + eth_hlen, "a frame fits the device");
  auto const& eth = *reinterpret_cast<ethhdr const*>(frame.data());
  require(eth.h_source == dev.dev_addr, "a frame carries the device's address");
  if (eth.h_proto == be16{eth_p::arp}) require(frame.size() == eth_hlen + arp_hlen, "an ARP packet has 28 bytes");
  if (eth.h_proto != be16{eth_p::ip}) return;
  require(frame.size() >= eth_hlen + sizeof(iphdr), "a datagram has a header");
  auto const& iph = *reinterpret_cast<iphdr const*>(frame.data() + eth_hlen);
  require(iph.version() == 4 && iph.ihl() >= 5 && eth_hlen + iph.header_len() <= frame.size(), "a header is whole");
  require(eth_hlen + iph.tot_len.host() == frame.size(), "a datagram is as long as it says");
  bool const ours = iph.saddr == ipv4_addr("192.0.2.1") || iph.saddr == ipv4_addr("198.51.100.1");
  if (ours) require(ip_compute_csum(&iph, iph.header_len()) == sum16{}, "a header of ours has its checksum");
}

/// A device whose far end is the input.
struct wire : driver {
  static constexpr char const* name = "wire";
  struct params {
    u8 number = 0;
  };
  /// Which frames the driver lets a protocol recognise (core/rx_flow): none, as TAP and pcap; those that lie in the
  /// packet's frame, as AF_XDP; or those that lie elsewhere and are copied by who takes them, as pipe.
  enum class edge : u8 { none, in_place, copied };
  struct frame {
    bytes content;
    u32 linear = 0;  ///< how much lies in the linear area, the rest in frags; 0: all of it
  };
  struct priv {
    std::deque<frame> rx;
    std::vector<bytes> tx;
    ip_summed summed = ip_summed::none;  ///< what the device says of checksums
    edge at_edge = edge::none;
  };
  template <class Net>
  static result<void> open(Net&, net_device&) {
    return {};
  }
  template <class Net>
  static void stop(Net&, net_device& dev) {
    netdev_priv<wire>(dev).rx.clear();
  }
  static void send(net_device& dev, sk_buff& skb) {
    bytes sent;
    for_each_piece(skb, 0, skb.len, [&](u8 const* p, u32 n) { sent.insert(sent.end(), p, p + n); });
    if (skb.ip_summed == ip_summed::partial) {  // left to the device
      std::size_t const start = skb.csum_start - skb.headroom();
      require(start + skb.csum_offset + 2 <= sent.size(), "a checksum lies in its frame");
      u16 const sum = csum_fold(csum_partial(sent.data() + start, sent.size() - start, 0)).raw();
      std::memcpy(sent.data() + start + skb.csum_offset, &sum, sizeof sum);
    }
    check_sent(dev, sent);
    netdev_priv<wire>(dev).tx.push_back(std::move(sent));
    consume_skb(skb);
  }
  /// As a device that cuts super-segments, if its features say so; without a frame for that they are lost.
  template <class Net>
  static netdev_tx xmit(Net& net, net_device& dev, sk_buff& skb, bool) {
    if (!skb_is_gso(skb)) return send(dev, skb), netdev_tx::ok;
    require((dev.features & netif_f::gso) != 0, "only who cuts gets what is to be cut");
    auto pieces = skb_gso_segment(net, skb, 0);
    consume_skb(skb);
    while (sk_buff* piece = pieces ? pieces->pop_front() : nullptr) send(dev, *piece);
    return netdev_tx::ok;
  }
  static u32 linear_part(skb_pool const& pool, frame const& f) {
    auto const len = static_cast<u32>(f.content.size()), room = pool.frame_size() - pool.rx_headroom();
    return std::min({f.linear ? f.linear : len, len, room});
  }
  /// The linear bytes stand at the very end of their frame, so that what reads past them reads a poisoned one.
  static u16 place(skb_pool const& pool, frame const& f) {
    return static_cast<u16>(pool.frame_size() - linear_part(pool, f));
  }
  static sk_buff* take(net_device& dev, skb_pool& pool, frame const& f) {
    u32 const linear = linear_part(pool, f), len = static_cast<u32>(f.content.size());
    sk_buff* skb = alloc_skb_with_frags(pool, place(pool, f), linear, len - linear);
    if (!skb) return nullptr;
    require(skb_store_bits(*skb, 0, f.content.data(), len), "a new packet takes its bytes");
    skb->ip_summed = netdev_priv<wire>(dev).summed;
    eth_type_trans(*skb, dev);
    return skb;
  }
  /// A frame in one piece, where the burst's are; nothing is put yet.
  template <class Net>
  static sk_buff* take_at_edge(rx_flow_burst<Net>& flow, net_device& dev, skb_pool& pool, bytes const& content) {
    auto const& p = netdev_priv<wire>(dev);
    auto const len = static_cast<u32>(content.size());
    auto const at = static_cast<u16>(pool.frame_size() - len);
    sk_buff* const skb = pool.alloc_skb(at);
    if (!skb) return nullptr;
    if (p.at_edge == edge::in_place) {
      std::copy(content.begin(), content.end(), skb->data);
      eth_rx(flow, *skb, dev, skb->data, at, len, p.summed == ip_summed::unnecessary);
    } else if (!flow.take({*skb, skb->data, len, content.data()})) {
      std::copy(content.begin(), content.end(), skb->put(len));
      skb->ip_summed = p.summed;
      eth_type_trans(*skb, dev);
    }
    return skb;
  }
  template <class Net>
  static u32 poll(Net& net, net_device& dev, u32 budget, skb_list& rx) {
    auto& p = netdev_priv<wire>(dev);
    auto& pool = net.worker().pool;
    if (p.rx.empty()) return 0;
    u16 const at = place(pool, p.rx.front());
    rx_flow_burst<Net> flow{net, dev, at, p.summed == ip_summed::unnecessary};
    u32 n = 0;
    for (; n < budget && !p.rx.empty(); ++n, p.rx.pop_front()) {
      frame const& f = p.rx.front();
      bool const asks = p.at_edge != edge::none && place(pool, f) == at && linear_part(pool, f) == f.content.size();
      if (!asks) flow.stop();
      if (sk_buff* const skb = asks ? take_at_edge(flow, dev, pool, f.content) : take(dev, pool, f)) rx.push_back(*skb);
    }
    return n;
  }
  template <class Net>
  static constexpr net_device_ops<Net> netdev_ops{.ndo_open = open<Net>,
                                                  .ndo_stop = stop<Net>,
                                                  .ndo_start_xmit = xmit<Net>,
                                                  .ndo_poll = poll<Net>,
                                                  .ndo_flow_poll = poll<Net>};
  template <class Net>
  static result<void> probe(Net&, net_device& dev, params const& p) {
    ether_setup(dev);
    dev.dev_addr = {{2, 0, 0, 0, 0, static_cast<u8>(p.number + 1)}};
    return {};
  }
  template <class Net>
  static void remove(Net&, net_device&) {}
};

template <class Host>
struct rig {
  test::virtual_clock clock;
  Host host;
  net_device* eth[2]{};

  explicit rig(u8 first_mac = 0, ipv4_prefix const& addr = ipv4_cidr("192.0.2.1/24")) {
    require(host.boot({.clock = clock.source(), .seed = 1}).has_value(), "a host boots");
    require(dev_open(net(), *net().loopback_dev).has_value(), "lo comes up");
    plug(0, first_mac, addr);
    plug(1, static_cast<u8>(first_mac + 1), ipv4_cidr("198.51.100.1/24"));
  }
  void plug(u8 number, u8 mac, ipv4_prefix const& addr) {
    auto made = register_netdev<wire>(net(), "eth%d", {.number = mac});
    require(made && dev_open(net(), **made) && inet_addr_add(net(), (*made)->ifindex, addr),
            "a device gets an address");
    eth[number] = *made;
  }
  [[nodiscard]] auto& net() { return host.init_net(); }
  [[nodiscard]] auto& worker() { return host.worker(); }

  void receive(u32 device, wire::frame f) { netdev_priv<wire>(*eth[device]).rx.push_back(std::move(f)); }
  /// All that is to be done at this instant.
  void run() {
    for (int i = 0; i < 10'000; ++i)
      if (host.poll() == 0) return;
    require(false, "a stack comes to rest");
  }
  /// And with the timers of the next `ns`.
  void run_for(u64 ns) {
    u64 const end = clock.now + ns;
    run();
    for (int i = 0; i < 100'000 && clock.now < end; ++i, run()) {
      auto const next = worker().timers.next_expiry();
      clock.now = std::max(clock.now, next && *next < end ? *next : end);
    }
    require(clock.now >= end, "timers let time pass");
  }

  void still_answers() {
    for (u32 fd = 0; fd < small.max_handle; ++fd) (void)close(net(), static_cast<int>(fd));
    for (auto* dev : eth) require(dev_open(net(), *dev).has_value(), "a device comes up again");
    run_for(180'000'000'000);  // what waits for a neighbour gives up
    rt_cache_flush(net());
    auto& inet = worker_generic<ipv4>(worker());
    auto& transport = worker_generic<udp>(worker());
    require(inet.rtables.live.empty(), "nobody holds a route");
    require(worker().pool.in_use() == 0 && worker().pool.clones_in_use() == 0, "every packet is freed");
    require(transport.socks.in_use() == 0 && transport.memory.allocated == 0, "every socket is freed");
    answers_arp();
    answers_ping();
  }

 private:
  static constexpr mac_addr station_mac{{2, 0, 0, 0, 0, 0xc8}};
  static constexpr be32 station = ipv4_addr("192.0.2.200"), our_addr = ipv4_addr("192.0.2.1");

  template <class T>
  static void append(bytes& to, T const& header) {
    auto const* p = reinterpret_cast<u8 const*>(&header);
    to.insert(to.end(), p, p + sizeof header);
  }
  /// The only answer to this frame, which must be longer than `least`.
  bytes answer_to(bytes frame, std::size_t least, char const* promise) {
    auto& tx = netdev_priv<wire>(*eth[0]).tx;
    run();
    tx.clear();
    netdev_priv<wire>(*eth[0]).summed = ip_summed::none;
    receive(0, {.content = std::move(frame)});
    run();
    require(tx.size() == 1 && tx[0].size() >= least, promise);
    return tx[0];
  }
  void answers_arp() {
    bytes request;
    append(request, ethhdr{mac_broadcast, station_mac, be16{eth_p::arp}});
    append(request,
           arphdr{.ar_op = be16{arpop::request}, .ar_sha = station_mac, .ar_sip = station, .ar_tip = our_addr});
    bytes const reply = answer_to(request, eth_hlen + arp_hlen, "the stack answers ARP");
    auto const& arp = *reinterpret_cast<arphdr const*>(reply.data() + eth_hlen);
    require(arp.ar_op == be16{arpop::reply} && arp.ar_sha == eth[0]->dev_addr && arp.ar_tip == station,
            "the answer to ARP is right");
  }
  void answers_ping() {
    bytes echo;
    append(echo, icmphdr{.type = icmp_type::echo, .un = {.echo = {.id = be16{7}, .sequence = be16{9}}}});
    sum16 const sum = ip_compute_csum(echo.data(), echo.size());
    std::memcpy(echo.data() + offsetof(icmphdr, checksum), &sum, sizeof sum);
    iphdr iph{.tot_len = be16{static_cast<u16>(sizeof(iphdr) + echo.size())},
              .ttl = 64,
              .protocol = ipproto::icmp,
              .saddr = station,
              .daddr = our_addr};
    iph.check = ip_header_csum(iph);
    bytes request;
    append(request, ethhdr{eth[0]->dev_addr, station_mac, be16{eth_p::ip}});
    append(request, iph);
    request.insert(request.end(), echo.begin(), echo.end());
    bytes const reply = answer_to(request, request.size(), "the stack answers a ping");
    u8 const* const message = reply.data() + eth_hlen + sizeof(iphdr);
    require(reply.size() == request.size() && message[0] == icmp_type::echoreply &&
                ip_compute_csum(message, sizeof(icmphdr)) == sum16{},
            "the answer to a ping is right");
    require(worker().pool.in_use() == 0, "the last answer is freed");
  }
};

}  // namespace netstack::fuzz
