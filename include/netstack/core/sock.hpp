// SPDX-License-Identifier: BSL-1.0
// Decides: what the stack keeps of an open socket, whatever its protocol. Lines of the layout: what a lookup compares;
// what a received packet touches; what a sent one touches; the rest. A proto's own sock derives from it and lies in its
// module's slab. All of it belongs to one worker, so no count is atomic. [S42] [S100] [S102]
// Linux: include/net/sock.h (struct sock, struct sock_common)
#pragma once
#include "netstack/core/dst.hpp"
#include "netstack/core/list.hpp"
#include "netstack/core/sockaddr.hpp"
#include "netstack/core/sockopt.hpp"
#include "netstack/core/tcp_states.hpp"
#include "netstack/registry/proto.hpp"
#include "netstack/skb/skb_list.hpp"

namespace netstack {

namespace sockfs {
struct socket;
}

/// Bits of sk_flags, Linux's enum sock_flags.
enum class sock_flags : u8 {
  dead,  ///< nobody holds the handle any more
  done,
  urginline,
  keepopen,
  linger,
  destroy,
  broadcast,  ///< SO_BROADCAST
  timestamp,  ///< arrival times are wanted
  zapped,
  use_write_queue,  ///< a freed packet wakes nobody [S155]
  dbg,
  rcvtstamp,         ///< SO_TIMESTAMP or SO_TIMESTAMPNS
  rcvtstampns,       ///< the latter
  localroute,        ///< SO_DONTROUTE
  rxq_ovfl,          ///< SO_RXQ_OVFL
  no_check_tx,       ///< SO_NO_CHECK
  select_err_queue,  ///< POLLPRI with the error queue
  rcvbuf_lock,       ///< SO_RCVBUF was set by hand
  sndbuf_lock,
  rcvmark,
  bindaddr_lock,  ///< the local address was chosen by bind(), not by connect()
  bindport_lock,
  kern,             ///< made by the stack for itself
  write_space_due,  ///< it stands among pool.writers
  busy_poll,        ///< SO_BUSY_POLL: the socket remembers where its packets come from
  timestamping,     ///< SO_TIMESTAMPING: sock_rare::tsflags are not 0
  peek_offset,      ///< SO_PEEK_OFF: sock_rare::peek_off is not negative
};

inline constexpr u64 no_timeout = ~u64{0};
/// Of rcvtimeo and sndtimeo, which are milliseconds below it, and above it the seconds in excess of it.
inline constexpr u32 sk_no_timeo = 1u << 31;
inline constexpr u16 no_queue_mapping = 0xffff;
inline constexpr u64 pacing_unlimited = ~u64{0};

/// What a socket's owner is told of; null: not of that. A row of constants, so that a socket has one pointer for all.
struct sock_callbacks {
  void (*data_ready)(sock&) = nullptr;
  void (*write_space)(sock&) = nullptr;  ///< called by poll(), never while another call is under way
  void (*error_report)(sock&) = nullptr;
  void (*state_change)(sock&) = nullptr;
};
inline constexpr sock_callbacks sock_no_callbacks{};

struct inet_options;
/// What few sockets ask for, of SOL_SOCKET and of IPPROTO_IP. Whoever asked for none of it reads sock_no_rare; where a
/// proto keeps its sockets' own, its `rare` says.
struct sock_rare {
  skb_ring error_queue;  ///< what MSG_ERRQUEUE reads
  u64 stamp = 0;         ///< of the packet read last, ns since 1970
  /// Bytes a second, and SO_MAX_PACING_RATE.
  u64 pacing_rate = pacing_unlimited, max_pacing_rate = pacing_unlimited;
  u64 pacing_release = 0;  ///< worker time before which who is paced sends nothing new (Linux's tcp_wstamp_ns)
  u32 ll_usec = 0;         ///< SO_BUSY_POLL
  u32 napi_id = 0;         ///< of the packet queued last, if ll_usec is not 0 [S55]
  u32 tsflags = 0;         ///< SO_TIMESTAMPING
  u32 tskey = 0;           ///< of the next that is stamped
  u32 rcvtimeo = sk_no_timeo, sndtimeo = sk_no_timeo;  ///< sk_timeo_ns()
  u32 lingertime = 0;                                  ///< s
  s32 peek_off = -1;                                   ///< SO_PEEK_OFF
  s32 incoming_cpu = -1;
  u32 uc_index = 0;  ///< IP_UNICAST_IF
  u32 mc_index = 0;  ///< IP_MULTICAST_IF
  be32 mc_addr{};
  inet_options* opt = nullptr;               ///< IP_OPTIONS, of its own in ipv4_worker::ip_options; null: none
  u16 local_port_lo = 0, local_port_hi = 0;  ///< IP_LOCAL_PORT_RANGE; 0: the namespace's
  u8 mc_ttl = 1;
};
inline constexpr sock_rare sock_no_rare{};

struct alignas(cache_line) sock {
  // --- lookup -------------------------------------------------------------------------------------------------------
  list_head sk_portaddr_node{};  ///< in its proto's hash by port and address
  void* sk_net = nullptr;
  be32 sk_daddr{};      ///< peer; zero: not connected
  be32 sk_rcv_saddr{};  ///< bound address; zero: any
  u32 sk_bound_dev_if = 0;
  u32 sk_hash = 0;
  be16 sk_dport{};
  u16 sk_num = 0;  ///< bound port; 0: none
  u8 sk_family = 0;
  u8 sk_state = tcp_state::close;
  u8 sk_reuse = 0;  ///< SO_REUSEADDR
  u8 sk_reuseport = 0;
  u32 sk_refcnt = 1;
  u32 sk_rx_dst_ifindex = 0;
  dst_entry* sk_rx_dst = nullptr;  ///< a connected flow's input route, for early demux
  // --- receiving ----------------------------------------------------------------------------------------------------
  [[no_unique_address]] sk_buff_head sk_receive_queue;  // what follows may lie in its last bytes
  u32 sk_rmem_alloc = 0;                                ///< truesize of what is queued for the reader
  u32 sk_rcvbuf = 0;
  u32 sk_flags = 0;
  s32 sk_forward_alloc = 0;  ///< bytes taken from the proto's memory and not charged yet
  u32 sk_drops = 0;
  u32 sk_rcvlowat = 1;
  u32 sk_mark = 0;
  sock_callbacks const* sk_callbacks = &sock_no_callbacks;
  proto_memory* sk_memory = nullptr;  ///< what its proto has; counted if there are sk_limits
  // --- sending ------------------------------------------------------------------------------------------------------
  u32 sk_wmem_alloc = 1;  ///< truesize of what is on its way, and 1 for the sock itself
  u32 sk_sndbuf = 0;
  dst_entry* sk_dst_cache = nullptr;
  u32 sk_priority = 0;
  std::int16_t sk_err = 0;  ///< errno to report once; 0: none
  std::int16_t sk_err_soft = 0;
  u16 sk_protocol = 0;
  u16 sk_type = 0;
  u8 sk_shutdown = 0;
  u8 sk_prot_idx = 0;             ///< of Net::proto_list
  bool sk_owned = false;          ///< a call works on it: packets go to the backlog
  bool sk_pacing_needed = false;  ///< somebody asked for it (Linux's sk_pacing_status)
  u32 sk_backlog_len = 0;         ///< truesize in sk_backlog
  u32 sk_wmem_queued = 0;         ///< of a stream: truesize in its write queue
  proto_limits const* sk_limits = nullptr;
  skb_ring sk_backlog;
  sock_rare const* sk_rare = &sock_no_rare;  ///< written by sk_rare_of()
  // --- the rest -----------------------------------------------------------------------------------------------------
  [[no_unique_address]] sk_buff_head sk_write_queue;
  u16 sk_tx_queue_mapping = no_queue_mapping;  ///< the transmit queue of a connected socket's packets
  sockfs::socket* sk_socket = nullptr;
  sock* sk_writers_next = nullptr;  ///< among pool.writers, or those who wait for accept(), whom nobody can write to
  void* sk_user_data = nullptr;     ///< for the callbacks

