// SPDX-License-Identifier: BSL-1.0
// Shared by inetd and demo: the four small UDP services, and what is printed at the end. Each service answers from
// inside poll(), by the address it was asked at; for echo the packet that was received is the packet that is sent.
#pragma once
#include <cstdio>
#include <cstring>
#include <ctime>

#include "netstack/netstack.hpp"
#include "netstack/socket/udp_socket.hpp"

namespace services {

using namespace netstack;

template <class Net>
class inetd {
  using handler = void (*)(udp_socket<Net>&, udp_datagram&);
  struct service {
    udp_socket<Net> socket;
    handler handle;
    Net* net;
    service(Net& n, handler h) : socket(n), handle(h), net(&n) {}
    void drain() {
      while (auto d = socket.receive()) handle(socket, *d);
    }
    result<void> start(u16 port) {
      if (auto r = socket.open(); !r) return r;
      if (auto r = setsockopt(*net, socket.fd(), sol::ip, ip_opt::pktinfo, 1); !r) return r;  // fills d.to
      socket.on_data_ready([](void* self) { static_cast<service*>(self)->drain(); }, this);
      return socket.bind(inet_addr_of(be32{}, port));
    }
  };
  service echo_, discard_, daytime_, chargen_;

  static void answer(udp_socket<Net>& s, udp_datagram const& d, char const* text, u32 n) {
    auto skb = s.allocate();
    if (!skb) return;  // the pool is empty: the asker asks again
    std::memcpy((*skb)->put(n), text, n);
    (void)s.send(*skb, d.from, d.to);
  }
  /// RFC 862: what comes is sent back.
  static void echo(udp_socket<Net>& s, udp_datagram& d) { (void)s.send(d.skb, d.from, d.to); }
  /// RFC 863: what comes is thrown away.
  static void discard(udp_socket<Net>&, udp_datagram&) {}
  /// RFC 867: any datagram is answered with the time of day.
  static void daytime(udp_socket<Net>& s, udp_datagram& d) {
    std::time_t const now = std::time(nullptr);
    std::tm utc{};
    ::gmtime_r(&now, &utc);
    char text[64];
    answer(s, d, text, static_cast<u32>(std::strftime(text, sizeof text, "%A, %B %d, %Y %H:%M:%S-UTC\r\n", &utc)));
  }
  /// RFC 864: any datagram is answered with characters, here seven lines of 72, each starting one further.
  static void chargen(udp_socket<Net>& s, udp_datagram& d) {
    char text[512];
    for (u32 i = 0; i < sizeof text; ++i)
      text[i] = i % 74 == 72 ? '\r' : i % 74 == 73 ? '\n' : static_cast<char>(' ' + (i / 74 + i % 74) % 95);
    answer(s, d, text, sizeof text);
  }

 public:
  explicit inetd(Net& net) : echo_(net, echo), discard_(net, discard), daytime_(net, daytime), chargen_(net, chargen) {}
  result<void> start() {
    if (auto r = echo_.start(7); !r) return r;
    if (auto r = discard_.start(9); !r) return r;
    if (auto r = daytime_.start(13); !r) return r;
    return chargen_.start(19);
  }
};

/// A text under /proc, to standard output.
template <class Net>
void print_proc(Net& net, char const* file) {
  std::printf("--- /proc/%s\n", file);
  char text[1024];
  std::size_t at = 0;
  while (auto n = proc_read(net, file, at, std::span<char>(text))) {
    if (*n == 0) break;
    std::fwrite(text, 1, *n, stdout);
    at += *n;
  }
}

/// The counters, why packets were rejected, and whether all are back in the pool: false if one is missing.
template <class Net>
bool report(Net& net) {
  for (auto const* file : {"net/snmp", "net/drop_reasons", "net/skb_pool"}) print_proc(net, file);
  std::fflush(stdout);
  return net.worker().pool.in_use() == 0;
}

}  // namespace services
