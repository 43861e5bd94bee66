// SPDX-License-Identifier: BSL-1.0
// Several handlers of one ethertype: all see the frame, in list order, the last without a copy; one bound to a device
// sees that device's frames only; taps see every frame, both ways.
#include <string>
#include <vector>

#include "netstack/drivers/pipe.hpp"
#include "netstack/meta/fixed_string.hpp"
#include "netstack/stack/stack.hpp"
#include "support/catch.hpp"

namespace {

using namespace netstack;

constexpr u16 test_type = 0x88b5;

struct sighting {
  std::string who;
  sk_buff const* skb;
  u8 const* bytes;
  bool cloned;
};
std::vector<sighting> seen;

template <fixed_string Name, u16 Type, fixed_string Dev = "">
struct listener : module {
  template <class Net>
  static verdict rcv(Net&, sk_buff& skb) {
    seen.push_back({Name.text, &skb, skb.data, skb_cloned(skb)});
    return verdict::consumed();
  }
  template <class Net>
  static constexpr std::array packet_types{
      packet_type<Net>{.type = Type, .dev = Dev.text[0] ? Dev.text : nullptr, .func = rcv<Net>, .name = Name.text}};
};

using first = listener<"first", test_type>;
using bound = listener<"bound", test_type, "p1">;
using last = listener<"last", test_type>;
using tap_all = listener<"tap", eth_p::all>;
using tap_bound = listener<"tap on p1", eth_p::all, "p1">;

struct host : stack<host, first, bound, last, drivers::pipe, sizes<config{.skb_pool = 64}>> {};
struct tapped : stack<tapped, tap_all, tap_bound, last, drivers::pipe, sizes<config{.skb_pool = 64}>> {};

template <class Host>
struct rig {
  Host h;
  drivers::pipe_cable wire0{}, wire1{};
  net_device* p0 = nullptr;
  net_device* p1 = nullptr;
  rig() {
    REQUIRE(h.boot({.seed = 1}));
    auto a = register_netdev<drivers::pipe>(h.init_net(), "p0", {.cables = &wire0});
    auto b = register_netdev<drivers::pipe>(h.init_net(), "p1", {.cables = &wire1});
    REQUIRE(a);
    REQUIRE(b);
    p0 = *a;
    p1 = *b;
    REQUIRE(dev_open(h.init_net(), *p0));
    REQUIRE(dev_open(h.init_net(), *p1));
    seen.clear();
  }
  ~rig() { CHECK(h.worker().pool.in_use() == 0); }
  sk_buff const* receive(net_device& dev, u16 type) {
    sk_buff* skb = h.worker().pool.alloc_skb();
    REQUIRE(skb);
    skb->put(60);
    skb->dev = &dev;
    skb->protocol = be16{type};
    skb_list burst;
    burst.push_back(*skb);
    netif_receive_skb_list(h.init_net(), burst);
    return skb;
  }
};

std::vector<std::string> names() {
  std::vector<std::string> out;
  for (auto const& s : seen) out.push_back(s.who);
  return out;
}

}  // namespace

TEST_CASE("every handler of an ethertype sees the frame, in list order, the last gets the original", "[S81][S83]") {
  rig<host> r;
  sk_buff const* original = r.receive(*r.p1, test_type);
  REQUIRE(names() == std::vector<std::string>{"first", "bound", "last"});
  CHECK(seen[0].skb != original);
  CHECK(seen[1].skb != original);
  CHECK(seen[2].skb == original);
  CHECK(seen[0].bytes == seen[2].bytes);  // a clone shares the bytes
  CHECK(seen[0].cloned);
  CHECK(!seen[2].cloned);  // nobody else looks any more: no extra copy
}

TEST_CASE("a handler bound to a device sees that device's frames only", "[S82]") {
  rig<host> r;
  sk_buff const* original = r.receive(*r.p0, test_type);
  REQUIRE(names() == std::vector<std::string>{"first", "last"});
  CHECK(seen[1].skb == original);
}

TEST_CASE("a frame that nobody asked for is dropped under its name", "[S83]") {
  rig<host> r;
  r.receive(*r.p0, 0x9999);
  CHECK(seen.empty());
  CHECK(r.p0->stats.rx_nohandler.read() == 1);
  CHECK(r.h.init_net().drops[static_cast<std::size_t>(drop_reason::unhandled_proto)].read() == 1);
}

TEST_CASE("taps see every frame whatever its type, before the handlers, and what is sent", "[S81][S82][S83]") {
  rig<tapped> r;
  static_assert(net<tapped>::ptype_all.size() == 2 && net<tapped>::ptype_base.size() == 1);
  r.receive(*r.p1, test_type);
  CHECK(names() == std::vector<std::string>{"tap", "tap on p1", "last"});
  seen.clear();
  r.receive(*r.p0, 0x9999);
  CHECK(names() == std::vector<std::string>{"tap"});
}
