// SPDX-License-Identifier: BSL-1.0
// Decides: whether a driver may recognise the frames of a known flow (registry/rx_flow), and does so for those that its
// burst begins with. It may not where somebody between it and the protocol looks at frames: taps, handlers of the
// device, decorators of the driver, RPS, stamps. GRO gets what is left.
// rx: made by a driver's ndo_poll for its burst → link/eth eth_rx → take(); read by ipv4/ip_list_rcv
#pragma once
#include <array>
#include <utility>

#include "netstack/core/dev_input.hpp"
#include "netstack/core/softnet.hpp"
#include "netstack/registry/netdev_ops.hpp"
#include "netstack/registry/rx_flow.hpp"
#include "netstack/wire/ethernet.hpp"

namespace netstack {

namespace detail {
/// By row of netdev_ops: the driver recognises frames of flows, nothing decorates it, and nobody stamps what it has.
template <class Net>
constexpr auto rx_flow_drivers = [] {
  std::array<bool, Net::netdev_ops.size()> may{};
  for (std::size_t i = 0; i < may.size(); ++i) {
    auto const& ops = Net::netdev_ops[i];
    may[i] = ops.ndo_flow_poll && ops.ndo_flow_poll == ops.ndo_poll && !ops.ndo_rxtstamp;
  }
  return may;
}();
}  // namespace detail

template <class Net>
class rx_flow_burst {
  static constexpr std::size_t n = Net::rx_flows.size();
  Net& net_;
  net_device& dev_;
  u64 now_real_;
  rx_flow_taken taken_{};  // the worker's once the burst is over: until then in registers
  void* known_ = nullptr;  // null again with the first frame that is of another kind

  template <std::size_t... I>
  NETSTACK_INLINE void find(Net& net, [[maybe_unused]] u16 at, [[maybe_unused]] bool summed,
                            std::index_sequence<I...>) {
    (void)(((taken_.row = I, known_ = Net::rx_flows[I].known(net, dev_, at, summed)) != nullptr) || ...);
  }
  template <std::size_t... I>
  static NETSTACK_INLINE bool take([[maybe_unused]] Net& net, [[maybe_unused]] void* known,
                                   [[maybe_unused]] std::size_t row, [[maybe_unused]] net_device& dev,
                                   [[maybe_unused]] rx_frame const& frame, [[maybe_unused]] u64 now_real,
                                   [[maybe_unused]] bool& mixed, std::index_sequence<I...>) {
    return (((n == 1 || row == I) && Net::rx_flows[I].take(net, known, dev, frame, now_real, mixed)) || ...);
  }

  enum class padded : u8 { other, of_the_last, mixed };
  /// The link pads short frames: the same without what it added. By values: a frame of which somebody has the address
  /// would have to lie in memory.
  template <std::size_t... I>
  NETSTACK_NOINLINE static padded take_padded(Net& net, void* known, std::size_t row, net_device& dev, sk_buff& skb,
                                              u8* mac, u8 const* from, u32 truesize, u64 now_real,
                                              std::index_sequence<I...> rows) {
    u32 const len =
        ((row == I && Net::rx_flows[I].whole_len ? Net::rx_flows[I].whole_len(from ? from : mac) : 0u) + ... + 0u);
    bool mixed = false;
    if (len >= eth_zlen || !take(net, known, row, dev, {skb, mac, len, from, truesize}, now_real, mixed, rows))
      return padded::other;
    return mixed ? padded::mixed : padded::of_the_last;
  }
  NETSTACK_INLINE bool take_padded(rx_frame const& frame) {
    if (frame.len != eth_zlen) return false;
    padded const as = take_padded(net_, known_, taken_.row, dev_, frame.skb, frame.mac, frame.from, frame.truesize,
                                  now_real_, std::make_index_sequence<n>{});
    taken_.mixed |= as == padded::mixed;
    return as != padded::other;
  }

 public:
  /// This device's driver may recognise frames now.
  static bool possible(Net& net, net_device const& dev) {
    return detail::rx_flow_drivers<Net>[dev.driver] && dev.rps_cpus == 0 && dev.type == arphrd::ether &&
           dev.running() && !detail::has_onlookers(net, dev);
  }
  /// For frames `at` bytes from skb.head; `summed`: the device vouches for their L4 checksums.
  rx_flow_burst(Net& net, net_device& dev, u16 at, bool summed)
      : net_(net), dev_(dev), now_real_(net.worker().now_real) {
    if (n == 0 || !possible(net, dev)) return;
    find(net, at, summed, std::make_index_sequence<n>{});
    taken_.known = known_;
  }
  ~rx_flow_burst() {
    taken_.octets -= u64{taken_.packets} * eth_hlen;
    net_.worker().softnet.flow_taken = taken_;
  }
  rx_flow_burst(rx_flow_burst const&) = delete;
  rx_flow_burst& operator=(rx_flow_burst const&) = delete;

  /// A frame came that nobody was asked about.
  void stop() { known_ = nullptr; }
  /// True: the frame is of the known flow, as all before it in this burst, and the packet is told everything.
  [[nodiscard]] NETSTACK_INLINE bool take(rx_frame const& frame) {
    if (!known_) return false;
    constexpr std::make_index_sequence<n> rows;
    if (!take(net_, known_, taken_.row, dev_, frame, now_real_, taken_.mixed, rows) && !take_padded(frame)) [[unlikely]]
      return stop(), false;
    taken_.last = &frame.skb;
    ++taken_.packets;
    taken_.octets += frame.len;
    return true;
  }
};

namespace detail {
template <class Net, std::size_t... I>
NETSTACK_INLINE void rx_flow_deliver(Net& net, rx_flow_taken const& taken, skb_list& burst, std::index_sequence<I...>) {
  (void)((taken.row == I && (Net::rx_flows[I].deliver(net, taken, burst), true)) || ...);
}
}  // namespace detail

/// Delivers a burst of which the driver recognised every packet: no protocol has to be asked for. False: it is not such
/// a one.
template <class Net>
NETSTACK_INLINE bool rx_flow_deliver(Net& net, softnet_data& sd, skb_list& burst) {
  if (sd.flow_taken.packets == 0 || sd.flow_taken.packets != burst.count) return false;
  rx_flow_taken const taken = sd.flow_taken;
  sd.flow_taken.packets = 0;
  detail::rx_flow_deliver(net, taken, burst, std::make_index_sequence<Net::rx_flows.size()>{});
  return true;
}

}  // namespace netstack
