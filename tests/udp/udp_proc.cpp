// SPDX-License-Identifier: BSL-1.0
// /proc/net/udp, the Udp group and the sockstat line, beside the kernel's for the same sockets.
#include "netstack/udp/udp_proc.hpp"

#include "support/inet_host.hpp"
#include "support/kernel_netns.hpp"
#include "support/privileges.hpp"
#include "support/proc_text.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

// Four slots: a slot has several sockets.
struct host : stack<host, ipv4, udp, sizes<config{.skb_pool = 256, .max_sock = 64, .sock_hash = 4}>> {};
struct without_udp : stack<without_udp, ipv4, sizes<config{.skb_pool = 256}>> {};

struct kernel_texts {
  std::string udp, sockstat;
};

/// Three sockets of the kernel: bound with a datagram waiting; connected to it; bound to the wildcard address.
bool ask_kernel(kernel_texts& out) {
  return support::in_new_netns([&] {
    int const control = ::socket(AF_INET, SOCK_DGRAM, 0);
    ifreq lo{};
    std::strcpy(lo.ifr_name, "lo");
    lo.ifr_flags = IFF_UP | IFF_RUNNING;
    ::ioctl(control, SIOCSIFFLAGS, &lo);
    ::close(control);
    auto const bound = [](u32 addr, u16 port) {
      int const fd = ::socket(AF_INET, SOCK_DGRAM, 0);
      ::sockaddr_in a{};
      a.sin_family = AF_INET, a.sin_addr.s_addr = htonl(addr), a.sin_port = htons(port);
      ::bind(fd, reinterpret_cast<::sockaddr*>(&a), sizeof a);
      return fd;
    };
    int const fds[] = {bound(0x7f000001, 7777), bound(0x7f000002, 8888), bound(0, 9999)};
    ::sockaddr_in to{};
    to.sin_family = AF_INET, to.sin_addr.s_addr = htonl(0x7f000001), to.sin_port = htons(7777);
    ::connect(fds[1], reinterpret_cast<::sockaddr*>(&to), sizeof to);
    ::send(fds[1], "datagram", 8, 0);
    out.udp = host_text((std::string(support::own_proc_net) + "udp").c_str());
    out.sockstat = host_text((std::string(support::own_proc_net) + "sockstat").c_str());
    for (int fd : fds) ::close(fd);
  });
}

/// The row with this local address, in words.
std::vector<std::string> row(std::string const& text, std::string_view local) {
  for (auto const& line : lines_of(text))
    if (auto words = words_of(line); words.size() > 2 && words[1] == local) return words;
  return {};
}

}  // namespace

TEST_CASE("/proc/net/udp: the kernel's header, widths and columns for the same sockets", "[S168]") {
  inet_host<host> h;
  int const server = h.udp(7777);
  int const client = h.udp(8888, 0x7f000002);
  h.udp(9999, 0);
  REQUIRE(connect(h.net(), client, lo_addr(7777)));
  REQUIRE(h.send_text(client, "datagram"));
  h.run();
  auto const ours = proc_text(h.net(), "net/udp");
  auto const lines = lines_of(ours);
  REQUIRE(lines.size() == 4);
  for (auto const& line : lines) CHECK(line.size() == lines[0].size());
  CHECK(lines[0] == lines_of(host_text("/proc/net/udp")).at(0));
  CHECK(row(ours, "0100007F:1E61")[4] == [&] {
    char queues[20];
    std::snprintf(queues, sizeof queues, "00000000:%08X", h.sk(server).sk_rmem_alloc);
    return std::string(queues);
  }());
  CHECK(h.sk(server).sk_rmem_alloc > 0);
  CHECK(row(ours, "0100007F:1E61")[9] != row(ours, "0200007F:22B8")[9]);  // inodes

  if (skip_without_root("makes a network namespace")) return;
  kernel_texts kernel;
  if (!ask_kernel(kernel)) return skip("needs network namespaces");
  CHECK(lines_of(kernel.udp).size() == 4);
  for (char const* local : {"0100007F:1E61", "0200007F:22B8", "00000000:270F"}) {
    auto const a = row(ours, local), b = row(kernel.udp, local);
    CAPTURE(local);
    REQUIRE(a.size() == 13);
    REQUIRE(b.size() == 13);
    for (std::size_t column : {1u, 2u, 3u, 5u, 6u, 7u, 8u, 10u, 12u}) {  // not: slot, queue sizes, inode, pointer
      CAPTURE(column);
      CHECK(a[column] == b[column]);
    }
    CHECK((a[4] == "00000000:00000000") == (b[4] == "00000000:00000000"));
    CHECK(a[11].size() == b[11].size());
  }
  for (auto const& line : lines_of(kernel.udp)) CHECK(line.size() == lines[0].size());

  // sockstat: the same line, with as many sockets.
  auto const stat = lines_of(proc_text(h.net(), "net/sockstat"));
  REQUIRE(stat.size() == 2);
  CHECK(stat[0] == "sockets: used 3");
  CHECK(stat[1].starts_with("UDP: inuse 3 mem "));
  bool found = false;
  for (auto const& line : lines_of(kernel.sockstat)) found = found || line.starts_with("UDP: inuse 3 mem ");
  CHECK(found);
}

