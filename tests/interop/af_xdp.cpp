// SPDX-License-Identifier: BSL-1.0
// AF_XDP against Linux over veth, in network namespaces of the test's own: the conformance cases, pings and datagrams
// of every size, what Linux leaves unfinished, long and tagged frames, interfaces that go down or away under load,
// claims that collide, killed owners, several queues and devices, and a million packets without heap or copy.
#include "netstack/drivers/af_xdp.hpp"

#include <sys/wait.h>

#include <csignal>

#include "netstack/drivers/pcap_writer.hpp"
#include "support/bouncer.hpp"
#include "support/conformance.hpp"
#include "support/in_child.hpp"
#include "support/linux_udp.hpp"
#include "support/scale.hpp"
#include "support/veth_rig.hpp"

namespace {

using namespace netstack;
using drivers::af_xdp;
using test::frame_of;
using test::in_child;
using test::netns;
using test::packet_socket;
using test::says;

/// Closes, or unregisters, a device that loses its carrier, while its poll() is at work.
struct closer : module {
  struct perworker {
    bool closes, unregisters;
  };
  template <class Net>
  static void hear(Net& net, netdev_event event, net_device& dev) {
    auto& my = worker_generic<closer>(net.worker());
    if (event != netdev_event::change || dev.carrier_ok()) return;
    if (std::exchange(my.closes, false)) dev_close(net, dev);
    if (std::exchange(my.unregisters, false)) unregister_netdev(net, dev);
  }
  template <class Net>
  static constexpr std::array notifiers{notifier_block<Net>{.notifier_call = hear<Net>, .name = "closer"}};
};

struct host : stack<host, presets::host, af_xdp, drivers::pcap_writer<af_xdp>, test::bouncer, closer,
                    sizes<config{.max_net = 2, .skb_pool = 2048}>> {};
using net_t = net<host>;
using rig = test::veth_rig<host, af_xdp>;

bool cannot_run() { return test::skip_without_root("makes a network namespace and a veth pair"); }

/// Unless told otherwise Linux leaves no checksum unfinished.
using xdp_pair = test::veth_pair<host, af_xdp>;

u64 statistic(host& h, net_device& dev, std::string_view name) {
  auto const names = ethtool_get_strings(h.init_net(), dev);
  std::vector<u64> values(names.size());
  REQUIRE(ethtool_get_stats(h.init_net(), dev, values));
  for (std::size_t i = 0; i < names.size(); ++i)
    if (names[i] == name) return values[i];
  FAIL("no statistic " << name);
  return 0;
}

std::errc claim(af_xdp::params p) {
  host h;
  if (!h.boot()) return std::errc::not_enough_memory;
  p.patience_ms = 100;
  auto dev = register_netdev<af_xdp>(h.init_net(), "dut", p);
  return dev ? std::errc{} : dev.error();
}

}  // namespace

TEST_CASE("AF_XDP conforms, in native and in skb mode", "[S73][S74][S75][S76][S78][S79]") {
  if (cannot_run()) return;
  netns ns;
  test::make_veth();
  rig::far.open("nst1", 0x88b5);
  rig::params = {.ifname = "nst0", .mode = drivers::xdp_mode::native, .patience_ms = 300};
  test::check_conformance<rig>(73);
  rig::params.mode = drivers::xdp_mode::skb;
  test::check_conformance<rig>(20, "tx_");
  test::check_conformance<rig>(14, "rx_");
  rig::far.close();
}

TEST_CASE("a flood of pings over AF_XDP loses nothing", "[S116]") {
  if (cannot_run()) return;
  for (auto mode : {drivers::xdp_mode::native, drivers::xdp_mode::skb}) {
    xdp_pair t({.mode = mode});
    CHECK(af_xdp::native(*t.dev) == (mode == drivers::xdp_mode::native));
    test::pings_pass(t, "-f -c " + test::many_pings());
    CHECK(t.pool().in_use() == 0);
    CHECK(t.dev->stats.rx_missed_errors.read() == 0);
  }
}

