// SPDX-License-Identifier: BSL-1.0
// What a translation unit pays that includes the umbrella and names the full composition: every rule is checked, every
// table resolved. full_program.cpp adds the code of the handlers.
// BUDGET: 5.0 s
#include "full.hpp"

using network = netstack::net<host>;
static_assert(host::memory_bound() > 0);
static_assert(network::initcalls.size() != 0 && network::netdev_ops.size() == 4);
static_assert(network::ctl_tables.size() != 0 && network::proc_entries.size() != 0 && network::snmp_groups.size() != 0);

int main() {}
