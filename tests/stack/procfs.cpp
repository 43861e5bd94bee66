// SPDX-License-Identifier: BSL-1.0
// Texts under /proc/net: read in pieces of any size while records come and go; those of the device layer beside the
// running kernel's.
#include "netstack/stack/procfs.hpp"

#include <cstdlib>
#include <cstring>

#include "netstack/drivers/pipe.hpp"
#include "netstack/stack/stack.hpp"
#include "support/privileges.hpp"
#include "support/proc_text.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

/// A test module with a list whose members come and go, and a text of one record.
struct list_state {
  std::vector<u64> numbers{1, 2, 3, 5, 8, 13, 21, 34};
  bool wide = false;
};
struct lists : module {
  using pernet = list_state;
  /// Each number with a line of its own; the cursor remembers the last one shown, not a position.
  template <class Net>
  static bool numbers_show(Net& net, seq_file& m, seq_cursor& at) {
    for (u64 n : net_generic<lists>(net).numbers)
      if (n > at.key) {
        at.key = n;
        seq_put_decimal_ull(m, "", n, net_generic<lists>(net).wide ? 40 : 4);
        seq_putc(m, '\n');
        return true;
      }
    return false;
  }
  template <class Net>
  static bool single_show(Net&, seq_file& m, seq_cursor& at) {
    if (at.index++ != 0) return false;
    std::size_t const start = m.count();
    seq_printf(m, "%08X:%04X %-6s|%5d", 0x0100007Fu, 0x1E6Bu, "abc", -42);
    seq_pad(m, start, 40, '\n');
    return true;
  }
  template <class Net>
  static bool long_show(Net&, seq_file& m, seq_cursor& at) {
    if (at.index++ != 0) return false;
    m.fill('x', seq_record_max + 100);
    CHECK(m.has_overflowed());
    return true;
  }
  template <class Net>
  static constexpr std::array proc{
      proc_entry<Net>{.name = "net/numbers", .show = numbers_show<Net>, .header = "n\n--\n"},
      proc_entry<Net>{.name = "net/a_single", .show = single_show<Net>},
      proc_entry<Net>{.name = "net/long", .show = long_show<Net>},
  };
};
template <class Net>
verdict ignore(Net&, sk_buff&) {
  return verdict::free(drop_reason::not_specified);
}
struct handlers : module {
  template <class Net>
  static constexpr std::array packet_types{
      packet_type<Net>{.type = eth_p::ip, .func = ignore<Net>, .name = "ip_rcv"},
      packet_type<Net>{.type = eth_p::arp, .func = ignore<Net>, .name = "arp_rcv"},
      packet_type<Net>{.type = eth_p::all, .dev = "lo", .func = ignore<Net>, .name = "packet_rcv"},
  };
};

struct host : stack<host, lists, handlers, drivers::pipe, sizes<config{.max_net = 2, .skb_pool = 64}>> {};
struct without_lists : stack<without_lists, handlers, sizes<config{.skb_pool = 64}>> {};

struct cable_holder {
  drivers::pipe_cable cable;  // outlives the devices on it
};
struct booted : cable_holder, host {
  booted() { REQUIRE(boot()); }
  net_device& add_device(netstack::net<host>& net, char const* name) {
    drivers::pipe::params p{};
    p.cables = &cable;
    p.wakeup = false;
    p.end = ends++;
    auto dev = register_netdev<drivers::pipe>(net, name, p);
    REQUIRE(dev);
    return **dev;
  }
  u8 ends = 0;
};

}  // namespace

TEST_CASE("pieces of any size concatenate to the full text", "[S183]") {
  booted h;
  auto& net = h.init_net();
  net.loopback_dev->stats.rx_bytes += 123456;
  for (auto const& entry : netstack::net<host>::proc_entries) {
    CAPTURE(entry.name);
    std::string const full = proc_text(net, entry.name);
    for (std::size_t size : {1u, 2u, 3u, 7u, 64u, 100u, 4096u}) {
      CAPTURE(size);
      auto file = proc_open(net, entry.name);
      REQUIRE(file);
      std::string text;
      std::vector<char> piece(size);
      while (std::size_t const n = file->read(net, piece)) {
        CHECK(n <= size);
        text.append(piece.data(), n);
      }
      CHECK(text == full);
      CHECK(file->read(net, piece) == 0);
    }
    // By offset, a byte at a time and from every start.
    std::string text;
    char byte;
    while (true) {
      auto const n = proc_read(net, entry.name, text.size(), {&byte, 1});
      REQUIRE(n);
      if (*n == 0) break;
      text += byte;
    }
    CHECK(text == full);
    char rest[8192];
    for (std::size_t from = 0; from <= full.size() + 2; from += 5) {
      auto const n = proc_read(net, entry.name, from, rest);
      REQUIRE(n);
      CHECK(std::string(rest, *n) == full.substr(std::min(from, full.size())));
    }
  }
}

