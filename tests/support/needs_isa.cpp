// SPDX-License-Identifier: BSL-1.0
// Decides: that a test built for more than every processor has (NETSTACK_TEST_AVX512VNNI, else x86-64-v3) is skipped
// where the processor lacks it. This file is built for any processor and runs before everything else of its program.
#include <unistd.h>

#include <cstdio>

namespace {

bool processor_can() {
  __builtin_cpu_init();
  bool const v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma");
#if defined(NETSTACK_TEST_AVX512VNNI)
  return v3 && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512vnni");
#else
  return v3;
#endif
}

// 100 and below are the compiler's own.
[[gnu::constructor(101)]] void skip_where_it_cannot_run() {
  if (processor_can()) return;
  std::puts("SKIPPED: the processor has not the instructions that this test is built for");
  std::fflush(stdout);
  _exit(4);  // CTest's SKIP_RETURN_CODE
}

}  // namespace
