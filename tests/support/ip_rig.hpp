// SPDX-License-Identifier: BSL-1.0
// Decides: how IPv4 is tested from the wire: a stack whose devices record what they send and receive what a test makes
// up, on a virtual clock. Datagrams are built field by field, so that each may be wrong on purpose.
//
//   ip_rig<> rig;                                   // eth0 192.0.2.1/24, the station 192.0.2.9 known on it, lo up
//   rig.inject(datagram{.payload = echo_request(1, 1, bytes(56))});
//   auto sent = rig.sent();                         // frames since the last call
//   CHECK(sent.at(0).icmp().type == icmp_type::echoreply);
//   CHECK(rig.drops(drop_reason::ip_csum) == 0);
// Own modules: struct host : rig_stack<host, my_module> {}; ip_rig<host> rig;
#pragma once
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "netstack/ipv4/ipv4.hpp"
#include "netstack/stack/stack.hpp"
#include "netstack/wire/udp.hpp"
#include "support/catch.hpp"
#include "support/virtual_clock.hpp"

namespace netstack::test {

using bytes = std::vector<u8>;

template <class T>
void append(bytes& to, T const& header) {
  auto const* p = reinterpret_cast<u8 const*>(&header);
  to.insert(to.end(), p, p + sizeof header);
}
inline bytes operator+(bytes a, bytes const& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// --- what a test sends --------------------------------------------------------------------------------------------

inline constexpr mac_addr our_mac{{2, 0, 0, 0, 0, 1}}, peer_mac{{2, 0, 0, 0, 0, 9}};
inline constexpr be32 our_addr = ipv4_addr("192.0.2.1"), peer_addr = ipv4_addr("192.0.2.9");

/// An IPv4 datagram from the peer to us; what is not set is filled in rightly.
struct datagram {
  be32 saddr = peer_addr, daddr = our_addr;
  u8 ttl = 64, protocol = ipproto::icmp, tos = 0;
  u16 id = 1, frag_off = 0;
  bytes options{};  ///< padded to words
  bytes payload{};
  std::optional<u8> ver_ihl{};
  std::optional<u16> tot_len{};
  std::optional<u16> check{};

  [[nodiscard]] bytes build() const {
    bytes padded = options;
    while (padded.size() % 4) padded.push_back(0);
    std::size_t const hlen = sizeof(iphdr) + padded.size();
    iphdr iph{.ver_ihl = ver_ihl.value_or(static_cast<u8>(0x40 | hlen / 4)),
              .tos = tos,
              .tot_len = be16{tot_len.value_or(static_cast<u16>(hlen + payload.size()))},
              .id = be16{id},
              .frag_off = be16{frag_off},
              .ttl = ttl,
              .protocol = protocol,
              .saddr = saddr,
              .daddr = daddr};
    bytes out;
    append(out, iph);
    out = out + padded;
    sum16 const sum = check ? sum16{*check} : ip_compute_csum(out.data(), out.size());
    std::memcpy(out.data() + offsetof(iphdr, check), &sum, sizeof sum);
    return out + payload;
  }
};

/// An ICMP message; `rest` is the second word, host order.
inline bytes icmp_message(u8 type, u8 code, u32 rest, bytes const& body, bool right = true) {
  bytes out;
  append(out, icmphdr{.type = type, .code = code, .un = std::bit_cast<icmp_un>(be32{rest})});
  out = out + body;
  sum16 sum = ip_compute_csum(out.data(), out.size());
  if (!right) sum = sum16{static_cast<u16>(~sum.raw())};
  std::memcpy(out.data() + offsetof(icmphdr, checksum), &sum, sizeof sum);
  return out;
}
inline bytes echo_request(u16 id, u16 seq, bytes const& body) {
  return icmp_message(icmp_type::echo, 0, u32{id} << 16 | seq, body);
}
/// Ports and length only: the checksum is none.
inline bytes udp_message(u16 source, u16 dest, bytes const& body) {
  bytes out;
  append(out, udphdr{be16{source}, be16{dest}, be16{static_cast<u16>(sizeof(udphdr) + body.size())}, {}});
  return out + body;
}

// --- what the stack sends -----------------------------------------------------------------------------------------

/// A frame as a device sent it.
struct sent_frame {
  bytes frame;
  u32 ifindex = 0;
  std::size_t link = 0;  ///< bytes of link header

  template <class H>
  [[nodiscard]] H at(std::size_t offset) const {
    H header;
    REQUIRE(frame.size() >= offset + sizeof header);
    std::memcpy(static_cast<void*>(&header), frame.data() + offset, sizeof header);
    return header;
  }
  [[nodiscard]] ethhdr eth() const { return at<ethhdr>(0); }
  [[nodiscard]] bool is_ip() const { return link == 0 || eth().h_proto.host() == eth_p::ip; }
  [[nodiscard]] iphdr ip() const { return at<iphdr>(link); }
  [[nodiscard]] std::size_t l4() const { return link + ip().header_len(); }
  [[nodiscard]] icmphdr icmp() const { return at<icmphdr>(l4()); }
  /// What follows `skip` bytes of the transport's message, up to the datagram's length.
  [[nodiscard]] bytes payload(std::size_t skip = 0) const {
    auto const from = static_cast<std::ptrdiff_t>(l4() + skip),
               to = static_cast<std::ptrdiff_t>(link + ip().tot_len.host());
    return {frame.begin() + from, frame.begin() + to};
  }
  [[nodiscard]] bytes options() const {
    return {frame.begin() + static_cast<std::ptrdiff_t>(link + sizeof(iphdr)),
            frame.begin() + static_cast<std::ptrdiff_t>(l4())};
  }
  /// Both checksums of an ICMP datagram are right, and its length is the frame's.
  [[nodiscard]] bool is_sound() const {
    bytes const body = payload();
    bool const icmp_right = ip().protocol != ipproto::icmp || ip_compute_csum(body.data(), body.size()) == sum16{};
    return ip_compute_csum(frame.data() + link, ip().header_len()) == sum16{} && icmp_right &&
           frame.size() == link + ip().tot_len.host();
  }
};

// --- the device ---------------------------------------------------------------------------------------------------

struct rig_dev : driver {
  static constexpr char const* name = "rig";
  struct params {
    mac_addr mac = our_mac;
    u32 mtu = 1500;
    u16 type = arphrd::ether;
    u32 extra_flags = 0;
  };
  struct priv {
    std::deque<bytes> rx;
    std::vector<sent_frame> tx;
    ip_summed summed = ip_summed::none;  ///< what the device says of the frames it receives
    bool recognises = false;             ///< it asks for known flows (core/rx_flow)
    bool shorts = false;                 ///< it has a place for short frames, as a pipe has
    u32 short_len = 0;
    std::array<u8, short_frame_max> short_frame{};
    bool keeps = false;                            ///< sent frames stay with it, as with hardware, until complete()
    std::vector<std::pair<sk_buff*, bytes>> kept;  ///< and what each looked like when it was sent
  };
  template <class Net>
  static result<void> open(Net&, net_device&) {
    return {};
  }
  template <class Net>
  static void stop(Net&, net_device&) {}
  template <class Net>
  static netdev_tx xmit(Net&, net_device& dev, sk_buff& skb, bool) {
    netdev_priv<rig_dev>(dev).tx.push_back(
        {bytes(skb.data, skb.data + skb.len), dev.ifindex, std::size_t{dev.hard_header_len}});
    auto& p = netdev_priv<rig_dev>(dev);
    if (p.keeps)
      p.kept.emplace_back(&skb, p.tx.back().frame);
    else
      consume_skb(skb);
    return netdev_tx::ok;
  }
  template <class Net>
  static u8* short_begin(Net&, net_device& dev, u32 len) {
    auto& p = netdev_priv<rig_dev>(dev);
    p.short_len = len;
    return p.shorts && dev.type == arphrd::ether ? p.short_frame.data() : nullptr;
  }
  template <class Net>
  static void short_end(Net&, net_device& dev, bool) {
    auto& p = netdev_priv<rig_dev>(dev);
    p.tx.push_back({bytes(p.short_frame.data(), p.short_frame.data() + p.short_len), dev.ifindex, eth_hlen});
  }
  /// The wire is done with what was kept; how many of the frames were written to meanwhile.
  static std::size_t complete(net_device& dev) {
    std::size_t altered = 0;
    for (auto& [skb, frame] : std::exchange(netdev_priv<rig_dev>(dev).kept, {})) {
      altered += bytes(skb->data, skb->data + skb->len) != frame;
      consume_skb(*skb);
    }
    return altered;
  }
  template <class Net>
  static u32 poll_recognising(Net& net, net_device& dev, u32 budget, skb_list& rx) {
    auto& p = netdev_priv<rig_dev>(dev);
    auto const at = static_cast<u16>(net.worker().pool.rx_headroom());
    bool const summed = p.summed == ip_summed::unnecessary;
    rx_flow_burst<Net> flow{net, dev, at, summed};
    return net.worker().pool.alloc_bulk(std::min(budget, static_cast<u32>(p.rx.size())), rx,
                                        [&](sk_buff& skb, u8* data) {
                                          bytes const frame = std::move(p.rx.front());
                                          p.rx.pop_front();
                                          if (!frame.empty()) std::memcpy(data, frame.data(), frame.size());
                                          eth_rx(flow, skb, dev, data, at, static_cast<u32>(frame.size()), summed);
                                        });
  }
  template <class Net>
  static u32 poll(Net& net, net_device& dev, u32 budget, skb_list& rx) {
    auto& queue = netdev_priv<rig_dev>(dev).rx;
    if (netdev_priv<rig_dev>(dev).recognises) return poll_recognising(net, dev, budget, rx);
    u32 n = 0;
    for (; n < budget && !queue.empty(); ++n) {
      sk_buff* skb = net.worker().pool.alloc_skb();
      if (!skb) break;
      bytes const frame = std::move(queue.front());
      queue.pop_front();
      // At the very end of its frame, so that reading past it is reading past the frame.
      u32 const room = skb->tailroom() - static_cast<u32>(frame.size());
      skb->reserve(room);
      if (!frame.empty()) std::memcpy(skb->put(static_cast<u32>(frame.size())), frame.data(), frame.size());
      skb->ip_summed = netdev_priv<rig_dev>(dev).summed;
      if (dev.hard_header_len) {
        eth_type_trans(*skb, dev);
      } else {
        skb->dev = &dev;
        skb->reset_mac_header();
        skb->protocol = be16{eth_p::ip};
        skb->pkt_type = pkt_type::host;
      }
      rx.push_back(*skb);
    }
    return n;
  }
  template <class Net>
  static constexpr net_device_ops<Net> netdev_ops{.ndo_open = open<Net>,
                                                  .ndo_stop = stop<Net>,
                                                  .ndo_start_xmit = xmit<Net>,
                                                  .ndo_short_begin = short_begin<Net>,
                                                  .ndo_short_end = short_end<Net>,
                                                  .ndo_short_xmit = xmit<Net>,
                                                  .ndo_poll = poll<Net>,
                                                  .ndo_flow_poll = poll<Net>};
  template <class Net>
  static result<void> probe(Net&, net_device& dev, params const& p) {
    if (p.type == arphrd::ether) {
      ether_setup(dev);
      dev.dev_addr = p.mac;
    } else {
      dev.type = p.type;
      dev.hard_header_len = 0;
      dev.flags |= iff::noarp | iff::pointopoint;
    }
    dev.flags |= p.extra_flags;
    dev.mtu = p.mtu;
    return {};
  }
  template <class Net>
  static void remove(Net&, net_device&) {}
};

// --- the rig ------------------------------------------------------------------------------------------------------

inline constexpr config rig_sizes{.skb_pool = 512, .skb_clones = 64, .frame_size = 4096};

template <class Host, class... Extra>
struct rig_stack : stack<Host, ipv4, rig_dev, Extra..., sizes<rig_sizes>> {};
struct rig_host : rig_stack<rig_host> {};

template <class Host = rig_host>
struct ip_rig {
  using net_t = netstack::net<Host>;
  virtual_clock clock;
  Host host;
  net_device* eth0 = nullptr;

  explicit ip_rig(u64 seed = 1) {
    REQUIRE(host.boot({.clock = clock.source(), .seed = seed}));
    REQUIRE(dev_open(net(), *net().loopback_dev));
    eth0 = add_device(rig_dev::params{}, "192.0.2.1/24");
    know(*eth0, peer_addr, peer_mac);
  }

  [[nodiscard]] net_t& net() { return host.init_net(); }
  [[nodiscard]] netns_ipv4& ns() { return ipv4_net(net()); }
  [[nodiscard]] ipstats_mib& ip() { return IP_STATS(net()); }
  [[nodiscard]] icmp_mib& icmp() { return ICMP_STATS(net()); }
  [[nodiscard]] u64 drops(drop_reason why) { return net().drops[static_cast<std::size_t>(why)].read(); }

  /// A further device, up, with an address (empty: none).
  net_device* add_device(rig_dev::params const& params, std::string_view cidr) {
    auto dev = register_netdev<rig_dev>(net(), "eth%d", params);
    REQUIRE(dev);
    REQUIRE(dev_open(net(), **dev));
    if (!cidr.empty()) REQUIRE(inet_addr_add(net(), (*dev)->ifindex, ipv4_cidr(cidr)));
    return *dev;
  }
  /// A neighbour that need not be asked for.
  void know(net_device& dev, be32 addr, mac_addr const& mac) { REQUIRE(neigh_add(net(), dev.ifindex, addr, mac)); }

  /// Receives a frame and does all that follows at this instant.
  void receive(net_device& dev, bytes const& frame) {
    netdev_priv<rig_dev>(dev).rx.push_back(frame);
    run();
  }
  /// The same for IPv4, in a frame to `mac`.
  void inject_bytes(bytes const& packet, mac_addr const& mac = our_mac, net_device* dev = nullptr) {
    net_device& to = dev ? *dev : *eth0;
    bytes frame;
    if (to.hard_header_len) append(frame, ethhdr{mac, peer_mac, be16{eth_p::ip}});
    receive(to, frame + packet);
  }
  void inject(datagram const& d, mac_addr const& mac = our_mac, net_device* dev = nullptr) {
    inject_bytes(d.build(), mac, dev);
  }
  void run() {
    while (host.poll()) {
    }
  }
  void run_for(u64 ns) {
    u64 const end = clock.now + ns;
    for (run(); clock.now < end; run()) {
      auto const next = host.worker().timers.next_expiry();
      clock.now = std::max(clock.now, next && *next < end ? *next : end);
    }
    run();
  }
  /// What was sent since the last call, by a device or by all in order of device.
  std::vector<sent_frame> sent(net_device& dev) { return std::exchange(netdev_priv<rig_dev>(dev).tx, {}); }
  std::vector<sent_frame> sent() {
    std::vector<sent_frame> all;
    for (auto& dev : net().dev_base)
      if (!dev.is_loopback())
        for (auto& frame : sent(dev)) all.push_back(std::move(frame));
    return all;
  }
  /// Sends one datagram from this host; its answer.
  result<void> send(flowi4 fl4, ip_tx const& tx, bytes const& payload) {
    auto rt = ip_route_output_key(net(), fl4);
    if (!rt) return failure{rt.error()};
    sk_buff* skb = host.worker().pool.alloc_skb();
    REQUIRE(skb);
    if (!payload.empty()) std::memcpy(skb->put(static_cast<u32>(payload.size())), payload.data(), payload.size());
    return ip_send_skb(net(), *skb, **rt, fl4, tx);
  }
  /// After anything, the stack still answers ARP and ping, and holds no packet.
  void still_alive() {
    (void)sent();
    bytes who_has;
    append(who_has, ethhdr{mac_broadcast, peer_mac, be16{eth_p::arp}});
    append(who_has, arphdr{.ar_op = be16{arpop::request}, .ar_sha = peer_mac, .ar_sip = peer_addr, .ar_tip = our_addr});
    receive(*eth0, who_has);
    auto const resolved = sent();
    REQUIRE(resolved.size() == 1);
    arphdr const arp = resolved[0].template at<arphdr>(eth_hlen);
    CHECK(arp.ar_op == be16{arpop::reply});
    CHECK(arp.ar_sha == our_mac);
    inject({.payload = echo_request(7, 7, bytes(8, 0x55))});
    auto const answer = sent();
    REQUIRE(answer.size() == 1);
    CHECK(answer[0].icmp().type == icmp_type::echoreply);
    CHECK(answer[0].is_sound());
    CHECK(host.worker().pool.in_use() == 0);
  }
};

}  // namespace netstack::test
