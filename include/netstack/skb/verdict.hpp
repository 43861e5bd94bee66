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
  u32 word_;  // the kind, and above it the reason or the protocol: one word, so that it stays in a register
  constexpr verdict(kind k, u16 v) : word_(u32{v} << 16 | static_cast<u8>(k)) {}
  [[nodiscard]] constexpr bool is(kind k) const { return static_cast<u8>(word_) == static_cast<u8>(k); }

 public:
  static constexpr verdict kept() { return {kind::kept, 0}; }
  static constexpr verdict consumed() { return {kind::consumed, 0}; }
  static constexpr verdict free(drop_reason why) { return {kind::free, static_cast<u16>(why)}; }
  static constexpr verdict resubmit(u8 protocol) { return {kind::resubmit, protocol}; }

  [[nodiscard]] constexpr bool is_kept() const { return is(kind::kept); }
  [[nodiscard]] constexpr bool is_consumed() const { return is(kind::consumed); }
  [[nodiscard]] constexpr bool is_drop() const { return is(kind::free); }
  [[nodiscard]] constexpr bool is_resubmit() const { return is(kind::resubmit); }
  [[nodiscard]] constexpr drop_reason reason() const { return static_cast<drop_reason>(word_ >> 16); }
  [[nodiscard]] constexpr u8 protocol() const { return static_cast<u8>(word_ >> 16); }
  friend constexpr bool operator==(verdict, verdict) = default;

  /// As a number, for who keeps it with something else.
  [[nodiscard]] constexpr u32 bits() const { return word_; }
  static constexpr verdict of_bits(u32 word) {
    return {static_cast<kind>(static_cast<u8>(word)), static_cast<u16>(word >> 16)};
  }
};

static_assert(sizeof(verdict) == 4);

}  // namespace netstack
