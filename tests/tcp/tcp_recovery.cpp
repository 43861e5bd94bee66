// SPDX-License-Identifier: BSL-1.0
// Losses, and what is taken for one: how they are found (RACK, the tail loss probe, duplicate acknowledgments, the
// timer), how fast they are repaired (PRR), when a repair turns out not to have been needed (F-RTO, time stamps,
// DSACK), and what a receiver may make up without costing us more than its due. Segments are numbered from 1 and hold
// 1000 bytes; a round trip takes 100 ms.
#include "netstack/tcp/tcp_recovery.hpp"

#include <ctime>

#include "netstack/stack/sysctl.hpp"
#include "support/tcp_script.hpp"

using namespace netstack;
using namespace netstack::test;

namespace {

/// What the peer answers once it has everything up to segment n.
std::string ack(u32 n) { return ". 1 ack " + std::to_string(1 + n * 1000); }
/// … and segments a to b.
std::string sack(u32 a, u32 b) {
  return " sack " + std::to_string(a * 1000 - 999) + "-" + std::to_string(1 + b * 1000);
}
std::string seg(u32 n) { return std::to_string(n * 1000 - 999) + ":" + std::to_string(1 + n * 1000); }

template <class Host = tcp_script_host>
struct basic_episode : basic_tcp_script<Host> {
  using basic_tcp_script<Host>::tp;
  using basic_tcp_script<Host>::ext;
  int fd;

  explicit basic_episode(std::string const& options = "sackok", u64 rtt = 100) {
    this->listen();
    bool const stamped = options.find("ts") != std::string::npos;
    this->in("S 0 mss " + std::to_string(stamped ? 1012 : 1000) + " " + options).out("S. 0 ack 1").after(rtt);
    this->in(stamped ? ". 1 ack 1 ts 1 " + std::to_string(stamp()) : ". 1 ack 1").silent();
    fd = this->accept();
    this->sk(fd).sk_sndbuf = 8 << 20;
  }
  tcp_sock& tp() { return tp(fd); }
  void set(char const* name, char const* value) {
    REQUIRE(sysctl_write(this->net(), std::string("net/ipv4/") + name, value));
  }
  /// Our clock's time stamp now.
  u32 stamp() {
    auto const* s = inet_lookup_established(this->net(), inet_ehash_key{peer_addr, our_addr, be16{4000}, 80, 0});
    return tcp_time_stamp(this->net()) + (s ? tcp_sk(*s).tsoffset : 0);
  }
  /// Writes n more segments; those that may leave at once, do.
  basic_episode& write(u32 n) {
    REQUIRE(basic_tcp_script<Host>::write(fd, n * 1000).value() == n * 1000);
    return *this;
  }
  /// The next that leave are these.
  basic_episode& leave(u32 from, u32 to) {
    for (u32 n = from; n <= to; ++n) {
      INFO("expected: segment " << n);
      REQUIRE(!this->pending.empty());
      bool const push = this->pending.front().template at<tcphdr>(this->pending.front().l4()).flags & tcp_flag::psh;
      this->out((push ? "P. " : ". ") + seg(n));
    }
    return *this;
  }
  basic_episode& leaves(u32 n) { return leave(n, n); }
  basic_episode& after(u64 ms) { return basic_tcp_script<Host>::after(ms), *this; }
  basic_episode& quiet(u64 ms) { return basic_tcp_script<Host>::quiet(ms), *this; }
  basic_episode& in(std::string const& text) { return basic_tcp_script<Host>::in(text), *this; }
  basic_episode& silent() { return basic_tcp_script<Host>::silent(), *this; }
  /// n segments leave and arrive, a round trip later, in order.
  basic_episode& calm(u32 n) {
    u32 const first = this->written / 1000 + 1;
    write(n).leave(first, first + n - 1).after(100).in(ack(first + n - 1)).silent();
    return *this;
  }
};
using episode = basic_episode<>;

}  // namespace

// --- RACK -----------------------------------------------------------------------------------------------------------

TEST_CASE("a segment is lost once a later one arrived and a quarter round trip passed: RFC 8985 §6.2", "[S147]") {
  episode t;
  t.write(5).leave(1, 5).after(100);
  t.in(ack(0) + sack(2, 2)).quiet(25).after(4).leaves(1).silent();  // min RTT / 4, and 2 ms
  CHECK(t.tp().ca_state == tcp_ca_state::recovery);
  CHECK(t.tp().repair);
  CHECK(t.ext().TCPSackRecovery.read() == 1);
  CHECK(t.ext().TCPFastRetrans.read() == 1);
  t.after(96).in(ack(5)).silent();
  CHECK(t.tp().ca_state == tcp_ca_state::open);
  CHECK(!t.tp().repair);
  CHECK(t.tp().snd_cwnd == t.tp().snd_ssthresh);
  CHECK(t.ext().TCPTimeouts.read() == 0);
  t.over();
}

TEST_CASE("three that overtook it are enough where nothing was ever reordered: RFC 8985 §6.2, RFC 5681 §3.2") {
  for (char const* bits : {"1", "5"}) {  // TCP_RACK_NO_DUPTHRESH
    episode t;
    t.set("tcp_recovery", bits);
    t.write(5).leave(1, 5).after(100);
    t.in(ack(0) + sack(2, 3)).silent().in(ack(0) + sack(2, 4));
    if (*bits == '5') t.quiet(25).after(4);
    t.leaves(1).silent();
    t.in(ack(5)).over();
  }
}

TEST_CASE("what left together is late together, in whole microseconds: RFC 8985 §6.2 step 5") {
  for (u64 const part : {0u, 300u, 999u}) {  // of the clock when they leave; ns
    CAPTURE(part);
    episode t;
    auto const pass = [&](u64 ns) { t.rig.clock.now += ns, (void)t.rig.host.poll(); };
    pass(part);
    t.write(5).leave(1, 5).after(100);
    pass(1);
    t.in(ack(0) + sack(2, 4)).leaves(1).silent();
    t.in(ack(5)).over();
  }
}

TEST_CASE("only what was sent before something that arrived is lost: RFC 8985 §6.2 step 5") {
  episode t;
  t.write(4).leave(1, 4).after(50).write(4).leave(5, 8).after(50);
  t.in(ack(0) + sack(2, 4)).leaves(1).silent();
  t.quiet(99);  // 5 to 8 left later than 4
  CHECK(t.tp().lost_out == 1);
  t.in(ack(8)).silent().over();
}

TEST_CASE("of all that an acknowledgment tells of, the latest that left says how long it takes: RFC 8985 §6.2 step 2") {
  episode t;
  t.write(4).leave(1, 4).after(50).write(4).leave(5, 8).after(50);
  t.in(ack(0) + sack(7, 8) + sack(3, 4)).leave(1, 2).leave(5, 6).silent();
  t.in(ack(8)).over();
}

