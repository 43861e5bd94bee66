// SPDX-License-Identifier: BSL-1.0
// Decides: what a packet is: the layout of sk_buff, and the operations that move its four pointers. [S37] [S38] [S53]
//
//   head            data              tail            end
//    |   headroom    |  linear data    |   tailroom    |        one frame of the pool
//    +---------------+-----------------+---------------+
//                    |<---- len - data_len ---->|  then frags[] and frag_list in skb_shared_info, data_len bytes
//
// The metadata lies apart from the frame (skb_pool.hpp): [sk_buff][cb][extensions], at a stride the composition fixes.
// Absent, since nothing here could set or honour them: pfmemalloc, head_frag, no_fcs, wifi_acked, dma_cookie,
// ndisc_nodetype, tc_verd, offload_fwd_mark [S49] [S55]; a module that wants a secmark, a tc_index or a conntrack adds
// an extension (skb_ext.hpp) [S50].
// Linux: include/linux/skbuff.h
#pragma once
#include <cstddef>
#include <type_traits>

#include "netstack/base/bug.hpp"
#include "netstack/base/byteorder.hpp"

namespace netstack {

struct net_device;
struct sock;
struct dst_entry;
struct sk_buff;
class skb_pool;

/// Who the frame was for, by its destination address (Linux's PACKET_HOST … PACKET_LOOPBACK). [S57]
enum class pkt_type : u8 { host, broadcast, multicast, otherhost, outgoing, loopback };

/// What is known of the L4 checksum (Linux's CHECKSUM_*). [S45]
enum class ip_summed : u8 {
  none,         ///< rx: not checked; tx: complete in the packet
  unnecessary,  ///< rx: the device or the sender vouches for it
  complete,     ///< rx: `csum` is the sum over all bytes from `data`
  partial,      ///< to be finished from csum_start, stored at csum_start + csum_offset
};

/// A part of a packet's data outside the linear frame: `size` bytes at `offset` of pool frame `frame`.
struct skb_frag {
  u32 frame;
  u32 offset;
  u32 size;
};

/// 64 KiB in frames of 2 KiB, and one for data that starts in the middle of a frame (Linux's MAX_SKB_FRAGS, whose pages
/// are larger).
inline constexpr u32 max_skb_frags = 33;

/// What all sk_buffs over one frame share: how many there are, and the data beyond the frame. One per pool frame.
/// While a frame is free its shared info already reads as a fresh packet's, and until somebody writes it the packet
/// says so itself (shinfo_used), so that neither alloc nor free touches its cache lines.
struct skb_shared_info {
  u32 dataref;   ///< sk_buffs whose linear area this frame is
  u32 holds;     ///< what keeps the frame from the free list (skb_pool.hpp)
  u16 gso_size;  ///< payload bytes of each segment
  u16 gso_segs;
  u8 gso_type;  ///< 0: not a super-segment
  u8 nr_frags;
  u16 payload_refs;    ///< of dataref, those that read the payload only (nohdr)
  sk_buff* frag_list;  ///< further packets whose data follows the frags
  skb_frag frags[max_skb_frags];
  u32 tskey;     ///< which of its sender's packets, if tx_flags ask for times (SOF_TIMESTAMPING_OPT_ID)
  u64 hwtstamp;  ///< the device's time, if hwtstamped
};

/// Where an sk_buff lies, which is how it is freed.
enum class skb_slot : u8 {
  first,      ///< first of a pair, and its linear area is the pair's own frame
  moved,      ///< first of a pair, over another frame (skb_copy.hpp)
  companion,  ///< second of a pair: a clone
  frameless,  ///< of the clone slots
  free,       ///< first of a pair on the free list
  lent,       ///< first of a pair whose frame a driver's hardware has
};

struct alignas(cache_line) sk_buff {
  // --- first cache line: what the path of every packet touches -------------------------------------------------
  sk_buff* next;  // must be first: lists and queues link here
  sk_buff* prev;  ///< null unless the packet is in an sk_buff_head
  u8* data;
  u32 len;
  u32 data_len;
  net_device* dev;
  sock* sk;
  dst_entry* dst;
  be16 protocol;
  u16 network_header;
  u16 transport_header;
  netstack::pkt_type pkt_type;
  netstack::ip_summed ip_summed : 2;
  u8 cloned : 1;
  u8 dst_noref : 1;    ///< dst is borrowed for this poll; skb_dst_force() takes a reference
  u8 rx_l4_valid : 1;  ///< the L4 checksum was verified by software already
  u8 ignore_df : 1;    ///< may be cut although DF is set (Linux's local_df): no frag-needed about it
  u8 peeked : 1;       ///< seen by MSG_PEEK: with SO_PEEK_OFF the next peek passes an empty one over
  u8 nohdr : 1;        ///< payload only: its clones may write headers in front (skb_header_release)
  // --- second cache line: allocation, accounting, checksum ------------------------------------------------------
  u8* head;
  u8* end;
  skb_pool* pool;
  u32 frame;     ///< pool index of the frame that head lies in
  u32 truesize;  ///< what the packet costs the pool: charged to the socket that owns it [S46]
  u8* tail;
  void (*destructor)(sk_buff&);
  u32 csum;
  u16 csum_start;   ///< offset from head
  u16 csum_offset;  ///< from csum_start
  u16 mac_header;   ///< offset from head; skb_header_unset: there is none
  u16 mac_len;
  u16 users;           ///< holders of this sk_buff (skb_get)
  u8 fclone : 2;       ///< 0: no companion in use; 1: original of a pair; 2: the companion
  u8 shinfo_used : 1;  ///< first of a pair: somebody wrote its shared info (skb_edit_shinfo), so free looks at it
  skb_slot slot_kind;
  // --- third cache line: set when somebody needs it --------------------------------------------------------------
  u64 tstamp;   ///< ns since 1970, 0: none
  u32 skb_iif;  ///< ifindex the packet first arrived on
  u32 napi_id;  ///< whose turn it arrived in
  u32 mark;
  u32 priority;
  u32 hash;  ///< flow hash, 0: not computed (Linux's rxhash)
  union {
    u32 dropcount;  ///< SO_RXQ_OVFL, once it is queued at a socket
    u32 rps_hops;   ///< before that: how often it was handed on to the next worker (core/rps)
  };
  u16 queue_mapping;
  be16 vlan_proto;  ///< 0: untagged
  u16 vlan_tci;
  u16 inner_transport_header;
  u16 inner_network_header;
  u16 inner_mac_header;
  be16 inner_protocol;
  u16 hdr_len;            ///< headroom that a clone of a nohdr packet may write, 0: its own
  u16 reserved_tailroom;  ///< bytes at the end that availroom() leaves free
  u8 encapsulation : 1;
  u8 l4_hash : 1;
  u8 ooo_okay : 1;    ///< no packet of its flow is queued: it may change the tx queue
  u8 hwtstamped : 1;  ///< a device has stamped it: skb_hwtstamps() [S28]
  u8 tx_flags;        ///< skbtx::…: which times its sender wants to be told [S28]
  u32 alloc_line;     ///< debug_leaks: where the packet was allocated
  char const* alloc_site;

