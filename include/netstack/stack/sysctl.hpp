// SPDX-License-Identifier: BSL-1.0
// Decides: what /proc/sys/net is to a program: read, write and list settings by path, in the namespace that the caller
// names. A write is parsed and checked once, then applied by rtnl() in every worker's slice, so that they agree; a
// worker that polls elsewhere follows with its next poll(). [S23] [S29] [S30] [S31] [S32]
// Linux: fs/proc/proc_sysctl.c, net/sysctl_net.c
#pragma once
#include "netstack/core/rtnl.hpp"
#include "netstack/stack/net.hpp"
#include "netstack/stack/sysctl_text.hpp"

namespace netstack {

namespace detail {

/// Which row, and for a per-device row, of which device.
struct ctl_place {
  u16 row = 0;
  u32 which = 0;
};

template <class Net>
void* ctl_data(Net& net, ctl_place at) {
  auto const& bound = Net::ctl_tables[at.row];
  return bound.row.data(&net, bound.pernet(net), at.which);
}

template <class Net>
std::size_t ctl_find_row(std::string_view path) {
  return tables::find_path(Net::ctl_tables, path, [](auto const& r) { return r.row.procname; });
}

/// "all", "default" or a device of this namespace.
template <class Net>
bool ctl_which(Net& net, std::string_view name, u32& which) {
  which = name == "all" ? ctl_all : name == "default" ? ctl_default : 0;
  if (which != 0) return true;
  if (auto* dev = net.dev_get_by_name(name)) which = dev->ifindex;
  return which != 0;
}

/// Error: no_such_file_or_directory, also for another namespace's and for an absent device's.
template <class Net>
result<ctl_place> ctl_find(Net& net, std::string_view path) {
  auto const found = [&](std::size_t row, u32 which) -> result<ctl_place> {
    auto const& r = Net::ctl_tables[row].row;
    ctl_place const at{static_cast<u16>(row), which};
    bool const here = (net.index == 0 || !r.init_net_only) && (r.type == ctl_type::custom || ctl_data(net, at));
    if (!here) return failure{std::errc::no_such_file_or_directory};
    return at;
  };
  if (path.find('*') != std::string_view::npos) return failure{std::errc::no_such_file_or_directory};
  std::size_t row = ctl_find_row<Net>(path);
  if (row < Net::ctl_tables.size()) return found(row, 0);
  for (std::size_t begin = path.find('/'); begin != std::string_view::npos; begin = path.find('/', begin + 1)) {
    std::size_t const end = path.find('/', begin + 1);
    char pattern[128];
    if (end == std::string_view::npos || path.size() > sizeof pattern) break;
    seq_file key{pattern};
    seq_puts(key, path.substr(0, begin + 1));
    seq_putc(key, '*');
    seq_puts(key, path.substr(end));
    row = ctl_find_row<Net>(key.text());
    if (u32 which = 0; row < Net::ctl_tables.size() && ctl_which(net, path.substr(begin + 1, end - begin - 1), which))
      return found(row, which);
  }
  return failure{std::errc::no_such_file_or_directory};
}

/// The operation that rtnl() carries to every slice: puts the new value in place. One that is there already changes
/// nothing: ip_forward=0 on a host leaves alone the device that was told to forward.
template <class Net>
struct ctl_set {
  ctl_place at;
  ctl_value value;

  result<void> operator()(Net& slice) const {
    void* const data = ctl_data(slice, at);
    if (!data) return failure{std::errc::no_such_file_or_directory};
    auto const& row = Net::ctl_tables[at.row].row;
    if (std::memcmp(data, value.data, value.bytes) == 0 && !row.on_write) return {};
    std::byte old[ctl_value_max];
    std::memcpy(old, data, value.bytes);
    std::memcpy(data, value.data, value.bytes);
    if (!row.changed) return {};
    auto const r = row.changed(&slice, at.which);
    if (!r) std::memcpy(data, old, value.bytes);
    return r;
  }
};

/// A bitmap does not fit into one message: the first clears it, each adds some ranges, the last calls `changed`.
template <class Net>
struct ctl_set_ranges {
  static constexpr u8 most = 12;
  ctl_place at;
  u8 n = 0;
  bool first = true, last = false;
  u16 ranges[most][2]{};

