// SPDX-License-Identifier: BSL-1.0
// Decides: what a composition is and how it boots:
//
//   struct host : netstack::stack<host, netstack::ipv4, netstack::udp, netstack::drivers::tap,
//                                 netstack::sizes<netstack::config{.skb_pool = 16384}>> {};
//   host h;
//   if (auto r = h.boot(); !r) …
//
// boot() maps memory_bound bytes once, then runs the initcalls in order; a failure undoes those before it in reverse
// and is returned. The object itself is small; everything else lies in the mapping. [S1] [S3] [S6] [S7] [S11] [S16]
// [S17] Linux: init/main.c (do_initcalls), net/core/net_namespace.c (setup_net, cleanup_net)
#pragma once
#include <time.h>

#include <new>
#include <span>

#include "netstack/drivers/loopback.hpp"
#include "netstack/stack/arena.hpp"
#include "netstack/stack/check.hpp"
#include "netstack/stack/net_core.hpp"
#include "netstack/stack/worker.hpp"

namespace netstack {

/// What boot() is told about its surroundings.
struct boot_args {
  clock_source clock{};  ///< default: clock_gettime
  u64 seed = 0;          ///< of every random choice; 0: from the kernel. The same seed gives the same trace
  int fail_at = -1;      ///< fault injection: the initcall of this number fails
};

/// One step of the boot, as it happened.
struct boot_event {
  char const* name;
  char const* what;  ///< "init", "exit", "failed", "pernet init" …
  s32 error;         ///< errno of a failure, else 0
};

namespace detail {

inline u64 read_clock(clockid_t id) {
  timespec ts{};
  ::clock_gettime(id, &ts);
  return static_cast<u64>(ts.tv_sec) * 1'000'000'000u + static_cast<u64>(ts.tv_nsec);
}
inline constexpr clock_source system_clock{[](void*) { return read_clock(CLOCK_MONOTONIC); },
                                           [](void*) { return read_clock(CLOCK_REALTIME); }, nullptr};

/// Everything of a running stack; sizeof is the memory bound.
template <class Host>
struct machine {
  worker<Host> workers[Host::sizes.workers];
  boot_event trace[256];
  u32 trace_len = 0;
};

}  // namespace detail

template <class Host, class... Elements>
class stack {
 public:
  static_assert(check::structure<Host, Elements...>());
  using modules = modules_of<drivers::loopback, net_core, Elements...>;
  static constexpr config sizes = detail::find_config<elements_of<Elements...>>::value;
  static constexpr std::size_t skb_ext_bytes = 0;
  static_assert(check::contents<net<Host>, sizes>(modules{}));

  stack() = default;
  stack(stack const&) = delete;
  stack& operator=(stack const&) = delete;
  ~stack() { shutdown(); }

  /// Bytes that boot() maps; nothing is allocated after.
  static constexpr std::size_t memory_bound() { return sizeof(detail::machine<Host>); }

  /// Errors: device_or_resource_busy when already booted, not_enough_memory, or the failing initcall's.
  result<void> boot(boot_args const& args = {}) {
    static_assert(sizeof(Host) <= 4096, "netstack: a stack object stays small; state belongs to modules");
    if (machine_) return failure{std::errc::device_or_resource_busy};
    auto memory = arena_.map(memory_bound(), sizes.huge_pages);
    if (!memory) return failure{memory.error()};
    machine_ = ::new (*memory) detail::machine<Host>;
    u64 const seed = args.seed ? args.seed : get_random_seed();
    for (u32 w = 0; w < sizes.workers; ++w) setup_worker(w, args, seed);
    return do_initcalls(args.fail_at);
  }

  /// Runs every exit in reverse order of what was initialised and gives the memory back. Idempotent.
  void shutdown() {
    if (!machine_) return;
    undo_initcalls();
    machine_->~machine();
    machine_ = nullptr;
    arena_.unmap();
  }

