// SPDX-License-Identifier: BSL-1.0
// Decides: what a segment is in our hands: the control block of its packet, and the orders it can be in besides that of
// its queue: by sequence number in a tree, which whatever a peer makes up searches in O(log n), and by time in a list.
// The arithmetic of sequence numbers. And what the header of one that came said.
// Linux: include/net/tcp.h (struct tcp_skb_cb), include/linux/skbuff.h (rbnode, tcp_tsorted_anchor)
// RFC 9293 §3.4 (sequence numbers)
#pragma once
#include <boost/intrusive/list.hpp>
#include <boost/intrusive/set.hpp>

#include "netstack/skb/sk_buff.hpp"
#include "netstack/skb/verdict.hpp"
#include "netstack/wire/tcp_options.hpp"

namespace netstack {

// --- sequence numbers: RFC 9293 §3.4, modulo 2^32 --------------------------------------------------------------------

[[nodiscard]] constexpr bool before(u32 a, u32 b) { return static_cast<s32>(a - b) < 0; }
[[nodiscard]] constexpr bool after(u32 a, u32 b) { return before(b, a); }
/// low <= seq <= high
[[nodiscard]] constexpr bool between(u32 seq, u32 low, u32 high) { return high - low >= seq - low; }

// --- a segment in our hands

/// Its place in a tree, in the control block.
struct tcp_rb_node {
  tcp_rb_node *parent = nullptr, *left = nullptr, *right = nullptr;  ///< the colour is the parent's lowest bit
};
/// … and in a list.
struct tcp_list_node {
  tcp_list_node *next = nullptr, *prev = nullptr;
};

namespace tcpcb {  // tcp_skb_cb::sacked
inline constexpr u8 sacked_acked = 1, sacked_retrans = 2, lost = 4, ever_retrans = 8, indexed = 16;
inline constexpr u8 tagbits = sacked_acked | sacked_retrans | lost;
}  // namespace tcpcb

/// How far delivery was when a segment was sent last: what tcp_rate.hpp measures from. Times are us, modulo 2^32.
struct tcp_tx_stamp {
  u32 first_tx = 0;        ///< when the oldest in flight was sent
  u32 delivered_time = 0;  ///< when `delivered` was last known to grow
  u32 delivered = 0;       ///< segments
  u32 is_app_limited = 0;  ///< or not; without a gap the stamp is copied as two words
};

struct tcp_skb_cb {
  tcp_list_node link{};  ///< tx: in tcp_sock::sent_queue or lost_queue
  tcp_tx_stamp tx{};
  u64 sent = 0;              ///< tx: worker time when it was sent last
  u32 seq = 0, end_seq = 0;  ///< SYN and FIN count one each
  u8 tcp_flags = 0;
  u8 sacked = 0;       ///< tx: tcpcb::…
  u8 eor = 0;          ///< tx: MSG_EOR: nothing may be appended
  u8 rtx_nth = 0;      ///< tx: the how manieth it was of those that were sent again at that moment, with one rtx_nxt
  u32 rtx_nxt = 0;     ///< tx: snd_nxt when it was sent again: what begins there left later
  tcp_rb_node node{};  ///< rx: out of order; tx: in tcp_sock::sack_index
};
static_assert(sizeof(tcp_skb_cb) == 80);
static_assert(offsetof(tcp_skb_cb, node) <= cache_line,
              "what every segment needs is one cache line behind its sk_buff");
[[nodiscard]] inline tcp_skb_cb& TCP_SKB_CB(sk_buff& skb) { return skb.cb<tcp_skb_cb>(); }
/// tcp_skb_cb::sent, by the clock of rates.
[[nodiscard]] constexpr u32 tcp_sent_us(u64 sent) { return static_cast<u32>(sent / 1000); }

namespace detail {

struct tcp_rb_traits {
  using node = tcp_rb_node;
  using node_ptr = tcp_rb_node*;
  using const_node_ptr = tcp_rb_node const*;
  using color = bool;
  static constexpr std::uintptr_t colour_bit = 1;
  static node_ptr get_left(const_node_ptr n) { return n->left; }
  static void set_left(node_ptr n, node_ptr l) { n->left = l; }
  static node_ptr get_right(const_node_ptr n) { return n->right; }
  static void set_right(node_ptr n, node_ptr r) { n->right = r; }
  static node_ptr get_parent(const_node_ptr n) {
    return reinterpret_cast<node_ptr>(reinterpret_cast<std::uintptr_t>(n->parent) & ~colour_bit);
  }
  static void set_parent(node_ptr n, node_ptr p) {
    n->parent = reinterpret_cast<node_ptr>(reinterpret_cast<std::uintptr_t>(p) | get_color(n));
  }
  static color get_color(const_node_ptr n) { return reinterpret_cast<std::uintptr_t>(n->parent) & colour_bit; }
  static void set_color(node_ptr n, color c) {
    n->parent = reinterpret_cast<node_ptr>(reinterpret_cast<std::uintptr_t>(get_parent(n)) | c);
  }
  static color black() { return true; }
  static color red() { return false; }
};

/// The packet whose control block, which lies behind it, has a node there.
template <std::size_t Offset>
sk_buff* tcp_skb_of(void const* node) {
  return reinterpret_cast<sk_buff*>(reinterpret_cast<std::uintptr_t>(node) - Offset) - 1;
}
struct tcp_skb_in_tree {
  using node_traits = tcp_rb_traits;
  using node = tcp_rb_node;
  using node_ptr = tcp_rb_node*;
  using const_node_ptr = tcp_rb_node const*;
  using value_type = sk_buff;
  using pointer = sk_buff*;
  using const_pointer = sk_buff const*;
  static constexpr boost::intrusive::link_mode_type link_mode = boost::intrusive::normal_link;
  static node_ptr to_node_ptr(sk_buff& skb) { return &TCP_SKB_CB(skb).node; }
  static const_node_ptr to_node_ptr(sk_buff const& skb) { return &TCP_SKB_CB(const_cast<sk_buff&>(skb)).node; }
  static pointer to_value_ptr(const_node_ptr n) { return tcp_skb_of<offsetof(tcp_skb_cb, node)>(n); }
};

struct tcp_skb_in_list {
  struct node_traits {
    using node = tcp_list_node;
    using node_ptr = tcp_list_node*;
    using const_node_ptr = tcp_list_node const*;
    static node_ptr get_next(const_node_ptr n) { return n->next; }
    static void set_next(node_ptr n, node_ptr to) { n->next = to; }
    static node_ptr get_previous(const_node_ptr n) { return n->prev; }
    static void set_previous(node_ptr n, node_ptr to) { n->prev = to; }
  };
  using node = tcp_list_node;
  using node_ptr = tcp_list_node*;
  using const_node_ptr = tcp_list_node const*;
  using value_type = sk_buff;
  using pointer = sk_buff*;
  using const_pointer = sk_buff const*;
  static constexpr boost::intrusive::link_mode_type link_mode = boost::intrusive::normal_link;
  static node_ptr to_node_ptr(sk_buff& skb) { return &TCP_SKB_CB(skb).link; }
  static const_node_ptr to_node_ptr(sk_buff const& skb) { return &TCP_SKB_CB(const_cast<sk_buff&>(skb)).link; }
  static pointer to_value_ptr(const_node_ptr n) { return tcp_skb_of<offsetof(tcp_skb_cb, link)>(n); }
};

struct tcp_seq_less {
  bool operator()(sk_buff const& a, sk_buff const& b) const { return before(seq_of(a), seq_of(b)); }
  bool operator()(sk_buff const& a, u32 seq) const { return before(seq_of(a), seq); }
  bool operator()(u32 seq, sk_buff const& b) const { return before(seq, seq_of(b)); }
  static u32 seq_of(sk_buff const& skb) { return TCP_SKB_CB(const_cast<sk_buff&>(skb)).seq; }
};

}  // namespace detail

/// Segments by sequence number: found, put in and taken out in O(log n), whatever a sender makes up.
using tcp_skb_tree =
    boost::intrusive::set<sk_buff, boost::intrusive::value_traits<detail::tcp_skb_in_tree>,
                          boost::intrusive::compare<detail::tcp_seq_less>, boost::intrusive::constant_time_size<false>>;
/// Segments in the order in which they joined. One on either of two such lists leaves it without saying which.
using tcp_skb_fifo = boost::intrusive::list<sk_buff, boost::intrusive::value_traits<detail::tcp_skb_in_list>,
                                            boost::intrusive::constant_time_size<false>>;

// --- a segment that came

/// What the header of a received segment said, read once.
struct tcp_rx {
  u32 seq = 0, end_seq = 0;  ///< SYN and FIN count one each
  u32 ack_seq = 0;
  u16 window = 0;  ///< as it stands there
  u16 urg_ptr = 0;
  u8 flags = 0;
  u8 hlen = 0;
  bool more = false;  ///< another may follow at once: who brings them sees to it that what is owed leaves
  u8 dsfield = 0;     ///< of the IP header
  u32 hash = 0;       ///< of its ends, if it is for a listener
  u32 tw_isn = 0;     ///< a SYN that follows a connection in TIME-WAIT: where the new one begins; 0: anywhere
  tcp_options_received opt{};

  [[nodiscard]] bool has(u8 flag) const { return (flags & flag) != 0; }
  [[nodiscard]] bool is(u8 flag, u8 of) const { return (flags & of) == flag; }
};
/// What became of a segment: its verdict, and whether whoever knows the IP version answers it with a RST.
struct tcp_outcome {
  constexpr tcp_outcome(verdict v, bool reset = false) : word_(u64{reset} << 32 | v.bits()) {}
  [[nodiscard]] constexpr verdict v() const { return verdict::of_bits(static_cast<u32>(word_)); }
  [[nodiscard]] constexpr bool reset() const { return word_ >> 32 != 0; }

 private:
  u64 word_;  // as verdict's
};

}  // namespace netstack