TEST_CASE("a reader goes on where it stopped, whatever came or went meanwhile", "[S183]") {
  booted h;
  auto& net = h.init_net();
  auto& numbers = net_generic<lists>(net).numbers;
  auto file = proc_open(net, "net/numbers");
  REQUIRE(file);
  char piece[15];
  REQUIRE(file->read(net, piece) == 15);
  CHECK(std::string(piece, 15) == "n\n--\n   1\n   2\n");
  numbers = {2, 4, 8, 100};  // 1 and 3 went, 4 and 100 came
  CHECK(file->read(net, {piece, 2}) == 2);
  net_generic<lists>(net).wide = true;  // the record that is being read stays what it was
  CHECK(file->read(net, {piece + 2, 3}) == 3);
  CHECK(std::string(piece, 5) == "   4\n");
  net_generic<lists>(net).wide = false;
  std::string rest;
  while (std::size_t const n = file->read(net, piece)) rest.append(piece, n);
  CHECK(rest == "   8\n 100\n");
  numbers.push_back(200);  // and what comes after the end is found by the next read
  CHECK(file->read(net, piece) == 5);
}

TEST_CASE("an unknown name, a module that is not composed, a record that is too long", "[S9]") {
  booted h;
  char text[2048];
  CHECK(proc_read(h.init_net(), "net/nothing", 0, text).error() == std::errc::no_such_file_or_directory);
  CHECK(proc_open(h.init_net(), "net/number").error() == std::errc::no_such_file_or_directory);
  CHECK(proc_read(h.init_net(), "net/long", 0, text).value_or(0) == seq_record_max);
  without_lists bare;
  REQUIRE(bare.boot());
  CHECK(proc_open(bare.init_net(), "net/numbers").error() == std::errc::no_such_file_or_directory);
  CHECK(proc_open(bare.init_net(), "net/dev").has_value());
  for (auto const& entry : netstack::net<without_lists>::proc_entries)
    CHECK(std::string_view(entry.name) != "net/numbers");
}

TEST_CASE("the formatter's helpers", "[S183]") {
  booted h;
  CHECK(proc_text(h.init_net(), "net/a_single") == "0100007F:1E6B abc   |  -42              \n");
  char text[64];
  seq_file m{text};
  seq_put_decimal_ull(m, "", 18446744073709551615u, 4);
  seq_put_decimal_ll(m, ",", -9223372036854775807 - 1);
  seq_put_hex_ll(m, ",", 0xab, 4);
  seq_put_hex_ll(m, ",", 0);
  CHECK(m.text() == "18446744073709551615,-9223372036854775808,00ab,0");
  CHECK_FALSE(m.has_overflowed());
  seq_puts(m, "seventeen more...");
  CHECK(m.has_overflowed());
  CHECK(m.count() == sizeof text);
}

TEST_CASE("a text shows the namespace it is read in", "[S170]") {
  booted h;
  auto& first = h.init_net();
  auto other = h.copy_net_ns();
  REQUIRE(other);
  h.add_device(first, "eth0");
  net_generic<lists>(**other).numbers = {7};
  CHECK(proc_text(first, "net/dev").find("eth0:") != std::string::npos);
  CHECK(proc_text(**other, "net/dev").find("eth0:") == std::string::npos);
  CHECK(proc_text(**other, "net/dev").find("    lo:") != std::string::npos);
  CHECK(proc_text(**other, "net/numbers") == "n\n--\n   7\n");
  h.put_net(**other);
}

