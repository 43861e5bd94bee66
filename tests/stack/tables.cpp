// SPDX-License-Identifier: BSL-1.0
// What descriptors become: the order and the look-up of each table, with modules of the test's own.
#include <string>
#include <string_view>
#include <vector>

#include "netstack/meta/fixed_string.hpp"
#include "netstack/stack/stack.hpp"
#include "support/catch.hpp"

namespace {

using namespace netstack;

template <class Net>
verdict rcv(Net&, sk_buff&) {
  return verdict::consumed();
}
template <class Net>
nf_verdict accept(Net&, sk_buff&) {
  return nf_verdict::accept;
}
template <class Net>
void heard(Net&, netdev_event, net_device&) {}
template <class Net>
u32 window(Net&, sock&) {
  return 2;
}
template <class Net>
void cong_avoid(Net&, sock&, u32, u32) {}
template <class Net>
constexpr tcp_congestion_ops<Net> congestion(char const* name, bool fallback = false) {
  return {.name = name,
          .ssthresh = window<Net>,
          .undo_cwnd = window<Net>,
          .cong_avoid = cong_avoid<Net>,
          .fallback = fallback};
}

struct first : module {
  template <class Net>
  static constexpr std::array net_protocols{net_protocol<Net>{.protocol = 253, .handler = rcv<Net>, .name = "first"}};
  template <class Net>
  static constexpr std::array inet6_protocols{net_protocol<Net>{.protocol = 58, .handler = rcv<Net>, .name = "icmp6"}};
  template <class Net>
  static constexpr std::array nf_hooks{
      nf_hook_ops<Net>{.hooknum = nf_inet::local_in, .hook = accept<Net>, .priority = 10, .name = "late"},
      nf_hook_ops<Net>{.hooknum = nf_inet::pre_routing, .hook = accept<Net>, .priority = 0, .name = "pre"}};
  template <class Net>
  static constexpr std::array notifiers{
      notifier_block<Net>{.notifier_call = heard<Net>, .priority = -5, .name = "low"}};
  template <class Net>
  static constexpr std::array packet_offloads{packet_offload<Net>{.type = eth_p::ipv6, .priority = 10, .name = "ipv6"}};
  template <class Net>
  static constexpr std::array net_offloads{net_offload<Net>{.protocol = ipproto::tcp, .name = "tcp"}};
  template <class Net>
  static constexpr std::array tcp_congestion{congestion<Net>("last", true), congestion<Net>("reno"),
                                             congestion<Net>("cubic")};
};
struct second : module {
  template <class Net>
  static constexpr std::array net_protocols{net_protocol<Net>{.protocol = 254, .handler = rcv<Net>, .name = "second"}};
  template <class Net>
  static constexpr std::array nf_hooks{
      nf_hook_ops<Net>{.hooknum = nf_inet::local_in, .hook = accept<Net>, .priority = -10, .name = "early"}};
  template <class Net>
  static constexpr std::array notifiers{
      notifier_block<Net>{.notifier_call = heard<Net>, .priority = 5, .name = "high"}};
  template <class Net>
  static constexpr std::array packet_offloads{packet_offload<Net>{.type = eth_p::ip, .priority = 5, .name = "ip"}};
  template <class Net>
  static constexpr std::array net_offloads{net_offload<Net>{.protocol = ipproto::udp, .name = "udp"}};
  template <class Net>
  static constexpr std::array tcp_congestion{congestion<Net>("bbr")};
};
/// A preset: a name that stands for several modules, one of them a preset again.
struct inner : module {
  using modules = type_list<second>;
};
struct preset : module {
  using modules = type_list<first, inner>;
};

struct host : stack<host, preset, sizes<config{.skb_pool = 64}>> {};
using net_t = net<host>;

/// A user's module with reasons of its own: the library is not edited, the composition numbers them.
struct choosy : module {
  enum class own_drop_reasons { too_sweet, too_sour, without_row };
  struct pernet {
    counter sour;
  };
  template <class Net>
  static constexpr std::array drop_reasons{
      drop_reason_def<Net>{.name = "TOO_SWEET"},
      drop_reason_def<Net>{.name = "TOO_SOUR", .count = count_mib<Net, choosy, &pernet::sour>}};
};
struct picky : module {
  enum class own_drop_reasons { picky };
  template <class Net>
  static constexpr std::array drop_reasons{drop_reason_def<Net>{.name = "PICKY"}};
};
struct rejecting : stack<rejecting, picky, choosy, sizes<config{.skb_pool = 64, .drop_trace = 4}>> {};

}  // namespace

