// SPDX-License-Identifier: BSL-1.0
// Decides: what a composition is and how it boots:
//
//   struct host : netstack::stack<host, netstack::ipv4, netstack::udp, netstack::drivers::tap,
//                                 netstack::sizes<netstack::config{.skb_pool = 16384}>> {};
//   host h;
//   if (auto r = h.boot(); !r) …
//
// boot() maps memory_bound bytes once, then runs the initcalls in order; a failure undoes those before it in reverse
// and is returned. The object itself is small; everything else lies in the mapping. Namespaces come and go in
// namespaces.hpp. [S1] [S3] [S6] [S7] Linux: init/main.c (do_initcalls)
#pragma once
#include <time.h>

#include <new>

#include "netstack/stack/arena.hpp"
#include "netstack/stack/check.hpp"
#include "netstack/stack/describe.hpp"
#include "netstack/stack/namespaces.hpp"

namespace netstack {

/// What boot() is told about its surroundings.
struct boot_args {
  clock_source clock{};    ///< default: clock_gettime
  u64 seed = 0;            ///< of every random choice; 0: from the kernel. The same seed gives the same trace
  int fail_initcall = -1;  ///< fault injection: the initcall of this number fails
  int fail_pernet = -1;    ///< fault injection: the n-th pernet init since boot fails
};

namespace detail {
inline u64 read_clock(clockid_t id) {
  timespec ts{};
  ::clock_gettime(id, &ts);
  return static_cast<u64>(ts.tv_sec) * 1'000'000'000u + static_cast<u64>(ts.tv_nsec);
}
inline constexpr clock_source system_clock{[](void*) { return read_clock(CLOCK_MONOTONIC); },
                                           [](void*) { return read_clock(CLOCK_REALTIME); }, nullptr, 1'000'000};
}  // namespace detail

namespace detail {

template <class Host, class Modules, config C>
class composed_stack : public namespaces<Host> {
  friend class namespaces<Host>;

 public:
  using modules = Modules;
  static constexpr config sizes = C;
  static constexpr std::size_t skb_ext_bytes = 0;

  composed_stack() = default;
  composed_stack(composed_stack const&) = delete;
  composed_stack& operator=(composed_stack const&) = delete;
  ~composed_stack() { shutdown(); }

  /// Bytes that boot() maps; nothing is allocated after.
  static constexpr std::size_t memory_bound() { return sizeof(detail::machine<Host>); }

  /// Prints what the list resolved to, and the memory bound, through sink(std::string_view); works before boot, too.
  template <class Sink>
  static void describe(Sink&& sink) {
    detail::description<Host>::tables(sink);
    detail::description<Host>::memory(sink);
  }

  /// Errors: device_or_resource_busy when already booted, not_enough_memory, or the failing initcall's. After an error
  /// everything is as before; boot_trace() still tells what happened.
  result<void> boot(boot_args const& args = {}) {
    static_assert(sizeof(Host) <= 4096, "netstack: a stack object stays small; state belongs to modules");
    static_assert(net_t::initcalls.size() <= max_initcalls, "netstack: at most 256 initcalls in one list");
    if (booted_) return failure{std::errc::device_or_resource_busy};
    shutdown();  // what a failed boot left for its trace
    auto memory = arena_.map(memory_bound(), sizes.huge_pages);
    if (!memory) return failure{memory.error()};
    machine_ = ::new (*memory) machine_t;
    u64 const seed = args.seed ? args.seed : get_random_seed();
    fail_pernet_ = args.fail_pernet;
    for (u32 w = 0; w < sizes.workers; ++w)
      if (auto r = setup_worker(w, args, seed); !r) return r;
    if (auto r = do_initcalls(args.fail_initcall); !r) return r;
    booted_ = true;
    return {};
  }

  /// Takes down the namespaces, runs every exit in reverse order of what was initialised, gives the memory back.
  void shutdown() {
    if (!machine_) return;
    if (booted_) this->cleanup_all_nets();
    booted_ = false;
    undo_initcalls();
    machine_->~machine_t();
    machine_ = nullptr;
    arena_.unmap();
  }

  [[nodiscard]] bool booted() const { return booted_; }
  [[nodiscard]] netstack::worker<Host>& worker(u32 i = 0) const { return machine_->workers[i]; }
  /// The namespace that is there when none is named: a worker's slice of it.
  [[nodiscard]] net<Host>& init_net(u32 of_worker = 0) const { return machine_->workers[of_worker].nets[0]; }

