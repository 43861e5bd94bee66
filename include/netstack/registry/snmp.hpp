// SPDX-License-Identifier: BSL-1.0
// Decides: how a module's counters get their names in /proc/net/snmp and /proc/net/netstat. The counters themselves are
// `counter` members of the module's pernet; one writer (the worker), reads sum over the workers' slices. [S161] [S164]
//
//   inline constexpr snmp_item udp_mib_items[]{SNMP_MIB_ITEM<&udp_mib::InDatagrams>("InDatagrams"), …};
//   static constexpr std::array snmp{snmp_group{.prefix = "Udp", .items = udp_mib_items,
//                                               .block = snmp_block<&udp_net::mib>, .order = snmp_order::udp}};
//
// Linux: include/net/snmp.h, include/uapi/linux/snmp.h, net/ipv4/proc.c
#pragma once
#include <span>

#include "netstack/base/counter.hpp"
#include "netstack/meta/member.hpp"
#include "netstack/registry/proc.hpp"

namespace netstack {

struct snmp_item {
  char const* name = "";
  u64 (*read)(void const* block) = nullptr;
  bool gauge = false;  ///< a state, not a count: signed, of the asker's slice alone
};

namespace detail {

template <auto First, auto... Rest>
u64 mib_read(void const* block) {
  auto const& value = member_at(*static_cast<member_owner<First> const*>(block), First, Rest...);
  if constexpr (requires { value.read(); })
    return value.read();
  else
    return static_cast<u64>(value);
}
template <class C, auto Function>
u64 mib_gauge(void const* block) {
  return static_cast<u64>(Function(*static_cast<C const*>(block)));
}
template <class C>
constexpr C mib_argument(s64 (*)(C const&));

}  // namespace detail

/// The counter (or the number, as a gauge) at the end of a chain of pointers to members, from the group's block
/// inwards.
template <auto First, auto... Rest>
constexpr snmp_item SNMP_MIB_ITEM(char const* name) {
  return {.name = name,
          .read = detail::mib_read<First, Rest...>,
          .gauge = std::is_integral_v<member_type<member_owner<First>, First, Rest...>>};
}

/// A state computed from the block: s64 Function(block const&), e.g. Ip's Forwarding, Tcp's MaxConn.
template <auto Function>
constexpr snmp_item SNMP_MIB_GAUGE(char const* name) {
  using root = decltype(detail::mib_argument(Function));
  return {.name = name, .read = detail::mib_gauge<root, Function>, .gauge = true};
}

enum class snmp_file : u8 { snmp, netstat };

/// Places of Linux's groups in their files.
namespace snmp_order {
inline constexpr u32 ip = 10, icmp = 20, icmpmsg = 30, tcp = 40, udp = 50, udplite = 60;  // snmp
inline constexpr u32 tcpext = 10, ipext = 20, mptcpext = 30;                              // netstat
}  // namespace snmp_order

/// One "Prefix: names… / Prefix: values…" pair of lines.
struct snmp_group {
  char const* prefix = "";
  std::span<snmp_item const> items{};
  snmp_file file = snmp_file::snmp;
  void const* (*block)(void const* pernet) = nullptr;  ///< what the items start from; null: the pernet itself
  u32 order = 100;                                     ///< place among the groups of its file
  // Instead of items: counters by number, of which only those that are not 0 are shown, 16 to a pair of lines
  // (IcmpMsg).
  u32 sparse_count = 0;
  u64 (*sparse_read)(void const* block, u32 i) = nullptr;
  void (*sparse_name)(seq_file&, u32 i) = nullptr;
};

/// snmp_group::block from pointers to members, from the module's pernet inwards.
template <auto First, auto... Rest>
void const* snmp_block(void const* pernet) {
  return &member_at(*static_cast<member_owner<First> const*>(pernet), First, Rest...);
}

}  // namespace netstack
