// SPDX-License-Identifier: BSL-1.0
// Decides: how packets are chained. skb_list is the singly linked burst that drivers, NAPI and list_func hand on;
// sk_buff_head is Linux's doubly linked queue with an exact qlen. Both link through the packet itself. [S37]
// Linux: include/linux/skbuff.h (sk_buff_head), include/linux/list.h
#pragma once
#include "netstack/skb/sk_buff.hpp"

namespace netstack {

/// A burst: singly linked through `next`, null at the end. Owns nothing by itself.
struct skb_list {
  sk_buff* first = nullptr;
  sk_buff* last = nullptr;
  u32 count = 0;

  [[nodiscard]] bool empty() const { return first == nullptr; }
  void push_back(sk_buff& skb) {
    skb.next = nullptr;
    (last ? last->next : first) = &skb;
    last = &skb;
    ++count;
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
  /// Takes all of `other`, which is left empty.
  void splice(skb_list& other) {
    if (other.empty()) return;
    (last ? last->next : first) = other.first;
    last = other.last;
    count += other.count;
    other = {};
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

  sk_buff* sentinel() { return reinterpret_cast<sk_buff*>(&ends_); }
  [[nodiscard]] sk_buff const* sentinel() const { return reinterpret_cast<sk_buff const*>(&ends_); }
  static links& at(sk_buff* node) { return *reinterpret_cast<links*>(node); }

 public:
  sk_buff_head() { init(); }
  sk_buff_head(sk_buff_head const&) = delete;
  sk_buff_head& operator=(sk_buff_head const&) = delete;
  void init() { ends_.next = ends_.prev = sentinel(), qlen_ = 0; }

  [[nodiscard]] u32 qlen() const { return qlen_; }
  [[nodiscard]] bool empty() const { return qlen_ == 0; }
  [[nodiscard]] sk_buff* peek() { return empty() ? nullptr : ends_.next; }
  [[nodiscard]] sk_buff* peek_tail() { return empty() ? nullptr : ends_.prev; }
  /// The packet behind `skb`, or null at the end.
  [[nodiscard]] sk_buff* after(sk_buff& skb) { return skb.next == sentinel() ? nullptr : skb.next; }

  void insert_before(sk_buff* where, sk_buff& skb) {
    skb.next = where;
    skb.prev = at(where).prev;
    at(skb.prev).next = &skb;
    at(where).prev = &skb;
    ++qlen_;
  }
  void queue_tail(sk_buff& skb) { insert_before(sentinel(), skb); }
  void queue_head(sk_buff& skb) { insert_before(ends_.next, skb); }
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
  /// Moves everything of `other` to this queue's tail; `other` is left empty.
  void splice_tail(sk_buff_head& other) {
    if (other.empty()) return;
    at(ends_.prev).next = other.ends_.next;
    other.ends_.next->prev = ends_.prev;
    other.ends_.prev->next = sentinel();
    ends_.prev = other.ends_.prev;
    qlen_ += other.qlen_;
    other.init();
  }
};

}  // namespace netstack