TEST_CASE("sockstat counts open sockets, proto by proto and in all", "[S175]") {
  inet_host<host> h;
  auto const used = [&] { return proc_text(h.net(), "net/sockstat"); };
  CHECK(used() == "sockets: used 0\nUDP: inuse 0 mem 0\n");
  int const a = h.udp(7), b = h.udp();
  CHECK(used() == "sockets: used 2\nUDP: inuse 2 mem 0\n");
  REQUIRE(close(h.net(), a));
  CHECK(used() == "sockets: used 1\nUDP: inuse 1 mem 0\n");
  REQUIRE(close(h.net(), b));
  CHECK(used() == "sockets: used 0\nUDP: inuse 0 mem 0\n");
  CHECK(words_of(lines_of(proc_text(h.net(), "net/protocols"))[1])[2] == "0");
}

TEST_CASE("/proc/net/udp goes on while sockets come and go", "[S168][S183]") {
  inet_host<host> h;
  std::vector<int> fds;
  for (int i = 0; i < 30; ++i) fds.push_back(h.udp(1000 + 4 * i));  // all in one slot
  auto file = proc_open(h.net(), "net/udp");
  REQUIRE(file);
  char piece[50];
  std::string text;
  for (int i = 0; i < 10; ++i) text.append(piece, file->read(h.net(), piece));
  for (std::size_t i = 0; i < fds.size(); i += 2) REQUIRE(close(h.net(), fds[i]));
  while (std::size_t const n = file->read(h.net(), piece)) text.append(piece, n);
  for (auto const& line : lines_of(text)) CHECK(line.size() == std::string_view(udp4_seq_header).size() - 1);
  for (std::size_t i = 1; i < fds.size(); i += 2) {  // who stayed is listed once
    char local[20];
    std::snprintf(local, sizeof local, " 0100007F:%04X ", 1000 + 4 * static_cast<unsigned>(i));
    CAPTURE(local);
    auto const first = text.find(local);
    CHECK(first != std::string::npos);
    CHECK(text.find(local, first + 1) == std::string::npos);
  }
}

TEST_CASE("the Udp group is the kernel's, and absent without udp", "[S9][S161][S169]") {
  inet_host<host> h;
  auto const group = [](std::string const& text) {
    for (auto const& line : lines_of(text))
      if (line.starts_with("Udp:")) return line;
    return std::string();
  };
  CHECK(group(proc_text(h.net(), "net/snmp")) == group(host_text("/proc/net/snmp")));
  CHECK_FALSE(group(proc_text(h.net(), "net/snmp")).empty());
  int const a = h.udp(7);
  REQUIRE(h.send_text(a, "x", lo_addr(7)));
  h.run();
  CHECK(snmp_get(h.net(), "Udp", "OutDatagrams").value_or(0) == 1);
  inet_host<without_udp> bare;
  CHECK(group(proc_text(bare.net(), "net/snmp")).empty());
  CHECK(proc_open(bare.net(), "net/udp").error() == std::errc::no_such_file_or_directory);
  CHECK(proc_text(bare.net(), "net/sockstat") == "sockets: used 0\n");
}
