// SPDX-License-Identifier: BSL-1.0
// Decides: the numbers of the socket interface: types, levels, options, flags, events. Values equal Linux's on x86-64,
// so a POSIX wrapper passes its arguments on; names are Linux's, scoped and lower-case (SO_RCVBUF → so::rcvbuf).
// Linux: include/uapi/asm-generic/socket.h, include/linux/socket.h,
// include/uapi/linux/{in,udp,tcp,errqueue,net_tstamp}.h
#pragma once
#include <sys/time.h>

#include <ctime>

#include "netstack/base/config.hpp"

namespace netstack {

namespace sock_type {  // SOCK_*: second argument of socket()
inline constexpr u32 stream = 1, dgram = 2, raw = 3, rdm = 4, seqpacket = 5, dccp = 6, packet = 10;
inline constexpr u32 max = 11;
inline constexpr u32 mask = 0xf;
inline constexpr u32 nonblock = 04000, cloexec = 02000000;  ///< or'ed to the type
}  // namespace sock_type

namespace sol {  // SOL_*: level of an option
inline constexpr int ip = 0, socket = 1, tcp = 6, udp = 17, raw = 255;
}

namespace so {  // SO_*
inline constexpr int debug = 1, reuseaddr = 2, type = 3, error = 4, dontroute = 5, broadcast = 6, sndbuf = 7,
                     rcvbuf = 8, keepalive = 9, oobinline = 10, no_check = 11, priority = 12, linger = 13,
                     bsdcompat = 14, reuseport = 15, passcred = 16, peercred = 17, rcvlowat = 18, sndlowat = 19,
                     rcvtimeo = 20, sndtimeo = 21, bindtodevice = 25, peername = 28, timestamp = 29, acceptconn = 30,
                     sndbufforce = 32, rcvbufforce = 33, passsec = 34, timestampns = 35, mark = 36, timestamping = 37,
                     protocol = 38, domain = 39, rxq_ovfl = 40, peek_off = 42, select_err_queue = 45, busy_poll = 46,
                     max_pacing_rate = 47, incoming_cpu = 49, cnx_advice = 53, meminfo = 55, incoming_napi_id = 56,
                     cookie = 57, peergroups = 59, bindtoifindex = 62, rcvtimeo_new = 66, sndtimeo_new = 67,
                     netns_cookie = 71, buf_lock = 72, rcvmark = 75, passpidfd = 76, peerpidfd = 77, passrights = 83;
}  // namespace so

namespace scm {  // SCM_*: control messages of sol::socket
inline constexpr int timestamp = so::timestamp, timestampns = so::timestampns, timestamping = so::timestamping,
                     rxq_ovfl = so::rxq_ovfl;
}

namespace ip_opt {  // IP_*
inline constexpr int tos = 1, ttl = 2, hdrincl = 3, options = 4, router_alert = 5, recvopts = 6, retopts = 7,
                     pktinfo = 8, pktoptions = 9, mtu_discover = 10, recverr = 11, recvttl = 12, recvtos = 13, mtu = 14,
                     freebind = 15, transparent = 19, recvorigdstaddr = 20, minttl = 21, nodefrag = 22, checksum = 23,
                     bind_address_no_port = 24, multicast_if = 32, multicast_ttl = 33, multicast_loop = 34,
                     add_membership = 35, drop_membership = 36, multicast_all = 49, unicast_if = 50,
                     local_port_range = 51, protocol = 52;
}  // namespace ip_opt
namespace udp_opt {  // UDP_*
inline constexpr int cork = 1, encap = 100, no_check6_tx = 101, no_check6_rx = 102, segment = 103, gro = 104;
}
namespace tcp_opt {  // TCP_*
inline constexpr int nodelay = 1, maxseg = 2, cork = 3, keepidle = 4, keepintvl = 5, keepcnt = 6, syncnt = 7,
                     linger2 = 8, defer_accept = 9, window_clamp = 10, info = 11, quickack = 12, congestion = 13,
                     thin_dupack = 17, user_timeout = 18, repair = 19, repair_queue = 20, queue_seq = 21,
                     repair_options = 22, fastopen = 23, timestamp = 24, notsent_lowat = 25, cc_info = 26,
                     save_syn = 27, saved_syn = 28, repair_window = 29, fastopen_connect = 30, ulp = 31,
                     fastopen_key = 33, fastopen_no_cookie = 34, inq = 36, is_mptcp = 43, rto_max_ms = 44,
                     rto_min_us = 45, delack_max_us = 46;
}

namespace msg {  // MSG_*
inline constexpr u32 oob = 1, peek = 2, dontroute = 4, ctrunc = 8, probe = 0x10, trunc = 0x20, dontwait = 0x40,
                     eor = 0x80, waitall = 0x100, confirm = 0x800, errqueue = 0x2000, nosignal = 0x4000, more = 0x8000,
                     waitforone = 0x10000, fastopen = 0x20000000, cmsg_cloexec = 0x40000000;
}  // namespace msg

namespace shut {  // SHUT_*: second argument of shutdown()
inline constexpr int rd = 0, wr = 1, rdwr = 2;
}
/// sk_shutdown, Linux's RCV_SHUTDOWN and SEND_SHUTDOWN.
inline constexpr u8 rcv_shutdown = 1, send_shutdown = 2, shutdown_mask = 3;

namespace poll_ev {  // POLL*
inline constexpr u32 in = 0x1, pri = 0x2, out = 0x4, err = 0x8, hup = 0x10, nval = 0x20, rdnorm = 0x40, rdband = 0x80,
                     wrnorm = 0x100, wrband = 0x200, rdhup = 0x2000;
}

namespace sioc {                                   // ioctl() requests on a socket
inline constexpr u32 inq = 0x541B, outq = 0x5411;  ///< SIOCINQ (FIONREAD) and SIOCOUTQ (TIOCOUTQ): int*
inline constexpr u32 fionbio = 0x5421;             ///< int const*: 0 clears, else sets the non-blocking mode
inline constexpr u32 atmark = 0x8905;              ///< SIOCATMARK: int*
inline constexpr u32 outqnsd = 0x894B;             ///< SIOCOUTQNSD: int*
inline constexpr u32 gstamp = 0x8906, gstampns = 0x8907;
}  // namespace sioc

/// SO_TIMESTAMPING's flags.
namespace sof_timestamping {
inline constexpr u32 tx_hardware = 1u << 0, tx_software = 1u << 1, rx_hardware = 1u << 2, rx_software = 1u << 3,
                     software = 1u << 4, sys_hardware = 1u << 5, raw_hardware = 1u << 6, opt_id = 1u << 7,
                     tx_sched = 1u << 8, tx_ack = 1u << 9, opt_cmsg = 1u << 10, opt_tsonly = 1u << 11,
                     opt_id_tcp = 1u << 16;
inline constexpr u32 mask = ((1u << 12) - 1) | opt_id_tcp;
inline constexpr u32 tx_record_mask = tx_hardware | tx_software | tx_sched;  ///< which times of departure
}  // namespace sof_timestamping

using ::timespec;  // the value of scm::timestampns
using ::timeval;   // the value of so::rcvtimeo and scm::timestamp
struct linger {    // the value of so::linger
  int l_onoff = 0;
  int l_linger = 0;
};

/// Where an entry of the error queue came from.
namespace so_ee_origin {
inline constexpr u8 none = 0, local = 1, icmp = 2, icmp6 = 3, timestamping = 4;
}
/// What IP_RECVERR's control message starts with; the offender's sockaddr_in follows.
struct sock_extended_err {
  u32 ee_errno = 0;
  u8 ee_origin = so_ee_origin::none;
  u8 ee_type = 0;
  u8 ee_code = 0;
  u8 ee_pad = 0;
  u32 ee_info = 0;
  u32 ee_data = 0;
};
static_assert(sizeof(sock_extended_err) == 16);

}  // namespace netstack