  sock() = default;
  sock(sock const&) = delete;
  sock& operator=(sock const&) = delete;
};

static_assert(offsetof(sock, sk_receive_queue) == cache_line && offsetof(sock, sk_wmem_alloc) == 2 * cache_line);

constexpr u32 sock_flag_bit(sock_flags flag) { return u32{1} << static_cast<u8>(flag); }
[[nodiscard]] inline bool sock_flag(sock const& sk, sock_flags flag) {
  return (sk.sk_flags & sock_flag_bit(flag)) != 0;
}
inline void sock_set_flag(sock& sk, sock_flags flag) { sk.sk_flags |= sock_flag_bit(flag); }
inline void sock_reset_flag(sock& sk, sock_flags flag) { sk.sk_flags &= ~sock_flag_bit(flag); }
inline void sock_valbool_flag(sock& sk, sock_flags flag, bool on) {
  on ? sock_set_flag(sk, flag) : sock_reset_flag(sk, flag);
}

template <class Net>
[[nodiscard]] Net& sock_net(sock const& sk) {
  return *static_cast<Net*>(sk.sk_net);
}
template <class Net>
[[nodiscard]] proto<Net> const& sk_prot(sock const& sk) {
  return Net::proto_list[sk.sk_prot_idx];
}

/// From now on it has some of its own; null: its proto keeps none.
template <class Net>
[[nodiscard]] sock_rare* sk_rare_of(Net& net, sock& sk) {
  if (auto* const rare = sk_prot<Net>(sk).rare; rare && sk.sk_rare == &sock_no_rare) sk.sk_rare = rare(net, sk);
  return sk.sk_rare != &sock_no_rare ? const_cast<sock_rare*>(sk.sk_rare) : nullptr;
}
/// Of one that has some.
[[nodiscard]] inline sock_rare& sk_own_rare(sock& sk) { return const_cast<sock_rare&>(*sk.sk_rare); }

inline void sock_hold(sock& sk) { ++sk.sk_refcnt; }

/// Takes the pending error: what a call answers before anything else.
inline result<void> sock_error(sock& sk) {
  if (sk.sk_err == 0) [[likely]]
    return {};
  auto const why = static_cast<std::errc>(sk.sk_err);
  sk.sk_err = 0;
  return failure{why};
}
/// Leaves an error for the next call, and wakes who waits.
inline void sk_report_error(sock& sk, s32 err) {
  sk.sk_err = static_cast<std::int16_t>(err);
  if (sk.sk_callbacks->error_report) sk.sk_callbacks->error_report(sk);
}

inline void sk_dst_reset(sock& sk) {
  if (sk.sk_dst_cache) dst_release(*sk.sk_dst_cache);
  sk.sk_dst_cache = nullptr;
  sk.sk_tx_queue_mapping = no_queue_mapping;
}
/// Caches the route; takes a reference.
NETSTACK_INLINE void sk_dst_set(sock& sk, dst_entry& dst) {
  dst_hold(dst);
  sk_dst_reset(sk);
  sk.sk_dst_cache = &dst;
}
/// The cached route, or null; one that has become obsolete is dropped.
[[nodiscard]] inline dst_entry* sk_dst_check(sock& sk) {
  if (sk.sk_dst_cache && sk.sk_dst_cache->obsolete) [[unlikely]]
    sk_dst_reset(sk);
  return sk.sk_dst_cache;
}
inline void sk_rx_dst_reset(sock& sk) {
  if (sk.sk_rx_dst) dst_release(*sk.sk_rx_dst);
  sk.sk_rx_dst = nullptr;
}
/// The route of a connected flow's packets, for early demux of those to come. One that has gone meanwhile is not held.
inline void sk_rx_dst_set(sock& sk, sk_buff const& skb) {
  if (!skb.dst || skb.dst == sk.sk_rx_dst || skb.dst->obsolete) return;
  sk_rx_dst_reset(sk);
  dst_hold(*skb.dst);
  sk.sk_rx_dst = skb.dst;
  sk.sk_rx_dst_ifindex = skb.skb_iif;
}

}  // namespace netstack
