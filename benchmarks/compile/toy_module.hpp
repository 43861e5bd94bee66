// SPDX-License-Identifier: BSL-1.0
// Decides: the module that the N-modules files list N times: one descriptor of each kind that a small protocol has.
#pragma once
#include "netstack/registry/initcall.hpp"
#include "netstack/registry/net_protocol.hpp"
#include "netstack/registry/snmp.hpp"
#include "netstack/registry/sysctl.hpp"
#include "netstack/stack/stack.hpp"

namespace toy {

using namespace netstack;

/// A name that ends in the module's number.
template <u8 I>
struct text {
  char chars[32]{};
  constexpr explicit text(char const* prefix) {
    std::size_t n = 0;
    while (prefix[n]) chars[n] = prefix[n], ++n;
    chars[n] = static_cast<char>('a' + I / 16), chars[n + 1] = static_cast<char>('a' + I % 16);
  }
};
template <u8 I>
inline constexpr text<I> path{"net/toy/limit_"};
template <u8 I>
inline constexpr text<I> init_name{"toy_init_"};
template <u8 I>
inline constexpr text<I> mib_prefix{"Toy"};

template <u8 I>
struct state {
  int limit = 64;
  counter received, sent, errors;
};

template <u8 I>
struct protocol : module {
  using pernet = state<I>;
  enum class own_drop_reasons { too_long };

  template <class Net>
  static verdict receive(Net& net, sk_buff& skb) {
    auto& self = net_generic<protocol>(net);
    if (static_cast<int>(skb.len) > self.limit) return drop(net, skb, own_drop_reasons::too_long);
    ++self.received;
    return verdict::consumed();
  }
  template <class Net>
  static result<void> init(Net& net) {
    net_generic<protocol>(net).limit = I;
    return {};
  }

  template <class Net>
  static constexpr std::array net_protocols{
      net_protocol<Net>{.protocol = static_cast<u8>(150 + I), .handler = receive<Net>, .name = "toy"}};
  template <class Net>
  static constexpr std::array initcalls{
      initcall<Net>{.level = initcall_level::fs, .name = init_name<I>.chars, .init = init<Net>}};
  template <class Net>
  static constexpr std::array drop_reasons{
      drop_reason_def<Net>{.name = "TOY_TOO_LONG", .count = count_mib<Net, protocol, &state<I>::errors>}};
  static constexpr std::array ctl_tables{ctl<&state<I>::limit>(path<I>.chars, {.min = 1, .max = 1500})};
  static constexpr std::array items{SNMP_MIB_ITEM<&state<I>::received>("InMsgs"),
                                    SNMP_MIB_ITEM<&state<I>::sent>("OutMsgs"),
                                    SNMP_MIB_ITEM<&state<I>::errors>("InErrors")};
  static constexpr std::array snmp{snmp_group{.prefix = mib_prefix<I>.chars, .items = items}};
};

/// A composition of N of them, booted, run and described.
template <class Indices>
struct composition;
template <std::size_t... I>
struct composition<std::index_sequence<I...>>
    : stack<composition<std::index_sequence<I...>>, protocol<static_cast<u8>(I)>...> {};

template <std::size_t N>
int run() {
  composition<std::make_index_sequence<N>> host;
  if (!host.boot()) return 1;
  host.poll();
  return 0;
}

}  // namespace toy
