// SPDX-License-Identifier: BSL-1.0
// Decides: how namespaces are born and die. Each has one slice per worker; its modules' pernet inits run there in order
// (subsystems, then devices), a failure undoes what was done: every exit in reverse, then every free in reverse. Slots
// come from a fixed array, so creating one never allocates. All of it is control: worker 0's thread, except that each
// worker sets up and takes down its own slice. [S11] [S12] [S16] [S17] [S18]
// Linux: net/core/net_namespace.c (setup_net, copy_net_ns, cleanup_net)
#pragma once
#include "netstack/stack/machine.hpp"

namespace netstack {

template <class Host>
class namespaces {
  using net_t = net<Host>;
  Host& host() { return static_cast<Host&>(*this); }
  auto& machine() { return *host().machine_; }

 public:
  /// A new namespace, held once by the caller (put_net gives it back). The slices of other workers are ready after
  /// their next poll(). Errors: no_buffer_space when config.max_net are alive or dying, resource_unavailable_try_again
  /// when a worker's control ring is full, or the failing pernet init's.
  result<net_t*> copy_net_ns() {
    for (u32 i = 0; i < Host::sizes.max_net; ++i) {
      auto& entry = machine().namespaces[i];
      if (entry.used || entry.slices.load(std::memory_order_acquire) != 0) continue;
      if (auto r = setup_net(i); !r) return failure{r.error()};
      return &host().worker(0).nets[i];
    }
    return failure{std::errc::no_buffer_space};
  }

  /// One more holder.
  net_t& get_net(net_t& net) { return ++machine().namespaces[net.index].count, net; }
  /// One holder less. The last one's namespace is taken down by the next poll(), not by the caller.
  void put_net(net_t& net) {
    auto& entry = machine().namespaces[net.index];
    BUG_ON(entry.count == 0, "put_net without get_net");
    if (--entry.count == 0) condemn(net.index);
  }

  /// f(net) for every live namespace in order of creation, as worker 0 sees them.
  template <class F>
  void for_each_net(F f) {
    for (u32 i = 0; i < machine().nr_namespaces; ++i) f(host().worker(0).nets[machine().namespace_list[i]]);
  }
  [[nodiscard]] u32 nr_namespaces() { return machine().nr_namespaces; }

  /// Sets namespace `index` up in every worker. During boot all slices are made here; later each worker makes its own.
  result<void> setup_net(u32 index) {
    auto& entry = machine().namespaces[index];
    auto& first = host().worker(0);
    if (host().booted() && !host().can_post(first)) return failure{std::errc::resource_unavailable_try_again};
    entry.failed = false;
    if (auto r = setup_slice(first.nets[index]); !r) return r;
    for (u32 w = 1; w < Host::sizes.workers; ++w) {
      if (host().booted()) {
        entry.slices.fetch_add(1, std::memory_order_relaxed);
        post(w, index, [](worker<Host>& k, u16 i, std::byte const*) {
          auto& self = k.stack();
          self.machine_->namespaces[i].slices.fetch_sub(1, std::memory_order_relaxed);
          if (!self.setup_slice(k.nets[i])) {
            self.machine_->namespaces[i].failed.store(true, std::memory_order_release);
            self.machine_->cleanup_pending.store(true, std::memory_order_release);
          }
        });
      } else if (auto r = setup_slice(host().worker(w).nets[index]); !r) {
        while (w-- > 0) cleanup_slice(host().worker(w).nets[index]);
        return r;
      }
    }
    entry.used = true;
    entry.dying = false;
    entry.count = 1;
    machine().namespace_list[machine().nr_namespaces++] = static_cast<u16>(index);
    return {};
  }