TEST_CASE("Linux gets every size from 0 to 1472 bytes echoed over AF_XDP", "[S93][S112]") {
  if (cannot_run()) return;
  for (auto mode : {drivers::xdp_mode::native, drivers::xdp_mode::skb}) {
    xdp_pair t({.mode = mode});
    test::echo_every_size(t);
  }
}

TEST_CASE("options change how AF_XDP works, not what arrives", "[xdp]") {
  if (cannot_run()) return;
  af_xdp::params const all[] = {
      {.need_wakeup = false},
      {.busy_poll_us = 20, .busy_poll_budget = 16},
      {.rx_frames = 8, .rx_ring = 16, .tx_ring = 64, .tx_budget = 32},
      {.mac = {{0x02, 0x12, 0x34, 0x56, 0x78, 0x9a}}},
  };
  for (auto const& p : all) {
    xdp_pair t(p);
    test::pings_pass(t, "-f -c 500 -s 1400");
    CHECK(t.pool().in_use() == 0);
    CHECK(statistic(t.h, *t.dev, "tx_kicks") != 0);
    CHECK((statistic(t.h, *t.dev, "rx_wakeups") != 0) == (p.busy_poll_us != 0));
    CHECK(statistic(t.h, *t.dev, "need_wakeup") == p.need_wakeup);
  }
}

TEST_CASE("checksums that veth leaves unfinished are refused and counted, or trusted on request", "[S45]") {
  if (cannot_run()) return;
  test::unfinished_checksums<xdp_pair>();
}

TEST_CASE("longer frames than the pool's come and go in pieces", "[xdp]") {
  if (cannot_run()) return;
  for (auto mode : {drivers::xdp_mode::native, drivers::xdp_mode::skb}) {
    xdp_pair t({.mode = mode}, true, "mtu 9000");
    CHECK(t.dev->mtu == 9000);
    REQUIRE(statistic(t.h, *t.dev, "multi_buffer") == 1);
    test::both_ways(t, {1791, 1792, 1793, 3584, 3585, 9014});
    test::pings_pass(t, "-i 0.01 -c 20 -s 8972 -M do");
    test::echo_every_size(t, 8972);
  }
}

TEST_CASE("a tag in the frame stays there; one beside it is not seen", "[S52]") {
  if (cannot_run()) return;
  for (auto mode : {drivers::xdp_mode::native, drivers::xdp_mode::skb}) {
    xdp_pair t({.mode = mode});
    packet_socket far, untagged;
    far.open("nst1", eth_p::p_8021q), untagged.open("nst1", 0x88b5);
    auto const f = frame_of(*t.dev, 1518, eth_p::p_8021q);
    REQUIRE(far.send(f));
    CHECK(t.receive(eth_p::p_8021q) == f);
    // And back: the longest frame with the tag that the core writes.
    auto const plain = frame_of(*t.dev, 1514, 0x88b5);
    test::send_frame(t, plain, 1514, 7);
    std::vector<u8> got;
    CHECK(t.poll_until([&] { return untagged.receive(got); }));
    CHECK(got == plain);  // Linux has read the tag and laid it aside
    // A tag that lies beside the frame is not seen, unless the sender puts it back.
    test::bridge_to_nst5(t);
    packet_socket beyond;
    beyond.open("nst5", 0x88b7);
    auto bare = f;
    bare.erase(bare.begin() + 12, bare.begin() + 16);
    auto const inner = static_cast<u16>(f[16] << 8 | f[17]);
    REQUIRE(beyond.send(f));
    CHECK(t.receive(inner) == bare);
    test::ethtool_no_txvlan("nst1");
    REQUIRE(beyond.send(f));
    CHECK(t.receive(eth_p::p_8021q) == f);
  }
}