TEST_CASE("/proc/net/dev is the kernel's, byte for byte with the same numbers", "[proc]") {
  booted h;
  auto& net = h.init_net();
  auto const host_lines = lines_of(host_text("/proc/net/dev"));
  REQUIRE(host_lines.size() > 2);
  auto const ours = lines_of(proc_text(net, "net/dev"));
  REQUIRE(ours.size() == 3);
  CHECK(ours[0] == host_lines[0]);
  CHECK(ours[1] == host_lines[1]);
  // The statistics of each of the kernel's devices go into one of ours; its line must be the kernel's.
  for (std::size_t i = 2; i < host_lines.size(); ++i) {
    auto words = words_of(host_lines[i]);
    auto const name = words.at(0).substr(0, words.at(0).size() - 1);
    CAPTURE(host_lines[i]);
    if (words.size() != 17 || words[7] != "0" || words[16] != "0") continue;
    booted fresh;
    auto& dev = name == "lo" ? *fresh.init_net().loopback_dev : fresh.add_device(fresh.init_net(), name.c_str());
    auto& s = dev.stats;
    counter* const rx[] = {&s.rx_bytes,       &s.rx_packets,    &s.rx_errors, &s.rx_missed_errors,
                           &s.rx_fifo_errors, &s.rx_crc_errors, nullptr,      &s.multicast};
    counter* const tx[] = {&s.tx_bytes,       &s.tx_packets, &s.tx_errors,        &s.tx_dropped,
                           &s.tx_fifo_errors, &s.collisions, &s.tx_window_errors, nullptr};
    for (std::size_t k = 0; k < 8; ++k) {
      if (rx[k]) *rx[k] += std::stoull(words[1 + k]);
      if (tx[k]) *tx[k] += std::stoull(words[9 + k]);
    }
    auto const text = lines_of(proc_text(fresh.init_net(), "net/dev"));
    CHECK(text.back() == host_lines[i]);
  }
}

TEST_CASE("each statistic of a device stands in its column", "[proc]") {
  booted h;
  auto& s = h.init_net().loopback_dev->stats;
  s.rx_bytes += 1, s.rx_packets += 2, s.rx_errors += 3, s.rx_dropped += 4, s.rx_missed_errors += 5;
  s.rx_fifo_errors += 6, s.rx_length_errors += 7, s.rx_over_errors += 8, s.rx_crc_errors += 9, s.rx_frame_errors += 10;
  s.multicast += 11, s.tx_bytes += 12, s.tx_packets += 13, s.tx_errors += 14, s.tx_dropped += 15,
      s.tx_fifo_errors += 16;
  s.collisions += 17, s.tx_aborted_errors += 18, s.tx_carrier_errors += 19, s.tx_heartbeat_errors += 20;
  s.tx_window_errors += 21;
  auto const words = words_of(lines_of(proc_text(h.init_net(), "net/dev"))[2]);
  CHECK(words == std::vector<std::string>{"lo:", "1", "2", "3", "9", "6", "34", "0", "11", "12", "13", "14", "15", "16",
                                          "17", "78", "0"});
}

TEST_CASE("an interface with a queue in each worker shows their sums; another namespace's of its number does not count",
          "[proc]") {
  struct two : stack<two, handlers, drivers::pipe, sizes<config{.workers = 2, .max_net = 2, .skb_pool = 64}>> {};
  drivers::pipe_cable cables[2];
  two h;
  REQUIRE(h.boot());
  drivers::pipe::params p{};
  p.wakeup = false;
  for (u32 w = 0; w < 2; ++w) {
    p.cables = cables;
    p.queues = 2;
    auto dev = register_netdev<drivers::pipe>(h.init_net(w), "eth0", p, 7);
    REQUIRE(dev);
    (*dev)->stats.rx_bytes += 1000 + w;
    (*dev)->stats.tx_window_errors += 5;
  }
  auto const row = [&](netstack::net<two>& net) { return words_of(lines_of(proc_text(net, "net/dev")).back()); };
  for (u32 w = 0; w < 2; ++w) {
    CHECK(row(h.init_net(w))[0] == "eth0:");
    CHECK(row(h.init_net(w))[1] == "2001");
    CHECK(row(h.init_net(w))[15] == "10");
  }
  auto other = h.copy_net_ns();
  REQUIRE(other);
  h.poll(1);
  (*other)->loopback_dev->stats.rx_bytes += 3;
  CHECK(row(**other)[0] == "lo:");
  CHECK(row(**other)[1] == "3");
  unregister_netdev(h.init_net(1), *h.init_net(1).dev_get_by_index(7));
  CHECK(row(h.init_net(0))[1] == "1000");
  h.put_net(**other);
}