 protected:
  /// Takes down every namespace whose last holder is gone, or that a worker could not set up; how many.
  u32 cleanup_dead_nets() {
    u32 n = 0;
    machine().cleanup_pending.store(false, std::memory_order_relaxed);
    for (u32 i = machine().nr_namespaces; i-- > 0;) {
      u16 const index = machine().namespace_list[i];
      auto& entry = machine().namespaces[index];
      if (!entry.dying && !entry.failed.load(std::memory_order_acquire)) continue;
      if (host().can_post(host().worker(0)))
        cleanup_net(index), ++n;
      else
        condemn(index);  // a control ring is full: next time
    }
    return n;
  }
  /// At shutdown: no worker runs any more, so all slices are taken down here, the youngest namespace first.
  void cleanup_all_nets() {
    for (u32 w = 0; w < Host::sizes.workers; ++w) host().worker(w).inbox.drain(host().worker(w));
    while (machine().nr_namespaces > 1) {
      u16 const index = machine().namespace_list[machine().nr_namespaces - 1];
      forget(index);
      for (u32 w = Host::sizes.workers; w-- > 0;) cleanup_slice(host().worker(w).nets[index]);
    }
  }

 public:
  void cleanup_net(u32 index) {
    forget(static_cast<u16>(index));
    for (u32 w = Host::sizes.workers; w-- > 1;) {
      if (host().booted())
        post(w, index, [](worker<Host>& k, u16 i, std::byte const*) { k.stack().cleanup_slice(k.nets[i]); });
      else
        cleanup_slice(host().worker(w).nets[index]);
    }
    cleanup_slice(host().worker(0).nets[index]);
  }

  void cleanup_slice(net_t& slice) {
    if (slice.alive) exit_slice(slice, net_t::pernet_list.size());
  }

 private:
  void condemn(u16 index) {
    machine().namespaces[index].dying = true;
    machine().cleanup_pending.store(true, std::memory_order_relaxed);
  }

  void forget(u16 index) {
    auto& list = machine().namespace_list;
    u32& n = machine().nr_namespaces;
    u32 at = 0;
    while (at < n && list[at] != index) ++at;
    BUG_ON(at == n, "cleanup of a namespace that is not listed");
    for (--n; at < n; ++at) list[at] = list[at + 1];
    machine().namespaces[index].used = false;
  }

  void post(u32 w, u32 index, void (*apply)(worker<Host>&, u16, std::byte const*)) {
    control_message<worker<Host>> m{.apply = apply, .netns = static_cast<u16>(index), .op = {}};
    if constexpr (Host::sizes.workers > 1) {
      BUG_ON(!host().worker(w).inbox.post(0, m), "control ring full");
      host().worker(w).wake();
    }
  }

  /// A fresh slice: its modules' state as the composition states it, never init_net's current values.
  result<void> setup_slice(net_t& slice) {
    auto* const home = slice.home;
    u16 const index = slice.index;
    u16 const generation = static_cast<u16>(slice.generation + 1);
    slice.~net_t();
    ::new (static_cast<void*>(&slice)) net_t();  // zeroed first: plain memory inside starts empty
    slice.home = home;
    slice.index = index;
    slice.generation = generation;
    slice.alive = true;
    machine().namespaces[index].slices.fetch_add(1, std::memory_order_release);
    for (std::size_t i = 0; i < net_t::pernet_list.size(); ++i) {
      auto const& ops = net_t::pernet_list[i];
      if (!ops.init) continue;
      auto r = inject_failure(slice) ? result<void>{failure{std::errc::not_enough_memory}} : ops.init(slice);
      note(slice, ops.name, r ? "pernet init" : "pernet failed", r ? std::errc{} : r.error());
      if (!r) {
        exit_slice(slice, i);
        return r;
      }
    }
    return {};
  }

  /// First every exit in reverse, then every free in reverse.
  void exit_slice(net_t& slice, std::size_t from) {
    for (std::size_t i = from; i-- > 0;)
      if (auto const& ops = net_t::pernet_list[i]; ops.exit) ops.exit(slice), note(slice, ops.name, "pernet exit");
    for (std::size_t i = from; i-- > 0;)
      if (auto const& ops = net_t::pernet_list[i]; ops.free) ops.free(slice), note(slice, ops.name, "pernet free");
    slice.alive = false;
    machine().namespaces[slice.index].slices.fetch_sub(1, std::memory_order_release);
  }

  bool inject_failure(net_t& slice) {
    return slice.worker().id == 0 && host().fail_pernet_ >= 0 && host().fail_pernet_-- == 0;
  }
  /// The log is worker 0's.
  void note(net_t& slice, char const* name, char const* what, std::errc error = {}) {
    if (slice.worker().id == 0) machine().log.add(name, what, error);
  }
};

}  // namespace netstack
