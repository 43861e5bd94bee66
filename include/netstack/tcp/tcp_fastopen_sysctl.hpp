// SPDX-License-Identifier: BSL-1.0
// Decides: the text of a server's Fast Open keys: four groups of hexadecimal digits each, the one by which cookies are
// made first, and behind a comma one by which older ones were: hosts that answer for one address share both, and change
// them without turning a client away.
// called by sysctl_read and sysctl_write through ctl_tables
// Linux: net/ipv4/sysctl_net_ipv4.c (proc_tcp_fastopen_key), net/ipv4/tcp_fastopen.c (tcp_fastopen_reset_cipher)
#pragma once
#include <charconv>

#include "netstack/core/rtnl.hpp"
#include "netstack/registry/sysctl.hpp"
#include "netstack/tcp/tcp_sock.hpp"

namespace netstack::detail {

/// Takes one key off the text. False: it does not begin with one.
inline bool tcp_fastopen_key_parse(std::string_view& text, siphash_key_t& key) {
  u32 group[4]{};
  for (u32 i = 0; i < 4; ++i) {
    if (i != 0) {
      if (text.empty() || text.front() != '-') return false;
      text.remove_prefix(1);
    }
    auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), group[i], 16);
    if (error != std::errc{}) return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  }
  key = {{group[0] | u64{group[1]} << 32, group[2] | u64{group[3]} << 32}};
  return true;
}

template <class Net>
bool tcp_fastopen_key_show(Net& net, seq_file& m, seq_cursor& at) {
  if (at.index++ != 0) return false;
  auto const& ctx = tcp_pernet(net).fastopen_ctx;
  for (u32 i = 0; i < ctx.num; ++i) {
    auto const& half = ctx.key[i].key;
    seq_printf(m, "%s%08x-%08x-%08x-%08x", i != 0 ? "," : "", static_cast<u32>(half[0]),
               static_cast<u32>(half[0] >> 32), static_cast<u32>(half[1]), static_cast<u32>(half[1] >> 32));
  }
  seq_putc(m, '\n');
  return false;
}
/// Errors: invalid_argument.
template <class Net>
result<void> tcp_fastopen_key_store(Net& net, std::string_view text) {
  tcp_fastopen_context ctx;
  bool good = tcp_fastopen_key_parse(text, ctx.key[0]);
  bool const two = good && !text.empty() && text.front() == ',';
  if (two) text.remove_prefix(1), good = tcp_fastopen_key_parse(text, ctx.key[1]);
  if (!good) return failure{std::errc::invalid_argument};
  ctx.num = 1u + two;
  return rtnl(net, [ctx](Net& slice) -> result<void> { return tcp_pernet(slice).fastopen_ctx = ctx, result<void>{}; });
}
/// Who sets the time, be it the same, begins anew.
template <class Net>
result<void> tcp_fastopen_blackhole_changed(Net& net, u32) {
  tcp_pernet(net).tfo_active_disable_times = 0;
  return {};
}

}  // namespace netstack::detail
