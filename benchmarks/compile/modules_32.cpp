// SPDX-License-Identifier: BSL-1.0
// Thirty more: 50 ms each, also in a long list.
// BUDGET: 1.5 s over modules_2.cpp
#include "toy_module.hpp"

int main() { return toy::run<32>(); }
