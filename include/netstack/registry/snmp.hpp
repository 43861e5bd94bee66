// SPDX-License-Identifier: BSL-1.0
// Decides: how a module's counters get their names in /proc/net/snmp and /proc/net/netstat. The counters themselves are
// `counter` members of the module's pernet; one writer (the worker), reads sum over the workers' slices. [S161] [S164]
// Linux: include/net/snmp.h, include/uapi/linux/snmp.h
#pragma once
#include <span>

#include "netstack/base/counter.hpp"

namespace netstack {

struct snmp_item {
  char const* name = "";
  u64 (*read)(void const* pernet) = nullptr;
};

namespace detail {
template <auto Member>
struct member_of;
template <class Class, class Field, Field Class::*Member>
struct member_of<Member> {
  using type = Class;
  using field = Field;
};
}  // namespace detail

/// `SNMP_MIB_ITEM<&udp_mib::InDatagrams>("InDatagrams")`
template <auto Member>
constexpr snmp_item SNMP_MIB_ITEM(char const* name) {
  using Class = typename detail::member_of<Member>::type;
  return {name, [](void const* p) { return (static_cast<Class const*>(p)->*Member).read(); }};
}

enum class snmp_file : u8 { snmp, netstat };

/// One "Prefix: names… / Prefix: values…" pair of lines.
struct snmp_group {
  char const* prefix = "";
  std::span<snmp_item const> items{};
  snmp_file file = snmp_file::snmp;
  void const* (*block)(void const* pernet) = nullptr;  ///< from the module's pernet to the struct the items index
  u32 order = 100;                                     ///< place among the groups of its file (Linux's order)
};

}  // namespace netstack
