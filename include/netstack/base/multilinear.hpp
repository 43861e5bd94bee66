// SPDX-License-Identifier: BSL-1.0
// Decides: the hash of tables in which strangers have a say and a look-up is paid by every packet. Over the choice of
// the key, any two inputs meet in n bits with probability 2^-n, whichever they are; it costs a multiplication a word.
// It is no pseudo-random function: who is shown its values learns the key. Where they show, siphash is due.
// Lemire, Kaser: "Strongly universal string hashing is fast" (2014), MULTILINEAR; in place of Linux's keyed jhash
#pragma once
#include "netstack/base/config.hpp"

namespace netstack {

/// 256 secret bits; from the boot seed.
struct multilinear_key {
  u64 key[4];
};

constexpr u32 multilinear_3u32(u32 a, u32 b, u32 c, multilinear_key const& k) {
  return static_cast<u32>((k.key[0] + k.key[1] * a + k.key[2] * b + k.key[3] * c) >> 32);
}

}  // namespace netstack
