// SPDX-License-Identifier: BSL-1.0
// Checksums of sent packets that AF_XDP leaves to Linux, with Linux as the peer over veth, in network namespaces of the
// test's own: what arrives unfinished, and finished where the option, the user or a long MTU says so; what Linux and
// the stack forward; headers of others in front of a frame; frames without room in front.
#include <netinet/in.h>

#include "netstack/core/dev_config.hpp"
#include "netstack/drivers/af_xdp.hpp"
#include "netstack/drivers/tap.hpp"
#include "support/tcp_echo.hpp"
#include "support/veth_rig.hpp"

namespace {

using namespace netstack;
using drivers::af_xdp;
using test::netns;
using test::packet_socket;
using test::says;
using virtio_net_hdr = packet_socket::virtio_net_hdr;

struct host : stack<host, presets::full, af_xdp, drivers::tap, sizes<config{.max_net = 1, .skb_pool = 4096}>> {};
using xdp_pair = test::veth_pair<host, af_xdp>;

/// Also where the kernel leaves no choice.
bool cannot_run() {
  return test::skip_without_root("makes a network namespace and a veth pair") || !drivers::detail::linux_since(6, 18);
}

/// What a frame of IPv4 (no options) says of its L4 checksum, once it is finished.
bool sum_is_right(std::vector<u8> const& f) {
  iphdr ip;
  if (f.size() < sizeof(ethhdr) + sizeof ip) return false;
  std::memcpy(&ip, f.data() + sizeof(ethhdr), sizeof ip);
  std::size_t const l4 = sizeof(ethhdr) + sizeof ip;
  auto const len = static_cast<u32>(ip.tot_len.host() - sizeof ip);
  if (l4 + len > f.size()) return false;
  u32 const pseudo = csum_tcpudp_nofold(ip.saddr, ip.daddr, len, ip.protocol, 0);
  return csum_fold(csum_partial(f.data() + l4, len, pseudo)) == sum16{};
}

/// A frame of Linux's, its checksum finished here if `header` says that it was not.
struct seen {
  std::vector<u8> frame;
  virtio_net_hdr header;
  bool unfinished = false, right = false;
};
bool take(packet_socket const& far, seen& s) {
  if (!far.receive(s.frame, s.header)) return false;
  s.unfinished = (s.header.flags & virtio_net_hdr::needs_csum) != 0;
  if (s.unfinished) {
    std::size_t const from = s.header.csum_start, at = from + s.header.csum_offset;
    REQUIRE(at + 2 <= s.frame.size());
    sum16 const sum = csum_fold(csum_partial(s.frame.data() + from, s.frame.size() - from, 0));
    std::memcpy(s.frame.data() + at, &sum, sizeof sum);
  }
  s.right = sum_is_right(s.frame);
  return true;
}
/// The next of IPv4.
seen look(xdp_pair& t, packet_socket const& far) {
  seen s;
  REQUIRE(t.poll_until([&] { return take(far, s) && s.frame[12] == 0x08 && s.frame[13] == 0; }));
  return s;
}

/// A datagram of ours to port 9 of 192.0.2.1.
void send_datagram(xdp_pair& t, std::size_t bytes) {
  int const fd = socket(t.net(), af::inet, sock_type::dgram).value();
  std::vector<char> const text(bytes, 'x');
  REQUIRE(sendto(t.net(), fd, text.data(), bytes, 0, inet_addr_of(ipv4_addr("192.0.2.1"), 9)));
  REQUIRE(close(t.net(), fd));
}

/// Linux and the stack know each other's link addresses.
void meet(xdp_pair& t) {
  packet_socket far;
  far.open("nst1", eth_p::ip);
  send_datagram(t, 1);
  (void)look(t, far);
}

u64 linux_counts(char const* name) {
  auto const text = netns::run(std::string("nstat -asz ") + name);
  auto const at = text.find(name);
  REQUIRE(at != std::string::npos);
  return std::stoull(text.substr(at + std::strlen(name)));
}

/// UDP of this size to the device from 192.0.2.1, as Linux would hand it to an interface that finishes checksums.
std::vector<u8> unfinished_datagram(mac_addr to, be32 daddr, std::size_t payload, virtio_net_hdr& header) {
  std::vector<u8> f(sizeof(ethhdr) + ip_hlen_min + udp_hlen + payload, 0x5a);
  ethhdr const eth{.h_dest = to, .h_source = {{2, 0, 0, 0, 0, 9}}, .h_proto = be16{eth_p::ip}};
  iphdr ip{.tot_len = be16{static_cast<u16>(f.size() - sizeof eth)}, .ttl = 64, .protocol = ipproto::udp};
  ip.saddr = ipv4_addr("198.51.100.1"), ip.daddr = daddr;
  ip.check = ip_header_csum(ip);
  auto const len = static_cast<u32>(udp_hlen + payload);
  udphdr uh{.source = be16{1}, .dest = be16{9}, .len = be16{static_cast<u16>(len)}};
  uh.check = sum16{static_cast<u16>(~csum_tcpudp_magic(ip.saddr, ip.daddr, len, ipproto::udp, 0).raw())};
  std::memcpy(f.data(), &eth, sizeof eth);
  std::memcpy(f.data() + sizeof eth, &ip, sizeof ip);
  std::memcpy(f.data() + sizeof eth + sizeof ip, &uh, sizeof uh);
  header.flags = virtio_net_hdr::needs_csum, header.csum_start = sizeof eth + sizeof ip;
  header.csum_offset = offsetof(udphdr, check);
  return f;
}
/// The same as a packet of ours, with `room` bytes in front.
sk_buff& unfinished_packet(xdp_pair& t, u32 room, u32 payload = 700) {
  virtio_net_hdr header;
  auto const f = unfinished_datagram({{2, 0, 0, 0, 0, 8}}, ipv4_addr("192.0.2.1"), payload, header);
  sk_buff* const skb = t.pool().alloc_skb(room);
  REQUIRE(skb);
  std::memcpy(skb->put(static_cast<u32>(f.size())), f.data(), f.size());
  skb->dev = t.dev;
  skb->reset_mac_header();
  REQUIRE(skb_partial_csum_set(*skb, header.csum_start, header.csum_offset));
  return *skb;
}

}  // namespace

