/* SPDX-License-Identifier: BSL-1.0
 * What lwIP wants to know of the compiler. */
#pragma once
#include <stdlib.h>
#define LWIP_RAND() ((u32_t)rand())
#define LWIP_PLATFORM_DIAG(x)
#define LWIP_PLATFORM_ASSERT(x)
