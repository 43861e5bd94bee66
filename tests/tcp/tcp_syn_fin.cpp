// SPDX-License-Identifier: BSL-1.0
// A SYN and a FIN that left without a packet: all that follows is as if they had had one. They get one when they are
// sent again, and need no frame until then.
#include "netstack/tcp/tcp_syn_fin.hpp"

#include "support/tcp_script.hpp"

using namespace netstack;
using namespace netstack::test;
using std::errc;

namespace {

u32 packets(tcp_script& t) { return t.net().worker().pool.in_use(); }
/// All frames but those that are given back.
struct hoard {
  skb_pool& pool;
  skb_list others{};
  explicit hoard(tcp_script& t) : pool(t.net().worker().pool) { take(); }
  void take() { pool.alloc_bulk(pool.available(), others); }
  void give_one() { consume_skb(*others.pop_front()); }
  void give() { pool.free_list(others); }
};
std::string const options = " mss 1460 sackok ts 1000 0 ws 7";

/// What a connection knows: its numbers, and what it measured.
std::vector<u64> known(tcp_sock const& tp) {
  return {tp.rcv_nxt,      tp.rcv_wup,          tp.rcv_wnd,       tp.snd_una,          tp.snd_nxt,
          tp.snd_wnd,      tp.snd_wl1,          tp.write_seq,     tp.max_window,       tp.packets_out,
          tp.snd_cwnd,     tp.mss_cache,        tp.srtt_us,       tp.mdev_us,          tp.rttvar_us,
          tp.rtt_min_us,   tp.rtt_min_stamp,    tp.icsk_rto,      tp.icsk_backoff,     tp.icsk_retransmits,
          tp.rcv_tstamp,   tp.lsndtime,         tp.snd_sml,       tp.cwnd_usage_seq,   tp.max_packets_out,
          tp.delivered,    tp.segs_in,          tp.segs_out,      tp.bytes_acked,      tp.rack_mstamp,
          tp.rack_rtt_us,  tp.rack_end_seq,     tp.first_tx,      tp.delivered_time,   tp.rate_delivered,
          tp.app_limited,  tp.rate_interval_us, tp.ecn_flags,     tp.pmtu_cookie,      tp.chrono_busy,
          tp.chrono_since, u64(tp.chrono),      tp.rack_advanced, tp.rate_app_limited, tp.tlp_outstanding};
}
/// The same with packets and without.
template <class Play>
void alike(Play&& play) {
  std::vector<u64> with, without;
  for (bool const shorts : {false, true}) {
    tcp_script t;
    t.shorts(shorts);
    t.listen();
    (shorts ? without : with) = play(t);
    t.over();
  }
  CHECK(with == without);
}

}  // namespace

