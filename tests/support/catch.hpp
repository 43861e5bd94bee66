// SPDX-License-Identifier: BSL-1.0
// Decides: which Catch2 the tests see. Version 3 where it is installed, else the single header of version 2 (Debian
// 12). Tests include this file and never a Catch2 header of their own.
#pragma once

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
#else
// Assertions without a try block each: an unexpected exception still fails the test case, and files compile faster.
#define CATCH_CONFIG_FAST_COMPILE
#include <catch2/catch.hpp>
#endif
