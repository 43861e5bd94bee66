// SPDX-License-Identifier: BSL-1.0
// The kernel as the oracle of the wire: random frames, good and damaged, go to a TAP interface of the kernel's, one by
// one, and to a device of the stack's with the same addresses, in bursts. Both must answer with the same frames, and
// deliver the same datagrams to a socket on port 7, and count the same.
#include <map>
#include <random>

#include "netstack/socket/socket.hpp"
#include "netstack/stack/sysctl.hpp"
#include "netstack/udp/udp.hpp"
#include "support/kernel_tap.hpp"
#include "support/linux_udp.hpp"
#include "support/proc_text.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

struct host : rig_stack<host, udp> {};

/// Addresses of a frame's both ends: often the right ones. What a host does about a source that is a broadcast is
/// left out: the kernel answers it, RFC 1122 §3.2.1.3 forbids that; so is 0.0.0.0/8, which new kernels take for hosts.
constexpr be32 stations[]{ipv4_addr("192.0.2.9"), ipv4_addr("192.0.2.9"),  ipv4_addr("192.0.2.9"),
                          ipv4_addr("192.0.2.1"), ipv4_addr("127.0.0.1"),  ipv4_addr("0.0.0.0"),
                          ipv4_addr("224.0.0.1"), ipv4_addr("224.0.0.5"),  ipv4_addr("198.51.100.7"),
                          ipv4_addr("240.0.0.1"), ipv4_addr("203.0.113.1")};
constexpr be32 targets[]{ipv4_addr("192.0.2.255"), ipv4_addr("255.255.255.255"), ipv4_addr("192.0.2.1")};

class frames {
  std::mt19937 random_;

 public:
  explicit frames(u32 seed) : random_(seed) {}
  u32 below(std::size_t n) { return static_cast<u32>(random_() % n); }
  template <class T, std::size_t N>
  T pick(T const (&list)[N]) {
    return list[below(N)];
  }
  bool one_in(u32 n) { return below(n) == 0; }
  be32 target() { return one_in(4) ? pick(targets) : pick(stations); }

  /// No-ops, router alerts, kinds that nobody knows, lengths that may be wrong. Those that record or route have tests
  /// of their own: the kernel writes its address into them twice.
  bytes options() {
    if (one_in(3)) return {148, 4, 0, static_cast<u8>(below(2))};
    bytes o(4 * (1 + below(10)));
    for (u8& b : o) b = pick<u8>({1, 1, 2, 3, 4, 5, 8, 12, 25, 82, 148, 151, static_cast<u8>(3 + below(3))});
    return o;
  }
  bytes quoted() {
    datagram d{.saddr = one_in(6) ? pick(stations) : our_addr,
               .daddr = one_in(6) ? pick(stations) : peer_addr,
               .protocol = pick<u8>({17, 17, 1, 6, 253}),
               .payload = udp_message(7, 9, bytes(8))};
    if (one_in(8)) d.options = options();
    bytes b = d.build();
    if (one_in(6)) b.resize(below(b.size() + 1));
    return b;
  }
  bytes icmp() {
    switch (below(8)) {
      case 0: return icmp_message(icmp_type::timestamp, 0, below(1000), bytes(pick<u8>({12, 13, 20})));
      case 1:
      case 2:
        return icmp_message(pick<u8>({3, 3, 3, 11, 12, 5, 4}), static_cast<u8>(below(18)),
                            pick<u32>({0, 68, 576, 1400, 0x05000000, 0xc0000209}), quoted());
      case 3: return icmp_message(static_cast<u8>(below(45) | 16), static_cast<u8>(below(4)), 7, bytes(below(30)));
      case 4: return icmp_message(icmp_type::echo, static_cast<u8>(below(256)), 1, bytes(below(20)), one_in(2));
      case 5: return bytes(below(12), 8);
      default: return echo_request(static_cast<u16>(below(65536)), 1, bytes(below(100), static_cast<u8>(below(256))));
    }
  }
  bytes udp() {
    bytes m = udp_message(pick<u16>({9, 9, 0, 5000}), pick<u16>({7, 7, 7, 5000, 0}), bytes(below(40), 1));
    if (one_in(4)) m[4 + below(2)] = static_cast<u8>(below(256));
    if (one_in(6)) m[6] = 0x12, m[7] = 0x34;
    if (one_in(8)) m.resize(below(9));
    return m;
  }
  bytes ip_frame() {
    datagram d{.saddr = one_in(3) ? pick(stations) : peer_addr,
               .daddr = one_in(3) ? target() : our_addr,
               .ttl = pick<u8>({64, 64, 64, 1, 0, 255}),
               .protocol = pick<u8>({1, 1, 1, 17, 17, 253, 255, 0, 47, 50}),
               .tos = one_in(4) ? static_cast<u8>(below(256)) : u8{0},
               .frag_off = one_in(5) ? u16{0x4000} : u16{0}};
    if (one_in(5)) d.options = options(), d.daddr = our_addr;
    d.payload = d.protocol == ipproto::icmp ? icmp() : d.protocol == ipproto::udp ? udp() : bytes(below(60), 3);
    if (one_in(20)) d.ver_ihl = static_cast<u8>(below(2) ? 0x40 | below(6) : below(0x40));
    // A timestamp request stays whole: of the kernel's, the first of its three times is enough.
    bool const whole = d.protocol == ipproto::icmp && !d.payload.empty() && d.payload[0] == icmp_type::timestamp;
    if (!whole && one_in(20)) d.tot_len = static_cast<u16>(below(120));
    if (one_in(30)) d.check = static_cast<u16>(below(65536));
    bytes b = d.build();
    if (one_in(6)) b.resize(b.size() + below(20));
    if (!whole && one_in(25)) b.resize(below(b.size() + 1));
    bytes f;
    append(f, ethhdr{one_in(5) ? pick({mac_broadcast, mac_addr{{1, 0, 0x5e, 0, 0, 1}}, mac_addr{{2, 0, 0, 0, 0, 7}}})
                               : our_mac,
                     peer_mac, be16{eth_p::ip}});
    return f + b;
  }
  bytes arp_frame() {
    arphdr arp{.ar_op = be16{pick<u16>({1, 1, 1, 2, 2, 3, 0})}, .ar_sha = peer_mac, .ar_sip = pick(stations)};
    // One that claims our address we answer by defending it; the kernel does not.
    if (arp.ar_sip == our_addr || ipv4_is_loopback(arp.ar_sip)) arp.ar_sip = peer_addr;
    arp.ar_tip = one_in(2) ? target() : our_addr;
    if (one_in(2)) arp.ar_tha = our_mac;
    bytes f;
    append(f, ethhdr{one_in(2) ? mac_broadcast : our_mac, peer_mac, be16{eth_p::arp}});
    append(f, arp);
    if (one_in(10)) f[eth_hlen + below(8)] = static_cast<u8>(below(256));  // what the packet is, but not who sent it
    if (one_in(12)) f.resize(eth_hlen + below(28));
    if (one_in(6)) f.resize(60);
    return f;
  }
  /// Some new frames, some like the one before, as a flow has them.
  std::vector<bytes> burst() {
    std::vector<bytes> list;
    for (u32 n = 1 + below(8); n > 0; --n)
      list.push_back(!list.empty() && one_in(2) ? list.back() : one_in(8) ? arp_frame() : ip_frame());
    return list;
  }
};

