// SPDX-License-Identifier: BSL-1.0
// Decides: the shape of a TCP header without its options, and the flag bits.
// rx: read by tcp/tcp_ipv4 tcp_v4_rcv; tx: written by tcp/tcp_output.
// Linux: include/uapi/linux/tcp.h, include/net/tcp.h (TCPHDR_*); RFC 9293 §3.1, RFC 3168 §6.1 (ECE, CWR)
#pragma once
#include "netstack/base/byteorder.hpp"

namespace netstack::inline wire {

namespace tcp_flag {
inline constexpr u8 fin = 0x01;
inline constexpr u8 syn = 0x02;
inline constexpr u8 rst = 0x04;
inline constexpr u8 psh = 0x08;
inline constexpr u8 ack = 0x10;
inline constexpr u8 urg = 0x20;
inline constexpr u8 ece = 0x40;
inline constexpr u8 cwr = 0x80;
}  // namespace tcp_flag

inline constexpr std::size_t tcp_hlen_min = 20;
inline constexpr std::size_t tcp_hlen_max = 60;

struct tcphdr {
  be16 source{};
  be16 dest{};
  be32 seq{};
  be32 ack_seq{};
  u8 doff_res = 0x50;  ///< data offset in the upper half, reserved bits below
  u8 flags = 0;        ///< tcp_flag bits
  be16 window{};
  sum16 check{};
  be16 urg_ptr{};

  [[nodiscard]] constexpr u8 doff() const { return doff_res >> 4; }  ///< in 32-bit words, options included
  [[nodiscard]] constexpr std::size_t header_len() const { return std::size_t{doff()} * 4; }  ///< in bytes
  constexpr void set_doff(u8 words) { doff_res = static_cast<u8>(words << 4); }

  [[nodiscard]] constexpr bool fin() const { return (flags & tcp_flag::fin) != 0; }
  [[nodiscard]] constexpr bool syn() const { return (flags & tcp_flag::syn) != 0; }
  [[nodiscard]] constexpr bool rst() const { return (flags & tcp_flag::rst) != 0; }
  [[nodiscard]] constexpr bool psh() const { return (flags & tcp_flag::psh) != 0; }
  [[nodiscard]] constexpr bool ack() const { return (flags & tcp_flag::ack) != 0; }
  [[nodiscard]] constexpr bool urg() const { return (flags & tcp_flag::urg) != 0; }
  [[nodiscard]] constexpr bool ece() const { return (flags & tcp_flag::ece) != 0; }
  [[nodiscard]] constexpr bool cwr() const { return (flags & tcp_flag::cwr) != 0; }
};

static_assert(sizeof(tcphdr) == tcp_hlen_min && alignof(tcphdr) == 1);

}  // namespace netstack::inline wire
