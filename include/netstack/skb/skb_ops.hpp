// SPDX-License-Identifier: BSL-1.0
// Decides: nothing: everything that is done to whole packets, for those who want it all.
//   skb_headers   header offsets, flow hash          skb_copy      bytes of one's own: copy, cow, expand_head
//   skb_walk      reading and filling pieces         skb_pull      may_pull, linearize, trim, ensure_writable
//   skb_frags     data beyond the linear area        skb_split     split, coalesce
//   skb_dst       the packet's route                 skb_checksum  the four ip_summed modes
// Linux: net/core/skbuff.c
#pragma once
#include "netstack/skb/skb_checksum.hpp"
#include "netstack/skb/skb_copy.hpp"
#include "netstack/skb/skb_dst.hpp"
#include "netstack/skb/skb_frags.hpp"
#include "netstack/skb/skb_headers.hpp"
#include "netstack/skb/skb_pull.hpp"
#include "netstack/skb/skb_split.hpp"
#include "netstack/skb/skb_walk.hpp"
