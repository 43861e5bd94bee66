// SPDX-License-Identifier: BSL-1.0
// Refused by the compiler, but the file does not say what it expects.
static_assert(sizeof(int) == 0, "netstack: a rule");
int main() {}
