// SPDX-License-Identifier: BSL-1.0
// Decides: how packets are chained. skb_list is the singly linked burst that drivers, NAPI and list_func hand on;
// sk_buff_head is Linux's doubly linked queue with an exact qlen; skb_ring is a queue in one word. All link through the
// packet itself. [S37] [S182]
// Linux: include/linux/skbuff.h (sk_buff_head), include/linux/list.h
#pragma once
#include <iterator>
#include <utility>

#include "netstack/skb/sk_buff.hpp"

namespace netstack {

/// Walks a chain of packets. The successor is read before the loop body runs, so the body may unlink or free the packet
/// it was given (not the next one). `End` is what the last packet's `next` is.
class skb_iterator {
  sk_buff* at_ = nullptr;
  sk_buff* next_ = nullptr;
  sk_buff* end_ = nullptr;

 public:
  using value_type = sk_buff;
  using difference_type = std::ptrdiff_t;
  using iterator_category = std::input_iterator_tag;
  using pointer = sk_buff*;
  using reference = sk_buff&;

  skb_iterator() = default;
  skb_iterator(sk_buff* first, sk_buff* end) : at_(first), end_(end) { look_ahead(); }
  sk_buff& operator*() const { return *at_; }
  sk_buff* operator->() const { return at_; }
  skb_iterator& operator++() {
    at_ = next_;
    look_ahead();
    return *this;
  }
  skb_iterator operator++(int) {
    auto before = *this;
    ++*this;
    return before;
  }
  friend bool operator==(skb_iterator a, skb_iterator b) { return a.at_ == b.at_; }

 private:
  void look_ahead() { next_ = at_ == end_ ? end_ : at_->next; }
};

/// A burst: singly linked through `next`, null at the end. Owns nothing by itself.
struct skb_list {
  sk_buff* first = nullptr;
  sk_buff* last = nullptr;
  u32 count = 0;

  [[nodiscard]] bool empty() const { return first == nullptr; }
  void push_back(sk_buff& skb) {
    skb.next = nullptr;
    push_chain(skb, skb, 1);
  }
  /// Appends n packets that are linked from `from` to `to`, whose next is null.
  void push_chain(sk_buff& from, sk_buff& to, u32 n) {
    (last ? last->next : first) = &from;
    last = &to;
    count += n;
  }
  sk_buff* pop_front() {
    sk_buff* skb = first;
    if (skb) {
      first = skb->next;
      if (!first) last = nullptr;
      skb->next = nullptr;
      --count;
    }
    return skb;
  }
  /// Takes the packets from the first to `to`, n of them, out.
  [[nodiscard]] skb_list cut_front(sk_buff& to, u32 n) {
    skb_list front{.first = first, .last = &to, .count = n};
    first = std::exchange(to.next, nullptr);
    if (!first) last = nullptr;
    count -= n;
    return front;
  }
  /// Takes all of `other`, which is left empty.
  void splice(skb_list& other) {
    if (other.empty()) return;
    push_chain(*other.first, *other.last, other.count);
    other = {};
  }
  /// `for (sk_buff& skb : list)`; the body may free or requeue skb, if the list is not used after.
  [[nodiscard]] skb_iterator begin() const { return {first, nullptr}; }
  [[nodiscard]] skb_iterator end() const { return {nullptr, nullptr}; }
};

/// A FIFO in one word, for what is nearly always empty: it knows its last packet, whose `next` is the first.
class skb_ring {
  sk_buff* last_ = nullptr;

 public:
  [[nodiscard]] bool empty() const { return last_ == nullptr; }
  [[nodiscard]] sk_buff* peek() const { return last_ ? last_->next : nullptr; }
  /// Counts them.
  [[nodiscard]] u32 qlen() const {
    u32 n = 0;
    for (sk_buff* skb = peek(); skb; skb = skb == last_ ? nullptr : skb->next) ++n;
    return n;
  }
  void queue_tail(sk_buff& skb) {
    skb.next = last_ ? std::exchange(last_->next, &skb) : &skb;
    last_ = &skb;
  }
  sk_buff* dequeue() {
    sk_buff* const first = peek();
    if (!first) return nullptr;
    if (first == last_)
      last_ = nullptr;
    else
      last_->next = first->next;
    first->next = nullptr;
    return first;
  }
};

/// A FIFO with O(1) unlink from anywhere and an exact length. The sentinel lies in the queue, so it must not move.
class sk_buff_head {
  // The two links stand where sk_buff has its own, so that the ends need no special case.
  struct links {
    sk_buff* next;
    sk_buff* prev;
  } ends_;
  u32 qlen_ = 0;

  [[nodiscard]] sk_buff* sentinel() const { return reinterpret_cast<sk_buff*>(const_cast<links*>(&ends_)); }
  static links& at(sk_buff* node) { return *reinterpret_cast<links*>(node); }
  /// Links the chain from `first` to `last` between `before` and the node behind it.
  static void link_after(sk_buff* before, sk_buff* first, sk_buff* last) {
    sk_buff* const behind = at(before).next;
    at(first).prev = before;
    at(last).next = behind;
    at(before).next = first;
    at(behind).prev = last;
  }

 public:
  sk_buff_head() { init(); }
  sk_buff_head(sk_buff_head const&) = delete;
  sk_buff_head& operator=(sk_buff_head const&) = delete;
  void init() { ends_.next = ends_.prev = sentinel(), qlen_ = 0; }

