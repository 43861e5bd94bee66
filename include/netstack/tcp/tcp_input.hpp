// SPDX-License-Identifier: BSL-1.0
// Decides: what a segment does to a connection: the state machine of RFC 9293, in its order: sequence number, RST, SYN,
// ACK, URG, data, FIN. It knows no IP version: what must be answered without a connection is told to who called.
// rx: called by tcp_v4_rcv → calls tcp_ack, tcp_data_queue
// Linux: net/ipv4/tcp_input.c (tcp_rcv_established, tcp_rcv_state_process, tcp_validate_incoming)
// RFC 9293 §3.10.7, RFC 5961 §3 (RST), §4 (SYN), RFC 7323 §5.3 (PAWS) [S147]
#pragma once
#include "netstack/tcp/tcp_ack.hpp"
#include "netstack/tcp/tcp_data_queue.hpp"
#include "netstack/tcp/tcp_timer.hpp"
#include "netstack/tcp/tcp_urg.hpp"
#include "netstack/tcp/tcp_user_timeout.hpp"

namespace netstack {

/// tcp_fastopen.hpp.
template <class Net>
void tcp_rcv_fastopen_synack(Net& net, sock& sk, tcp_rx const& rx);

namespace detail {

/// RFC 7323 §4.3: the time stamp of the segment that the last acknowledgment waits for, if this is it. It is not older.
template <class Net>
NETSTACK_INLINE void tcp_take_ts_recent(Net& net, tcp_sock& tp, u32 seq, u32 tsval) {
  if (after(seq, tp.rcv_wup)) return;
  tp.ts_recent = tsval;
  tp.ts_recent_stamp = detail::tw_clock(net.worker().now);
}
template <class Net>
void tcp_replace_ts_recent(Net& net, tcp_sock& tp, tcp_rx const& rx) {
  if (!tp.tstamp_ok || !rx.opt.saw_tstamp) return;
  // RFC 7323 §5.3 R3, once more: a pure acknowledgment may be older.
  if (before(rx.opt.rcv_tsval, tp.ts_recent) &&
      detail::tw_clock_since(tp.ts_recent_stamp, net.worker().now) < tcp_paws_24days)
    return;
  tcp_take_ts_recent(net, tp, rx.seq, rx.opt.rcv_tsval);
}

/// RFC 9293 §3.10.7.4: what cannot be taken is answered with what would be.
template <class Net>
NETSTACK_COLD void tcp_send_dupack(Net& net, sock& sk, tcp_rx const& rx) {
  auto& tp = tcp_sk(sk);
  if (rx.seq != rx.end_seq && before(rx.seq, tp.rcv_nxt)) {
    ++NET_STATS(net).DelayedACKLost;
    tcp_enter_quickack_mode(tp, tcp_max_quickacks);
    tcp_dsack_set(net, tp, rx.seq, after(rx.end_seq, tp.rcv_nxt) ? tp.rcv_nxt : rx.end_seq);
  }
  tcp_send_ack(net, sk);
  tcp_repair_settle(net, tp);
}

template <class Net>
bool tcp_paws_discard(Net& net, tcp_sock const& tp, tcp_rx const& rx) {
  if (!tp.tstamp_ok || !tcp_paws_reject(tp.ts_recent, tw_clock_since(tp.ts_recent_stamp, net.worker().now), rx))
    return false;
  // RFC 7323 §5.3: an acknowledgment that only arrived out of order, no earlier than a timeout ago, and tells nothing
  // new harms nobody.
  bool const disordered_ack =
      rx.seq == rx.end_seq && rx.seq == tp.rcv_nxt && rx.is(tcp_flag::ack, tcp_flag::ack | tcp_flag::syn) &&
      rx.ack_seq == tp.snd_una && !tcp_may_update_window(tp, rx) &&
      static_cast<s32>(tp.ts_recent - rx.opt.rcv_tsval) <= static_cast<s32>(tp.icsk_rto / 1000 * 6 / 5);
  return !disordered_ack;
}

/// RFC 5961 §3.2: a number that no stranger guesses: the next one; or, as in Linux, what the peer may hold for that:
/// its end without the FIN that it sent, or the end of what it was told to be here beyond a gap.
[[nodiscard]] NETSTACK_COLD inline bool tcp_rst_is_exact(sock const& sk, u32 seq) {
  auto const& tp = tcp_sk(sk);
  if (seq == tp.rcv_nxt) return true;
  if (seq + 1 == tp.rcv_nxt && tcp_in_state(sk, tcp_state::close_wait, tcp_state::closing, tcp_state::last_ack))
    return true;
  if (!tp.sack_ok || tp.num_sacks == 0) return false;
  u32 edge = tp.rcv_nxt;
  for (u8 i = 0; i < tp.num_sacks; ++i)
    if (after(tp.ofo->selective_acks[i].end_seq, edge)) edge = tp.ofo->selective_acks[i].end_seq;
  return seq == edge;
}

/// tcp_validate_incoming, of whatever it is.
template <class Net>
NETSTACK_NOINLINE drop_reason tcp_validate_other(Net& net, sock& sk, tcp_rx const& rx) {
  auto& tp = tcp_sk(sk);
  auto const syn_challenge = [&] {
    ++NET_STATS(net).TCPSYNChallenge;
    if (sk.sk_state == tcp_state::established) ++TCP_STATS(net).InErrs;  // as in Linux
    tcp_send_challenge_ack(net, sk);
    return drop_reason::tcp_invalid_syn;
  };
  if (tcp_paws_discard(net, tp, rx)) [[unlikely]] {
    if (rx.has(tcp_flag::syn)) return syn_challenge();
    bool const overtaken = rx.seq == rx.end_seq && rx.has(tcp_flag::ack) && before(rx.seq, tp.rcv_nxt);
    ++(overtaken ? NET_STATS(net).PAWSOldAck : NET_STATS(net).PAWSEstab);
    // RFC 7323 §5.3 R1 answers; but acknowledgments are overtaken all the time, and two ends must not answer each
    // other.
    if (!overtaken &&
        !tcp_oow_rate_limited(net, tcp_rare_of(net, tp).oow_ack_stamp, rx, NET_STATS(net).TCPACKSkippedPAWS))
      tcp_send_dupack(net, sk, rx);
    return drop_reason::tcp_rfc7323_paws;
  }
  // First: some of it lies in the window. MUST-66: also in a closed one.
  if ((before(rx.end_seq, tp.rcv_wup) || after(rx.seq, tp.rcv_nxt + tcp_receive_window(tp))) &&
      !(rx.has(tcp_flag::rst) && tcp_rst_is_exact(sk, rx.seq))) [[unlikely]] {
    if (rx.has(tcp_flag::rst)) return drop_reason::tcp_invalid_sequence;
    // RFC 5961 §4.2: a SYN wherever it lies.
    if (rx.has(tcp_flag::syn)) return syn_challenge();
    if (!tcp_oow_rate_limited(net, tcp_rare_of(net, tp).oow_ack_stamp, rx, NET_STATS(net).TCPACKSkippedSeq))
      tcp_send_dupack(net, sk, rx);
    return drop_reason::tcp_invalid_sequence;
  }
  // Second: RST, SHLD-2. RFC 5961 §3.2: exactly the next one, or a stranger may have guessed.
  if (rx.has(tcp_flag::rst)) [[unlikely]] {
    if (!tcp_rst_is_exact(sk, rx.seq)) {
      tcp_send_challenge_ack(net, sk);
      return drop_reason::tcp_invalid_sequence;
    }
    tcp_reset(net, sk);
    return drop_reason::tcp_reset;
  }
  // Fourth: SYN. The one of a simultaneous open, repeated with its ACK, completes it.
  if (rx.has(tcp_flag::syn)) [[unlikely]] {
    if (sk.sk_state == tcp_state::syn_recv && rx.has(tcp_flag::ack) && rx.seq + 1 == rx.end_seq &&
        rx.end_seq == tp.rcv_nxt && rx.ack_seq == tp.snd_nxt)
      return drop_reason::not_specified;
    if (tcp_passive_fastopen(sk) && rx.seq == tp.snd_wl1 && !rx.has(tcp_flag::ack)) {
      // The peer did not hear our SYN-ACK.
      if (!tcp_oow_rate_limited(net, tcp_rare_of(net, tp).oow_ack_stamp, rx, NET_STATS(net).TCPACKSkippedSynRecv))
        (void)tcp_retransmit_skb(net, sk, *tcp_sent_head(sk));
      return drop_reason::tcp_invalid_syn;
    }
    return syn_challenge();
  }
  return drop_reason::not_specified;
}
/// First to fourth check of RFC 9293 §3.10.7.4. not_specified: the segment is to be looked at further, as nearly
/// always: it is the next one, and not older than the last.
template <class Net>
NETSTACK_INLINE drop_reason tcp_validate_incoming(Net& net, sock& sk, tcp_rx const& rx) {
  auto const& tp = tcp_sk(sk);
  bool const next = rx.seq == tp.rcv_nxt && (rx.flags & (tcp_flag::rst | tcp_flag::syn)) == 0;
  if (next && rx.opt.saw_tstamp && static_cast<s32>(tp.ts_recent - rx.opt.rcv_tsval) < tcp_paws_window) [[likely]]
    return drop_reason::not_specified;
  return tcp_validate_other(net, sk, rx);
}

/// The peer sent data and no news of ours: who said that he will write more is left the time, as in Linux.
[[nodiscard]] inline bool tcp_awaits_more(tcp_sock const& tp) {
  return (tp.nonagle & tcp_nagle::more) && tp.snd_una == tp.rare->more_una;
}
/// There may be something to send now, or room to write.
template <class Net>
NETSTACK_INLINE void tcp_data_snd_check(Net& net, sock& sk) {
  if (tcp_sk(sk).send_head && !tcp_awaits_more(tcp_sk(sk))) tcp_push_pending_frames(net, sk);
  if (!tcp_sk(sk).nospace) [[likely]]
    return;
  tcp_sndbuf_expand(net, sk);
  if (!tcp_stream_is_writeable(net, sk)) return;
  tcp_sk(sk).nospace = false;
  tcp_note(sk, tcp_event::writable);
}

/// Data may be sent: the algorithm begins, and the measures of what a segment and a round trip carry. Of a connection
/// that a SYN with data began, that is before it is there: what was closed by then never is ESTABLISHED.
template <class Net>
NETSTACK_INLINE void tcp_init_transfer(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  if (!tp.icsk_ca_initialized) tcp_init_congestion_control(net, sk);
  tcp_sync_mss(net, sk);
  // Until the peer's first full segment shows what it is; small, so that the first is one.
  u32 const guess = std::min({u32{tp.advmss}, u32{tp.mss_cache}, tp.rcv_wnd / 2, u32{tcp_mss_default}});
  tp.rcv_mss = static_cast<u16>(std::max<u32>(guess, tcp_min_mss));
  tcp_mtup_reset(tp);
  if (tcp_pernet(net).sysctl_tcp_mtu_probing > 1) [[unlikely]]
    tcp_mtup_init(net, sk), tp.mtu_probing = true;
  tcp_init_buffer_space(net, tp);
}

/// The connection is there.
template <class Net>
void tcp_finish_connect(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  tcp_set_state(net, sk, tcp_state::established);
  tp.rcv_tstamp = tp.lsndtime = net.worker().now, tp.established = tcp_time_stamp(net);
  // RFC 6928 §3: what was lost of the handshake says little of the path, unless it was lost again.
  tp.snd_cwnd = tp.rare->total_retrans > 1 ? 1 : tcp_init_cwnd;
  tp.snd_ssthresh = tcp_infinite_ssthresh;
  if (tp.repair) [[unlikely]]
    tp.repair->rtx_high = tp.snd_nxt, tp.repair->retrans_stamp = 0;
  tcp_init_transfer(net, sk);
  if (tp.srtt_us == 0) tp.icsk_rto = tcp_timeout_fallback;  // RFC 6298 §5.7: the handshake measured nothing
  if (bool const tells = tcp_user_timeout_tells(net, tp); tells != tp.uto_due) [[unlikely]]
    tp.uto_due = tells;
  tcp_start_keepalive(net, sk);
  tcp_note(sk, tcp_event::state | tcp_event::writable);
}

/// What a SYN says holds for the whole connection.
template <class Net>
NETSTACK_INLINE void tcp_take_syn(Net& net, tcp_sock& tp, tcp_rx const& rx) {
  tp.rcv_nxt = tp.rcv_wup = tp.copied_seq = rx.seq + 1;
  tp.snd_wl1 = rx.seq;
  tp.snd_wnd = rx.window;
  tp.max_window = std::max<u32>(tp.max_window, rx.window);
  if (!(rx.opt.wscale_ok && rx.opt.saw_tstamp && rx.opt.sack_ok)) [[unlikely]] {  // something is not agreed to
    tp.wscale_ok = tp.wscale_ok && rx.opt.wscale_ok;
    tp.tstamp_ok = tp.tstamp_ok && rx.opt.saw_tstamp;
    tp.sack_ok = tp.sack_ok && rx.opt.sack_ok;
  }
  tp.snd_wscale = tp.wscale_ok ? rx.opt.snd_wscale : u8{0};
  if (!tp.wscale_ok) tp.rcv_wscale = 0, tp.rcv_wnd = std::min<u32>(tp.rcv_wnd, 0xffff);
  if (tp.tstamp_ok) tp.ts_recent = rx.opt.rcv_tsval, tp.ts_recent_stamp = detail::tw_clock(net.worker().now);
  tcp_ecn_rcv_syn(tp, rx);
  tcp_rcv_user_timeout(net, tp, rx.opt.user_timeout);
  // RFC 9293 §3.7.1 MUST-15: without the option, 536.
  u32 const mss = std::max<u32>(rx.opt.mss != 0 ? rx.opt.mss : tcp_mss_default, tcp_min_mss);
  tp.mss_clamp = static_cast<u16>(std::min<u32>(mss, tp.rare->user_mss ? tp.rare->user_mss : 0xffff));
}

/// RFC 7323 §5: what is echoed to our SYN is older than its first transmission, or newer than now.
template <class Net>
NETSTACK_INLINE bool tcp_syn_echo_is_wrong(Net& net, sock const& sk, tcp_rx const& rx) {
  auto const& tp = tcp_sk(sk);
  if (!tp.tstamp_ok || !rx.opt.saw_tstamp || rx.opt.rcv_tsecr == 0) return false;
  sk_buff* const head = tcp_sent_head(sk);
  u64 const first = tp.icsk_retransmits != 0 ? tp.rare->retrans_start : head ? TCP_SKB_CB(*head).sent : tp.lsndtime;
  u32 const since = static_cast<u32>(first / 1'000'000) + tp.tsoffset;
  return !between(rx.opt.rcv_tsecr, since, tcp_time_stamp(net) + tp.tsoffset);
}
/// Who answers a SYN with the acknowledgment of a connection before it is told by our RST that there is none (RFC 9293
/// §3.5.1, figure 9), and soon asked once more, as in Linux: a whole timeout would only be waited for in vain.
template <class Net>
NETSTACK_COLD void tcp_syn_again_soon(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  u64 const now = net.worker().now, due = icsk_due_of(sk, icsk_wait::retransmit, now);
  if (tp.icsk_retransmits == 0 && due > now + u64{tcp_timeout_min} * 1000)
    inet_csk_reset_xmit_timer(net, sk, icsk_time::retrans, tcp_timeout_min);
}

/// MUST-10, figure 7: both open at once.
template <class Net>
NETSTACK_COLD void tcp_simultaneous_open(Net& net, sock& sk, tcp_rx const& rx) {
  auto& tp = tcp_sk(sk);
  tcp_take_syn(net, tp, rx);
  tcp_set_state(net, sk, tcp_state::syn_recv);
  if (tcp_bodiless(tp)) (void)tcp_embody(net, sk);
  if (sk_buff* const syn = tcp_sent_head(sk)) {
    tcp_make_synack(tp, TCP_SKB_CB(*syn));
    (void)tcp_transmit_skb(net, sk, *syn);
  }
}
/// RFC 9293 §3.10.7.3.
template <class Net>
NETSTACK_NOINLINE tcp_outcome tcp_rcv_synsent_state_process(Net& net, sock& sk, sk_buff& skb, tcp_rx const& rx) {
  auto& tp = tcp_sk(sk);
  if (rx.has(tcp_flag::ack)) [[likely]] {
    // First: the ACK is of our SYN, or something else believes in an older connection.
    bool const good = after(rx.ack_seq, tp.snd_una) && !after(rx.ack_seq, tp.snd_nxt);
    if (!good) {
      tcp_syn_again_soon(net, sk);
      return {drop(net, skb, drop_reason::tcp_invalid_ack_sequence), true};
    }
    if (tcp_syn_echo_is_wrong(net, sk, rx)) [[unlikely]] {
      ++NET_STATS(net).PAWSActive;
      return {drop(net, skb, drop_reason::tcp_rfc7323_paws), true};
    }
    if (rx.has(tcp_flag::rst)) {
      tcp_reset(net, sk);
      return {drop(net, skb, drop_reason::tcp_reset)};
    }
    if (!rx.has(tcp_flag::syn)) return {drop(net, skb, drop_reason::tcp_flags)};
    if (tcp_bodiless(tp)) [[likely]]  // all of it, then; the window is taken below
      tcp_ack_plain_bodiless(net, sk, rx.seq, rx.ack_seq);
    else
      (void)tcp_ack_queued(net, sk, rx, false);
    tcp_take_syn(net, tp, rx);
    tcp_finish_connect(net, sk);
    if (tp.syn_fastopen) [[unlikely]]
      tcp_rcv_fastopen_synack(net, sk, rx);
    tcp_send_ack(net, sk);
    tcp_data_snd_check(net, sk);
    return {verdict::consumed()};
  }
  if (rx.has(tcp_flag::rst) || !rx.has(tcp_flag::syn)) return {drop(net, skb, drop_reason::tcp_flags)};
  tcp_simultaneous_open(net, sk, rx);
  return {verdict::consumed()};
}

/// RFC 9293 §3.10.7.4 fifth, in SYN-RECEIVED: our SYN was acknowledged.
template <class Net>
NETSTACK_INLINE void tcp_syn_recv_acked(Net& net, sock& sk, tcp_rx const& rx) {
  auto& tp = tcp_sk(sk);
  tcp_finish_connect(net, sk);
  tp.snd_wnd = u32{rx.window} << tp.snd_wscale;
  tp.max_window = std::max(tp.max_window, tp.snd_wnd);
  tp.snd_wl1 = rx.seq;
  if (!(sk.sk_shutdown & send_shutdown)) [[likely]]
    return;
  tcp_set_state(net, sk, tcp_state::fin_wait1);  // shut down before it was there
  tcp_send_fin(net, sk);
}
/// Our FIN was acknowledged.
template <class Net>
tcp_outcome tcp_fin_wait1_acked(Net& net, sock& sk, sk_buff& skb, tcp_rx const& rx, bool& over) {
  auto& tp = tcp_sk(sk);
  tcp_set_state(net, sk, tcp_state::fin_wait2);
  sk.sk_shutdown |= send_shutdown;
  if (!sock_flag(sk, sock_flags::dead)) return tcp_note(sk, tcp_event::state), tcp_outcome{verdict::consumed()};
  u32 const fin = rx.has(tcp_flag::fin) ? 1 : 0;
  if (tp.rare->linger2 < 0 || (rx.end_seq != rx.seq && after(rx.end_seq - fin, tp.rcv_nxt))) {
    // RFC 9293 §3.6.1, RFC 2525 §2.17: data for nobody. TCP_LINGER2 below zero counts as that here, as in Linux.
    over = true;
    ++NET_STATS(net).TCPAbortOnData;
    tcp_done(net, sk);
    return {drop(net, skb, drop_reason::tcp_abort_on_data), true};
  }
  return {verdict::consumed()};  // a FIN in the same segment may end it; else tcp_rcv_state_process sees that it ends
}

/// RFC 9293 §3.10.7.4 fifth: what the acknowledgment means in the states around the two ends of a connection. `over`:
/// the segment needs no further look.
template <class Net>
tcp_outcome tcp_ack_state(Net& net, sock& sk, sk_buff& skb, tcp_rx const& rx, bool& over) {
  auto& tp = tcp_sk(sk);
  switch (sk.sk_state) {
    case tcp_state::syn_recv: tcp_syn_recv_acked(net, sk, rx); break;
    case tcp_state::fin_wait1:
      if (tp.snd_una == tp.write_seq) return tcp_fin_wait1_acked(net, sk, skb, rx, over);
      break;
    case tcp_state::closing:
      if (tp.snd_una != tp.write_seq) break;
      tcp_time_wait(net, sk, tcp_state::time_wait, 0);
      over = true;
      return {verdict::consumed()};
    case tcp_state::last_ack:
      if (tp.snd_una != tp.write_seq) break;
      tcp_done(net, sk);
      over = true;
      return {verdict::consumed()};
    default: break;
  }
  if (tcp_fin_owed(tp)) [[unlikely]]
    tcp_send_owed_fin(net, sk);
  return {verdict::consumed()};
}

/// … seventh and eighth: data and FIN, where they may come.
template <class Net>
tcp_outcome tcp_data_state(Net& net, sock& sk, sk_buff& skb, tcp_rx const& rx) {
  auto& tp = tcp_sk(sk);
  switch (sk.sk_state) {
    case tcp_state::close_wait:
    case tcp_state::closing:
    case tcp_state::last_ack:
      // The peer's FIN was taken, and nothing comes behind it; before it, only what is known.
      if (after(rx.end_seq, tp.rcv_nxt)) return {drop(net, skb, drop_reason::tcp_old_data)};
      break;
    case tcp_state::fin_wait1:
    case tcp_state::fin_wait2: {
      u32 const fin = rx.has(tcp_flag::fin) ? 1 : 0;
      if (!(sk.sk_shutdown & rcv_shutdown) || rx.end_seq == rx.seq || !after(rx.end_seq - fin, tp.rcv_nxt)) break;
      // MAY-1 SHLD-3: nobody will read it, and its sender should know.
      ++NET_STATS(net).TCPAbortOnData;
      tcp_reset(net, sk);
      return {drop(net, skb, drop_reason::tcp_abort_on_data), true};
    }
    case tcp_state::established: break;
    default: return {verdict::consumed()};
  }
  return {tcp_data_queue(net, sk, skb, rx)};
}

/// RFC 9293 §3.10.7.2.
template <class Net>
NETSTACK_INLINE tcp_outcome tcp_listen_state(Net& net, sock& sk, sk_buff& skb, tcp_rx const& rx) {
  if (rx.has(tcp_flag::rst)) return {drop(net, skb, drop_reason::tcp_flags)};
  if (rx.has(tcp_flag::ack)) return tcp_af_ops<Net>(sk).cookie_check(net, sk, skb, rx);
  if (!rx.has(tcp_flag::syn) || rx.has(tcp_flag::fin)) return {drop(net, skb, drop_reason::tcp_flags)};
  return {tcp_af_ops<Net>(sk).conn_request(net, sk, skb, rx)};
}

/// Header prediction (RFC 1323 app. A kept the name): the next segment in order, of which nothing is new but its data
/// or what it acknowledges, or that it is the last, while nothing is out of order.
[[nodiscard]] inline bool tcp_is_predicted(tcp_sock const& tp, tcp_rx const& rx) {
  u8 const flags = rx.flags & static_cast<u8>(~(tcp_flag::psh | tcp_flag::fin));
  u32 const len = rx.end_seq - rx.seq, window = tcp_receive_window(tp);
  return flags == tcp_flag::ack && rx.seq == tp.rcv_nxt && u32{rx.window} << tp.snd_wscale == tp.snd_wnd &&
         rx.ack_seq - tp.snd_una <= tp.snd_nxt - tp.snd_una &&
         (len <= window || (len == 1 && rx.has(tcp_flag::fin))) &&  // a FIN by itself needs no room
         rx.opt.saw_tstamp == tp.tstamp_ok && !(tp.tstamp_ok && before(rx.opt.rcv_tsval, tp.ts_recent)) &&
         (rx.opt.num_sacks | rx.opt.user_timeout | tp.num_sacks) == 0 && tp.urg_data == 0 && !tp.ofo;
}

/// The words of a header that brings the next data, or an acknowledgment, and says nothing else: all but ports,
/// sequence number, acknowledgment and checksum; `Stamped`: the time stamp is the last one that was seen.
template <bool Stamped>
struct tcp_run_words {
  static constexpr u32 hlen = static_cast<u32>(tcp_hlen_min) + (Stamped ? tcpopt::tstamp_aligned : 0);
  u32 bits, lead, tsval;
  static constexpr u32 psh = be32{u32{tcp_flag::psh} << 16}.raw();
  explicit tcp_run_words(tcp_sock const& tp)
      : bits(be32{hlen / 4 << 28 | u32{tcp_flag::ack} << 16 | static_cast<u16>(tp.snd_wnd >> tp.snd_wscale)}.raw()),
        lead(tcpopt::tstamp_lead),
        tsval(be32{tp.ts_recent}.raw()) {
    if (tp.snd_wnd & ((1u << tp.snd_wscale) - 1)) bits = 0;  // of a SYN: no segment repeats it
  }
  /// Flags, window and options.
  [[nodiscard]] NETSTACK_INLINE bool alike(u8 const* th) const {
    return (csum_load<u32>(th + 12) & ~psh) == bits && (!Stamped || csum_load<u32>(th + 20) == lead);
  }
  [[nodiscard]] NETSTACK_INLINE bool match(u8 const* th, u32 seq) const {
    return csum_load<u32>(th + 4) == be32{seq}.raw() && alike(th) && (!Stamped || csum_load<u32>(th + 24) == tsval);
  }
  static u32 ack_of(sk_buff const& skb) { return csum_load<be32>(skb.data + 8).host(); }
  /// An acknowledgment without data whose news the next segment brings as well: as if it had been lost.
  /// `seen`: the last that was compared.
  [[nodiscard]] bool is_void(tcp_sock const& tp, u32 seq, sk_buff const& skb, sk_buff const& next,
                             sk_buff const*& seen) const {
    if (skb.len != hlen || next.len < hlen || next.data_len != 0 || !(seen == &skb || match(skb.data, seq)) ||
        !match(next.data, seq))
      return false;
    seen = &next;
    return after(ack_of(next), ack_of(skb)) && !after(ack_of(next), tp.snd_nxt);
  }
};

/// tcp_is_predicted, and what the header says, by its words: most segments of a connection, `Stamped`: with time
/// stamps. False: it may be predicted yet, but has to be read.
template <bool Stamped>
NETSTACK_INLINE bool tcp_read_predicted(tcp_sock const& tp, sk_buff const& skb, tcp_rx& rx) {
  constexpr u32 hlen = tcp_run_words<Stamped>::hlen;
  u8 const* const th = skb.data;
  constexpr tcp_marks amiss{.ecn_flags = tcp_ecn::has_news, .num_sacks = 0xff, .urg_data = 0xffff, .tstamp_ok = true};
  if (!tp.match(amiss, {.tstamp_ok = Stamped}) || skb.headlen() < hlen || !tcp_run_words<Stamped>{tp}.alike(th) ||
      tp.ofo)
    return false;
  rx.seq = csum_load<be32>(th + 4).host();
  rx.ack_seq = csum_load<be32>(th + 8).host();
  rx.end_seq = rx.seq + skb.len - hlen;
  rx.window = static_cast<u16>(tp.snd_wnd >> tp.snd_wscale);
  rx.flags = tcp_flag::ack;  // and PSH, of which nobody asks
  rx.hlen = hlen;
  rx.opt.saw_tstamp = Stamped;
  if constexpr (Stamped) {
    rx.opt.rcv_tsval = csum_load<be32>(th + 24).host();
    rx.opt.rcv_tsecr = csum_load<be32>(th + 28).host();
  }
  return rx.seq == tp.rcv_nxt && rx.ack_seq - tp.snd_una <= tp.snd_nxt - tp.snd_una &&
         skb.len - hlen <= tcp_receive_window(tp) && !(Stamped && before(rx.opt.rcv_tsval, tp.ts_recent));
}

/// What it means: its order was asked for already, and nothing in it has to be believed. `plain`: tcp_read_predicted
/// read it.
template <class Net>
NETSTACK_INLINE verdict tcp_rcv_predicted(Net& net, sock& sk, sk_buff& skb, tcp_rx const& rx, bool plain) {
  auto& tp = tcp_sk(sk);
  bool const data = rx.seq != rx.end_seq;
  // Data that acknowledges nothing new says nothing to a sender whose network is in order; but that its window is no
  // news either is known up to here, or 2 GiB later no window would be newer.
  sk_buff* const head = rx.ack_seq != tp.snd_una ? tcp_ack_plain_head(sk, rx.ack_seq) : nullptr;
  if (head) [[likely]]
    ++NET_STATS(net).TCPHPAcks, tcp_ack_plain(net, sk, *head, rx.seq, rx.ack_seq);
  else if (!data || rx.ack_seq != tp.snd_una || tp.ca_state != tcp_ca_state::open)
    (void)tcp_ack_queued(net, sk, tcp_rx{rx}, true);  // a copy: what nobody else looks at stays in registers
  else
    tp.snd_wl1 = rx.seq;
  if (tp.tstamp_ok) tcp_take_ts_recent(net, tp, rx.seq, rx.opt.rcv_tsval);
  if (!data) return verdict::consumed();
  if (!rx.has(tcp_flag::fin)) ++NET_STATS(net).TCPHPHits;  // which Linux never predicts
  return tcp_data_queue_in_order(net, sk, skb, rx, plain);
}

/// … for who rarely has such a one.
template <class Net>
NETSTACK_NOINLINE verdict tcp_rcv_predicted_rare(Net& net, sock& sk, sk_buff& skb, tcp_rx const& rx) {
  return tcp_rcv_predicted(net, sk, skb, rx, false);
}

}  // namespace detail

/// What a segment, or several, may have made due: data that may leave now, room to write, an acknowledgment.
template <class Net>
NETSTACK_INLINE void tcp_rcv_finish(Net& net, sock& sk) {
  detail::tcp_data_snd_check(net, sk);
  tcp_ack_snd_check(net, sk);
}

/// A segment for a connection that is open both ways, or that the peer closed.
template <class Net>
tcp_outcome tcp_rcv_established(Net& net, sock& sk, sk_buff& skb, tcp_rx const& rx) {
  auto& tp = tcp_sk(sk);
  if (detail::tcp_is_predicted(tp, rx)) [[likely]] {
    verdict const v = detail::tcp_rcv_predicted_rare(net, sk, skb, rx);
    if (!rx.more || tp.ack_now) tcp_rcv_finish(net, sk);
    return {v};
  }
  if (!(rx.flags & (tcp_flag::ack | tcp_flag::rst | tcp_flag::syn))) [[unlikely]]
    return {drop(net, skb, drop_reason::tcp_flags)};
  if (auto const bad = detail::tcp_validate_incoming(net, sk, rx); bad != drop_reason::not_specified) [[unlikely]]
    return {drop(net, skb, bad)};
  if (tcp_ack_queued(net, sk, rx, true) < 0) [[unlikely]]
    return {drop(net, skb, drop_reason::tcp_invalid_ack_sequence)};
  detail::tcp_replace_ts_recent(net, tp, rx);
  if (rx.opt.user_timeout != 0) tcp_rcv_user_timeout(net, tp, rx.opt.user_timeout);
  detail::tcp_urg(net, sk, skb, rx);
  verdict const v = tcp_data_queue(net, sk, skb, rx);
  if (!rx.more || tp.ack_now) tcp_rcv_finish(net, sk);
  return {v};
}

namespace detail {
/// A segment for a connection that is about to be open both ways, or has begun to end.
template <class Net>
NETSTACK_NOINLINE tcp_outcome tcp_rcv_synchronized(Net& net, sock& sk, sk_buff& skb, tcp_rx const& rx) {
  auto& tp = tcp_sk(sk);
  if (!(rx.flags & (tcp_flag::ack | tcp_flag::rst | tcp_flag::syn))) return {drop(net, skb, drop_reason::tcp_flags)};
  if (auto const bad = tcp_validate_incoming(net, sk, rx); bad != drop_reason::not_specified)
    return {drop(net, skb, bad)};
  bool const opening = sk.sk_state == tcp_state::syn_recv;
  bool const syn_out = opening && tp.snd_nxt != tp.snd_una && rx.ack_seq == tp.snd_una;
  bool const syn_acked = after(rx.ack_seq, tp.snd_una);
  int const acked = tcp_ack(net, sk, rx, !opening);
  // RFC 9293 §3.10.7.4: in SYN-RECEIVED only what acknowledges our SYN is taken.
  if (opening && (acked <= 0 || syn_out)) return {drop(net, skb, drop_reason::tcp_invalid_ack_sequence), true};
  if (acked < 0) return {drop(net, skb, drop_reason::tcp_invalid_ack_sequence)};
  if (syn_acked) reqsk_fastopen_remove(sk);
  tcp_replace_ts_recent(net, tp, rx);
  if (rx.opt.user_timeout != 0) tcp_rcv_user_timeout(net, tp, rx.opt.user_timeout);
  bool over = false;
  auto const early = tcp_ack_state(net, sk, skb, rx, over);
  if (over) return early;
  tcp_urg(net, sk, skb, rx);
  auto const outcome = tcp_data_state(net, sk, skb, rx);
  if (sk.sk_state != tcp_state::close) tcp_rcv_finish(net, sk);
  // FIN-WAIT-2 that nobody holds has an end, whatever the segment that led there brought besides.
  if (sk.sk_state == tcp_state::fin_wait2 && sock_flag(sk, sock_flags::dead))
    tcp_time_wait(net, sk, tcp_state::fin_wait2, tcp_fin_time(net, tp));
  return outcome;
}
}  // namespace detail

/// A segment in any other state.
template <class Net>
tcp_outcome tcp_rcv_state_process(Net& net, sock& sk, sk_buff& skb, tcp_rx const& rx) {
  switch (sk.sk_state) {
    case tcp_state::close: return {drop(net, skb, drop_reason::tcp_close), true};
    case tcp_state::listen: return detail::tcp_listen_state(net, sk, skb, rx);
    case tcp_state::syn_sent: return detail::tcp_rcv_synsent_state_process(net, sk, skb, rx);
    default: return detail::tcp_rcv_synchronized(net, sk, skb, rx);
  }
}

namespace detail {
NETSTACK_INLINE void tcp_count_segs_in(tcp_sock& tp, sk_buff const& skb, u32 hlen) {
  u32 const segs = skb_is_gso(skb) ? std::max<u32>(skb_shinfo(skb).gso_segs, 1) : 1;
  tp.segs_in += segs;
  if (skb.len > hlen) tp.data_segs_in += segs;
}
}  // namespace detail

/// The segment that a fresh connection was made of, which tcp_check_req() or a cookie believes: does it say no more
/// than that our SYN arrived, as nearly always? Then all that tcp_do_rcv() would make of it.
template <class Net>
[[nodiscard]] NETSTACK_INLINE bool tcp_rcv_handshake_end(Net& net, sock& child, sk_buff const& skb, tcp_rx const& rx) {
  auto& tp = tcp_sk(child);
  if (rx.flags != tcp_flag::ack || rx.seq != tp.rcv_nxt || rx.end_seq != rx.seq ||
      (rx.opt.num_sacks | rx.opt.user_timeout) != 0) [[unlikely]]
    return false;
  detail::tcp_count_segs_in(tp, skb, rx.hlen);
  ++NET_STATS(net).TCPPureAcks;
  detail::tcp_syn_recv_acked(net, child, rx);
  return true;
}
/// A segment for this socket, data at its header, checksum verified.
template <class Net>
tcp_outcome tcp_do_rcv(Net& net, sock& sk, sk_buff& skb, tcp_rx const& rx) {
  detail::tcp_count_segs_in(tcp_sk(sk), skb, rx.hlen);
  return sk.sk_state == tcp_state::established ? tcp_rcv_established(net, sk, skb, rx)
                                               : tcp_rcv_state_process(net, sk, skb, rx);
}

}  // namespace netstack
