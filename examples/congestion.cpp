// SPDX-License-Identifier: BSL-1.0
// A congestion control of your own, without a line of the library changed. Gentle keeps two to four segments waiting on
// the path, and no more: what the round trip takes longer than the shortest one is time in a queue (as TCP Vegas has
// it). It is a module like any other; a socket, or the whole namespace, chooses it by name.
// RUN:
// OUTPUT: ^known: gentle reno$
// OUTPUT: ^a socket may have gentle, and nothing that is not composed$
// OUTPUT: ^4000000 bytes were sent with gentle, [1-9][0-9]* round trips were measured$
#include <netstack/netstack.hpp>
#include <netstack/tcp/tcp.hpp>

#include <cstdio>

using namespace netstack;

// --- the algorithm ---------------------------------------------------------------------------------------------------
struct gentle : module {
  static constexpr auto needs = requires_all<tcp>;
  struct state {  // in each connection
    u32 rtt_us = 0, least_rtt_us = ~u32{0}, measured = 0;
  };
  template <class Net>
  static void init(Net&, sock& sk) {
    inet_csk_ca<state>(sk) = {};
  }
  /// Each acknowledgment: what it says of the path.
  template <class Net>
  static void pkts_acked(Net&, sock& sk, ack_sample sample) {
    if (sample.rtt_us < 0) return;
    auto& path = inet_csk_ca<state>(sk);
    path.rtt_us = static_cast<u32>(sample.rtt_us) + 1;
    path.least_rtt_us = std::min(path.least_rtt_us, path.rtt_us);
    ++path.measured;
  }
  /// … and if nothing is amiss, how the window grows.
  template <class Net>
  static void cong_avoid(Net&, sock& sk, u32, u32 acked) {
    auto& tp = tcp_sk(sk);
    auto const& path = inet_csk_ca<state>(sk);
    if (!tcp_is_cwnd_limited(tp) || path.measured == 0) return;
    u64 const waiting = u64{tp.snd_cwnd} * (path.rtt_us - path.least_rtt_us) / path.rtt_us;
    if (waiting > 4) {
      tp.snd_ssthresh = std::min(tp.snd_ssthresh, tp.snd_cwnd);  // slow start is over
      tp.snd_cwnd = std::max(tp.snd_cwnd - 1, 4u);
    } else if (tcp_in_slow_start(tp)) {
      tcp_slow_start(tp, acked);
    } else if (waiting < 2) {
      tcp_cong_avoid_ai(tp, tp.snd_cwnd, acked);
    }
  }
  template <class Net>
  static constexpr std::array tcp_congestion{tcp_congestion_ops<Net>{.name = "gentle",
                                                                     .priv_size = sizeof(state),
                                                                     .init = init<Net>,
                                                                     .ssthresh = tcp_reno_ssthresh<Net>,
                                                                     .undo_cwnd = tcp_reno_undo_cwnd<Net>,
                                                                     .cong_avoid = cong_avoid<Net>,
                                                                     .pkts_acked = pkts_acked<Net>,
                                                                     .non_restricted = true}};
};
// ---------------------------------------------------------------------------------------------------------------------

struct host : stack<host, ipv4, tcp, gentle> {};

int main() {
  host h;
  if (!h.boot()) return 1;
  auto& net = h.init_net();
  if (!dev_open(net, *net.loopback_dev)) return 1;
  char text[64];
  auto const known = sysctl_read(net, "net/ipv4/tcp_available_congestion_control", text);
  if (!known) return 1;
  std::printf("known: %.*s", static_cast<int>(*known), text);

  auto const here = inet_addr_of(ipv4_addr("127.0.0.1"), 7);
  auto const listener = socket(net, af::inet, sock_type::stream);
  auto const client = socket(net, af::inet, sock_type::stream);
  if (!listener || !client || !bind(net, *listener, here) || !listen(net, *listener, 1)) return 1;
  bool const chosen = setsockopt(net, *client, sol::tcp, tcp_opt::congestion, "gentle", 6).has_value();
  bool const refused = !setsockopt(net, *client, sol::tcp, tcp_opt::congestion, "vegas", 5);
  if (chosen && refused) std::printf("a socket may have gentle, and nothing that is not composed\n");

  if (!connect(net, *client, here)) return 1;
  auto const server = accept(net, *listener);
  if (!server) return 1;
  static char data[65536];
  std::size_t sent = 0, received = 0;
  while (received < 4'000'000) {
    if (sent < 4'000'000)
      sent += send(net, *client, data, std::min<std::size_t>(sizeof data, 4'000'000 - sent), msg::dontwait).value_or(0);
    h.poll();
    received += recv(net, *server, data, sizeof data, msg::dontwait).value_or(0);
  }
  auto const& path = inet_csk_ca<gentle::state>(*sockfs::table_of(net).find(*client)->sk);
  std::printf("%zu bytes were sent with gentle, %u round trips were measured\n", received, path.measured);
  return 0;
}
