// SPDX-License-Identifier: BSL-1.0
// Decides: what tests of sockets have at hand: lo brought up, sockets opened and bound in one line, the packets that
// passed the devices.
#pragma once
#include <array>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "netstack/ipv4/ipv4.hpp"
#include "netstack/socket/socket.hpp"
#include "netstack/stack/stack.hpp"
#include "netstack/udp/udp.hpp"
#include "support/catch.hpp"

namespace netstack::test {

inline constexpr be32 localhost{0x7f000001};

/// 127.0.0.1 (or 127.x.y.z) and a port.
inline sockaddr_in lo_addr(u16 port, u32 addr = 0x7f000001) { return inet_addr_of(be32{addr}, port); }

/// Keeps what the taps see, from the network header on: frames received, and frames sent.
struct packet_tap : module {
  struct perworker {
    std::vector<std::vector<u8>>* seen;  ///< null: not interested
    std::vector<std::vector<u8>>* sent;
  };
  template <class Net>
  static verdict rcv(Net& net, sk_buff& skb) {
    auto& tap = worker_generic<packet_tap>(net.worker());
    if (auto* list = skb.pkt_type == pkt_type::outgoing ? tap.sent : tap.seen)
      list->emplace_back(skb.head + skb.network_header, skb.tail);
    return verdict::consumed();
  }
  template <class Net>
  static constexpr std::array packet_types{packet_type<Net>{.type = eth_p::all, .func = rcv<Net>, .name = "tap"}};
};

/// A booted stack with lo up.
template <class Host>
struct inet_host {
  Host host;
  using net_t = netstack::net<Host>;

  explicit inet_host(boot_args const& args = {.seed = 1}) {
    REQUIRE(host.boot(args));
    lo_up(net());
  }
  static void lo_up(net_t& net) { REQUIRE(dev_open(net, *net.loopback_dev)); }

  [[nodiscard]] net_t& net() { return host.init_net(); }
  /// Until nobody has anything to do.
  void run() {
    while (host.poll() != 0) {
    }
  }
  /// A UDP socket, bound if a port is given (0: a port of the stack's choice; -1: not bound).
  int udp(int port = -1, u32 addr = 0x7f000001) {
    auto const fd = netstack::socket(net(), af::inet, sock_type::dgram);
    REQUIRE(fd);
    if (port >= 0) REQUIRE(bind(net(), *fd, lo_addr(static_cast<u16>(port), addr)));
    return *fd;
  }
  sock& sk(int fd) { return *sockfs::table_of(net()).find(fd)->sk; }
  u16 port_of(int fd) { return getsockname(net(), fd)->sin_port.host(); }

  result<std::size_t> send_text(int fd, std::string_view text, sockaddr_view to = {}, u32 flags = 0) {
    return sendto(net(), fd, text.data(), text.size(), flags, to);
  }
  /// What is there now, or the errno in brackets.
  std::string recv_text(int fd, u32 flags = msg::dontwait, sockaddr_in* from = nullptr) {
    char buf[2048];
    sockaddr_in ignored;
    auto const n = recvfrom(net(), fd, buf, sizeof buf, flags, from ? *from : ignored);
    return n ? std::string(buf, *n) : "[" + std::to_string(static_cast<int>(n.error())) + "]";
  }
};

inline std::string const eagain =
    "[" + std::to_string(static_cast<int>(std::errc::resource_unavailable_try_again)) + "]";
inline std::string const econnrefused = "[" + std::to_string(static_cast<int>(std::errc::connection_refused)) + "]";

}  // namespace netstack::test
