// SPDX-License-Identifier: BSL-1.0
// Prints what compositions resolve to: each table, the boot order, and the memory bound part by part. Nothing is
// booted: all of it is known at compile time, so a program can be held to it.
// RUN:
// OUTPUT: ^ +17 UDP early_demux err_handler
// OUTPUT: ^memory bound \d+ B for 1 worker
#include <cstdio>

#include "netstack/netstack.hpp"

namespace {

namespace ns = netstack;

struct host : ns::stack<host, ns::presets::host, ns::drivers::pipe> {};

/// The same modules in less room, for two threads.
struct small : ns::stack<small, ns::presets::host, ns::drivers::pipe,
                         ns::sizes<ns::config{.workers = 2, .max_net = 1, .skb_pool = 256, .max_sock = 16}>> {};
static_assert(small::memory_bound() < 8u << 20, "two workers in 8 MiB");

void print(std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); }

}  // namespace

int main() {
  std::puts("--- host");
  host::describe(print);
  std::puts("--- small");
  small::describe(print);
}
