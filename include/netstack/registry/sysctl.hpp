// SPDX-License-Identifier: BSL-1.0
// Decides: how a module offers its settings under /proc/sys: a path, bounds, and the member of its own state that holds
// the value. Fresh namespaces get the member's default. The composition sorts all rows by path; a path that two modules
// claim does not compile. A write is checked, then applied in every worker's slice through rtnl(). [S23] [S31]
//
//   static constexpr std::array ctl_tables{
//       ctl<&netns_ipv4::sysctl_ip_default_ttl>("net/ipv4/ip_default_ttl", {.min = 1, .max = 255}),
//       ctl<&netns_ipv4::icmp, &icmp_conf::ratelimit>("net/ipv4/icmp_ratelimit", {.min = 0}),   // a member of a member
//   };
//   or, where a row needs to know Net, `template <class Net> static constexpr std::array ctl_tables{…}` with
//       ctl_of<Net, conf_of<Net>, &conf::x>("net/core/x")                   // T& conf_of(Net&): state that is
//       elsewhere ctl_dev<Net, devconf<Net>, &ipv4_devconf::rp_filter>("net/ipv4/conf/*/rp_filter", {.max = 2})
//                                                                           // T* devconf(Net&, u32 which): * = which
//       ctl_proc<Net, show<Net>, store<Net>>("net/ipv4/route/flush", {.mode = 0200})     // a text of its own
//
// The member's type says the kind: bool, integers and enums; arrays of them (up to six, tab-separated); char[N] (N ≤
// 48); ctl_bitmap. Linux: include/linux/sysctl.h (struct ctl_table), kernel/sysctl.c
#pragma once
#include <array>
#include <limits>
#include <type_traits>

#include "netstack/base/result.hpp"
#include "netstack/meta/member.hpp"
#include "netstack/registry/proc.hpp"

