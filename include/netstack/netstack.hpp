// SPDX-License-Identifier: BSL-1.0
// Decides: what one include gives: the composition, everything that may stand in its list, and what is asked of it at
// run time, except drivers that need more of the system than a POSIX clock and memory. Those are included by name:
// "netstack/drivers/tap.hpp".
//
//   struct host : netstack::stack<host, netstack::presets::host, netstack::drivers::pipe> {};
#pragma once
#include "netstack/core/dev_config.hpp"
#include "netstack/drivers/loopback.hpp"
#include "netstack/drivers/pipe.hpp"
#include "netstack/ipv4/ipv4.hpp"
#include "netstack/presets.hpp"
#include "netstack/socket/socket.hpp"
#include "netstack/socket/tcp_socket.hpp"
#include "netstack/socket/udp_socket.hpp"
#include "netstack/stack/procfs.hpp"
#include "netstack/stack/stack.hpp"
#include "netstack/stack/sysctl.hpp"
#include "netstack/udp/udp.hpp"