TEST_CASE("a SYN takes no packet until it has to be sent again", "[S148]") {
  tcp_script t;
  t.shorts();
  u32 const before = packets(t);
  int const fd = t.stream();
  REQUIRE(t.connect(fd) == errc::operation_in_progress);
  t.out("S 0");
  CHECK(packets(t) == before);
  CHECK(getsockopt<tcp_info>(t.net(), fd, sol::tcp, tcp_opt::info)->tcpi_unacked == 1);
  SECTION("answered") {
    t.after(80).in("S. 0 ack 1" + options).out(". 1 ack 1").silent();
    CHECK(t.tp(fd).srtt_us >> 3 == 80'000);
    CHECK(t.tp(fd).delivered == 1);
    CHECK(packets(t) == before);
  }
  SECTION("sent again") {
    t.after(1010).out("S 0").silent();
    CHECK(packets(t) == before + 1);
    t.in("S. 0 ack 1" + options).out(". 1 ack 1").silent();
    CHECK(packets(t) == before);
  }
  SECTION("without a frame it is tried again soon") {
    hoard all(t);
    t.quiet(5000);
    all.give();
    t.after(500).out("S 0").silent();
  }
  SECTION("refused, or ended") {
    t.in("R. 0 ack 1").silent();
    CHECK(t.connect(fd) == errc::connection_refused);
  }
  t.over();
}

TEST_CASE("a connect() that finds no frame leaves its port to others, and may be called again", "[S148]") {
  tcp_script t;
  int const fd = t.stream();
  auto const ports_taken = [&] {
    u32 n = 0;
    for (auto const& bucket : tcp_worker_of(t.net()).hashinfo.bhash)
      n += !bucket.bound.empty() + !bucket.newest.empty() + !bucket.connected.empty();
    return n;
  };
  {
    hoard all(t);
    CHECK(t.connect(fd) == errc::no_buffer_space);
    all.give();
  }
  t.silent();
  CHECK(ports_taken() == 0);
  CHECK(!t.tp(fd).bound);
  CHECK(t.tp(fd).sk_num == 0);
  REQUIRE(t.connect(fd) == errc::operation_in_progress);
  CHECK(ports_taken() == 1);
  CHECK(t.tp(fd).bound);
  t.out("S 0").in("S. 0 ack 1" + options).out(". 1 ack 1").silent();
  t.close(fd);
  t.out("F. 1 ack 1").in("R. 1 ack 2").silent();
  CHECK(ports_taken() == 0);
  t.over();
}

TEST_CASE("a SYN without a packet that crosses the peer's is answered when there is a frame", "[MUST-10]") {
  tcp_script t;
  t.shorts();
  int const fd = t.stream();
  REQUIRE(t.connect(fd) == errc::operation_in_progress);
  t.out("S 0");
  hoard all(t);
  all.give_one();  // to receive theirs
  t.in("S 0 mss 1000");
  CHECK(t.state(fd) == tcp_state::syn_recv);
  SECTION("") {
    all.take();
    t.quiet(3000);
    all.give();
    t.after(1010).out("S. 0 ack 1").silent();
    t.in(". 1 ack 0").out("R 0");  // it acknowledges nothing
    t.in(". 1 ack 1").silent();
    CHECK(t.state(fd) == tcp_state::established);
  }
  SECTION("a FIN waits behind it") {
    all.take();
    t.close(fd);
    t.quiet(3000);
    all.give();
    t.after(1010).out("S. 0 ack 1").silent();
    t.in(". 1 ack 1").out("F. 1 ack 1").silent();
    t.in("F. 1 ack 2").out(". 2 ack 2").silent();
    CHECK(t.state_name() == "TIME-WAIT");
  }
  t.over();
}

TEST_CASE("a FIN takes no packet until it has to be sent again, and no frame", "[S148]") {
  tcp_script t;
  t.shorts();
  int const fd = t.accepted(options);
  hoard all(t);
  SECTION("we close first") {
    t.close(fd);
    t.out("F. 1 ack 1").silent();
    all.give();
    SECTION("acknowledged") {
      t.in(". 1 ack 2").silent();
      CHECK(t.state_name() == "FIN-WAIT-2");
      t.in("F. 1 ack 2").out(". 2 ack 2").silent();
    }
    SECTION("with theirs") { t.in("F. 1 ack 2").out(". 2 ack 2").silent(); }
    SECTION("theirs crosses it") {
      t.in("F. 1 ack 1").out(". 2 ack 2");
      CHECK(t.state_name() == "CLOSING");
      t.in(". 2 ack 2").silent();
    }
    SECTION("sent again") {
      t.after(1100);
      REQUIRE(!t.pending.empty());
      t.out("F. 1 ack 1");
      t.pending.clear();
      CHECK(packets(t) == 1);
      t.in("F. 1 ack 2").out(". 2 ack 2").silent();
    }
    CHECK(t.state_name() == "TIME-WAIT");
    CHECK(packets(t) == 0);
  }
  SECTION("the peer closed first") {
    all.give_one();
    t.in("F. 1 ack 1");
    all.take();
    t.close(fd);
    t.out("F. 1 ack 2").silent();
    all.give();
    t.in(". 2 ack 2").silent();
    CHECK(t.state_name() == "LISTEN");
  }
  SECTION("what of it is sent again finds no frame for a while") {
    t.close(fd);
    t.out("F. 1 ack 1").quiet(4000);
    all.give();
    t.after(600).out("F. 1 ack 1");
    t.pending.clear();
    t.in("R 1").silent();
    CHECK(t.state_name() == "LISTEN");
  }
  all.give();
  t.over();
}

TEST_CASE("what has no packet measures, and is counted, as what has one", "[S148]") {
  auto const connecting = [](tcp_script& t) {
    int const fd = t.stream();
    REQUIRE(t.connect(fd) == errc::operation_in_progress);
    t.out("S 0");
    return fd;
  };
  alike([&](tcp_script& t) {
    int const fd = connecting(t);
    t.after(70).in("S. 0 ack 1" + options).out(". 1 ack 1");
    return known(t.tp(fd));
  });
  alike([&](tcp_script& t) {  // without SACK
    int const fd = connecting(t);
    t.after(70).in("S. 0 ack 1 mss 1000").out(". 1 ack 1");
    return known(t.tp(fd));
  });
  alike([&](tcp_script& t) {
    int const fd = connecting(t);
    t.after(1010).out("S 0").after(70).in("S. 0 ack 1" + options).out(". 1 ack 1");
    return known(t.tp(fd));
  });
  alike([&](tcp_script& t) {
    int const fd = connecting(t);
    t.after(10).in("S 0" + options).out("S. 0 ack 1").after(20).in(". 1 ack 1" + std::string(" ts 1020 1"));
    return known(t.tp(fd));
  });
  for (char const* const then : {". 1 ack 1 ts 1100 1", "P. 1:2 ack 1 ts 1100 1", ""})
    alike([&](tcp_script& t) {
      int const fd = t.accepted(options);
      auto& tp = t.tp(fd);
      t.after(50).close(fd);
      t.after(30);
      if (*then)
        t.in(then);
      else
        t.after(2000);
      t.pending.clear();
      return *then == 'P' ? std::vector<u64>{t.ext().TCPAbortOnData.read()} : known(tp);
    });
}

TEST_CASE("a FIN is not marked as capable of ECN, with a packet or without: RFC 3168 §6.1.4") {
  for (bool const shorts : {false, true}) {
    tcp_script t;
    t.shorts(shorts);
    t.listen();
    t.in("SEC 0" + options).out("SE. 0 ack 1").in(". 1 ack 1 ts 1001 1");
    int const fd = t.accept();
    REQUIRE(t.write(fd, 1));
    t.out("P. 1:2 ack 1 ecn 2").in(". 1 ack 2 ts 1002 1");
    t.close(fd);
    t.out("F. 2 ack 1 ecn 0").silent();
    t.over();
  }
}
