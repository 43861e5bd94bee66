// SPDX-License-Identifier: BSL-1.0
// /proc/net/icmp and raw: headers and rows as the kernel's. A test module plays ping, whose sockets they are.
#include "netstack/ipv4/inet_proc.hpp"

#include "netstack/ipv4/ipv4.hpp"
#include "netstack/stack/stack.hpp"
#include "support/kernel_netns.hpp"
#include "support/privileges.hpp"
#include "support/proc_text.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

struct host : stack<host, ipv4, sizes<config{.skb_pool = 256}>> {};

/// An echo socket with identifier 77 on 127.0.0.1, without a stack around it.
struct echo_sockets : module {
  template <class Net>
  static bool show(Net&, seq_file& m, seq_cursor& at) {
    if (at.index++ != 0) return false;
    inet_sock sk;
    sk.sk_rcv_saddr = be32{0x7f000001};
    sk.sk_state = tcp_state::close;
    std::size_t const start = m.count();
    inet_seq_sock(m, sk, 53, 77, 1);
    seq_pad(m, start, inet_seq_width, '\n');
    return true;
  }
  template <class Net>
  static constexpr std::array proc{
      proc_entry<Net>{.name = "net/icmp_by_test", .show = show<Net>, .header = icmp_seq_header}};
};
struct with_echo : stack<with_echo, ipv4, echo_sockets, sizes<config{.skb_pool = 256}>> {};

/// An echo socket of the kernel's, in a namespace where they are allowed.
bool ask_kernel(std::string& icmp) {
  return support::in_new_netns([&] {
    int const range = ::open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY);
    bool const allowed = range >= 0 && ::write(range, "0 0", 3) == 3;
    if (range >= 0) ::close(range);
    if (!allowed) return;
    int const fd = ::socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP);
    ifreq lo{};
    std::strcpy(lo.ifr_name, "lo");
    lo.ifr_flags = IFF_UP | IFF_RUNNING;
    ::ioctl(fd, SIOCSIFFLAGS, &lo);
    ::sockaddr_in a{};
    a.sin_family = AF_INET, a.sin_addr.s_addr = htonl(0x7f000001), a.sin_port = htons(77);
    ::bind(fd, reinterpret_cast<::sockaddr*>(&a), sizeof a);
    icmp = host_text((std::string(support::own_proc_net) + "icmp").c_str());
    ::close(fd);
  });
}

}  // namespace

TEST_CASE("/proc/net/icmp and raw have the kernel's headers", "[S168]") {
  host h;
  REQUIRE(h.boot());
  CHECK(proc_text(h.init_net(), "net/icmp") == lines_of(host_text("/proc/net/icmp")).at(0) + "\n");
  CHECK(raw_seq_header == lines_of(host_text("/proc/net/raw")).at(0) + "\n");
}

TEST_CASE("a row of /proc/net/icmp is the kernel's", "[S168]") {
  with_echo h;
  REQUIRE(h.boot());
  auto const ours = lines_of(proc_text(h.init_net(), "net/icmp_by_test"));
  REQUIRE(ours.size() == 2);
  CHECK(ours[1].size() == ours[0].size());
  CHECK(ours[1].starts_with(
      "   53: 0100007F:004D 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 0"));
  if (skip_without_root("makes a network namespace")) return;
  std::string text;
  if (!ask_kernel(text)) return skip("needs network namespaces");
  auto const kernel = lines_of(text);
  REQUIRE(kernel.size() == 2);
  CHECK(kernel[1].size() == ours[1].size());
  auto const a = words_of(ours[1]), b = words_of(kernel[1]);
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    CAPTURE(i);
    if (i != 0 && i != 9 && i != 11) CHECK(a[i] == b[i]);  // slot, inode and pointer are of the moment
  }
}
