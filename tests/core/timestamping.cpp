// SPDX-License-Identifier: BSL-1.0
// PTP messages are told from others, a device with a clock stamps them both ways, and sockets are told the times that
// they asked for: of arrival, of queueing, of the hand-over to the driver, and of the device.
#include "netstack/core/timestamping.hpp"

#include <memory>

#include "netstack/ipv4/ipv4.hpp"
#include "netstack/socket/socket.hpp"
#include "netstack/udp/udp.hpp"
#include "support/mock_net.hpp"

namespace {

using namespace netstack;
using bytes = std::vector<u8>;
namespace sof = sof_timestamping;

/// A wire whose device has a clock of its own: far from ours, and one tick a PTP event.
struct ptp_wire : test::mock {
  static constexpr char const* name = "ptp_wire";
  struct clock {
    u64 time = 7'000'000'000'000'000'000;
    bool stuck = false;             ///< the ring is full
    std::vector<sk_buff*> waiting;  ///< copies of what will leave
    std::vector<u8> classes;        ///< of all that it was shown
  };
  struct params {
    test::mock_end* end = nullptr;
    clock* ticks = nullptr;
  };
  struct priv : test::mock::priv {
    clock* ticks = nullptr;
  };
  static clock& clock_of(net_device& dev) { return *netdev_priv<ptp_wire>(dev).ticks; }
  template <class Net>
  static netdev_tx xmit(Net& net, net_device& dev, sk_buff& skb, bool more) {
    if (clock_of(dev).stuck) return netdev_tx::busy;
    return test::mock::xmit(net, dev, skb, more);
  }
  template <class Net>
  static void rxtstamp(Net&, net_device& dev, sk_buff& skb, u8 type) {
    auto& c = clock_of(dev);
    c.classes.push_back(type);
    skb_set_hwtstamps(skb, ++c.time);
  }
  template <class Net>
  static void txtstamp(Net&, net_device& dev, sk_buff& clone, u8 type) {
    auto& c = clock_of(dev);
    c.classes.push_back(type);
    c.waiting.push_back(&clone);
  }
  template <class Net>
  static constexpr net_device_ops<Net> netdev_ops = [] {
    auto ops = test::mock::netdev_ops<Net>;
    ops.ndo_start_xmit = xmit<Net>;
    ops.ndo_rxtstamp = rxtstamp<Net>;
    ops.ndo_txtstamp = txtstamp<Net>;
    return ops;
  }();
  template <class Net>
  static result<void> probe(Net& net, net_device& dev, params const& p) {
    netdev_priv<ptp_wire>(dev).ticks = p.ticks;
    return test::mock::probe(net, dev, {.end = p.end});
  }
};

struct host : stack<host, ipv4, udp, ptp_wire, test::mock, sizes<config{.max_net = 1, .skb_pool = 128}>> {};

constexpr be32 ours = ipv4_addr("192.0.2.1"), theirs = ipv4_addr("192.0.2.9");
constexpr mac_addr their_mac{{2, 0, 0, 0, 0, 0x78}};

// --- the messages that are replayed

template <class T>
void append(bytes& to, T const& header) {
  auto const* p = reinterpret_cast<u8 const*>(&header);
  to.insert(to.end(), p, p + sizeof header);
}
/// A sync message of PTPv2, or of version 1.
bytes ptp_message(u8 version, u8 type = 0) {
  bytes m(44, 0x22);
  m[0] = version == 1 ? 0 : type;
  m[1] = version;
  return m;
}
bytes ethernet(u16 type, bytes const& rest, bool tagged = false) {
  bytes f;
  append(f, ethhdr{mac_addr{{2, 0, 0, 0, 0, 0x77}}, their_mac, be16{tagged ? eth_p::p_8021q : type}});
  if (tagged) append(f, vlan_hdr{be16{0}, be16{type}});
  f.insert(f.end(), rest.begin(), rest.end());
  return f;
}
bytes udp4(u16 port, bytes const& payload, u8 proto = ipproto::udp, u16 frag = 0, u8 option_words = 0) {
  std::size_t const hlen = 20U + 4U * option_words;
  iphdr ip{.ver_ihl = static_cast<u8>(0x40 | hlen / 4),
           .tot_len = be16{static_cast<u16>(hlen + 8 + payload.size())},
           .frag_off = be16{frag},
           .ttl = 64,
           .protocol = proto,
           .saddr = theirs,
           .daddr = ours};
  bytes p;
  append(p, ip);
  p.resize(hlen, 1);
  sum16 const sum = ip_compute_csum(p.data(), hlen);
  std::memcpy(p.data() + offsetof(iphdr, check), &sum, sizeof sum);
  append(p, udphdr{be16{3190}, be16{port}, be16{static_cast<u16>(8 + payload.size())}, {}});
  p.insert(p.end(), payload.begin(), payload.end());
  return p;
}
bytes udp6(u16 port, bytes const& payload) {
  bytes p(40);
  p[0] = 0x60, p[6] = ipproto::udp;
  append(p, udphdr{be16{3190}, be16{port}, be16{static_cast<u16>(8 + payload.size())}, {}});
  p.insert(p.end(), payload.begin(), payload.end());
  return p;
}

struct sample {
  char const* what;
  bytes frame;
  u8 expected;
};
std::vector<sample> samples() {
  namespace pc = ptp_class;
  return {
      {"v2 sync over UDP", ethernet(eth_p::ip, udp4(319, ptp_message(2))), pc::ipv4 | pc::v2},
      {"v1 sync over UDP", ethernet(eth_p::ip, udp4(319, ptp_message(1))), pc::ipv4 | pc::v1},
      {"with IP options", ethernet(eth_p::ip, udp4(319, ptp_message(2), ipproto::udp, 0, 3)), pc::ipv4 | pc::v2},
      {"tagged", ethernet(eth_p::ip, udp4(319, ptp_message(2)), true), pc::ipv4 | pc::v2 | pc::vlan},
      {"over IPv6", ethernet(eth_p::ipv6, udp6(319, ptp_message(2))), pc::ipv6 | pc::v2},
      {"over tagged IPv6", ethernet(eth_p::ipv6, udp6(319, ptp_message(2)), true), pc::ipv6 | pc::v2 | pc::vlan},
      {"over Ethernet", ethernet(eth_p::ieee1588, ptp_message(2)), pc::l2 | pc::v2},
      {"over tagged Ethernet", ethernet(eth_p::ieee1588, ptp_message(2, 1), true), pc::l2 | pc::v2 | pc::vlan},
      {"announce is no event", ethernet(eth_p::ieee1588, ptp_message(2, 0x0b)), pc::none},
      {"general port", ethernet(eth_p::ip, udp4(320, ptp_message(2))), pc::none},
      {"TCP", ethernet(eth_p::ip, udp4(319, ptp_message(2), ipproto::tcp)), pc::none},
      {"first fragment", ethernet(eth_p::ip, udp4(319, ptp_message(2), ipproto::udp, ip_mf)), pc::none},
      {"last fragment", ethernet(eth_p::ip, udp4(319, ptp_message(2), ipproto::udp, 10)), pc::none},
      {"other type", ethernet(eth_p::arp, udp4(319, ptp_message(2))), pc::none},
  };
}

// --- a station

/// What one recvmsg() told.
struct told {
  bool any = false;
  bytes payload{};
  scm_timestamping times{};
  bool has_times = false;
  sock_extended_err ee{};
  in_pktinfo pktinfo{};
  [[nodiscard]] u64 ns(std::size_t i) const {
    return static_cast<u64>(times.ts[i].tv_sec) * 1'000'000'000u + static_cast<u64>(times.ts[i].tv_nsec);
  }
};

struct station : test::mock_net<host> {
  ptp_wire::clock ticks;
  net_device* dev;
  int fd = -1;

