// SPDX-License-Identifier: BSL-1.0
// A composition of two small protocols: what the registry and the core cost by themselves.
// BUDGET: 4.0 s
#include "toy_module.hpp"

int main() { return toy::run<2>(); }
