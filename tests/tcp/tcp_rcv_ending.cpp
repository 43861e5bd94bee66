// SPDX-License-Identifier: BSL-1.0
// The segments that end most connections are read by their words. All that follows is as if they had been read: here
// each is played twice, once with its option written in another order, which nobody takes for a common one.
#include "netstack/tcp/tcp_rcv_ending.hpp"

#include "support/tcp_script.hpp"

using namespace netstack;
using namespace netstack::test;

namespace {

/// All counters of a table of them.
template <class Mib>
void append_counts(std::vector<u64>& all, Mib const& mib) {
  auto const at = all.size(), n = sizeof mib / sizeof(counter);
  all.resize(at + n);
  std::memcpy(&all[at], static_cast<void const*>(&mib), n * sizeof(u64));
}
/// What is known afterwards: of the connection, if it is one, of what it became, of what was counted and sent.
std::vector<u64> known(tcp_script& t, int fd) {
  std::vector<u64> all;
  append_counts(all, t.mib());
  append_counts(all, t.ext());
  auto& w = tcp_worker_of(t.net());
  all.insert(all.end(), {w.timewaits.in_use(), w.socks.in_use(), t.net().worker().pool.in_use(),
                         t.drops(drop_reason::tcp_old_data)});
  for (inet_link const slot : w.hashinfo.slots()) {
    for (auto& tw : inet_chain_of<tcp_timewait_sock>(w, slot))
      all.insert(all.end(), {u64{tw.due}, tw.rcv_nxt, tw.snd_nxt, tw.ts_recent, tw.ts_offset, tw.rcv_wnd,
                             tw.ts_recent_stamp, tw.is_fin_wait2, tw.tos});
    for (auto& tp : inet_chain_of<tcp_sock>(w, slot))
      all.insert(all.end(),
                 {u64{tp.sk_state},     tp.word(),         tp.sk_flags,    tp.sk_shutdown,     tp.rcv_nxt,
                  tp.rcv_wup,           tp.rcv_wnd,        tp.snd_una,     tp.snd_nxt,         tp.snd_wnd,
                  tp.snd_wl1,           tp.write_seq,      tp.ts_recent,   tp.ts_recent_stamp, tp.rcv_tstamp,
                  tp.lrcvtime,          tp.bytes_received, tp.bytes_acked, tp.segs_in,         tp.segs_out,
                  tp.delivered,         tp.quick_acks,     tp.icsk_due[0], tp.icsk_due[1],     tp.icsk_due[2],
                  u64(tp.icsk_pending), tp.packets_out});
  }
  if (fd >= 0) all.push_back(static_cast<u64>(t.read_error(fd)));
  for (auto const& frame : t.pending) all.insert(all.end(), frame.frame.begin(), frame.frame.end());
  return all;
}

/// Option and padding: as everybody writes them, or the other way round; without time stamps, none or padding alone.
std::string stamp(bool stamped, bool common, u32 tsval) {
  if (!stamped) return common ? "" : " opt 01010101";
  if (common) return " ts " + std::to_string(tsval) + " 1";
  char hex[32];
  std::snprintf(hex, sizeof hex, " opt 080a%08x%08x0101", tsval, 1);
  return hex;
}
struct segment {
  char const* text;
  u32 tsval;
};
/// Where a connection stands before the segments come: who has said what.
enum class stage {
  open,
  shut,
  closed,
  closed_behind_data,
  peer_shut,
  both_shut,
  both_closed,
  lingering,
  no_sack,
  no_window
};

std::vector<u64> play(stage how, std::vector<segment> const& segments, bool stamped, bool common) {
  tcp_script t;
  t.shorts();
  int fd = t.accepted(std::string("mss 1460 ws 7") + (how == stage::no_sack ? "" : " sackok") +
                      (stamped ? " ts 1000 0" : ""));
  t.in(". 1 ack 1" + stamp(stamped, true, 1001));
  t.after(10);
  auto const close = [&] { t.close(std::exchange(fd, -1)); };
  if (how >= stage::peer_shut && how <= stage::both_closed) t.in("F. 1 ack 1" + stamp(stamped, true, 1010));
  if (how == stage::closed_behind_data) REQUIRE(t.write(fd, 10));
  if (how == stage::shut || how == stage::both_shut) t.shutdown(fd, shut::wr);
  if (how == stage::lingering) REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::linger2, -1));
  if (how == stage::closed || how == stage::closed_behind_data || how == stage::both_closed || how == stage::lingering)
    close();
  if (how == stage::no_window) t.tp(fd).rcv_wnd = 0;
  t.after(1);
  for (auto const& s : segments) {
    t.in(s.text + stamp(stamped, common, s.tsval));
    t.after(3);
  }
  auto result = known(t, fd);
  t.after(300);  // a delayed acknowledgment
  auto const later = known(t, fd);
  result.insert(result.end(), later.begin(), later.end());
  t.over();
  append_counts(result, t.ext());
  return result;
}

}  // namespace

