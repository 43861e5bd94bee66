// SPDX-License-Identifier: BSL-1.0
// Decides: how a driver that sits on Linux's own interfaces meets Linux in a test: a veth pair in the test's own
// namespace, the stack on nst0 and Linux on nst1; and how the driver is put under the conformance cases there. Needs
// root.
#pragma once
#include <atomic>
#include <string>
#include <thread>

#include "netstack/netstack.hpp"
#include "support/ethtool.hpp"
#include "support/linux_udp.hpp"
#include "support/netns.hpp"
#include "support/packet_socket.hpp"

namespace netstack::test {

/// nst0 and nst1, up, and Linux says nothing by itself.
inline void make_veth(std::string const& options = "") {
  (void)netns::attempt(
      "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6");
  netns::run("ip link add nst0 " + options + " type veth peer name nst1 " + options +
             " && ip link set nst0 up && ip link set nst1 up");
}

/// `Host` lists `Driver`, whose params name the interface by `ifname`.
template <class Host, class Driver>
struct veth_rig {
  using host = Host;
  using driver = Driver;
  static constexpr bool receives = true, exclusive = Driver::exclusive;
  static constexpr bool lossless = false;  // veth drops what the far socket cannot hold
  static constexpr u32 window = 256;
  static inline typename Driver::params params{};
  static inline packet_socket far;  // of all cases: to close one takes the kernel a while
  host h;

  result<net_device*> make(char const* name) {
    for (std::vector<u8> old; far.receive(old);) {
    }
    return register_netdev<Driver>(h.init_net(), name, params);
  }
  bool inject(std::span<u8 const> frame) { return far.send(frame); }
  bool collect(std::vector<u8>& frame) { return far.receive(frame); }
};

/// Waits until Linux has told that the links are up.
template <class Host>
bool carrier(Host& h, std::initializer_list<net_device*> devices) {
  auto const up = [&] { return std::all_of(devices.begin(), devices.end(), [](auto* d) { return d->carrier_ok(); }); };
  for (int i = 0; i < 3000 && !up(); ++i) {
    h.worker().wait(1'000'000);
    h.poll();
  }
  return up();
}

/// Linux is 192.0.2.1 on nst1, the stack 192.0.2.2 on nst0; run() gives it a thread of its own until join().
template <class Host, class Driver>
struct veth_pair {
  using net_t = netstack::net<Host>;
  using driver_type = Driver;
  netns ns;
  Host h;
  net_device* dev = nullptr;
  std::atomic<bool> stop{false};
  std::thread driver;

  /// Unless told otherwise Linux finishes the checksums of what it sends.
  explicit veth_pair(typename Driver::params p = {}, bool finish_checksums = true, std::string const& veth = "") {
    make_veth(veth);
    if (finish_checksums) ethtool_set("nst1", ethtool_stxcsum, false);
    REQUIRE(h.boot());
    REQUIRE(dev_open(net(), *net().loopback_dev));
    std::strcpy(p.ifname, "nst0");
    auto made = register_netdev<Driver>(net(), "eth0", p);
    REQUIRE(made);
    dev = *made;
    REQUIRE(dev_open(net(), *dev));
    REQUIRE(inet_addr_add(net(), dev->ifindex, ipv4_cidr("192.0.2.2/24")));
    ns.run("ip addr add 192.0.2.1/24 dev nst1");
    REQUIRE(carrier(h, {dev}));
  }
  ~veth_pair() { join(); }
  veth_pair(veth_pair const&) = delete;
  veth_pair& operator=(veth_pair const&) = delete;

