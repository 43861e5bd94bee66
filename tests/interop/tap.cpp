// SPDX-License-Identifier: BSL-1.0
// TAP and TUN against Linux: the conformance cases, refusals and what they are explained with, large frames, checksums
// and segments left to the other side, several queues, and a million packets without heap.
#include "netstack/drivers/tap.hpp"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "netstack/drivers/tun.hpp"
#include "netstack/wire/tcp.hpp"
#include "netstack/wire/udp.hpp"
#include "support/bouncer.hpp"
#include "support/conformance.hpp"
#include "support/in_child.hpp"
#include "support/netns.hpp"
#include "support/packet_socket.hpp"
#include "support/privileges.hpp"
#include "support/scale.hpp"
#include "support/tuntap_rig.hpp"

namespace {

using namespace netstack;

bool cannot_run() {
  return test::skip_without_root("makes a network namespace and TAP interfaces") ||
         test::skip_without_file("/dev/net/tun");
}

/// In a child: an empty /dev/net of its own.
bool own_dev_net() {
  return ::unshare(CLONE_NEWNS) == 0 && ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount("none", "/dev/net", "tmpfs", 0, nullptr) == 0;
}

struct host : stack<host, drivers::tap, drivers::tun, test::bouncer, sizes<config{.max_net = 1, .skb_pool = 512}>> {};

template <class Driver>
std::errc claim(typename Driver::params const& p) {
  host h;
  if (!h.boot()) return std::errc::not_enough_memory;
  auto dev = register_netdev<Driver>(h.init_net(), "dut", p);
  return dev ? std::errc{} : dev.error();
}

}  // namespace

TEST_CASE("TAP conforms, with and without a virtio header", "[S73][S74][S75][S78][S79]") {
  if (cannot_run()) return;
  test::netns ns;
  test::be_quiet();
  test::check_conformance<test::tuntap_rig<drivers::tap, true>>(72);
  test::check_conformance<test::tuntap_rig<drivers::tap, false>>(72);
}

TEST_CASE("TUN conforms", "[S73][S74][S75][S78][S79]") {
  if (cannot_run()) return;
  test::netns ns;
  test::be_quiet();
  test::check_conformance<test::tuntap_rig<drivers::tun, true>>(68);
}

TEST_CASE("each refusal of the kernel has its errno, and a line that says what to do", "[S73][S74]") {
  if (cannot_run()) return;
  test::netns ns;
  // Busy: another stack has it.
  host first;
  REQUIRE(first.boot());
  auto dev = register_netdev<drivers::tap>(first.init_net(), "dut", {.ifname = "nst0"});
  REQUIRE(dev);
  CHECK(drivers::tap::ifname(**dev) == "nst0");
  CHECK(claim<drivers::tap>({.ifname = "nst0"}) == std::errc::device_or_resource_busy);
  // Of another kind.
  test::netns::run("ip tuntap add dev nst1 mode tun");
  CHECK(claim<drivers::tap>({.ifname = "nst1"}) == std::errc::invalid_argument);
  CHECK(claim<drivers::tun>({.ifname = "nst1"}) == std::errc{});
  // No privilege, or not even for the device file. An interface made for the user beforehand needs none.
  auto const as_nobody = [](char const* name, mode_t mode) {
    drivers::tap::params p;
    std::strcpy(p.ifname, name);
    return test::in_child([&] {
      if (!own_dev_net() || ::mknod("/dev/net/tun", S_IFCHR | mode, makedev(10, 200)) != 0 ||
          ::chmod("/dev/net/tun", mode) != 0 || ::setresgid(65534, 65534, 65534) != 0 ||
          ::setresuid(65534, 65534, 65534) != 0)
        return std::errc::io_error;
      return claim<drivers::tap>(p);
    });
  };
  CHECK(as_nobody("nst2", 0600) == std::errc::permission_denied);
  CHECK(as_nobody("nst2", 0666) == std::errc::operation_not_permitted);
  test::netns::run("ip tuntap add dev nst2 mode tap user 65534");
  CHECK(as_nobody("nst2", 0666) == std::errc{});
  // No /dev/net/tun.
  auto const missing =
      test::in_child([] { return own_dev_net() ? claim<drivers::tap>({.ifname = "nst3"}) : std::errc::io_error; });
  CHECK(missing == std::errc::no_such_device);

  for (auto why : {std::errc::device_or_resource_busy, std::errc::invalid_argument, std::errc::no_such_device,
                   std::errc::operation_not_permitted, std::errc::permission_denied}) {
    auto const line = drivers::tap::explain(why);
    CHECK(!line.empty());
    CHECK(line.find('\n') == std::string_view::npos);
    CHECK(line != drivers::tap::explain(std::errc::io_error));
  }
}

