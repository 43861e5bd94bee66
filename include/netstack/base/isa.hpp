// SPDX-License-Identifier: BSL-1.0
// Decides: the name of the instruction set that this translation unit is compiled for. Inline functions whose code
// depends on it live in `inline namespace NETSTACK_ISA`, so that objects built with different -march do not share
// one symbol: the linker would keep either body for both.
// Linux: none (the kernel patches one image at boot; a header-only library is compiled for its user's target)
#pragma once

#if defined(__znver3__) || defined(__znver4__)
// AMD before Zen 5 has AVX-512 in two halves: 32-byte vectors sum 8 % faster there. (g++ 12 takes Zen 4 for Zen 3.)
#define NETSTACK_ISA_HALF_AVX512 1
#endif

#if defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) && defined(NETSTACK_ISA_HALF_AVX512)
#define NETSTACK_ISA isa_avx512_half
#elif defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__)
#define NETSTACK_ISA isa_avx512vnni
#define NETSTACK_ISA_AVX512VNNI 1
#elif defined(__AVX2__)
#define NETSTACK_ISA isa_avx2
#elif defined(__x86_64__)
#define NETSTACK_ISA isa_x86_64
#else
#define NETSTACK_ISA isa_generic
#endif
