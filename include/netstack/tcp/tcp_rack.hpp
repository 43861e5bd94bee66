// SPDX-License-Identifier: BSL-1.0
// Decides: which segments are believed lost: with SACK by time, for what was sent a round trip and a little before
// something that arrived, should have arrived too; the little adapts to how the network reorders. Without SACK by
// counting. And the probe that makes the loss of the last segments show without a timeout.
//
//   sent:      1 2 3 4          tail loss probe:  1 2 3 4
//   arrived:       4            arrived:          1 2
//   lost:      1 2 3, once      after 2 RTT:          4 again; its SACK tells of 3
//              RTT + reo_wnd have passed since they were sent; a timer waits for that (reo_timeout)
//
// called by tcp_ack, tcp_recovery, tcp_timer → calls tcp_rtx_queue, tcp_retransmit_skb
// Linux: net/ipv4/tcp_recovery.c, net/ipv4/tcp_output.c (tcp_send_loss_probe), net/ipv4/tcp_input.c
// (tcp_process_tlp_ack); RFC 8985; RFC 6582 §3.2
#pragma once
#include "netstack/tcp/tcp_output.hpp"
#include "netstack/tcp/tcp_sack.hpp"

namespace netstack {

namespace detail {

/// RFC 8985 §6.2 step 4: how much longer than a round trip a segment may take, in us. None while nothing was ever seen
/// to be reordered, once so many are missed that RFC 5681 would repair them at once.
template <class Net>
u32 tcp_rack_reo_wnd(Net& net, tcp_sock const& tp) {
  bool const dupthresh = !(tcp_pernet(net).sysctl_tcp_recovery & tcp_recovery_bits::no_dupthresh);
  if (!tp.reord_seen && (tp.ca_state >= tcp_ca_state::recovery || (dupthresh && tp.sacked_out >= tp.reordering)))
    return 0;
  return static_cast<u32>(std::min<u64>(u64{tp.rtt_min_us >> 2} * tp.rack_reo_wnd_steps, tp.srtt_us >> 3));
}

/// RFC 8985 §6.2 step 5. When to look again, in us; 0: nothing waits for that.
template <class Net>
u64 tcp_rack_detect_loss(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  u32 const reo_wnd = tcp_rack_reo_wnd(net, tp);
  u64 const now_us = net.worker().now / 1000, allowed = u64{tp.rack_rtt_us} + reo_wnd;
  auto& lost = tp.repair->lost_queue;
  auto again = lost.begin();
  while (!tp.tsorted_sent_queue.empty()) {
    sk_buff& skb = tp.tsorted_sent_queue.front();
    auto const& cb = TCP_SKB_CB(skb);
    if (!tcp_rack_sent_after(tcp_rack_latest(tp), tcp_rack_order_of(cb))) return 0;
    // In whole us, as the round trip is: what left together is late together. And all that are before the one that
    // arrived are due when the last of them can be.
    if (u64 const age = now_us - cb.sent / 1000; age < allowed) return std::max<u64>(allowed - age, reo_wnd);
    // In order of sequence, as RFC 6675's NextSeg: what is lost again is mostly the first, and what is for the first
    // time the last. Both come in that order.
    auto where = (cb.sacked & tcpcb::ever_retrans) ? again : lost.end();
    while (where != lost.end() && before(TCP_SKB_CB(*where).seq, cb.seq)) ++where;
    while (where != lost.begin() && before(cb.seq, TCP_SKB_CB(*std::prev(where)).seq)) --where;
    if (cb.sacked & tcpcb::ever_retrans) again = where;
    tcp_mark_skb_lost(net, tp, skb, where);
  }
  return 0;
}

/// RFC 6582 §3.2, RFC 5681 §3.2: the first that is missing, and with each partial acknowledgment the next.
template <class Net>
void tcp_newreno_mark_lost(Net& net, sock& sk, bool una_advanced) {
  auto& tp = tcp_sk(sk);
  bool const now = tp.ca_state < tcp_ca_state::recovery ? tp.sacked_out >= tp.reordering
                                                        : tp.ca_state == tcp_ca_state::recovery && una_advanced;
  sk_buff* const head = tcp_sent_head(sk);
  if (now && head && !(TCP_SKB_CB(*head).sacked & tcpcb::lost))
    tcp_mark_skb_lost(net, tp, *head, tp.repair->lost_queue.begin());
}

}  // namespace detail

/// What is lost, by what this acknowledgment tells.
template <class Net>
void tcp_identify_packet_loss(Net& net, sock& sk, tcp_ack_news& news) {
  auto& tp = tcp_sk(sk);
  if (tp.packets_out == 0) return;
  u32 const prior_lost = tp.lost_out, prior_retrans = tp.retrans_out;
  if (!tcp_is_sack(tp)) {
    detail::tcp_newreno_mark_lost(net, sk, news.una_advanced);
  } else if (tp.rack_advanced) {
    tp.rack_advanced = false;
    if (u64 const wait = detail::tcp_rack_detect_loss(net, sk); wait != 0)
      inet_csk_reset_xmit_timer(net, sk, icsk_time::reo_timeout, wait + tcp_timeout_min);
  }
  news.lost_retrans |= tp.retrans_out < prior_retrans;
  news.newly_lost += tp.lost_out - prior_lost + (prior_retrans - tp.retrans_out);
}

// --- the tail

/// RFC 8985 §7.3: something new, or the last segment once more. One probe at a time.
template <class Net>
void tcp_send_loss_probe(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  u32 const mss = tcp_current_mss(net, sk);
  sk_buff* const last = tcp_sent_tail(sk);
  bool sent = false;
  if (!tp.tlp_outstanding && tp.send_head && detail::tcp_snd_wnd_test(tp, *tp.send_head, mss)) {
    bool begins = false;
    sent = detail::tcp_xmit_send_head(net, sk, mss, nullptr, begins);
    if (begins) tcp_rearm_rto(net, sk);
    tp.tlp_retrans = false;
  } else if (!tp.tlp_outstanding && last && !(TCP_SKB_CB(*last).sacked & (tcpcb::sacked_acked | tcpcb::lost)) &&
             skb_shinfo(*last).dataref == 1) {  // what has not even left the host is not lost
    sent = __tcp_retransmit_skb(net, sk, *last).has_value();
    tp.tlp_retrans = true;
  }
  if (sent) {
    ++NET_STATS(net).TCPLossProbes;
    tp.tlp_outstanding = true;
    tcp_repair_of(net, tp).tlp_high_seq = tp.snd_nxt;
  }
  // RFC 8985 §7.3: after a probe the RTO counts from now; without one, what it waited is over already.
  inet_csk(sk).icsk_pending = sent ? icsk_time::none : icsk_time::loss_probe;
  tcp_rearm_rto(net, sk);
}

}  // namespace netstack
