// SPDX-License-Identifier: BSL-1.0
// A protocol of your own, without a line of the library changed: Pulse, number 253 (RFC 3692: for experiments). Who
// gets a pulse answers with how many it has seen. It has its own drop reason, counters, setting and /proc text.
// docs/writing-a-protocol.md explains it part by part.
// RUN:
// OUTPUT: ^127\.0\.0\.1 has seen 3 pulses$
// OUTPUT: ^Pulse: InPulses InErrors$
// OUTPUT: ^Pulse: 4 1$
// OUTPUT: ^pulses 4, limit 3$
// OUTPUT: ^PULSE_TRUNCATED +1$
// OUTPUT: ^0 packets in use$
#include <netstack/netstack.hpp>

#include <cstdio>
#include <cstring>

using namespace netstack;

// --- the protocol ----------------------------------------------------------------------------------------------------
struct pulsehdr {
  be32 number;  ///< 0: an answer
  be32 seen;
};

struct pulse : module {
  // [state]
  static constexpr auto needs = requires_all<ipv4>;
  static constexpr u8 protocol = 253;
  enum class own_drop_reasons { truncated };
  struct pernet {  // in each namespace
    counter InPulses, InErrors;
    u32 sysctl_pulse_limit = 1000;  // how many are answered
    be32 answer{};
  };
  // [/state]
  // [send]
  /// Bytes after `len` are left out. Errors: as of ip_route_output_key and ip_send_skb; no_buffer_space.
  template <class Net>
  static result<void> send(Net& net, be32 daddr, pulsehdr const& ph, u32 len = sizeof(pulsehdr)) {
    flowi4 fl4{.daddr = daddr, .proto = protocol};
    auto const rt = ip_route_output_key(net, fl4);
    if (!rt) return failure{rt.error()};
    sk_buff* skb = net.worker().pool.alloc_skb();
    if (!skb) return failure{std::errc::no_buffer_space};
    std::memcpy(skb->put(len), &ph, len);
    return ip_send_skb(net, *skb, **rt, fl4, {.protocol = protocol});
  }
  // [/send]
  // [receive]
  template <class Net>
  static verdict rcv(Net& net, sk_buff& skb) {
    auto& state = net_generic<pulse>(net);
    auto const* ph = skb.peek<pulsehdr>();
    if (!ph) return drop(net, skb, own_drop_reasons::truncated);
    if (ph->number == be32{}) {
      state.answer = ph->seen;
    } else if (++state.InPulses; state.InPulses.read() <= state.sysctl_pulse_limit) {
      (void)send(net, ip_hdr(skb)->saddr, {{}, be32{static_cast<u32>(state.InPulses.read())}});
    }
    return verdict::consumed();
  }
  template <class Net>
  static constexpr std::array net_protocols{
      net_protocol<Net>{.protocol = protocol, .handler = rcv<Net>, .name = "pulse"}};
  // [/receive]
  // [rejections]
  template <class Net>
  static constexpr std::array drop_reasons{
      drop_reason_def<Net>{.name = "PULSE_TRUNCATED", .count = count_mib<Net, pulse, &pernet::InErrors>}};
  // [/rejections]
  // [texts]
  static constexpr std::array mib{SNMP_MIB_ITEM<&pernet::InPulses>("InPulses"),
                                  SNMP_MIB_ITEM<&pernet::InErrors>("InErrors")};
  static constexpr std::array snmp{snmp_group{.prefix = "Pulse", .items = mib}};
  static constexpr std::array ctl_tables{ctl<&pernet::sysctl_pulse_limit>("net/ipv4/pulse_limit", {.max = 1'000'000})};
  template <class Net>
  static bool show(Net& net, seq_file& m, seq_cursor& at) {
    if (at.index++ != 0) return false;  // one record is all
    seq_put_decimal_ull(m, "pulses ", net_generic<pulse>(net).InPulses.read());
    seq_put_decimal_ull(m, ", limit ", net_generic<pulse>(net).sysctl_pulse_limit);
    seq_putc(m, '\n');
    return true;
  }
  template <class Net>
  static constexpr std::array proc{proc_entry<Net>{.name = "net/pulse", .show = show<Net>}};
  // [/texts]
};
// ---------------------------------------------------------------------------------------------------------------------

// [use]
struct host : stack<host, ipv4, pulse> {};

int main() {
  host h;
  if (!h.boot()) return 1;
  auto& net = h.init_net();
  if (!dev_open(net, *net.loopback_dev) || !sysctl_write(net, "net/ipv4/pulse_limit", "3")) return 1;
  for (u32 number = 1; number <= 4; ++number)
    if (!pulse::send(net, inaddr_loopback, {be32{number}, {}})) return 1;
  if (!pulse::send(net, inaddr_loopback, {}, 3)) return 1;  // ends within its header
  while (h.poll() != 0) continue;

  std::printf("127.0.0.1 has seen %u pulses\n", net_generic<pulse>(net).answer.host());
  auto const print = [](std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); };
  for (auto const* file : {"net/snmp", "net/pulse", "net/drop_reasons"})
    if (!proc_print(net, file, print)) return 1;
  std::printf("%u packets in use\n", h.worker().pool.in_use());
  return 0;
}
// [/use]
