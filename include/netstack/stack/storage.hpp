// SPDX-License-Identifier: BSL-1.0
// Decides: where a module's state lies: one slot per namespace slice (`pernet`) and one per worker (`perworker`), each
// typed and found at compile time; net_generic<M>(net) and worker_generic<M>(worker) reach it. [S13]
// Linux: include/net/netns/generic.h (net_generic)
#pragma once
#include "netstack/stack/modules.hpp"

namespace netstack {

namespace detail {

struct no_state {};

template <class M, class Host>
auto pick_pernet() {
  if constexpr (requires { typename M::template pernet<Host>; }) {
    return std::type_identity<typename M::template pernet<Host>>{};
  } else if constexpr (requires { typename M::pernet; }) {
    return std::type_identity<typename M::pernet>{};
  } else {
    return std::type_identity<no_state>{};
  }
}
template <class M, class Host>
auto pick_perworker() {
  if constexpr (requires { typename M::template perworker<Host>; }) {
    return std::type_identity<typename M::template perworker<Host>>{};
  } else if constexpr (requires { typename M::perworker; }) {
    return std::type_identity<typename M::perworker>{};
  } else {
    return std::type_identity<no_state>{};
  }
}

template <class M, class Host>
struct pernet_slot {
  [[no_unique_address]] typename decltype(pick_pernet<M, Host>())::type pernet_state;
};
template <class M, class Host>
struct perworker_slot {
  [[no_unique_address]] typename decltype(pick_perworker<M, Host>())::type perworker_state;
};

template <class Host, class Modules>
struct pernet_slots;
template <class Host, class... Ms>
struct pernet_slots<Host, type_list<Ms...>> : pernet_slot<Ms, Host>... {};

template <class Host, class Modules>
struct perworker_slots;
template <class Host, class... Ms>
struct perworker_slots<Host, type_list<Ms...>> : perworker_slot<Ms, Host>... {};

}  // namespace detail

}  // namespace netstack
