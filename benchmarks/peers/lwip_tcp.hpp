// SPDX-License-Identifier: BSL-1.0
// What lwip.cpp and lwip_tcp.cpp share.
#pragma once
#include <string>

// What the names of this build's rows begin with: lwip/ as its makefiles build it, lwip_lto/ optimised at link time.
#ifndef LWIP_ROWS
#define LWIP_ROWS "lwip/"
#endif

inline std::string lwip_row(std::string const& name) { return LWIP_ROWS + name; }
/// Registers the rows of TCP. After lwip_init().
void lwip_tcp_rows();
