// SPDX-License-Identifier: BSL-1.0
// Decides: how often what is amiss is answered: what lies out of the window, what may be a stranger's guess. Once in
// half a second each connection, whatever it was; and where a limit is set, so often a second all of a namespace.
// called by tcp_ack, tcp_input, tcp_minisocks, tcp_syn
// Linux: net/ipv4/tcp_input.c (tcp_oow_rate_limited, tcp_send_challenge_ack)
// RFC 5961 §7, §10 (ACK throttling), RFC 9293 §3.10.7.4
#pragma once
#include "netstack/tcp/tcp_transmit.hpp"

namespace netstack {

namespace detail {

/// The stamp is ms, modulo what it holds; 0: none.
template <class Net, class Stamp>
NETSTACK_COLD bool tcp_oow_rate_limited(Net& net, Stamp& stamp, counter& skipped) {
  Stamp const now = std::max<Stamp>(static_cast<Stamp>(tcp_time_stamp(net)), 1);
  if (stamp != 0 && u64{static_cast<Stamp>(now - stamp)} * 1'000'000 < tcp_pernet(net).sysctl_tcp_invalid_ratelimit) {
    ++skipped;
    return true;
  }
  stamp = now;
  return false;
}
/// At most one answer to what is out of the window in half a second: two hosts must not answer each other for ever.
template <class Net, class Stamp>
NETSTACK_COLD bool tcp_oow_rate_limited(Net& net, Stamp& stamp, tcp_rx const& rx, counter& skipped) {
  if (rx.seq != rx.end_seq && !(rx.flags & (tcp_flag::syn | tcp_flag::rst))) return false;  // data may be a probe
  return tcp_oow_rate_limited(net, stamp, skipped);
}

/// RFC 5961 §7: so many in this second. Who counts what his own connection gets would learn of others' what they take
/// from it, so that how many there are is drawn anew each second (CVE-2016-5696), and by default nobody shares.
template <class Net>
NETSTACK_COLD bool tcp_challenge_limited(Net& net) {
  auto& ns = tcp_pernet(net);
  u32 const limit = static_cast<u32>(ns.sysctl_tcp_challenge_ack_limit);
  if (limit == 0x7fff'ffff) return false;
  u32 const now = static_cast<u32>(net.worker().now / 1'000'000'000) + 1;
  if (ns.challenge_timestamp != now) {
    ns.challenge_timestamp = now;
    ns.challenge_count = (limit + 1) / 2 + (limit != 0 ? net.worker().random.below(limit) : 0);
  }
  if (ns.challenge_count == 0) return true;
  --ns.challenge_count;
  return false;
}

}  // namespace detail

/// RFC 5961 §3.2, §4.2, §5.2: what may be a stranger's is told what would be believed.
template <class Net>
NETSTACK_COLD void tcp_send_challenge_ack(Net& net, sock& sk) {
  auto& mib = NET_STATS(net);
  u32& stamp = tcp_rare_of(net, tcp_sk(sk)).oow_ack_stamp;
  if (detail::tcp_oow_rate_limited(net, stamp, mib.TCPACKSkippedChallenge) || detail::tcp_challenge_limited(net))
    return;
  ++mib.TCPChallengeACK;
  tcp_send_ack(net, sk);
}

}  // namespace netstack
