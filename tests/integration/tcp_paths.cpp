// SPDX-License-Identifier: BSL-1.0
// TCP between two stacks over paths that ask something of it: a long fat one, which it must fill; ones that take no
// large frame and say nothing of it, which it must find out. The clock is virtual.
#include <string>

#include "netstack/drivers/fault_injector.hpp"
#include "netstack/drivers/pipe.hpp"
#include "netstack/ipv4/ipv4.hpp"
#include "netstack/stack/sysctl.hpp"
#include "support/tcp_echo.hpp"
#include "support/two_hosts.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

/// A wire that swallows what is longer than it likes, link header included.
template <class Inner>
struct swallower : driver {
  static constexpr auto full_name = drivers::decorate_name<Inner>("swallower");
  static constexpr char const* name = full_name.text;
  struct params {
    typename Inner::params inner{};
    u32 most = ~u32{0};
  };
  struct priv {
    typename Inner::priv inner{};
    u32 most = 0, swallowed = 0;
  };
  template <class Net>
  static netdev_tx xmit(Net& net, net_device& dev, sk_buff& skb, bool more) {
    auto& p = netdev_priv<swallower>(dev);
    if (skb.len <= p.most) return Inner::template netdev_ops<Net>.ndo_start_xmit(net, dev, skb, more);
    ++p.swallowed;
    consume_skb(skb);
    return netdev_tx::ok;
  }
  template <class Net>
  static constexpr net_device_ops<Net> netdev_ops = [] {
    auto ops = Inner::template netdev_ops<Net>;
    ops.ndo_start_xmit = xmit<Net>;
    ops.ndo_xmit_list = nullptr;
    return ops;
  }();
  template <class Net>
  static result<void> probe(Net& net, net_device& dev, params const& args) {
    netdev_priv<swallower>(dev).most = args.most;
    return Inner::probe(net, dev, args.inner);
  }
  template <class Net>
  static void remove(Net& net, net_device& dev) {
    Inner::remove(net, dev);
  }
};

using swallowing_wire = swallower<drivers::fault_injector<drivers::pipe>>;
struct host
    : stack<host, ipv4, tcp, swallowing_wire, sizes<config{.max_net = 1, .skb_pool = 16384, .skb_clones = 16384}>> {};
using rig = two_hosts<host, host, swallowing_wire>;

/// One connection from a to b. What is sent goes on for as long as the test likes; b reads all of it, or nothing.
struct flow {
  rig& t;
  int listener, client, server = -1;
  u32 written = 0, got = 0;
  bool reads = true;
  bool exact = true;

  explicit flow(rig& r, bool fixed_rcvbuf = false) : t(r) {
    listener = socket(t.b.init_net(), af::inet, sock_type::stream | sock_type::nonblock).value();
    if (fixed_rcvbuf) REQUIRE(setsockopt(t.b.init_net(), listener, sol::socket, so::rcvbuf, 65536));
    REQUIRE(bind(t.b.init_net(), listener, rig::name({}, 80)));
    REQUIRE(listen(t.b.init_net(), listener, 4));
    client = socket(t.a.init_net(), af::inet, sock_type::stream | sock_type::nonblock).value();
    (void)connect(t.a.init_net(), client, rig::name(rig::addr_b, 80));
    for (int i = 0; i < 5000 && server < 0; ++i) {
      t.run_for(1'000'000);
      server = accept(t.b.init_net(), listener, nullptr, nullptr, sock_type::nonblock).value_or(-1);
    }
    REQUIRE(server >= 0);
  }
  /// What is sent: these bytes over and over, twice here.
  static constexpr u32 period = 65521;
  std::string const text = stream_of(period) + stream_of(period);
  /// What both applications do in so many ms, or until so many bytes were read.
  u32 run(u32 ms, u32 bytes = ~u32{0}) {
    u32 const before = got;
    std::string buf(period, '\0');
    for (u32 i = 0; i < ms && got - before < bytes; ++i) {
      for (;;) {
        auto const n =
            send(t.a.init_net(), client, text.data() + written % period, std::min(period, bytes - (written - before)));
        if (!n || *n == 0) break;
        written += static_cast<u32>(*n);
      }
      t.run_for(1'000'000);
      while (reads) {
        auto const n = recv(t.b.init_net(), server, buf.data(), buf.size());
        if (!n) break;
        exact = exact && text.compare(got % period, *n, buf, 0, *n) == 0;
        got += static_cast<u32>(*n);
      }
    }
    return got - before;
  }
  tcp_sock& of(host& h, int fd) { return tcp_sk(*sockfs::table_of(h.init_net()).find(fd)->sk); }
  tcp_sock& sender() { return of(t.a, client); }
  tcp_sock& receiver() { return of(t.b, server); }
  tcpext_mib& ext() { return NET_STATS(t.a.init_net()); }
  ~flow() {
    CHECK(exact);
    (void)close(t.a.init_net(), client);
    (void)close(t.b.init_net(), server);
    (void)close(t.b.init_net(), listener);
  }
};

