// SPDX-License-Identifier: BSL-1.0
// Decides: what every connection-oriented socket has, whatever its protocol: the queue of connections that wait for
// accept(), the timers that repeat and give up, and the calls through which the state machine meets an IP version.
// called by ipv4/inet_stream as inet_listen and inet_accept; by tcp/
// Linux: include/net/inet_connection_sock.h, net/ipv4/inet_connection_sock.c [S148]
#pragma once
#include <algorithm>
#include <span>

#include "netstack/core/sock_wait.hpp"
#include "netstack/core/timer.hpp"
#include "netstack/ipv4/inet_sock.hpp"
#include "netstack/registry/tcp_congestion_ops.hpp"

namespace netstack {

/// What a connection may wait for; each has a deadline of its own.
enum class icsk_wait : u8 {
  retransmit,  ///< icsk_pending says why
  delack,
  keepalive,  ///< and FIN_WAIT2 of a socket that nobody holds
  pacing,     ///< until more may be sent
};
inline constexpr u32 icsk_wait_kinds = 4;
/// Why the retransmission timer runs (Linux's ICSK_TIME_*).
enum class icsk_time : u8 { none, retrans, probe0, loss_probe, reo_timeout };

/// What a listener has in the place of a connection's congestion control.
struct icsk_listening {
  sock* accept_head;  ///< established and not yet accepted, oldest first, linked by sk_writers_next
  sock* accept_tail;
  u32 ack_backlog;  ///< how many those are
  u32 max_ack_backlog;
  u32 syn_qlen;  ///< half open
  u32 next;      ///< slab_place of the next listener with this slot of the table of ports; 0: none
};

/// What stands in a slot of the table by both ends.
enum class inet_kind : u8 { none, sock, request, timewait };
/// The next in such a slot, whatever it is: its place in the slab of its kind, in half the room of a pointer; and what
/// of it makes a look unnecessary that would wait for memory: some bits of its hash, and whether nothing follows it.
struct inet_link {
  static constexpr u32 kind_shift = 30, last_bit = u32{1} << 29, tag_shift = 24, max_index = (u32{1} << tag_shift) - 1;
  static constexpr u32 tag_mask = last_bit - 1 - max_index, name_mask = ~(last_bit | tag_mask);
  u32 word = 0;
  constexpr inet_link() = default;
  constexpr inet_link(inet_kind kind, u32 index) : word(static_cast<u32>(kind) << kind_shift | index) {}
  constexpr inet_link(inet_kind kind, u32 index, u32 hash, bool last) : inet_link(kind, index) {
    word |= (hash >> 3 & tag_mask) | (last ? last_bit : 0);
  }
  [[nodiscard]] constexpr inet_kind kind() const { return static_cast<inet_kind>(word >> kind_shift); }
  [[nodiscard]] constexpr u32 index() const { return word & max_index; }
  /// What it leads to, and nothing else.
  [[nodiscard]] constexpr u32 name() const { return word & name_mask; }
  [[nodiscard]] constexpr bool may_have(u32 hash) const { return ((word ^ hash >> 3) & tag_mask) == 0; }
  [[nodiscard]] constexpr bool is_last() const { return (word & last_bit) != 0; }
  constexpr void set_last(bool last) { word = (word & ~last_bit) | (last ? last_bit : 0); }
  friend constexpr bool operator==(inet_link a, inet_link b) { return a.name() == b.name(); }
};

struct inet_connection_sock : inet_sock {
  u32 icsk_rto = 1'000'000;  ///< us
  union {
    alignas(8) std::byte icsk_ca_priv[tcp_ca_priv_inline]{};  ///< the algorithm's own: inet_csk_ca<State>(sk)
    icsk_listening icsk_listen;                               ///< in tcp_state::listen
  };
  /// One for all: it fires at the earliest of the deadlines, or before it, since one that moves away costs a store.
  [[no_unique_address]] timer_list icsk_timer;  // what follows may lie in its last bytes
  icsk_time icsk_pending = icsk_time::none;
  u8 icsk_retransmits = 0;          ///< of the oldest segment, without an answer
  u32 icsk_due[icsk_wait_kinds]{};  ///< icsk_unit_shift(); 0: nothing is waited for
  u8 icsk_backoff = 0;
  u8 icsk_probes_out = 0;
  u8 icsk_syn_retries = 0;              ///< TCP_SYNCNT; 0: the namespace's
  u8 icsk_ca_idx = 0;                   ///< of Net::tcp_congestion
  bool icsk_ca_setsockopt : 1 = false;  ///< it was chosen for this socket
  bool icsk_ca_initialized : 1 = false;
  bool icsk_ca_beside : 1 = false;  ///< … which is too large, and so icsk_ca_priv is where it lies
  bool icsk_ca_deaf : 1 = true;     ///< what follows a pause is no news to it now: ca_event::tx_start
  u8 icsk_defer_accept = 0;         ///< TCP_DEFER_ACCEPT, in repetitions of the SYN-ACK
};
[[nodiscard]] inline inet_connection_sock& inet_csk(sock& sk) { return static_cast<inet_connection_sock&>(sk); }
[[nodiscard]] inline inet_connection_sock const& inet_csk(sock const& sk) {
  return static_cast<inet_connection_sock const&>(sk);
}

/// What a deadline is counted in: 4 us, and for the one that may be hours ahead 65 us; modulo 2^32 of these.
[[nodiscard]] constexpr u32 icsk_unit_shift(icsk_wait what) { return what == icsk_wait::keepalive ? 16 : 12; }
[[nodiscard]] inline u32& icsk_due_in_units(sock& sk, icsk_wait what) {
  return inet_csk(sk).icsk_due[static_cast<u32>(what)];
}
[[nodiscard]] inline bool icsk_waits_for(sock const& sk, icsk_wait what) {
  return inet_csk(sk).icsk_due[static_cast<u32>(what)] != 0;
}
/// When this is due, worker time; 0: it is not waited for.
[[nodiscard]] inline u64 icsk_due_of(sock const& sk, icsk_wait what, u64 now) {
  u32 const due = inet_csk(sk).icsk_due[static_cast<u32>(what)], shift = icsk_unit_shift(what);
  if (due == 0) return 0;
  u64 const units = now >> shift;
  return (units + static_cast<u64>(s64{static_cast<s32>(due - static_cast<u32>(units))})) << shift;
}
/// From now on this is due at `at`, in two hours at most, or 39 for the one that may be so far ahead: what is later is
/// looked at then.
template <class Net>
NETSTACK_INLINE void icsk_start_timer(Net& net, sock& sk, icsk_wait what, u64 at) {
  u32 const shift = icsk_unit_shift(what);
  u64 const unit = u64{1} << shift;
  if (what == icsk_wait::keepalive || what == icsk_wait::pacing)
    at = std::min(at, net.worker().now + (unit << 31) - 2 * unit);
  u64 const units = (at + unit - 1) >> shift;
  icsk_due_in_units(sk, what) = std::max(static_cast<u32>(units), 1u);
  auto& timer = inet_csk(sk).icsk_timer;
  if (!timer_pending(timer) || units << shift < timer.expires) net.worker().timers.mod_timer(timer, units << shift);
}
inline void icsk_stop_timer(sock& sk, icsk_wait what) { icsk_due_in_units(sk, what) = 0; }

struct tcp_rx;
struct tcp_request_sock;
struct tcp_outcome;
struct tcp_header_fields;
inline namespace wire {
struct tcp_out_options;
}

/// What the state machine asks an IP version for.
template <class Net>
struct inet_connection_sock_af_ops {
  /// Sends a segment, data at its header, checksum done or partial. Always takes the skb. Errors: the route's,
  /// message_size (longer than the path takes).
  result<void> (*queue_xmit)(Net&, sock&, sk_buff&) = nullptr;
  void (*queue_xmit_list)(Net&, sock&, skb_list&) = nullptr;  ///< the same for several; leaves the list empty
  /// Sends a segment that says nothing but its numbers and its time stamp, with the few bytes of `data` (null: none) if
  /// any, as a frame that is no packet. Of the device of the sock's route dev_takes_short was asked. False: nothing was
  /// sent, it needs a packet.
  bool (*transmit_short)(Net&, sock&, u32 seq, u8 flags, sk_buff const* data) = nullptr;
  /// … a SYN without data, with the options that nearly every one has.
  bool (*transmit_syn)(Net&, sock&, tcp_header_fields const&, tcp_out_options const&) = nullptr;
  u32 (*mtu)(Net&, sock&) = nullptr;  ///< of the path now, network header included; 0: there is none
  verdict (*conn_request)(Net&, sock& listener, sk_buff&, tcp_rx const&) = nullptr;  ///< a SYN for a listener
  /// An ACK for a listener: the end of a handshake that nobody remembers, or none.
  tcp_outcome (*cookie_check)(Net&, sock& listener, sk_buff&, tcp_rx const&) = nullptr;
  /// The connection that a request becomes; it is not in the listener's queue yet. Null: there is no room (counted).
  sock* (*syn_recv_sock)(Net&, sock& listener, tcp_request_sock&) = nullptr;
  /// Options of IP's own, and its errors (Linux's inet_recv_error).
  result<void> (*setsockopt)(Net&, sock&, int level, int optname, std::span<std::byte const>) = nullptr;
  result<u32> (*getsockopt)(Net&, sock&, int level, int optname, std::span<std::byte>) = nullptr;
  result<std::size_t> (*recv_error)(sock&, msghdr&) = nullptr;
  u16 net_header_len = 0;
};

// --- listening

[[nodiscard]] inline bool sk_acceptq_is_full(sock const& sk) {
  auto const& l = inet_csk(sk).icsk_listen;
  return l.ack_backlog > l.max_ack_backlog;
}

/// A connection is established: it waits for accept(), holding a reference of the queue's.
inline void inet_csk_reqsk_queue_add(sock& listener, sock& child) {
  auto& l = inet_csk(listener).icsk_listen;
  sock_hold(child);
  (l.accept_tail ? l.accept_tail->sk_writers_next : l.accept_head) = &child;
  l.accept_tail = &child;
  ++l.ack_backlog;
}
/// The oldest one, with the queue's reference; null: none waits.
[[nodiscard]] inline sock* inet_csk_reqsk_queue_remove(sock& listener) {
  auto& l = inet_csk(listener).icsk_listen;
  sock* const child = l.accept_head;
  if (!child) return nullptr;
  l.accept_head = std::exchange(child->sk_writers_next, nullptr);
  if (!l.accept_head) l.accept_tail = nullptr;
  --l.ack_backlog;
  return child;
}

/// proto::accept. Waits as the socket's receive timeout says. Errors: invalid_argument (it does not listen), and those
/// of sk_wait_event.
template <class Net>
result<sock*> inet_csk_accept(Net& net, sock& sk, u32 flags) {
  if (sk.sk_state != tcp_state::listen) return failure{std::errc::invalid_argument};
  auto const ready = [&] { return sk.sk_state != tcp_state::listen || inet_csk(sk).icsk_listen.accept_head; };
  if (!ready())
    if (auto r = sk_wait_event(net, sk, sock_rcvtimeo(sk, flags), 0, ready); !r) return failure{r.error()};
  sock* const child = sk.sk_state == tcp_state::listen ? inet_csk_reqsk_queue_remove(sk) : nullptr;
  if (!child) return failure{std::errc::invalid_argument};
  return child;
}

/// Errors: address_in_use (no port is free, or the one it is bound to is listened on already).
template <class Net>
result<void> inet_csk_listen_start(Net& net, sock& sk, u32 backlog) {
  auto const& prot = sk_prot<Net>(sk);
  auto& icsk = inet_csk(sk);
  icsk.icsk_listen = {.accept_head = nullptr,
                      .accept_tail = nullptr,
                      .ack_backlog = 0,
                      .max_ack_backlog = backlog,
                      .syn_qlen = 0,
                      .next = 0};
  sk.sk_state = tcp_state::listen;
  auto r = prot.get_port(net, sk, sk.sk_num);  // others may have come to share it since bind()
  if (r) {
    inet_sk(sk).inet_sport = be16{sk.sk_num};
    sk_dst_reset(sk);
    r = prot.hash(net, sk);
  }
  if (!r) {
    sk.sk_state = tcp_state::close;
    std::fill(std::begin(icsk.icsk_ca_priv), std::end(icsk.icsk_ca_priv), std::byte{});
  }
  return r;
}

}  // namespace netstack
