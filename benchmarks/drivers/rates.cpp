// SPDX-License-Identifier: BSL-1.0
// netstack_bench_drivers: what a driver carries, by a stack and by a program without one, over a veth pair or a TAP of
// its own, frame after frame of one size. scripts/bench --drivers runs both in turn.
//   netstack_bench_drivers ROW ours|raw BYTES SECONDS     prints frames a second
// rx ends in a handler that looks at the first byte, tx starts with packets whose bytes lie there already; l2fwd sends
// back what it received, with the addresses exchanged; udp_echo is the whole stack with an application; tcp_tx and
// tcp_rx are a connection's segments, full ones, beside Linux's own connection over the same pair, in tcp_tx_gro with
// an end of Linux's that merges them. Needs root.
#include "netstack/core/dev_config.hpp"
#include "netstack/drivers/af_xdp.hpp"
#include "netstack/drivers/pcap.hpp"
#include "netstack/drivers/tap.hpp"
#include "netstack/testing/detail/bench_rig.hpp"
#include "raw.hpp"
#include "tcp.hpp"

namespace rates::ours {

using namespace netstack;
using testing::detail::bench_addr, testing::detail::bench_frame, testing::detail::bench_mac,
    testing::detail::bench_peer, testing::detail::bench_peer_mac, testing::detail::bench_port;

inline constexpr u16 test_type = 0x88b5;  // IEEE 802: local experimental ethertype 1

/// Takes the frames of the experimental ethertype.
struct edge : module {
  struct pernet {
    u64 got = 0, seen = 0;
  };
  template <class Net>
  static void look(Net& net, sk_buff& skb) {
    auto& e = net_generic<edge>(net);
    e.seen += *skb.data;
    ++e.got;
  }
  template <class Net>
  static verdict rcv(Net& net, sk_buff& skb) {
    look(net, skb);
    return verdict::consumed();
  }
  template <class Net>
  static void rcv_list(Net& net, skb_list& burst) {
    skb_list done;
    while (sk_buff* skb = receive_next(net, burst, test_type)) look(net, *skb), done.push_back(*skb);
    net.worker().pool.free_list(done);
  }
  template <class Net>
  static constexpr std::array packet_types{
      packet_type<Net>{.type = test_type, .func = rcv<Net>, .list_func = rcv_list<Net>, .name = "edge"}};

  template <class Net>
  static rx_handler_result reflect(Net& net, sk_buff& skb) {
    skb.push(eth_hlen);
    auto* const eth = reinterpret_cast<netstack::ethhdr*>(skb.data);
    std::swap(eth->h_dest, eth->h_source);
    (void)dev_queue_xmit(net, skb);
    return rx_handler_result::consumed;
  }
  template <class Net>
  static constexpr std::array rx_handlers{rx_handler<Net>{reflect<Net>, "reflect"}};
};

struct host : stack<host, presets::full, drivers::af_xdp, drivers::pcap, drivers::tap, edge,
                    sizes<config{.max_net = 1, .skb_pool = frames}>> {};
using net_t = netstack::net<host>;

template <class Driver>
struct rig {
  host h;
  net_device* dev = nullptr;

