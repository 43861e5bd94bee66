// SPDX-License-Identifier: BSL-1.0
// pcap: beside Linux on a veth pair, in network namespaces of the test's own, and from capture files, which tests write
// byte by byte; what the stack rejects, as Wireshark will read it.
#include "netstack/drivers/pcap.hpp"

#include <fcntl.h>

#include "netstack/drivers/drop_capture.hpp"
#include "support/bouncer.hpp"
#include "support/conformance.hpp"
#include "support/scale.hpp"
#include "support/veth_rig.hpp"
#include "support/virtual_clock.hpp"

namespace {

using namespace netstack;
using drivers::drop_capture;
using drivers::pcap_direction;
using drivers::pcap_speed;
using test::frame_of;
using test::netns;
using test::packet_socket;
using test::says;
using pcap_device = drivers::pcap;

struct host : stack<host, presets::host, pcap_device, drop_capture, test::bouncer,
                    sizes<config{.max_net = 2, .skb_pool = 2048}>> {};
using net_t = net<host>;
using rig = test::veth_rig<host, pcap_device>;
using pair_t = test::veth_pair<host, pcap_device>;

bool cannot_run() { return test::skip_without_root("makes a network namespace and a veth pair"); }

}  // namespace

TEST_CASE("pcap conforms", "[S73][S74][S75][S76][S78][S79]") {
  if (cannot_run()) return;
  netns ns;
  test::make_veth();
  rig::far.open("nst1", 0x88b5);
  rig::params = {.ifname = "nst0"};
  test::check_conformance<rig>(72);
  rig::far.close();
}

TEST_CASE("a flood of pings over pcap loses nothing", "[S116]") {
  if (cannot_run()) return;
  pair_t t;
  test::pings_pass(t, "-f -c " + test::many_pings());
  CHECK(t.pool().in_use() == 0);
}

TEST_CASE("Linux gets every size from 0 to 1472 bytes echoed over pcap", "[S93][S112]") {
  if (cannot_run()) return;
  {
    pair_t t;
    test::echo_every_size(t);
  }
  test::unfinished_checksums<pair_t>();
}

TEST_CASE("a filter and a direction choose among an interface's frames", "[pcap]") {
  if (cannot_run()) return;
  pair_t t({.filter = "ether proto 0x88b5 and greater 150"});
  packet_socket far, near;
  far.open("nst1", 0x88b5), near.open("nst0", 0x88b5);
  auto const small = frame_of(*t.dev, 100, 0x88b5), large = frame_of(*t.dev, 200, 0x88b5);
  REQUIRE((near.send(large) && far.send(small) && far.send(frame_of(*t.dev, 300, 0x88b6)) && far.send(large)));
  CHECK(t.receive(0x88b5) == large);
  CHECK(t.dev->stats.rx_packets.read() == 1);  // what Linux sent on nst0 is not among them
  auto const both = register_netdev<pcap_device>(
      t.net(), "both", {.ifname = "nst0", .filter = "ether proto 0x88b5", .direction = pcap_direction::in_and_out});
  REQUIRE((both && dev_open(t.net(), **both)));
  auto const sent = register_netdev<pcap_device>(
      t.net(), "sent", {.ifname = "nst0", .filter = "ether proto 0x88b5", .direction = pcap_direction::out});
  REQUIRE((sent && dev_open(t.net(), **sent)));
  REQUIRE((near.send(large) && far.send(small)));
  CHECK(t.poll_until([&] { return (*both)->stats.rx_packets.read() == 2; }));
  CHECK(t.poll_until([&] { return (*sent)->stats.rx_bytes.read() == large.size(); }));
}

TEST_CASE("jumbo frames and super-segments come in several frames of the pool", "[pcap]") {
  if (cannot_run()) return;
  pair_t t({.snaplen = 65550}, true, "mtu 9000");
  test::both_ways(t, {1791, 1792, 1793, 3841, 9014});
  test::echo_every_size(t, 8972);
}

