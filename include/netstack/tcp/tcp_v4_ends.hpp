// SPDX-License-Identifier: BSL-1.0
// Decides: what two ends are on IPv4: where a socket and one that ended have them, which are the same or meet, and what
// is made of them under a secret: a slot of a table, numbers, cookies. All of TCP that keeps ends, or looks for
// somebody by them, asks here and does not look inside; with the net at hand, in whose memory longer ones would lie.
// called by inet_hashtables, tcp_minisocks, tcp_v4_syn, tcp_syncookies, tcp_fastopen, tcp_close
// Linux: include/net/inet_hashtables.h (inet_match, inet_ehashfn), net/ipv4/inet_connection_sock.c
// (inet_rcv_saddr_equal), net/core/secure_seq.c, net/ipv4/syncookies.c (cookie_hash), net/ipv4/tcp_metrics.c
// RFC 6528 §3, RFC 4987 §3.6, RFC 7413 §4.1.2 [S146]
#pragma once
#include "netstack/base/multilinear.hpp"
#include "netstack/base/siphash.hpp"
#include "netstack/core/flow_dissector.hpp"
#include "netstack/ipv4/inet_addr.hpp"
#include "netstack/ipv4/inet_sock.hpp"
#include "netstack/registry/proc.hpp"

namespace netstack {

// --- who has which

/// The two ends of a connection, as a packet for us shows them.
struct inet_ehash_key {
  be32 saddr{};  ///< the peer's
  be32 daddr{};  ///< ours
  be16 sport{};
  u16 hnum = 0;
  u32 dif = 0;
  friend bool operator==(inet_ehash_key const& a, inet_ehash_key const& b) {
    return a.saddr == b.saddr && a.daddr == b.daddr && a.sport == b.sport && a.hnum == b.hnum;
  }
};
/// … of one that ended, which knows its device in fewer bits.
struct inet_timewait_ends {
  be32 saddr{}, daddr{};
  be16 sport{};
  u16 hnum = 0;
};
/// The two hosts alone: whom a client remembers.
struct inet_hosts {
  be32 daddr{}, saddr{};
};

[[nodiscard]] inline inet_ehash_key inet_key_of(sock const& sk) {
  return {.saddr = sk.sk_daddr, .daddr = sk.sk_rcv_saddr, .sport = sk.sk_dport, .hnum = sk.sk_num};
}
[[nodiscard]] inline inet_ehash_key inet_key_of(inet_timewait_ends const& tw, u32 dif) {
  return {.saddr = tw.saddr, .daddr = tw.daddr, .sport = tw.sport, .hnum = tw.hnum, .dif = dif};
}
[[nodiscard]] inline inet_hosts inet_hosts_of(sock const& sk) {
  return {.daddr = sk.sk_daddr, .saddr = sk.sk_rcv_saddr};
}
inline void inet_twsk_ends(inet_timewait_ends& tw, sock const& sk) {
  tw = {.saddr = sk.sk_daddr, .daddr = sk.sk_rcv_saddr, .sport = sk.sk_dport, .hnum = sk.sk_num};
}
/// From now on it has no peer, and no address of its own but what bind() gave it.
template <class Net>
void inet_reset_saddr(Net&, inet_sock& inet) {
  if (!sock_flag(inet, sock_flags::bindaddr_lock)) inet.sk_rcv_saddr = inet.inet_saddr = {};
  inet.sk_daddr = {};
  inet.sk_dport = {};
}

// --- which are the same, and which meet

/// Both ports as one word.
[[nodiscard]] constexpr u32 inet_ports_of(inet_ehash_key const& key) { return u32{key.hnum} << 16 | key.sport.raw(); }
[[nodiscard]] inline u32 inet_ports_of(sock const& sk) { return u32{sk.sk_num} << 16 | sk.sk_dport.raw(); }
template <class Net>
[[nodiscard]] bool inet_ends_equal(Net&, sock const& sk, inet_ehash_key const& key) {
  return sk.sk_daddr == key.saddr && sk.sk_rcv_saddr == key.daddr && inet_ports_of(sk) == inet_ports_of(key);
}
template <class Net>
[[nodiscard]] bool inet_ends_equal(Net&, inet_ehash_key const& kept, inet_ehash_key const& key) {
  return kept == key;
}
template <class Net>
[[nodiscard]] bool inet_ends_equal(Net&, inet_hosts const& kept, sock const& sk) {
  return kept.daddr == sk.sk_daddr && kept.saddr == sk.sk_rcv_saddr;
}
/// It takes what comes for any address.
[[nodiscard]] inline bool inet_rcv_saddr_any(sock const& sk) { return !sk.sk_rcv_saddr; }
template <class Net>
[[nodiscard]] bool inet_rcv_saddr_is(Net&, sock const& sk, inet_ehash_key const& key) {
  return sk.sk_rcv_saddr == key.daddr;
}
[[nodiscard]] inline bool inet_addrs_meet(be32 a, be32 b) { return !a || !b || a == b; }
/// match_wildcard: who takes any has each.
template <class Net>
[[nodiscard]] bool inet_rcv_saddr_equal(Net&, sock const& sk, sock const& other, bool match_wildcard) {
  return match_wildcard ? inet_addrs_meet(sk.sk_rcv_saddr, other.sk_rcv_saddr) : sk.sk_rcv_saddr == other.sk_rcv_saddr;
}
template <class Net>
[[nodiscard]] bool inet_rcv_saddr_meets(Net&, sock const& sk, inet_timewait_ends const& tw) {
  return inet_addrs_meet(sk.sk_rcv_saddr, tw.daddr);
}
template <class Net>
[[nodiscard]] bool inet_ends_within_host(Net&, inet_timewait_ends const& tw) {
  return ipv4_is_loopback(tw.saddr) || ipv4_is_loopback(tw.daddr);
}

// --- what is made of them

/// The hash by which RPS spreads what comes between them.
[[nodiscard]] inline u32 inet_ends_flow_hash(inet_ehash_key const& key, siphash_key_t const& secret) {
  return flow_hash({.addrs = {key.saddr.raw(), key.daddr.raw()},
                    .ports = {key.sport.host(), key.hnum},
                    .ip_proto = ipproto::tcp,
                    .has_ports = true},
                   secret);
}
/// Keyed: no stranger can tell which flows meet in a slot.
template <class Net>
[[nodiscard]] u32 inet_ends_hash(Net&, inet_ehash_key const& key, multilinear_key const& secret) {
  return multilinear_3u32(key.daddr.raw(), key.saddr.raw(), inet_ports_of(key), secret);
}
/// … which of a group a flow goes to.
template <class Net>
[[nodiscard]] u32 inet_ends_phash(Net&, inet_ehash_key const& key, siphash_key_t const& secret) {
  return hsiphash_3u32(key.daddr.raw(), key.saddr.raw(), inet_ports_of(key), secret);
}
template <class Net>
[[nodiscard]] u32 inet_hosts_hash(Net&, sock const& sk, siphash_key_t const& secret) {
  return hsiphash_2u32(sk.sk_daddr.raw(), sk.sk_rcv_saddr.raw(), secret);
}
/// RFC 6528 §3: what only this host knows of two ends.
[[nodiscard]] inline u64 inet_ends_secret(inet_ehash_key const& key, siphash_key_t const& secret) {
  return siphash_3u32(key.daddr.raw(), key.saddr.raw(), inet_ports_of(key), secret);
}
/// RFC 4987 §3.6: … of them and of something else.
[[nodiscard]] constexpr u32 cookie_hash(siphash_key_t const& secret, inet_ehash_key const& key, u64 of) {
  u64 const ends = u64{key.saddr.raw()} << 32 | key.daddr.raw();
  u64 const ports = u64{key.sport.raw()} << 16 | key.hnum;
  return static_cast<u32>(siphash_3u64(ends, ports, of, secret));
}
/// RFC 7413 §4.1.2: of the hosts alone. Linux makes the same of the same key.
template <class Net>
[[nodiscard]] u64 fastopen_hash(Net&, inet_ehash_key const& key, siphash_key_t const& secret) {
  return siphash_2u32(key.saddr.raw(), key.daddr.raw(), secret);
}

/// A record of /proc/net/tcp begins with them.
template <class Net>
void inet_seq_ends(Net&, seq_file& m, u32 slot, inet_ehash_key const& key) {
  seq_printf(m, "%4u: %08X:%04X %08X:%04X", slot, key.daddr.raw(), key.hnum, key.saddr.raw(), key.sport.host());
}

}  // namespace netstack
