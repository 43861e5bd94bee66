// SPDX-License-Identifier: BSL-1.0
// Decides: what module `udp` registers: its protocol number, its proto, its row of inetsw, its counters, settings and
// drop reasons. The way of a datagram: udp_input.hpp in, udp_sendmsg.hpp and udp_output.hpp out.
// Linux: net/ipv4/udp.c (udp_prot, udp_init), net/ipv4/af_inet.c (udp_protocol, inetsw_array) [S91] [S93] [S109] [S150]
#pragma once
#include "netstack/ipv4/af_inet.hpp"
#include "netstack/registry/initcall.hpp"
#include "netstack/registry/module.hpp"
#include "netstack/registry/net_protocol.hpp"
#include "netstack/udp/udp_err.hpp"
#include "netstack/udp/udp_input.hpp"
#include "netstack/udp/udp_port.hpp"
#include "netstack/udp/udp_proc.hpp"
#include "netstack/udp/udp_recvmsg.hpp"

namespace netstack {

template <class Net>
sock* udp_slab_alloc(Net& net) {
  return udp_worker_of(net).socks.alloc();
}
template <class Net>
void udp_slab_free(Net& net, sock& sk) {
  udp_worker_of(net).socks.free(&udp_sk(sk));
}
template <class Net>
proto_memory* udp_memory(Net& net) {
  return &udp_worker_of(net).memory;
}
template <class Net>
proto_limits const* udp_limits(Net& net) {
  return &net_generic<udp>(net).limits;
}

template <class Net>
inline constexpr proto<Net> udp_prot{
    .name = "UDP",
    .close = udp_lib_close,
    .connect = ip4_datagram_connect,
    .disconnect = udp_disconnect,
    .ioctl = udp_ioctl,
    .destroy = udp_destroy_sock,
    .setsockopt = udp_setsockopt,
    .getsockopt = udp_getsockopt,
    .sendmsg = udp_sendmsg,
    .recvmsg = udp_recvmsg,
    .sendpage = udp_sendpage,
    .backlog_rcv = __udp_queue_rcv_skb,
    .hash = udp_lib_hash,
    .unhash = udp_lib_unhash,
    .get_port = udp_v4_get_port,
    .rehash = udp_v4_rehash,
    .release_cb = ip4_datagram_release_cb,
    .slab_alloc = udp_slab_alloc,
    .slab_free = udp_slab_free,
    .memory = udp_memory,
    .limits = udp_limits,
    .obj_size = sizeof(udp_sock),
};

template <class Net>
inline constexpr net_protocol<Net> udp_protocol{
    .protocol = ipproto::udp,
    .handler = udp_rcv,
    .flow = {.begin = udp_flow_begin, .more = udp_flow_more, .end = udp_flow_end, .hlen = udp_hlen},
    .early_demux = udp_v4_early_demux,
    .err_handler = udp_err,
    .no_policy = true,
    .name = "UDP",
};

template <class Net>
inline constexpr inet_protosw<Net> udp_protosw{
    .type = sock_type::dgram,
    .protocol = ipproto::udp,
    .prot = udp_prot<Net>,
    .ops = inet_dgram_ops<Net>,
    .flags = protosw_flag::permanent,
};

/// The pages that queued datagrams may take: an eighth of the pool's, at least 128 if that is not more than half;
/// pressure below, refusal above. [S150]
template <config C>
inline constexpr s64 udp_mem_limit = [] {
  s64 const pages = s64{C.skb_pool} * C.frame_size / sk_mem_quantum;
  return std::max(pages / 8, std::min(pages / 2, s64{128}));
}();

/// Once per worker: the secret of its flow hash.
template <class Net>
result<void> udp_init(Net& init_net) {
  for (u32 w = 0; w < Net::sizes.workers; ++w) {
    auto& worker = init_net.stack().worker(w);
    worker_generic<udp>(worker).ehash_secret = worker.random.next_u32();
  }
  return {};
}

/// Once per namespace: the limits that every fresh one gets.
template <class Net>
result<void> udp_net_init(Net& net) {
  constexpr s64 limit = udp_mem_limit<Net::sizes>;
  auto& limits = net_generic<udp>(net).limits;
  limits.mem[0] = limit / 4 * 3;
  limits.mem[1] = limit;
  limits.mem[2] = limits.mem[0] * 2;
  return {};
}

template <class Net>
void count_udp_hdr(Net& net) {
  ++UDP_STATS(net).InErrors;
}
template <class Net>
void count_udp_csum(Net& net) {
  ++UDP_STATS(net).InCsumErrors;
  ++UDP_STATS(net).InErrors;
}

struct udp : module {
  static constexpr auto needs = requires_all<ipv4>;
  using pernet = udp_net;
  template <class Host>
  using perworker = udp_worker<Host>;
  using cb = inet_skb_rcv;

  template <class Net>
  static constexpr std::array net_protocols{udp_protocol<Net>};
  template <class Net>
  static constexpr std::array protos{udp_prot<Net>};
  template <class Net>
  static constexpr std::array inetsw{udp_protosw<Net>};
  template <class Net>
  static constexpr std::array initcalls{
      initcall<Net>{.level = initcall_level::fs, .name = "udp_init", .init = udp_init<Net>, .needs = "ip_init"},
  };
  template <class Net>
  static constexpr std::array pernet_ops{
      pernet_operations<Net>{.name = "udp_sysctl_ops", .init = udp_net_init<Net>},
  };
  template <class Net>
  static constexpr std::array drop_reasons{
      drop_reason_def<Net>{drop_reason::udp_hdr, "UDP_HDR", count_udp_hdr<Net>},
      drop_reason_def<Net>{drop_reason::udp_csum, "UDP_CSUM", count_udp_csum<Net>},
  };
  template <class Net>
  static constexpr std::array proc{
      proc_entry<Net>{.name = "net/udp", .show = udp4_seq_show<Net>, .header = udp4_seq_header}};
  template <class Net>
  static constexpr std::array sockstat{sockstat_line<Net>{.order = 20, .show = udp_sockstat_show<Net>}};
  static constexpr std::array snmp{snmp_group{.prefix = "Udp", .items = snmp4_udp_list, .order = snmp_order::udp}};
  static constexpr std::array ctl_tables{
      ctl<&udp_net::limits, &proto_limits::mem>("net/ipv4/udp_mem", {.min = 0}),
      ctl<&udp_net::limits, &proto_limits::rmem_min>("net/ipv4/udp_rmem_min", {.min = 1}),
      ctl<&udp_net::limits, &proto_limits::wmem_min>("net/ipv4/udp_wmem_min", {.min = 1}),
      ctl<&udp_net::sysctl_udp_early_demux>("net/ipv4/udp_early_demux"),
  };
};

}  // namespace netstack
