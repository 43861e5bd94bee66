// SPDX-License-Identifier: BSL-1.0
// Decides: which compositions are wrong, and says so in one line. Each rule is a template named after what should hold;
// instantiating it with the modules concerned is the error, so the compiler prints their names beside the message. The
// search for culprits is done on values, outside any assertion; each rule has a file in tests/compile_fail/.
#pragma once
#include <bit>
#include <string_view>

#include "netstack/drivers/loopback.hpp"
#include "netstack/socket/sockfs.hpp"
#include "netstack/stack/link_tables.hpp"
#include "netstack/stack/net.hpp"
#include "netstack/stack/net_core.hpp"
#include "netstack/stack/proc_tables.hpp"
#include "netstack/stack/socket_tables.hpp"
#include "netstack/stack/tables.hpp"

namespace netstack::detail {
/// What is always there, and what the list adds.
template <class... Elements>
using composed_modules = modules_of<drivers::loopback, net_core, sockets, Elements...>;
}  // namespace netstack::detail

namespace netstack::check {

template <class...>
inline constexpr bool never = false;

// --- the rules: what should hold, and what to do about it ---------------------------------------------------------

template <class Host>
struct composition_lists_a_module {
  static_assert(never<Host>, "netstack: the composition lists no module: add at least one, e.g. netstack::ipv4");
};
template <class Culprit>
struct element_is_a_module {
  static_assert(
      never<Culprit>,
      "netstack: an element of the list is no module: derive it from netstack::module or netstack::driver, or "
      "remove it");
};
template <class Culprit>
struct module_is_listed_once {
  static_assert(never<Culprit>, "netstack: a module stands twice in the list (or in a preset of it): remove one");
};
template <class Module, class Needs>
struct needed_module_is_composed {
  static_assert(never<Module>, "netstack: a module needs another that is not in the list: add the one named here");
};
template <class First, class Second>
struct ip_protocol_has_one_module {
  static_assert(never<First>, "netstack: two modules register the same IP protocol number: keep one of them");
};
template <class First, class Second>
struct permanent_protosw_has_one_module {
  static_assert(
      never<First>,
      "netstack: two permanent inet_protosw rows have the same socket type and protocol: a permanent row cannot "
      "be overridden, keep one of the modules");
};
template <class First, class Second>
struct family_has_one_module {
  static_assert(never<First>, "netstack: two modules register the same address family: keep one of them");
};
template <class First, class Second>
struct proto_name_is_unique {
  static_assert(never<First>, "netstack: two protos have the same name: rename one (it names a slab and a /proc row)");
};
template <class First, class Second>
struct file_system_has_one_module {
  static_assert(never<First>, "netstack: two modules register the same file system: remove one of them");
};
template <class First, class Second>
struct sysctl_path_is_unique {
  static_assert(never<First>, "netstack: two modules register the same sysctl path: rename one");
};
template <class First, class Second>
struct proc_name_is_unique {
  static_assert(never<First>, "netstack: two modules offer the same /proc text: rename one");
};
template <class First, class Second>
struct driver_name_is_unique {
  static_assert(never<First>, "netstack: two drivers have the same name: rename one");
};
template <class First, class Second>
struct offload_has_one_module {
  static_assert(never<First>, "netstack: two modules register an offload for the same protocol: keep one of them");
};
template <class First, class Second>
struct link_kind_has_one_module {
  static_assert(never<First>, "netstack: two modules register the same kind of link: keep one of them");
};
template <class First, class Second>
struct congestion_control_name_is_unique {
  static_assert(never<First>, "netstack: two congestion control algorithms have the same name: rename one");
};
template <class Module, std::size_t Needed, std::size_t Available>
struct congestion_state_fits_the_connection {
  static_assert(Needed <= Available,
                "netstack: a congestion control algorithm keeps more in a connection than there is room for: shrink "
                "its state to tcp_ca_priv_size");
};
template <class Module>
struct congestion_control_has_its_duties {
  static_assert(never<Module>,
                "netstack: a tcp_congestion_ops lacks ssthresh, undo_cwnd, or one of cong_avoid and cong_control");
};
/// [S8]
template <class Module, std::size_t Needed, std::size_t Available>
struct cb_fits_the_control_block {
  static_assert(Needed <= Available,
                "netstack: a module's control block is larger than sk_buff's cb: shrink it or raise config.cb");
};
template <class Module>
struct initcall_runs_after_what_it_needs {
  static_assert(never<Module>,
                "netstack: an initcall comes before the one it needs: give it a later level, or list its module later");
};
template <class Driver>
struct driver_has_name_params_priv_probe_and_remove {
  static_assert(never<Driver>,
                "netstack: a driver lacks one of `name`, `params`, `priv`, `probe`, `remove` or `netdev_ops`: see "
                "registry/netdev_ops.hpp");
};
template <class Driver>
struct driver_has_ndo_open {
  static_assert(never<Driver>, "netstack: a driver lacks the required op ndo_open: set it in its netdev_ops");
};
template <class Driver>
struct driver_has_ndo_stop {
  static_assert(never<Driver>, "netstack: a driver lacks the required op ndo_stop: set it in its netdev_ops");
};
template <class Driver>
struct driver_has_ndo_start_xmit {
  static_assert(never<Driver>, "netstack: a driver lacks the required op ndo_start_xmit: set it in its netdev_ops");
};
template <class Driver>
struct driver_has_ndo_poll {
  static_assert(never<Driver>, "netstack: a driver lacks the required op ndo_poll: set it in its netdev_ops");
};

template <class Module>
struct net_protocol_has_a_handler {
  static_assert(never<Module>, "netstack: a net_protocol lacks its handler: set `.handler`, which gets the packets");
};
template <class Module>
struct packet_type_has_a_func {
  static_assert(never<Module>, "netstack: a packet_type lacks its func: set `.func`, which gets the frames");
};

/// The bounds of config, one by one.
template <config C>
struct bounds {
  static constexpr bool workers = C.workers >= 1 && C.workers <= 64;
  static constexpr bool max_net = C.max_net >= 1 && C.max_net <= 255;
  static constexpr bool max_dev = C.max_dev >= C.max_net;
  static constexpr bool frame_size = std::has_single_bit(C.frame_size) && C.frame_size >= 1024 && C.frame_size <= 65536;
  static constexpr bool headroom = C.headroom >= 64 && C.headroom % 64 == 0 && C.headroom + 512 <= C.frame_size;
  static constexpr bool cb = C.cb % 8 == 0;
  static constexpr bool rings =
      std::has_single_bit(C.sock_hash) && std::has_single_bit(C.rps_ring) && std::has_single_bit(C.control_ring);
  static constexpr bool drop_trace = C.drop_trace == 0 || std::has_single_bit(C.drop_trace);
  static constexpr bool tick_shift = C.tick_shift >= 6 && C.tick_shift <= 13;
  static constexpr bool skb_pool = C.skb_pool != 0;
  static constexpr bool all =
      workers && max_net && max_dev && frame_size && headroom && cb && rings && drop_trace && tick_shift && skb_pool;
};
template <config C>
struct bounds_are_sensible {
  static_assert(bounds<C>::workers, "netstack: config.workers must be 1 to 64");
  static_assert(bounds<C>::max_net, "netstack: config.max_net must be 1 (init_net alone) to 255");
  static_assert(bounds<C>::max_dev, "netstack: config.max_dev must cover a loopback for each of config.max_net");
  static_assert(bounds<C>::frame_size, "netstack: config.frame_size must be a power of two from 1024 to 65536");
  static_assert(bounds<C>::headroom,
                "netstack: config.headroom must be a multiple of 64, at least 64, and leave 512 bytes of the frame");
  static_assert(bounds<C>::cb, "netstack: config.cb must be a multiple of 8");
  static_assert(bounds<C>::rings, "netstack: config.sock_hash, rps_ring and control_ring must be powers of two");
  static_assert(bounds<C>::drop_trace, "netstack: config.drop_trace must be 0 or a power of two");
  static_assert(bounds<C>::tick_shift, "netstack: config.tick_shift must be 6 to 13 (64 ns to 8 us)");
  static_assert(bounds<C>::skb_pool,
                "netstack: config.skb_pool must be at least 1: a stack without frames carries nothing");
};

// --- what a check answers: ok, or the rule that is broken, named but not instantiated

struct ok {
  using rule = ok;
};
template <class Rule>
struct broken {
  using rule = Rule;
};
template <class Rule, bool Holds>
using verdict_on = std::conditional_t<Holds, ok, broken<Rule>>;

template <class A, class... As>
constexpr auto find_broken(A a, As... rest) {
  if constexpr (std::is_same_v<A, ok>)
    return check::find_broken(rest...);
  else
    return a;
}
template <class... As>
constexpr auto first_broken(As... all) {
  if constexpr ((std::is_same_v<As, ok> && ...))  // the good case in one step, however many there are
    return ok{};
  else
    return check::find_broken(all...);
}

// --- the search for culprits ---------------------------------------------------------------------------------------

inline constexpr std::size_t none = ~std::size_t{0};

struct culprits {
  std::size_t first = none, second = none;
  [[nodiscard]] constexpr bool found() const { return first != none; }
};

template <std::size_t I, class List>
struct at;
template <std::size_t I, class T, class... Ts>
struct at<I, type_list<T, Ts...>> : at<I - 1, type_list<Ts...>> {};
template <class T, class... Ts>
struct at<0, type_list<T, Ts...>> {
  using type = T;
};
template <std::size_t I, class List>
using at_t = typename at<I, List>::type;

/// The first two entries of a kind that `same` calls equal, as positions of their modules.
template <class Kind, class Net, class Modules, class Same>
constexpr culprits duplicates(Same same) {
  constexpr auto all = tables::collect<Kind, Net>(Modules{});
  constexpr auto of = tables::owners<Kind, Net>(Modules{});
  for (std::size_t i = 0; i < all.size(); ++i)
    for (std::size_t j = i + 1; j < all.size(); ++j)
      if (same(all[i], all[j])) return {of[i], of[j]};
  return {};
}

/// The module of the first initcall whose `needs` has not run before it.
template <class Net, class Modules>
constexpr culprits early_initcall() {
  constexpr auto all = tables::collect<tables::initcalls, Net>(Modules{});
  constexpr auto of = tables::owners<tables::initcalls, Net>(Modules{});
  constexpr auto order = tables::resolve_initcalls<Net, Modules>();
  for (std::size_t i = 0; i < order.size(); ++i) {
    if (!order[i].needs) continue;
    bool ran = false;
    for (std::size_t j = 0; j < i; ++j) ran = ran || std::string_view(order[j].name) == order[i].needs;
    if (ran) continue;
    for (std::size_t k = 0; k < all.size(); ++k)
      if (std::string_view(all[k].name) == order[i].name) return {of[k], of[k]};
  }
  return {};
}

template <template <class, class> class Rule, culprits C, class Modules>
constexpr auto holds() {
  if constexpr (C.found())
    return broken<Rule<at_t<C.first, Modules>, at_t<C.second, Modules>>>{};
  else
    return ok{};
}

template <class Modules, class... Ns>
constexpr bool satisfied(requires_all_t<Ns...>) {
  return (contains<Ns, Modules> && ...);
}
template <class Modules, class... Ns>
constexpr bool satisfied(requires_any_t<Ns...>) {
  return (contains<Ns, Modules> || ...);
}

template <class M, class Modules>
constexpr auto needs_hold() {
  if constexpr (requires { M::needs; })
    return verdict_on<needed_module_is_composed<M, std::remove_cvref_t<decltype(M::needs)>>,
                      satisfied<Modules>(M::needs)>{};
  else
    return ok{};
}

template <class M, std::size_t Available>
constexpr auto cb_holds() {
  if constexpr (requires { typename M::cb; })
    return verdict_on<cb_fits_the_control_block<M, sizeof(typename M::cb), Available>,
                      sizeof(typename M::cb) <= Available>{};
  else
    return ok{};
}

/// What registry/netdev_ops.hpp asks of a driver. Functions are named, not called: a call would complete Net, and the
/// composition is checked before it is complete.
template <class D, class Net>
concept net_device_driver = requires {
  { D::name } -> std::convertible_to<char const*>;
  typename D::params;
  typename D::priv;
  { D::template netdev_ops<Net> } -> std::convertible_to<net_device_ops<Net> const&>;
  static_cast<result<void> (*)(Net&, net_device&, typename D::params const&)>(D::template probe<Net>);
  static_cast<void (*)(Net&, net_device&)>(D::template remove<Net>);
};

/// A comparison with nullptr is no constant for g++ 12 under UBSan, which lets functions lie at address zero.
template <auto Function>
inline constexpr bool is_null = std::is_same_v<std::integral_constant<decltype(Function), Function>,
                                               std::integral_constant<decltype(Function), nullptr>>;

template <class D, class Net>
constexpr auto driver_holds() {
  if constexpr (!tables::is_driver<D>) {
    return ok{};
  } else if constexpr (!net_device_driver<D, Net>) {
    return broken<driver_has_name_params_priv_probe_and_remove<D>>{};
  } else {
    constexpr auto const& ops = D::template netdev_ops<Net>;
    if constexpr (is_null<ops.ndo_open>)
      return broken<driver_has_ndo_open<D>>{};
    else if constexpr (is_null<ops.ndo_stop>)
      return broken<driver_has_ndo_stop<D>>{};
    else if constexpr (is_null<ops.ndo_start_xmit>)
      return broken<driver_has_ndo_start_xmit<D>>{};
    else if constexpr (is_null<ops.ndo_poll>)
      return broken<driver_has_ndo_poll<D>>{};
    else
      return ok{};
  }
}

/// Every entry of M's names the function that it is for.
template <class Net, class M, std::size_t... I, std::size_t... J>
constexpr auto functions_hold(std::index_sequence<I...>, std::index_sequence<J...>) {
  [[maybe_unused]] constexpr auto protocols = tables::net_protocols::of<M, Net>();
  [[maybe_unused]] constexpr auto types = tables::packet_types::of<M, Net>();
  if constexpr ((is_null<protocols[I].handler> || ...))
    return broken<net_protocol_has_a_handler<M>>{};
  else
    return verdict_on<packet_type_has_a_func<M>, !(is_null<types[J].func> || ...)>{};
}
/// Each algorithm of M's is whole, and what it keeps fits.
template <class Net, class M, std::size_t... I>
constexpr auto congestion_holds(std::index_sequence<I...>) {
  [[maybe_unused]] constexpr auto rows = tables::tcp_congestion::of<M, Net>();
  constexpr std::size_t largest = std::max({std::size_t{0}, rows[I].priv_size...});
  if constexpr (((is_null<rows[I].ssthresh> || is_null<rows[I].undo_cwnd> ||
                  (is_null<rows[I].cong_avoid> && is_null<rows[I].cong_control>)) ||
                 ...))
    return broken<congestion_control_has_its_duties<M>>{};
  else
    return verdict_on<congestion_state_fits_the_connection<M, largest, tcp_ca_priv_size>,
                      largest <= tcp_ca_priv_size>{};
}
template <class Net, class M>
constexpr auto congestion_holds() {
  return congestion_holds<Net, M>(std::make_index_sequence<tables::tcp_congestion::of<M, Net>().size()>{});
}
template <class Net, class M>
constexpr auto functions_hold() {
  return functions_hold<Net, M>(std::make_index_sequence<tables::net_protocols::of<M, Net>().size()>{},
                                std::make_index_sequence<tables::packet_types::of<M, Net>().size()>{});
}

template <class... Ds>
constexpr culprits same_driver_name(type_list<Ds...>) {
  std::array<std::string_view, sizeof...(Ds)> const names{std::string_view(Ds::name)...};
  for (std::size_t i = 0; i < names.size(); ++i)
    for (std::size_t j = i + 1; j < names.size(); ++j)
      if (names[i] == names[j]) return {i, j};
  return {};
}

template <class... Ms>
constexpr culprits listed_twice(type_list<Ms...>) {
  constexpr std::array first{index_of<Ms, type_list<Ms...>>...};
  for (std::size_t i = 0; i < first.size(); ++i)
    if (first[i] != i) return {i, i};
  return {};
}

template <class T>
using element_holds = verdict_on<element_is_a_module<T>, detail::is_sizes<T> || protocol_module<T>>;

template <class A, class>
using listed_once = module_is_listed_once<A>;
template <class A, class>
using after_what_it_needs = initcall_runs_after_what_it_needs<A>;

constexpr culprits as_culprits(tables::path_conflict const& c) { return {c.first, c.second}; }

// --- all of it ------------------------------------------------------------------------------------------------------

/// The list itself: modules, each once, at least one. What follows is only looked at when this holds.
template <class Host, class... Elements>
constexpr auto structure() {
  return check::first_broken(
      verdict_on<composition_lists_a_module<Host>, ((!detail::is_sizes<Elements>)+... + 0) != 0>{},
      element_holds<Elements>{}...,
      verdict_on<bounds_are_sensible<detail::find_config<type_list<Elements...>>::value>,
                 bounds<detail::find_config<type_list<Elements...>>::value>::all>{});
}

/// The modules, one by one, by their types: no function of theirs is named yet.
template <config C, class... Ms>
constexpr auto each_module(type_list<Ms...>) {
  using all = type_list<Ms...>;
  return check::first_broken(holds<listed_once, listed_twice(all{}), all>(), needs_hold<Ms, all>()...,
                             cb_holds<Ms, C.cb>()...);
}

/// Their drivers and handlers. The tables are only looked at when these hold.
template <class Net, class... Ms>
constexpr auto each_function(type_list<Ms...>) {
  return check::first_broken(driver_holds<Ms, Net>()..., functions_hold<Net, Ms>()..., congestion_holds<Net, Ms>()...);
}
template <class Net>
struct keep_usable {
  template <class T>
  constexpr auto operator()(T) const {
    return hana::bool_c < !tables::is_driver<typename T::type> || net_device_driver < typename T::type, Net >> ;
  }
};
/// Without the drivers that no table can hold.
template <class Net, class Modules>
using usable = list_of<decltype(hana::filter(netstack::detail::as_types(Modules{}), keep_usable<Net>{}))>;

template <class Net, class all>
constexpr auto contents() {
  using namespace tables;
  return check::first_broken(
      holds<driver_name_is_unique, same_driver_name(drivers_of<all>{}), drivers_of<all>>(),
      holds<ip_protocol_has_one_module,
            duplicates<net_protocols, Net, all>([](auto& a, auto& b) { return a.protocol == b.protocol; }), all>(),
      holds<permanent_protosw_has_one_module, duplicates<inetsw, Net, all>([](auto& a, auto& b) {
              return (a.flags & b.flags & protosw_flag::permanent) != 0 && a.type == b.type && a.protocol == b.protocol;
            }),
            all>(),
      holds<family_has_one_module,
            duplicates<families, Net, all>([](auto& a, auto& b) { return a.family == b.family; }), all>(),
      holds<proto_name_is_unique, duplicates<protos, Net, all>([](auto& a, auto& b) {
              return std::string_view(a.name) == std::string_view(b.name);
            }),
            all>(),
      holds<file_system_has_one_module, duplicates<file_systems, Net, all>([](auto& a, auto& b) {
              return std::string_view(a.name) == std::string_view(b.name);
            }),
            all>(),
      holds<sysctl_path_is_unique, as_culprits(duplicate_ctl_path<Net, all>()), all>(),
      holds<proc_name_is_unique, as_culprits(duplicate_proc_name<Net, all>()), all>(),
      holds<ip_protocol_has_one_module,
            duplicates<inet6_protocols, Net, all>([](auto& a, auto& b) { return a.protocol == b.protocol; }), all>(),
      holds<offload_has_one_module,
            duplicates<net_offloads, Net, all>([](auto& a, auto& b) { return a.protocol == b.protocol; }), all>(),
      holds<link_kind_has_one_module, duplicates<rtnl_links, Net, all>([](auto& a, auto& b) {
              return std::string_view(a.kind) == std::string_view(b.kind);
            }),
            all>(),
      holds<congestion_control_name_is_unique, duplicates<tcp_congestion, Net, all>([](auto& a, auto& b) {
              return std::string_view(a.name) == std::string_view(b.name);
            }),
            all>(),
      holds<after_what_it_needs, early_initcall<Net, all>(), all>());
}

template <class Verdict>
inline constexpr bool is_ok = std::is_same_v<Verdict, ok>;

/// Which rule is broken, and what is left to go on with: modules of which the tables can be made, or none.
template <class Verdict, class Modules = void>
struct outcome {
  using verdict = Verdict;
  using modules = Modules;
};
template <class Host, class... Elements>
constexpr auto composition() {
  using list = decltype(structure<Host, Elements...>());
  if constexpr (!is_ok<list>) {
    return outcome<list>{};
  } else {
    using all = netstack::detail::composed_modules<Elements...>;
    using each = decltype(each_module<netstack::detail::find_config<elements_of<Elements...>>::value>(all{}));
    if constexpr (!is_ok<each>) {
      return outcome<each>{};
    } else {
      using functions = decltype(each_function<net<Host>>(all{}));
      if constexpr (!is_ok<functions>)
        return outcome<functions, usable<net<Host>, all>>{};
      else
        return outcome<decltype(contents<net<Host>, all>()), all>{};
    }
  }
}

}  // namespace netstack::check