  [[nodiscard]] u32 headlen() const { return len - data_len; }
  [[nodiscard]] bool is_nonlinear() const { return data_len != 0; }
  [[nodiscard]] u32 headroom() const { return static_cast<u32>(data - head); }
  [[nodiscard]] u32 tailroom() const { return is_nonlinear() ? 0 : static_cast<u32>(end - tail); }
  /// The tailroom that a sender may fill: without what it set aside in reserved_tailroom.
  [[nodiscard]] u32 availroom() const {
    u32 const room = tailroom();
    return room > reserved_tailroom ? room - reserved_tailroom : 0;
  }

  /// Moves the empty data area up: room for headers to come. Only before anything was put.
  void reserve(u32 n) {
    BUG_ON(len != 0 || n > static_cast<u32>(end - tail), "skb_reserve beyond the frame or after data");
    data += n;
    tail += n;
  }
  /// Appends n bytes of linear data and returns where to write them.
  u8* put(u32 n) {
    BUG_ON(is_nonlinear() || n > static_cast<u32>(end - tail), "skb_put beyond the tailroom");
    u8* at = tail;
    tail += n;
    len += n;
    return at;
  }
  /// Prepends n bytes and returns the new data.
  NETSTACK_INLINE u8* push(u32 n) {
    BUG_ON(n > headroom(), "skb_push beyond the headroom");
    data -= n;
    len += n;
    return data;
  }
  /// Drops n bytes from the front of the linear data; null (and no change) if there are fewer.
  u8* pull(u32 n) {
    if (n > headlen()) [[unlikely]]
      return nullptr;
    len -= n;
    return data += n;
  }
  /// The header at `data`, without moving: null if fewer than sizeof(Header) linear bytes are left. The one length
  /// check.
  template <class Header>
  [[nodiscard]] Header* peek(u32 offset = 0) {
    static_assert(std::is_trivially_copyable_v<Header> && alignof(Header) == 1);
    if (headlen() < offset + sizeof(Header)) [[unlikely]]
      return nullptr;
    return reinterpret_cast<Header*>(data + offset);
  }
  /// The header at `data`, and moves past it; null (and no change) if the linear data is too short.
  template <class Header>
  [[nodiscard]] Header* pull() {
    Header* h = peek<Header>();
    if (h) data += sizeof(Header), len -= static_cast<u32>(sizeof(Header));
    return h;
  }
  template <class Header>
  Header* push() {
    static_assert(std::is_trivially_copyable_v<Header> && alignof(Header) == 1);
    return reinterpret_cast<Header*>(push(static_cast<u32>(sizeof(Header))));
  }
  /// Cuts linear data to n bytes; a no-op if it is not longer. For packets with frags: pskb_trim (skb_pull.hpp).
  void trim(u32 n) {
    BUG_ON(is_nonlinear(), "skb_trim of a packet with frags");
    if (n < len) len = n, tail = data + n;
  }