constexpr u64 rate = 100'000'000, one_way = 50'000'000;
constexpr u32 bdp = rate / 8 / 10;
rig::params long_fat{.inner = {.tx = {.delay_ns = one_way, .rate_bps = rate, .limit = 8192}}};

u32 swallowed(net_device& dev) { return netdev_priv<swallowing_wire>(dev).swallowed; }
void set(rig& t, char const* path, char const* value) {
  REQUIRE(sysctl_write(t.a.init_net(), path, value));
  REQUIRE(sysctl_write(t.b.init_net(), path, value));
}

}  // namespace

// --- buffers that grow: 100 Mbit/s, 100 ms

TEST_CASE("the window opens to the bandwidth-delay product, with time stamps and without", "[S100]") {
  bool const stamps = GENERATE(true, false);
  CAPTURE(stamps);
  rig t{long_fat};
  if (!stamps) set(t, "net/ipv4/tcp_timestamps", "0");
  flow f(t);
  u32 const began_with = f.receiver().sk_rcvbuf;
  f.run(3000);
  CHECK(f.run(1000) > rate / 8 / 10 * 9);  // nine tenths of the wire, headers included
  CHECK(f.receiver().sk_rcvbuf > began_with);
  CHECK(tcp_receive_window(f.receiver()) > bdp);
  CHECK(f.receiver().rcv_rtt_us >> 3 >= 99'000);
  CHECK(f.sender().sk_sndbuf > 2 * bdp);
  CHECK(f.ext().TCPTimeouts.read() == 0);
}

TEST_CASE("the send buffer grows until it holds as much payload as net/ipv4/tcp_wmem says", "[S100]") {
  bool const small = GENERATE(false, true);
  CAPTURE(small);
  rig t{long_fat};
  set(t, "net/ipv4/tcp_wmem", "4096 16384 200000");
  flow f(t);
  // … but a peer's small segments take no more frames for it.
  if (small) f.sender().mss_clamp = 512, f.sender().pmtu_cookie = 0;
  f.run(2000);
  u32 most = 0;
  for (int i = 0; i < 200; ++i) {
    f.run(1);
    most = std::max(most, f.sender().write_seq - f.sender().snd_una);
  }
  u32 const segments = 200'000 / (small ? 1024 : f.sender().mss_cache);
  CHECK(f.sender().sk_sndbuf == segments * t.a.worker().pool.frame_truesize());
  CHECK(most >= segments * f.sender().mss_cache * 95 / 100);
  CHECK(most <= (segments + 1) * f.sender().mss_cache);
}

TEST_CASE("the receive buffer stays as it is: by hand, by net/ipv4/tcp_moderate_rcvbuf, and if nobody reads") {
  rig t{long_fat};
  SECTION("SO_RCVBUF") {
    flow f(t, true);
    f.run(2000);
    CHECK(f.receiver().sk_rcvbuf == 131072);
    CHECK(f.run(1000) < rate / 8 / 10);  // a window in each round trip
  }
  SECTION("the setting") {
    set(t, "net/ipv4/tcp_moderate_rcvbuf", "0");
    flow f(t);
    f.run(2000);
    CHECK(f.receiver().sk_rcvbuf == 131072);
    CHECK(f.run(1000) < rate / 8 / 10);
  }
  SECTION("nobody reads") {
    flow f(t);
    f.reads = false;
    f.run(2000);
    CHECK(f.receiver().sk_rcvbuf == 131072);
    CHECK(f.receiver().sk_rmem_alloc <= 131072 + t.b.worker().pool.frame_truesize());
    f.reads = true;
    CHECK(f.run(1000) > 1'000'000);  // and goes on
  }
}

// --- paths that swallow: RFC 4821

TEST_CASE("a path that swallows large frames stops us for good, unless net/ipv4/tcp_mtu_probing is 1") {
  rig::params narrow{.inner = {.tx = {.delay_ns = 5'000'000}}, .most = 1200};
  rig t{narrow};
  SECTION("0") {
    flow f(t);
    CHECK(f.run(60'000, 1'000'000) == 0);
    CHECK(swallowed(*t.dev_a) > 0);
  }
  SECTION("1: after a silence the search begins from below") {
    set(t, "net/ipv4/tcp_mtu_probing", "1");
    flow f(t);
    CHECK(f.run(60'000, 1'000'000) == 1'000'000);
    // All but the threshold was found: 1200 bytes are an MTU of 1186.
    CHECK(f.sender().rare->mtup.search_low <= 1186);
    CHECK(f.sender().rare->mtup.search_low > 1186 - 8);
    CHECK(f.sender().mss_cache == f.sender().rare->mtup.search_low - 52);
    CHECK(f.ext().TCPMTUPSuccess.read() > 0);
    CHECK(f.ext().TCPMTUPFail.read() > 0);
    u32 const lost = swallowed(*t.dev_a);
    CHECK(f.run(60'000, 1'000'000) == 1'000'000);
    CHECK(swallowed(*t.dev_a) == lost);  // it asks no more
  }
  SECTION("1, and not even the base passes: half of it, and half of that") {
    netdev_priv<swallowing_wire>(*t.dev_a).most = 400;
    set(t, "net/ipv4/tcp_mtu_probing", "1");
    flow f(t);
    CHECK(f.run(200'000, 200'000) == 200'000);
    CHECK(f.sender().rare->mtup.search_low <= 386);
  }
}

TEST_CASE("with net/ipv4/tcp_mtu_probing 2 no frame need be lost for long: RFC 4821 §7.6") {
  bool const narrow = GENERATE(true, false);
  CAPTURE(narrow);
  rig t{rig::params{.inner = {.tx = {.delay_ns = 5'000'000}}}};
  if (narrow) netdev_priv<swallowing_wire>(*t.dev_a).most = 1300;
  set(t, "net/ipv4/tcp_mtu_probing", "2");
  flow f(t);
  CHECK(f.run(20'000, 3'000'000) == 3'000'000);
  u32 const mtu = narrow ? 1286 : 1500;
  CHECK(f.sender().rare->mtup.search_low <= mtu);
  CHECK(f.sender().rare->mtup.search_low > mtu - 8);
  CHECK(f.ext().TCPTimeouts.read() == 0);
  CHECK(f.ext().TCPMTUPFail.read() == swallowed(*t.dev_a));
  CHECK(f.sender().snd_cwnd >= 10);  // what was lost was no sign of congestion
  if (!narrow) return;
  // The path widens; in ten minutes that is found out.
  netdev_priv<swallowing_wire>(*t.dev_a).most = ~u32{0};
  CHECK(f.run(20'000, 1'000'000) == 1'000'000);
  CHECK(f.sender().rare->mtup.search_low <= 1286);
  t.run_for(600'000'000'000);
  CHECK(f.run(20'000, 3'000'000) == 3'000'000);
  CHECK(f.sender().rare->mtup.search_low > 1500 - 8);
}