  station() {
    ends.push_back(new test::mock_end);
    auto made = register_netdev<ptp_wire>(net(), "eth0", {.end = ends.back(), .ticks = &ticks});
    REQUIRE((made && dev_open(net(), **made)));
    dev = *made;
    REQUIRE(inet_addr_add(net(), dev->ifindex, ipv4_cidr("192.0.2.1/24")));
    REQUIRE(neigh_add(net(), dev->ifindex, theirs, their_mac));
    auto const opened = netstack::socket(net(), af::inet, sock_type::dgram);
    REQUIRE(opened);
    fd = *opened;
    REQUIRE(bind(net(), fd, inet_addr_of(ours, 319)));
  }
  ~station() {
    if (fd >= 0) CHECK(close(net(), fd));
    run();
    (void)sent(*dev);
    run();
    CHECK(h.worker().pool.in_use() == 0);
  }
  void ask(u32 flags) { REQUIRE(setsockopt(net(), fd, sol::socket, so::timestamping, static_cast<int>(flags))); }
  void arrive(bytes const& frame) {
    end_of(*dev).to_device.push_back(frame);
    run();
  }
  result<std::size_t> send(bytes const& payload, u16 port = 319) {
    return sendto(net(), fd, payload.data(), payload.size(), 0, inet_addr_of(theirs, port));
  }
  told receive(u32 flags = 0) {
    told t;
    bytes buf(256);
    alignas(8) std::byte control[256];
    iovec const part{buf.data(), buf.size()};
    msghdr m{.msg_iov = {&part, 1}, .msg_control = control};
    auto const n = recvmsg(net(), fd, m, flags | msg::dontwait);
    if (!n) return t;
    t.any = true;
    t.payload.assign(buf.begin(), buf.begin() + static_cast<std::ptrdiff_t>(*n));
    for_each_cmsg(std::span(control).first(m.msg_controllen), [&](cmsg_view const& c) {
      if (c.level == sol::socket && c.type == scm::timestamping)
        t.times = c.as<scm_timestamping>(), t.has_times = true;
      else if (c.level == sol::ip && c.type == ip_opt::recverr)
        t.ee = c.as<sock_extended_err>();
      else if (c.level == sol::ip && c.type == ip_opt::pktinfo)
        t.pktinfo = c.as<in_pktinfo>();
      return true;
    });
    return t;
  }
  told receive_time() { return receive(msg::errqueue); }
  /// The device has sent what waits, just now.
  void device_reports() {
    for (sk_buff* clone : std::exchange(ticks.waiting, {})) skb_complete_tx_timestamp(*clone, ++ticks.time);
  }
  [[nodiscard]] u64 now_real() const { return clock.now + clock.epoch; }
};

}  // namespace