  net_t& net() { return h.init_net(); }
  explicit rig(typename Driver::params p) {
    std::strcpy(p.ifname, ifname);
    must(h.boot({.seed = 1}).has_value(), "boot");
    auto const made = register_netdev<Driver>(net(), "eth0", p);
    if (!made) errno = static_cast<int>(made.error());
    must(made.has_value(), "register_netdev");
    dev = *made;
    must(dev_open(net(), *dev).has_value(), "dev_open");
    for (double const end = now() + 2; !dev->carrier_ok() && now() < end;) h.poll();
    errno = ENETDOWN;
    must(dev->carrier_ok(), "the carrier");
  }
  double receive(meter m, feeder const& far) {
    auto const& got = net_generic<edge>(net()).got;
    return m.received(far, [&] {
      u64 const before = got;
      h.poll();
      return got - before;
    });
  }
  /// What was sent while polling.
  double forward(meter m, feeder const& far) {
    return m.forwarded(far, [&] {
      u64 const before = dev->stats.tx_packets.read();
      h.poll();
      return dev->stats.tx_packets.read() - before;
    });
  }
  double send(meter m, raw::frame f) {
    auto& pool = h.worker().pool;
    auto const len = static_cast<u32>(f.size());
    skb_list all;  // every frame that is free now holds the bytes
    pool.alloc_bulk(pool.nr_frames() - pool.in_use(), all);
    for (sk_buff& skb : all) std::memcpy(skb.put(len), f.data(), len);
    pool.free_list(all);
    return m.sent([&] {
      skb_list list;
      pool.alloc_bulk(burst, list);
      for (sk_buff& skb : list) {
        skb.put(len);
        skb.dev = dev;
        skb.protocol = be16{test_type};
        skb.reset_mac_header();
      }
      u64 const before = dev->stats.tx_packets.read();
      if (!list.empty()) dev_queue_xmit_list(net(), list);
      h.poll();
      return dev->stats.tx_packets.read() - before;
    });
  }
};

using xdp_rig = rig<drivers::af_xdp>;
using pcap_rig = rig<drivers::pcap>;
using tap_rig = rig<drivers::tap>;
inline constexpr drivers::af_xdp::params xdp_params{.mode = drivers::xdp_mode::native};

inline double xdp_rx(meter m, raw::frame f) {
  make_veth();
  auto const r = std::make_unique<xdp_rig>(xdp_params);
  feeder const far{feeder::xdp, far_ifname, f};
  return r->receive(m, far);
}
inline double xdp_tx(meter m, raw::frame f) {
  make_veth();
  return std::make_unique<xdp_rig>(xdp_params)->send(m, f);
}
inline double xdp_l2fwd(meter m, raw::frame f) {
  make_veth();
  auto const r = std::make_unique<xdp_rig>(xdp_params);
  must(netstack::netdev_rx_handler_register<edge>(r->net(), *r->dev, nullptr).has_value(),
       "netdev_rx_handler_register");
  feeder const far{feeder::xdp, far_ifname, f};
  return r->forward(m, far);
}

inline double xdp_udp_echo(meter m, raw::frame f) {
  make_veth();
  auto const r = std::make_unique<xdp_rig>(xdp_params);
  must(inet_addr_add(r->net(), r->dev->ifindex, *ipv4_prefix::make(bench_addr, 24)).has_value() &&
           neigh_add(r->net(), r->dev->ifindex, bench_peer, bench_peer_mac).has_value(),
       "the address");
  using socket = udp_socket<net_t>;
  socket s{r->net()};
  must(s.open().has_value() && s.bind(inet_addr_of(be32{}, bench_port)).has_value(), "the socket");
  s.on_datagrams(
      [](void* self, skb_list& list) {
        auto const from = udp_source(*list.first);  // there is one peer
        (void)static_cast<socket*>(self)->send(list, from);
      },
      &s);
  feeder const far{feeder::xdp, far_ifname, f};
  return r->forward(m, far);
}

/// A connection with Linux's TCP. What is sent counts once it is acknowledged.
inline double xdp_tcp(meter m, linux_end::kind far) {
  linux_end const other{far};
  auto params = xdp_params;
  params.tx_checksums = true;  // as Linux in our place has it
  auto const r = std::make_unique<xdp_rig>(params);
  auto& net = r->net();
  must(inet_addr_add(net, r->dev->ifindex, *ipv4_prefix::make(bench_addr, 24)).has_value(), "the address");
  int fd = netstack::socket(net, af::inet, sock_type::stream | sock_type::nonblock).value_or(-1);
  sock* sk = nullptr;
  int const listener = fd;
  if (far != linux_end::source)
    (void)netstack::connect(net, fd, inet_addr_of(bench_peer, tcp_port));
  else
    must(
        netstack::bind(net, fd, inet_addr_of(be32{}, tcp_port)).has_value() && netstack::listen(net, fd, 1).has_value(),
        "listen");
  for (double const end = now() + 4; now() < end; r->h.poll()) {
    if (far == linux_end::source) fd = accept(net, listener, nullptr, nullptr, sock_type::nonblock).value_or(-1);
    auto* const handle = fd < 0 ? nullptr : sockfs::table_of(net).find(fd);
    sk = handle ? handle->sk : nullptr;
    if (sk && sk->sk_state == tcp_state::established) break;
  }
  errno = ETIMEDOUT;
  must(sk && sk->sk_state == tcp_state::established, "the connection");
  std::vector<char> bytes(piece);
  segments done;
  u32 acked = tcp_sk(*sk).snd_una;
  return m.sent([&] {
    if (far == linux_end::source) {
      r->h.poll();
      return done.add(recv(net, fd, bytes.data(), piece).value_or(0));
    }
    (void)send(net, fd, bytes.data(), piece);
    r->h.poll();
    u32 const una = tcp_sk(*sk).snd_una;
    return done.add(una - std::exchange(acked, una));
  });
}
inline double xdp_tcp_tx(meter m, raw::frame) { return xdp_tcp(m, linux_end::sink); }
inline double xdp_tcp_tx_gro(meter m, raw::frame) { return xdp_tcp(m, linux_end::gro_sink); }
inline double xdp_tcp_rx(meter m, raw::frame) { return xdp_tcp(m, linux_end::source); }

inline double pcap_rx(meter m, raw::frame f) {
  make_veth();
  auto const r = std::make_unique<pcap_rig>(drivers::pcap::params{});
  feeder const far{feeder::socket, far_ifname, f};
  return r->receive(m, far);
}
inline double pcap_inject(meter m, raw::frame f) {
  make_veth();
  return std::make_unique<pcap_rig>(drivers::pcap::params{})->send(m, f);
}
inline constexpr drivers::tap::params tap_params{.mac = bench_mac, .bring_up = true};
inline double tap_rx(meter m, raw::frame f) {
  auto const r = std::make_unique<tap_rig>(tap_params);
  feeder const far{feeder::socket, ifname, f};
  return r->receive(m, far);
}
inline double tap_tx(meter m, raw::frame f) { return std::make_unique<tap_rig>(tap_params)->send(m, f); }

}  // namespace rates::ours

