// SPDX-License-Identifier: BSL-1.0
// Decides: which linked lists the stack uses: Boost.Intrusive's, under Linux's names. The node is a member of the
// object, so linking never allocates and unlinking needs no search; an object is on as many lists as it has nodes.
// Nodes do not check and do not unlink themselves: who frees an object unlinks it first. [S182]
// Linux: include/linux/list.h (list_head, list_for_each_entry_safe)
#pragma once
#include <boost/intrusive/list.hpp>
#include <boost/intrusive/slist.hpp>

#include "netstack/base/config.hpp"

namespace netstack {

/// Node of a doubly linked list, zero-initialised when unlinked.
using list_head = boost::intrusive::list_member_hook<boost::intrusive::link_mode<boost::intrusive::normal_link>>;
/// Node of a singly linked list, for queues that are only pushed and popped.
using slist_head = boost::intrusive::slist_member_hook<boost::intrusive::link_mode<boost::intrusive::normal_link>>;

/// Doubly linked list of T through its member Node; size() walks.
template <class T, list_head T::*Node>
using list = boost::intrusive::list<T, boost::intrusive::member_hook<T, list_head, Node>,
                                    boost::intrusive::constant_time_size<false>>;

/// Singly linked FIFO of T through its member Node; size() walks.
template <class T, slist_head T::*Node>
using slist = boost::intrusive::slist<T, boost::intrusive::member_hook<T, slist_head, Node>,
                                      boost::intrusive::constant_time_size<false>, boost::intrusive::cache_last<true>>;

/// Visits every element; the visitor may unlink and free the element it is given, though no other.
template <class List, class F>
void list_for_each_entry_safe(List& entries, F&& visit) {
  for (auto it = entries.begin(); it != entries.end();) visit(*it++);
}

}  // namespace netstack
