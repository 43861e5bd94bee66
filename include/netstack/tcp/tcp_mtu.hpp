// SPDX-License-Identifier: BSL-1.0
// Decides: how large a segment the path carries when nobody tells: a larger one is tried with the application's own
// data, and what is acknowledged is known to pass. A path that swallows what is too large without a word shows in
// repetitions that stay unanswered: then the search begins from below. net/ipv4/tcp_mtu_probing: 0 never, 1 after such
// a silence, 2 always.
//
//      search_low            probe_size                   search_high
//   ... known to pass |---------- ? ----------| may be too large ...
//
// tx: tcp_mtu_probe by tcp_write_xmit; rx: tcp_mtup_probe_success and _failed by tcp_ack and tcp_recovery;
// tcp_mtu_probing by tcp_timer
// Linux: net/ipv4/tcp_output.c (tcp_mtu_probe, tcp_mtup_init), net/ipv4/tcp_input.c, net/ipv4/tcp_timer.c
// RFC 4821 §7 (probing), §7.7 (full-stop timeout), RFC 1191
#pragma once
#include "netstack/skb/skb_walk.hpp"
#include "netstack/tcp/tcp_output.hpp"

namespace netstack {

/// The MTU that a segment of this payload needs.
template <class Net>
[[nodiscard]] u32 tcp_mss_to_mtu(Net&, sock const& sk, u32 payload) {
  auto const& tp = tcp_sk(sk);
  return payload + tcp_af_ops<Net>(sk).net_header_len + static_cast<u32>(tcp_hlen_min) + inet_optlen(tp) +
         (tp.tstamp_ok ? tcpopt::tstamp_aligned : 0);
}

/// What is in question before anything was tried.
template <class Net>
void tcp_mtup_init(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  u32 const tstamp = tp.tstamp_ok ? tcpopt::tstamp_aligned : 0;
  u32 const high = tcp_mss_to_mtu(net, sk, std::min<u32>(tp.mss_clamp - tstamp, tcp_frame_room(net)));
  u32 const mtu = tcp_af_ops<Net>(sk).mtu(net, sk);
  auto& m = tcp_rare_of(net, tp).mtup;
  m = {.search_high = mtu == 0 ? high : std::min(high, mtu),
       .search_low = tcp_mss_to_mtu(net, sk, static_cast<u32>(tcp_pernet(net).sysctl_tcp_base_mss)),
       .probe_stamp = tcp_time_stamp(net)};
  m.search_low = std::min(m.search_low, m.search_high);
}

namespace detail {

/// What a segment may carry at this MTU.
template <class Net>
u32 tcp_payload_of_mtu(Net& net, sock const& sk, u32 mtu) {
  return tcp_mtu_to_mss(net, sk, mtu) - (tcp_sk(sk).tstamp_ok ? tcpopt::tstamp_aligned : 0);
}

/// RFC 4821 §7.1: the path may have changed for the better: everything above what passes now is in question again.
template <class Net>
void tcp_mtu_check_reprobe(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  if (u64{tcp_time_stamp(net) - tp.rare->mtup.probe_stamp} * 1'000'000 < tcp_pernet(net).sysctl_tcp_probe_interval)
    return;
  u32 const passes = tcp_mss_to_mtu(net, sk, tcp_current_mss(net, sk));
  tcp_mtup_init(net, sk);
  tcp_rare_of(net, tp).mtup.search_low = std::min(passes, tp.rare->mtup.search_high);
  tp.mtu_probing = true;
}

/// `size` bytes from send_head on become one segment before it; null: the pool, or the proto's memory, is used
/// up, and nothing changed.
template <class Net>
sk_buff* tcp_build_probe(Net& net, sock& sk, u32 size) {
  auto& tp = tcp_sk(sk);
  sk_buff* const probe = net.worker().pool.alloc_skb(max_tcp_header);
  if (!probe) return nullptr;
  if (!tcp_wmem_schedule(net, sk, probe->truesize)) {
    consume_skb(*probe);
    return nullptr;
  }
  probe->ip_summed = tp.send_head->ip_summed;
  TCP_SKB_CB(*probe) = {.seq = tp.snd_nxt, .end_seq = tp.snd_nxt + size, .tcp_flags = tcp_flag::ack};
  for (u32 left = size; left != 0;) {
    sk_buff& from = *tp.send_head;
    u32 const n = std::min(left, from.len);
    for_each_piece(from, 0, n, [&](u8 const* at, u32 bytes) {
      u32 const offset = probe->len;
      probe->csum = csum_block_add(probe->csum, csum_partial_copy(probe->put(bytes), at, bytes, 0), offset);
    });
    left -= n;
    if (n < from.len) {
      tcp_trim_head(from, n);
      break;
    }
    TCP_SKB_CB(*probe).tcp_flags |= static_cast<u8>(TCP_SKB_CB(from).tcp_flags & tcp_flag::psh);
    tp.send_head = sk.sk_write_queue.after(from);
    sk.sk_write_queue.unlink(from);
    tcp_wmem_free_skb(sk, from);
  }
  skb_header_release(*probe);
  tcp_wmem_charge(sk, *probe);
  sk.sk_write_queue.insert_before(tp.send_head, *probe);
  tp.send_head = probe;
  return probe;
}

/// MSG_EOR: a write ends among the next `size` bytes, whose end may not lie within a segment.
inline bool tcp_record_ends_within(sock& sk, u32 size) {
  u32 const end = tcp_sk(sk).snd_nxt + size;
  for (sk_buff* skb = tcp_sk(sk).send_head; skb && before(TCP_SKB_CB(*skb).end_seq, end);
       skb = sk.sk_write_queue.after(*skb))
    if (TCP_SKB_CB(*skb).eor != 0) return true;
  return false;
}

}  // namespace detail

/// RFC 4821 §7: tries the middle of what is in question, if there is enough to send behind it for its loss to be seen
/// at once (§7.4). Its loss says nothing of congestion.
template <class Net>
tcp_probe tcp_mtu_probe(Net& net, sock& sk, u32 mss) {
  auto& tp = tcp_sk(sk);
  if (!tp.mtu_probing || tp.tx_stamps) return tcp_probe::none;  // a probe joins what is watched by itself
  auto& m = tcp_rare_of(net, tp).mtup;
  if (m.probe_size != 0 || tp.ca_state != tcp_ca_state::open || tp.snd_cwnd < 11 || tp.num_sacks != 0 || tp.dsack)
    return tcp_probe::none;
  u32 const size = detail::tcp_payload_of_mtu(net, sk, (m.search_high + m.search_low) / 2);
  if (m.search_high < m.search_low + static_cast<u32>(tcp_pernet(net).sysctl_tcp_probe_threshold) || size <= mss) {
    detail::tcp_mtu_check_reprobe(net, sk);
    return tcp_probe::none;
  }
  u32 const needed = size + (tp.reordering + 1) * mss, in_flight = tcp_packets_in_flight(tp);
  if (tp.write_seq - tp.snd_nxt < needed || tp.snd_wnd < needed) return tcp_probe::none;
  if (detail::tcp_record_ends_within(sk, size)) return tcp_probe::none;
  if (after(tp.snd_nxt + needed, tcp_wnd_end(tp))) return tcp_probe::wait;
  if (in_flight + 2 > tp.snd_cwnd) return in_flight == 0 ? tcp_probe::none : tcp_probe::wait;
  sk_buff* const probe = detail::tcp_build_probe(net, sk, size);
  if (!probe || !tcp_transmit_skb(net, sk, *probe)) return tcp_probe::none;
  m.probe_size = tcp_mss_to_mtu(net, sk, size);
  (void)tcp_repair_of(net, tp);  // it may be lost
  m.probe_seq_start = TCP_SKB_CB(*probe).seq;
  m.probe_seq_end = TCP_SKB_CB(*probe).end_seq;
  --tp.snd_cwnd;  // that the window grows in bytes is for its success
  detail::tcp_event_new_data_sent(net, sk, *probe);
  return tcp_probe::sent;
}

/// It was acknowledged: so much passes. The window stays what it was in bytes.
template <class Net>
void tcp_mtup_probe_success(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  u64 const mtu = tcp_mss_to_mtu(net, sk, tp.mss_cache);
  tp.snd_cwnd = static_cast<u32>(std::max<u64>(u64{tp.snd_cwnd} * mtu / tp.rare->mtup.probe_size, 1));
  tp.snd_cwnd_cnt = 0;
  auto& m = tcp_rare_of(net, tp).mtup;
  m.search_low = std::exchange(m.probe_size, 0u);
  tcp_current_mss(net, sk);
  ++NET_STATS(net).TCPMTUPSuccess;
}
/// It was lost, and nothing else: it was too large.
template <class Net>
void tcp_mtup_probe_failed(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  auto& m = tcp_rare_of(net, tp).mtup;
  m.search_high = std::exchange(m.probe_size, 0u) - 1;
  ++tp.snd_cwnd;
  ++NET_STATS(net).TCPMTUPFail;
}
/// snd_una moved.
template <class Net>
void tcp_mtup_acked(Net& net, sock& sk) {
  auto const& tp = tcp_sk(sk);
  if (tp.rare->mtup.probe_size != 0 && !before(tp.snd_una, tp.rare->mtup.probe_seq_end)) [[unlikely]]
    tcp_mtup_probe_success(net, sk);
}
/// Something was lost, and it is the probe alone that may be missing: RFC 4821 §7.6.2.
[[nodiscard]] inline bool tcp_mtup_probe_lost(tcp_sock const& tp) {
  return tp.rare->mtup.probe_size != 0 && tp.ca_state < tcp_ca_state::cwr &&
         tp.snd_una == tp.rare->mtup.probe_seq_start;
}

/// RFC 4821 §7.7: repetitions stay unanswered: perhaps the path swallows what is too large for it. So nothing is known
/// to pass but what is half as large, down to a floor, and the search begins there.
template <class Net>
void tcp_mtu_probing(Net& net, sock& sk) {
  auto& tp = tcp_sk(sk);
  auto const& ns = tcp_pernet(net);
  if (ns.sysctl_tcp_mtu_probing == 0) return;
  if (!tp.mtu_probing) {
    tcp_mtup_init(net, sk);
    tp.mtu_probing = true;
  } else {
    s32 const half = static_cast<s32>(detail::tcp_payload_of_mtu(net, sk, tp.rare->mtup.search_low) / 2);
    s32 const mss =
        std::max({std::min(ns.sysctl_tcp_base_mss, half), ns.sysctl_tcp_mtu_probe_floor, ns.sysctl_tcp_min_snd_mss});
    u32& low = tcp_rare_of(net, tp).mtup.search_low;
    low = std::min(tcp_mss_to_mtu(net, sk, static_cast<u32>(mss)), low);
  }
  tcp_current_mss(net, sk);
}

}  // namespace netstack