int main(int argc, char** argv) {
  using namespace rates;
  struct row {
    char const* name;
    double (*ours)(meter, raw::frame);
    double (*raw)(meter, raw::frame);
  };
  constexpr row rows[] = {
      {"drivers/af_xdp/rx", ours::xdp_rx, raw::xdp_rx},
      {"drivers/af_xdp/tx", ours::xdp_tx, raw::xdp_tx},
      {"drivers/af_xdp/l2fwd", ours::xdp_l2fwd, raw::xdp_l2fwd},
      {"drivers/af_xdp/udp_echo", ours::xdp_udp_echo, raw::xdp_l2fwd},
      {"drivers/af_xdp/tcp_tx", ours::xdp_tcp_tx, raw::tcp_tx},
      {"drivers/af_xdp/tcp_tx_gro", ours::xdp_tcp_tx_gro, raw::tcp_tx_gro},
      {"drivers/af_xdp/tcp_rx", ours::xdp_tcp_rx, raw::tcp_rx},
      {"drivers/pcap/rx", ours::pcap_rx, raw::pcap_rx},
      {"drivers/pcap/inject", ours::pcap_inject, raw::pcap_inject},
      {"drivers/tap/rx", ours::tap_rx, raw::tap_rx},
      {"drivers/tap/tx", ours::tap_tx, raw::tap_tx},
  };
  if (argc == 2 && std::strcmp(argv[1], "--list") == 0) {
    for (auto const& r : rows) std::puts(r.name);
    return 0;
  }
  auto const* found = std::find_if(std::begin(rows), std::end(rows),
                                   [&](row const& r) { return argc == 5 && std::strcmp(r.name, argv[1]) == 0; });
  if (found == std::end(rows)) {
    std::fprintf(stderr, "usage: %s --list | ROW ours|raw BYTES SECONDS\n", argv[0]);
    return 2;
  }
  if (::geteuid() != 0) {
    std::puts("SKIPPED: needs root: makes network namespaces");
    return 4;
  }
  auto const bytes = static_cast<std::size_t>(std::atoi(argv[3]));
  if (bytes < 60 || bytes > 1514) return std::fputs("BYTES: 60 to 1514\n", stderr), 2;
  auto frame = ours::bench_frame::udp(bytes - ours::bench_frame::l4 - netstack::udp_hlen).bytes;
  if (found->ours != ours::xdp_udp_echo) {  // then of no protocol that Linux, too, would look at
    netstack::be16 const type{ours::test_type};
    std::memcpy(frame.data() + offsetof(netstack::ethhdr, h_proto), &type, sizeof type);
  }
  enter_namespace();
  pin(true);
  bool const raw = std::strcmp(argv[2], "raw") == 0;
  std::printf("%.0f\n", (raw ? found->raw : found->ours)(meter{std::atof(argv[4])}, frame));
  std::fflush(stdout);
  std::_Exit(0);  // the feeder never ends
}