/// What may differ is taken out: identification, times, and the checksums over them.
void normalise(bytes& f) {
  auto const zero = [&](std::size_t at, std::size_t n) {
    for (std::size_t i = at; i < at + n && i < f.size(); ++i) f[i] = 0;
  };
  if (f.size() < 34 || f[12] != 8 || f[13] != 0) return;
  std::size_t const l4 = eth_hlen + (f[eth_hlen] & 15u) * 4;
  zero(18, 2), zero(24, 2);
  if (f[23] != ipproto::icmp || f.size() < l4 + 8) return;
  zero(l4 + 2, 2);
  if (f[l4] == icmp_type::timestampreply) zero(l4 + 12, 8);
}
std::string text_of(std::vector<bytes> const& list) {
  std::string s;
  for (auto const& f : list) {
    char digits[3];
    for (u8 const b : f) std::snprintf(digits, sizeof digits, "%02x", b), s += digits;
    s += '\n';
  }
  return s;
}

/// The counters of /proc/net/snmp that count the same events. Not: errors for TCP, which only the kernel has;
/// answers for which there is no way, which only we count; and answers by type, as the kernel takes timestamps for
/// echoes.
std::map<std::string, long> counters_of(std::string const& snmp) {
  std::map<std::string, long> counters;
  auto const lines = lines_of(snmp);
  for (std::size_t i = 0; i + 1 < lines.size(); i += 2) {
    auto const names = words_of(lines[i]), values = words_of(lines[i + 1]);
    if (names[0] != "Ip:" && names[0] != "Icmp:" && names[0] != "Udp:") continue;
    for (std::size_t j = 1; j < names.size() && j < values.size(); ++j)
      counters[names[0] + names[j]] = std::atol(values[j].c_str());
  }
  for (char const* other : {"Icmp:InErrors", "Ip:OutNoRoutes", "Icmp:OutEchoReps", "Icmp:OutTimestampReps"})
    counters.erase(other);
  return counters;
}

/// … with a socket on port 7.
class kernel_side : public kernel_tap {
  int fd_ = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