  // --- header offsets (skb_headers.hpp has Linux's spellings) -----------------------------------------------------
  void reset_mac_header() { mac_header = offset_of(0); }
  void reset_network_header() { network_header = offset_of(0); }
  void reset_transport_header() { transport_header = offset_of(0); }
  void set_mac_header(int offset) { mac_header = offset_of(offset); }
  void set_network_header(int offset) { network_header = offset_of(offset); }
  void set_transport_header(int offset) { transport_header = offset_of(offset); }
  void reset_mac_len() { mac_len = static_cast<u16>(network_header - mac_header); }
  [[nodiscard]] bool mac_header_was_set() const { return mac_header != 0xffff; }
  template <class Header>
  [[nodiscard]] Header* mac_hdr() const {
    return reinterpret_cast<Header*>(head + mac_header);
  }
  template <class Header>
  [[nodiscard]] Header* network_hdr() const {
    return reinterpret_cast<Header*>(head + network_header);
  }
  template <class Header>
  [[nodiscard]] Header* transport_hdr() const {
    return reinterpret_cast<Header*>(head + transport_header);
  }
  /// Offset of the header from `data` (negative when data has moved past it).
  [[nodiscard]] int mac_offset() const { return static_cast<int>(head + mac_header - data); }
  [[nodiscard]] int network_offset() const { return static_cast<int>(head + network_header - data); }
  [[nodiscard]] int transport_offset() const { return static_cast<int>(head + transport_header - data); }
  [[nodiscard]] u16 offset_of(int from_data) const { return static_cast<u16>(data - head + from_data); }

  /// The control block: scratch of the layer that holds the packet now [S40]. config.cb bytes, 8-aligned, right behind
  /// the sk_buff; a module declares what it keeps there with `using cb`, and the composition checks that it fits.
  /// It holds rubbish until the layer writes it.
  template <class Cb>
  [[nodiscard]] Cb& cb() {
    static_assert(std::is_trivially_copyable_v<Cb> && alignof(Cb) <= 8);
    return *reinterpret_cast<Cb*>(this + 1);
  }
};

/// A header offset that no header has. [S53]
inline constexpr u16 skb_header_unset = 0xffff;

static_assert(offsetof(sk_buff, next) == 0 && offsetof(sk_buff, prev) == sizeof(void*));
static_assert(offsetof(sk_buff, head) == cache_line && offsetof(sk_buff, tstamp) == 2 * cache_line,
              "the hot members fill exactly the first cache line");
static_assert(sizeof(sk_buff) == 3 * cache_line && std::is_trivially_copyable_v<sk_buff>);

// Linux's spellings, for code that reads as its Linux counterpart reads.
inline void skb_reserve(sk_buff& skb, u32 n) { skb.reserve(n); }
inline u8* skb_put(sk_buff& skb, u32 n) { return skb.put(n); }
inline u8* skb_push(sk_buff& skb, u32 n) { return skb.push(n); }
inline u8* skb_pull(sk_buff& skb, u32 n) { return skb.pull(n); }
inline void skb_trim(sk_buff& skb, u32 n) { skb.trim(n); }
inline u32 skb_headroom(sk_buff const& skb) { return skb.headroom(); }
inline u32 skb_tailroom(sk_buff const& skb) { return skb.tailroom(); }
inline u32 skb_availroom(sk_buff const& skb) { return skb.availroom(); }
inline u32 skb_headlen(sk_buff const& skb) { return skb.headlen(); }
inline bool skb_is_nonlinear(sk_buff const& skb) { return skb.is_nonlinear(); }

}  // namespace netstack
