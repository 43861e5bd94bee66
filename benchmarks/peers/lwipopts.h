/* SPDX-License-Identifier: BSL-1.0
 * lwIP as fast as it goes for benchmarks/peers/lwip.cpp: no operating system, static pools, no statistics, no IPv6,
 * checksums made and verified by its fastest algorithm. */
#pragma once
#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0
#define LWIP_IPV6 0
#define LWIP_TCP 0
#define LWIP_STATS 0
#define LWIP_DEBUG 0
#define LWIP_NOASSERT 1
#define LWIP_PERF 0
#define MEM_ALIGNMENT 8
#define MEM_SIZE (1 << 20)
#define MEMP_NUM_PBUF 512
#define MEMP_NUM_UDP_PCB 64
#define PBUF_POOL_SIZE 512
#define PBUF_POOL_BUFSIZE 2048
#define LWIP_SUPPORT_CUSTOM_PBUF 1
#define LWIP_CHKSUM_ALGORITHM 2
#define LWIP_CHECKSUM_ON_COPY 1
#define ETHARP_SUPPORT_STATIC_ENTRIES 1
#define ETHARP_TABLE_MATCH_NETIF 0
#define LWIP_NETIF_TX_SINGLE_PBUF 1
#define LWIP_DHCP 0
#define LWIP_ACD 0
#define LWIP_RAW 0
#define IP_REASSEMBLY 0
#define IP_FRAG 0
