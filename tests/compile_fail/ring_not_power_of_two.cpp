// SPDX-License-Identifier: BSL-1.0
// EXPECT: netstack: a ring's size is a power of two
#include "netstack/base/ring.hpp"

netstack::spsc_ring<int, 48> ring;
