// SPDX-License-Identifier: BSL-1.0
// Refused by the compiler, but not with the expected words: the runner must notice.
// EXPECT: netstack: the rule that should have fired
static_assert(sizeof(int) == 0, "netstack: another rule");
int main() {}