  result<void> operator()(Net& slice) const {
    auto const& row = Net::ctl_tables[at.row].row;
    auto* const words = static_cast<u64*>(ctl_data(slice, at));
    if (!words) return failure{std::errc::no_such_file_or_directory};
    if (first) std::memset(words, 0, row.count / 8);
    for (u8 i = 0; i < n; ++i)
      for (u32 bit = ranges[i][0]; bit <= ranges[i][1]; ++bit) words[bit / 64] |= u64{1} << (bit % 64);
    return last && row.changed ? row.changed(&slice, at.which) : result<void>{};
  }
};

template <class Net>
result<void> ctl_write_bitmap(Net& net, ctl_place at, std::string_view text) {
  u32 const bits = Net::ctl_tables[at.row].row.count;
  if (auto r = ctl_parse_ranges(text, bits, [](u16, u16) {}); !r) return r;  // all of it is good before any is stored
  ctl_set_ranges<Net> op{.at = at};
  result<void> sent;
  (void)ctl_parse_ranges(text, bits, [&](u16 low, u16 high) {
    if (!sent) return;
    if (op.n == op.most) {
      sent = rtnl(net, op);
      op.first = false;
      op.n = 0;
    }
    op.ranges[op.n][0] = low;
    op.ranges[op.n++][1] = high;
  });
  op.last = true;
  return sent ? rtnl(net, op) : sent;
}

}  // namespace detail

/// The text of a setting ("64\n") into `out`; how many bytes. Errors: no_such_file_or_directory, permission_denied (a
/// write-only one), no_buffer_space (the text is longer than `out`; `out` holds its start).
template <class Net>
result<std::size_t> sysctl_read(Net& net, std::string_view path, std::span<char> out) {
  auto const at = detail::ctl_find(net, path);
  if (!at) return failure{at.error()};
  auto const& row = Net::ctl_tables[at->row].row;
  if ((row.mode & 0444) == 0) return failure{std::errc::permission_denied};
  seq_file m{out};
  if (row.type != ctl_type::custom) {
    detail::ctl_show_value(row, detail::ctl_data(net, *at), m);
  } else {
    if (!row.show) return failure{std::errc::permission_denied};
    for (seq_cursor cursor; row.show(&net, m, cursor);) {
    }
  }
  if (m.has_overflowed()) return failure{std::errc::no_buffer_space};
  return m.count();
}

/// Sets a setting from its text, in all workers' slices of the namespace. Errors: no_such_file_or_directory,
/// permission_denied (read-only), invalid_argument (no number, out of bounds, too many or too long; the old value
/// stays), resource_unavailable_try_again (a worker's control ring is full; of a bitmap with more than 12 ranges a part
/// may be set then), or the setting's own.
template <class Net>
result<void> sysctl_write(Net& net, std::string_view path, std::string_view text) {
  auto const at = detail::ctl_find(net, path);
  if (!at) return failure{at.error()};
  auto const& row = Net::ctl_tables[at->row].row;
  if ((row.mode & 0222) == 0) return failure{std::errc::permission_denied};
  if (row.type == ctl_type::custom) {
    if (!row.store) return failure{std::errc::permission_denied};
    return row.store(&net, text);
  }
  if (row.type == ctl_type::bitmap) return detail::ctl_write_bitmap(net, *at, text);
  auto const value = detail::ctl_parse(row, text);
  if (!value) return failure{value.error()};
  return rtnl(net, detail::ctl_set<Net>{*at, *value});
}

/// f(std::string_view path, ctl_table const&) for every setting that this namespace has, by path; a per-device one
/// under all, default and each device that has it.
template <class Net, class F>
void sysctl_for_each(Net& net, F f) {
  for (std::size_t i = 0; i < Net::ctl_tables.size(); ++i) {
    auto const& row = Net::ctl_tables[i].row;
    std::string_view const path = row.procname;
    std::size_t const star = path.find('*');
    if (row.init_net_only && net.index != 0) continue;
    if (star == std::string_view::npos) {
      f(path, row);
      continue;
    }
    auto const visit = [&](std::string_view name, u32 which) {
      if (!detail::ctl_data(net, {static_cast<u16>(i), which})) return;
      char expanded[160];
      seq_file m{expanded};
      seq_puts(m, path.substr(0, star));
      seq_puts(m, name);
      seq_puts(m, path.substr(star + 1));
      f(m.text(), row);
    };
    visit("all", ctl_all);
    visit("default", ctl_default);
    for (auto& dev : net.dev_base) visit(dev.ifname(), dev.ifindex);
  }
}

}  // namespace netstack
