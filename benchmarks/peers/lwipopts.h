/* SPDX-License-Identifier: BSL-1.0
 * lwIP as fast as it goes for benchmarks/peers/lwip.cpp: no operating system, static pools, no statistics, no IPv6,
 * checksums made and verified by its fastest algorithm. */
#pragma once
#define NO_SYS 1
#define SYS_LIGHTWEIGHT_PROT 0
#define LWIP_NETCONN 0
#define LWIP_SOCKET 0
#define LWIP_IPV6 0
#define LWIP_TCP 1
#define TCP_MSS 1460
#define LWIP_WND_SCALE 1
#define TCP_RCV_SCALE 5
#define TCP_WND (1 << 20)
#define TCP_SND_BUF (1 << 20)
#define TCP_SND_QUEUELEN 4096
#define TCP_SNDLOWAT (32 << 10)
#define TCP_SNDQUEUELOWAT (TCP_SND_QUEUELEN / 2)
#define TCP_MSL 500 /* TIME-WAIT of a second: fewer to search than ours */
#define TCP_LISTEN_BACKLOG 0
#define TCP_QUEUE_OOSEQ 1
#define MEMP_NUM_TCP_PCB 2600
#define MEMP_NUM_TCP_PCB_LISTEN 80
#define MEMP_NUM_TCP_SEG 8192
#define LWIP_HOOK_FILENAME "hooks.h"
#define LWIP_HOOK_IP4_ROUTE_SRC(src, dest) peer_route((src), (dest))
#define LWIP_STATS 0
#define LWIP_DEBUG 0
#define LWIP_NOASSERT 1
#define LWIP_PERF 0
#define MEM_ALIGNMENT 8
#define MEM_SIZE (8 << 20)
#define MEMP_NUM_PBUF 8192
#define MEMP_NUM_UDP_PCB 64
#define PBUF_POOL_SIZE 2048
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
