// SPDX-License-Identifier: BSL-1.0
// How fast we send: CUBIC against its formulas in double precision, HyStart++, the window's validation, pacing, BBR
// over a bottleneck, ECN, and how an algorithm is chosen. The clock is virtual.
#include "netstack/tcp/tcp_cong.hpp"

#include <cmath>

#include "netstack/drivers/fault_injector.hpp"
#include "netstack/drivers/pipe.hpp"
#include "netstack/stack/sysctl.hpp"
#include "netstack/tcp/tcp_bbr.hpp"
#include "netstack/tcp/tcp_cubic.hpp"
#include "netstack/tcp/tcp_offload.hpp"
#include "support/tcp_script.hpp"
#include "support/two_hosts.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;
using std::errc;

struct cong_host : rig_stack<cong_host, tcp, tcp_bbr, tcp_cubic> {};  // the first that is no fallback: bbr
using script = basic_tcp_script<cong_host>;

struct cubic_host : rig_stack<cubic_host, tcp, tcp_cubic> {};
using cubic_script = basic_tcp_script<cubic_host>;

template <class Net>
std::string setting(Net& net, std::string_view path) {
  char text[256];
  auto const n = sysctl_read(net, path, text);
  return n ? std::string(text, *n) : "errno " + std::to_string(static_cast<int>(n.error()));
}
template <class Net>
std::string algorithm(Net& net, int fd) {
  char name[16]{};
  u32 len = sizeof name;
  return getsockopt(net, fd, sol::tcp, tcp_opt::congestion, name, &len) ? name : "none";
}
template <class Net>
errc choose(Net& net, int fd, std::string_view name) {
  auto const r = setsockopt(net, fd, sol::tcp, tcp_opt::congestion, name.data(), name.size());
  return r ? errc{} : r.error();
}

}  // namespace

// --- the choice

TEST_CASE("a listener that chooses another algorithm keeps who waits for accept(), and connects later as any socket",
          "[MAY-18][S148]") {
  script t;
  t.listen(2);
  t.in("S 0 mss 1460").out("S. 0 ack 1").in(". 1 ack 1");
  REQUIRE(choose(t.net(), t.listener, "reno") == errc{});
  REQUIRE(choose(t.net(), t.listener, "cubic") == errc{});
  auto& sk = t.sk(t.listener);
  CHECK(inet_csk(sk).icsk_listen.ack_backlog == 1);
  int const fd = t.accept();
  CHECK(algorithm(t.net(), fd) == "bbr");  // it was there before
  REQUIRE(shutdown(t.net(), t.listener, shut::rd));
  CHECK(sk.sk_state == tcp_state::close);
  for (auto const byte : inet_csk(sk).icsk_ca_priv) CHECK(byte == std::byte{});
  t.over();
}

TEST_CASE(
    "what an algorithm keeps beside the sock comes with the connection, and goes with it or with another's choice") {
  script t;
  auto& beside = tcp_worker_of(t.net()).cas;
  t.listen();
  CHECK(beside.in_use() == 0);  // a listener has its queues there
  t.in("S 0 mss 1460").out("S. 0 ack 1").in(". 1 ack 1");
  int const fd = t.accept();
  CHECK(algorithm(t.net(), fd) == "bbr");
  CHECK(beside.in_use() == 1);
  CHECK(inet_csk_ca<bbr::state>(t.sk(fd)).now == bbr::mode::startup);
  REQUIRE(choose(t.net(), fd, "cubic") == errc{});
  CHECK(beside.in_use() == 0);
  CHECK(inet_csk_ca<cubic::state>(t.sk(fd)).in_first_slow_start);
  REQUIRE(choose(t.net(), fd, "bbr") == errc{});
  CHECK(beside.in_use() == 1);
  t.over();
  CHECK(beside.in_use() == 0);
}

TEST_CASE("an algorithm is chosen by name, for a socket, a namespace and its listeners", "[MAY-18]") {
  script t;
  auto& net = t.net();
  CHECK(setting(net, "net/ipv4/tcp_available_congestion_control") == "bbr cubic reno\n");
  CHECK(setting(net, "net/ipv4/tcp_congestion_control") == "bbr\n");
  int const first = t.stream();
  CHECK(algorithm(net, first) == "bbr");
  CHECK(choose(net, first, "vegas") == errc::no_such_file_or_directory);
  CHECK(choose(net, first, "") == errc::invalid_argument);
  CHECK(choose(net, first, "cubicle") == errc::no_such_file_or_directory);
  CHECK(choose(net, first, std::string_view("reno\0junk", 9)) == errc{});
  CHECK(algorithm(net, first) == "reno");

  CHECK(sysctl_write(net, "net/ipv4/tcp_congestion_control", "vegas\n").error() == errc::no_such_file_or_directory);
  REQUIRE(sysctl_write(net, "net/ipv4/tcp_congestion_control", " cubic\n"));
  CHECK(setting(net, "net/ipv4/tcp_congestion_control") == "cubic\n");
  CHECK(algorithm(net, t.stream()) == "cubic");
  CHECK(algorithm(net, first) == "reno");
  CHECK(sysctl_write(net, "net/ipv4/tcp_available_congestion_control", "reno").error() == errc::permission_denied);

  // A connection has its listener's; one that was told nothing has the namespace's of the moment it began.
  t.listen();
  REQUIRE(sysctl_write(net, "net/ipv4/tcp_congestion_control", "reno"));
  int const child = t.accepted();
  CHECK(algorithm(net, child) == "reno");
  CHECK(choose(net, t.listener, "cubic") == errc{});
  t.close(child);
  t.in("F. 1 ack 2");
  t.pending.clear();
  t.from_port = 4001;
  t.our_isn_known = false;
  CHECK(algorithm(net, t.accepted()) == "cubic");
  t.over();
}

TEST_CASE("what is not allowed needs privilege") {
  script t;
  auto& net = t.net();
  CHECK(setting(net, "net/ipv4/tcp_allowed_congestion_control") == "bbr cubic reno\n");
  CHECK(sysctl_write(net, "net/ipv4/tcp_allowed_congestion_control", "reno vegas").error() ==
        errc::no_such_file_or_directory);
  REQUIRE(sysctl_write(net, "net/ipv4/tcp_allowed_congestion_control", "reno\tbbr\n"));
  CHECK(setting(net, "net/ipv4/tcp_allowed_congestion_control") == "bbr reno\n");
  int const fd = t.stream();
  net_generic<net_core>(net).caps &= ~cap::net_admin;
  CHECK(choose(net, fd, "cubic") == errc::operation_not_permitted);
  CHECK(choose(net, fd, "reno") == errc{});
  // The default may be asked for.
  REQUIRE(sysctl_write(net, "net/ipv4/tcp_congestion_control", "cubic"));
  CHECK(choose(net, fd, "cubic") == errc{});
  net_generic<net_core>(net).caps = cap::all;
  t.over();
}

