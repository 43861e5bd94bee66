// SPDX-License-Identifier: BSL-1.0
// Decides: what happens to IPv4 when a namespace comes and goes: its statistics begin block by block, its routing finds
// its worker, and each of its slices gets a control socket for ICMP; a failure ends what was begun, in reverse. [S154]
// [S155] [S161]
// Linux: net/ipv4/af_inet.c (ipv4_mib_init_net), icmp.c (icmp_sk_init), fib_frontend.c (fib_net_init)
#pragma once
#include "netstack/core/sock_mem.hpp"
#include "netstack/ipv4/arp.hpp"
#include "netstack/ipv4/fib_frontend.hpp"
#include "netstack/registry/initcall.hpp"
#include "netstack/registry/pernet.hpp"

namespace netstack {

namespace detail {

template <class Net, netns_mib::block Block>
result<void> mib_block_init(Net& net) {
  auto& mib = ipv4_net(net).mib;
  mib.live = static_cast<u8>(mib.live | Block);
  return {};
}
template <class Net, netns_mib::block Block>
void mib_block_exit(Net& net) {
  auto& mib = ipv4_net(net).mib;
  mib.live = static_cast<u8>(mib.live & ~Block);
}

/// What a packet of this size costs its socket, beside itself (Linux's SKB_TRUESIZE).
constexpr u32 skb_truesize(u32 size) { return size + u32{sizeof(sk_buff)} + u32{sizeof(skb_shared_info)}; }

/// Back to the worker's slab, when the last packet that is charged to it is freed.
template <class Net>
void icmp_sk_destruct(sock& sk) {
  worker_generic<ipv4>(static_cast<Net*>(sk.sk_net)->worker()).icmp_socks.free(&sk);
}

/// Errors: no_buffer_space: as many sockets as namespaces are alive already, held by packets of dead ones.
template <class Net>
result<void> icmp_sk_init(Net& net) {
  sock* sk = worker_generic<ipv4>(net.worker()).icmp_socks.alloc();
  if (!sk) return failure{std::errc::no_buffer_space};
  sk->sk_net = &net;
  sk->sk_protocol = ipproto::icmp;
  sk->sk_sndbuf = 2 * skb_truesize(64 * 1024);
  sk->sk_memory = &worker_generic<ipv4>(net.worker()).icmp_memory;
  sk->sk_memory->destruct = icmp_sk_destruct<Net>;
  sock_set_flag(*sk, sock_flags::use_write_queue);
  sock_set_flag(*sk, sock_flags::kern);
  ipv4_net(net).icmp_sk = sk;
  return {};
}
template <class Net>
void icmp_sk_exit(Net& net) {
  if (sock* sk = std::exchange(ipv4_net(net).icmp_sk, nullptr)) sk_free(*sk);
}

template <class Net>
result<void> ip_rt_init_net(Net& net) {
  auto& state = worker_generic<ipv4>(net.worker());
  state.rtables.now = &net.worker().now;
  return {};
}
/// No packet of this worker is being handled: cached ways can go for good.
template <class Net>
void ip_rt_exit_net(Net& net) {
  rt_cache_flush(net);
  fib(net).flush_all();
  worker_generic<ipv4>(net.worker()).peers.flush(net.index);
  rt_reclaim(net.worker(), true);
}

template <class Net, netns_mib::block Block>
constexpr pernet_operations<Net> mib_block(char const* name) {
  return {.name = name, .init = mib_block_init<Net, Block>, .exit = mib_block_exit<Net, Block>};
}

}  // namespace detail

/// Boot: every worker's peers, and their periodic collection. [S131] [S134]
template <class Net>
result<void> inet_initpeers(Net& init_net) {
  for (u32 w = 0; w < Net::sizes.workers; ++w) {
    auto& worker = init_net.stack().worker(w);
    auto& peers = worker_generic<ipv4>(worker).peers;
    peers.init(worker.random, Net::host::memory_bound());
    peers.periodic_timer.function = [](void* ctx, timer_list& timer) {
      auto& k = *static_cast<std::remove_reference_t<decltype(worker)>*>(ctx);
      auto& p = worker_generic<ipv4>(k).peers;
      p.collect(k.now);
      k.timers.mod_timer(timer, k.now + p.next_interval());
    };
    worker.timers.mod_timer(peers.periodic_timer, worker.now + peers.next_interval());
  }
  return {};
}
template <class Net>
void inet_exitpeers(Net& init_net) {
  for (u32 w = 0; w < Net::sizes.workers; ++w) {
    auto& worker = init_net.stack().worker(w);
    worker.timers.del_timer(worker_generic<ipv4>(worker).peers.periodic_timer);
  }
}

template <class Net>
inline constexpr std::array inet_initcalls{
    initcall<Net>{.level = initcall_level::fs,
                  .name = "arp_init",
                  .init = arp_init<Net>,
                  .exit = arp_exit<Net>,
                  .needs = "net_dev_init"},
    initcall<Net>{.level = initcall_level::fs,
                  .name = "ip_init",
                  .init = inet_initpeers<Net>,
                  .exit = inet_exitpeers<Net>,
                  .needs = "arp_init"},
};

template <class Net>
inline constexpr std::array inet_pernet_ops{
    pernet_operations<Net>{
        .name = "ip_rt_ops", .init = detail::ip_rt_init_net<Net>, .exit = detail::ip_rt_exit_net<Net>},
    detail::mib_block<Net, netns_mib::tcp>("tcp_statistics"),
    detail::mib_block<Net, netns_mib::ip>("ip_statistics"),
    detail::mib_block<Net, netns_mib::net>("net_statistics"),
    detail::mib_block<Net, netns_mib::icmp>("icmp_statistics"),
    detail::mib_block<Net, netns_mib::icmpmsg>("icmpmsg_statistics"),
    pernet_operations<Net>{.name = "icmp_sk_ops", .init = detail::icmp_sk_init<Net>, .exit = detail::icmp_sk_exit<Net>},
};

}  // namespace netstack
