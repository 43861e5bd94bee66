// SPDX-License-Identifier: BSL-1.0
// Decides: how objects are linked of which there may be very many: by their places in their slab, in half the room that
// pointers take (core/list.hpp). Whoever links or walks names the slab.
// Linux: include/linux/list.h, in half its room
#pragma once
#include <iterator>

#include "netstack/core/slab.hpp"

namespace netstack {

/// The place of an object in its slab, from 1; 0: none.
using slab_place = u32;
/// Node of a slab_list.
struct slab_node {
  slab_place next = 0, prev = 0;
};

namespace detail {

template <class Slab>
[[nodiscard]] auto* slab_at(Slab& slab, slab_place place) {
  return place != 0 ? &slab.at(place - 1) : nullptr;
}
/// `for (T& each : range)`, where the body may unlink and free the one it is given.
template <class Slab, auto Next>
class slab_range {
  Slab& slab_;
  slab_place first_;

 public:
  using pointer = decltype(slab_at(std::declval<Slab&>(), 0));
  class iterator {
    Slab* slab_;
    pointer at_;
    slab_place next_ = 0;

   public:
    iterator(Slab& slab, slab_place place) : slab_(&slab), at_(slab_at(slab, place)) { look_ahead(); }
    auto& operator*() const { return *at_; }
    iterator& operator++() {
      at_ = slab_at(*slab_, next_);
      look_ahead();
      return *this;
    }
    friend bool operator==(iterator const& a, std::default_sentinel_t) { return a.at_ == nullptr; }

   private:
    void look_ahead() { next_ = at_ ? Next(*at_) : 0; }
  };
  slab_range(Slab& slab, slab_place first) : slab_(slab), first_(first) {}
  [[nodiscard]] iterator begin() const { return {slab_, first_}; }
  [[nodiscard]] std::default_sentinel_t end() const { return {}; }
};

}  // namespace detail

/// Doubly linked list through its member Node.
template <class T, slab_node T::*Node>
class slab_list {
  slab_place first_ = 0, last_ = 0;
  static slab_place next_of(T const& object) { return (object.*Node).next; }
  /// Where the place behind that one is written, and the place in front of it; 0: of the ends.
  template <class Slab>
  slab_place& next_at(Slab& slab, slab_place of) {
    return of != 0 ? (slab.at(of - 1).*Node).next : first_;
  }
  template <class Slab>
  slab_place& prev_at(Slab& slab, slab_place of) {
    return of != 0 ? (slab.at(of - 1).*Node).prev : last_;
  }
  template <class Slab>
  void link(Slab& slab, slab_place prev, slab_place next, T& object) {
    slab_place const place = slab.index_of(&object) + 1;
    object.*Node = {.next = next, .prev = prev};
    next_at(slab, prev) = prev_at(slab, next) = place;
  }
  template <class Slab, class Later>
  NETSTACK_COLD void insert_before_all(Slab& slab, T const& last, T& object, Later const& later) {
    T const* at = &last;
    for (T const* each = at; each && later(*each); each = before(slab, *each)) at = each;
    insert_before(slab, *at, object);
  }

 public:
  [[nodiscard]] bool empty() const { return first_ == 0; }
  template <class Slab>
  [[nodiscard]] T* front(Slab& slab) const {
    return detail::slab_at(slab, first_);
  }
  template <class Slab>
  [[nodiscard]] T* back(Slab& slab) const {
    return detail::slab_at(slab, last_);
  }
  /// The one behind it, or null.
  template <class Slab>
  [[nodiscard]] T* after(Slab& slab, T const& object) const {
    return detail::slab_at(slab, (object.*Node).next);
  }
  /// The one in front of it, or null.
  template <class Slab>
  [[nodiscard]] T* before(Slab& slab, T const& object) const {
    return detail::slab_at(slab, (object.*Node).prev);
  }
  template <class Slab>
  void push_front(Slab& slab, T& object) {
    link(slab, 0, first_, object);
  }
  template <class Slab>
  void push_back(Slab& slab, T& object) {
    link(slab, last_, 0, object);
  }
  template <class Slab>
  void insert_before(Slab& slab, T const& where, T& object) {
    link(slab, (where.*Node).prev, slab.index_of(&where) + 1, object);
  }
  /// In front of those at the end for which later(other): mostly there are none.
  template <class Slab, class Later>
  void insert_by(Slab& slab, T& object, Later&& later) {
    T const* const last = back(slab);
    if (last && later(*last)) [[unlikely]]
      return insert_before_all(slab, *last, object, later);
    push_back(slab, object);
  }
  template <class Slab>
  void erase(Slab& slab, T& object) {
    slab_node const node = object.*Node;
    next_at(slab, node.prev) = node.next;
    prev_at(slab, node.next) = node.prev;
  }
  template <class Slab>
  [[nodiscard]] auto in(Slab& slab) const {
    return detail::slab_range<Slab, next_of>{slab, first_};
  }
};

}  // namespace netstack