TEST_CASE("the kernel may choose the name, and Linux's end is configured only if asked", "[tap]") {
  if (cannot_run()) return;
  test::netns ns;
  host h;
  REQUIRE(h.boot({.seed = 5}));
  auto quiet = register_netdev<drivers::tap>(h.init_net(), "eth%d", {});
  auto loud =
      register_netdev<drivers::tap>(h.init_net(), "eth%d", {.ifname = "nst1", .bring_up = true, .linux_mtu = 1400});
  REQUIRE((quiet && loud));
  CHECK(drivers::tap::ifname(**quiet) == "tap0");
  CHECK(test::netns::run("ip link show tap0").find("UP") == std::string::npos);
  CHECK(test::netns::run("ip link show nst1").find("LOWER_UP") != std::string::npos);
  CHECK(test::netns::run("ip link show nst1").find("mtu 1400") != std::string::npos);
  CHECK((*quiet)->dev_addr.is_valid());
  CHECK((*quiet)->dev_addr.is_local());
  CHECK((*quiet)->dev_addr != (*loud)->dev_addr);
  auto const info = ethtool_get_drvinfo(h.init_net(), **loud);
  CHECK(std::string_view(info.bus_info) == "nst1");
  unregister_netdev(h.init_net(), **loud);
  CHECK(test::netns::attempt("ip link show nst1").status != 0);  // it was made by the claim, and goes with it
}

TEST_CASE("an interface deleted under the device takes its carrier away, and wakes nobody any more", "[tap]") {
  if (cannot_run()) return;
  test::netns ns;
  test::be_quiet();
  host h;
  REQUIRE(h.boot());
  auto& net = h.init_net();
  auto made = register_netdev<drivers::tap>(net, "eth0", {.ifname = "nst0", .bring_up = true});
  REQUIRE(made);
  auto& dev = **made;
  auto const sleeps = [&] {
    while (h.poll()) {
    }
    auto const before = h.worker().now;
    h.wait(100'000'000);
    h.poll();
    return h.worker().now - before >= 90'000'000;
  };
  REQUIRE(dev_open(net, dev));
  CHECK(sleeps());
  CHECK(dev.carrier_ok());
  test::netns::run("ip link del nst0");
  CHECK(sleeps());
  CHECK_FALSE(dev.carrier_ok());
  CHECK(dev.stats.rx_errors.read() == 1);
  CHECK(h.worker().pool.in_use() == 0);
  // Closing and opening it brings nothing back, and does not spin either.
  dev_close(net, dev);
  REQUIRE(dev_open(net, dev));
  CHECK(sleeps());
  CHECK_FALSE(dev.carrier_ok());
  unregister_netdev(net, dev);
  CHECK(claim<drivers::tap>({.ifname = "nst0"}) == std::errc{});
}

TEST_CASE("what Linux refuses of a list is counted, and freed", "[tap]") {
  if (cannot_run()) return;
  test::netns ns;
  test::be_quiet();
  host h;
  REQUIRE(h.boot());
  auto& net = h.init_net();
  auto made = register_netdev<drivers::tap>(net, "eth0", {.ifname = "nst0", .bring_up = true});
  REQUIRE((made && dev_open(net, **made)));
  auto& dev = **made;
  for (int i = 0; i < 2000 && !dev.carrier_ok(); ++i)
    if (h.poll() == 0) h.wait(1'000'000);
  auto const send = [&] {
    skb_list list;
    h.worker().pool.alloc_bulk(3, list);
    for (sk_buff& skb : list) std::memset(skb.put(100), 0x5a, 100), skb.dev = &dev;
    return dev_queue_xmit_list(net, list);
  };
  CHECK(send() == 3);
  CHECK(dev.stats.tx_errors.read() == 0);
  test::netns::run("ip link set nst0 down");
  CHECK(send() == 3);
  CHECK(dev.stats.tx_errors.read() == 3);
  CHECK(h.worker().pool.in_use() == 0);
}