TEST_CASE("UDP leaves its checksums to Linux over AF_XDP, if told to", "[S45][xdp]") {
  if (cannot_run()) return;
  CHECK_FALSE(af_xdp::params{}.tx_checksums);  // another stack at the other end would lose all of it
  for (auto mode : {drivers::xdp_mode::native, drivers::xdp_mode::skb})
    for (bool const leave : {true, false}) {
      xdp_pair t({.mode = mode, .tx_checksums = leave});
      CHECK(((t.dev->features & netif_f::hw_csum) != 0) == leave);
      CHECK(((t.dev->features & netif_f::sg) != 0) == !leave);
      meet(t);
      packet_socket far;
      far.open("nst1", eth_p::ip);
      for (std::size_t const bytes : {1u, 214u, 215u, 1471u, 1472u}) {
        send_datagram(t, bytes);
        auto const s = look(t, far);
        CHECK(s.unfinished == (leave && bytes > 214));  // 256 bytes in all are summed at once
        CHECK(s.right);
        if (s.unfinished) CHECK((s.header.csum_start == 34 && s.header.csum_offset == offsetof(udphdr, check)));
      }
      CHECK(t.poll_until([&] { return t.pool().in_use() == 0; }));
    }
}

TEST_CASE("TCP leaves its checksums to Linux over AF_XDP, which finds none wrong in two megabytes",
          "[S45][S100][xdp]") {
  if (cannot_run()) return;
  for (bool const leave : {true, false}) {
    xdp_pair t({.tx_checksums = leave});
    packet_socket far;
    far.open("nst1", eth_p::ip);
    test::tcp_echo_server server(t.net(), 7);
    std::string const sent = test::stream_of(2'000'000);
    constexpr std::size_t few = 100;  // come and go alone
    std::string echo;
    std::atomic<bool> done{false};
    std::thread client([&] {
      int const fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      auto const to = test::linux_socket::name("192.0.2.2", 7);
      bool const up = ::connect(fd, reinterpret_cast<::sockaddr const*>(&to), sizeof to) == 0;
      std::vector<char> buf(65536);
      auto const hear = [&] {
        auto const n = ::recv(fd, buf.data(), buf.size(), 0);
        if (n > 0) echo.append(buf.data(), static_cast<std::size_t>(n));
        return n > 0;
      };
      if (up && ::send(fd, sent.data(), few, MSG_NOSIGNAL) == static_cast<ssize_t>(few)) hear();
      std::thread writer([&] {
        for (std::size_t at = few; up && at < sent.size();) {
          auto const n = ::send(fd, sent.data() + at, sent.size() - at, MSG_NOSIGNAL);
          if (n <= 0) break;
          at += static_cast<std::size_t>(n);
        }
        ::shutdown(fd, SHUT_WR);
      });
      while (hear()) continue;
      writer.join();
      ::close(fd);
      done = true;
    });
    for (int i = 0; i < 60'000 && !done; ++i) {
      t.h.worker().wait(1'000'000);
      while (t.h.poll()) server.serve();
      server.serve();
    }
    client.join();
    CHECK((echo == sent));
    u32 unfinished = 0, wrong = 0, alone = 0;
    for (seen s; take(far, s);) {
      unfinished += s.unfinished, wrong += !s.right;
      if (s.frame.size() <= 256) CHECK(!s.unfinished);
      alone += s.frame.size() == 66 + few;
    }
    CHECK(alone != 0);
    CHECK((unfinished > 1000) == leave);
    CHECK((unfinished != 0) == leave);
    CHECK(wrong == 0);
    far.close();
    CHECK(linux_counts("TcpInCsumErrors") == 0);
    CHECK(linux_counts("TcpInErrs") == 0);
    CHECK(TCP_STATS(t.net()).RetransSegs.read() == 0);
    test::echo_every_size(t);
    CHECK(linux_counts("UdpInCsumErrors") == 0);
  }
}

