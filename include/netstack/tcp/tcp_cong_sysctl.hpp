// SPDX-License-Identifier: BSL-1.0
// Decides: the three settings that name congestion control algorithms: what new connections get, what there is, and
// what may be chosen without privilege.
// called by sysctl_read and sysctl_write through ctl_tables
// Linux: net/ipv4/sysctl_net_ipv4.c (proc_tcp_congestion_control, proc_allowed_congestion_control), net/ipv4/tcp_cong.c
#pragma once
#include "netstack/core/rtnl.hpp"
#include "netstack/registry/sysctl.hpp"
#include "netstack/tcp/tcp_cong.hpp"

namespace netstack::detail {

[[nodiscard]] constexpr std::string_view next_word(std::string_view& text) {
  auto const space = [](char c) { return c == ' ' || c == '\t' || c == '\n'; };
  while (!text.empty() && space(text.front())) text.remove_prefix(1);
  std::size_t n = 0;
  while (n < text.size() && !space(text[n])) ++n;
  auto const word = text.substr(0, n);
  text.remove_prefix(n);
  return word;
}

/// The names of these rows, in one line.
template <class Net>
void tcp_ca_names(seq_file& m, u64 rows) {
  char const* separator = "";
  for (std::size_t i = 0; i < Net::tcp_congestion.rows.size(); ++i)
    if (rows >> i & 1) seq_puts(m, separator), seq_puts(m, Net::tcp_congestion.rows[i].name), separator = " ";
  seq_putc(m, '\n');
}

template <class Net>
bool tcp_congestion_control_show(Net& net, seq_file& m, seq_cursor& at) {
  if (at.index++ == 0) tcp_ca_names<Net>(m, u64{1} << tcp_pernet(net).congestion_control);
  return false;
}
/// Errors: no_such_file_or_directory.
template <class Net>
result<void> tcp_congestion_control_store(Net& net, std::string_view text) {
  std::size_t const row = tcp_ca_find<Net>(next_word(text));
  if (row == Net::tcp_congestion.rows.size()) return failure{std::errc::no_such_file_or_directory};
  return rtnl(net, [row = static_cast<u8>(row)](Net& slice) -> result<void> {
    tcp_pernet(slice).congestion_control = row;
    // What is the default may be asked for by name.
    tcp_worker_of(slice).congestion_allowed |= u64{1} << row;
    return {};
  });
}

template <class Net>
bool tcp_available_congestion_control_show(Net&, seq_file& m, seq_cursor& at) {
  if (at.index++ == 0) tcp_ca_names<Net>(m, ~u64{0});
  return false;
}

template <class Net>
bool tcp_allowed_congestion_control_show(Net& net, seq_file& m, seq_cursor& at) {
  if (at.index++ == 0) tcp_ca_names<Net>(m, tcp_worker_of(net).congestion_allowed);
  return false;
}
/// All of the names, or nothing changes. Errors: no_such_file_or_directory.
template <class Net>
result<void> tcp_allowed_congestion_control_store(Net& net, std::string_view text) {
  u64 allowed = 0;
  for (auto word = next_word(text); !word.empty(); word = next_word(text)) {
    std::size_t const row = tcp_ca_find<Net>(word);
    if (row == Net::tcp_congestion.rows.size()) return failure{std::errc::no_such_file_or_directory};
    allowed |= u64{1} << row;
  }
  return rtnl(net, [allowed](Net& slice) -> result<void> {
    tcp_worker_of(slice).congestion_allowed = allowed;
    return {};
  });
}

/// What may be chosen at first.
template <class Net>
constexpr u64 tcp_ca_non_restricted() {
  static_assert(Net::tcp_congestion.rows.size() <= 64);
  u64 rows = u64{1} << Net::tcp_congestion.first;
  for (std::size_t i = 0; i < Net::tcp_congestion.rows.size(); ++i)
    if (Net::tcp_congestion.rows[i].non_restricted) rows |= u64{1} << i;
  return rows;
}

}  // namespace netstack::detail