  [[nodiscard]] bool booted() const { return machine_ != nullptr; }
  [[nodiscard]] netstack::worker<Host>& worker(u32 i = 0) const { return machine_->workers[i]; }
  [[nodiscard]] net<Host>& init_net(u32 of_worker = 0) const { return machine_->workers[of_worker].nets[0]; }
  /// One round of work of a worker; 0: it found nothing to do.
  u32 poll(u32 of_worker = 0) { return worker(of_worker).poll(); }

  [[nodiscard]] std::span<boot_event const> boot_trace() const { return {machine_->trace, machine_->trace_len}; }
  void trace(char const* name, char const* what, std::errc error = {}) {
    if (machine_->trace_len < std::size(machine_->trace))
      machine_->trace[machine_->trace_len++] = {name, what, static_cast<s32>(error)};
  }

  /// Runs the pernet inits of namespace `index` on every worker's slice; a failure undoes and is returned. [S16]
  result<void> setup_net(u32 index) {
    for (u32 w = 0; w < sizes.workers; ++w) {
      if (auto r = setup_slice(worker(w).nets[index]); !r) {
        while (w-- > 0) cleanup_slice(worker(w).nets[index]);
        return r;
      }
    }
    return {};
  }
  void cleanup_net(u32 index) {
    for (u32 w = sizes.workers; w-- > 0;) cleanup_slice(worker(w).nets[index]);
  }

 private:
  using net_t = net<Host>;
  using machine_t = detail::machine<Host>;
  machine_t* machine_ = nullptr;
  u32 initcalls_done_ = 0;
  arena arena_;

  void setup_worker(u32 w, boot_args const& args, u64 seed) {
    auto& k = worker(w);
    k.id = w;
    k.stack_ = static_cast<Host*>(this);
    k.clock = args.clock.monotonic ? args.clock : detail::system_clock;
    k.random = prng{seed + w};
    k.refresh_clock();
    k.pool.init(k.pool_storage);
    k.timers.init(k.now);
    (void)k.sleeper.open();
    for (u32 i = 0; i < sizes.max_net; ++i) k.nets[i].index = static_cast<u16>(i), k.nets[i].home = &k;
  }

  result<void> do_initcalls(int fail_at) {
    for (auto const& call : net_t::initcalls) {
      int const number = static_cast<int>(initcalls_done_);
      result<void> r = number == fail_at ? result<void>{failure{std::errc::io_error}} : call.init(init_net());
      trace(call.name, r ? "init" : "failed", r ? std::errc{} : r.error());
      if (!r && call.critical) {
        auto const why = r.error();
        undo_initcalls();
        machine_->~machine_t();
        machine_ = nullptr;
        arena_.unmap();
        return failure{why};
      }
      ++initcalls_done_;
    }
    return {};
  }

  void undo_initcalls() {
    while (initcalls_done_ > 0) {
      auto const& call = net_t::initcalls[--initcalls_done_];
      if (call.exit) call.exit(init_net());
      trace(call.name, "exit");
    }
  }

  result<void> setup_slice(net_t& slice) {
    slice.alive = true;
    for (std::size_t i = 0; i < net_t::pernet_list.size(); ++i) {
      auto const& ops = net_t::pernet_list[i];
      if (!ops.init) continue;
      if (auto r = ops.init(slice); !r) {
        exit_slice(slice, i);
        return r;
      }
    }
    return {};
  }
  void cleanup_slice(net_t& slice) {
    if (slice.alive) exit_slice(slice, net_t::pernet_list.size());
  }
  /// First every exit in reverse, then every free in reverse. [S16]
  void exit_slice(net_t& slice, std::size_t from) {
    for (std::size_t i = from; i-- > 0;)
      if (net_t::pernet_list[i].exit) net_t::pernet_list[i].exit(slice);
    for (std::size_t i = from; i-- > 0;)
      if (net_t::pernet_list[i].free) net_t::pernet_list[i].free(slice);
    slice.alive = false;
  }
};

}  // namespace netstack