  [[nodiscard]] u32 qlen() const { return qlen_; }
  [[nodiscard]] bool empty() const { return qlen_ == 0; }
  [[nodiscard]] sk_buff* peek() const { return empty() ? nullptr : ends_.next; }
  [[nodiscard]] sk_buff* peek_tail() const { return empty() ? nullptr : ends_.prev; }
  /// The packet behind `skb`, or null at the end.
  [[nodiscard]] sk_buff* after(sk_buff const& skb) const { return skb.next == sentinel() ? nullptr : skb.next; }
  /// The packet in front of `skb`, or null at the head.
  [[nodiscard]] sk_buff* before(sk_buff const& skb) const { return skb.prev == sentinel() ? nullptr : skb.prev; }

  /// `where` is a packet of this queue.
  void insert_before(sk_buff* where, sk_buff& skb) { insert_after(at(where).prev, skb); }
  NETSTACK_INLINE void insert_after(sk_buff* where, sk_buff& skb) {
    BUG_ON(skb.prev != nullptr, "packet queued twice");
    link_after(where, &skb, &skb);
    ++qlen_;
  }
  NETSTACK_INLINE void queue_tail(sk_buff& skb) { insert_after(ends_.prev, skb); }
  void queue_head(sk_buff& skb) { insert_after(sentinel(), skb); }
  /// All of a burst, which is left empty.
  void queue_tail(skb_list& burst) {
    if (burst.empty()) return;
    sk_buff* before = ends_.prev;
    for (sk_buff* skb = burst.first; skb; skb = skb->next) {
      BUG_ON(skb->prev != nullptr, "packet queued twice");
      skb->prev = std::exchange(before, skb);
    }
    link_after(ends_.prev, burst.first, burst.last);
    qlen_ += burst.count;
    burst = {};
  }
  /// The same for a burst in which each, but the first, has the one before it as its `prev` already.
  void queue_linked(skb_list& burst) {
    if (burst.empty()) return;
    link_after(ends_.prev, burst.first, burst.last);
    qlen_ += burst.count;
    burst = {};
  }
  /// Takes the packets from the first to `last` out, as a burst; the caller, who goes through it anyway, clears the
  /// `prev` of each.
  [[nodiscard]] skb_list dequeue_to(sk_buff& last, u32 n) {
    skb_list burst{.first = ends_.next, .last = &last, .count = n};
    ends_.next = last.next;
    at(last.next).prev = sentinel();
    last.next = nullptr;
    qlen_ -= n;
    return burst;
  }
  void unlink(sk_buff& skb) {
    at(skb.next).prev = skb.prev;
    at(skb.prev).next = skb.next;
    skb.next = skb.prev = nullptr;
    --qlen_;
  }
  sk_buff* dequeue() {
    sk_buff* skb = peek();
    if (skb) unlink(*skb);
    return skb;
  }
  sk_buff* dequeue_tail() {
    sk_buff* skb = peek_tail();
    if (skb) unlink(*skb);
    return skb;
  }
  /// Moves everything of `other` to this queue's tail; `other` is left empty.
  void splice_tail(sk_buff_head& other) { splice_after(ends_.prev, other); }
  /// … to this queue's head.
  void splice_head(sk_buff_head& other) { splice_after(sentinel(), other); }

  /// `for (sk_buff& skb : queue)`; the body may unlink or free skb.
  [[nodiscard]] skb_iterator begin() const { return {ends_.next, sentinel()}; }
  [[nodiscard]] skb_iterator end() const { return {sentinel(), sentinel()}; }

 private:
  void splice_after(sk_buff* where, sk_buff_head& other) {
    if (other.empty()) return;
    link_after(where, other.ends_.next, other.ends_.prev);
    qlen_ += other.qlen_;
    other.init();
  }
};

// Linux's spellings.
inline void skb_queue_head_init(sk_buff_head& q) { q.init(); }
inline u32 skb_queue_len(sk_buff_head const& q) { return q.qlen(); }
inline bool skb_queue_empty(sk_buff_head const& q) { return q.empty(); }
inline sk_buff* skb_peek(sk_buff_head const& q) { return q.peek(); }
inline sk_buff* skb_peek_tail(sk_buff_head const& q) { return q.peek_tail(); }
inline sk_buff* skb_peek_next(sk_buff const& skb, sk_buff_head const& q) { return q.after(skb); }
inline void skb_queue_tail(sk_buff_head& q, sk_buff& skb) { q.queue_tail(skb); }
inline void skb_queue_head(sk_buff_head& q, sk_buff& skb) { q.queue_head(skb); }
inline sk_buff* skb_dequeue(sk_buff_head& q) { return q.dequeue(); }
inline sk_buff* skb_dequeue_tail(sk_buff_head& q) { return q.dequeue_tail(); }
inline void skb_unlink(sk_buff& skb, sk_buff_head& q) { q.unlink(skb); }
/// Queues `skb` behind `old`, which is in q.
inline void skb_append(sk_buff& old, sk_buff& skb, sk_buff_head& q) { q.insert_after(&old, skb); }
/// Queues `skb` in front of `old`.
inline void skb_insert(sk_buff& old, sk_buff& skb, sk_buff_head& q) { q.insert_before(&old, skb); }
inline void skb_queue_splice_tail_init(sk_buff_head& from, sk_buff_head& to) { to.splice_tail(from); }
inline void skb_queue_splice_init(sk_buff_head& from, sk_buff_head& to) { to.splice_head(from); }

}  // namespace netstack
