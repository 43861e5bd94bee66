// SPDX-License-Identifier: BSL-1.0
// Six more: 50 ms each.
// BUDGET: 0.3 s over modules_2.cpp
#include "toy_module.hpp"

int main() { return toy::run<8>(); }