TEST_CASE("reordering widens the window, DSACK by a step more, and sixteen recoveries narrow it: RFC 8985 §6.2") {
  episode t;
  t.write(6).leave(1, 6).after(100);
  t.in(ack(0) + sack(2, 3)).after(5).in(ack(6)).silent();  // 1 was only late
  CHECK(t.tp().reord_seen);
  CHECK(t.ext().TCPSACKReorder.read() == 1);
  CHECK(t.tp().reordering == 6);
  t.write(6).leave(7, 12).after(100);
  t.in(ack(6) + sack(8, 12)).quiet(25).after(4).leaves(7).silent();  // five overtook it: it has its time still
  t.in(ack(12)).after(100).in(ack(12) + sack(7, 7)).silent();        // it came twice
  CHECK(t.ext().TCPDSACKRecv.read() == 1);
  CHECK(t.ext().TCPDSACKUndo.read() == 1);
  CHECK(t.tp().rack_reo_wnd_steps == 2);
  t.write(6).leave(13, 18).after(100);
  t.in(ack(12) + sack(14, 18)).quiet(50).after(4).leaves(13).silent().after(96).in(ack(18)).silent();
  for (u32 i = 0; i < 15; ++i) {
    u32 const n = 19 + i * 5;
    t.tp().snd_cwnd = 10;
    t.write(5).leave(n, n + 4).after(100).in(ack(n - 1) + sack(n + 1, n + 4));
    t.after(100).leaves(n).silent().in(ack(n + 4)).silent();
  }
  CHECK(t.tp().rack_reo_wnd_steps == 1);
  t.over();
}

TEST_CASE("the degree of reordering is remembered, up to tcp_max_reordering") {
  episode t;
  t.set("tcp_max_reordering", "6");
  t.write(10).leave(1, 10).after(100);
  t.in(ack(0) + sack(5, 5)).in(ack(5)).silent();
  CHECK(t.tp().reordering == 5);
  t.in(ack(6) + sack(10, 10)).after(1).in(ack(10));
  t.write(20).leave(11, 24).after(100);
  t.in(ack(10) + sack(22, 22)).in(ack(22));
  CHECK(t.tp().reordering == 6);
  CHECK(t.ext().TCPSACKReorder.read() >= 2);
  t.pending.clear();
  t.over();
}

TEST_CASE("a hole that a SACK fills is reordering once") {
  episode t;
  t.write(10).leave(1, 10).after(100);
  t.in(ack(0) + sack(6, 6)).in(ack(0) + sack(2, 2) + sack(6, 6));
  CHECK(t.ext().TCPSACKReorder.read() == 1);
  CHECK(t.tp().rare->reord_events == 1);
  CHECK(t.tp().reordering == 5);
  t.in(ack(10)).over();
}

TEST_CASE("what left at the same moment as a repetition tells nothing of it: RFC 8985 §6.2") {
  episode t;
  t.write(20).leave(1, 10).after(100);
  t.in(ack(0) + sack(2, 2)).leaves(11).in(ack(0) + sack(2, 3)).leaves(12);  // RFC 3042
  t.in(ack(0) + sack(2, 10)).leaves(1);                                     // behind them on the wire
  t.pending.clear();
  t.after(100).in(ack(0) + sack(2, 11)).in(ack(0) + sack(2, 12));
  CHECK(t.ext().TCPLostRetransmit.read() == 0);
  CHECK(t.mib().RetransSegs.read() == 1);
  t.pending.clear();
  t.in(ack(12));
  t.pending.clear();
  t.over();
}

TEST_CASE("a repetition that is lost is missed like any other: RFC 8985 §3.2") {
  episode t;
  t.write(20).leave(1, 10).after(100);
  t.in(ack(0) + sack(2, 4)).leaves(1).leaves(11).silent().after(1);
  t.in(ack(0) + sack(2, 8)).leaves(12).silent();  // sent after 1 was repeated
  t.after(100).in(ack(0) + sack(2, 8) + sack(11, 12));
  CHECK(t.ext().TCPLostRetransmit.read() == 1);
  t.leaves(1);
  t.pending.clear();
  t.after(100).in(ack(12));
  CHECK(t.ext().TCPTimeouts.read() == 0);
  t.pending.clear();
  t.over();
}

TEST_CASE("a repetition is missed when new data arrived that left behind it at the same moment: RFC 8985 §6.2") {
  episode t;
  t.write(20).leave(1, 10).after(100);
  t.in(ack(0) + sack(2, 4)).leaves(1).leaves(11).silent();  // in this order
  t.after(100).in(ack(0) + sack(2, 11)).leaves(1);
  CHECK(t.ext().TCPLostRetransmit.read() == 1);
  t.pending.clear();
  t.after(100).in(ack(11));
  CHECK(t.ext().TCPTimeouts.read() == 0);
  t.pending.clear();
  t.over();
}

TEST_CASE("of what was repeated at one moment, what arrived tells of what left before it: RFC 8985 §6.2 step 5") {
  for (bool const stamped : {false, true}) {
    CAPTURE(stamped);
    episode t(stamped ? "sackok ts 1 0" : "sackok");
    // Behind a gap the echo is of what came before that, and says nothing of what came: RFC 7323 §4.3.
    u32 const echo = t.stamp();
    auto const ts = [&](u32 val) { return stamped ? " ts " + std::to_string(val) + ' ' + std::to_string(echo) : ""; };
    t.write(10).leave(1, 10).after(100).in(ack(0) + sack(4, 10) + ts(2)).leave(1, 3).silent();
    t.after(100).in(ack(0) + sack(2, 2) + sack(4, 10) + ts(3)).leaves(1).silent();
    CHECK(t.ext().TCPLostRetransmit.read() == 1);
    t.after(100).in(ack(10) + ts(4)).silent();
    CHECK(t.ext().TCPTimeouts.read() == 0);
    t.over();
  }
}

TEST_CASE("… and nothing of what left behind it, whatever its number") {
  episode t;
  t.write(20).leave(1, 10).after(100);
  t.in(ack(0) + sack(2, 4)).leaves(1).leaves(11).silent().after(100);
  t.in(ack(0) + sack(2, 5) + sack(7, 8)).leaves(6);
  t.in(ack(0) + sack(2, 5) + sack(7, 8) + sack(11, 11)).leaves(1);  // for the third time, and behind 6
  CHECK(t.ext().TCPLostRetransmit.read() == 1);
  t.pending.clear();
  t.after(100).in(ack(0) + sack(2, 8) + sack(11, 11));
  CHECK(t.ext().TCPLostRetransmit.read() == 1);
  t.pending.clear();
  t.in(ack(11));
  t.pending.clear();
  t.over();
}

