// SPDX-License-Identifier: BSL-1.0
// Decides: when a timer fires. A hierarchical timing wheel: 64 slots a level, each level 64 times coarser than the one
// below, and as many levels as make every u64 a valid expiry, so that nothing is ever clamped. A timer sits on the
// level of the highest 6-bit group in which its tick differs from the wheel's clock. So all of level n is due before
// any of level n+1, and the next event is two count-trailing-zeros away however far it lies. [S180]
// rx: called by worker.poll() → run() → timer_list::function
// Linux: kernel/time/timer.c (add_timer, mod_timer, del_timer)
#pragma once
#include <algorithm>
#include <bit>
#include <boost/intrusive/parent_from_member.hpp>
#include <optional>
#include <type_traits>

#include "netstack/base/bug.hpp"
#include "netstack/base/config.hpp"

namespace netstack {

/// A timer, embedded in what it belongs to. The owner sets `function`; the rest is the wheel's. A pending timer must
/// not be copied, moved or freed.
struct timer_list {
  timer_list* next = nullptr;  ///< ring of the timers in one slot; null: not pending
  timer_list* prev = nullptr;
  u64 expires = 0;                                           ///< monotonic ns
  void (*function)(void* ctx, timer_list& timer) = nullptr;  ///< ctx: what run() was given; may free the timer
  u16 slot = 0;                                              ///< the wheel's: where the ring hangs
};

[[nodiscard]] constexpr bool timer_pending(timer_list const& timer) { return timer.next != nullptr; }

/// The object whose member `Member` is this timer: `from_timer<&neighbour::timer>(t)`.
template <auto Member>
[[nodiscard]] auto& from_timer(timer_list& timer) {
  return *boost::intrusive::get_parent_from_member(&timer, Member);
}

/// The timers of one worker; a tick is 2^TickShift ns. Plain memory: call init() before anything else.
/// A timer is never early, and fires in the first run() whose time is a tick past its expiry at the latest.
/// Every operation is O(1); a timer far ahead is moved down at most once a level on its way.
template <unsigned TickShift = 12>
class timer_wheel {
  static_assert(TickShift >= 5 && TickShift <= 30, "netstack: config.tick_shift must be 5 (32 ns) to 30 (1 s)");
  static constexpr unsigned level_bits = 6;
  static constexpr unsigned level_slots = 1U << level_bits;
  static constexpr u64 group_mask = level_slots - 1;
  // A tick number has 64 - TickShift bits and one more, because expiries are rounded up.
  static constexpr unsigned levels = (65 - TickShift + level_bits - 1) / level_bits;
  static constexpr unsigned overdue_slot = levels * level_slots;  // two rings, used in turn

 public:
  static constexpr u64 tick_ns = u64{1} << TickShift;

  /// Empties the wheel (pending timers are forgotten, not deleted) and sets its clock.
  void init(u64 now_ns) {
    *this = {};
    clock_ = now_ns >> TickShift;
  }

  /// Arms a timer that is not pending. An expiry in the past fires at the next run().
  void add_timer(timer_list& timer, u64 expires_ns) {
    BUG_ON(timer_pending(timer), "add_timer of a pending timer");
    timer.expires = expires_ns;
    link(timer, place_of(expires_ns));
  }

  /// Arms or re-arms; true if it was pending. A new expiry in the same slot costs one store: the case of a
  /// retransmission timer that every acknowledgment pushes ahead.
  bool mod_timer(timer_list& timer, u64 expires_ns) {
    bool const was_pending = timer_pending(timer);
    place const at = place_of(expires_ns);
    timer.expires = expires_ns;
    if (was_pending && timer.slot == at.slot) return true;
    if (was_pending) unlink(timer);
    link(timer, at);
    return was_pending;
  }

  /// Disarms; true if it was pending.
  bool del_timer(timer_list& timer) {
    if (!timer_pending(timer)) return false;
    unlink(timer);
    return true;
  }

  /// Fires what is due at now_ns, in order of tick, and returns how many. A callback may add, re-arm and delete any
  /// timer, its own and the next one included; what it arms for a time already past waits for the next run(), so no
  /// callback can keep run() from returning. Costs nothing for ticks in which nothing happens. A clock that steps back
  /// is ignored.
  u32 run(u64 now_ns, void* ctx) {
    BUG_ON(running_, "run() from inside a timer");
    u64 const target = std::max(now_ns >> TickShift, clock_);
    u32 fired = 0;
    if (target >= quiet_until_) {
      running_ = true;
      fired = run_due(target, ctx);
      running_ = false;
    }
    clock_ = target;
    return fired;
  }

