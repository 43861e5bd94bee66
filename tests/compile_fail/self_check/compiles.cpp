// SPDX-License-Identifier: BSL-1.0
// A valid program: the runner must not accept it as a compile-fail test.
// EXPECT: netstack: anything
int main() {}
