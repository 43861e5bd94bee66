// SPDX-License-Identifier: BSL-1.0
// Decides: what a handler says about the packet it was shown. The caller that owns the packet acts on it: the poll
// loop is the one place that frees. A handler takes `sk_buff&` and answers one of
//   kept()            queued or stolen: somebody else owns it now
//   consumed()        done with it, no fault: freed without being counted as a drop
//   free(reason)      rejected: `return drop(net, skb, reason);` builds this and counts
//   resubmit(proto)   hand it to inet_protos[proto] (Linux's negative return of a net_protocol handler)
#pragma once
#include "netstack/base/config.hpp"

namespace netstack {

enum class drop_reason : u16;  // registry/drop_reasons.hpp: the numbers are the composition's

class [[nodiscard]] verdict {
  enum class kind : u8 { kept, consumed, free, resubmit };
  kind kind_;
  u16 value_;
  constexpr verdict(kind k, u16 v) : kind_(k), value_(v) {}

 public:
  static constexpr verdict kept() { return {kind::kept, 0}; }
  static constexpr verdict consumed() { return {kind::consumed, 0}; }
  static constexpr verdict free(drop_reason why) { return {kind::free, static_cast<u16>(why)}; }
  static constexpr verdict resubmit(u8 protocol) { return {kind::resubmit, protocol}; }

  [[nodiscard]] constexpr bool is_kept() const { return kind_ == kind::kept; }
  [[nodiscard]] constexpr bool is_consumed() const { return kind_ == kind::consumed; }
  [[nodiscard]] constexpr bool is_drop() const { return kind_ == kind::free; }
  [[nodiscard]] constexpr bool is_resubmit() const { return kind_ == kind::resubmit; }
  [[nodiscard]] constexpr drop_reason reason() const { return static_cast<drop_reason>(value_); }
  [[nodiscard]] constexpr u8 protocol() const { return static_cast<u8>(value_); }
  friend constexpr bool operator==(verdict, verdict) = default;
};

static_assert(sizeof(verdict) == 4);

}  // namespace netstack