TEST_CASE("/proc/net/dev_mcast lists the multicast filters", "[S69]") {
  booted h;
  auto& net = h.init_net();
  auto& dev = h.add_device(net, "eth0");
  dev.mc_count = 0;
  CHECK(proc_text(net, "net/dev_mcast").empty());
  dev.mc_list[0] = {{0x33, 0x33, 0, 0, 0, 1}};
  dev.mc_list[1] = {{0x01, 0x00, 0x5e, 0, 0, 1}};
  dev.mc_refs[0] = 1, dev.mc_refs[1] = 12;
  dev.mc_count = 2;
  auto const ours = lines_of(proc_text(net, "net/dev_mcast"));
  REQUIRE(ours.size() == 2);
  CHECK(ours[0] == "2    eth0            1     0     333300000001");
  CHECK(ours[1] == "2    eth0            12    0     01005e000001");
  if (skip_without_file("/proc/net/dev_mcast")) return;
  for (auto const& line : lines_of(host_text("/proc/net/dev_mcast"))) {
    auto const words = words_of(line);
    REQUIRE(words.size() == 5);
    char again[128];
    std::snprintf(again, sizeof again, "%-4s %-15s %-5s %-5s %s", words[0].c_str(), words[1].c_str(), words[2].c_str(),
                  words[3].c_str(), words[4].c_str());
    CHECK(line == again);  // the widths that ours[] was written with
  }
}

TEST_CASE("/proc/net/ptype has the kernel's columns", "[S84]") {
  booted h;
  auto const ours = lines_of(proc_text(h.init_net(), "net/ptype"));
  auto const host_lines = lines_of(host_text("/proc/net/ptype"));
  REQUIRE(ours.size() == 4);
  REQUIRE_FALSE(host_lines.empty());
  CHECK(ours[0] == host_lines[0]);
  CHECK(ours[1] == "ALL  lo       packet_rcv");
  CHECK(std::find(ours.begin(), ours.end(), "0806          arp_rcv") != ours.end());
  int same = 0;  // the kernel has ip_rcv, and arp_rcv with IPv4
  for (auto const& line : host_lines)
    if (line.find(" ip_rcv") != std::string::npos || line.find(" arp_rcv") != std::string::npos)
      same += std::find(ours.begin(), ours.end(), line) != ours.end();
  CHECK(same == 2);
}

TEST_CASE("/proc/net/softnet_stat has the kernel's columns, a line per worker", "[proc]") {
  struct two : stack<two, handlers, sizes<config{.workers = 2, .max_net = 1, .skb_pool = 64}>> {};
  two h;
  REQUIRE(h.boot());
  auto& sd = h.worker(1).softnet;
  sd.processed += 0x37d, sd.dropped += 2, sd.time_squeeze += 3, sd.received_rps += 4, sd.flow_limit_count += 5;
  auto const ours = lines_of(proc_text(h.init_net(1), "net/softnet_stat"));
  REQUIRE(ours.size() == 2);
  CHECK(ours[1] ==
        "0000037d 00000002 00000003 00000000 00000000 00000000 00000000 00000000 00000000 00000004 00000005 00000000 "
        "00000001 00000000 00000000");
  for (auto const& line : lines_of(host_text("/proc/net/softnet_stat"))) CHECK(masked(line) == masked(ours[0]));
}

TEST_CASE("drop reasons and the pool's balance as texts", "[proc]") {
  booted h;
  auto& net = h.init_net();
  CHECK(proc_text(net, "net/drop_reasons").empty());
  auto* skb = h.worker().pool.alloc_skb();
  REQUIRE(skb);
  skb->dev = net.loopback_dev;
  CHECK(words_of(lines_of(proc_text(net, "net/skb_pool"))[1])[1] == "1");
  kfree_skb(net, *skb, drop_reason::dev_down);
  CHECK(proc_text(net, "net/drop_reasons") == "DEV_DOWN                 1\n");
  auto const balance = lines_of(proc_text(net, "net/skb_pool"));
  REQUIRE(balance.size() == 2);
  CHECK(words_of(balance[0]).size() == words_of(balance[1]).size());
  CHECK(words_of(balance[1]) == std::vector<std::string>{"0", "0", "64", "1", "0", "0", "0"});
  std::string seen;
  for_each_drop(net, [&](std::string_view name, u64 n) { seen += std::string(name) + "=" + std::to_string(n); });
  CHECK(seen == "DEV_DOWN=1");
}