 public:
  kernel_side() {
    run("ip route add 198.51.100.0/24 via 192.0.2.9");
    ::sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(7);
    REQUIRE(::bind(fd_, reinterpret_cast<::sockaddr*>(&in), sizeof in) == 0);
  }
  ~kernel_side() { ::close(fd_); }
  static std::map<std::string, long> counters() { return counters_of(host_text("/proc/thread-self/net/snmp")); }
  std::vector<bytes> delivered() {
    std::vector<bytes> list;
    bytes room(4096);
    for (ssize_t n; (n = ::recv(fd_, room.data(), room.size(), 0)) >= 0;)
      list.emplace_back(room.begin(), room.begin() + n);
    return list;
  }
};

void compare(bool to_broadcasts, u32 first_seed) {
  kernel_side kernel;
  ip_rig<host> rig;
  auto& net = rig.net();
  REQUIRE(ip_route_add(net, {.fc_dst_len = 24, .fc_dst = ipv4_addr("198.51.100.0"), .fc_gw4 = peer_addr}));
  auto const fd = socket(net, af::inet, sock_type::dgram);
  REQUIRE(fd);
  REQUIRE(bind(net, *fd, inet_addr_of({}, 7)));
  auto const both = [&](std::string const& path, char const* value) {
    kernel.set(path, value);
    REQUIRE(sysctl_write(net, path, value));
  };
  both("net/ipv4/icmp_ratemask", "0");
  both("net/ipv4/icmp_echo_ignore_broadcasts", to_broadcasts ? "0" : "1");
  for (char const* dev : {"all", "default"})
    for (char const* what : {"rp_filter", "accept_redirects"})
      both(std::string("net/ipv4/conf/") + dev + '/' + what, "0");
  for (char const* what : {"rp_filter", "accept_redirects"}) {
    kernel.set(std::string("net/ipv4/conf/nst0/") + what, "0");
    REQUIRE(sysctl_write(net, std::string("net/ipv4/conf/eth0/") + what, "0"));
  }
  ::usleep(200'000);
  (void)kernel.sent();
  (void)rig.sent();

  auto const theirs_before = kernel.counters(), ours_before = counters_of(proc_text(net, "net/snmp"));

  constexpr u32 bursts = 8000;
  u32 answers = 0, datagrams = 0;
  for (u32 seed = first_seed; seed < first_seed + bursts; ++seed) {
    auto const burst = frames{seed}.burst();
    for (auto const& frame : burst) {
      if (frame.size() <= eth_hlen) continue;  // the kernel's write() refuses it
      kernel.receive(frame);
      netdev_priv<rig_dev>(*rig.eth0).rx.push_back(frame);
    }
    rig.run();
    auto theirs = kernel.sent();
    std::vector<bytes> ours;
    for (auto& f : rig.sent()) ours.push_back(std::move(f.frame));
    for (auto* list : {&theirs, &ours}) {
      for (auto& f : *list) normalise(f);
      std::sort(list->begin(), list->end());  // within a burst, errors of IP may overtake answers of ICMP
    }
    auto const theirs_read = kernel.delivered();
    std::vector<bytes> ours_read;
    for (bytes room(4096);;) {
      auto const n = recv(net, *fd, room.data(), room.size(), msg::dontwait);
      if (!n) break;
      ours_read.emplace_back(room.begin(), room.begin() + static_cast<long>(*n));
    }
    answers += static_cast<u32>(theirs.size());
    datagrams += static_cast<u32>(theirs_read.size());
    if (theirs == ours && theirs_read == ours_read) continue;
    INFO("seed " << seed << ", frames\n" << text_of(burst));
    CHECK(text_of(ours) == text_of(theirs));
    CHECK(text_of(ours_read) == text_of(theirs_read));
  }
  auto theirs_after = kernel.counters();
  for (auto const& [name, count] : counters_of(proc_text(net, "net/snmp"))) {
    auto const before = ours_before.at(name), theirs_before_it = theirs_before.count(name) ? theirs_before.at(name) : 0;
    INFO(name);
    if (theirs_after.count(name) != 0) CHECK(count - before == theirs_after[name] - theirs_before_it);
  }
  CHECK(answers > bursts);
  CHECK(datagrams > bursts / 16);
  rig.still_alive();
}

}  // namespace

TEST_CASE("random frames have the kernel's answers", "[S116][S118][S126][S136][S137][S156][S160][S164]") {
  if (skip_without_root("makes a network namespace")) return;
  if (skip_without_file("/dev/net/tun")) return;
  compare(false, 1);
}

TEST_CASE("… also when pings to many are answered", "[S156]") {
  if (skip_without_root("makes a network namespace")) return;
  if (skip_without_file("/dev/net/tun")) return;
  compare(true, 1'000'000);
}