TEST_CASE("of a list, what Linux refuses is counted, and the rest arrives in order", "[pcap]") {
  if (cannot_run()) return;
  pair_t t;
  packet_socket far;
  far.open("nst1", 0x88b5);
  t.dev->max_mtu = 1700;
  REQUIRE(dev_set_mtu(t.net(), *t.dev, 1700));  // Linux's end keeps 1500
  constexpr u32 frames = 150;                   // more than one system call takes
  auto const refused = [](u32 i) { return i == 0 || i == 70 || i == 71 || i == frames - 1; };
  skb_list list;
  for (u32 i = 0; i < frames; ++i) {
    auto f = frame_of(*t.dev, refused(i) ? 1600 : 100, 0x88b5);
    f[20] = static_cast<u8>(i);
    sk_buff* skb = t.pool().alloc_skb();
    REQUIRE(skb);
    std::memcpy(skb->put(static_cast<u32>(f.size())), f.data(), f.size());
    skb->dev = t.dev;
    list.push_back(*skb);
  }
  CHECK(dev_queue_xmit_list(t.net(), list) == frames);
  for (u32 i = 0; i < frames; ++i) {
    if (refused(i)) continue;
    std::vector<u8> back;
    REQUIRE(t.poll_until([&] { return far.receive(back); }));
    CHECK((back.size() == 100 && back[20] == i));
  }
  CHECK(t.dev->stats.tx_errors.read() == 4);
  CHECK(t.pool().in_use() == 0);
}

TEST_CASE("a tag stands in the frame, wherever Linux had it", "[S52]") {
  if (cannot_run()) return;
  pair_t t;
  packet_socket far, untagged;
  far.open("nst1", eth_p::p_8021q), untagged.open("nst1", 0x88b5);
  auto const f = frame_of(*t.dev, 1518, eth_p::p_8021q);
  REQUIRE(far.send(f));
  CHECK(t.receive(eth_p::p_8021q) == f);
  auto const plain = frame_of(*t.dev, 1514, 0x88b5);
  test::send_frame(t, plain, 1514, 7);
  std::vector<u8> got;
  CHECK(t.poll_until([&] { return untagged.receive(got); }));
  CHECK(got == plain);
  test::bridge_to_nst5(t);
  packet_socket beyond;
  beyond.open("nst5", 0x88b7);
  REQUIRE(beyond.send(f));
  CHECK(t.receive(eth_p::p_8021q) == f);
}

