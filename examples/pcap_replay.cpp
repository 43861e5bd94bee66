// SPDX-License-Identifier: BSL-1.0
// Plays a capture (pcap or pcapng) to a host, by the times of its recording or as fast as the host takes it, and keeps
// what the host answers and what it rejects, each rejected packet with the reason as Wireshark's packet comment.
// Frames are for the host that has their address: --mac (and --addr) make it the recorded one.
//   pcap_replay FILE [--addr A/P] [--mac M] [--full-speed] [--filter F] [--answers FILE] [--drops FILE]
// RUN: --self-test
// OUTPUT: ^received 4 frames, answered with 3$
// OUTPUT: ^IP_CSUM +1$
#include <CLI/CLI.hpp>
#include <filesystem>
#include <fstream>

#include "netstack/drivers/drop_capture.hpp"
#include "netstack/drivers/pcap.hpp"
#include "netstack/netstack.hpp"

using namespace netstack;
struct host : stack<host, presets::host, drivers::pcap, drivers::drop_capture> {};

static int fail(std::string const& what, std::string_view why) {
  std::fprintf(stderr, "pcap_replay: %s: %.*s\n", what.c_str(), static_cast<int>(why.size()), why.data());
  return 1;
}

/// Two pings to 192.0.2.2 with their ARP, the second 10 ms after the first, and one that was damaged on the way.
static void write_sample(char const* path) {
  static constexpr unsigned char request[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0,   9, 8, 6,
                                              0,    1,    8,    0,    6,    4,    0, 1, 2, 0, 0,   0, 0, 9,
                                              192,  0,    2,    9,    0,    0,    0, 0, 0, 0, 192, 0, 2, 2};
  static constexpr unsigned char ping[] = {2,    0, 0,   0,  0, 1, 2, 0, 0,    0,    0,    9,    8,   0,
                                           0x45, 0, 0,   28, 0, 0, 0, 0, 64,   1,    0xf6, 0xd5, 192, 0,
                                           2,    9, 192, 0,  2, 2, 8, 0, 0xf7, 0xff, 0,    0,    0,   0};
  std::FILE* const file = std::fopen(path, "wb");
  if (!file) return;
  auto const put = [file](std::initializer_list<u32> words) { std::fwrite(words.begin(), 4, words.size(), file); };
  put({0xa1b23c4d, 0x00040002, 0, 0, 65535, 1});
  auto const frame = [&](u32 ns, unsigned char const* bytes, u32 n, bool damaged = false) {
    put({1'700'000'000, ns, n, n});
    for (u32 i = 0; i < n; ++i) std::fputc(bytes[i] ^ (damaged && i == 24 ? 0xff : 0), file);
  };
  frame(0, request, sizeof request), frame(1'000'000, ping, sizeof ping), frame(11'000'000, ping, sizeof ping);
  frame(12'000'000, ping, sizeof ping, true);
  std::fclose(file);
}

/// Files that were created for what cannot be done after all: they go again.
struct created {
  std::vector<std::filesystem::path> files{};
  ~created() {
    std::error_code none;
    for (auto const& file : files) std::filesystem::remove(file, none);
  }
};
/// A file to be written: not one of those that are read or written already; created, but not emptied yet.
static bool writable(std::string const& path, std::initializer_list<std::string const*> others, created& fresh) {
  std::error_code none;
  bool const there = std::filesystem::exists(path, none);
  for (auto const* other : others)
    if (std::filesystem::equivalent(path, *other, none)) {
      fail(path, "this is the same file as " + *other + ": name another");
      return false;
    }
  if (!std::ofstream(path, std::ios::app)) return fail(path, "this file cannot be written"), false;
  if (!there) fresh.files.push_back(std::filesystem::canonical(path, none));
  return true;
}
/// What could not be written of a file, if anything: false.
static bool whole(std::string const& path, u64 lost) {
  if (lost != 0) fail(path, std::to_string(lost) + " frames could not be written: is the disk full?");
  return lost == 0;
}

int main(int argc, char** argv) {
  CLI::App app{"Replays a capture to a host"};
  std::string file, addr = "192.0.2.2/24", mac, filter, answers, drops;
  bool full_speed = false, self_test = false;
  app.add_option("FILE", file, "pcap or pcapng");
  app.add_option("--addr", addr, "the host's address, A/P");
  app.add_option("--mac", mac, "the host's Ethernet address, 02:00:00:00:00:01 if none is given");
  app.add_flag("--full-speed", full_speed, "do not wait for the times of the recording");
  app.add_option("--filter", filter, "pcap-filter(7): which frames to play");
  app.add_option("--answers", answers, "keep what the host sends (pcap, or .pcapng)");
  app.add_option("--drops", drops, "keep what the host rejects (pcapng)");
  app.add_flag("--self-test", self_test, "play a sample");
  CLI11_PARSE(app, argc, argv);
  if (self_test) write_sample((file = "pcap_replay.pcap").c_str());
  auto const ours = mac.empty() ? mac_addr{} : parse_mac(mac);
  if (!ours || (!mac.empty() && (ours->is_zero() || ours->is_multicast())))
    return fail(mac, "a host's Ethernet address looks like 02:00:00:00:00:01");
  created fresh;
  if (!answers.empty() && !writable(answers, {&file}, fresh)) return 1;
  if (!drops.empty() && !writable(drops, {&file, &answers}, fresh)) return 1;

  host h;
  if (auto r = h.boot(); !r) return fail("boot", std::make_error_code(r.error()).message());
  auto& net = h.init_net();
  auto const made =
      register_netdev<drivers::pcap>(net, "eth0",
                                     {.file = file.c_str(),
                                      .dump = answers.empty() ? nullptr : answers.c_str(),
                                      .filter = filter.empty() ? nullptr : filter.c_str(),
                                      .speed = full_speed ? drivers::pcap_speed::full : drivers::pcap_speed::recorded,
                                      .mac = *ours});
  if (!made)
    return fail(made.error() == std::errc::no_space_on_device ? answers : file, drivers::pcap::explain(made.error()));
  auto const prefix = parse_prefix(addr);
  if (!prefix) return fail(addr, "an address looks like 192.0.2.2/24");
  if (!drops.empty())
    if (auto r = drivers::drop_capture::start(net, drops.c_str()); !r)
      return fail(drops, std::make_error_code(r.error()).message());
  if (!dev_open(net, **made) || !inet_addr_add(net, (*made)->ifindex, *prefix)) return fail(addr, "refused");
  fresh.files.clear();

  while (!drivers::pcap::finished(**made))
    if (h.poll() == 0) h.wait(1'000'000'000);
  while (h.poll() != 0) {
  }
  auto const& stats = (*made)->stats;
  std::printf("received %llu frames, answered with %llu\n", static_cast<unsigned long long>(stats.rx_packets.read()),
              static_cast<unsigned long long>(stats.tx_packets.read()));
  u64 for_others = 0;
  for_each_drop(net, [&](std::string_view name, u64 count) {
    if (name == "OTHERHOST") for_others = count;
    std::printf("%-24.*s %llu\n", static_cast<int>(name.size()), name.data(), static_cast<unsigned long long>(count));
  });
  if (for_others != 0)
    std::printf("%llu frames were for other hosts: --mac makes this host one of them, --addr gives it the address\n",
                static_cast<unsigned long long>(for_others));
  dev_close(net, **made);
  drivers::drop_capture::flush(net);
  bool const kept = whole(answers, drivers::pcap::dump_counts(**made).second);
  bool const kept_drops = whole(drops, drivers::drop_capture::counts(net).second);
  unregister_netdev(net, **made);
  drivers::drop_capture::stop(net);
  return kept && kept_drops && h.worker().pool.in_use() == 0 ? 0 : 1;
}