TEST_CASE("PTP events are told from everything else, whatever carries them", "[S28]") {
  for (auto const& s : samples()) {
    INFO(s.what);
    CHECK(ptp_classify(s.frame.data(), s.frame.size()) == s.expected);
    // Cut anywhere: never read beyond the end, and never a class of its own.
    bool sound = true;
    for (std::size_t len = 0; len < s.frame.size(); ++len) {
      auto const cut = std::make_unique<u8[]>(len);
      std::copy_n(s.frame.begin(), len, cut.get());
      u8 const found = ptp_classify(cut.get(), len);
      sound = sound && (found == s.expected || found == ptp_class::none);
    }
    CHECK(sound);
  }
}

TEST_CASE("a device stamps the PTP events that it receives, and nothing else", "[S28]") {
  station s;
  std::vector<u8> expected;
  for (auto const& one : samples()) {
    s.arrive(one.frame);
    if (one.expected != ptp_class::none) expected.push_back(one.expected);
  }
  CHECK(s.ticks.classes == expected);
  CHECK(s.ticks.time == 7'000'000'000'000'000'000 + expected.size());
}

TEST_CASE("SO_TIMESTAMPING tells both times of arrival, each if it was asked for", "[S28]") {
  station s;
  struct {
    u32 flags;
    bool software, hardware;
  } const rows[] = {
      {0, false, false},
      {sof::rx_software | sof::software, true, false},
      {sof::rx_hardware | sof::raw_hardware, false, true},
      {sof::rx_software | sof::software | sof::rx_hardware | sof::raw_hardware, true, true},
      {sof::rx_software, false, false},
  };
  for (auto const& row : rows) {
    CAPTURE(row.flags);
    s.ask(row.flags);
    s.clock.advance(1'000'000'007);
    s.arrive(ethernet(eth_p::ip, udp4(319, ptp_message(2))));
    auto const t = s.receive();
    REQUIRE(t.any);
    CHECK(t.has_times == (row.software || row.hardware));
    CHECK(t.ns(0) == (row.software ? s.now_real() : 0));
    CHECK(t.ns(1) == 0);
    CHECK(t.ns(2) == (row.hardware ? s.ticks.time : 0));
  }
  // Another datagram, to the same socket by another port's number: no event, so the device said nothing.
  REQUIRE(close(s.net(), s.fd));
  s.fd = *netstack::socket(s.net(), af::inet, sock_type::dgram);
  REQUIRE(bind(s.net(), s.fd, inet_addr_of(ours, 320)));
  s.ask(sof::rx_software | sof::software | sof::raw_hardware);
  s.arrive(ethernet(eth_p::ip, udp4(320, ptp_message(2))));
  auto const t = s.receive();
  CHECK((t.has_times && t.ns(0) != 0 && t.ns(2) == 0));
}

TEST_CASE("a sender finds on its error queue when the driver took each packet, and which it was", "[S28]") {
  station s;
  s.ask(sof::tx_software | sof::software | sof::opt_id | sof::opt_cmsg);
  CHECK(!s.receive_time().any);
  // The driver is busy at first: the time is that of its taking it.
  s.ticks.stuck = true;
  for (u8 i = 0; i < 3; ++i) REQUIRE(s.send(bytes(20, i), 5000));
  CHECK(!s.receive_time().any);
  s.clock.advance(250'000);
  s.ticks.stuck = false;
  s.run();
  for (u8 i = 0; i < 3; ++i) {
    auto const t = s.receive_time();
    REQUIRE(t.any);
    CHECK((t.ee.ee_origin == so_ee_origin::timestamping && t.ee.ee_info == scm_tstamp::snd));
    CHECK(t.ee.ee_errno == static_cast<u32>(std::errc::no_message));
    CHECK(t.ee.ee_data == i);
    CHECK(t.ns(0) == s.now_real());
    CHECK(t.ns(2) == 0);
    REQUIRE(t.payload.size() == 14 + 20 + 8 + 20);  // the frame as it left
    CHECK(bytes(t.payload.end() - 20, t.payload.end()) == bytes(20, i));
    CHECK((t.pktinfo.ipi_ifindex == static_cast<int>(s.dev->ifindex) && t.pktinfo.ipi_addr.s_addr == theirs));
  }
  CHECK(!s.receive_time().any);
  // No error: the next call on the socket does not fail.
  CHECK(getsockopt(s.net(), s.fd, sol::socket, so::error).value() == 0);
  // Without the bytes. The numbers go on, since they were asked for already.
  s.ask(sof::tx_software | sof::software | sof::opt_id | sof::opt_tsonly);
  REQUIRE(s.send(bytes(20), 5000));
  auto const t = s.receive_time();
  CHECK((t.any && t.payload.empty() && t.ee.ee_data == 3 && t.ns(0) == s.now_real()));
  // Asked for no more.
  s.ask(0);
  REQUIRE(s.send(bytes(20), 5000));
  CHECK(!s.receive_time().any);
}

TEST_CASE("the time of queueing is told apart from the time of the hand-over", "[S28]") {
  station s;
  s.ask(sof::tx_sched | sof::tx_software | sof::software);
  s.ticks.stuck = true;
  u64 const queued = s.now_real();
  REQUIRE(s.send(bytes(20), 5000));
  s.clock.advance(1000);
  s.ticks.stuck = false;
  s.run();
  auto const first = s.receive_time(), second = s.receive_time();
  REQUIRE((first.any && second.any));
  CHECK((first.ee.ee_info == scm_tstamp::sched && first.ns(0) == queued));
  CHECK((second.ee.ee_info == scm_tstamp::snd && second.ns(0) == queued + 1000));
}

TEST_CASE("the device says itself when a PTP event left; other packets have the driver's word", "[S28]") {
  station s;
  s.ask(sof::tx_hardware | sof::tx_software | sof::raw_hardware | sof::software);
  REQUIRE(s.send(ptp_message(2), 319));
  REQUIRE(s.send(ptp_message(2), 320));
  CHECK(s.ticks.classes == bytes{ptp_class::ipv4 | ptp_class::v2});
  auto const general = s.receive_time();
  REQUIRE(general.any);
  CHECK((general.ns(0) == s.now_real() && general.ns(2) == 0));
  CHECK(!s.receive_time().any);  // the event is on its way
  s.device_reports();
  auto const event = s.receive_time();
  REQUIRE(event.any);
  CHECK((event.ns(0) == 0 && event.ns(2) == s.ticks.time));
  // A device that cannot say, after all.
  REQUIRE(s.send(ptp_message(2), 319));
  skb_complete_tx_timestamp(*std::exchange(s.ticks.waiting, {})[0], 0);
  CHECK(!s.receive_time().any);
}

TEST_CASE("a time that comes when its socket has gone, or has no room, is dropped without a trace", "[S28]") {
  station s;
  s.ask(sof::tx_hardware | sof::raw_hardware);
  REQUIRE(s.send(ptp_message(2), 319));
  REQUIRE(close(s.net(), std::exchange(s.fd, -1)));
  (void)s.sent(*s.dev);
  s.run();
  s.device_reports();
  CHECK(s.h.worker().pool.in_use() == 0);
  // No room for more than a few.
  s.fd = *netstack::socket(s.net(), af::inet, sock_type::dgram);
  REQUIRE(setsockopt(s.net(), s.fd, sol::socket, so::rcvbuf, 5000));
  s.ask(sof::tx_software | sof::software);
  for (int i = 0; i < 20; ++i) {
    REQUIRE(s.send(bytes(20), 5000));
    (void)s.sent(*s.dev);
    s.run();
  }
  u32 kept = 0;
  while (s.receive_time().any) ++kept;
  CHECK((kept >= 1 && kept < 20));
}