  [[nodiscard]] net_t& net() { return h.init_net(); }
  [[nodiscard]] skb_pool& pool() { return h.worker().pool; }
  void run() {
    stop = false;
    driver = std::thread([this] {
      while (!stop.load(std::memory_order_relaxed)) {
        h.worker().wait(2'000'000);
        while (h.poll()) {
        }
      }
    });
  }
  void join() {
    stop = true;
    if (driver.joinable()) driver.join();
  }
  template <class Ready>
  bool poll_until(Ready ready) {
    for (int i = 0; i < 3000; ++i) {
      if (ready()) return true;
      h.worker().wait(1'000'000);
      while (h.poll()) {
      }
    }
    return false;
  }
  /// The next frame of that ethertype that the device received, from its link header on; empty: none in time.
  std::vector<u8> receive(u16 type) {
    std::vector<u8> got;
    poll_until([&] {
      skb_list burst;
      net_t::netdev_ops[dev->driver].ndo_poll(net(), *dev, 64, burst);
      while (sk_buff* skb = burst.pop_front()) {
        if (got.empty() && skb->protocol == be16{type}) {
          got.assign(skb->head + skb->mac_header, skb->data);
          for_each_piece(*skb, 0, skb->len, [&](u8 const* p, u32 n) { got.insert(got.end(), p, p + n); });
        }
        consume_skb(*skb);
      }
      return !got.empty();
    });
    return got;
  }
};

inline bool says(std::string const& text, char const* what) { return text.find(what) != std::string::npos; }
/// Puts a bridge between nst1 and nst5. What Linux bridges, it has taken the tag out of the frame, and laid it aside.
template <class Pair>
void bridge_to_nst5(Pair& t) {
  t.ns.run(
      "ip link add nst8 type bridge && ip link add nst4 type veth peer name nst5 && ip link set nst1 master nst8 && "
      "ip link set nst4 master nst8 && for i in 4 5 8; do ip link set nst$i up; done");
  // The kernel hears of a carrier in its own time, and until then the bridge forwards nothing.
  auto const text = t.ns.run(
      "for n in $(seq 500); do all=$(ip -d link show nst1; ip -d link show nst4; ip link show nst5); "
      "[ $(echo \"$all\" | grep -c 'state forwarding') = 2 ] && echo \"$all\" | grep -q 'nst5.* state UP' && "
      "echo ready && break; sleep 0.01; done");
  REQUIRE(says(text, "ready"));
}
/// A super-segment of Linux's TCP to 192.0.2.2, `len` bytes in all, as it is handed to an interface.
inline bool send_super_segment(packet_socket const& far, std::vector<u8>& f) {
  iphdr ip{.tot_len = be16{static_cast<u16>(f.size() - sizeof(ethhdr))}, .ttl = 64, .protocol = ipproto::tcp};
  ip.saddr = be32{0xc0000201}, ip.daddr = be32{0xc0000202};
  ip.check = ip_header_csum(ip);
  std::memcpy(f.data() + sizeof(ethhdr), &ip, sizeof ip);
  f[46] = 5 << 4;  // RFC 9293 §3.1: data offset
  packet_socket::virtio_net_hdr header;
  header.flags = header.needs_csum, header.gso_type = header.gso_tcpv4;
  header.hdr_len = 54, header.gso_size = 1448, header.csum_start = 34, header.csum_offset = 16;
  return far.send(f, header);
}

/// A frame to the device with bytes that tell their place.
inline std::vector<u8> frame_of(net_device const& dev, std::size_t len, u16 type) {
  std::vector<u8> f(len);
  for (std::size_t i = 0; i < len; ++i) f[i] = static_cast<u8>(i * 3 + i / 256);
  ethhdr const eth{.h_dest = dev.dev_addr, .h_source = {{2, 0, 0, 0, 0, 9}}, .h_proto = be16{type}};
  std::memcpy(f.data(), &eth, sizeof eth);
  return f;
}
/// Sends a frame of ours, of which `linear` bytes at most are in its first piece; with a tag beside it if `tci` is one.
template <class Pair>
void send_frame(Pair& t, std::vector<u8> const& f, u32 linear, int tci = -1) {
  auto const len = static_cast<u32>(f.size()), first = std::min(len, linear);
  sk_buff* const skb = alloc_skb_with_frags(t.pool(), 256, first, len - first);
  REQUIRE(skb);
  REQUIRE(skb_store_bits(*skb, 0, f.data(), len));
  skb->dev = t.dev;
  if (tci >= 0) skb->vlan_proto = be16{eth_p::p_8021q}, skb->vlan_tci = static_cast<u16>(tci);
  REQUIRE(dev_queue_xmit(t.net(), *skb));
}
/// Linux pings the stack, which has a thread of its own meanwhile, and misses no answer.
template <class Pair>
void pings_pass(Pair& t, std::string const& how) {
  t.run();
  auto const text = t.ns.run("ping -n -q " + how + " 192.0.2.2");
  t.join();
  INFO(text);
  CHECK(says(text, " 0% packet loss"));
}
/// Frames of these lengths come and go as they are.
template <class Pair>
void both_ways(Pair& t, std::initializer_list<std::size_t> lengths) {
  packet_socket far;
  far.open("nst1", 0x88b5);
  for (std::size_t len : lengths) {
    auto const f = frame_of(*t.dev, len, 0x88b5);
    REQUIRE(far.send(f));
    CHECK(t.receive(0x88b5) == f);
    send_frame(t, f, 1000);
    std::vector<u8> back;
    CHECK(t.poll_until([&] { return far.receive(back); }));
    CHECK(back == f);
  }
  CHECK(t.poll_until([&] { return t.pool().in_use() == 0; }));
}
/// Linux's end is deleted while it pings: the device says so, and its worker still sleeps when it is told to.
template <class Pair>
void vanishes_under_load(Pair& t) {
  t.run();
  std::thread load([&] { (void)netns::attempt("timeout 0.5 ping -n -q -f 192.0.2.2"); });
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  t.ns.run("ip link del nst1");
  load.join();
  t.join();
  CHECK(t.poll_until([&] { return !t.dev->carrier_ok(); }));
  CHECK(Pair::driver_type::gone(*t.dev));
  auto& worker = t.h.worker();
  u32 rounds = 0;
  worker.refresh_clock();
  for (u64 const start = worker.now; worker.now - start < 300'000'000; ++rounds) {
    worker.wait(100'000'000);
    while (t.h.poll()) {
    }
  }
  CHECK(rounds < 30);
  CHECK(t.pool().in_use() == 0);
}
/// Linux gets 0 to `most` bytes echoed byte for byte, and nothing stays behind.
template <class Pair>
void echo_every_size(Pair& t, std::size_t most = 1472) {
  stack_echo<typename Pair::net_t> server(t.net(), 7);
  auto const r = linux_asks_every_size(
      "192.0.2.2", 7,
      [&] {
        t.h.worker().wait(1'000'000);
        while (t.h.poll()) {
        }
      },
      most);
  CHECK(r.wrong == 0);
  CHECK(r.lost == 0);
  CHECK(server.echoed == most + 1);
  CHECK(UDP_STATS(t.net()).InCsumErrors.read() == 0);
  CHECK(t.poll_until([&] { return t.pool().in_use() == 0; }));
}

/// Checksums that veth leaves unfinished are refused and counted, or trusted on request.
template <class Pair>
void unfinished_checksums() {
  {
    Pair t({}, false);
    stack_echo<typename Pair::net_t> server(t.net(), 7);
    linux_socket client;
    client.connect("192.0.2.2", 7);
    for (int i = 0; i < 5; ++i) REQUIRE(::send(client.fd, "hello", 5, 0) == 5);
    CHECK(t.poll_until([&] { return UDP_STATS(t.net()).InCsumErrors.read() == 5; }));
    CHECK(server.echoed == 0);
  }
  Pair t({.trust_checksums = true}, false);
  echo_every_size(t);
}

}  // namespace netstack::test