TEST_CASE("what ends most connections does what any such segment would: RFC 9293 §3.10.7.4", "[S147][S148]") {
  struct {
    stage how;
    std::vector<segment> segments;
  } const plays[] = {
      {stage::open, {{"F. 1 ack 1", 1020}}},                          // the peer closes first
      {stage::open, {{"FP. 1 ack 1", 1020}, {"F. 1 ack 1", 1030}}},   // … and says so twice
      {stage::open, {{"F. 1 ack 1 win 600", 1020}}},                  // its window is another
      {stage::open, {{"F. 1 ack 1", 999}}},                           // older than what was heard
      {stage::open, {{"F. 1 ack 2", 1020}}},                          // of what was never sent
      {stage::open, {{"F. 2 ack 1", 1020}, {"P. 1:2 ack 1", 1021}}},  // behind a gap
      {stage::open, {{"P. 1:9 ack 1", 1020}, {"F. 9 ack 1", 1021}}},  // behind what is not read
      {stage::open, {{"UF. 1 ack 1 urg 1", 1020}}},
      {stage::open, {{"UP. 1:3 ack 1 urg 5", 1020}, {"F. 3 ack 1", 1021}}},
      {stage::no_sack, {{"P. 5:9 ack 1", 1020}, {"F. 1 ack 1", 1021}}},
      {stage::no_window, {{"F. 1 ack 1", 1020}}},
      {stage::shut, {{". 1 ack 2", 1020}, {"F. 1 ack 2", 1030}}},  // somebody still reads
      {stage::shut, {{"F. 1 ack 2", 1020}}},
      {stage::closed, {{"F. 1 ack 2", 1020}}},  // both at once
      {stage::closed, {{"F. 1 ack 2 win 7", 1020}, {"F. 1 ack 2 win 7", 1030}}},
      {stage::closed, {{". 1 ack 2", 1020}, {"F. 1 ack 2", 1030}}},  // one after the other
      {stage::closed, {{"F. 1 ack 1", 1020}, {". 2 ack 2", 1030}}},  // crossing
      {stage::closed, {{"F. 1 ack 2", 999}}},
      {stage::closed, {{"P. 1:2 ack 2", 1020}}},  // data for nobody
      {stage::closed, {{"PF. 1:2 ack 2", 1020}}},
      {stage::closed, {{"R. 1 ack 2", 1020}}},
      {stage::closed, {{"S. 1 ack 2", 1020}}},
      {stage::closed, {{". 1 ack 3", 1020}, {". 0 ack 2", 1020}}},
      {stage::closed_behind_data, {{". 1 ack 11", 1020}, {"F. 1 ack 12", 1030}}},
      {stage::closed_behind_data, {{"F. 1 ack 12", 1020}}},
      {stage::peer_shut, {{". 2 ack 1", 1020}, {"F. 1 ack 1", 1030}}},
      {stage::both_shut, {{". 2 ack 2", 1020}}},
      {stage::both_closed, {{". 2 ack 2", 1020}}},  // the last word
      {stage::both_closed, {{". 2 ack 2", 1009}, {". 2 ack 2", 1020}}},
      {stage::both_closed, {{"F. 1 ack 1", 1020}, {". 2 ack 2", 1030}}},
      {stage::both_closed, {{"F. 2 ack 2", 1020}}},
      {stage::lingering, {{". 1 ack 2", 1020}}},
      {stage::lingering, {{"F. 1 ack 2", 1020}}},
  };
  for (bool const stamped : {true, false})
    for (auto const& [how, segments] : plays) {
      CAPTURE(stamped, static_cast<int>(how), segments[0].text, segments[0].tsval);
      CHECK(play(how, segments, stamped, true) == play(how, segments, stamped, false));
    }
}
