// SPDX-License-Identifier: BSL-1.0
// Decides: what is shown of all protos together: /proc/net/protocols, a row per proto with a letter per op that it has
// (the 19 ops of the document era, in its order; kernels since 6.5 leave out `sp`), and sockstat's first line. The rows
// follow from the proto itself: nobody writes them. [S90] [S175]
// Linux: net/core/sock.c (proto_seq_show), net/socket.c (socket_seq_show)
#pragma once
#include "netstack/registry/proc.hpp"
#include "netstack/registry/proto.hpp"

namespace netstack {

inline constexpr char proto_seq_header[] =
    "protocol  size sockets  memory press maxhdr  slab module     cl co di ac io in de sh ss gs se re sp bi br ha uh "
    "gp em\n";

/// The last proto first, as the kernel lists them. Counts are those of the net's worker.
template <class Net>
bool proto_seq_show(Net& net, seq_file& m, seq_cursor& at) {
  if constexpr (Net::proto_list.size() != 0) {
    if (at.index >= Net::proto_list.size()) return false;
    std::size_t const i = Net::proto_list.size() - 1 - at.index++;
    proto<Net> const& p = Net::proto_list[i];
    proto_memory const* const memory = p.memory ? p.memory(net) : nullptr;
    char const* const pressure = !p.enter_memory_pressure || !memory ? "NI" : memory->pressure ? "yes" : "no";
    seq_printf(m, "%-9s %4u %6u  %6lld   %-3s %6u   %-3s  %-10s", p.name, p.obj_size, net.prot_inuse[i],
               memory ? static_cast<long long>(memory->allocated) : -1ll, pressure, p.max_header, "yes", "kernel");
    bool const ops[] = {p.close != nullptr,
                        p.connect != nullptr,
                        p.disconnect != nullptr,
                        p.accept != nullptr,
                        p.ioctl != nullptr,
                        p.init != nullptr,
                        p.destroy != nullptr,
                        p.shutdown != nullptr,
                        p.setsockopt != nullptr,
                        p.getsockopt != nullptr,
                        p.sendmsg != nullptr,
                        p.recvmsg != nullptr,
                        p.sendpage != nullptr,
                        p.bind != nullptr,
                        p.backlog_rcv != nullptr,
                        p.hash != nullptr,
                        p.unhash != nullptr,
                        p.get_port != nullptr,
                        p.enter_memory_pressure != nullptr};
    for (bool has : ops) seq_puts(m, has ? "  y" : "  n");
    seq_putc(m, '\n');
    return true;
  } else {
    return false;
  }
}

template <class Net>
void sockets_used_show(Net& net, seq_file& m) {
  seq_put_decimal_ull(m, "sockets: used ", net.sock_inuse);
  seq_putc(m, '\n');
}

template <class Net>
inline constexpr std::array sock_proc{
    proc_entry<Net>{.name = "net/protocols", .show = proto_seq_show<Net>, .header = proto_seq_header},
};
template <class Net>
inline constexpr std::array sock_sockstat{sockstat_line<Net>{.order = 0, .show = sockets_used_show<Net>}};

}  // namespace netstack