TEST_CASE("what is lost again is repaired in order of sequence, not in that in which it was repeated: RFC 6675 §4") {
  episode t;
  t.write(20).leave(1, 10).after(100);
  t.in(ack(0) + sack(2, 4)).leaves(1).leaves(11).silent().after(100);
  t.in(ack(0) + sack(2, 5) + sack(7, 8)).leaves(6);
  t.in(ack(0) + sack(2, 5) + sack(7, 8) + sack(11, 11)).leaves(1).pending.clear();
  t.after(1).in(ack(0) + sack(2, 5) + sack(7, 11)).pending.clear();  // something new left
  REQUIRE(t.tp().snd_nxt - t.tp().snd_una >= 14'000);
  t.after(100).in(ack(0) + sack(2, 5) + sack(7, 14)).leaves(1);  // 6 had been repeated before it
  t.pending.clear();
  t.in(ack(14)).pending.clear();
  t.over();
}

// --- the tail loss probe
// ----------------------------------------------------------------------------------------------

TEST_CASE("a lost tail is repaired by a probe after two round trips, without a timeout: RFC 8985 §7") {
  episode t;
  t.calm(5).write(5).leave(6, 10).after(100).in(ack(8)).silent();  // 9 and 10 are lost
  t.quiet(200).after(4).leaves(10).silent();                       // 2 SRTT and 2 ms
  CHECK(t.ext().TCPLossProbes.read() == 1);
  t.after(100).in(ack(8) + sack(10, 10));
  t.after(30).leaves(9).silent();
  t.after(100).in(ack(10)).silent();
  CHECK(t.ext().TCPTimeouts.read() == 0);
  CHECK(t.ext().TCPSackRecovery.read() == 1);
  CHECK(t.tp().snd_cwnd < 10);
  t.over();
}

TEST_CASE("what the probe repairs alone was a loss all the same: RFC 8985 §7.4") {
  episode t;
  t.calm(5).write(5).leave(6, 10).after(100).in(ack(9)).silent();
  u32 const cwnd = t.tp().snd_cwnd;
  t.after(500).leaves(10).silent();  // one is out: the peer may have waited to acknowledge it
  t.after(100).in(ack(10)).silent();
  t.calm(1);
  CHECK(t.ext().TCPLossProbeRecovery.read() == 1);
  CHECK(t.tp().snd_cwnd < cwnd);
  CHECK(t.ext().TCPTimeouts.read() == 0);
  t.over();
}

TEST_CASE("a probe that came twice was needless: by DSACK, or by a plain duplicate: RFC 8985 §7.4.2") {
  for (bool const dsack : {true, false}) {
    episode t;
    t.calm(5).write(5).leave(6, 10).after(100).in(ack(9)).silent();
    u32 const cwnd = t.tp().snd_cwnd;
    t.after(500).leaves(10).silent();
    t.write(1).leaves(11);
    t.in(ack(10));
    if (!dsack) t.in(ack(10));
    t.after(100).in(ack(11) + (dsack ? sack(10, 10) : "")).silent();
    CHECK(!t.tp().tlp_outstanding);
    CHECK(!t.tp().repair);
    CHECK(t.ext().TCPLossProbeRecovery.read() == 0);
    CHECK(t.tp().snd_cwnd >= cwnd);
    CHECK(t.tp().rack_reo_wnd_steps == 1);  // it says nothing of reordering
    t.over();
  }
}

TEST_CASE("a probe is something new if there is, and one at a time: RFC 8985 §7.3") {
  episode t;
  t.write(12).leave(1, 10);  // the congestion window holds back the rest
  t.quiet(200).after(4).leaves(11).silent();
  CHECK(t.ext().TCPLossProbes.read() == 1);
  t.quiet(100).after(400).leaves(1).silent();  // the second time it is the timer
  CHECK(t.ext().TCPTimeouts.read() == 1);
  t.pending.clear();
  t.over();
}

TEST_CASE("tcp_early_retrans 0, or no SACK: no probe") {
  for (bool const with_sack : {true, false}) {
    episode t(with_sack ? "sackok" : "");
    if (with_sack) t.set("tcp_early_retrans", "0");
    t.write(5).leave(1, 5).quiet(290).after(20).leaves(1).silent();  // SRTT 100 ms, RTTVAR bounded by 200 ms
    CHECK(t.ext().TCPLossProbes.read() == 0);
    t.in(ack(5));
    t.pending.clear();
    t.over();
  }
}

// --- PRR

TEST_CASE("what a DSACK tells of has arrived, too: it lets as much leave: RFC 6937 §3, RFC 2883", "[S99]") {
  episode t;
  t.tp().snd_cwnd = t.tp().snd_ssthresh = 20;
  t.write(20).leave(1, 20).after(100);
  t.in(ack(0) + sack(5, 6)).silent().in(ack(0) + sack(5, 7)).leaves(1).silent();
  t.in(ack(0) + sack(5, 8)).silent();  // half as fast
  u32 const delivered = t.tp().delivered;
  u64 const counted = t.ext().TCPDelivered.read();
  t.in(ack(0) + sack(5, 5) + sack(5, 8)).leaves(2).silent();
  CHECK(t.tp().delivered == delivered + 1);
  CHECK(t.ext().TCPDelivered.read() == counted + 1);
  t.in(ack(0) + sack(5, 5) + sack(5, 8)).in(ack(0) + sack(5, 5) + sack(5, 8));  // more than were ever sent twice
  CHECK(t.tp().delivered == delivered + 2);
  t.pending.clear();
  t.in(ack(20)).over();
}
TEST_CASE("… when all of it was acknowledged, too", "[S99][RFC 2883]") {
  tcp_script t;
  int const fd = t.accepted("mss 1000 sackok");
  REQUIRE(t.write(fd, 1000));
  t.out("P. 1:1001").after(1500).pending.clear();
  t.in(". 1 ack 1001");
  u32 const delivered = t.tp(fd).delivered;
  u64 const counted = t.ext().TCPDelivered.read();
  t.in(". 1 ack 1001 sack 1-1001");
  CHECK(t.ext().TCPDSACKRecv.read() == 1);
  CHECK(t.tp(fd).delivered == delivered + 1);
  CHECK(t.ext().TCPDelivered.read() == counted + 1);
  t.over();
}
TEST_CASE("… but opens no window, though reordering was seen", "[S99]") {
  tcp_script t;
  int const fd = t.accepted("mss 1000 sackok");
  t.sk(fd).sk_sndbuf = 8 << 20;
  REQUIRE(t.write(fd, 4000));
  t.after(1500).pending.clear();
  t.in(". 1 ack 4001");
  REQUIRE(t.write(fd, 40'000));
  t.pending.clear();
  auto& tp = t.tp(fd);
  tp.reordering = 10, tp.reord_seen = true;
  u32 const cwnd = tp.snd_cwnd;
  t.in(". 1 ack 4001 sack 1-1001");
  CHECK(t.ext().TCPDSACKRecv.read() == 1);
  CHECK(tp.snd_cwnd == cwnd);
  t.pending.clear();
  t.over();
}
TEST_CASE("an acknowledgment that was overtaken tells of what arrived, and moves no window: RFC 6937 §3") {
  episode t;
  t.write(40).leave(1, 10).after(100).in(ack(1)).leave(11, 12).silent();
  t.in(ack(1) + sack(3, 5)).leaves(2).leaves(13).silent().in(ack(1) + sack(3, 6)).silent();
  u32 const cwnd = t.tp().snd_cwnd, in_flight = tcp_packets_in_flight(t.tp());
  REQUIRE(cwnd == in_flight);
  t.in(ack(0) + sack(3, 3) + sack(3, 6)).silent();  // nothing but a DSACK
  CHECK(t.ext().TCPDSACKOfoRecv.read() == 1);
  t.in(ack(0) + sack(3, 7)).leaves(14).silent();
  t.in(ack(0) + sack(3, 9)).leave(15, 16).silent();
  CHECK(t.tp().snd_cwnd == cwnd);
  CHECK(tcp_packets_in_flight(t.tp()) == cwnd);
  t.in(ack(1) + sack(3, 10)).silent();  // the latest: as few as have left for it
  CHECK(t.tp().snd_cwnd == cwnd - 1);
  t.pending.clear();
  t.in(ack(16));
  t.pending.clear();
  t.over();
}
// --------------------------------------------------------------------------------------------------------------

TEST_CASE("repairs leave half as fast as segments arrive, until half of the window is in flight: RFC 6937 §3") {
  episode t;
  t.tp().snd_cwnd = t.tp().snd_ssthresh = 20;
  t.write(20).leave(1, 20).after(100);
  t.in(ack(0) + sack(5, 6)).silent();  // 1 to 4 are lost
  t.in(ack(0) + sack(5, 7)).leaves(1).silent();
  t.in(ack(0) + sack(5, 8)).silent().in(ack(0) + sack(5, 9)).leaves(2).silent();
  t.in(ack(0) + sack(5, 10)).silent().in(ack(0) + sack(5, 11)).leaves(3).silent();
  t.in(ack(0) + sack(5, 13)).silent();  // ten are in flight, and stay so
  CHECK(tcp_packets_in_flight(t.tp()) == 10);
  t.in(ack(0) + sack(5, 14)).leaves(4).silent();
  CHECK(t.tp().snd_ssthresh == 10);
  CHECK(t.ext().TCPFastRetrans.read() == 4);
  t.after(100).in(ack(20));
  CHECK(t.tp().snd_cwnd <= 11);
  CHECK(t.ext().TCPTimeouts.read() == 0);
  t.over();
}

TEST_CASE("with few in flight the window is filled again, a segment for each that arrives: RFC 6937 §3 (slow start)") {
  episode t;
  t.tp().snd_cwnd = 20;
  t.write(20).leave(1, 20).after(100);
  t.in(ack(0) + sack(18, 20));  // 17 are lost at once: 0 in flight, ssthresh 10
  t.leave(1, 3).silent();       // as many as arrived
  t.after(100).in(ack(1)).leave(4, 5).silent().in(ack(2)).leave(6, 7).silent().in(ack(3)).leave(8, 9).silent();
  CHECK(tcp_packets_in_flight(t.tp()) == 6);
  t.in(ack(20)).over();
}

// --- without SACK
// -------------------------------------------------------------------------------------------------------

TEST_CASE("the first duplicates let new segments out: RFC 3042 (limited transmit)") {
  episode t("");
  t.write(20).leave(1, 10).after(100).in(ack(2)).leave(11, 14).silent();
  t.in(ack(2)).leaves(15).silent().in(ack(2)).leaves(16).silent();
  CHECK(t.mib().RetransSegs.read() == 0);
  t.in(ack(2)).leaves(3);
  CHECK(t.ext().TCPRenoRecovery.read() == 1);
  t.pending.clear();
  t.over();
}

TEST_CASE("more duplicates than segments are reordering, and send no more than the window: RFC 5681 §3.2") {
  episode t("");
  t.write(4).leave(1, 4).after(100);
  for (int i = 0; i < 100; ++i) t.in(ack(0));
  CHECK(t.tp().sacked_out <= 3);
  CHECK(t.ext().TCPRenoReorder.read() >= 1);
  t.pending.clear();
  t.in(ack(4));
  CHECK(tcp_packets_in_flight(t.tp()) == 0);
  t.over();
}

// --- timeouts
// -----------------------------------------------------------------------------------------------------------

TEST_CASE("a spurious timeout is seen by what comes back, and taken back: RFC 5682 (F-RTO)") {
  for (auto const& [with_sack, later] : {std::pair{true, 0}, {false, 0}, {true, 250}, {false, 250}}) {
    CAPTURE(with_sack, later);
    episode t(with_sack ? "sackok" : "");
    t.set("tcp_early_retrans", "0");
    t.write(10).leave(1, 10).quiet(290).after(20).leaves(1).silent();  // the network stood still for 300 ms
    CHECK(t.tp().snd_cwnd == 1);
    t.write(5).after(static_cast<u64>(later));  // or for longer than a round trip behind that: RFC 8985 §6.2 step 2
    t.in(ack(1)).leave(11, 12).silent();        // something new, not 2
    t.in(ack(2));                               // 2 was sent once: it arrived from then
    CHECK(t.ext().TCPSpuriousRTOs.read() == 1);
    CHECK(t.ext().TCPLossUndo.read() == 1);
    CHECK(t.tp().ca_state == tcp_ca_state::open);
    CHECK(t.tp().snd_cwnd >= 10);
    CHECK(t.tp().lost_out == 0);
    t.pending.clear();
    for (u32 n = 3; n <= 10; ++n) t.in(ack(n)).after(1);
    t.pending.clear();
    t.in(ack(15));
    CHECK(t.mib().RetransSegs.read() == 1);
    t.over();
  }
}

TEST_CASE("no probe leaves at once behind a timeout that was none: RFC 8985 §7.2") {
  episode t("sackok", 30);
  t.write(30).leave(1, 10).after(500).leaves(11).leaves(1).silent();  // a probe, and the timer
  t.in(ack(3)).leave(12, 16).quiet(60);
  CHECK(t.ext().TCPSpuriousRTOs.read() == 1);
  CHECK(t.tp().snd_cwnd == 13);
  t.in(ack(16));
  t.pending.clear();
  t.over();
}

TEST_CASE("what is missing behind a spurious timeout is missed soon: RFC 8985 §6.2 step 5") {
  episode t;
  t.set("tcp_early_retrans", "0");
  t.write(10).leave(1, 10).quiet(290).after(20).leaves(1).silent().after(250);
  t.in(ack(2)).quiet(25);  // a quarter of the least round trip, and 2 ms
  CHECK(t.ext().TCPSpuriousRTOs.read() == 1);
  t.after(10).leaves(3);
  t.pending.clear();
  t.in(ack(10)).over();
}

TEST_CASE("a SACK of what was sent once, before the timeout, tells the same: RFC 5682 §3") {
  episode t;
  t.set("tcp_early_retrans", "0");
  t.write(10).leave(1, 10).quiet(290).after(20).leaves(1).silent();
  t.in(ack(0) + sack(2, 3));
  CHECK(t.ext().TCPSpuriousRTOs.read() == 1);
  t.pending.clear();
  t.in(ack(10)).over();
}

TEST_CASE("a genuine timeout is repaired in slow start: RFC 5682 step 3 a, RFC 5681 §3.1") {
  for (bool const with_sack : {true, false}) {
    episode t(with_sack ? "sackok" : "");
    t.set("tcp_early_retrans", "0");
    t.write(10).leave(1, 10).quiet(290).after(20).leaves(1).silent();  // 1 to 10 are lost
    t.write(5);
    t.after(100).in(ack(1)).leave(11, 12).silent();
    t.after(100).in(ack(1) + (with_sack ? sack(11, 11) : ""));  // 11 arrived, 2 did not
    CHECK(t.ext().TCPSpuriousRTOs.read() == 0);
    t.leaves(2);
    t.pending.clear();
    if (with_sack) t.in(ack(1) + sack(11, 11) + sack(9, 9));  // late, which changes nothing
    CHECK(t.ext().TCPSpuriousRTOs.read() == 0);
    CHECK(t.tp().ca_state == tcp_ca_state::loss);
    t.pending.clear();
    t.after(100).in(ack(2)).leaves(3);
    t.pending.clear();
    t.over();
  }
}

TEST_CASE("tcp_frto 0: every timeout is a loss") {
  episode t;
  t.set("tcp_early_retrans", "0");
  t.set("tcp_frto", "0");
  t.write(10).leave(1, 10).after(310).leaves(1).silent();
  t.write(5);
  t.in(ack(1)).leave(2, 3).silent();
  t.in(ack(10));
  t.pending.clear();
  t.over();
}

TEST_CASE("a timeout takes for lost what had time to arrive, not what was sent a moment ago: RFC 8985 §6.3") {
  episode t;
  t.set("tcp_early_retrans", "0");
  t.calm(1).write(4).leave(2, 5).after(280).write(3).leave(6, 8).after(30).leaves(2).silent();
  CHECK(t.tp().lost_out == 4);
  t.in(ack(8)).over();
}

TEST_CASE("what was selectively acknowledged is sent again if the receiver threw it away: RFC 2018 §8") {
  episode t;
  t.write(6).leave(1, 6).after(100);
  t.in(ack(0) + sack(2, 4)).leaves(1);
  t.pending.clear();
  t.in(ack(1));  // 2 is missing, of which it had told
  t.pending.clear();
  t.quiet(49).after(4).leaves(2);  // half a round trip later
  CHECK(t.ext().TCPSACKReneging.read() == 1);
  CHECK(t.tp().sacked_out == 0);
  t.pending.clear();
  for (u32 n = 2; n <= 6; ++n) t.after(100).in(ack(n));
  CHECK(tcp_packets_in_flight(t.tp()) == 0);
  CHECK(t.tp().ca_state == tcp_ca_state::open);
  t.pending.clear();
  t.over();
}

TEST_CASE("acknowledgments that overtook each other look like that, and are not: no timeout") {
  episode t;
  t.write(6).leave(1, 6).after(100);
  t.in(ack(0) + sack(2, 4)).leaves(1).in(ack(1)).in(ack(6));
  t.pending.clear();
  t.quiet(1000);
  CHECK(t.ext().TCPSACKReneging.read() == 0);
  CHECK(t.ext().TCPTimeouts.read() == 0);
  t.over();
}

TEST_CASE("TCP_RTO_MIN_US bounds the timeout from below, soon after it was set: RFC 6298 §2.4") {
  episode t("", 10);
  REQUIRE(setsockopt(t.net(), t.fd, sol::tcp, tcp_opt::rto_min_us, 20'000));
  for (int i = 0; i < 20; ++i) t.write(1).after(10).pending.clear(), t.in(ack(t.written / 1000));
  CHECK(t.tp().icsk_rto >= 30'000);
  CHECK(t.tp().icsk_rto < 36'000);
  t.write(1).pending.clear();
  t.quiet(29).after(7).leaves(t.written / 1000).silent();
  t.over();
}

TEST_CASE(
    "a socket's own bounds of the timeout, which a connection has of its listener: TCP_RTO_MIN_US, TCP_RTO_MAX_MS") {
  tcp_script t;
  t.listen();
  auto const set = [&](int fd, int option, int value) { REQUIRE(setsockopt(t.net(), fd, sol::tcp, option, value)); };
  auto const get = [&](int fd, int option) { return getsockopt<int>(t.net(), fd, sol::tcp, option).value(); };
  CHECK(get(t.listener, tcp_opt::rto_min_us) == 200'000);
  CHECK(get(t.listener, tcp_opt::rto_max_ms) == 120'000);
  CHECK(get(t.listener, tcp_opt::delack_max_us) == 200'000);
  set(t.listener, tcp_opt::rto_min_us, 19'000);
  CHECK(get(t.listener, tcp_opt::rto_min_us) == 20'000);
  set(t.listener, tcp_opt::rto_max_ms, 1000);
  t.in("S 0 mss 1000").out("S. 0 ack 1").after(4).in(". 1 ack 1").silent();
  int const fd = t.accept();
  CHECK(get(fd, tcp_opt::rto_min_us) == 20'000);
  CHECK(t.tp(fd).icsk_rto == 24'000);
  REQUIRE(t.write(fd, 500));
  t.out("P. 1:501");
  u64 late = 0;
  for (u64 const wait : {24u, 48u, 96u, 192u, 384u, 768u, 1000u, 1000u}) {
    t.quiet(wait - 2 - late).after(3).out("P. 1:501");
    late = 1;
  }
  // Longer than a second is no timeout that is measured, either.
  t.in(". 1 ack 501");
  t.tp(fd).srtt_us = 8 * 1'500'000;
  tcp_set_rto(t.tp(fd));
  CHECK(t.tp(fd).icsk_rto == 1'000'000);
  // The namespace's are for who begins then, as in Linux.
  int const older = t.stream();
  REQUIRE(sysctl_write(t.net(), "net/ipv4/tcp_rto_max_ms", "5000"));
  REQUIRE(sysctl_write(t.net(), "net/ipv4/tcp_rto_min_us", "650001"));
  int const other = t.stream();
  CHECK((get(fd, tcp_opt::rto_max_ms) == 1000 && get(fd, tcp_opt::rto_min_us) == 20'000));
  CHECK((get(older, tcp_opt::rto_max_ms) == 120'000 && get(older, tcp_opt::rto_min_us) == 200'000));
  CHECK((get(other, tcp_opt::rto_max_ms) == 5000 && get(other, tcp_opt::rto_min_us) == 652'000));
  t.over();
}

TEST_CASE("TCP_DELACK_MAX_US: an acknowledgment waits no longer, nor as long as TCP_RTO_MIN_US") {
  tcp_script t;
  int const fd = t.accepted();
  t.in(". 1:101 ack 1").out(". 1 ack 101");  // the first at once
  auto& tp = t.tp(fd);
  tp.quick_acks = 0, tp.pingpong = true;
  t.in(". 101:201 ack 1").quiet(39).after(2).out(". 1 ack 201");
  tp.quick_acks = 0, tp.pingpong = true;
  REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::rto_min_us, 24'000));
  t.in(". 201:301 ack 1").quiet(19).after(2).out(". 1 ack 301");
  tp.quick_acks = 0, tp.pingpong = true;
  REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::delack_max_us, 8000));
  t.in(". 301:401 ack 1").quiet(7).after(2).out(". 1 ack 401");
  t.got = 1;
  t.read(fd, 400);
  t.over();
}

TEST_CASE("the timeout forgets a path that varied by round trips, not by acknowledgments: RFC 6298 §2.3") {
  episode t("sackok", 100);
  auto const rto_ms = [&] { return t.tp().icsk_rto / 1000; };
  t.write(1).after(100).pending.clear(), t.in(ack(1));
  CHECK(rto_ms() == 300);  // 100 and the bound of 200
  u32 n = 1;
  for (u32 const trip : {280u, 400u, 500u}) t.write(1).after(trip).pending.clear(), t.in(ack(++n));  // it grows longer
  CHECK((rto_ms() > 900 && rto_ms() < 930));
  u32 const worst = t.tp().rttvar_us;
  // Many segments in one round trip, each acknowledged by itself, all alike: the deviation is forgotten …
  t.write(8).after(100).pending.clear();
  for (u32 i = 1; i <= 8; ++i) t.in(ack(n + i)), t.pending.clear();
  CHECK(t.tp().mdev_us < worst / 2);
  CHECK(t.tp().rttvar_us >= worst - worst / 8);  // … but not by the timeout, for which it was one round trip
  u32 before = t.tp().rttvar_us;
  for (int trip = 0; trip < 3; ++trip) {
    t.write(8).after(100).pending.clear();
    u32 const last = t.written / 1000;
    for (u32 i = last - 7; i <= last; ++i) t.in(ack(i)), t.pending.clear();
    CHECK(t.tp().rttvar_us < before);
    CHECK(t.tp().rttvar_us >= before - before / 4);  // a quarter of what it is above the most of late
    before = t.tp().rttvar_us;
  }
  // A path that becomes quicker is no path that varies: an eighth of the step counts.
  u32 const deviation = t.tp().mdev_us;
  t.write(1).after(1).pending.clear(), t.in(ack(t.written / 1000));
  CHECK(t.tp().mdev_us < deviation + 100'000 / 8);
  t.over();
}

TEST_CASE("R2 is a time, that of so many repetitions of a fast path: RFC 9293 §3.8.3") {
  episode t("", 100);
  t.set("tcp_retries2", "5");  // 200 ms * (2^6 - 1) = 12.6 s
  t.tp().icsk_rto = 3'000'000;
  t.write(1).after(12'000);
  CHECK(t.state(t.fd) == tcp_state::established);
  t.after(9'500);  // the first timeout beyond it: 3 + 6 + 12
  CHECK(t.read_error(t.fd) == static_cast<int>(std::errc::timed_out));
  CHECK(t.mib().RetransSegs.read() == 2);
  t.pending.clear();
  t.over();
}

TEST_CASE("a peer that closed its window over what is in flight, and answers, is not given up: RFC 9293 MUST-37") {
  episode t("");
  t.set("tcp_retries2", "3");
  t.write(1).leaves(1);
  t.in(". 1 ack 1 win 0");
  for (int i = 0; i < 60; ++i) t.after(2'000).in(". 1 ack 1 win 0");
  CHECK(t.state(t.fd) == tcp_state::established);
  t.pending.clear();
  t.in(ack(1)).over();
}

TEST_CASE(
    "a handshake that took repetitions measures nothing: three seconds, and one segment: RFC 6298 §5.7, RFC 5681 "
    "§3.1") {
  tcp_script t;
  t.listen();
  t.in("S 0 mss 1000").out("S. 0 ack 1").after(1050).out("S. 0 ack 1").after(2050).out("S. 0 ack 1");
  t.in(". 1 ack 1").silent();
  int const fd = t.accept();
  REQUIRE(t.write(fd, 3000));
  t.out(". 1:1001").silent().quiet(2900).after(200).out(". 1:1001").silent();
  t.over();
}

TEST_CASE("what the first timeout of an episode found is counted") {
  episode t;
  t.set("tcp_early_retrans", "0");
  t.write(8).leave(1, 8).after(100).in(ack(0) + sack(2, 4)).leaves(1);
  t.pending.clear();
  t.after(2000);
  CHECK(t.ext().TCPSackRecoveryFail.read() == 1);
  t.in(ack(8));
  t.pending.clear();
  t.write(3).pending.clear();
  t.in(ack(8) + sack(11, 11)).after(1);
  t.over();
}

TEST_CASE("the first timeout has a counter for each state that it finds, with SACK and without, and none for open") {
  enum class found { open, reno, sack, reno_recovery, sack_recovery, loss };
  auto const what =
      GENERATE(found::open, found::reno, found::sack, found::reno_recovery, found::sack_recovery, found::loss);
  CAPTURE(static_cast<int>(what));
  episode t(what == found::reno || what == found::reno_recovery ? "" : "sackok");
  if (what != found::sack) t.set("tcp_early_retrans", "0");
  t.write(8).leave(1, 8);
  if (what == found::reno) t.in(ack(0));
  if (what == found::reno_recovery) t.in(ack(0)).in(ack(0)).in(ack(0)).leaves(1);
  if (what == found::sack_recovery) t.in(ack(0) + sack(2, 4)).leaves(1);
  // Too soon to be of the probe: it tells nothing of the time that the others had.
  if (what == found::sack) t.after(210).leaves(8).after(10).in(ack(0) + sack(8, 8));
  if (what == found::loss) t.after(310).leaves(1).in(ack(1)).in(ack(1) + sack(7, 7));
  u64 const before = t.ext().TCPTimeouts.read();
  t.after(700);
  CHECK(t.ext().TCPTimeouts.read() > before);
  auto const once = [&](found state) { return u64{what == state}; };
  CHECK(t.ext().TCPRenoFailures.read() == once(found::reno));
  CHECK(t.ext().TCPSackFailures.read() == once(found::sack));
  CHECK(t.ext().TCPRenoRecoveryFail.read() == once(found::reno_recovery));
  CHECK(t.ext().TCPSackRecoveryFail.read() == once(found::sack_recovery));
  CHECK(t.ext().TCPLossFailures.read() == once(found::loss));
  t.pending.clear();
  t.in(ack(8)).over();
}

// --- was it needed?
// -------------------------------------------------------------------------------------------------------

TEST_CASE("time stamps tell that the first transmission arrived: RFC 3522, RFC 4015") {
  episode t("sackok ts 1 0");
  t.write(10).leave(1, 10);
  u32 const then = t.stamp();
  t.after(100).in(ack(0) + sack(2, 4) + " ts 2 " + std::to_string(then)).leaves(1);
  t.pending.clear();
  u32 const reduced = t.tp().snd_ssthresh;
  CHECK(reduced == 5);
  t.in(ack(10) + " ts 3 " + std::to_string(then));  // of then, not of the repetition
  CHECK(t.ext().TCPFullUndo.read() + t.ext().TCPPartialUndo.read() == 1);
  CHECK(t.tp().snd_ssthresh > reduced);
  CHECK(t.tp().snd_cwnd >= 10);
  CHECK(t.tp().ca_state == tcp_ca_state::open);
  t.pending.clear();
  t.over();
}

TEST_CASE("a DSACK of a probe that was not needed comes with what acknowledges it, and counts: TCPDSACKIgnoredNoUndo") {
  episode t;
  t.calm(1).calm(1).calm(1).write(1).leaves(4).after(400);
  CHECK(t.ext().TCPLossProbes.read() == 1);
  t.pending.clear();
  t.in(ack(4) + sack(4, 4));
  CHECK((t.ext().TCPDSACKRecv.read() == 1 && t.ext().TCPDSACKRecvSegs.read() == 1));
  CHECK(t.ext().TCPDSACKIgnoredNoUndo.read() == 1);
  t.over();
}

TEST_CASE("without SACK time stamps tell of reordering as far as what came: its duplicates may be of any segment") {
  for (u32 const came : {1u, 6u}) {
    CAPTURE(came);
    episode t("ts 1 0");
    t.write(10).leave(1, 10);
    std::string const then = " ts 1 " + std::to_string(t.stamp());
    t.after(100).in(ack(0) + then).in(ack(0) + then).in(ack(0) + then).leaves(1);
    t.after(1).in(ack(came) + then);  // of the first transmissions
    CHECK((t.ext().TCPPartialUndo.read() == 1 && t.ext().TCPTSReorder.read() == 1));
    CHECK(t.tp().reordering == (came == 1 ? 3 : 6));
    t.pending.clear();
    t.in(ack(10) + " ts 2 0");
    t.over();
  }
}

TEST_CASE("a repair that had to wait, and then was not needed, costs nothing: RFC 3522") {
  for (char const* const options : {"sackok", "wscale"}) {
    CAPTURE(options);
    episode t(*options == 's' ? options : "");
    u64 const slowly = 1000;  // a segment in a second
    REQUIRE(setsockopt(t.net(), t.fd, sol::socket, so::max_pacing_rate, &slowly, sizeof slowly));
    t.write(11).leave(1, 10).after(100).in(ack(1)).leaves(11).silent();
    if (*options == 's')
      t.in(ack(1) + sack(3, 6));
    else
      t.in(ack(1)).in(ack(1)).in(ack(1));
    t.silent();  // 2 would leave, but not yet
    CHECK(t.tp().ca_state == tcp_ca_state::recovery);
    CHECK(t.tp().snd_ssthresh == 5);
    t.in(ack(8)).silent();
    t.in(ack(11)).silent();
    CHECK(t.ext().TCPFullUndo.read() + t.ext().TCPPartialUndo.read() == 1);
    CHECK(t.tp().rare->total_retrans == 0);
    CHECK(t.tp().ca_state == tcp_ca_state::open);
    CHECK(t.tp().snd_cwnd >= 10);
    t.over();
  }
}

TEST_CASE("a timeout that time stamps tell was none: RFC 3522") {
  episode t("sackok ts 1 0");
  t.set("tcp_early_retrans", "0");
  t.set("tcp_frto", "0");
  t.write(5).leave(1, 5);
  u32 const then = t.stamp();
  t.after(310).leaves(1).silent();
  CHECK(t.tp().snd_cwnd == 1);
  t.in(ack(1) + " ts 2 " + std::to_string(then)).silent();
  CHECK(t.ext().TCPLossUndo.read() == 1);
  CHECK(t.ext().TCPSpuriousRTOs.read() == 0);
  CHECK(t.tp().ca_state == tcp_ca_state::open);
  CHECK(t.tp().snd_cwnd >= 10);
  CHECK(t.tp().lost_out == 0);
  t.in(ack(5) + " ts 3 0").over();
}

TEST_CASE("a repetition's own time stamp undoes nothing") {
  episode t("sackok ts 1 0");
  t.write(10).leave(1, 10).after(100).in(ack(0) + sack(2, 4) + " ts 2 0").leaves(1);
  t.pending.clear();
  t.after(100).in(ack(10) + " ts 3 " + std::to_string(t.stamp() - 90));
  CHECK(t.ext().TCPFullUndo.read() + t.ext().TCPPartialUndo.read() == 0);
  CHECK(t.tp().snd_cwnd <= 6);
  t.pending.clear();
  t.over();
}

TEST_CASE("a time stamp that is older than two minutes, or of the future, measures no round trip", "[RFC 7323]") {
  episode t("sackok ts 1 0");
  t.set("tcp_early_retrans", "0");
  t.calm(1);
  for (u32 n = 2; s64 const age : {s64{120'010}, s64{-10}, s64{1000}}) {
    CAPTURE(age);
    u32 const before = t.tp().srtt_us;
    t.write(1).leaves(n).after(u64{t.tp().icsk_rto} / 1000 + 10).leaves(n);
    t.in(ack(n) + " ts 2 " + std::to_string(static_cast<u32>(t.stamp() - age)));
    CHECK((t.tp().srtt_us == before) == (age != 1000));
    ++n;
  }
  t.over();
}

TEST_CASE("DSACK of every repetition undoes, of some does not: RFC 3708") {
  for (bool const all : {true, false}) {
    episode t;
    t.write(10).leave(1, 10).after(100).in(ack(0) + sack(3, 10)).leave(1, 2).silent();
    t.in(ack(10));  // they were only late
    u32 const cwnd = t.tp().snd_cwnd;
    CHECK(cwnd <= 6);
    t.after(100).in(ack(10) + sack(1, 1));
    CHECK(t.tp().snd_cwnd == cwnd);
    if (all) t.in(ack(10) + sack(2, 2));
    CHECK((t.tp().snd_cwnd >= 10) == all);
    CHECK(t.ext().TCPDSACKUndo.read() == (all ? 1 : 0));
    t.pending.clear();
    t.over();
  }
}

TEST_CASE("… and of what was never sent twice says nothing of a repetition: RFC 3708") {
  episode t;
  t.write(10).leave(1, 10).after(100).in(ack(0) + sack(2, 10)).leaves(1).silent();
  t.in(ack(0) + sack(5, 5) + sack(2, 10)).silent();  // the network doubled it
  CHECK(t.ext().TCPDSACKOfoRecv.read() == 1);
  CHECK(t.ext().TCPDSACKUndo.read() == 0);
  CHECK(!t.tp().reord_seen);
  CHECK(t.tp().ca_state == tcp_ca_state::recovery);
  t.in(ack(10)).over();
}

TEST_CASE(
    "what was repeated and came twice had been overtaken: DSACK before it is acknowledged, and with that: RFC 2883") {
  episode t;
  t.write(10).leave(1, 10).after(100).in(ack(0) + sack(3, 10)).leave(1, 2).silent();
  t.in(ack(0) + sack(2, 10)).silent().in(ack(0) + sack(2, 2) + sack(2, 10)).silent();
  CHECK(t.tp().rare->undo_retrans == 1);
  CHECK(t.tp().reord_seen);
  CHECK(t.ext().TCPSACKReorder.read() == 1);
  CHECK(t.tp().reordering == 9);
  t.in(ack(10) + sack(1, 1));
  CHECK(t.ext().TCPFullUndo.read() == 1);
  CHECK(t.tp().snd_cwnd >= 10);
  t.over();
}

// --- what a receiver may make up
// --------------------------------------------------------------------------------------------

TEST_CASE("SACK blocks of what was never sent, empty, backwards, old: counted, and they mark nothing: RFC 2018 §8",
          "[S147]") {
  episode t;
  t.write(6).leave(1, 6).after(100).in(ack(2)).silent();
  u64 discarded = 0;
  for (std::string const& bad :
       {sack(7, 8), sack(4, 7), sack(3, 4), std::string(" sack 4001-4001"), std::string(" sack 5001-4001"),
        std::string(" sack 4001-2000004001"), std::string(" sack 3001-4001 sack 9001-9501")}) {
    INFO(bad);
    t.in(ack(2) + bad);
    CHECK(t.ext().TCPSACKDiscard.read() == ++discarded);
  }
  CHECK(t.tp().sacked_out == 1);  // the good one of the last
  t.pending.clear();
  t.in(ack(6)).over();
}

TEST_CASE("overlapping and doubled blocks count each segment once; half a segment is none") {
  episode t;
  t.write(10).leave(1, 10).after(100);
  t.in(ack(0) + " sack 5001-8001 sack 4001-7001 sack 6501-9501");
  CHECK(t.tp().sacked_out == 5);  // 5 to 9; of 10 only a part
  t.in(ack(0) + " sack 5001-8001 sack 4001-7001 sack 6501-9501");
  CHECK(t.tp().sacked_out == 5);
  CHECK(t.tp().packets_out == 10);
  t.pending.clear();
  t.in(ack(10));
  CHECK(tcp_packets_in_flight(t.tp()) == 0);
  t.over();
}

TEST_CASE("DSACKs of what was never sent twice change nothing: RFC 8985 §9 (a peer that lies)") {
  episode t;
  t.calm(5).write(5).leave(6, 10).after(100);
  for (u32 i = 0; i < 50; ++i) t.in(ack(6) + sack(2, 2));
  CHECK(t.ext().TCPDSACKIgnoredDubious.read() == 50);
  CHECK(t.tp().rack_reo_wnd_steps == 1);
  t.in(ack(6) + " sack 2001-2000002001");
  CHECK(t.ext().TCPSACKDiscard.read() == 51);  // each is a plain block, too, and of what is acknowledged
  t.pending.clear();
  t.in(ack(10)).over();
}

namespace {
struct wide_host : stack<wide_host, ipv4, rig_dev, tcp, sizes<config{.skb_pool = 24576, .skb_clones = 64}>> {};
using wide_episode = basic_episode<wide_host>;

/// What the median acknowledgment of those costs, in ns of this thread.
template <class MakeAck>
double ns_per_ack(u32 segments, u32 acks, MakeAck const& text_of) {
  wide_episode t("sackok ws 14");
  t.default_win = 0xffff;
  t.sk(t.fd).sk_sndbuf = 1u << 30;
  tcp_pernet(t.net()).limits.mem[0] = tcp_pernet(t.net()).limits.mem[1] = tcp_pernet(t.net()).limits.mem[2] = 1 << 20;
  t.in(ack(0));  // the scaled window
  t.tp().snd_cwnd = segments;
  t.tp().snd_ssthresh = 1;
  for (u32 at = 0; at < segments; at += 20) t.write(20);
  t.pending.clear();
  REQUIRE(t.tp().packets_out == segments);
  std::vector<double> costs;
  for (u32 i = 0; i < acks; ++i) {
    auto rx = tcp_rx{.seq = t.tp().rcv_nxt, .end_seq = t.tp().rcv_nxt, .ack_seq = t.tp().snd_una, .window = 0xffff};
    rx.flags = tcp_flag::ack;
    text_of(i, rx, t.our_isn);
    timespec a{}, b{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
    (void)tcp_ack(t.net(), t.sk(t.fd), rx, true);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
    costs.push_back(static_cast<double>(b.tv_sec - a.tv_sec) * 1e9 + static_cast<double>(b.tv_nsec - a.tv_nsec));
    t.rig.run();
    (void)t.rig.sent();
  }
  CHECK(t.tp().sacked_out > 0);
  std::sort(costs.begin(), costs.end());
  t.in(ack(segments));
  return costs[costs.size() / 2];
}
}  // namespace

TEST_CASE("what an acknowledgment costs does not grow with the window", "[S147][SACK Slowness]") {
  auto const block = [](u32 isn, u32 from, u32 to) {
    return tcp_sack_block{isn + from * 1000 - 999, isn + to * 1000 + 1};
  };
  // One long block that grows, and then four that jump about; each tells of one segment more.
  for (int const pattern : {0, 1, 2}) {
    auto const measure = [&](u32 segments) {
      u32 const acks = segments / 4 - 2;
      return ns_per_ack(segments, acks, [&](u32 i, tcp_rx& rx, u32 isn) {
        auto& sacks = rx.opt.sacks;
        if (pattern == 0) {
          rx.opt.num_sacks = 1;
          sacks[0] = block(isn, segments - 1 - i, segments);
        } else if (pattern == 1) {
          rx.opt.num_sacks = 4;
          for (u32 k = 0; k < 4; ++k) {
            u32 const n = 2 + (i * 7919 + k * segments / 4) % (segments - 1);
            sacks[k] = block(isn, n, n);
          }
        } else {  // every second, forwards and backwards in turn
          rx.opt.num_sacks = 2;
          u32 const low = 2 + 2 * i, high = segments - 2 * i;
          sacks[0] = block(isn, i % 2 ? low : high, i % 2 ? low : high);
          sacks[1] = block(isn, i % 2 ? high : low, i % 2 ? high : low);
        }
      });
    };
    double const few = measure(100), many = measure(10'000);
    CAPTURE(pattern, few, many);
    CHECK(many < 10 * few);  // 100 times as many are in flight
  }
}

namespace {
/// What the median of the latter half costs, in ns of this thread, of one-byte segments that come behind a gap, each a
/// byte apart from the next.
template <class Place>
double ns_per_segment(u32 segments, Place const& place) {
  wide_episode t;
  t.sk(t.fd).sk_rcvbuf = 1u << 30;
  tcp_pernet(t.net()).limits.mem[0] = tcp_pernet(t.net()).limits.mem[1] = tcp_pernet(t.net()).limits.mem[2] = 1 << 20;
  std::vector<double> costs;
  for (u32 i = 0; i < segments; ++i) {
    sk_buff* const skb = t.rig.host.worker().pool.alloc_skb(max_tcp_header);
    REQUIRE(skb);
    *skb->put(1) = 0;
    u32 const seq = t.tp().rcv_nxt + 2 + 2 * place(i);
    tcp_rx const rx{.seq = seq, .end_seq = seq + 1, .ack_seq = t.tp().snd_una, .flags = tcp_flag::ack};
    timespec a{}, b{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
    auto const v = tcp_data_queue(t.net(), t.sk(t.fd), *skb, rx);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
    REQUIRE(v == verdict::kept());
    costs.push_back(static_cast<double>(b.tv_sec - a.tv_sec) * 1e9 + static_cast<double>(b.tv_nsec - a.tv_nsec));
  }
  CHECK(t.tp().ofo->queue.size() == segments);
  std::sort(costs.begin() + segments / 2, costs.end());
  t.over();
  return costs[segments / 4 * 3];
}
}  // namespace

TEST_CASE("what a segment out of order costs does not grow with how many there are", "[S147][SegmentSmack]") {
  for (int const pattern : {0, 1, 2}) {
    auto const measure = [&](u32 segments) {
      return ns_per_segment(segments, [&](u32 i) {
        return pattern == 0 ? i : pattern == 1 ? segments - 1 - i : i * 7919 % segments;  // up, down, anywhere
      });
    };
    double const few = measure(100), many = measure(10'000);
    CAPTURE(pattern, few, many);
    CHECK(many < 10 * few);
  }
}

TEST_CASE("the least round trip is forgotten after net/ipv4/tcp_min_rtt_wlen: RFC 8985 §6.2 step 1") {
  tcp_script t;
  REQUIRE(sysctl_write(t.net(), "net/ipv4/tcp_min_rtt_wlen", "10"));
  int const fd = t.accepted("mss 1000 sackok");
  u32 at = 1;
  auto const exchange = [&](u32 ms, u32 bytes = 1000) {
    REQUIRE(t.write(fd, bytes).value() == bytes);
    t.after(ms).in(". 1 ack " + std::to_string(at += bytes)).pending.clear();
    return t.tp(fd).rtt_min_us / 1000;
  };
  t.tp(fd).rtt_min_us = 0;
  CHECK(exchange(20) == 20);
  CHECK(exchange(50) == 20);
  CHECK(exchange(10) == 10);
  t.after(9'000);
  CHECK(exchange(50) == 10);
  t.after(2'000);
  CHECK(exchange(50, 100) == 10);  // one that is not full may be acknowledged late
  CHECK(exchange(50) == 50);
  t.over();
}