TEST_CASE("frames longer than a pool frame are read into several, and longer than the MTU are dropped", "[tap]") {
  if (cannot_run()) return;
  test::netns ns;
  test::be_quiet();
  host h;
  REQUIRE(h.boot());
  auto& net = h.init_net();
  auto made = register_netdev<drivers::tap>(net, "eth0", {.ifname = "nst0", .bring_up = true, .linux_mtu = 9000});
  REQUIRE(made);
  auto& dev = **made;
  REQUIRE(dev_set_mtu(net, dev, 8000));
  REQUIRE(dev_open(net, dev));
  test::packet_socket far;
  far.open("nst0", 0x88b5);
  auto const& ops = ::netstack::net<host>::netdev_ops[dev.driver];
  auto const frame_of = [&](std::size_t len) {
    std::vector<u8> f(len);
    for (std::size_t i = 0; i < len; ++i) f[i] = static_cast<u8>(i * 3 + i / 256);
    ethhdr const eth{.h_dest = dev.dev_addr, .h_source = {{2, 0, 0, 0, 0, 9}}, .h_proto = be16{0x88b5}};
    std::memcpy(f.data(), &eth, sizeof eth);
    return f;
  };
  for (std::size_t len : {1500u, 1791u, 1792u, 1793u, 1811u, 3840u, 3841u, 8014u}) {
    auto const f = frame_of(len);
    REQUIRE(far.send(f));
    skb_list burst;
    REQUIRE(ops.ndo_poll(net, dev, 4, burst) == 1);
    sk_buff* skb = burst.pop_front();
    CHECK(skb->len + eth_hlen == len);
    std::vector<u8> got(skb->head + skb->mac_header, skb->data);
    for_each_piece(*skb, 0, skb->len, [&](u8 const* p, u32 n) { got.insert(got.end(), p, p + n); });
    CHECK(got == f);
    consume_skb(*skb);
    CHECK(h.worker().pool.in_use() == 0);
    // And back, from several frames.
    sk_buff* out = alloc_skb_with_frags(h.worker().pool, 256, std::min<u32>(static_cast<u32>(len), 1000),
                                        static_cast<u32>(len) - std::min<u32>(static_cast<u32>(len), 1000));
    REQUIRE(out);
    REQUIRE(skb_store_bits(*out, 0, f.data(), static_cast<u32>(len)));
    out->dev = &dev;
    REQUIRE(dev_queue_xmit(net, *out));
    std::vector<u8> back;
    REQUIRE(far.receive(back));
    CHECK(back == f);
  }
  // 8018 is the longest with a VLAN tag; beyond, nothing of the frame comes up.
  REQUIRE(far.send(frame_of(8019)));
  REQUIRE(far.send(frame_of(9014)));
  skb_list burst;
  CHECK(ops.ndo_poll(net, dev, 4, burst) == 0);
  CHECK(dev.stats.rx_over_errors.read() == 2);
  CHECK(dev.stats.rx_errors.read() == 2);
  CHECK(h.worker().pool.in_use() == 0);
  CHECK(dev.max_mtu > 30000);
  CHECK(!dev_set_mtu(net, dev, dev.max_mtu + 1));
}

