// SPDX-License-Identifier: BSL-1.0
// The full composition whose compile time is measured: every module, every driver that needs no library.
#pragma once
#include <netstack/drivers/tap.hpp>
#include <netstack/drivers/tun.hpp>
#include <netstack/netstack.hpp>

struct host : netstack::stack<host, netstack::presets::full, netstack::drivers::tap, netstack::drivers::tun,
                              netstack::drivers::pipe> {};
