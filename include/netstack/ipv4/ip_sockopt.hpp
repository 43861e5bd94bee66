// SPDX-License-Identifier: BSL-1.0
// Decides: what the options of level SOL_IP mean.
// called by udp_setsockopt, raw_setsockopt … for what is not their own level
// Linux: net/ipv4/ip_sockglue.c (do_ip_setsockopt, do_ip_getsockopt)
#pragma once
#include "netstack/core/sock_opt.hpp"
#include "netstack/ipv4/ip_sockglue.hpp"

namespace netstack {

namespace detail {

/// IP options take an int, or a single byte where the value fits one.
inline int ip_int_optval(std::span<std::byte const> optval) {
  int val = 0;
  if (optval.size() >= sizeof val)
    std::memcpy(&val, optval.data(), sizeof val);
  else if (!optval.empty())
    val = std::to_integer<int>(optval[0]);
  return val;
}

/// How many bytes an option takes; an empty value counts as 0 where Linux lets it pass.
constexpr bool ip_optlen_ok(int optname, std::size_t len) {
  switch (optname) {
    case ip_opt::ttl:
    case ip_opt::minttl:
    case ip_opt::freebind:
    case ip_opt::transparent:
    case ip_opt::multicast_ttl:
    case ip_opt::multicast_loop:
    case ip_opt::multicast_all: return len >= 1;
    case ip_opt::unicast_if:
    case ip_opt::local_port_range: return len == sizeof(int);
    default: return true;
  }
}

struct ip_cmsg_option {
  int optname;
  u16 flag;
};
inline constexpr ip_cmsg_option ip_cmsg_options[]{
    ip_cmsg_option{ip_opt::pktinfo, ip_cmsg::pktinfo}, ip_cmsg_option{ip_opt::recvttl, ip_cmsg::ttl},
    ip_cmsg_option{ip_opt::recvtos, ip_cmsg::tos},     ip_cmsg_option{ip_opt::recvopts, ip_cmsg::recvopts},
    ip_cmsg_option{ip_opt::retopts, ip_cmsg::retopts}, ip_cmsg_option{ip_opt::recvorigdstaddr, ip_cmsg::origdstaddr},
};

/// RFC 1349 §4: the type of service as one of the scheduler's priorities (Linux's rt_tos2priority).
constexpr u32 tos2priority(int tos) {
  constexpr u8 table[16] = {0, 0, 0, 0, 2, 2, 2, 2, 6, 6, 6, 6, 4, 4, 4, 4};
  return table[(tos & 0x1e) >> 1];
}

inline result<void> ip_check(bool ok) {
  return ok ? result<void>{} : result<void>{failure{std::errc::invalid_argument}};
}

/// IP_OPTIONS: a block for every packet sent; empty: none.
template <class Net>
result<void> ip_set_options(Net& net, inet_sock& inet, std::span<std::byte const> optval) {
  inet_options opt;
  if (!ip_options_get(opt, optval)) return failure{std::errc::invalid_argument};
  if (!inet_set_options(net, inet, opt)) return failure{std::errc::no_buffer_space};
  sk_dst_reset(inet);
  return {};
}

/// IP_MULTICAST_IF: an address of the device, or {group, address, ifindex}.
template <class Net>
result<void> ip_set_multicast_if(Net& net, inet_sock& inet, std::span<std::byte const> optval) {
  if (inet.sk_type == sock_type::stream) return failure{std::errc::invalid_argument};
  be32 addr{};
  int ifindex = 0;
  if (optval.size() >= 12) {
    std::memcpy(&addr, optval.data() + 4, sizeof addr);
    std::memcpy(&ifindex, optval.data() + 8, sizeof ifindex);
  } else if (optval.size() >= 8) {
    std::memcpy(&addr, optval.data() + 4, sizeof addr);
  } else if (optval.size() >= 4) {
    std::memcpy(&addr, optval.data(), sizeof addr);
  } else {
    return failure{std::errc::invalid_argument};
  }
  sock_rare* const rare = sk_rare_of(net, inet);
  if (!rare) return failure{std::errc::no_protocol_option};
  if (ifindex == 0 && !addr) {
    rare->mc_index = 0;
    rare->mc_addr = {};
    return {};
  }
  auto* dev = ifindex ? net.dev_get_by_index(static_cast<u32>(ifindex)) : ip_dev_find(net, addr);
  if (!dev) return failure{std::errc::address_not_available};
  if (inet.sk_bound_dev_if != 0 && inet.sk_bound_dev_if != dev->ifindex) return failure{std::errc::invalid_argument};
  rare->mc_index = dev->ifindex;
  rare->mc_addr = addr;
  return {};
}

template <class Net>
result<void> ip_set_int(Net& net, inet_sock& inet, int optname, int val) {
  auto const byte = [&](u8& member, int lo, int hi) {
    if (val >= lo && val <= hi) member = static_cast<u8>(val);
    return ip_check(val >= lo && val <= hi);
  };
  auto const rare = [&](auto sock_rare::*member, auto value, bool valid = true) -> result<void> {
    if (!valid || inet.sk_rare->*member == value) return ip_check(valid);
    sock_rare* const own = sk_rare_of(net, inet);
    if (!own) return failure{std::errc::no_protocol_option};
    own->*member = value;
    return {};
  };
  switch (optname) {
    case ip_opt::tos:
      // RFC 3168 §6.1: a transport that reacts to congestion sets the two lowest bits itself.
      if (inet.sk_type == sock_type::stream) val = val & ~inet_ecn::mask;
      if (inet.tos == static_cast<u8>(val)) return {};  // a priority set since then stays
      inet.tos = static_cast<u8>(val);
      inet.sk_priority = tos2priority(val & 0xff);
      sk_dst_reset(inet);
      return {};
    case ip_opt::ttl:
      if (val != -1 && (val < 1 || val > 255)) return failure{std::errc::invalid_argument};
      inet.uc_ttl = static_cast<std::int16_t>(val);
      return {};
    case ip_opt::minttl: return byte(inet.min_ttl, 0, 255);
    case ip_opt::mtu_discover:
      if (val < 0 || val > 5) return failure{std::errc::invalid_argument};
      inet.pmtudisc = static_cast<ip_pmtudisc>(val);
      return {};
    case ip_opt::recverr:
      if (val != 0 && !sk_rare_of(net, inet)) return failure{std::errc::no_protocol_option};
      inet.recverr = val != 0;
      if (val == 0) sk_error_queue_purge(inet);
      return {};
    case ip_opt::multicast_ttl:
      if (inet.sk_type == sock_type::stream) return failure{std::errc::invalid_argument};
      if (val == -1) val = 1;
      return rare(&sock_rare::mc_ttl, static_cast<u8>(val), val >= 0 && val <= 255);
    case ip_opt::multicast_loop: inet.mc_loop = val != 0; return {};
    case ip_opt::multicast_all:
      if (val != 0 && val != 1) return failure{std::errc::invalid_argument};
      inet.mc_all = val != 0;
      return {};
    case ip_opt::freebind: inet.freebind = val != 0; return {};
    case ip_opt::transparent:
      if (val != 0 && !ns_capable(net, cap::net_admin | cap::net_raw))
        return failure{std::errc::operation_not_permitted};
      inet.transparent = val != 0;
      return {};
    case ip_opt::bind_address_no_port: inet.bind_address_no_port = val != 0; return {};
    case ip_opt::local_port_range: {
      auto const lo = static_cast<u16>(val), hi = static_cast<u16>(static_cast<u32>(val) >> 16);
      if (lo != 0 && hi != 0 && lo > hi) return failure{std::errc::invalid_argument};
      if (auto r = rare(&sock_rare::local_port_lo, lo); !r) return r;
      return rare(&sock_rare::local_port_hi, hi);
    }
    case ip_opt::unicast_if: {
      u32 const ifindex = be32::from_raw(static_cast<u32>(val)).host();
      if (ifindex != 0 && !net.dev_get_by_index(ifindex)) return failure{std::errc::address_not_available};
      return rare(&sock_rare::uc_index, ifindex);
    }
    case ip_opt::router_alert: return ip_check(false);
    case ip_opt::hdrincl:
    case ip_opt::nodefrag:
      if (inet.sk_type != sock_type::raw) return failure{std::errc::no_protocol_option};
      if (optname == ip_opt::hdrincl)
        inet.hdrincl = val != 0;
      else
        inet.nodefrag = val != 0;
      return {};
    default: return failure{std::errc::no_protocol_option};
  }
}

template <class Net>
result<int> ip_get_int(Net& net, inet_sock& inet, int optname) {
  switch (optname) {
    case ip_opt::tos: return inet.tos;
    case ip_opt::ttl: return inet.uc_ttl == -1 ? ipv4_net(net).sysctl_ip_default_ttl : inet.uc_ttl;
    case ip_opt::minttl: return inet.min_ttl;
    case ip_opt::mtu_discover: return static_cast<int>(inet.pmtudisc);
    case ip_opt::recverr: return inet.recverr;
    case ip_opt::multicast_ttl: return inet.sk_rare->mc_ttl;
    case ip_opt::multicast_loop: return inet.mc_loop;
    case ip_opt::multicast_all: return inet.mc_all;
    case ip_opt::freebind: return inet.freebind;
    case ip_opt::transparent: return inet.transparent;
    case ip_opt::bind_address_no_port: return inet.bind_address_no_port;
    case ip_opt::local_port_range:
      return static_cast<int>(u32{inet.sk_rare->local_port_hi} << 16 | inet.sk_rare->local_port_lo);
    case ip_opt::unicast_if: return static_cast<int>(be32{inet.sk_rare->uc_index}.raw());
    case ip_opt::hdrincl: return inet.hdrincl;
    case ip_opt::nodefrag: return inet.nodefrag;
    case ip_opt::router_alert: return 0;        // only raw sockets' are
    case ip_opt::protocol: return inet.sk_num;  // which is a raw socket's protocol, and others' port
    case ip_opt::mtu: {
      auto* rt = static_cast<rtable*>(inet.sk_dst_cache);
      if (!rt || rt->obsolete) return failure{std::errc::not_connected};
      return static_cast<int>(ip_dst_mtu(net, *rt, inet.sk_daddr));
    }
    default: break;
  }
  for (auto const& row : ip_cmsg_options)
    if (row.optname == optname) return (inet.cmsg_flags & row.flag) != 0;
  return failure{std::errc::no_protocol_option};
}

}  // namespace detail

/// Errors: no_protocol_option (unknown; another level), invalid_argument, address_not_available,
/// operation_not_permitted, no_buffer_space (too many sockets have IP_OPTIONS).
template <class Net>
result<void> ip_setsockopt(Net& net, sock& sk, int level, int optname, std::span<std::byte const> optval) {
  if (level != sol::ip) return failure{std::errc::no_protocol_option};
  auto& inet = inet_sk(sk);
  if (optname == ip_opt::options) return detail::ip_set_options(net, inet, optval);
  if (optname == ip_opt::multicast_if) return detail::ip_set_multicast_if(net, inet, optval);
  if (!detail::ip_optlen_ok(optname, optval.size())) return failure{std::errc::invalid_argument};
  int const val = detail::ip_int_optval(optval);
  for (auto const& row : detail::ip_cmsg_options)
    if (row.optname == optname) {
      inet.cmsg_flags = static_cast<u16>(val ? inet.cmsg_flags | row.flag : inet.cmsg_flags & ~row.flag);
      return {};
    }
  return detail::ip_set_int(net, inet, optname, val);
}

/// Answers the bytes written: an int, or one byte where there is room for no more and the value fits. Errors:
/// operation_not_supported (another level), no_protocol_option, not_connected.
template <class Net>
result<u32> ip_getsockopt(Net& net, sock& sk, int level, int optname, std::span<std::byte> out) {
  if (level != sol::ip) return failure{std::errc::operation_not_supported};
  auto& inet = inet_sk(sk);
  if (optname == ip_opt::options) {
    auto const n = std::min<std::size_t>(inet_optlen(inet), out.size());
    if (n == 0) return 0u;
    inet_options opt = *inet.sk_rare->opt;
    if (opt.srr) ip_options_undo(opt.data + (opt.srr - ip_hlen_min), opt.faddr);
    std::memcpy(out.data(), opt.data, n);
    return static_cast<u32>(n);
  }
  if (optname == ip_opt::multicast_if) return detail::put_opt(out, in_addr{inet.sk_rare->mc_addr});
  auto const val = detail::ip_get_int(net, inet, optname);
  if (!val) return failure{val.error()};
  if (out.size() < sizeof(int) && !out.empty() && *val >= 0 && *val <= 255)
    return detail::put_opt(out.first(1), static_cast<u8>(*val));
  return detail::put_opt(out, *val);
}

}  // namespace netstack