  /// One round of work of a worker, on that worker's thread; 0: it found nothing to do.
  NETSTACK_INLINE u32 poll(u32 of_worker = 0) {
    u32 work = worker(of_worker).poll();
    if (of_worker == 0 && machine_->cleanup_pending.load(std::memory_order_relaxed)) work += this->cleanup_dead_nets();
    return work;
  }
  /// Sleeps until there is work for poll(): a frame, a timer, at most timeout_ns.
  void wait(u64 timeout_ns, u32 of_worker = 0) { worker(of_worker).wait(timeout_ns); }
  /// One pollable fd for an application's own event loop. Readable when poll() has work, if arm() was true before:
  ///   for (;;) { while (h.poll()) {}  if (h.arm()) epoll_wait(…, h.fd() among others, …); }
  [[nodiscard]] int fd(u32 of_worker = 0) const { return worker(of_worker).sleeper.fd(); }
  bool arm(u32 of_worker = 0) { return worker(of_worker).arm(); }
  /// Worker `w` runs no more: its thread has ended. On the thread of `heir`, which takes over its queued frames, and
  /// answers for it; its interface queues are closed, its sockets and timers rest. For good. [S10]
  /// Errors: invalid_argument (worker 0, which holds the control, or the heir itself, or removed before).
  result<void> remove_worker(u32 w, u32 heir = 0) {
    if (w == 0 || w == heir || w >= sizes.workers || heir >= sizes.workers || worker(w).removed() ||
        worker(heir).removed())
      return failure{std::errc::invalid_argument};
    machine_->online.fetch_and(~(u64{1} << w), std::memory_order_acq_rel);
    worker(heir).adopt(worker(w));
    return {};
  }
  /// The workers that RPS may send to, as bits. [S64]
  [[nodiscard]] u64 online_workers() const { return machine_->online.load(std::memory_order_relaxed); }

  /// What happened since boot() was called, in order; also after a failed boot.
  [[nodiscard]] std::span<boot_event const> boot_trace() const {
    return machine_ ? machine_->log.events() : std::span<boot_event const>{};
  }

  // --- control messages (core/rtnl.hpp) -----------------------------------------------------------------------------
  /// Every other worker's ring has room for one more message from this one.
  [[nodiscard]] bool can_post(netstack::worker<Host>& from) const {
    for (u32 w = 0; w < sizes.workers; ++w)
      if (w != from.id && !worker(w).inbox.room(from.id)) return false;
    return true;
  }
  /// Has every other worker run op on its slice of this namespace. can_post() was true.
  template <class Op>
  void post_others(net<Host>& slice, Op const& op) {
    auto const m = control_message_of<netstack::worker<Host>>(slice.index, op);
    for (u32 w = 0; w < sizes.workers; ++w)
      if (w != slice.worker().id) {
        BUG_ON(!worker(w).inbox.post(slice.worker().id, m), "control ring full");
        worker(w).wake();
      }
  }

 private:
  using net_t = net<Host>;
  using machine_t = detail::machine<Host>;
  machine_t* machine_ = nullptr;
  u32 initcalls_done_ = 0;
  int fail_pernet_ = -1;
  bool booted_ = false;
  arena arena_;

  result<void> setup_worker(u32 w, boot_args const& args, u64 seed) {
    auto& k = worker(w);
    k.id = w;
    k.stack_ = static_cast<Host*>(this);
    k.clock = args.clock.monotonic ? args.clock : detail::system_clock;
    k.random = prng{seed + w};
    k.refresh_clock();
    k.pool.init(k.pool_storage);
    k.timers.init(k.now);
    for (u32 i = 0; i < sizes.max_net; ++i) k.nets[i].index = static_cast<u16>(i), k.nets[i].home = &k;
    return k.sleeper.open();
  }

  result<void> do_initcalls(int fail_at) {
    for (auto const& call : net_t::initcalls) {
      bool const injected = static_cast<int>(initcalls_done_) == fail_at;
      result<void> r = injected ? result<void>{failure{std::errc::io_error}} : call.init(init_net());
      machine_->log.add(call.name, r ? "init" : "failed", r ? std::errc{} : r.error());
      if (!r && call.critical) {
        undo_initcalls();
        return r;
      }
      done_[initcalls_done_++] = r.has_value();
    }
    return {};
  }

  /// In reverse, and only what succeeded.
  void undo_initcalls() {
    while (initcalls_done_ > 0) {
      auto const& call = net_t::initcalls[--initcalls_done_];
      if (!done_[initcalls_done_]) continue;
      if (call.exit) call.exit(init_net());
      machine_->log.add(call.name, "exit");
    }
  }
  static constexpr std::size_t max_initcalls = 256;
  bool done_[max_initcalls]{};
};

/// Stands in for a composition of which no table can be made, so that the broken rule is all there is to read.
template <class Host>
struct uncomposed_stack {
  result<void> boot(boot_args const& = {}) { return failure{std::errc::invalid_argument}; }
  void shutdown() {}
  static constexpr std::size_t memory_bound() { return 0; }
  template <class Sink>
  static void describe(Sink&&) {}
  [[nodiscard]] bool booted() const { return false; }
  [[nodiscard]] net<Host>& init_net(u32 = 0) const;
  u32 poll(u32 = 0) { return 0; }
  void wait(u64, u32 = 0) {}
  [[nodiscard]] int fd(u32 = 0) const { return -1; }
  bool arm(u32 = 0) { return false; }
};

template <class Host, config C, class Modules>
struct stack_on {
  using type = composed_stack<Host, Modules, C>;
};
template <class Host, config C>
struct stack_on<Host, C, void> {
  using type = uncomposed_stack<Host>;
};
template <class Host, class... Elements>
using composition_of = decltype(check::composition<Host, Elements...>());

}  // namespace detail

template <class Host, class... Elements>
class stack : public detail::stack_on<Host, detail::find_config<elements_of<Elements...>>::value,
                                      typename detail::composition_of<Host, Elements...>::modules>::type {
  // A broken rule is instantiated here and nowhere else: its message comes once, right behind the user's line. It is no
  // base, since a class of which a base is wrong loses its members with clang.
  static_assert(sizeof(typename detail::composition_of<Host, Elements...>::verdict::rule) != 0);
};

}  // namespace netstack