TEST_CASE("inet_protos answers by number, and only for who is listed", "[S115][S116]") {
  STATIC_REQUIRE(net_t::inet_protos[253]->handler == rcv<net_t>);
  STATIC_REQUIRE(net_t::inet_protos[254] != net_t::inet_protos[253]);
  STATIC_REQUIRE(net_t::inet_protos[17] == nullptr);
  STATIC_REQUIRE(net_t::inet_protos.rows.size() == 2);
  STATIC_REQUIRE(net_t::inet6_protos[58] != nullptr);
  STATIC_REQUIRE(net_t::inet6_protos[253] == nullptr);
}

TEST_CASE("hooks stand by ascending priority; a point without hooks has an empty array", "[S173]") {
  constexpr auto const& in = net_t::nf_hooks<nf_inet::local_in>;
  STATIC_REQUIRE(in.size() == 2);
  CHECK(std::string_view(in[0].name) == "early");
  CHECK(std::string_view(in[1].name) == "late");
  STATIC_REQUIRE(net_t::nf_hooks<nf_inet::pre_routing>.size() == 1);
  STATIC_REQUIRE(net_t::nf_hooks<nf_inet::forward>.empty());
}

TEST_CASE("notifiers stand by descending priority", "[S71]") {
  std::vector<std::string> names;
  for (auto const& n : net_t::netdev_chain) names.emplace_back(n.name);
  CHECK(names == std::vector<std::string>{"high", "low"});
}

TEST_CASE("offloads have tables of their own: by priority, and by protocol number", "[S87]") {
  STATIC_REQUIRE(net_t::packet_offloads.size() == 2);
  CHECK(std::string_view(net_t::packet_offloads[0].name) == "ip");
  CHECK(std::string_view(net_t::packet_offloads[1].name) == "ipv6");
  CHECK(std::string_view(net_t::inet_offloads[ipproto::tcp]->name) == "tcp");
  STATIC_REQUIRE(net_t::inet_offloads[ipproto::icmp] == nullptr);
  STATIC_REQUIRE(net<rejecting>::packet_offloads.empty());
}

TEST_CASE("congestion control: sorted by name, the default is the first listed that is no mere fallback") {
  std::vector<std::string> names;
  for (auto const& c : net_t::tcp_congestion.rows) names.emplace_back(c.name);
  CHECK(names == std::vector<std::string>{"bbr", "cubic", "last", "reno"});
  CHECK(std::string_view(net_t::tcp_congestion.by_default()->name) == "reno");
  CHECK(net_t::tcp_congestion.find("cubic") != nullptr);
  CHECK(net_t::tcp_congestion.find("vegas") == nullptr);
  STATIC_REQUIRE(net<rejecting>::tcp_congestion.by_default() == nullptr);
}

TEST_CASE("a preset stands for its modules, presets inside it too", "[S9]") {
  STATIC_REQUIRE(contains<first, host::modules>);
  STATIC_REQUIRE(contains<second, host::modules>);
  STATIC_REQUIRE(!contains<preset, host::modules>);
  STATIC_REQUIRE(net_t::has<second> && !net<rejecting>::has<second>);
}

TEST_CASE("a user's module has drop reasons of its own: name, number, counter, trace") {
  rejecting h;
  REQUIRE(h.boot({.seed = 1}));
  auto& n = h.init_net();
  using N = net<rejecting>;
  using own = choosy::own_drop_reasons;
  constexpr drop_reason sour = N::drop_reason_of(own::too_sour);
  STATIC_REQUIRE(sour >= drop_reason::count);
  STATIC_REQUIRE(N::drop_reason_of(picky::own_drop_reasons::picky) == drop_reason::count);
  STATIC_REQUIRE(sour != N::drop_reason_of(own::too_sweet));
  STATIC_REQUIRE(N::drop_reason_of(own::without_row) == drop_reason::not_specified);
  CHECK(std::string_view(N::drop_table::rows[static_cast<std::size_t>(sour)].name) == "TOO_SOUR");
  for (int i = 0; i < 6; ++i) {
    sk_buff* skb = h.worker().pool.alloc_skb();
    REQUIRE(skb);
    skb->dev = n.loopback_dev;
    skb->protocol = be16{static_cast<u16>(0x1000 + i)};
    verdict const v = drop(n, *skb, own::too_sour);
    CHECK(v.is_drop());
    CHECK(v.reason() == sour);
    finish(*skb, v);
  }
  CHECK(n.drops[static_cast<std::size_t>(sour)].read() == 6);
  CHECK(net_generic<choosy>(n).sour.read() == 6);
  CHECK(n.drop_trace_next == 6);
  CHECK(n.drop_trace[5 & 3].protocol == be16{0x1005});  // the last four are kept
  CHECK(n.drop_trace[2].protocol == be16{0x1002});
  CHECK(h.worker().pool.in_use() == 0);
}