  /// When run() should be called next, in ns: never later than the first timer needs, earlier when that timer is still
  /// on a coarse level (at most once a level). None if nothing is pending.
  [[nodiscard]] std::optional<u64> next_expiry() const {
    if (head_[overdue_slot] || head_[overdue_slot + 1]) return clock_ << TickShift;
    if (busy_levels_ == 0) return std::nullopt;
    u64 const tick = first().tick;
    return tick > (~u64{0} >> TickShift) ? ~u64{0} : tick << TickShift;
  }

  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  NETSTACK_NOINLINE u32 run_due(u64 target, void* ctx) {
    unsigned const overdue = overdue_slot + phase_;
    phase_ ^= 1;
    quiet_until_ = ~u64{0};  // until something is armed, or found below
    u32 fired = fire(overdue, ctx);
    while (busy_levels_ != 0) {
      next_event const event = first();
      if (event.tick > target) {
        quiet_until_ = std::min(quiet_until_, event.tick);
        break;
      }
      clock_ = event.tick;
      if (event.slot < level_slots)
        fired += fire(event.slot, ctx);
      else
        cascade(event.slot);
    }
    return fired;
  }

  struct next_event {
    u64 tick;  // the slot's first tick
    unsigned slot;
  };

  [[nodiscard]] next_event first() const {
    auto const level = static_cast<unsigned>(std::countr_zero(busy_levels_));
    auto const index = static_cast<unsigned>(std::countr_zero(busy_slots_[level]));
    unsigned const shift = level * level_bits;
    u64 const group_and_above = clock_ >> shift;
    return {((group_and_above & ~group_mask) | index) << shift, level * level_slots + index};
  }

  // Rounded up: at the start of this tick the expiry has passed.
  static u64 tick_of(u64 expires_ns) { return (expires_ns >> TickShift) + ((expires_ns & (tick_ns - 1)) != 0); }

  struct place {
    unsigned slot;
    u64 tick;  // the slot's first; 0: it is overdue
  };
  [[nodiscard]] place place_of(u64 expires_ns) const {
    u64 const tick = tick_of(expires_ns);
    return tick <= clock_ ? place{overdue_slot + phase_, 0} : place_of_tick(tick);
  }
  [[nodiscard]] place place_of_tick(u64 tick) const {
    unsigned const level = static_cast<unsigned>(std::bit_width((tick ^ clock_) | 1) - 1) / level_bits;
    unsigned const shift = level * level_bits;
    u64 const group_and_above = tick >> shift;
    return {level * level_slots + static_cast<unsigned>(group_and_above & group_mask), group_and_above << shift};
  }

  void link(timer_list& timer, place at) {
    unsigned const slot = at.slot;
    timer_list*& head = head_[slot];
    timer.slot = static_cast<u16>(slot);
    quiet_until_ = std::min(quiet_until_, at.tick);
    if (timer_list* const first = head) {
      timer_list* const last = first->prev;
      timer.next = first;
      timer.prev = last;
      last->next = &timer;
      first->prev = &timer;
    } else {
      head = timer.next = timer.prev = &timer;
      mark(slot);
    }
    ++size_;
  }

  void unlink(timer_list& timer) {
    timer_list*& head = head_[timer.slot];
    if (timer.next == &timer) {
      head = nullptr;
      unmark(timer.slot);
    } else {
      timer.next->prev = timer.prev;
      timer.prev->next = timer.next;
      if (head == &timer) head = timer.next;
    }
    timer.next = timer.prev = nullptr;
    --size_;
  }

  void mark(unsigned slot) {
    if (slot >= overdue_slot) return;
    busy_slots_[slot / level_slots] |= u64{1} << slot % level_slots;
    busy_levels_ |= 1U << slot / level_slots;
  }
  void unmark(unsigned slot) {
    if (slot >= overdue_slot) return;
    u64& busy = busy_slots_[slot / level_slots];
    busy &= ~(u64{1} << slot % level_slots);
    if (busy == 0) busy_levels_ &= ~(1U << slot / level_slots);
  }

  // Ends because nothing can be armed for the slot that is being fired: its tick is not after the clock.
  u32 fire(unsigned slot, void* ctx) {
    u32 fired = 0;
    while (timer_list* timer = head_[slot]) {
      unlink(*timer);
      ++fired;
      timer->function(ctx, *timer);
    }
    return fired;
  }

  // The clock has reached the slot's first tick: its timers differ from it only further down now.
  void cascade(unsigned slot) {
    while (timer_list* timer = head_[slot]) {
      unlink(*timer);
      link(*timer, place_of_tick(tick_of(timer->expires)));
    }
  }

  // Invariant: each timer in a slot has a tick after clock_ (or at it, while that slot is about to fire) and the same
  // 6-bit groups as clock_ above its level.
  u64 clock_;        // every tick up to this one has been run
  u64 quiet_until_;  // nothing is due, or has to move down, before this tick
  u64 busy_slots_[levels];
  u32 busy_levels_;
  u32 phase_;  // which overdue ring takes new timers; run() drains the other
  std::size_t size_;
  bool running_;
  timer_list* head_[overdue_slot + 2];
};

static_assert(std::is_trivial_v<timer_wheel<>>, "lies in plain memory");

}  // namespace netstack