TEST_CASE("a super-segment of Linux arrives as one packet in skb mode, or is counted", "[xdp]") {
  if (cannot_run()) return;
  xdp_pair t({.mode = drivers::xdp_mode::skb, .trust_checksums = true}, false);
  packet_socket far;
  far.open("nst1", eth_p::ip);
  u32 const most = (max_skb_frags + 1) * (t.pool().frame_size() - 256);  // pieces, each behind the kernel's headroom
  for (u32 const len : {30'054u, most}) {
    auto f = frame_of(*t.dev, len, eth_p::ip);
    REQUIRE(test::send_super_segment(far, f));
    CHECK(t.receive(eth_p::ip) == f);
  }
  auto f = frame_of(*t.dev, most + 1, eth_p::ip);
  REQUIRE(test::send_super_segment(far, f));
  CHECK(t.poll_until([&] { return t.dev->stats.rx_over_errors.read() == 1; }));
  CHECK(t.pool().in_use() == 0);
}

TEST_CASE("a sleeper whose pool was empty is woken by the next frame", "[S78]") {
  if (cannot_run()) return;
  xdp_pair t;
  packet_socket far;
  far.open("nst1", 0x88b5);
  auto const f = frame_of(*t.dev, 100, 0x88b5);
  skb_list held;
  while (sk_buff* skb = t.pool().available() ? t.pool().alloc_skb() : nullptr) held.push_back(*skb);
  for (int i = 0; i < 3000 && t.pool().lent() != 0; ++i) {
    REQUIRE(far.send(f));
    net_t::netdev_ops[t.dev->driver].ndo_poll(t.net(), *t.dev, 64, held);
  }
  REQUIRE(t.pool().lent() == 0);
  CHECK(t.pool().available() == 0);
  REQUIRE(far.send(f));
  t.pool().free_list(held);
  std::thread late([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    far.send(f);
  });
  auto& worker = t.h.worker();
  worker.refresh_clock();
  u64 const start = worker.now;
  worker.wait(5'000'000'000);
  worker.refresh_clock();
  late.join();
  CHECK(worker.now - start < 3'000'000'000);
  CHECK(t.receive(0x88b5) == f);
  dev_close(t.net(), *t.dev);
  CHECK(t.dev->stats.rx_missed_errors.read() == 1);
}

TEST_CASE("an interface that goes down and comes back, and one that vanishes under load", "[S72][S73]") {
  if (cannot_run()) return;
  xdp_pair t;
  REQUIRE(t.dev->carrier_ok());
  for (char const* end : {"nst0", "nst1"}) {
    t.ns.run(std::string("ip link set ") + end + " down");
    CHECK(t.poll_until([&] { return !t.dev->carrier_ok(); }));
    CHECK_FALSE(af_xdp::gone(*t.dev));
    t.ns.run(std::string("ip link set ") + end + " up");
    CHECK(t.poll_until([&] { return t.dev->carrier_ok(); }));
    t.ns.run("ip addr replace 192.0.2.1/24 dev nst1");
    test::pings_pass(t, "-i 0.01 -c 20");
  }
  test::vanishes_under_load(t);
  unregister_netdev(t.net(), *t.dev);
  CHECK(t.pool().lent() == 0);
  // And a new one of the same name is taken like any other.
  test::make_veth();
  auto again = register_netdev<af_xdp>(t.net(), "eth0", {.ifname = "nst0"});
  REQUIRE(again);
  CHECK(dev_open(t.net(), **again));
}

TEST_CASE("who hears that the link has gone may close the device, or remove it", "[S71][S72]") {
  if (cannot_run()) return;
  xdp_pair t;
  auto& my = worker_generic<closer>(t.h.worker());
  my.closes = true;
  t.ns.run("ip link set nst1 down");
  CHECK(t.poll_until([&] { return !my.closes; }));
  CHECK_FALSE(t.dev->running());
  CHECK(t.pool().lent() == 0);
  t.ns.run("ip link set nst1 up");
  REQUIRE(dev_open(t.net(), *t.dev));
  REQUIRE(test::carrier(t.h, {t.dev}));
  my.unregisters = true;
  t.ns.run("ip link set nst1 down");
  CHECK(t.poll_until([&] { return !my.unregisters; }));
  CHECK(t.net().dev_get_by_name("eth0") == nullptr);
  CHECK(t.pool().lent() == 0);
  CHECK(t.pool().in_use() == 0);
}

TEST_CASE("the namespace of an interface may end before its user", "[S73]") {
  if (cannot_run()) return;
  host h;
  REQUIRE(h.boot());
  net_device* dev = nullptr;
  {
    netns ns;
    test::make_veth();
    auto made = register_netdev<af_xdp>(h.init_net(), "eth0", {.ifname = "nst0"});
    REQUIRE((made && dev_open(h.init_net(), **made)));
    dev = *made;
    ns.run("ip link del nst0");
  }
  for (int i = 0; i < 10; ++i) {
    h.worker().wait(20'000'000);
    h.poll();
  }
  CHECK(!dev->carrier_ok());
  unregister_netdev(h.init_net(), *dev);
  CHECK(h.worker().pool.lent() == 0);
}

TEST_CASE("a namespace of the stack that ends gives its queues back, and its devices to init_net", "[S73]") {
  if (cannot_run()) return;
  netns ns;
  test::make_veth();
  host h;
  REQUIRE(h.boot());
  auto inner = h.copy_net_ns();
  REQUIRE(inner);
  auto made = register_netdev<af_xdp>(**inner, "eth0", {.ifname = "nst0"});
  REQUIRE((made && dev_open(**inner, **made)));
  CHECK(says(ns.run("ip link show nst0"), "xdp"));
  CHECK(h.worker().pool.lent() != 0);
  h.put_net(**inner);
  h.poll();
  CHECK(h.worker().pool.lent() == 0);
  CHECK(claim({.ifname = "nst0"}) == std::errc{});
  net_device* const dev = h.init_net().dev_get_by_name("eth0");
  REQUIRE(dev);
  CHECK(!dev->running());
  unregister_netdev(h.init_net(), *dev);
  CHECK(!says(ns.run("ip link show nst0"), "xdp"));
}

TEST_CASE("each refusal of AF_XDP has its errno, and a line that says what to do", "[S73][S74]") {
  if (cannot_run()) return;
  netns ns;
  test::make_veth();
  CHECK(claim({.ifname = "nst9"}) == std::errc::no_such_device);
  CHECK(claim({.ifname = "nst0", .queue = 1}) == std::errc::no_such_device_or_address);
  CHECK(claim({.ifname = "nst0", .queue = 64}) == std::errc::no_such_device_or_address);
  CHECK(claim({.ifname = "nst0", .rx_ring = 1000}) == std::errc::invalid_argument);
  CHECK(claim({.ifname = "lo"}) == std::errc::operation_not_supported);
  CHECK(claim({.ifname = "nst0", .copy = drivers::xdp_copy::zero_copy}) == std::errc::operation_not_supported);
  CHECK(claim({.ifname = "nst0"}) == std::errc{});
  // Another process has the queue.
  host first;
  REQUIRE(first.boot());
  REQUIRE(register_netdev<af_xdp>(first.init_net(), "eth0", {.ifname = "nst0"}));
  CHECK(in_child([] { return claim({.ifname = "nst0"}); }) == std::errc::device_or_resource_busy);
  CHECK(in_child([] {
          if (::setresgid(65534, 65534, 65534) != 0 || ::setresuid(65534, 65534, 65534) != 0)
            return std::errc::io_error;
          return claim({.ifname = "nst0"});
        }) == std::errc::operation_not_permitted);
  // What zero copy needs when it ends: to know when a queue is nobody's again.
  drivers::detail::linux_if interface;
  REQUIRE(interface.open("nst0"));
  unregister_netdev(first.init_net(), *first.init_net().dev_get_by_name("eth0"));
  drivers::detail::xdp_await_release({.ifindex = interface.ifindex(), .queue = 0});
  CHECK(claim({.ifname = "nst0"}) == std::errc{});
  for (auto why : {std::errc::device_or_resource_busy, std::errc::invalid_argument, std::errc::no_such_device,
                   std::errc::operation_not_permitted, std::errc::operation_not_supported, std::errc::text_file_busy,
                   std::errc::no_such_device_or_address, std::errc::file_exists}) {
    auto const line = af_xdp::explain(why);
    CHECK(!line.empty());
    CHECK(line.find('\n') == std::string_view::npos);
    CHECK(line != af_xdp::explain(std::errc::io_error));
  }
}

TEST_CASE("an interface's program is joined by who asks for the same filter, and its mode or any", "[S73][xdp]") {
  if (cannot_run()) return;
  netns ns;
  test::make_veth("numrxqueues 2 numtxqueues 2");
  using drivers::xdp_mode;
  auto const second = [](af_xdp::params p) {
    std::strcpy(p.ifname, "nst0");
    p.queue = 1;
    return in_child([&] { return claim(p); });
  };
  for (auto mode : {xdp_mode::native, xdp_mode::skb}) {
    host h;
    REQUIRE(h.boot());
    auto first = register_netdev<af_xdp>(h.init_net(), "eth0", {.ifname = "nst0", .mode = mode});
    REQUIRE(first);
    CHECK(af_xdp::native(**first) == (mode == xdp_mode::native));
    CHECK(second({.mode = mode == xdp_mode::native ? xdp_mode::skb : xdp_mode::native}) == std::errc::text_file_busy);
    CHECK(second({.filter = {.ethertypes = {0x88b5}}}) == std::errc::text_file_busy);
    CHECK(second({.mode = mode}) == std::errc{});
    CHECK(second({}) == std::errc{});
  }
  int const map = ::bpf_map_create(BPF_MAP_TYPE_XSKMAP, "test", 4, 4, 64, nullptr);
  REQUIRE(map >= 0);
  int const program = drivers::detail::xdp_code{{}, map, XDP_PASS}.load_program("foreign", true);
  drivers::detail::linux_if interface;
  REQUIRE(interface.open("nst0"));
  int const link = ::bpf_link_create(program, static_cast<int>(interface.ifindex()), BPF_XDP, nullptr);
  REQUIRE(link >= 0);
  CHECK(second({}) == std::errc::text_file_busy);
  for (int fd : {map, program, link}) ::close(fd);
}

TEST_CASE("a killed owner leaves nothing: no program, no busy queue", "[S73]") {
  if (cannot_run()) return;
  netns ns;
  test::make_veth();
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  pid_t const child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    host h;
    bool const up = h.boot() && [&] {
      auto dev = register_netdev<af_xdp>(h.init_net(), "eth0", {.ifname = "nst0"});
      return dev && dev_open(h.init_net(), **dev);
    }();
    [[maybe_unused]] auto n = ::write(ready[1], up ? "y" : "n", 1);
    for (;;) h.worker().wait(1'000'000'000);
  }
  char answer = 0;
  REQUIRE(::read(ready[0], &answer, 1) == 1);
  CHECK(answer == 'y');
  CHECK(says(ns.run("ip link show nst0"), "xdp"));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ::close(ready[0]), ::close(ready[1]);
  host h;
  REQUIRE(h.boot());
  auto dev = register_netdev<af_xdp>(h.init_net(), "eth0", {.ifname = "nst0"});
  REQUIRE((dev && dev_open(h.init_net(), **dev)));
  unregister_netdev(h.init_net(), **dev);
  auto const text = ns.run("ip link show nst0");
  INFO(text);
  CHECK(!says(text, "xdp"));
}

TEST_CASE("what the filter does not name goes to Linux, and everything while the device is down", "[xdp]") {
  if (cannot_run()) return;
  xdp_pair t({.filter = {.ethertypes = {0x88b5}}});
  t.ns.run("ip addr flush dev nst1; ip addr add 192.0.2.1/24 dev nst1");
  packet_socket far, linux_side;
  far.open("nst1", 0x88b5), linux_side.open("nst0", eth_p::all);
  auto const ours = frame_of(*t.dev, 100, 0x88b5), theirs = frame_of(*t.dev, 100, 0x88b7);
  std::vector<u8> got;
  REQUIRE((far.send(theirs) && far.send(ours)));
  CHECK(t.receive(0x88b5) == ours);
  CHECK(linux_side.receive(got));
  CHECK(got == theirs);
  CHECK(!linux_side.receive(got));
  dev_close(t.net(), *t.dev);
  REQUIRE(far.send(ours));
  CHECK(linux_side.receive(got));
  CHECK(got == ours);
}

namespace {

/// What the kernel answers when it runs a filter's program on a frame: whether it is ours.
bool takes(int program, std::vector<u8> frame) {
  ::bpf_test_run_opts run{};
  run.sz = sizeof run;
  run.data_in = frame.data();
  run.data_size_in = static_cast<u32>(frame.size());
  run.repeat = 1;
  REQUIRE(::bpf_prog_test_run_opts(program, &run) == 0);
  CHECK((run.retval == XDP_DROP || run.retval == XDP_PASS));
  return run.retval == XDP_DROP;
}

}  // namespace

TEST_CASE("the filter's program knows ethertypes, and UDP and TCP ports over IPv4 and IPv6", "[xdp]") {
  if (cannot_run()) return;
  int const map = ::bpf_map_create(BPF_MAP_TYPE_XSKMAP, "test", 4, 4, 64, nullptr);
  REQUIRE(map >= 0);
  auto const program_of = [&](drivers::xdp_filter const& f) {
    int const fd = drivers::detail::xdp_code{f, map, XDP_DROP}.load_program("test", true);  // nobody has a queue
    REQUIRE(fd >= 0);
    return fd;
  };
  auto const ipv4 = [](u8 protocol, u16 port, u32 options = 0, u16 frag = 0) {
    std::vector<u8> f(14 + 20 + options + 8 + 20);
    f[12] = 0x08, f[14] = static_cast<u8>(0x45 + options / 4), f[23] = protocol;
    f[20] = static_cast<u8>(frag >> 8), f[21] = static_cast<u8>(frag);
    f[34 + options + 2] = static_cast<u8>(port >> 8), f[34 + options + 3] = static_cast<u8>(port);
    return f;
  };
  auto const ipv6 = [](u8 next, u16 port) {
    std::vector<u8> f(14 + 40 + 8);
    f[12] = 0x86, f[13] = 0xdd, f[14] = 0x60, f[20] = next;
    f[56] = static_cast<u8>(port >> 8), f[57] = static_cast<u8>(port);
    return f;
  };
  auto const other = [](u16 type) {
    std::vector<u8> f(60);
    f[12] = static_cast<u8>(type >> 8), f[13] = static_cast<u8>(type);
    return f;
  };
  int const all = program_of({});
  CHECK((takes(all, ipv4(6, 80)) && takes(all, other(0x0806)) && takes(all, ipv6(58, 0))));
  int const types = program_of({.ethertypes = {0x0806, 0x88b5}});
  CHECK((takes(types, other(0x0806)) && takes(types, other(0x88b5))));
  CHECK((!takes(types, other(0x88b6)) && !takes(types, ipv4(17, 7)) && !takes(types, ipv6(17, 7))));
  int const ports = program_of({.ethertypes = {0x0806}, .ports = {7, 0, 9, 53, 80, 443, 8080, 65535}});
  for (u16 port : std::initializer_list<u16>{7, 9, 53, 80, 443, 8080, 65535}) {
    CHECK((takes(ports, ipv4(17, port)) && takes(ports, ipv4(6, port)) && takes(ports, ipv6(17, port))));
    CHECK((takes(ports, ipv4(17, port, 4)) && takes(ports, ipv4(6, port, 40)) && takes(ports, ipv6(6, port))));
    CHECK((!takes(ports, ipv4(17, port, 0, 0x2000)) && !takes(ports, ipv4(17, port, 0, 0x0001))));
    CHECK((!takes(ports, ipv4(1, port)) && !takes(ports, ipv6(58, port)) && takes(ports, ipv4(17, port, 0, 0x4000))));
  }
  CHECK((takes(ports, other(0x0806)) && !takes(ports, ipv4(17, 8)) && !takes(ports, ipv6(6, 0x0700))));
  // Cut short before the port: Linux's.
  for (std::size_t n = 14; n < 38; ++n) {
    auto f = ipv4(17, 7);
    f.resize(n);
    CHECK(!takes(ports, f));
  }
  for (int fd : {map, all, types, ports}) ::close(fd);
}

TEST_CASE("several queues and several devices share one pool, whoever comes and goes first", "[xdp]") {
  if (cannot_run()) return;
  netns ns;
  test::make_veth("numrxqueues 2 numtxqueues 2");
  ns.run("ip link add nst2 type veth peer name nst3 && ip link set nst2 up && ip link set nst3 up");
  host h;
  REQUIRE(h.boot());
  auto& net = h.init_net();
  using recorded = drivers::pcap_writer<af_xdp>;
  auto q0 = register_netdev<af_xdp>(net, "q0", {.ifname = "nst0", .queue = 0, .rx_frames = 64});
  auto q1 = register_netdev<recorded>(net, "q1",
                                      {.inner = {.ifname = "nst0", .queue = 1, .rx_frames = 64}, .path = "/dev/null"});
  auto other = register_netdev<af_xdp>(net, "other", {.ifname = "nst2", .rx_frames = 64});
  REQUIRE((q0 && q1 && other));
  for (auto* dev : {*q0, *q1, *other}) REQUIRE(dev_open(net, *dev));
  REQUIRE(test::carrier(h, {*q0, *q1, *other}));
  CHECK(h.worker().pool.lent() == 3 * 64);
  packet_socket far, third;
  auto const exchange = [&](net_device& dev, packet_socket& peer) {
    auto const f = frame_of(dev, 300, 0x88b5);
    sk_buff* skb = h.worker().pool.alloc_skb();
    std::memcpy(skb->put(300), f.data(), 300);
    skb->dev = &dev;
    REQUIRE(dev_queue_xmit(net, *skb));
    std::vector<u8> got;
    CHECK(peer.receive(got));
    CHECK(got == f);
  };
  far.open("nst1", 0x88b5), third.open("nst3", 0x88b5);
  for (auto* dev : {*q0, *q1}) exchange(*dev, far);
  exchange(**other, third);
  // Every queue receives: flows are spread over them by Linux.
  auto const count = [&] { return (*q0)->stats.rx_packets.read() + (*q1)->stats.rx_packets.read(); };
  for (int i = 0; i < 50; ++i) REQUIRE(far.send(frame_of(**q0, 300, 0x88b5)));
  for (int i = 0; i < 100 && count() < 50; ++i) h.poll();
  CHECK(count() == 50);
  // The first one registered the frames; the others live on without it, and it comes back.
  unregister_netdev(net, **q0);
  exchange(**q1, far);
  exchange(**other, third);
  q0 = register_netdev<af_xdp>(net, "q0", {.ifname = "nst0", .queue = 0, .rx_frames = 64});
  REQUIRE((q0 && dev_open(net, **q0) && test::carrier(h, {*q0})));
  for (auto* dev : {*q0, *q1}) exchange(*dev, far);
  CHECK(in_child([] { return claim({.ifname = "nst0", .queue = 1}); }) == std::errc::device_or_resource_busy);
  for (auto* dev : {*q1, *other, *q0}) unregister_netdev(net, *dev);
  CHECK(h.worker().pool.lent() == 0);
  CHECK(h.worker().pool.in_use() == 0);
  CHECK(!says(ns.run("ip link show nst0"), "xdp"));
}

TEST_CASE("two threads that claim queues of one interface at once share its program", "[xdp]") {
  if (cannot_run()) return;
  netns ns;
  test::make_veth("numrxqueues 2 numtxqueues 2");
  std::atomic<u32> up{0}, done{0};
  auto const live = [&](u32 queue) {
    for (u32 round = 0; round < 10; ++round) {
      host h;
      if (!h.boot()) return;
      auto dev = register_netdev<af_xdp>(h.init_net(), "eth0", {.ifname = "nst0", .queue = queue, .patience_ms = 5000});
      up += dev && dev_open(h.init_net(), **dev);
      ++done;
      while (done < 2 * (round + 1)) std::this_thread::yield();
    }
  };
  std::thread other([&] { live(1); });
  live(0);
  other.join();
  CHECK(up == 20);
  CHECK(!says(ns.run("ip link show nst0"), "xdp"));
}

TEST_CASE("frames of a list that others hold too leave in their turn, without a wait", "[xdp][S76]") {
  if (cannot_run()) return;
  netns ns;
  test::make_veth();
  host h;
  REQUIRE(h.boot());
  auto& net = h.init_net();
  auto a = register_netdev<af_xdp>(net, "a", {.ifname = "nst0"}),
       b = register_netdev<af_xdp>(net, "b", {.ifname = "nst1"});
  REQUIRE((a && b && dev_open(net, **a) && dev_open(net, **b) && test::carrier(h, {*a, *b})));
  constexpr u32 frames = 7;
  u64 const before = (*b)->stats.rx_packets.read(), sent = (*a)->stats.tx_packets.read();
  auto& pool = net.worker().pool;
  skb_list list;
  std::vector<sk_buff*> others;
  for (u32 i = 0; i < frames; ++i) {
    sk_buff& skb = *pool.alloc_skb();
    std::memset(skb.put(60), static_cast<int>(i), 60);
    skb.dev = *a;
    eth_header(skb, **a, 0x88b5, (*b)->dev_addr);
    if (i % 3 == 0) others.push_back(&skb_get(skb));  // the first and the last among them
    list.push_back(skb);
  }
  CHECK(dev_queue_xmit_list(net, list) == frames);
  CHECK((*a)->tx[0].qdisc.empty());
  CHECK((*a)->stats.tx_packets.read() - sent == frames);
  for (u32 i = 0; i < others.size(); ++i) {
    CHECK(!skb_shared(*others[i]));
    CHECK(others[i]->data[others[i]->len - 1] == 3 * i);
    consume_skb(*others[i]);
  }
  for (int i = 0; i < 2000 && (*b)->stats.rx_packets.read() - before < frames; ++i)
    if (h.poll() == 0) h.wait(1'000'000);
  CHECK((*b)->stats.rx_packets.read() - before >= frames);  // Linux has words of its own on the wire
  for (int i = 0; i < 2000 && pool.in_use() != 0; ++i)
    if (h.poll() == 0) h.wait(1'000'000);
  CHECK(pool.in_use() == 0);
}

TEST_CASE("a million packets between two AF_XDP devices, without heap, and no frame is copied", "[S33]") {
  if (cannot_run()) return;
  netns ns;
  test::make_veth();
  host h;
  REQUIRE(h.boot());
  auto& net = h.init_net();
  auto a = register_netdev<af_xdp>(net, "a", {.ifname = "nst0"}),
       b = register_netdev<af_xdp>(net, "b", {.ifname = "nst1"});
  REQUIRE((a && b && dev_open(net, **a) && dev_open(net, **b) && test::carrier(h, {*a, *b})));
  auto const r = test::bounce(h, **a, **b, test::many_packets());
  INFO("the first allocation:\n" << r.first_allocation);
  CHECK(r.allocations == 0);
  CHECK(r.arrived);
  CHECK(r.moved == 0);
  CHECK((*a)->stats.tx_packets.read() + (*b)->stats.tx_packets.read() ==
        (*a)->stats.rx_packets.read() + (*b)->stats.rx_packets.read());
  CHECK(h.worker().pool.in_use() == 0);
}
