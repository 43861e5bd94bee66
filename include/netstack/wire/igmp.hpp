// SPDX-License-Identifier: BSL-1.0
// Decides: the shape of IGMP messages, versions 1 to 3. Variable parts (sources, records) follow the fixed header.
// rx: read by ipv4/igmp igmp_rcv; tx: written by the report senders.
// Linux: include/uapi/linux/igmp.h; RFC 1112 App. I, RFC 2236 §2, RFC 3376 §4
#pragma once
#include "netstack/base/byteorder.hpp"

namespace netstack::inline wire {

namespace igmp_type {
inline constexpr u8 host_membership_query = 0x11;
inline constexpr u8 host_membership_report = 0x12;
inline constexpr u8 pim = 0x14;
inline constexpr u8 v2_host_membership_report = 0x16;
inline constexpr u8 host_leave_message = 0x17;
inline constexpr u8 v3_host_membership_report = 0x22;
}  // namespace igmp_type

namespace igmpv3_record {
inline constexpr u8 mode_is_include = 1;
inline constexpr u8 mode_is_exclude = 2;
inline constexpr u8 change_to_include = 3;
inline constexpr u8 change_to_exclude = 4;
inline constexpr u8 allow_new_sources = 5;
inline constexpr u8 block_old_sources = 6;
}  // namespace igmpv3_record

struct igmphdr {
  u8 type = 0;
  u8 code = 0;  ///< maximum response time in tenths of a second (v2); see igmpv3_query for v3
  sum16 csum{};
  be32 group{};
};

/// RFC 3376 §4.1: a query of at least 12 bytes; nsrcs addresses follow.
struct igmpv3_query {
  u8 type = 0;
  u8 code = 0;
  sum16 csum{};
  be32 group{};
  u8 flags = 0;  ///< 4 bits reserved, S flag, 3 bits querier's robustness
  u8 qqic = 0;
  be16 nsrcs{};

  [[nodiscard]] constexpr bool suppress() const { return (flags & 0x08) != 0; }
  [[nodiscard]] constexpr u8 qrv() const { return flags & 0x07; }
};

/// RFC 3376 §4.2: ngrec records follow.
struct igmpv3_report {
  u8 type = igmp_type::v3_host_membership_report;
  u8 resv1 = 0;
  sum16 csum{};
  be16 resv2{};
  be16 ngrec{};
};

/// RFC 3376 §4.2.4: grec_nsrcs addresses and grec_auxwords words follow.
struct igmpv3_grec {
  u8 grec_type = 0;
  u8 grec_auxwords = 0;
  be16 grec_nsrcs{};
  be32 grec_mca{};
};

/// RFC 3376 §4.1.1, §4.1.7: codes from 128 on are a small floating-point number.
constexpr u16 igmpv3_exp(u8 code) {
  if (code < 128) return code;
  return static_cast<u16>((0x10U | (code & 0x0fU)) << ((code >> 4 & 7U) + 3));
}

static_assert(sizeof(igmphdr) == 8 && alignof(igmphdr) == 1);
static_assert(sizeof(igmpv3_query) == 12 && alignof(igmpv3_query) == 1);
static_assert(sizeof(igmpv3_report) == 8 && alignof(igmpv3_report) == 1);
static_assert(sizeof(igmpv3_grec) == 8 && alignof(igmpv3_grec) == 1);

}  // namespace netstack::inline wire