namespace netstack {

/// The * of a per-device path: an ifindex, or one of these.
inline constexpr u32 ctl_all = ~u32{0}, ctl_default = ~u32{0} - 1;

enum class ctl_type : u8 { integer, string, bitmap, custom };

struct ctl_table {
  char const* procname = "";  ///< "net/ipv4/ip_default_ttl"; a component * stands for all, default and each device
  void* (*data)(void* net, void* pernet, u32 which) = nullptr;  ///< null answer: no such device here
  ctl_type type = ctl_type::integer;
  bool is_signed = false;
  u8 width = 4;                ///< bytes of one element
  bool init_net_only = false;  ///< unknown in every other namespace: a setting of the whole worker
  u16 mode = 0644;             ///< 0444: a write is EACCES; 0200: a read is
  u32 count = 1;               ///< elements; bytes of a string; bits of a bitmap
  s64 min = 0;                 ///< bounds of each element, in the units of the text
  u64 max = 0;
  u64 unit = 1;           ///< what is stored for a text of "1": 1'000'000 for a time in ms that is kept in ns
  bool on_write = false;  ///< `changed` hears of a value that was there already, too
  result<void> (*changed)(void* net, u32 which) = nullptr;
  bool (*show)(void* net, seq_file&, seq_cursor&) = nullptr;  ///< custom only
  result<void> (*store)(void* net, std::string_view text) = nullptr;
};

/// What a row says beyond its path and its member. Bounds default to those of the member's type.
struct ctl_options {
  s64 min = std::numeric_limits<s64>::min();
  u64 max = std::numeric_limits<u64>::max();
  u16 mode = 0644;
  u64 unit = 1;
  bool init_net_only = false;
  /// Runs in every slice after the new value is in place: ctl_changed<Net, f<Net>> with result<void> f(Net&, u32
  /// which). A failure puts the old value back (not a bitmap's) and is the writer's answer.
  result<void> (*changed)(void* net, u32 which) = nullptr;
  bool on_write = false;  ///< … also if it is the old one
};

/// A set of numbers below Bits, written "1000-2000,3000". [S32]
template <std::size_t Bits>
struct ctl_bitmap {
  static_assert(Bits % 64 == 0 && Bits <= 65536);
  static constexpr std::size_t size = Bits;
  u64 words[Bits / 64]{};
  [[nodiscard]] constexpr bool test(std::size_t i) const { return (words[i / 64] >> (i % 64) & 1) != 0; }
  constexpr void set(std::size_t i) { words[i / 64] |= u64{1} << (i % 64); }
};

namespace detail {

template <auto First, auto... Rest>
void* ctl_pernet_data(void*, void* pernet, u32) {
  return &member_at(*static_cast<member_owner<First>*>(pernet), First, Rest...);
}
template <class Net, auto Function, auto... Chain>
void* ctl_net_data(void* net, void*, u32) {
  return &member_at(Function(*static_cast<Net*>(net)), Chain...);
}
template <class Net, auto Function, auto... Chain>
void* ctl_dev_data(void* net, void*, u32 which) {
  auto* conf = Function(*static_cast<Net*>(net), which);
  return conf ? static_cast<void*>(&member_at(*conf, Chain...)) : nullptr;
}

// Signatures are read off the function's type: naming a call would complete Net, and the composition is checked before
// it is complete.
template <class Net, class T>
std::type_identity<T> ctl_source(T& (*)(Net&));
template <class Net, class T>
std::type_identity<T> ctl_source(T* (*)(Net&, u32));
template <class Net, auto Show>
bool ctl_show(void* net, seq_file& m, seq_cursor& at) {
  return Show(*static_cast<Net*>(net), m, at);
}
template <class Net, auto Store>
result<void> ctl_store(void* net, std::string_view text) {
  return Store(*static_cast<Net*>(net), text);
}

template <class T>
struct ctl_element {
  using type = T;
  static constexpr u32 count = 1;
};
template <class T, std::size_t N>
struct ctl_element<T[N]> {
  using type = T;
  static constexpr u32 count = N;
};
template <class T, std::size_t N>
struct ctl_element<std::array<T, N>> {
  using type = T;
  static constexpr u32 count = N;
};
template <class T>
inline constexpr u32 ctl_bits = 0;
template <std::size_t Bits>
inline constexpr u32 ctl_bits<ctl_bitmap<Bits>> = Bits;

template <class T, bool = std::is_enum_v<T>>
struct ctl_number {
  using type = T;
};
template <class T>
struct ctl_number<T, true> {
  using type = std::underlying_type_t<T>;
};

/// Fills in what the type of the member says.
template <class Field>
constexpr ctl_table ctl_row(char const* procname, ctl_options const& o, decltype(ctl_table::data) data) {
  ctl_table row{.procname = procname,
                .data = data,
                .init_net_only = o.init_net_only,
                .mode = o.mode,
                .on_write = o.on_write,
                .changed = o.changed};
  using element = typename ctl_element<Field>::type;
  if constexpr (ctl_bits<Field> != 0) {
    row.type = ctl_type::bitmap;
    row.count = ctl_bits<Field>;
  } else if constexpr (std::is_same_v<element, char>) {
    static_assert(ctl_element<Field>::count <= 48, "netstack: a string sysctl has at most 48 bytes");
    row.type = ctl_type::string;
    row.count = ctl_element<Field>::count;
  } else {
    using number = typename ctl_number<element>::type;
    static_assert(std::is_integral_v<number>,
                  "netstack: a sysctl is a number, an array of numbers, char[N] or ctl_bitmap");
    static_assert(ctl_element<Field>::count <= 6, "netstack: an array sysctl has at most 6 elements");
    using limits = std::numeric_limits<number>;
    row.count = ctl_element<Field>::count;
    row.width = sizeof(number);
    row.is_signed = std::is_signed_v<number>;
    auto const lowest = static_cast<s64>(limits::min());
    row.min = o.min > lowest ? o.min : lowest;
    auto const highest = static_cast<u64>(limits::max());
    row.max = o.max < highest ? o.max : highest;
    row.unit = o.unit;
  }
  return row;
}

}  // namespace detail

/// A setting in the module's pernet. Chain: pointers to members, from the pernet inwards.
template <auto First, auto... Rest>
constexpr ctl_table ctl(char const* procname, ctl_options const& options = {}) {
  return detail::ctl_row<member_type<member_owner<First>, First, Rest...>>(procname, options,
                                                                           detail::ctl_pernet_data<First, Rest...>);
}

/// A setting that lies elsewhere: Function(Net&) → T&, then Chain inwards.
template <class Net, auto Function, auto... Chain>
constexpr ctl_table ctl_of(char const* procname, ctl_options const& options = {}) {
  using root = typename decltype(detail::ctl_source(Function))::type;
  return detail::ctl_row<member_type<root, Chain...>>(procname, options, detail::ctl_net_data<Net, Function, Chain...>);
}

/// A setting of each device: Function(Net&, u32 which) → T*, null where there is none; then Chain inwards.
template <class Net, auto Function, auto... Chain>
constexpr ctl_table ctl_dev(char const* procname, ctl_options const& options = {}) {
  using root = typename decltype(detail::ctl_source(Function))::type;
  return detail::ctl_row<member_type<root, Chain...>>(procname, options, detail::ctl_dev_data<Net, Function, Chain...>);
}

/// ctl_options::changed from a function of the module.
template <class Net, auto Function>
result<void> ctl_changed(void* net, u32 which) {
  return Function(*static_cast<Net*>(net), which);
}

/// A setting whose text is made and taken by functions: bool Show(Net&, seq_file&, seq_cursor&), one record at a time,
/// and result<void> Store(Net&, std::string_view), which goes through rtnl() itself. Either may be nullptr.
template <class Net, auto Show, auto Store = nullptr>
constexpr ctl_table ctl_proc(char const* procname, ctl_options const& options = {}) {
  ctl_table row{
      .procname = procname, .type = ctl_type::custom, .init_net_only = options.init_net_only, .mode = options.mode};
  if constexpr (!std::is_null_pointer_v<decltype(Show)>) row.show = detail::ctl_show<Net, Show>;
  if constexpr (!std::is_null_pointer_v<decltype(Store)>) row.store = detail::ctl_store<Net, Store>;
  return row;
}

}  // namespace netstack
