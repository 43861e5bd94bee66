// SPDX-License-Identifier: BSL-1.0
// What every file of netstack_bench asks before and after a measured loop.
#pragma once
#include <cstdint>

/// Heap calls of the program until now; counted in paths/suite.cpp.
std::uint64_t bench_heap_calls();
