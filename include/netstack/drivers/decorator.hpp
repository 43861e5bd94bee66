// SPDX-License-Identifier: BSL-1.0
// Decides: how one driver wraps another and is a driver itself: tracer<tap>, pcap_writer<fault_injector<pipe>>. Its
// private area starts with the inner driver's, so the inner functions find their own through the same device; its ops
// are the inner ones with some replaced; its name says what it consists of.
#pragma once
#include <array>
#include <cstddef>
#include <string_view>

#include "netstack/core/netdev.hpp"
#include "netstack/registry/ethtool_ops.hpp"

namespace netstack::drivers {

/// "outer<inner>", with static storage.
template <std::size_t N, class Inner>
struct decorated_name {
  static constexpr std::size_t inner_size = std::string_view(Inner::name).size();
  char text[N + inner_size + 2]{};
  constexpr explicit decorated_name(char const (&outer)[N]) {
    std::size_t at = 0;
    for (char c : std::string_view(outer)) text[at++] = c;
    text[at++] = '<';
    for (char c : std::string_view(Inner::name)) text[at++] = c;
    text[at] = '>';
  }
};
template <class Inner, std::size_t N>
constexpr decorated_name<N, Inner> decorate_name(char const (&outer)[N]) {
  return decorated_name<N, Inner>{outer};
}

namespace detail {

template <class Inner, class Net>
constexpr ethtool_ops<Net> inner_ethtool() {
  if constexpr (requires { Inner::template ethtool<Net>; })
    return Inner::template ethtool<Net>;
  else
    return {};
}

/// The statistics of Outer, behind those of its inner driver. Outer has stats_names and get_stats(dev, span).
template <class Outer, class Inner, class Net>
struct decorated_stats {
  static constexpr auto inner = inner_ethtool<Inner, Net>();
  static constexpr std::size_t inner_count = inner.stats_strings.size();
  static constexpr auto names = [] {
    std::array<char const*, inner_count + Outer::stats_names.size()> all{};
    std::size_t at = 0;
    for (char const* name : inner.stats_strings) all[at++] = name;
    for (char const* name : Outer::stats_names) all[at++] = name;
    return all;
  }();
  static void get(Net& net, net_device& dev, std::span<u64> out) {
    if constexpr (inner_count != 0) inner.get_ethtool_stats(net, dev, out.first(inner_count));
    Outer::get_stats(dev, out.subspan(inner_count));
  }
  static constexpr ethtool_ops<Net> ops() {
    auto all = inner;
    all.stats_strings = names;
    all.get_ethtool_stats = get;
    return all;
  }
};

/// How many bytes of link header stand in front of data: of a received frame the whole of it, of a sent one none.
inline u32 link_header_before(sk_buff const& skb, bool received) {
  return received ? static_cast<u32>(-skb.mac_offset()) : 0;
}

/// The inner driver's private area must be where dev.priv points.
template <class Outer>
void check_layout(net_device& dev) {
  BUG_ON(static_cast<void*>(&netdev_priv<Outer>(dev).inner) != dev.priv, "the inner priv must come first");
}

}  // namespace detail
}  // namespace netstack::drivers
