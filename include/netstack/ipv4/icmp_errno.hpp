// SPDX-License-Identifier: BSL-1.0
// Decides: which errno an ICMP error is to a socket, and whether it is fatal or may pass.
// called by udp/udp_err, tcp/tcp_ipv4
// Linux: net/ipv4/icmp.c (icmp_err_convert); RFC 1122 §3.2.2.1
#pragma once
#include <array>
#include <system_error>

#include "netstack/ipv4/ip.hpp"
#include "netstack/wire/icmp.hpp"

namespace netstack {

namespace detail {

struct icmp_error {
  std::errc error{};
  bool fatal = false;
};

/// What a code of "destination unreachable" means to a sender. RFC 1122 §3.2.2.1 for the codes above 5.
inline constexpr std::array<icmp_error, icmp_code::nr_icmp_unreach + 1> icmp_err_convert{{
    {std::errc::network_unreachable, false},              // net_unreach
    {std::errc::host_unreachable, false},                 // host_unreach
    {std::errc::no_protocol_option, true},                // prot_unreach
    {std::errc::connection_refused, true},                // port_unreach
    {std::errc::message_size, false},                     // frag_needed
    {std::errc::operation_not_supported, false},          // sr_failed
    {std::errc::network_unreachable, true},               // net_unknown
    {static_cast<std::errc>(112) /* EHOSTDOWN */, true},  // host_unknown
    {static_cast<std::errc>(64) /* ENONET */, true},      // host_isolated
    {std::errc::network_unreachable, true},               // net_ano
    {std::errc::host_unreachable, true},                  // host_ano
    {std::errc::network_unreachable, false},              // net_unr_tos
    {std::errc::host_unreachable, false},                 // host_unr_tos
    {std::errc::host_unreachable, true},                  // pkt_filtered
    {std::errc::host_unreachable, true},                  // prec_violation
    {std::errc::host_unreachable, true},                  // prec_cutoff
}};

/// The errno of an ICMP error; none: nothing that a socket is told.
inline icmp_error icmp_to_errno(u8 type, u8 code, ip_pmtudisc pmtudisc) {
  switch (type) {
    case icmp_type::time_exceeded: return {std::errc::host_unreachable, false};
    case icmp_type::parameterprob: return {std::errc::protocol_error, true};
    case icmp_type::dest_unreach:
      if (code == icmp_code::frag_needed)
        return pmtudisc == ip_pmtudisc::dont ? icmp_error{} : icmp_error{std::errc::message_size, true};
      return code <= icmp_code::nr_icmp_unreach ? icmp_err_convert[code]
                                                : icmp_error{std::errc::host_unreachable, false};
    default: return {};
  }
}

}  // namespace detail

}  // namespace netstack
