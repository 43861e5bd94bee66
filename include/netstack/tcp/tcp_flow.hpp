// SPDX-License-Identifier: BSL-1.0
// Decides: how IP hands over segments that it recognised: whose they are is known from the last ones between the same
// ends, or looked up once for all of them; what came together is answered together.
// rx: called by ipv4/ip_list_rcv → calls tcp_rcv_run, tcp_rcv_predicted, else what tcp_v4_rcv calls
// Linux: none (its nearest: net/ipv4/tcp_offload.c tcp4_gro_receive)
#pragma once
#include "netstack/tcp/tcp_ipv4.hpp"
#include "netstack/tcp/tcp_rcv_ending.hpp"
#include "netstack/tcp/tcp_rcv_run.hpp"

namespace netstack {

namespace detail {

/// The next segment of a connection's burst, which tcp_read_predicted read; nothing is told to the application yet.
template <class Net>
NETSTACK_INLINE verdict tcp_v4_next_predicted(Net& net, sock& sk, sk_buff& skb, tcp_rx& rx) {
  auto& tp = tcp_sk(sk);
  if (tp.ecn_flags != 0) [[unlikely]]
    rx.dsfield = ip_hdr(skb)->tos;
  tcp_count_segs_in(tp, skb, rx.hlen);
  verdict const v = tcp_rcv_predicted(net, sk, skb, rx, true);
  if (tp.ack_now) [[unlikely]]
    tcp_rcv_finish(net, sk);
  return v;
}
/// … that has to be read.
template <class Net>
NETSTACK_NOINLINE verdict tcp_v4_next_any(Net& net, sock& sk, sk_buff& skb) {
  tcp_rx rx;
  if (!tcp_read_header(skb, rx)) return drop(net, skb, drop_reason::tcp_hdr);
  if (!tcp_sk(sk).hashed) {
    skb.rx_l4_valid = 1;
    return tcp_v4_deliver(net, skb, rx);  // a segment before this one ended it
  }
  if (sk.sk_owned) return tcp_add_backlog(net, sk, skb);
  rx.more = !rx.has(tcp_flag::fin);  // behind which nothing comes
  auto const outcome = tcp_do_rcv(net, sk, skb, rx);
  if (outcome.reset()) tcp_v4_send_reset(net, skb, rx);
  return outcome.v();
}
/// … unless it ends the connection as most do.
template <class Net>
NETSTACK_NOINLINE verdict tcp_v4_next_slow(Net& net, sock& sk, sk_buff& skb) {
  bool const ends = tcp_sk(sk).tstamp_ok ? tcp_is_ending<true>(sk, skb) : tcp_is_ending<false>(sk, skb);
  return ends ? tcp_rcv_ending(net, sk, skb) : tcp_v4_next_any(net, sk, skb);
}
/// Of those without time stamps, too, most are predicted.
template <class Net>
NETSTACK_NOINLINE verdict tcp_v4_next_bare(Net& net, sock& sk, sk_buff& skb) {
  tcp_rx rx;
  if (!tcp_read_predicted<false>(tcp_sk(sk), skb, rx)) return tcp_v4_next_slow(net, sk, skb);
  return tcp_v4_next_predicted(net, sk, skb, rx);
}
/// … of any kind.
template <class Net>
NETSTACK_INLINE verdict tcp_v4_next(Net& net, sock& sk, sk_buff& skb) {
  tcp_rx rx;
  bool const may = sk.sk_state == tcp_state::established && !sk.sk_owned;
  if (may && tcp_read_predicted<true>(tcp_sk(sk), skb, rx)) [[likely]]
    return tcp_v4_next_predicted(net, sk, skb, rx);
  return may && !tcp_sk(sk).tstamp_ok ? tcp_v4_next_bare(net, sk, skb) : tcp_v4_next_slow(net, sk, skb);
}

/// One of several that tcp_rcv_run left.
template <class Net>
NETSTACK_NOINLINE void tcp_v4_next_of_several(Net& net, sock& sk, skb_list& list) {
  sk_buff& skb = *list.pop_front();
  finish(skb, tcp_v4_next(net, sk, skb));
}
/// The source of a segment whose IP header, before its data, has no options, and both ports, as they lie.
struct tcp_ends {
  u32 saddr, ports;
  NETSTACK_INLINE explicit tcp_ends(sk_buff const& skb)
      : saddr(csum_load<u32>(skb.data - 8)), ports(csum_load<u32>(skb.data)) {}
  friend bool operator==(tcp_ends const&, tcp_ends const&) = default;
  /// … and what connections are looked up by.
  static NETSTACK_INLINE inet_ehash_key key_of(sk_buff const& skb) {
    u8 const* const at = skb.data;
    return {.saddr = csum_load<be32>(at - 8),
            .daddr = csum_load<be32>(at - 4),
            .sport = csum_load<be16>(at),
            .hnum = csum_load<be16>(at + 2).host(),
            .dif = skb.skb_iif};
  }
};

/// Takes off the list what it begins with of one connection.
NETSTACK_NOINLINE inline skb_list tcp_flow_cut(skb_list& list) {
  tcp_ends const ends{*list.first};
  sk_buff* last = list.first;
  u32 n = 1;
  for (; last != list.last && tcp_ends{*last->next} == ends; last = last->next) ++n;
  return list.cut_front(*last, n);
}
template <class Net>
[[nodiscard]] NETSTACK_INLINE u32 tcp_flow_hash(Net& net, sk_buff const& skb) {
  return inet_ehashfn(net, tcp_ends::key_of(skb));
}
/// The same, and fetches the slot while another segment is dealt with: between two of its own a burst's connections
/// take the first cache for themselves.
template <class Net>
[[nodiscard]] NETSTACK_INLINE u32 tcp_flow_hash_ahead(Net& net, sk_buff const& skb) {
  u32 const hash = tcp_flow_hash(net, skb);
  auto& info = tcp_worker_of(net).hashinfo;
  __builtin_prefetch(&info.ehash[info.slot(hash)], 1);
  return hash;
}
/// Fetches what the SYN after the next will ask of the table, where nobody has looked of late, while another is dealt
/// with.
template <class Net>
NETSTACK_INLINE void tcp_flow_prefetch(Net& net, sk_buff& skb) {
  if (!(skb.peek<tcphdr>()->flags & tcp_flag::syn)) return;
  auto& info = tcp_worker_of(net).hashinfo;
  __builtin_prefetch(&info.used.words[info.slot(tcp_flow_hash_ahead(net, skb)) / 64], 1);
}
/// The connection that the first segments are for; it is remembered. What is for none yet, or no longer, or for one
/// that asks more of it, is dealt with; null: that was all between these ends.
template <class Net>
NETSTACK_NOINLINE sock* tcp_flow_find(Net& net, inet_flow& flow, skb_list& list, u32 hash) {
  tcp_ends const ends{*list.first};
  auto& w = tcp_worker_of(net);
  auto const key = tcp_ends::key_of(*list.first);
  u64 const flow_genid = net.worker().softnet.flow_genid;
  flow.saddr = ends.saddr, flow.ports = ends.ports, flow.genid = 0;
  for (bool first = true;; first = false) {
    inet_link const found = inet_lookup(net, key, hash);
    if (found.kind() == inet_kind::sock && inet_sk(w.socks.at(found.index())).min_ttl == 0) {
      sock* const sk = &w.socks.at(found.index());
      if (first) flow.sk = sk, flow.genid = w.sk_genid;  // what was handed on since may have ended the flow
      return sk;
    }
    sk_buff& skb = *list.pop_front();
    if (list.count > 1) [[unlikely]]
      tcp_flow_prefetch(net, *list.first->next);
    ++TCP_STATS(net).InSegs;
    tcp_rx rx;
    skb.rx_l4_valid = 1;
    w.born = nullptr;
    finish(skb, tcp_read_header(skb, rx) ? tcp_v4_deliver_found(net, skb, rx, key, hash, found)
                                         : drop(net, skb, drop_reason::tcp_hdr));
    if (!list.empty() && tcp_ends{*list.first} == ends) continue;
    // What has become a connection by it is whose the next ones are.
    if (w.born && flow_genid == net.worker().softnet.flow_genid) flow.sk = w.born, flow.genid = w.born_genid;
    return nullptr;
  }
}

/// What came of one connection is answered together, with the last of it: one acknowledgment, unless something is
/// amiss, as behind a GRO; and one word to the application.
template <class Net>
NETSTACK_NOINLINE NETSTACK_HOT void tcp_flow_last(Net& net, sock& sk, sk_buff& skb) {
  ++TCP_STATS(net).InSegs;
  sock_hold(sk);
  if (sk.sk_state == tcp_state::established) sk_rx_dst_set(sk, skb);
  finish(skb, tcp_v4_next(net, sk, skb));
  if (sk.sk_state == tcp_state::established && !sk.sk_owned) tcp_rcv_finish(net, sk);
  tcp_tell(sk);
  sock_put(sk);
}
/// The same for one that is not open both ways, of whose segments none is predicted.
template <class Net>
NETSTACK_NOINLINE void tcp_flow_last_slow(Net& net, sock& sk, sk_buff& skb) {
  ++TCP_STATS(net).InSegs;
  sock_hold(sk);
  finish(skb, tcp_v4_next_slow(net, sk, skb));
  if (sk.sk_state == tcp_state::established && !sk.sk_owned) tcp_rcv_finish(net, sk);
  tcp_tell(sk);
  sock_put(sk);
}
/// Of a connection with ECN; a flow's segments are all alike in it.
NETSTACK_NOINLINE inline bool tcp_flow_may_run(tcp_sock const& tp, sk_buff& first) {
  return tcp_ecn_may_run(tp, ip_hdr(first)->tos, first.len > first.peek<tcphdr>()->header_len());
}
/// All of one connection, which something else may hold no longer once the application was told.
template <class Net>
NETSTACK_NOINLINE NETSTACK_HOT void tcp_flow_run(Net& net, sock& sk, skb_list& run) {
  TCP_STATS(net).InSegs += run.count - 1;
  sock_hold(sk);
  while (run.count > 1) {
    auto const& tp = tcp_sk(sk);
    if ((tp.ecn_flags == 0 || tcp_flow_may_run(tp, *run.first)) && sk.sk_state == tcp_state::established && tp.hashed &&
        !sk.sk_owned)
      tcp_rcv_run(net, sk, run);
    if (run.count > 1) tcp_v4_next_of_several(net, sk, run);
  }
  tcp_flow_last(net, sk, *run.first);
  sock_put(sk);
}
/// tcp_flow_find() for whose most segments are, who is the first in his slot; but he is not remembered.
template <class Net>
NETSTACK_INLINE sock* tcp_flow_first(Net& net, inet_flow& flow, skb_list& list, u32 hash) {
  auto& w = tcp_worker_of(net);
  auto const key = tcp_ends::key_of(*list.first);
  inet_link const at = inet_ehash_slot(net, hash);
  if (at.kind() == inet_kind::sock && at.may_have(hash)) [[likely]] {
    sock& sk = w.socks.at(at.index());
    if (inet_match(net, sk, key) && inet_sk(sk).min_ttl == 0) [[likely]]
      return &sk;
  }
  return tcp_flow_find(net, flow, list, hash);
}
template <class Net>
NETSTACK_NOINLINE NETSTACK_HOT void tcp_flow_several(Net& net, inet_flow& flow, skb_list& list) {
  bool const mixed = flow.mixed;  // else the flow may have ended by the time its first segments were dealt with
  sk_buff const* ahead = nullptr;
  u32 ahead_hash = 0;
  do {
    sock* whose = flow.sk;
    if (mixed) {
      u32 const hash = list.first == ahead ? ahead_hash : tcp_flow_hash(net, *list.first);
      if (list.first != list.last) ahead = list.first->next, ahead_hash = tcp_flow_hash_ahead(net, *ahead);
      whose = tcp_flow_first(net, flow, list, hash);
    } else if (flow.genid != tcp_worker_of(net).sk_genid)
      whose = tcp_flow_find(net, flow, list, tcp_flow_hash(net, *list.first));
    if (!whose) continue;
    tcp_ends const ends{*list.first};
    if (mixed && list.first != list.last && tcp_ends{*list.first->next} != ends) {
      sk_buff& skb = *list.pop_front();
      whose->sk_state == tcp_state::established ? tcp_flow_last(net, *whose, skb)
                                                : tcp_flow_last_slow(net, *whose, skb);
      continue;
    }
    skb_list run = mixed ? tcp_flow_cut(list) : std::exchange(list, {});
    if (mixed && list.empty())  // whose the last ones are, the next may be, too
      flow.saddr = ends.saddr, flow.ports = ends.ports, flow.sk = whose, flow.genid = tcp_worker_of(net).sk_genid;
    if (run.count == 1)
      tcp_flow_last(net, *whose, *run.first);
    else
      tcp_flow_run(net, *whose, run);
  } while (!list.empty());
}

}  // namespace detail

/// net_protocol::flow.begin: a segment of a connection.
template <class Net>
bool tcp_flow_begin(Net& net, sk_buff& skb, inet_flow& flow) {
  if (skb_rtable(skb)->rt_type != rtn::local || skb.pkt_type != pkt_type::host || skb.headlen() < tcp_hlen_min ||
      skb.is_nonlinear() || (skb.peek<tcphdr>()->flags & (tcp_flag::syn | tcp_flag::ack)) == tcp_flag::syn ||
      !skb_checksum_validate(skb, detail::tcp_v4_pseudo(skb)))
    return false;  // a SYN begins what no flow is yet
  iphdr const& iph = *ip_hdr(skb);
  flow.sk = skb.sk ? skb.sk : inet_lookup_established(net, detail::tcp_v4_key(skb, iph, *skb.peek<tcphdr>()));
  if (!flow.sk || inet_sk(*flow.sk).min_ttl != 0) return false;
  flow.genid = tcp_worker_of(net).sk_genid;
  if (skb.sk) sock_put(*skb_steal_sock(skb));  // still hashed: not the last hold on it
  flow.ports_mask = 0;
  flow.csum_known = skb_csum_vouched(skb);
  return true;
}
/// net_protocol::flow.more.
NETSTACK_INLINE bool tcp_flow_more(inet_flow const& flow, u8 const* th, u32 len, u8* to) {
  if (len < tcp_hlen_min) return false;
  u64 const addrs = detail::csum_load<u64>(th - 8);
  u64 const pseudo = detail::csum_add64(addrs, u64{be16{ipproto::tcp}.raw()} + be16{static_cast<u16>(len)}.raw());
  return csum_check_and_copy(to, th, len, pseudo, flow.csum_known);
}
/// net_protocol::flow.end: each connection gets what came for it together.
template <class Net>
NETSTACK_INLINE void tcp_flow_end(Net& net, inet_flow& flow, skb_list& list) {
  if (list.count != 1 || flow.mixed || flow.genid != tcp_worker_of(net).sk_genid)
    return detail::tcp_flow_several(net, flow, list);
  sk_buff& skb = *list.first;
  list = {};
  detail::tcp_flow_last(net, *flow.sk, skb);
}

}  // namespace netstack
