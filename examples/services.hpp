// SPDX-License-Identifier: BSL-1.0
// Shared by inetd and demo: the four small services, over UDP and over TCP, HTTP and iperf3, and what is printed at the
// end. All answer from inside poll(). Over UDP by the address that was asked, and for echo the packet that was received
// is the packet that is sent.
#pragma once
#include <cstdio>
#include <cstring>
#include <ctime>

#include "http.hpp"
#include "iperf3.hpp"
#include "netstack/netstack.hpp"
#include "netstack/socket/udp_socket.hpp"

namespace services {

using namespace netstack;

/// RFC 867: the time of day, as a line; its length.
inline u32 daytime_line(std::span<char> out) {
  std::time_t const now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  return static_cast<u32>(std::strftime(out.data(), out.size(), "%A, %B %d, %Y %H:%M:%S-UTC\r\n", &utc));
}
/// RFC 864: characters from place `at` of lines of 72, each starting one further.
inline void chargen_lines(u64 at, std::span<char> out) {
  for (char& c : out) {
    u64 const line = at / 74, column = at % 74;
    c = column == 72 ? '\r' : column == 73 ? '\n' : static_cast<char>(' ' + (line + column) % 95);
    ++at;
  }
}

// --- over TCP

/// RFC 862: what comes is sent back, as fast as it is taken.
template <class Net>
struct echo_session {
  struct shared {};
  bool step(stream<Net>& io, shared&) {
    char text[16384];
    for (;;) {
      u32 const n = io.receive(text, sizeof text, msg::peek);
      if (n == 0) return !io.ended();
      u32 const sent = io.send(text, n);
      if (sent != 0) (void)io.receive(text, sent, msg::trunc);
      if (sent < n) return true;
    }
  }
};
/// RFC 863: what comes is thrown away.
template <class Net>
struct discard_session {
  struct shared {};
  bool step(stream<Net>& io, shared&) {
    (void)io.discard();
    return !io.ended();
  }
};
/// RFC 867: the time of day, and no more.
template <class Net>
struct daytime_session {
  struct shared {};
  bool told = false;
  bool step(stream<Net>& io, shared&) {
    char text[64];
    if (u32 const n = daytime_line(text); !told && io.send(text, n) != 0) told = true, io.end();
    (void)io.discard();
    return !io.ended();
  }
};
/// RFC 864: characters without end, whatever comes.
template <class Net>
struct chargen_session {
  struct shared {};
  u64 at = 0;
  bool step(stream<Net>& io, shared&) {
    (void)io.discard();
    char text[74 * 95];
    u32 sent = sizeof text;
    for (; sent == sizeof text && !io.ended(); at += sent) {
      chargen_lines(at, text);
      sent = io.send(text, sizeof text);
    }
    return !io.ended();
  }
};

// --- all of them

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
    char text[64];
    answer(s, d, text, daytime_line(text));
  }
  /// RFC 864: any datagram is answered with characters, here seven lines.
  static void chargen(udp_socket<Net>& s, udp_datagram& d) {
    char text[512];
    chargen_lines(0, text);
    answer(s, d, text, sizeof text);
  }

  tcp_server<Net, echo_session, 64> tcp_echo_;
  tcp_server<Net, discard_session, 64> tcp_discard_;
  tcp_server<Net, daytime_session, 64> tcp_daytime_;
  tcp_server<Net, chargen_session, 64> tcp_chargen_;
  tcp_server<Net, http_session, 128> http_;
  tcp_server<Net, iperf3_session, 132> iperf3_;

 public:
  explicit inetd(Net& net)
      : echo_(net, echo),
        discard_(net, discard),
        daytime_(net, daytime),
        chargen_(net, chargen),
        tcp_echo_(net),
        tcp_discard_(net),
        tcp_daytime_(net),
        tcp_chargen_(net),
        http_(net),
        iperf3_(net) {}
  result<void> start() {
    result<void> r{};
    auto const each = [&](auto start) {
      if (r) r = start();
    };
    each([&] { return echo_.start(7); });
    each([&] { return discard_.start(9); });
    each([&] { return daytime_.start(13); });
    each([&] { return chargen_.start(19); });
    each([&] { return tcp_echo_.listen(7, 300); });
    each([&] { return tcp_discard_.listen(9, 300); });
    each([&] { return tcp_daytime_.listen(13, 30); });
    each([&] { return tcp_chargen_.listen(19, 30); });
    each([&] { return http_.listen(80, 10); });
    each([&] { return iperf3_.listen(5201, 3600); });
    return r;
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

/// The counters, why packets were rejected, and whether all are back in the pool: false if one is missing. What was
/// said last gets two seconds to arrive; then the device closes.
template <class Host>
bool report(Host& h, net_device& dev) {
  auto& net = h.init_net();
  auto const& pool = net.worker().pool;
  for (u64 const end = h.worker().now + 2'000'000'000; pool.in_use() != 0 && h.worker().now < end;)
    if (h.poll() == 0) h.wait(1'000'000);
  dev_close(net, dev);
  h.poll();
  for (auto const* file : {"net/snmp", "net/drop_reasons", "net/skb_pool"}) print_proc(net, file);
  std::fflush(stdout);
  // A peer that fell silent leaves a connection that nobody holds, with what it did not take.
  return pool.in_use() == 0 || tcp_pernet(net).orphan_count != 0;
}

}  // namespace services