TEST_CASE("an algorithm may be changed when the connection is over, and the next one begins with it") {
  script t;
  auto& net = t.net();
  for (char const* const first : {"cubic", "bbr"}) {
    REQUIRE(sysctl_write(net, "net/ipv4/tcp_congestion_control", first));
    t.our_isn_known = false;
    int const fd = t.accepted("mss 1000");
    t.in("R 1");
    CHECK(t.state(fd) == tcp_state::close);
    for (char const* const next : {"bbr", "cubic", "reno", "bbr"}) {
      CHECK(choose(net, fd, next) == errc{});
      std::byte info[64];
      u32 len = sizeof info;
      CHECK(getsockopt(net, fd, sol::tcp, tcp_opt::cc_info, info, &len));
    }
    CHECK(tcp_worker_of(net).cas.in_use() == 0);
    t.close(fd);
  }
  t.over();
}

TEST_CASE("an algorithm may be changed while data is in flight") {
  script t;
  int const fd = t.accepted("mss 1000");
  CHECK(t.sk(fd).sk_pacing_needed);  // bbr
  REQUIRE(t.write(fd, 20'000));
  t.after(100);
  t.pending.clear();
  u32 const cwnd = t.tp(fd).snd_cwnd;
  REQUIRE(choose(t.net(), fd, "cubic") == errc{});
  CHECK(t.tp(fd).snd_cwnd == cwnd);
  CHECK_FALSE(t.sk(fd).sk_pacing_needed);
  CHECK(inet_csk_ca<cubic::state>(t.sk(fd)).hystart.window_end == t.tp(fd).snd_nxt);
  for (u32 ack = 1001; ack <= 20'001; ack += 1000) t.in(". 1 ack " + std::to_string(ack));
  t.pending.clear();
  REQUIRE(choose(t.net(), fd, "bbr") == errc{});
  CHECK(t.sk(fd).sk_pacing_needed);
  REQUIRE(t.write(fd, 5000));
  t.after(500);
  t.in(". 1 ack 25001");
  CHECK(t.tp(fd).packets_out == 0);
  t.over();
}

// --- CUBIC

TEST_CASE("CUBIC: root, K and the curve are those of RFC 9438, without overflow") {
  for (u64 x = 0; x < 5000; ++x) {
    u64 const y = cubic::cubic_root(x);
    if (y * y * y > x || (y + 1) * (y + 1) * (y + 1) <= x) FAIL("of " << x << " it is not " << y);
  }
  for (u64 x = 1; x < u64{1} << 62; x += x / 4 + 1) {
    auto const exact = std::cbrt(static_cast<double>(x));
    CHECK(std::fabs(cubic::cubic_root(x) - exact) <= 1.0 + exact * 1e-12);
  }
  for (u32 deficit : {0u, 1u, 3u, 10u, 100u, 5'000u, 250'000u, tcp_max_cwnd}) {
    double const k = std::cbrt(deficit / 0.4) * 1000;
    CHECK(std::fabs(cubic::k(deficit) - k) <= 1);
    u32 const w_max = deficit + 10, k_ms = cubic::k(deficit);
    for (u32 t = 0; t < 3 * k_ms + 1000; t += 1 + k_ms / 97) {
      double const d = (static_cast<double>(t) - k_ms) / 1000, exact = 0.4 * d * d * d + w_max;
      if (exact < tcp_max_cwnd && std::fabs(cubic::w(w_max, k_ms, t) - std::max(exact, 0.0)) > 1)
        FAIL("W(" << t << ") with K " << k_ms << " is " << cubic::w(w_max, k_ms, t) << ", not " << exact);
    }
  }
  CHECK(cubic::w(tcp_max_cwnd, 0, ~u32{0}) == tcp_max_cwnd);
  CHECK(cubic::w(10, ~u32{0}, 0) == 0);
}

namespace {

/// RFC 9438 §4 as it is written, in seconds and segments.
struct cubic_oracle {
  double cwnd, w_max = 0, cwnd_prior = 0, w_est = 0, k = 0, start = -1;
  void loss() {
    w_max = cwnd < w_max ? cwnd * 1.7 / 2 : cwnd;
    cwnd_prior = cwnd;
    cwnd *= 0.7;
    start = -1;
  }
  void ack(double now, double rtt) {
    if (start < 0) {
      start = now;
      k = w_max > cwnd ? std::cbrt((w_max - cwnd) / 0.4) : 0;
      w_max = std::max(w_max, cwnd);
      w_est = cwnd;
    }
    auto const w = [&](double t) { return 0.4 * std::pow(t - k, 3) + w_max; };
    w_est += (w_est >= cwnd_prior ? 1 : 3 * 0.3 / 1.7) / cwnd;
    if (w(now - start) < w_est)
      cwnd = std::max(cwnd, w_est);
    else
      cwnd += (std::clamp(w(now - start + rtt), cwnd, 1.5 * cwnd) - cwnd) / cwnd;
  }
};

/// A connection whose every segment is acknowledged, as the algorithm sees it.
struct cubic_flow {
  cubic_script t;
  int fd = t.accepted("mss 1000");
  tcp_sock& tp = t.tp(fd);
  cubic_oracle oracle;
  double worst = 0;

  explicit cubic_flow(u32 cwnd) : oracle{.cwnd = static_cast<double>(cwnd)} { tp.snd_cwnd = cwnd; }
  ~cubic_flow() {
    tp.snd_cwnd = 10;
    t.over();
  }
  void loss() {
    tp.snd_cwnd = tp.snd_ssthresh = cubic::ssthresh(t.net(), t.sk(fd));
    oracle.loss();
  }
  void run(u64 rtt_ms, u32 rounds) {
    tp.srtt_us = static_cast<u32>(rtt_ms * 8000);
    tp.cwnd_limited = true;
    for (u32 round = 0; round < rounds; ++round) {
      u64 const start = t.rig.clock.now;
      for (u32 i = 0, n = tp.snd_cwnd; i < n; ++i) {
        t.rig.clock.now = start + rtt_ms * 1'000'000 * i / n;
        (void)t.rig.host.poll();  // the worker's clock
        cubic::cong_avoid(t.net(), t.sk(fd), 0, 1);
        oracle.ack(static_cast<double>(t.rig.clock.now) / 1e9, static_cast<double>(rtt_ms) / 1e3);
      }
      t.rig.clock.now = start + rtt_ms * 1'000'000;
      worst = std::max(worst, std::fabs(tp.snd_cwnd - oracle.cwnd) / oracle.cwnd);
    }
  }
};

}  // namespace

TEST_CASE("CUBIC grows as RFC 9438 says: back to the plateau, along it and beyond") {
  cubic_flow f(1000);
  f.loss();
  CHECK(f.tp.snd_cwnd == 700);
  f.run(100, 60);  // K is 9 s
  CHECK(std::fabs(f.oracle.cwnd - 970) < 30);
  f.run(100, 90);
  CHECK(f.tp.snd_cwnd > 1050);
  f.loss();
  f.run(100, 20);
  f.loss();  // below the plateau: RFC 9438 §4.7
  CHECK(inet_csk_ca<cubic::state>(f.t.sk(f.fd)).now.w_max == Approx(f.oracle.w_max).margin(2));
  f.run(100, 100);
  CHECK(f.worst < 0.01);
}

TEST_CASE("CUBIC is never slower than NewReno: RFC 9438 §4.3") {
  cubic_flow f(40);
  f.loss();
  f.run(5, 40);  // 200 ms: the cubic would hardly have moved
  CHECK(f.tp.snd_cwnd > 28 + 40 * 9 / 17 / 2);
  f.run(5, 100);  // beyond the window before the loss a whole segment in each round trip
  CHECK(f.tp.snd_cwnd > 100);
  CHECK(f.worst < 0.05);
}

TEST_CASE("CUBIC: a false alarm brings the old curve back, a timeout begins one at the window: RFC 9438 §4.8, §4.9") {
  cubic_flow f(500);
  f.loss();
  f.run(50, 20);
  auto& ca = inet_csk_ca<cubic::state>(f.t.sk(f.fd));
  auto const before_alarm = ca.now;
  tcp_rare_of(f.t.net(), f.tp).prior_cwnd = f.tp.snd_cwnd;
  (void)cubic::ssthresh(f.t.net(), f.t.sk(f.fd));
  CHECK(ca.now.w_max != before_alarm.w_max);
  CHECK(cubic::undo_cwnd(f.t.net(), f.t.sk(f.fd)) == f.tp.rare->prior_cwnd);
  CHECK(ca.now.w_max == before_alarm.w_max);
  CHECK(ca.now.start_ms == before_alarm.start_ms);
  f.loss();
  tcp_set_ca_state(f.t.net(), f.t.sk(f.fd), tcp_ca_state::loss);
  f.tp.ca_state = tcp_ca_state::open;
  u32 const from = f.tp.snd_cwnd;
  f.tp.cwnd_limited = true;
  cubic::cong_avoid(f.t.net(), f.t.sk(f.fd), 0, 1);
  CHECK(ca.now.k_ms == 0);
  CHECK(ca.now.w_max == from);
}

TEST_CASE("an algorithm hears of nothing before its connection is there") {
  tcp_script t;
  int const fd = t.stream();
  REQUIRE(t.connect(fd) == errc::operation_in_progress);
  CHECK(t.tp(fd).icsk_ca_deaf);  // its SYN is out
  t.out("S 0").in("S. 0 ack 1 mss 1460").out(". 1 ack 1");
  CHECK_FALSE(t.tp(fd).icsk_ca_deaf);
}
TEST_CASE("CUBIC: a pause does not move along the curve: RFC 9438 §5.8") {
  cubic_flow f(500);
  CHECK(f.tp.icsk_ca_deaf);  // no epoch runs: a pause is no news
  f.loss();
  CHECK(f.tp.icsk_ca_deaf);
  f.run(50, 20);
  auto& ca = inet_csk_ca<cubic::state>(f.t.sk(f.fd));
  u32 const start = ca.now.start_ms;
  f.tp.lsndtime = f.t.rig.clock.now;
  f.t.after(3000);
  tcp_ca_tx_start(f.t.net(), f.t.sk(f.fd));
  CHECK(ca.now.start_ms == start + 3000);
}

TEST_CASE("CUBIC: what the application leaves of the window does not move along the curve: RFC 9438 §5.8") {
  cubic_flow f(500);
  f.loss();
  f.run(50, 40);
  u32 const before = f.tp.snd_cwnd, clock = static_cast<u32>(f.t.rig.clock.now / 1'000'000);
  u32 const t = clock - inet_csk_ca<cubic::state>(f.t.sk(f.fd)).now.start_ms;
  f.tp.cwnd_limited = false;
  f.tp.max_packets_out = 100;
  for (u32 i = 0; i < 600; ++i) {  // a minute of something in flight
    f.t.after(100);
    cubic::cong_avoid(f.t.net(), f.t.sk(f.fd), 0, 10);
  }
  CHECK(f.tp.snd_cwnd == before);
  f.run(50, 1);
  CHECK(f.tp.snd_cwnd <= before + 10);  // not half of it more
  f.run(50, 40);
  CHECK(f.tp.snd_cwnd > before);
  u32 const now = static_cast<u32>(f.t.rig.clock.now / 1'000'000);
  u32 const since = now - inet_csk_ca<cubic::state>(f.t.sk(f.fd)).now.start_ms;
  CHECK(since >= t + 41 * 50 - 100);
  CHECK(since <= t + 41 * 50 + 100);
}

// --- HyStart++

namespace {
/// Rounds of `n` acknowledgments that took so long.
bool hystart_round(tcp_hystart& hs, tcp_sock& tp, u32 rtt_us, u32 n = 10) {
  bool full = false;
  for (u32 i = 0; i < n; ++i) {
    tp.snd_una += 1000;
    tp.snd_nxt = tp.snd_una + 1000 * n;
    full = tcp_hystart_update(hs, tp, rtt_us) || full;
  }
  return full;
}
}  // namespace

TEST_CASE("HyStart++ leaves slow start when round trips grow, and not when they only vary: RFC 9406") {
  cubic_script t;
  int const fd = t.accepted("mss 1000");
  auto& tp = t.tp(fd);
  tcp_hystart hs;
  tcp_hystart_reset(hs, tp);
  for (u32 rtt : {50'000u, 53'000u, 50'000u, 55'000u}) CHECK_FALSE(hystart_round(hs, tp, rtt));  // less than an eighth
  CHECK(hs.css_round == 0);
  CHECK_FALSE(hystart_round(hs, tp, 62'000));
  CHECK(hs.css_round == 1);
  // A whim: slow start goes on.
  CHECK_FALSE(hystart_round(hs, tp, 50'000));
  CHECK(hs.css_round == 0);
  // It stays: five rounds of a quarter of the growth, and then congestion avoidance.
  CHECK_FALSE(hystart_round(hs, tp, 60'000));
  u32 const cwnd = tp.snd_cwnd;
  CHECK(tcp_hystart_slow_start(hs, tp, 8) == 0);
  CHECK(tp.snd_cwnd == cwnd + 2);
  CHECK(tcp_hystart_slow_start(hs, tp, 3) == 0);
  CHECK(tp.snd_cwnd == cwnd + 2);
  CHECK(tcp_hystart_slow_start(hs, tp, 1) == 0);
  CHECK(tp.snd_cwnd == cwnd + 3);
  for (int i = 0; i < 4; ++i) CHECK_FALSE(hystart_round(hs, tp, 61'000));
  CHECK(hystart_round(hs, tp, 61'000));
  // Too few samples in a round say nothing; and one acknowledgment opens the window by L at most, unless paced: §4.3.
  tcp_hystart_reset(hs, tp);
  for (u32 rtt : {50'000u, 90'000u, 50'000u, 90'000u}) CHECK_FALSE(hystart_round(hs, tp, rtt, 7));
  CHECK(hs.css_round == 0);
  u32 const before_stretch = tp.snd_cwnd;
  (void)tcp_hystart_slow_start(hs, tp, 100);
  CHECK(tp.snd_cwnd == before_stretch + 8);
  tp.sk_pacing_needed = true;
  (void)tcp_hystart_slow_start(hs, tp, 100);
  CHECK(tp.snd_cwnd == before_stretch + 8 + 100);
  tp.sk_pacing_needed = false;
  tp.snd_una = tp.snd_nxt = tp.write_seq;
  t.over();
}

// --- the window is what was used

TEST_CASE("a window that the application does not use does not grow, and is kept: RFC 7661 §4.1") {
  cubic_script t;
  int const fd = t.accepted("mss 1000");
  auto& tp = t.tp(fd);
  u32 at = 1;
  auto const exchange = [&](u32 bytes) {
    REQUIRE(t.write(fd, bytes));
    t.pending.clear();
    t.after(50);
    for (u32 left = bytes; left != 0; left -= std::min(left, 8000u))
      t.in(". 1 ack " + std::to_string(at += std::min(left, 8000u)));
    t.pending.clear();
  };
  for (int i = 0; i < 5; ++i) exchange(5000);
  CHECK(tp.snd_cwnd == 10);
  CHECK_FALSE(tcp_is_cwnd_limited(tp));
  for (int i = 0; i < 2; ++i) exchange(tp.snd_cwnd * 1000);  // all of it is used
  CHECK(tp.snd_cwnd == 40);
  for (int i = 0; i < 20; ++i) exchange(10'000);
  CHECK(tp.snd_cwnd == 40);
  // In congestion avoidance, too.
  tp.snd_ssthresh = 20;
  for (int i = 0; i < 40; ++i) exchange(20'000);
  CHECK(tp.snd_cwnd == 40);
  exchange(40'000);
  CHECK(tp.cwnd_limited);
  exchange(40'000);
  CHECK(tp.snd_cwnd > 40);
  t.over();
}

TEST_CASE("after a pause slow start begins anew, unless net/ipv4/tcp_slow_start_after_idle says no: RFC 5681 §4.1") {
  for (bool const on : {true, false}) {
    CAPTURE(on);
    cubic_script t;
    REQUIRE(sysctl_write(t.net(), "net/ipv4/tcp_slow_start_after_idle", on ? "1" : "0"));
    int const fd = t.accepted("mss 1000");
    t.tp(fd).snd_cwnd = 100;
    t.tp(fd).snd_ssthresh = on ? 50 : tcp_infinite_ssthresh;
    t.tp(fd).lsndtime = t.rig.clock.now;
    t.after(10'000);
    t.tp(fd).sk_sndbuf = 1 << 20;
    REQUIRE(t.write(fd, 50'000));
    CHECK(t.pending.size() == (on ? 10 : 50));
    CHECK(t.tp(fd).snd_ssthresh == (on ? 75 : tcp_infinite_ssthresh));  // most of what the path carried
    t.over();
  }
}

// --- pacing

TEST_CASE("SO_MAX_PACING_RATE: segments leave at the rate, whatever the window") {
  cubic_script t;
  int const fd = t.accepted("mss 1000");
  auto& net = t.net();
  auto const limit = [&]<class T>(T) { return getsockopt<T>(net, fd, sol::socket, so::max_pacing_rate).value(); };
  REQUIRE(setsockopt(net, fd, sol::socket, so::max_pacing_rate, u32{1'000'000}));
  CHECK(limit(u64{}) == 1'000'000);
  CHECK(limit(u32{}) == 1'000'000);
  t.tp(fd).snd_cwnd = 200;
  t.tp(fd).sk_sndbuf = 1 << 20;
  t.tp(fd).rtt_min_us = 50'000;
  REQUIRE(t.write(fd, 100'000));
  // The first ones leave together, then two of 1040 bytes each 2.08 ms.
  t.pending.clear();
  std::vector<u64> times;
  for (int i = 0; i < 4000 && times.size() < 50; ++i) {
    t.rig.run_for(20'000);
    t.collect();
    for (; !t.pending.empty(); t.pending.pop_front()) times.push_back(t.rig.clock.now);
  }
  REQUIRE(times.size() == 50);
  for (std::size_t i = 2; i < times.size(); i += 2) {
    CHECK(times[i - 1] == times[i - 2]);
    if (times[i] - times[i - 1] < 2'000'000 || times[i] - times[i - 1] > 2'160'000)
      FAIL("segment " << i << " after " << times[i] - times[i - 1] << " ns");
  }
  double const rate = 48 * 1040 / (static_cast<double>(times.back() - times.front()) / 1e9);
  CHECK(std::fabs(rate - 1e6) < 1e4);
  // More than 32 bits, and no limit.
  REQUIRE(setsockopt(net, fd, sol::socket, so::max_pacing_rate, u64{20'000'000'000}));
  CHECK(limit(u64{}) == 20'000'000'000);
  CHECK(limit(u32{}) == ~u32{0});
  REQUIRE(setsockopt(net, fd, sol::socket, so::max_pacing_rate, ~u32{0}));
  CHECK(limit(u64{}) == ~u64{0});
  t.over();
}

TEST_CASE("the shorter the round trip, the more leaves at once of what is paced: timers are coarse beside it") {
  struct {
    u32 rtt_min_us, segments;
  } const paths[]{{100, 65}, {511, 65}, {512, 33}, {1024, 17}, {4096, 2}, {0, 2}};
  for (auto const& path : paths) {
    CAPTURE(path.rtt_min_us);
    cubic_script t;
    int const fd = t.accepted("mss 1000");
    REQUIRE(setsockopt(t.net(), fd, sol::socket, so::max_pacing_rate, u32{1'000'000}));
    t.tp(fd).snd_cwnd = 500;
    t.tp(fd).snd_wnd = 1 << 20;
    t.tp(fd).sk_sndbuf = 1 << 20;
    t.tp(fd).rtt_min_us = path.rtt_min_us;
    t.tp(fd).data_segs_out = tcp_unpaced_segments;
    REQUIRE(t.write(fd, 200'000));
    t.collect();
    CHECK(t.pending.size() == path.segments);
    t.pending.clear();
    t.rig.run_for(path.segments * 1'040'000 - 20'000);
    t.collect();
    CHECK(t.pending.empty());
    t.rig.run_for(40'000);
    t.collect();
    CHECK(t.pending.size() == path.segments);
    t.pending.clear();
    t.over();
  }
}

TEST_CASE("a paced connection without an unlimited rate takes the window and a part more in a round trip") {
  cubic_script t;
  int const fd = t.accepted("mss 1000");
  auto& tp = t.tp(fd);
  tp.srtt_us = 8 * 100'000;
  tp.snd_cwnd = 50;
  tcp_update_pacing_rate(t.net(), t.sk(fd));
  CHECK(tp.sk_rare->pacing_rate == 1'000'000);  // 200 % of 500 kB/s in slow start
  tp.snd_ssthresh = 50;
  tcp_update_pacing_rate(t.net(), t.sk(fd));
  CHECK(tp.sk_rare->pacing_rate == 600'000);
  REQUIRE(sysctl_write(t.net(), "net/ipv4/tcp_pacing_ca_ratio", "150"));
  tcp_update_pacing_rate(t.net(), t.sk(fd));
  CHECK(tp.sk_rare->pacing_rate == 750'000);
  CHECK_FALSE(sysctl_write(t.net(), "net/ipv4/tcp_pacing_ss_ratio", "1001"));
  tp.snd_cwnd = tcp_max_cwnd, tp.mss_cache = 65000, tp.srtt_us = 1;
  tcp_update_pacing_rate(t.net(), t.sk(fd));
  CHECK(tp.sk_rare->pacing_rate > u64{1} << 50);
  tp.snd_cwnd = 10, tp.mss_cache = 1000, tp.srtt_us = 8;
  t.over();
}

// --- over a bottleneck

namespace {

using faulty_wire = drivers::fault_injector<drivers::pipe>;
struct path_host : stack<path_host, ipv4, ipv4_offload, tcp, tcp_offload, tcp_cubic, tcp_bbr, faulty_wire,
                         sizes<config{.skb_pool = 4096, .skb_clones = 4096, .max_sock = 16}>> {};
using path_rig = two_hosts<path_host, path_host, faulty_wire>;

/// A sender on `a` that never lacks data, for a reader on `b`.
struct bulk {
  path_rig& t;
  int listener, client, server = -1;
  u64 received = 0;

  bulk(path_rig& r, std::string_view name) : t(r) {
    auto& a = t.a.init_net();
    auto& b = t.b.init_net();
    REQUIRE(sysctl_write(b, "net/ipv4/tcp_rmem", "4096 4000000 4000000"));
    listener = socket(b, af::inet, sock_type::stream | sock_type::nonblock).value();
    REQUIRE(bind(b, listener, path_rig::name({}, 80)));
    REQUIRE(listen(b, listener, 4));
    client = socket(a, af::inet, sock_type::stream | sock_type::nonblock).value();
    REQUIRE(choose(a, client, name) == errc{});
    (void)connect(a, client, path_rig::name(path_rig::addr_b, 80));
  }
  tcp_sock& tp() { return tcp_sk(*sockfs::table_of(t.a.init_net()).find(client)->sk); }
  /// Bits a second that were received in so many ms. `step`: the clock goes by so many ns; 0: to each timer.
  double run(u64 ms, u64 step = 0) {
    static std::string const data(65536, 'x');
    static char buf[65536];
    u64 const from = received;
    for (u64 const end = t.clock.now + ms * 1'000'000; t.clock.now < end;) {
      if (step != 0)
        t.clock.now += step, t.run();
      else
        t.run_for(1'000'000);
      if (server < 0) server = accept(t.b.init_net(), listener, nullptr, nullptr, sock_type::nonblock).value_or(-1);
      while (send(t.a.init_net(), client, data.data(), data.size())) {
      }
      if (server < 0) continue;
      while (auto n = recv(t.b.init_net(), server, buf, sizeof buf)) received += *n;
    }
    return static_cast<double>(received - from) * 8000 / static_cast<double>(ms);
  }
};
faulty_wire::params bottleneck(drivers::wire_faults const& forth, drivers::wire_faults const& back) {
  return {.tx = forth, .rx = back, .seed = 7};
}

}  // namespace

TEST_CASE("BBR finds the rate and the round trip of a bottleneck, and keeps its queue short") {
  // 10 Mbit/s, 40 ms, and room for a second of data to wait.
  path_rig t{bottleneck({.delay_ns = 20'000'000, .rate_bps = 10'000'000, .limit = 1000}, {}),
             bottleneck({.delay_ns = 20'000'000, .limit = 1000}, {}), 1};
  bulk f(t, "bbr");
  (void)f.run(3000);
  auto const& ca = inet_csk_ca<bbr::state>(f.tp());
  CHECK(ca.full_bw_reached);
  CHECK(ca.now == bbr::mode::probe_bw);
  double const bw = static_cast<double>(bbr::max_bw(ca)) / (1 << bbr::bw_scale) * f.tp().mss_cache * 8e6;
  CAPTURE(bw, ca.min_rtt_us, f.tp().srtt_us >> 3, f.tp().snd_cwnd);
  CHECK(bw > 9.0e6);
  CHECK(bw < 10.1e6);
  CHECK(ca.min_rtt_us > 40'000);
  CHECK(ca.min_rtt_us < 43'000);
  CHECK(f.run(4000) > 9.2e6);
  bbr::info info;  // TCP_CC_INFO
  CHECK(bbr::get_info(f.tp(), std::as_writable_bytes(std::span(&info, 1))) == 20);
  CHECK(info.bw_hi == 0);
  CHECK(info.bw_lo > 9'000'000 / 8);
  CHECK(info.bw_lo < 10'100'000 / 8);
  CHECK(info.min_rtt == ca.min_rtt_us);
  CHECK(info.cwnd_gain == 2 * bbr::unit);
  CHECK(f.tp().srtt_us >> 3 < 60'000);
  CHECK(f.tp().rare->lost == 0);
  // Ten seconds after the last shorter round trip it looks for one, with four segments for 200 ms.
  u32 least = ~u32{0};
  for (int i = 0; i < 40'000 && least > bbr::min_cwnd && t.clock.now < ca.min_rtt_stamp + 10'500'000'000; ++i)
    (void)f.run(1), least = std::min(least, f.tp().snd_cwnd);
  CHECK(least == bbr::min_cwnd);
  CHECK(f.run(3000) > 8.5e6);
}

TEST_CASE("BBR: the wait of a peer that acknowledges late is no round trip") {
  script t;
  int const fd = t.accepted("mss 1000 sackok");
  u32 at = 1;
  auto const exchange = [&](u32 ms, u32 bytes) {
    REQUIRE(t.write(fd, bytes).value() == bytes);
    t.after(ms).in(". 1 ack " + std::to_string(at += bytes)).pending.clear();
    return inet_csk_ca<bbr::state>(t.sk(fd)).min_rtt_us / 1000;
  };
  inet_csk_ca<bbr::state>(t.sk(fd)).min_rtt_us = bbr::no_rtt;
  CHECK(exchange(10, 1000) == 10);
  t.after(11'000);
  CHECK(exchange(50, 100) == 10);
  t.after(11'000);
  CHECK(exchange(50, 1000) == 50);
  t.over();
}

TEST_CASE("BBR paces from the beginning, however long a round trip is: a rate of 0 would be none") {
  script t;
  int const fd = t.accepted("mss 100");
  REQUIRE(choose(t.net(), fd, "reno") == errc{});
  t.tp(fd).srtt_us = 100'000'000u << 3;  // as between planets, after a timeout
  t.tp(fd).snd_cwnd = 1;
  REQUIRE(choose(t.net(), fd, "bbr") == errc{});
  u64 const rate = t.sk(fd).sk_rare->pacing_rate;
  CHECK(rate >= 100);  // a segment a second
  CHECK(rate < 10'000);
  t.over();
}

TEST_CASE("BBR: what a false alarm took from the window comes back") {
  script t;
  int const fd = t.accepted("mss 1012 sackok ts 1 0");
  REQUIRE(sysctl_write(t.net(), "net/ipv4/tcp_early_retrans", "0"));
  REQUIRE(t.write(fd, 5000));
  t.after(20).out(". 1:1001 ts * 1");
  std::string const then = " ts 2 " + std::to_string(t.our_tsval);
  u32 const before = t.tp(fd).snd_cwnd;
  CHECK(before >= 10);
  t.after(300).pending.clear();
  CHECK(t.tp(fd).ca_state == tcp_ca_state::loss);
  CHECK(t.tp(fd).snd_cwnd < before);
  t.in(". 1 ack 1001" + then);  // of the first transmission
  CHECK(t.tp(fd).ca_state == tcp_ca_state::open);
  CHECK(t.tp(fd).snd_cwnd >= before);
  t.pending.clear();
  t.in(". 1 ack 5001 ts 3 0").over();
}

TEST_CASE("BBR looks for more until as much more is in flight, and for a round trip at least") {
  script t;
  int const fd = t.accepted("mss 1000 sackok");
  auto& ca = inet_csk_ca<bbr::state>(t.sk(fd));
  // Ten segments in 100 ms: a quarter more, and what bursts take, are 18.
  ca.now = bbr::mode::probe_bw, ca.full_bw_reached = true;
  ca.min_rtt_us = 100'000, ca.rates[0] = (10u << bbr::bw_scale) / 100'000;
  ca.cycle = 0, ca.cycle_stamp = t.net().worker().now;
  u32 acked = 1;
  auto const exchange = [&](u32 n, bool begins = false) {
    t.tp(fd).snd_cwnd = 40;
    REQUIRE(t.write(fd, n * 1000).value() == n * 1000);
    t.after(100 + n * 5).pending.clear();
    if (begins) ca.cycle_stamp = t.net().worker().now;
    t.in(". 1 ack " + std::to_string(acked += n * 1000)).pending.clear();
    return u32{ca.cycle};
  };
  CHECK(exchange(1) == 0);         // long enough, and too few
  CHECK(exchange(24, true) == 0);  // enough, and too soon
  CHECK(exchange(24) == 1);
  t.over();
}

TEST_CASE("BBR: who sends less than the path takes learns nothing of it, however long") {
  script t;
  int const fd = t.accepted("mss 1000 sackok");
  auto& ca = inet_csk_ca<bbr::state>(t.sk(fd));
  u32 acked = 1;
  auto const arrive = [&](u32 n) {  // a round trip after they left, and five more may leave
    t.after(100).pending.clear();
    t.in(". 1 ack " + std::to_string(acked += n * 1000) + " win 5000").pending.clear();
    return bbr::max_bw(ca);
  };
  REQUIRE(t.write(fd, 10'000).value() == 10'000);
  u32 const known = arrive(10);
  for (int i = 0; i < 30; ++i) {
    REQUIRE(t.write(fd, 1000).value() == 1000);
    CHECK(arrive(1) == known);
  }
  REQUIRE(t.write(fd, 15'000).value() == 15'000);  // the peer's window holds it back: the path takes less now
  for (int i = 0; i < 3; ++i) (void)arrive(5);
  CHECK(bbr::max_bw(ca) == known / 2);  // what was known is too old
  t.over();
}

TEST_CASE("BBR comes back when a path that brought a segment in three seconds brings many again") {
  drivers::wire_faults const good{.delay_ns = 20'000'000, .rate_bps = 10'000'000, .limit = 1000},
      bad{.delay_ns = 20'000'000, .rate_bps = 4'000, .queue = 3000, .limit = 1000};
  path_rig t{bottleneck(good, {}), bottleneck({.delay_ns = 20'000'000, .limit = 1000}, {}), 1};
  bulk f(t, "bbr");
  (void)f.run(3000);
  faulty_wire::set_faults(*t.dev_a, bad, {});
  (void)f.run(600'000);
  CHECK(f.tp().sk_rare->pacing_rate < 10'000);
  faulty_wire::set_faults(*t.dev_a, good, {});
  (void)f.run(100'000);
  CHECK(f.run(10'000) > 8.5e6);
}

TEST_CASE("what is paced leaves in packets of a millisecond, where a device takes several segments at once") {
  constexpr u32 takes = netif_f::sg | netif_f::fraglist | netif_f::hw_csum | netif_f::gso;
  for (u64 const rate : {u64{1'000'000}, u64{20'000'000}}) {
    CAPTURE(rate);
    faulty_wire::params const both{.inner = {.features = takes}, .tx = {.delay_ns = 5'000'000, .limit = 1000}};
    path_rig t{both, 1};
    bulk f(t, "cubic");
    REQUIRE(setsockopt(t.a.init_net(), f.client, sol::socket, so::max_pacing_rate, rate));
    (void)f.run(500);
    u64 const packets = t.dev_b->stats.rx_packets.read(), segments = f.tp().data_segs_out;
    double const got = f.run(1000) / 8;
    double const each = static_cast<double>(f.tp().data_segs_out - segments) /
                        static_cast<double>(t.dev_b->stats.rx_packets.read() - packets);
    CHECK(got < static_cast<double>(rate));
    CHECK(got > 0.9 * static_cast<double>(rate));
    u64 const burst = std::max<u64>((rate >> 10) / f.tp().mss_cache, 2);
    CAPTURE(each, burst, got);
    CHECK(each <= static_cast<double>(burst));
    CHECK(each > 0.6 * static_cast<double>(burst));
  }
}

TEST_CASE("BBR keeps the rate where one in a hundred is lost, and CUBIC does not") {
  auto const rate = [](char const* name) {
    path_rig t{bottleneck({.loss = 10'000, .delay_ns = 20'000'000, .rate_bps = 10'000'000, .limit = 1000}, {}),
               bottleneck({.delay_ns = 20'000'000, .limit = 1000}, {}), 1};
    bulk f(t, name);
    (void)f.run(3000);
    return f.run(5000);
  };
  double const of_bbr = rate("bbr"), of_cubic = rate("cubic");
  CAPTURE(of_bbr, of_cubic);
  CHECK(of_bbr > 8.5e6);
  CHECK(of_cubic < 0.7 * of_bbr);
}

TEST_CASE("BBR fills a wire also where a host that sleeps is woken a little late") {
  drivers::wire_faults const wire{.loss = 10'000, .delay_ns = 500'000, .rate_bps = 1'000'000'000, .limit = 2000};
  path_rig t{bottleneck(wire, {}), bottleneck(wire, {}), 1};
  bulk f(t, "bbr");
  CHECK(f.run(1000, 100'000) > 7e8);
}

TEST_CASE("HyStart++ ends slow start over a growing queue before anything is lost") {
  path_rig t{bottleneck({.delay_ns = 20'000'000, .rate_bps = 20'000'000, .limit = 2000}, {}),
             bottleneck({.delay_ns = 20'000'000, .limit = 2000}, {}), 1};
  bulk f(t, "cubic");
  (void)f.run(1500);
  CHECK(f.tp().snd_ssthresh < tcp_infinite_ssthresh);
  CHECK(f.tp().rare->lost == 0);
  CHECK(NET_STATS(t.a.init_net()).TCPHystartDelayDetect.read() == 1);
  CAPTURE(f.tp().snd_ssthresh, f.tp().snd_cwnd);
  // The path holds 69; the round that shows it is of twice as many, and five more add a quarter each.
  CHECK(f.tp().snd_ssthresh > 69);
  CHECK(f.tp().snd_ssthresh < 2 * 69 * 3.5);
  CHECK(f.run(1000) > 18e6);
}

TEST_CASE("with ECN a bottleneck that marks holds CUBIC to its rate, and loses nothing") {
  drivers::wire_faults const forth{
      .delay_ns = 20'000'000, .rate_bps = 10'000'000, .queue = 300'000, .mark = 30'000, .limit = 1000},
      back{.delay_ns = 20'000'000, .limit = 1000};
  for (bool const sending : {true, false}) {
    CAPTURE(sending);
    path_rig t{sending ? bottleneck(forth, {}) : bottleneck({}, back),
               sending ? bottleneck(back, {}) : bottleneck({}, forth), 1};
    REQUIRE(sysctl_write(t.a.init_net(), "net/ipv4/tcp_ecn", "1"));
    bulk f(t, "cubic");
    (void)f.run(2000);
    CHECK(f.run(6000) > 9e6);
    auto const& counts = sending ? faulty_wire::tx_counts(*t.dev_a) : faulty_wire::rx_counts(*t.dev_b);
    CHECK(counts.marked > 0);
    CHECK(counts.overflowed == 0);
    CHECK(f.tp().rare->lost == 0);
    CHECK(f.tp().rare->delivered_ce > 0);
    CHECK(f.tp().srtt_us >> 3 < 120'000);  // without marks the queue adds a quarter of a second
    CHECK(IP_STATS(t.b.init_net()).InCEPkts.read() == counts.marked);
    CHECK(IP_STATS(t.b.init_net()).InHdrErrors.read() == 0);
  }
}

// --- ECN

namespace {
struct ecn_host : rig_stack<ecn_host, tcp> {};
using ecn_script = basic_tcp_script<ecn_host>;
}  // namespace

TEST_CASE("ECN: by default it is agreed to and not asked for: RFC 3168 §6.1.1", "[SHLD-8]") {
  ecn_script t;
  int const active = t.stream();
  (void)t.connect(active);
  t.out("S 0 ecn 0");
  t.close(active);
  t.our_isn_known = false;
  t.our_port = ecn_script::port;
  t.listen();
  t.in("SEC 0 mss 1000").out("SE. 0 ack 1 ecn 0");
  t.in(". 1 ack 1").silent();
  int const fd = t.accept();
  REQUIRE(t.write(fd, 10));
  t.out("P. 1:11 ecn 2");
  t.over();
}

TEST_CASE("ECN: what does not ask rightly gets none") {
  for (char const* syn :
       {"S 0 mss 1000", "SE 0 mss 1000", "SC 0 mss 1000", "SEC 0 mss 1000 ecn 2", "SEC 0 mss 1000 ecn 3"}) {
    CAPTURE(syn);
    ecn_script t;
    t.listen();
    t.in(syn).out("S. 0 ack 1");
    t.in(". 1 ack 1");
    int const fd = t.accept();
    REQUIRE(t.write(fd, 10));
    t.out("P. 1:11 ecn 0");
    t.in("E. 1 ack 11");  // nothing was agreed
    CHECK(t.tp(fd).ca_state == tcp_ca_state::open);
    t.over();
  }
  ecn_script t;
  REQUIRE(sysctl_write(t.net(), "net/ipv4/tcp_ecn", "0"));
  t.listen();
  t.in("SEC 0 mss 1000").out("S. 0 ack 1");
  t.over();
}

TEST_CASE("ECN: it is asked for with tcp_ecn = 1, and no more when the SYN is lost: RFC 3168 §6.1.1.1") {
  for (bool const agreed : {true, false}) {
    CAPTURE(agreed);
    ecn_script t;
    REQUIRE(sysctl_write(t.net(), "net/ipv4/tcp_ecn", "1"));
    int const fd = t.stream();
    (void)t.connect(fd);
    t.out("SEC 0 ecn 0");
    t.in(agreed ? "SE. 0 ack 1 mss 1000" : "SEC. 0 ack 1 mss 1000").out(". 1 ack 1 ecn 0");
    REQUIRE(t.write(fd, 10));
    t.out(agreed ? "P. 1:11 ecn 2" : "P. 1:11 ecn 0");
    t.over();
  }
  ecn_script t;
  REQUIRE(sysctl_write(t.net(), "net/ipv4/tcp_ecn", "1"));
  int const fd = t.stream();
  (void)t.connect(fd);
  t.out("SEC 0").after(1100).out("S 0 ecn 0").silent();
  t.in("S. 0 ack 1 mss 1000").out(". 1 ack 1");
  REQUIRE(t.write(fd, 10));
  t.out("P. 1:11 ecn 0");
  t.over();
}

TEST_CASE("ECN: both open at once") {
  ecn_script t;
  REQUIRE(sysctl_write(t.net(), "net/ipv4/tcp_ecn", "1"));
  int const fd = t.stream();
  (void)t.connect(fd);
  t.out("SEC 0");
  t.in("SEC 0 mss 1000").out("SE. 0 ack 1");
  t.in("SE. 0 ack 1 mss 1000");
  t.pending.clear();
  REQUIRE(t.write(fd, 10));
  t.out("P. 1:11 ecn 2");
  t.over();
}

namespace {
int ecn_accepted(ecn_script& t, std::string const& options = "mss 1000 sackok") {
  t.listen();
  t.in("SEC 0 " + options).out("SE. 0 ack 1");
  t.in(". 1 ack 1").silent();
  return t.accept();
}
}  // namespace

TEST_CASE("ECN: a mark is echoed until the sender says that its window is smaller: RFC 3168 §6.1.3") {
  ecn_script t;
  int const fd = ecn_accepted(t);
  t.tp(fd).quick_acks = 0;
  t.tp(fd).lrcvtime = t.rig.clock.now;
  t.in(". 1:1001 ack 1 ecn 3").out("E. 1 ack 1001 ecn 0");  // at once
  t.in(". 1001:2001 ack 1 ecn 2").in(". 2001:3001 ack 1 ecn 2");
  for (auto const& frame : t.pending) CHECK((frame.at<tcphdr>(frame.l4()).flags & tcp_flag::ece) != 0);
  t.pending.clear();
  REQUIRE(t.write(fd, 10));
  t.out("PE. 1:11 ack 3001 ecn 2");  // with data, too
  t.in("C. 3001:4001 ack 11 ecn 2").out(". 11 ack 4001").silent();
  t.pending.clear();
  t.in("C. 4001:5001 ack 11 ecn 3").out("E. 11 ack 5001");  // smaller, and still too much
  // A mark on what is not taken is none (§6.1.5).
  t.in("C. 5001:6001 ack 11 ecn 2").out(". 11 ack 6001");
  t.in(". 1:1001 ack 11 ecn 3").out(". 11 ack 6001");
  t.over();
}

TEST_CASE("ECN: an echo halves the window once in a window, and the next new data says so: RFC 3168 §6.1.2") {
  ecn_script t;
  int const fd = ecn_accepted(t);
  auto& tp = t.tp(fd);
  REQUIRE(t.write(fd, 10'000));
  for (u32 i = 0; i < 9; ++i)
    t.out(". " + std::to_string(1 + i * 1000) + ":" + std::to_string(1001 + i * 1000) + " ecn 2");
  t.out("P. 9001:10001 ecn 2").silent();
  t.in("E. 1 ack 1001");
  CHECK(tp.ca_state == tcp_ca_state::cwr);
  CHECK(tp.snd_ssthresh == 5);
  for (u32 ack = 2001; ack <= 10'001; ack += 1000) t.in("E. 1 ack " + std::to_string(ack));
  CHECK(tp.snd_ssthresh == 5);
  CHECK(tp.ca_state == tcp_ca_state::cwr);  // until what says so is acknowledged
  CHECK(tp.rare->delivered_ce == 10);
  CHECK(t.ext().TCPDeliveredCE.read() == 10);
  t.silent();  // nothing is repeated
  REQUIRE(t.write(fd, 2000));
  t.out("C. 10001:11001 ecn 2").out("P. 11001:12001 ecn 2").silent();
  t.in(". 1 ack 12001");
  CHECK(tp.ca_state == tcp_ca_state::open);
  CHECK(tp.snd_cwnd == 5);
  REQUIRE(t.write(fd, 1000));
  t.out("P. 12001:13001 ecn 2");
  t.in("E. 1 ack 13001");
  CHECK(tp.snd_ssthresh == 2);  // another
  t.over();
}

TEST_CASE("ECN: a repair that was for nothing is taken back, an echo of congestion is not: RFC 3168 §6.1.2, RFC 3708") {
  for (char const* const echo : {"none", "first", "later"}) {
    INFO("an echo: " << echo);
    ecn_script t;
    int const fd = ecn_accepted(t, "mss 1000 sackok");
    auto& tp = t.tp(fd);
    tp.snd_ssthresh = 4;  // in congestion avoidance
    REQUIRE(t.write(fd, 10'000));
    t.pending.clear();
    t.in(std::string(*echo == 'f' ? "E" : "") + ". 1 ack 1 sack 1001-4001").out(". 1:1001");
    CHECK(tp.ca_state == tcp_ca_state::recovery);
    t.in(std::string(*echo == 'l' ? "E" : "") + ". 1 ack 9001");
    t.in(". 1 ack 10001 sack 1-1001");  // it came twice
    CHECK(t.ext().TCPDSACKUndo.read() + t.ext().TCPFullUndo.read() == 1);
    CHECK(tp.ca_state == tcp_ca_state::open);
    CHECK((tp.snd_cwnd >= 10) == (*echo == 'n'));
    CHECK(tp.snd_ssthresh == (*echo == 'n' ? 7 : 5));  // three quarters of the window, or half of it
    REQUIRE(t.write(fd, 1000));
    t.out(*echo == 'n' ? "P. 10001:11001 ecn 2" : "CP. 10001:11001 ecn 2").silent();
    t.over();
  }
}

TEST_CASE("ECN: what is repeated, and what asks about a window, is not capable: RFC 3168 §6.1.5, §6.1.6") {
  ecn_script t;
  int const fd = ecn_accepted(t, "mss 1000");
  REQUIRE(t.write(fd, 2000));
  t.out(". 1:1001 ecn 2").out("P. 1001:2001 ecn 2");
  t.after(250).out(". 1:1001 ecn 0").silent();
  t.in(". 1 ack 2001 win 0");
  t.pending.clear();
  REQUIRE(t.write(fd, 500));
  t.after(10'000);
  REQUIRE(!t.pending.empty());
  t.out(". 2000 ecn 0");
  t.pending.clear();
  // After a loss the window is smaller as well: the next new data says so.
  t.in(". 1 ack 2001 win 10000").out("PC. 2001:2501 ecn 2");
  t.over();
}

TEST_CASE("SO_MAX_PACING_RATE of 0 paces nothing, as in Linux", "[S147]") {
  tcp_script t;
  int const fd = t.accepted("mss 1000");
  REQUIRE(setsockopt(t.net(), fd, sol::socket, so::max_pacing_rate, 0));
  for (u32 round = 0; round < 3; ++round) {  // beyond the first ten segments, which are never paced
    REQUIRE(t.write(fd, 8000));
    CHECK(t.pending.size() == 8);
    t.pending.clear();
    t.in(". 1 ack " + std::to_string(1 + 8000 * (round + 1)));
  }
  t.over();
}
