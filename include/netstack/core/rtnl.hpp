// SPDX-License-Identifier: BSL-1.0
// Decides: how a control operation reaches every worker. It is applied to the caller's slice first; if that succeeds,
// the same operation is posted to the other workers, which apply it to their slices in their next poll(). So one thread
// changes the configuration (Linux's rtnl_lock) and no data structure is shared. [S19]
// Linux: net/core/rtnetlink.c
#pragma once
#include <type_traits>

#include "netstack/base/result.hpp"
#include "netstack/core/softnet.hpp"

namespace netstack {

namespace detail {
/// What a slice has learned of its flows is forgotten with each change.
template <class Op>
struct rtnl_op {
  Op op;
  template <class Net>
  result<void> operator()(Net& slice) const {
    route_genid_bump(slice.worker().softnet);
    return op(slice);
  }
};
}  // namespace detail

/// Runs `op(slice)` in every worker's slice of net's namespace. Op is trivially copyable, at most 64 bytes, names
/// devices by ifindex (pointers differ from worker to worker), and answers result<void>. The result is that of net's
/// own slice. Errors: op's; resource_unavailable_try_again when another worker's control ring is full (nothing was done
/// then).
template <class Net, class Op>
result<void> rtnl(Net& net, Op op) {
  static_assert(std::is_trivially_copyable_v<Op> && sizeof(Op) <= 64);
  if constexpr (Net::sizes.workers > 1)
    if (!net.stack().can_post(net.worker())) return failure{std::errc::resource_unavailable_try_again};
  detail::rtnl_op<Op> const apply{op};
  if (auto r = apply(net); !r) return r;
  if constexpr (Net::sizes.workers > 1) net.stack().post_others(net, apply);
  return {};
}

}  // namespace netstack
