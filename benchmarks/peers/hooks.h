/* SPDX-License-Identifier: BSL-1.0
 * Two devices of one lwIP face each other: what leaves is told by its source, not by its destination. */
#pragma once
struct netif;
struct ip4_addr;
#ifdef __cplusplus
extern "C"
#endif
    struct netif*
    peer_route(const struct ip4_addr* src, const struct ip4_addr* dest);