TEST_CASE("what was left unfinished is finished by whom Linux forwards it to, or by the user's word", "[S45][xdp]") {
  if (cannot_run()) return;
  xdp_pair t({.tx_checksums = true});
  auto const send = [&] { REQUIRE(dev_queue_xmit(t.net(), unfinished_packet(t, 256))); };
  packet_socket beyond, far;
  test::bridge_to_nst5(t);
  beyond.open("nst5", eth_p::ip);
  send();
  CHECK(look(t, beyond).unfinished);  // a veth again
  test::ethtool_set("nst4", test::ethtool_stxcsum, false);
  send();
  auto s = look(t, beyond);
  CHECK((!s.unfinished && s.right));
  // Our own interface can no more: the kernel does.
  test::ethtool_set("nst4", test::ethtool_stxcsum, true);
  test::ethtool_set("nst0", test::ethtool_stxcsum, false);
  far.open("nst1", eth_p::all);  // the bridge takes the others first
  send();
  s = look(t, far);
  CHECK((!s.unfinished && s.right));
  // And ours is asked for no more: we do.
  test::ethtool_set("nst0", test::ethtool_stxcsum, true);
  dev_set_features(t.net(), *t.dev, 0);
  send();
  s = look(t, far);
  CHECK((!s.unfinished && s.right));
  dev_set_features(t.net(), *t.dev, netif_f::hw_csum);
  send();
  CHECK(look(t, far).unfinished);
}

TEST_CASE("a packet that came unfinished is forwarded so to AF_XDP, or finished before", "[S45][xdp]") {
  if (cannot_run()) return;
  for (bool const leave : {true, false}) {
    xdp_pair t({.tx_checksums = leave});
    auto tap = register_netdev<drivers::tap>(t.net(), "tap0", {.ifname = "nst2", .vnet_hdr = true, .bring_up = true});
    REQUIRE((tap && dev_open(t.net(), **tap)));
    REQUIRE(inet_addr_add(t.net(), (*tap)->ifindex, ipv4_cidr("198.51.100.2/24")));
    REQUIRE(sysctl_write(t.net(), "net/ipv4/ip_forward", "1"));
    meet(t);
    packet_socket near, far;
    near.open("nst2", eth_p::ip), far.open("nst1", eth_p::ip);
    for (std::size_t const payload : {0u, 1u, 700u, 1472u}) {
      virtio_net_hdr header;
      auto const f = unfinished_datagram((*tap)->dev_addr, ipv4_addr("192.0.2.1"), payload, header);
      REQUIRE(near.send(f, header));
      auto const s = look(t, far);
      CHECK(s.frame.size() == f.size());
      CHECK(s.unfinished == (leave && payload > 1));
      CHECK(s.right);
    }
    CHECK(t.poll_until([&] { return t.pool().in_use() == 0; }));
  }
}

