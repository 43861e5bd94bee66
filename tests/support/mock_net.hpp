// SPDX-License-Identifier: BSL-1.0
// Decides: the little world of the device layer's tests: a stack with mock devices, a module that notes what reaches a
// protocol, and one that notes what the notifiers say.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/mock_wire.hpp"
#include "support/virtual_clock.hpp"

namespace netstack::test {

using mock = mock_wire<defect::none>;
inline constexpr u16 mock_type = 0x88b5;

/// Every frame of mock_type: its device, its bytes behind the link header, and what on_frame does with it.
struct recorder : module {
  struct frame {
    std::string dev;
    std::vector<u8> bytes;
    pkt_type type;
    u32 iif;
    u32 napi_id;
    u64 tstamp;
    be16 vlan_proto;
    u16 vlan_tci;
  };
  struct perworker {
    std::vector<frame> frames;
    std::function<void(sk_buff&)> on_frame;
  };
  template <class Net>
  static verdict rcv(Net& net, sk_buff& skb) {
    auto& state = worker_generic<recorder>(net.worker());
    state.frames.push_back({std::string(skb.dev->ifname()),
                            {skb.data, skb.data + skb.headlen()},
                            skb.pkt_type,
                            skb.skb_iif,
                            skb.napi_id,
                            skb.tstamp,
                            skb.vlan_proto,
                            skb.vlan_tci});
    if (state.on_frame) state.on_frame(skb);
    return verdict::consumed();
  }
  template <class Net>
  static constexpr std::array packet_types{packet_type<Net>{.type = mock_type, .func = rcv<Net>, .name = "recorder"}};
};

/// "event device" for each notification.
struct herald : module {
  struct perworker {
    std::vector<std::string> heard;
  };
  static char const* name_of(netdev_event event) {
    static constexpr char const* names[] = {"up",         "down",       "reboot",    "change",
                                            "registered", "unregister", "changemtu", "changeaddr",
                                            "going_down", "changename", "pre_up",    "feat_change"};
    auto const i = static_cast<std::size_t>(event);
    return i < std::size(names) ? names[i] : "other";
  }
  template <class Net>
  static void call(Net& net, netdev_event event, net_device& dev) {
    worker_generic<herald>(net.worker()).heard.push_back(std::string(name_of(event)) + " " + dev.name);
  }
  template <class Net>
  static constexpr std::array notifiers{notifier_block<Net>{.notifier_call = call<Net>, .name = "herald"}};
};

/// A frame of mock_type for a mock device.
inline std::vector<u8> mock_frame(u32 number, std::size_t len = 100,
                                  mac_addr const& to = mac_addr{{0x02, 0, 0, 0, 0, 0x77}}) {
  std::vector<u8> f(len, static_cast<u8>(number));
  ethhdr const eth{.h_dest = to, .h_source = {{0x02, 0, 0, 0, 0, 0x78}}, .h_proto = be16{mock_type}};
  std::memcpy(f.data(), &eth, sizeof eth);
  return f;
}

template <class Host>
struct mock_net {
  virtual_clock clock;
  std::vector<mock_end*> ends;
  Host h;

  mock_net() { REQUIRE(h.boot({.clock = clock.source(), .seed = 1})); }
  ~mock_net() {
    h.shutdown();
    for (auto* end : ends) delete end;
  }
  [[nodiscard]] auto& net() { return h.init_net(); }
  [[nodiscard]] auto& sd() { return h.worker().softnet; }
  [[nodiscard]] auto& frames() { return worker_generic<recorder>(h.worker()).frames; }
  [[nodiscard]] auto& heard() { return worker_generic<herald>(h.worker()).heard; }
  [[nodiscard]] u64 drops(drop_reason reason) { return net().drops[static_cast<std::size_t>(reason)].read(); }

  /// A mock device, up.
  net_device& add(char const* name, bool open = true) {
    ends.push_back(new mock_end);
    auto dev = register_netdev<mock>(net(), name, {.end = ends.back()});
    REQUIRE(dev);
    if (open) REQUIRE(dev_open(net(), **dev));
    return **dev;
  }
  static mock_end& end_of(net_device& dev) { return mock::end_of(dev); }
  void inject(net_device& dev, u32 n, u32 first = 0) {
    for (u32 i = 0; i < n; ++i) end_of(dev).to_device.push_back(mock_frame(first + i));
  }
  sk_buff& skb_for(net_device& dev, u32 number, std::size_t len = 100) {
    auto const f = mock_frame(number, len);
    sk_buff* skb = h.worker().pool.alloc_skb();
    REQUIRE(skb);
    std::memcpy(skb->put(static_cast<u32>(len)), f.data(), len);
    skb->dev = &dev;
    skb->protocol = be16{mock_type};
    return *skb;
  }
  void run() {
    while (h.poll()) {
    }
  }
  /// The numbers of the frames that the device has sent, in order.
  std::vector<u32> sent(net_device& dev) {
    std::vector<u32> numbers;
    auto& end = end_of(dev);
    while (end.in_flight.size() > end.held_back) {
      numbers.push_back(end.in_flight.front()->data[20]);
      end.done.push_back(end.in_flight.front());
      end.in_flight.pop_front();
    }
    return numbers;
  }
};

}  // namespace netstack::test
