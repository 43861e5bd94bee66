// SPDX-License-Identifier: BSL-1.0
// Decides: what a conformance case works with: a rig's stack with one device made, frames built, sent, injected and
// collected, and checks that end the case with a text. Not for production: allocates and throws.
#pragma once
#include <time.h>

#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "netstack/core/dev_config.hpp"
#include "netstack/core/ethtool.hpp"
#include "netstack/link/eth.hpp"
#include "netstack/stack/stack.hpp"

namespace netstack::testing::detail {

using bytes = std::vector<u8>;

/// Thrown by the checks of a case.
struct case_failed {
  std::string text;
};
struct case_skipped {
  std::string text;
};

inline void check(bool holds, std::string const& what) {
  if (!holds) throw case_failed{what};
}
template <class A, class B>
void check_equal(A const& got, B const& expected, std::string const& what) {
  if (!(static_cast<u64>(got) == static_cast<u64>(expected)))
    throw case_failed{what + ": " + std::to_string(static_cast<u64>(got)) + " instead of " +
                      std::to_string(static_cast<u64>(expected))};
}
inline void needs(bool holds, std::string const& what) {
  if (!holds) throw case_skipped{what};
}

/// Calls f() until it is true, for at most a second: the far end may be another thread, or a kernel.
template <class F>
bool eventually(F&& f) {
  for (int i = 0; i < 1000; ++i) {
    if (f()) return true;
    timespec const ms{0, 1'000'000};
    ::nanosleep(&ms, nullptr);
  }
  return false;
}

template <class Rig>
class bench {
 public:
  using host = typename Rig::host;
  using net_t = netstack::net<host>;

  Rig& rig;
  host& h;
  net_t& net;
  net_device* dev = nullptr;
  bool shut_down = false;  ///< the case has ended the stack itself

  explicit bench(Rig& r) : rig(r), h(r.h), net(r.h.init_net()) {}

  [[nodiscard]] auto& pool() { return h.worker().pool; }
  [[nodiscard]] net_device_ops<net_t> const& ops() const { return net_t::netdev_ops[dev->driver]; }
  [[nodiscard]] bool ethernet() const { return dev->type != arphrd::none; }
  [[nodiscard]] u32 frame_max() const { return dev->mtu + dev->hard_header_len; }

  /// Makes the device, down.
  void make() {
    auto made = rig.make("dut0");
    if (!made) throw case_failed{"make() failed with errno " + std::to_string(static_cast<int>(made.error()))};
    dev = *made;
  }
  /// Makes it and brings it up, with a carrier.
  void up() {
    make();
    open();
  }
  void open() {
    check(dev_open(net, *dev).has_value(), "dev_open failed");
    check(eventually([&] {
            take(0);
            return dev->carrier_ok();
          }),
          "no carrier within a second of dev_open");
    discard();
  }
  void remove() {
    if (dev) unregister_netdev(net, *std::exchange(dev, nullptr));
  }

  // --- frames -------------------------------------------------------------------------------------------------------
  /// A frame of `len` bytes with its number in it: from the far end to the device, or the other way.
  [[nodiscard]] bytes frame(u32 number, u32 len, bool to_device, std::optional<mac_addr> to = {}) const {
    bytes f(len);
    for (u32 i = 0; i < len; ++i) f[i] = static_cast<u8>(number * 7 + i);
    u32 at = 0;
    if (ethernet()) {
      ethhdr eth{.h_dest = to_device ? dev->dev_addr : far_mac,
                 .h_source = to_device ? far_mac : dev->dev_addr,
                 .h_proto = be16{test_type}};
      if (to) eth.h_dest = *to;
      std::memcpy(f.data(), &eth, sizeof eth);
      at = sizeof eth;
    } else {
      iphdr iph{.tot_len = be16{static_cast<u16>(len)}, .ttl = 64, .protocol = test_protocol};
      iph.saddr = be32{0xc6336401}, iph.daddr = be32{0xc6336402};  // RFC 5737: 198.51.100.0/24
      iph.check = ip_header_csum(iph);
      std::memcpy(f.data(), &iph, sizeof iph);
      at = sizeof iph;
    }
    be32 const n{number};
    std::memcpy(f.data() + at, &n, sizeof n);
    return f;
  }
  /// The number in a frame of frame().
  [[nodiscard]] u32 number_of(bytes const& f) const {
    be32 n;
    std::memcpy(&n, f.data() + (ethernet() ? sizeof(ethhdr) : sizeof(iphdr)), sizeof n);
    return n.host();
  }
  [[nodiscard]] sk_buff* skb_of(bytes const& f, u32 headroom) {
    auto const len = static_cast<u32>(f.size()), linear = std::min(len, pool().frame_size() - headroom);
    sk_buff* skb = alloc_skb_with_frags(pool(), headroom, linear, len - linear);
    check(skb != nullptr, "the pool of the rig is too small");
    check(skb_store_bits(*skb, 0, f.data(), len), "the frame does not fit");
    skb->dev = dev;
    skb->protocol = be16{ethernet() ? test_type : eth_p::ip};
    skb->reset_mac_header();
    skb->network_header = static_cast<u16>(skb->mac_header + dev->hard_header_len);
    skb->transport_header = skb->network_header;
    return skb;
  }
  [[nodiscard]] sk_buff* skb_of(bytes const& f) { return skb_of(f, pool().rx_headroom()); }