TEST_CASE("what the kernel is told of a frame overwrites no header of others, and needs room", "[S36][xdp]") {
  if (cannot_run()) return;
  xdp_pair t({.tx_checksums = true});
  packet_socket far;
  far.open("nst1", eth_p::ip);
  auto const& ops = xdp_pair::net_t::netdev_ops[t.dev->driver];
  // Behind a header that another reads, alone and in a list; held by another; without room in front.
  for (bool const listed : {false, true}) {
    sk_buff& inner = unfinished_packet(t, 256);
    std::memset(inner.push(16), 0x77, 16);
    sk_buff* const outer = skb_clone(inner);
    REQUIRE((outer && inner.pull(16)));
    sk_buff& held = skb_get(unfinished_packet(t, 256));
    u32 const frame = held.frame;
    sk_buff* const tight = &unfinished_packet(t, 0);
    for (sk_buff* skb : {&inner, &held, tight}) {
      skb_list one;
      one.push_back(*skb);
      if (listed)
        ops.ndo_xmit_list(t.net(), *t.dev, one, false);
      else
        CHECK(ops.ndo_start_xmit(t.net(), *t.dev, *one.pop_front(), false) == netdev_tx::ok);
      auto const s = look(t, far);
      CHECK((!s.unfinished && s.right));
    }
    for (u32 i = 0; i < 16; ++i) CHECK(outer->data[i] == 0x77);
    CHECK((held.frame == frame && !skb_shared(held) && held.ip_summed == ip_summed::partial));
    consume_skb(*outer);
    consume_skb(held);
  }
  // One whose checksum is finished needs the room too.
  sk_buff& whole = unfinished_packet(t, 0);
  REQUIRE(skb_checksum_help(whole));
  CHECK(ops.ndo_start_xmit(t.net(), *t.dev, whole, false) == netdev_tx::ok);
  auto const s = look(t, far);
  CHECK((!s.unfinished && s.right));
  CHECK(t.dev->stats.tx_errors.read() == 0);
  // What the kernel would refuse again and again is refused here, and stops nothing.
  for (int const shift : {-40, 1000}) {
    sk_buff& bad = unfinished_packet(t, 256);
    bad.csum_start = static_cast<u16>(bad.csum_start + shift);
    CHECK(ops.ndo_start_xmit(t.net(), *t.dev, bad, false) == netdev_tx::ok);
  }
  CHECK(t.dev->stats.tx_errors.read() == 2);
  CHECK(ops.ndo_start_xmit(t.net(), *t.dev, unfinished_packet(t, 256), false) == netdev_tx::ok);
  CHECK(look(t, far).unfinished);
  CHECK(t.poll_until([&] { return t.pool().in_use() == 0; }));
}

TEST_CASE("a kernel's age is told by both its numbers", "[xdp]") {
  ::utsname name{};
  u32 major = 0, minor = 0;
  REQUIRE((::uname(&name) == 0 && std::sscanf(name.release, "%u.%u", &major, &minor) == 2));
  using drivers::detail::linux_since;
  CHECK((linux_since(major, minor) && linux_since(major - 1, minor + 1) && linux_since(major, 0)));
  CHECK((!linux_since(major, minor + 1) && !linux_since(major + 1, 0)));
}

TEST_CASE("an interface of long frames takes pieces instead, also beside one that does not", "[xdp]") {
  if (cannot_run()) return;
  netns ns;
  test::make_veth("mtu 9000");
  ns.run("ip link add nst2 type veth peer name nst3 && ip link set nst2 up && ip link set nst3 up");
  host h;
  REQUIRE(h.boot());
  auto& net = h.init_net();
  auto shorter = register_netdev<af_xdp>(net, "shorter", {.ifname = "nst2", .tx_checksums = true}),
       longer = register_netdev<af_xdp>(net, "longer", {.ifname = "nst0", .tx_checksums = true});
  REQUIRE((shorter && longer && dev_open(net, **shorter) && dev_open(net, **longer)));
  REQUIRE(test::carrier(h, {*shorter, *longer}));
  CHECK((((*shorter)->features & netif_f::hw_csum) && !((*shorter)->features & netif_f::sg)));
  CHECK((((*longer)->features & netif_f::sg) && !((*longer)->features & netif_f::hw_csum)));
  packet_socket at_longer, at_shorter;
  at_longer.open("nst1", 0x88b5), at_shorter.open("nst3", 0x88b5);
  auto const passes = [&](net_device& dev, packet_socket const& far, u32 len) {
    auto const f = test::frame_of(dev, len, 0x88b5);
    sk_buff* const skb = alloc_skb_with_frags(h.worker().pool, 256, 100, len - 100);
    REQUIRE((skb && skb_store_bits(*skb, 0, f.data(), len)));
    skb->dev = &dev;
    REQUIRE(dev_queue_xmit(net, *skb));
    std::vector<u8> got;
    for (int i = 0; i < 3000 && !far.receive(got); ++i) h.worker().wait(1'000'000), h.poll();
    CHECK(got == f);
  };
  passes(**longer, at_longer, 9014);
  passes(**longer, at_longer, 1514);
  passes(**shorter, at_shorter, 1514);
}
