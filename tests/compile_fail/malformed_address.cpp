// SPDX-License-Identifier: BSL-1.0
// EXPECT: malformed_address_literal
#include "netstack/wire/ipv4_addr.hpp"

constexpr auto gateway = netstack::ipv4_addr("192.0.2.256");