  // --- sending ------------------------------------------------------------------------------------------------------
  result<void> send(bytes const& f, bool more = false) { return dev_queue_xmit(net, *skb_of(f), more); }
  void must_send(bytes const& f, bool more = false) { check(send(f, more).has_value(), "dev_queue_xmit failed"); }
  /// The next frame that came out at the far end; waits for it. Empty: none within a second.
  bytes collect() {
    bytes f;
    eventually([&] {
      if (rig.collect(f)) return true;
      h.poll();
      return false;
    });
    return f;
  }
  /// What is there now; waits for nothing.
  std::vector<bytes> collect_all() {
    std::vector<bytes> all;
    for (bytes f; rig.collect(f); f.clear()) all.push_back(f);
    return all;
  }
  void must_collect(bytes const& expected, std::string const& what) {
    bytes const got = collect();
    check(!got.empty(), what + " never arrived at the far end");
    compare(got, expected, what + " at the far end");
  }

  // --- receiving ----------------------------------------------------------------------------------------------------
  bool inject(bytes const& f) { return rig.inject(f); }
  void must_inject(bytes const& f) { check(inject(f), "the far end could not send"); }
  /// One ndo_poll, as the core would do it.
  u32 poll_into(skb_list& burst, u32 budget) {
    if (ops().ndo_tx_complete) ops().ndo_tx_complete(net, *dev);
    return ops().ndo_poll(net, *dev, budget, burst);
  }
  /// One ndo_poll; the frames from their link header on.
  std::vector<bytes> take(u32 budget) {
    skb_list burst;
    u32 const work = poll_into(burst, budget);
    check(work <= budget,
          "ndo_poll did more work (" + std::to_string(work) + ") than its budget (" + std::to_string(budget) + ")");
    check(burst.count <= work || burst.count == 0, "ndo_poll reports less work than it did");
    std::vector<bytes> frames;
    while (sk_buff* skb = burst.pop_front()) {
      frames.push_back(bytes_of(*skb));
      consume_skb(*skb);
    }
    return frames;
  }
  /// Polls until `n` frames came.
  std::vector<bytes> take_exactly(u32 n, u32 budget = 64) {
    std::vector<bytes> frames;
    eventually([&] {
      for (auto& f : take(budget)) frames.push_back(std::move(f));
      return frames.size() >= n;
    });
    check_equal(frames.size(), n, "frames received");
    return frames;
  }
  /// Polls until the frame of this number came; all up to it.
  std::vector<bytes> take_until(u32 number) {
    std::vector<bytes> frames;
    bool const came = eventually([&] {
      for (auto& f : take(64)) frames.push_back(std::move(f));
      return !frames.empty() && number_of(frames.back()) == number;
    });
    check(came, "an injected frame never arrived");
    return frames;
  }
  /// Injects as soon as the far end sees the carrier.
  void must_inject_when_ready(bytes const& f) {
    check(eventually([&] {
            take(0);
            return inject(f);
          }),
          "the far end could not send");
  }
  /// f(skb) for the next frame, which is freed then.
  template <class F>
  void with_one(F&& f) {
    skb_list burst;
    check(eventually([&] {
            if (burst.empty()) poll_into(burst, 1);
            return !burst.empty();
          }),
          "an injected frame never arrived");
    auto const free = [this](skb_list* list) { pool().free_list(*list); };
    std::unique_ptr<skb_list, decltype(free)> const guard{&burst, free};
    f(*burst.first);
  }
  /// f(skb, number) for each frame up to the one of this number.
  template <class F>
  void each_until(u32 last, F&& f) {
    bool more = true;
    while (more)
      with_one([&](sk_buff& skb) {
        u32 const number = number_of(bytes_of(skb));
        more = number != last;
        f(skb, number);
      });
  }
  /// Takes and forgets what waits.
  void discard() {
    for (int quiet = 0; quiet < 2;) quiet = take(64).empty() ? quiet + 1 : 0;
  }
  /// A whole frame, from its link header on.
  static bytes bytes_of(sk_buff& skb) {
    bytes f(skb.head + skb.mac_header, skb.data);
    for_each_piece(skb, 0, skb.len, [&](u8 const* p, u32 n) { f.insert(f.end(), p, p + n); });
    return f;
  }
  static void compare(bytes const& got, bytes const& expected, std::string const& what) {
    check_equal(got.size(), expected.size(), "length of " + what);
    for (std::size_t i = 0; i < got.size(); ++i)
      check(got[i] == expected[i], "byte " + std::to_string(i) + " of " + what + " is wrong");
  }

  /// Frames that every far end can hold.
  static constexpr u32 few = std::min<u32>(10, Rig::window), some = std::min<u32>(20, Rig::window);
  static constexpr mac_addr far_mac{{0x02, 0xfe, 0, 0, 0, 0xfe}};
  static constexpr u16 test_type = 0x88b5;  // IEEE 802: local experimental ethertype 1
  static constexpr u8 test_protocol = 253;  // RFC 3692: for experiments
};

}  // namespace netstack::testing::detail
