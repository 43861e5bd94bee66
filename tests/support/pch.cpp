// SPDX-License-Identifier: BSL-1.0
// Compiled for its precompiled header only, which NETSTACK_TEST_PCH gives to the unit tests.