TEST_CASE("a super-segment of Linux comes as one packet if the snaplen allows it, else it is counted", "[pcap]") {
  if (cannot_run()) return;
  pair_t t({.trust_checksums = true, .snaplen = 65550}, false);
  packet_socket far;
  far.open("nst1", eth_p::ip);
  auto f = frame_of(*t.dev, 54 + 40'000, eth_p::ip);
  REQUIRE(test::send_super_segment(far, f));
  CHECK(t.receive(eth_p::ip) == f);
  CHECK(t.pool().in_use() == 0);
  auto const narrow = register_netdev<pcap_device>(t.net(), "narrow", {.ifname = "nst0"});
  REQUIRE((narrow && dev_open(t.net(), **narrow)));
  REQUIRE(test::send_super_segment(far, f));
  CHECK(t.poll_until([&] { return (*narrow)->stats.rx_over_errors.read() == 1; }));
}

TEST_CASE("an interface under pcap that goes down and comes back, and one that vanishes under load", "[S72][S73]") {
  if (cannot_run()) return;
  pair_t t;
  REQUIRE(t.dev->carrier_ok());
  t.ns.run("ip link set nst0 down");
  CHECK(t.poll_until([&] { return !t.dev->carrier_ok(); }));
  CHECK_FALSE(pcap_device::gone(*t.dev));
  t.ns.run("ip link set nst0 up");
  CHECK(t.poll_until([&] { return t.dev->carrier_ok(); }));
  test::pings_pass(t, "-i 0.01 -c 20");
  test::vanishes_under_load(t);
}

TEST_CASE("a million packets between two pcap devices, without heap", "[S33]") {
  if (cannot_run()) return;
  netns ns;
  test::make_veth();
  host h;
  REQUIRE(h.boot());
  auto& net = h.init_net();
  auto a = register_netdev<pcap_device>(net, "a", {.ifname = "nst0"}),
       b = register_netdev<pcap_device>(net, "b", {.ifname = "nst1"});
  REQUIRE((a && b && dev_open(net, **a) && dev_open(net, **b) && test::carrier(h, {*a, *b})));
  auto const r = test::bounce(h, **a, **b, test::many_packets());
  INFO("the first allocation:\n" << r.first_allocation);
  CHECK(r.allocations == 0);
  CHECK(r.arrived);
  CHECK((*a)->stats.tx_packets.read() + (*b)->stats.tx_packets.read() ==
        (*a)->stats.rx_packets.read() + (*b)->stats.rx_packets.read());
  CHECK(h.worker().pool.in_use() == 0);
}

namespace {

using bytes = std::vector<u8>;

/// A file that is gone when the test is over.
struct temporary_file {
  char path[40] = "/tmp/netstack-pcap-XXXXXX";
  explicit temporary_file(bytes const& content = {}, char const* suffix = "") {
    std::strcat(path, suffix);
    int const fd = ::mkstemps(path, static_cast<int>(std::strlen(suffix)));
    REQUIRE(fd >= 0);
    REQUIRE(::write(fd, content.data(), content.size()) == static_cast<ssize_t>(content.size()));
    ::close(fd);
  }
  ~temporary_file() { ::unlink(path); }
  temporary_file(temporary_file const&) = delete;
  temporary_file& operator=(temporary_file const&) = delete;
  [[nodiscard]] bytes content() const {
    bytes all(1 << 20);
    int const fd = ::open(path, O_RDONLY | O_CLOEXEC);
    REQUIRE(fd >= 0);
    auto const n = ::read(fd, all.data(), all.size());
    ::close(fd);
    REQUIRE(n >= 0);
    all.resize(static_cast<std::size_t>(n));
    return all;
  }
};

struct recorded {
  u64 time;  // ns since 1970
  bytes frame;
};

void put32(bytes& to, u32 v, bool big = false) {
  for (int i = 0; i < 4; ++i) to.push_back(static_cast<u8>(v >> 8 * (big ? 3 - i : i)));
}
/// A classic capture file of some machine's byte order, with times in micro- or nanoseconds.
bytes pcap_file(std::vector<recorded> const& frames, bool big, bool nano, u32 link = 1) {
  bytes all;
  put32(all, nano ? 0xa1b23c4d : 0xa1b2c3d4, big);
  put32(all, big ? 0x00020004 : 0x00040002, big);
  for (u32 v : {0u, 0u, 65535u, link}) put32(all, v, big);
  for (auto const& r : frames) {
    auto const size = static_cast<u32>(r.frame.size());
    u64 const fraction = r.time % 1'000'000'000;
    for (u32 v :
         {static_cast<u32>(r.time / 1'000'000'000), static_cast<u32>(nano ? fraction : fraction / 1000), size, size})
      put32(all, v, big);
    all.insert(all.end(), r.frame.begin(), r.frame.end());
  }
  return all;
}
/// The same as pcapng, with nanosecond times.
bytes pcapng_file(std::vector<recorded> const& frames) {
  bytes all;
  for (u32 v : {0x0a0d0d0au, 28u, 0x1a2b3c4du, 1u, ~0u, ~0u, 28u}) put32(all, v);
  for (u32 v : {1u, 32u, 1u, 65535u, 0x00010009u, 9u, 0u, 32u}) put32(all, v);
  for (auto const& r : frames) {
    auto const size = static_cast<u32>(r.frame.size()), total = 32 + (size + 3) / 4 * 4;
    for (u32 v : {6u, total, 0u, static_cast<u32>(r.time >> 32), static_cast<u32>(r.time), size, size}) put32(all, v);
    all.insert(all.end(), r.frame.begin(), r.frame.end());
    all.resize((all.size() + 3) / 4 * 4);
    put32(all, total);
  }
  return all;
}

constexpr mac_addr replay_mac{{0x02, 0, 0, 0, 0, 1}}, peer_mac{{0x02, 0, 0, 0, 0, 2}};

/// A ping from 192.0.2.9 to 192.0.2.2.
bytes ping_frame(u16 seq, std::size_t payload = 56) {
  bytes f(42 + payload);
  ethhdr const eth{.h_dest = replay_mac, .h_source = peer_mac, .h_proto = be16{eth_p::ip}};
  iphdr ip{.tot_len = be16{static_cast<u16>(28 + payload)}, .ttl = 64, .protocol = ipproto::icmp};
  ip.saddr = ipv4_addr("192.0.2.9"), ip.daddr = ipv4_addr("192.0.2.2");
  ip.check = ip_header_csum(ip);
  std::memcpy(f.data(), &eth, sizeof eth);
  std::memcpy(f.data() + 14, &ip, sizeof ip);
  f[34] = 8, f[40] = static_cast<u8>(seq >> 8), f[41] = static_cast<u8>(seq);
  for (std::size_t i = 42; i < f.size(); ++i) f[i] = static_cast<u8>(i);
  sum16 const sum = csum_fold(csum_partial(f.data() + 34, f.size() - 34, 0));
  std::memcpy(f.data() + 36, &sum, sizeof sum);
  return f;
}

struct replay {
  test::virtual_clock clock;
  host h;
  net_device* dev = nullptr;
  explicit replay(pcap_device::params const& p) {
    REQUIRE(h.boot({.clock = clock.source(), .seed = 1}));
    auto made = register_netdev<pcap_device>(net(), "eth0", p);
    REQUIRE(made);
    dev = *made;
  }
  [[nodiscard]] net_t& net() { return h.init_net(); }
  void open() {
    REQUIRE(dev_open(net(), *dev));
    REQUIRE(inet_addr_add(net(), dev->ifindex, ipv4_cidr("192.0.2.2/24")));
  }
};

constexpr u64 epoch = 1'700'000'000'123'456'789;

}  // namespace

TEST_CASE("a recording of any kind is replayed to the nanosecond, or at once", "[pcap]") {
  std::vector<recorded> frames;
  for (u16 i = 0; i < 50; ++i)
    frames.push_back({epoch + i * 10'001'000u, i == 7 ? ping_frame(i, 9000) : ping_frame(i)});
  frames[30].time = epoch + 1000;  // a clock was set back: due with its predecessor
  struct {
    bytes file;
    u64 grain;
  } const kinds[] = {{pcap_file(frames, false, true), 1},
                     {pcap_file(frames, true, true), 1},
                     {pcap_file(frames, false, false), 1000},
                     {pcap_file(frames, true, false), 1000},
                     {pcapng_file(frames), 1}};
  for (auto const& kind : kinds) {
    temporary_file const file(kind.file);
    for (auto speed : {pcap_speed::recorded, pcap_speed::full}) {
      replay t({.file = file.path, .speed = speed});
      t.open();
      std::vector<u64> arrived;
      auto const& ops = net_t::netdev_ops[t.dev->driver];
      while (!pcap_device::finished(*t.dev)) {
        t.h.worker().refresh_clock();
        skb_list burst;
        ops.ndo_poll(t.net(), *t.dev, 64, burst);
        while (sk_buff* skb = burst.pop_front()) {
          auto const& expected = frames[arrived.size()];
          bytes got(skb->head + skb->mac_header, skb->data);
          for_each_piece(*skb, 0, skb->len, [&](u8 const* p, u32 n) { got.insert(got.end(), p, p + n); });
          CHECK(got == expected.frame);
          CHECK(skb->tstamp == expected.time / kind.grain * kind.grain);
          arrived.push_back(t.clock.now);
          consume_skb(*skb);
        }
        t.clock.advance(1000);
      }
      REQUIRE(arrived.size() == 50);
      for (u16 i = 0; i < 50; ++i) {
        u64 const due = speed == pcap_speed::full ? 0 : (i == 30 ? 29 : i) * 10'001'000u;
        CHECK(arrived[i] - arrived[0] == due);
      }
      CHECK(t.h.worker().pool.in_use() == 0);
    }
  }
}

TEST_CASE("what the stack answers to a recording is recorded, and each sleep ends when a frame is due", "[pcap]") {
  auto const format = GENERATE(as<std::string>{}, ".pcap", ".pcapng");
  temporary_file const in(pcap_file({{epoch, ping_frame(1)}, {epoch + 3'000'000'000, ping_frame(2)}}, false, true)),
      out({}, format.c_str());
  {
    replay t({.file = in.path, .dump = out.path});
    t.open();
    REQUIRE(ip_neigh(t.net(), *t.dev, ipv4_addr("192.0.2.9")));
    REQUIRE(neigh_update(t.net(), *ip_neigh(t.net(), *t.dev, ipv4_addr("192.0.2.9")), &peer_mac, nud::permanent,
                         neigh_update_f::admin | neigh_update_f::override_));
    t.h.poll();
    t.h.poll();
    CHECK(t.dev->stats.rx_packets.read() == 1);
    auto const next = t.h.worker().timers.next_expiry();
    REQUIRE(next);
    CHECK(*next - t.clock.now <= 3'000'000'000);
    t.clock.advance(2'999'000'000);
    while (t.h.poll()) {
    }
    CHECK(t.dev->stats.rx_packets.read() == 1);
    t.clock.advance(2'000'000);
    while (t.h.poll()) {
    }
    CHECK(t.dev->stats.rx_packets.read() == 2);
    CHECK(pcap_device::finished(*t.dev));
    unregister_netdev(t.net(), *t.dev);
    CHECK(t.h.worker().pool.in_use() == 0);
  }
  auto const magic = out.content();
  CHECK(magic[0] == (format == ".pcap" ? 0x4d : 0x0a));
  replay back({.file = out.path, .filter = "icmp", .speed = pcap_speed::full});
  back.open();
  skb_list burst;
  CHECK(net_t::netdev_ops[back.dev->driver].ndo_poll(back.net(), *back.dev, 64, burst) == 2);
  for (sk_buff& skb : burst) {
    CHECK(skb.data[20] == 0);  // RFC 792: echo reply
    CHECK(skb.len == 84);
  }
  back.h.worker().pool.free_list(burst);
}

TEST_CASE("bare IP packets are replayed as such", "[pcap]") {
  bytes const frame = ping_frame(1);
  temporary_file const in(pcap_file({{epoch, bytes(frame.begin() + 14, frame.end())}}, false, true, 101)), out;
  replay t({.file = in.path, .dump = out.path});
  CHECK(t.dev->type == arphrd::none);
  t.open();
  while (t.h.poll()) {
  }
  unregister_netdev(t.net(), *t.dev);
  CHECK(out.content().size() == 24 + 16 + 84);
}

TEST_CASE("each refusal of pcap has its errno, and a line that says what to do", "[S74]") {
  host h;
  REQUIRE(h.boot());
  auto const why = [&](pcap_device::params const& p) {
    auto r = register_netdev<pcap_device>(h.init_net(), "x", p);
    if (r) unregister_netdev(h.init_net(), **r);
    return r ? std::errc{} : r.error();
  };
  temporary_file const good(pcap_file({{epoch, ping_frame(1)}}, false, true)), rubbish(bytes(100, 0x55)),
      wifi(pcap_file({}, false, true, 105));
  CHECK(why({.file = good.path}) == std::errc{});
  CHECK(why({}) == std::errc::invalid_argument);
  CHECK(why({.ifname = "lo", .file = good.path}) == std::errc::invalid_argument);
  CHECK(why({.file = "/nowhere/at.all"}) == std::errc::no_such_file_or_directory);
  CHECK(why({.file = rubbish.path}) == std::errc::bad_message);
  CHECK(why({.file = wifi.path}) == std::errc::operation_not_supported);
  CHECK(why({.file = good.path, .filter = "no such words"}) == std::errc::invalid_argument);
  CHECK(why({.file = good.path, .dump = "/nowhere/at.all"}) == std::errc::no_such_file_or_directory);
  CHECK(why({.file = good.path, .dump = "/dev/full"}) == std::errc::no_space_on_device);
  for (auto e : {std::errc::invalid_argument, std::errc::no_such_file_or_directory, std::errc::bad_message,
                 std::errc::no_space_on_device, std::errc::operation_not_supported, std::errc::no_such_device,
                 std::errc::network_down}) {
    CHECK(pcap_device::explain(e).find('\n') == std::string_view::npos);
    CHECK(pcap_device::explain(e) != pcap_device::explain(std::errc::io_error));
  }
}

TEST_CASE("rejected packets are kept with the reason as their comment", "[pcap]") {
  auto bad_sum = ping_frame(1), short_one = ping_frame(2), foreign = ping_frame(3);
  bad_sum[24] ^= 0xff;
  short_one.resize(30);
  foreign[0] = 0x06;
  auto unknown = ping_frame(4);
  unknown[12] = 0x88, unknown[13] = 0xb7;
  temporary_file const in(
      pcap_file({{epoch, bad_sum}, {epoch, short_one}, {epoch, foreign}, {epoch, unknown}}, false, true)),
      out;
  {
    replay t({.file = in.path, .speed = pcap_speed::full});
    CHECK(drop_capture::start(t.net(), out.path, 0).error() == std::errc::invalid_argument);
    CHECK(drop_capture::start(t.net(), "/nowhere/at.all").error() == std::errc::no_such_file_or_directory);
    REQUIRE(drop_capture::start(t.net(), out.path));
    CHECK(drop_capture::start(t.net(), out.path).error() == std::errc::device_or_resource_busy);
    t.open();
    while (t.h.poll()) {
    }
    drop_capture::stop(t.net());
    CHECK(drop_capture::counts(t.net()).first == 4);
  }
  // libpcap reads it as it reads any capture, and the frames are the ones that came.
  {
    replay again({.file = out.path, .speed = pcap_speed::full});
    again.open();
    skb_list burst;
    CHECK(net_t::netdev_ops[again.dev->driver].ndo_poll(again.net(), *again.dev, 64, burst) == 4);
    for (auto const* expected : {&bad_sum, &short_one, &foreign, &unknown}) {
      sk_buff* skb = burst.pop_front();
      REQUIRE(skb);
      CHECK(bytes(skb->head + skb->mac_header, skb->tail) == *expected);
      consume_skb(*skb);
    }
  }
  auto const all = out.content();
  std::string const text(all.begin(), all.end());
  std::vector<std::string> comments;
  for (auto at = text.find(" on eth0"); at != std::string::npos; at = text.find(" on eth0", at + 1)) {
    auto begin = at;
    while (text[begin - 1] > ' ') --begin;
    comments.push_back(text.substr(begin, at - begin));
  }
  CHECK(comments == std::vector<std::string>{"IP_CSUM", "IP_HDR", "OTHERHOST", "UNHANDLED_PROTO"});
}
