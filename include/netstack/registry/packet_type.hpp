// SPDX-License-Identifier: BSL-1.0
// Decides: how a module asks for frames of an ethertype, Linux's dev_add_pack. Resolved into ptype_all (eth_p::all) and
// ptype_base. All handlers of a type see the frame, in list order; the last gets the original. [S81] [S84]
// Linux: include/linux/netdevice.h (struct packet_type)
#pragma once
#include "netstack/skb/skb_list.hpp"
#include "netstack/skb/verdict.hpp"

namespace netstack {

struct sock;

template <class Net>
struct packet_type {
  u16 type = 0;                               ///< eth_p::…, host order; eth_p::all makes it a tap
  char const* dev = nullptr;                  ///< only frames of the device of this name; null: of every device
  verdict (*func)(Net&, sk_buff&) = nullptr;  ///< gets the frame with data at the network header
  /// Optional: takes the burst's first frame, and those behind it as long as receive_next() (core/dev_input) has one.
  void (*list_func)(Net&, skb_list&) = nullptr;
  char const* name = "";                    ///< the handler's name, for /proc/net/ptype and describe()
  bool (*is_active)(Net&) = nullptr;        ///< optional, of a tap: false while nobody listens, so it costs no clones;
                                            ///< changes on the worker's own thread only
  bool (*id_match)(Net&, sock&) = nullptr;  ///< optional: the socket is one of this handler's own, so what it sends
                                            ///< is not shown to the handler as PACKET_OUTGOING [S82]
};

}  // namespace netstack