namespace {

/// An IPv4 datagram for Linux, 192.0.2.1, with its UDP checksum left unfinished.
struct udp_frame {
  ethhdr eth;
  iphdr ip;
  udphdr udp;
  u8 payload[1400];
};

template <class Net>
sk_buff* partial_udp(Net& net, net_device& dev, mac_addr const& to, u16 payload) {
  udp_frame f{};
  f.eth = {.h_dest = to, .h_source = dev.dev_addr, .h_proto = be16{eth_p::ip}};
  u16 const udp_len = static_cast<u16>(sizeof(udphdr) + payload);
  f.ip.tot_len = be16{static_cast<u16>(sizeof(iphdr) + udp_len)};
  f.ip.ttl = 64, f.ip.protocol = ipproto::udp;
  f.ip.saddr = be32{0xc0000202}, f.ip.daddr = be32{0xc0000201};
  f.ip.check = ip_header_csum(f.ip);
  f.udp = {.source = be16{1000}, .dest = be16{2000}, .len = be16{udp_len}};
  for (u16 i = 0; i < payload; ++i) f.payload[i] = static_cast<u8>(i / 100);
  // What stands in the field is the pseudo header's sum, not inverted.
  sum16 const pseudo = csum_tcpudp_magic(f.ip.saddr, f.ip.daddr, udp_len, ipproto::udp, 0);
  f.udp.check = sum16{static_cast<u16>(~pseudo.raw())};
  sk_buff* skb = net.worker().pool.alloc_skb();
  std::memcpy(skb->put(sizeof(ethhdr) + sizeof(iphdr) + udp_len), &f, sizeof(ethhdr) + sizeof(iphdr) + udp_len);
  skb->dev = &dev;
  REQUIRE(skb_partial_csum_set(*skb, sizeof(ethhdr) + sizeof(iphdr), offsetof(udphdr, check)));
  return skb;
}

mac_addr linux_mac(char const* ifname) {
  auto const text = test::netns::run(std::string("ip -o link show ") + ifname);
  auto const at = text.find("link/ether ");
  REQUIRE(at != std::string::npos);
  auto mac = parse_mac(std::string_view(text).substr(at + 11, 17));
  REQUIRE(mac);
  return *mac;
}

struct udp_receiver {
  int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  udp_receiver() {
    ::sockaddr_in addr{};
    addr.sin_family = AF_INET;
    addr.sin_port = htons(2000);
    timeval const limit{1, 0};
    REQUIRE(::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
    REQUIRE(::bind(fd, reinterpret_cast<::sockaddr const*>(&addr), sizeof addr) == 0);
  }
  ~udp_receiver() { ::close(fd); }
  std::vector<u8> get() const {
    std::vector<u8> data(2000);
    auto const n = ::recv(fd, data.data(), data.size(), 0);
    data.resize(n < 0 ? 0 : static_cast<std::size_t>(n));
    return data;
  }
};

}  // namespace

TEST_CASE("an unfinished checksum is finished by Linux, or by the core for an interface without virtio header",
          "[S45]") {
  if (cannot_run()) return;
  for (bool vnet : {true, false}) {
    test::netns ns;
    test::be_quiet();
    host h;
    REQUIRE(h.boot());
    auto& net = h.init_net();
    auto dev = register_netdev<drivers::tap>(net, "eth0", {.ifname = "nst0", .vnet_hdr = vnet, .bring_up = true});
    REQUIRE((dev && dev_open(net, **dev)));
    test::netns::run("ip addr add 192.0.2.1/24 dev nst0");
    udp_receiver socket;
    auto const to = linux_mac("nst0");
    for (u16 size : {u16{1}, u16{2}, u16{333}, u16{1400}}) {
      sk_buff* skb = partial_udp(net, **dev, to, size);
      REQUIRE(dev_queue_xmit(net, *skb));
      auto const got = socket.get();
      REQUIRE(got.size() == size);  // Linux checks the sum before it delivers
      for (u16 i = 0; i < size; ++i) CHECK(got[i] == static_cast<u8>(i / 100));
    }
    CHECK(test::netns::run("grep Udp: /proc/net/snmp | tail -1").find("Udp: 4 0 0") == 0);
    // The other way Linux leaves the sum to us only if there is a header to say so.
    test::netns::run("ip neigh add 192.0.2.2 lladdr " + [&] {
      char text[18];
      format_mac((*dev)->dev_addr, text);
      return std::string(text);
    }() + " dev nst0");
    ::sockaddr_in peer{};
    peer.sin_family = AF_INET;
    peer.sin_port = htons(9);
    peer.sin_addr.s_addr = be32{0xc0000202}.raw();
    REQUIRE(::sendto(socket.fd, "hello", 5, 0, reinterpret_cast<::sockaddr const*>(&peer), sizeof peer) == 5);
    skb_list burst;
    REQUIRE(::netstack::net<host>::netdev_ops[(*dev)->driver].ndo_poll(net, **dev, 8, burst) == 1);
    CHECK((burst.first->ip_summed == ip_summed::partial) == vnet);
    if (vnet) CHECK(burst.first->csum_start == burst.first->headroom() + sizeof(iphdr));
    h.worker().pool.free_list(burst);
  }
}

TEST_CASE("a super-segment is cut by Linux, and one from Linux is taken if asked for", "[gso]") {
  if (cannot_run()) return;
  test::netns ns;
  test::be_quiet();
  struct large : stack<large, drivers::tap, sizes<config{.max_net = 1, .skb_pool = 512, .frame_size = 4096}>> {};
  large h;
  REQUIRE(h.boot());
  auto& net = h.init_net();
  auto made = register_netdev<drivers::tap>(net, "eth0", {.ifname = "nst0", .tso = true, .bring_up = true});
  REQUIRE(made);
  auto& dev = **made;
  REQUIRE(dev_open(net, dev));
  test::netns::run("ip addr add 192.0.2.1/24 dev nst0");
  udp_receiver socket;
  sk_buff* skb = partial_udp(net, dev, linux_mac("nst0"), 1000);
  auto& info = skb_edit_shinfo(*skb);
  info.gso_size = 300, info.gso_segs = 4, info.gso_type = skb_gso::udp_l4;
  REQUIRE(dev_queue_xmit(net, *skb));
  std::size_t total = 0;
  for (std::size_t expected : {300u, 300u, 300u, 100u}) {
    auto const got = socket.get();
    REQUIRE(got.size() == expected);
    for (std::size_t i = 0; i < got.size(); ++i) CHECK(got[i] == (total + i) / 100);
    total += expected;
  }
  CHECK(h.worker().pool.in_use() == 0);

  // A TCP super-segment of 8000 bytes, as Linux's own TCP would hand it to the interface.
  std::vector<u8> f(sizeof(ethhdr) + sizeof(iphdr) + sizeof(tcphdr) + 8000);
  ethhdr const eth{.h_dest = dev.dev_addr, .h_source = linux_mac("nst0"), .h_proto = be16{eth_p::ip}};
  iphdr ip{.tot_len = be16{static_cast<u16>(f.size() - sizeof eth)}, .ttl = 64, .protocol = ipproto::tcp};
  ip.saddr = be32{0xc0000201}, ip.daddr = be32{0xc0000202};
  ip.check = ip_header_csum(ip);
  std::memcpy(f.data(), &eth, sizeof eth);
  std::memcpy(f.data() + sizeof eth, &ip, sizeof ip);
  f[sizeof eth + sizeof ip + 12] = 5 << 4;  // RFC 9293 §3.1: data offset
  for (std::size_t i = 54; i < f.size(); ++i) f[i] = static_cast<u8>(i);
  test::packet_socket far;
  far.open("nst0", eth_p::ip);
  test::packet_socket::virtio_net_hdr header;
  header.flags = header.needs_csum, header.gso_type = header.gso_tcpv4;
  header.hdr_len = 54, header.gso_size = 1448, header.csum_start = 34, header.csum_offset = 16;
  REQUIRE(far.send(f, header));
  skb_list burst;
  REQUIRE(::netstack::net<large>::netdev_ops[dev.driver].ndo_poll(net, dev, 8, burst) == 1);
  sk_buff* got = burst.pop_front();
  CHECK(skb_shinfo(*got).gso_size == 1448);
  CHECK(skb_shinfo(*got).gso_type == skb_gso::tcpv4);
  CHECK(got->ip_summed == ip_summed::partial);
  CHECK(got->len + eth_hlen == f.size());
  std::vector<u8> bytes(got->len);
  REQUIRE(skb_copy_bits(*got, 40, bytes.data(), got->len - 40));
  CHECK(std::memcmp(bytes.data(), f.data() + 54, 8000) == 0);
  consume_skb(*got);
  CHECK(h.worker().pool.in_use() == 0);
}

namespace {

/// Counts frames by the number in their payload.
struct tally : module {
  struct perworker {
    std::vector<u32> seen;
  };
  template <class Net>
  static verdict rcv(Net& net, sk_buff& skb) {
    be32 number;
    auto const at = sizeof(iphdr) + sizeof(udphdr);
    if (skb.len >= at + sizeof number) {
      std::memcpy(&number, skb.data + at, sizeof number);
      worker_generic<tally>(net.worker()).seen.push_back(number.host());
    }
    return verdict::consumed();
  }
  template <class Net>
  static constexpr std::array packet_types{packet_type<Net>{.type = eth_p::ip, .func = rcv<Net>, .name = "tally"}};
};
struct many : stack<many, tally, drivers::tap, sizes<config{.workers = 2, .max_net = 1, .skb_pool = 1024}>> {};

}  // namespace

TEST_CASE("several queues: each worker has its own, a flow stays on one, and a closed queue gets nothing", "[S74]") {
  if (cannot_run()) return;
  test::netns ns;
  test::be_quiet();
  many h;
  REQUIRE(h.boot());
  net_device* dev[2];
  for (u32 w = 0; w < 2; ++w) {
    auto made = register_netdev<drivers::tap>(h.init_net(w), "eth0",
                                              {.ifname = "nst0", .multi_queue = true, .bring_up = w == 0});
    REQUIRE(made);
    dev[w] = *made;
    REQUIRE(dev_open(h.init_net(w), *dev[w]));
  }
  CHECK(dev[0]->dev_addr == dev[1]->dev_addr);
  CHECK(dev[0]->ifindex == dev[1]->ifindex);
  test::netns::run("ip addr add 192.0.2.1/24 dev nst0");
  char mac[18];
  format_mac(dev[0]->dev_addr, mac);
  test::netns::run(std::string("ip neigh add 192.0.2.2 lladdr ") + mac + " dev nst0");
  constexpr u32 flows = 64, rounds = 5;
  int sockets[flows];
  for (int& s : sockets) s = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  auto const send_all = [&](u32 base) {
    ::sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = be32{0xc0000202}.raw();
    for (u32 r = 0; r < rounds; ++r)
      for (u32 i = 0; i < flows; ++i) {
        to.sin_port = htons(static_cast<u16>(5000 + i));
        be32 const number{base + r * flows + i};
        REQUIRE(::sendto(sockets[i], &number, sizeof number, 0, reinterpret_cast<::sockaddr const*>(&to), sizeof to) ==
                4);
      }
    for (u32 w = 0; w < 2; ++w)
      while (h.poll(w)) {
      }
  };
  auto& first = worker_generic<tally>(h.worker(0)).seen;
  auto& second = worker_generic<tally>(h.worker(1)).seen;
  send_all(0);
  CHECK(first.size() + second.size() == flows * rounds);
  CHECK((first.size() > 0 && second.size() > 0));
  int home[flows];
  std::fill(std::begin(home), std::end(home), -1);
  bool pinned = true;
  for (u32 w = 0; w < 2; ++w)
    for (u32 n : w == 0 ? first : second) {
      pinned = pinned && (home[n % flows] == -1 || home[n % flows] == static_cast<int>(w));
      home[n % flows] = static_cast<int>(w);
    }
  CHECK(pinned);
  // A worker that closes its queue leaves all flows to the other.
  dev_close(h.init_net(1), *dev[1]);
  first.clear(), second.clear();
  send_all(10'000);
  CHECK(first.size() == flows * rounds);
  CHECK(second.empty());
  for (int s : sockets) ::close(s);
}

TEST_CASE("a million packets between two TAP devices, without heap", "[S33]") {
  if (cannot_run()) return;
  test::netns ns;
  test::be_quiet();
  host h;
  REQUIRE(h.boot());
  auto& net = h.init_net();
  auto a = register_netdev<drivers::tap>(net, "a", {.ifname = "nst0", .bring_up = true}),
       b = register_netdev<drivers::tap>(net, "b", {.ifname = "nst1", .bring_up = true});
  REQUIRE((a && b && dev_open(net, **a) && dev_open(net, **b)));
  // Linux's bridge is the wire.
  ns.run(
      "ip link add nst2 type bridge && ip link set nst2 up && ip link set nst0 master nst2 && ip link set nst1 master "
      "nst2");
  auto const r = test::bounce(h, **a, **b, test::many_packets());
  INFO("the first allocation:\n" << r.first_allocation);
  CHECK(r.allocations == 0);
  CHECK(r.arrived);
  // The bridge says a few things of its own beside.
  CHECK((*a)->stats.tx_packets.read() + (*b)->stats.tx_packets.read() ==
        worker_generic<test::bouncer>(h.worker()).seen);
  CHECK(h.worker().pool.in_use() == 0);
}
