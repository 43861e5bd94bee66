// SPDX-License-Identifier: BSL-1.0
// The timing wheel against a sorted multimap, and the promises of its contract one by one.
#include "netstack/core/timer.hpp"

#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include "support/catch.hpp"

using namespace netstack;

namespace {

using wheel = timer_wheel<12>;
constexpr u64 tick = wheel::tick_ns;
constexpr u64 second = 1'000'000'000;
constexpr u64 hour = 3600 * second;
constexpr u64 day = 24 * hour;

constexpr u64 tick_after(u64 ns) { return ns / tick + (ns % tick != 0); }

/// What the callbacks of these tests are given: the wheel, the time of the run, and who fired.
struct context {
  wheel timers;
  u64 now;
  u64 before;  // the time of the run before this one
  std::vector<timer_list*> fired;
  explicit context(u64 start) : now(start), before(start) { timers.init(start); }
  u32 run(u64 at) {
    before = now;
    now = at;
    fired.clear();
    return timers.run(at, this);
  }
};

void record(void* ctx, timer_list& timer) { static_cast<context*>(ctx)->fired.push_back(&timer); }

TEST_CASE("timer: a wheel in dirty memory is empty after init", "[S180][timer]") {
  auto memory = std::make_unique<std::byte[]>(sizeof(wheel));
  std::memset(memory.get(), 0xa5, sizeof(wheel));
  auto& timers = *new (memory.get()) wheel;
  timers.init(second);
  CHECK(timers.size() == 0);
  CHECK_FALSE(timers.next_expiry());
  CHECK(timers.run(hour, nullptr) == 0);
}

TEST_CASE("timer: pending state follows add, mod, del and firing", "[S180][timer]") {
  context c{second};
  timer_list t{.function = record};
  CHECK_FALSE(timer_pending(t));
  CHECK_FALSE(c.timers.del_timer(t));
  c.timers.add_timer(t, 2 * second);
  CHECK(timer_pending(t));
  CHECK(t.expires == 2 * second);
  CHECK(c.timers.size() == 1);
  CHECK(c.timers.mod_timer(t, 3 * second));
  CHECK(c.timers.size() == 1);
  CHECK(c.run(2 * second) == 0);
  CHECK(c.timers.del_timer(t));
  CHECK_FALSE(timer_pending(t));
  CHECK(c.run(4 * second) == 0);
  CHECK_FALSE(c.timers.mod_timer(t, 5 * second));
  CHECK(c.run(6 * second) == 1);
  CHECK_FALSE(timer_pending(t));
  CHECK(c.timers.size() == 0);
}

TEST_CASE("timer: within a second never early and at most one tick late", "[S180][timer]") {
  std::mt19937_64 rng{1};
  context c{rng() % day};
  std::vector<timer_list> all(20'000);
  for (auto& t : all) {
    t.function = [](void* ctx, timer_list& self) {
      auto& on = *static_cast<context*>(ctx);
      on.fired.push_back(&self);
      if (on.now < self.expires) FAIL("early by " << self.expires - on.now << " ns");
      if (on.before >= self.expires + tick) FAIL("a run " << on.before - self.expires << " ns late did not fire it");
    };
    c.timers.add_timer(t, c.now + rng() % second);
  }
  std::size_t total = 0;
  for (u64 const end = c.now + second + tick; c.now < end;) total += c.run(c.now + 1 + rng() % 200);
  CHECK(total == all.size());
}

TEST_CASE("timer: an expiry in the past fires at the next run", "[S180][timer]") {
  context c{day};
  timer_list past{.function = record}, now{.function = record}, ancient{.function = record};
  c.timers.add_timer(past, day - 1);
  c.timers.add_timer(now, day / tick * tick);
  c.timers.add_timer(ancient, 0);
  REQUIRE(c.timers.next_expiry());
  CHECK(*c.timers.next_expiry() <= day);
  CHECK(c.run(day) == 3);
  CHECK_FALSE(c.timers.next_expiry());
}

TEST_CASE("timer: hours, days and the end of time", "[S180][timer]") {
  u64 const start = GENERATE(u64{0}, second + 12345, 200 * day + 7, u64{1} << 62);
  context c{start};
  for (u64 ahead : {tick, second, hour, day, 40 * day, 400 * day, 40'000 * day}) {
    CAPTURE(start, ahead);
    timer_list t{.function = record};
    u64 const expires = start + ahead;
    c.timers.init(start);
    c.timers.add_timer(t, expires);
    CHECK(c.run(expires - 1) == 0);
    CHECK(c.run(expires + tick - 1) == 1);
  }
  timer_list never{.function = record};
  c.timers.init(start);
  c.timers.add_timer(never, std::numeric_limits<u64>::max());
  REQUIRE(c.timers.next_expiry());
  CHECK(*c.timers.next_expiry() > start);
  CHECK(c.run(std::numeric_limits<u64>::max() - tick) == 0);
  CHECK(c.timers.next_expiry() == std::numeric_limits<u64>::max());
  CHECK(timer_pending(never));
}

// A wheel that walked every tick would need centuries for this test.
TEST_CASE("timer: a jump costs what lies in it, not its length", "[S180][timer]") {
  context c{0};
  CHECK(c.run(500 * 365 * day) == 0);
  timer_list t{.function = record};
  for (u64 jump : {hour, 365 * day, 50 * 365 * day}) {
    c.timers.add_timer(t, c.now + jump / 2);
    CHECK(c.run(c.now + jump) == 1);
  }
  // Ten firings of a timer that re-arms itself relative to its expiry, all in one run.
  timer_list periodic{.function = [](void* ctx, timer_list& self) {
    record(ctx, self);
    static_cast<context*>(ctx)->timers.add_timer(self, self.expires + hour);
  }};
  c.timers.add_timer(periodic, c.now + hour);
  CHECK(c.run(c.now + 10 * hour + second) == 10);
}

TEST_CASE("timer: a clock that steps back fires nothing and loses nothing", "[S180][timer]") {
  context c{hour};
  timer_list t{.function = record};
  c.run(2 * hour);
  c.timers.add_timer(t, 2 * hour + second);
  CHECK(c.run(hour) == 0);
  CHECK(c.run(2 * hour + second / 2) == 0);
  CHECK(c.run(2 * hour + second + tick) == 1);
  c.run(hour);
  c.timers.add_timer(t, 2 * hour);  // long past, whatever the clock says now
  CHECK(c.run(hour) == 1);
}

struct chain {
  timer_list timer;
  timer_list* victim = nullptr;
  u32 count = 0;
};

TEST_CASE("timer: callbacks delete the next timer, whole slots, and others far away", "[S180][timer]") {
  context c{0};
  chain links[4];
  for (auto& l : links)
    l.timer.function = [](void* ctx, timer_list& self) {
      auto& me = from_timer<&chain::timer>(self);
      ++me.count;
      if (me.victim) static_cast<context*>(ctx)->timers.del_timer(*me.victim);
    };
  links[0].victim = &links[1].timer;  // the one that would fire next, in the same tick
  links[2].victim = &links[3].timer;  // on a coarse level still
  c.timers.add_timer(links[0].timer, tick);
  c.timers.add_timer(links[1].timer, tick);
  c.timers.add_timer(links[2].timer, tick);
  c.timers.add_timer(links[3].timer, hour);
  CHECK(c.run(2 * hour) == 2);
  CHECK(links[0].count == 1);
  CHECK(links[1].count == 0);
  CHECK(links[2].count == 1);
  CHECK(links[3].count == 0);
  CHECK(c.timers.size() == 0);
}

TEST_CASE("timer: a callback that re-arms itself for now cannot hold run()", "[S180][timer]") {
  context c{day};
  chain again, ahead, same_tick;
  again.timer.function = [](void* ctx, timer_list& self) {
    ++from_timer<&chain::timer>(self).count;
    static_cast<context*>(ctx)->timers.add_timer(self, 0);
  };
  ahead.timer.function = [](void* ctx, timer_list& self) {  // due again within the same run
    auto& on = *static_cast<context*>(ctx);
    ++from_timer<&chain::timer>(self).count;
    if (self.expires < on.now) on.timers.mod_timer(self, on.now);
  };
  same_tick.timer.function = [](void* ctx, timer_list& self) {
    auto& on = *static_cast<context*>(ctx);
    if (++from_timer<&chain::timer>(self).count < 1000) on.timers.add_timer(self, on.now);
  };
  u64 const start = day / tick * tick;
  u64 const later = start + 100 * tick;
  c.timers.add_timer(again.timer, start + tick);
  c.timers.add_timer(ahead.timer, start + tick);
  c.timers.add_timer(same_tick.timer, later);
  CHECK(c.run(later) == 4);
  CHECK(again.count == 1);
  CHECK(ahead.count == 2);
  CHECK(same_tick.count == 1);
  CHECK(c.run(later) == 2);  // the past is due at once, but only in the next run
  CHECK(c.run(later) == 2);
  CHECK(again.count == 3);
  CHECK(same_tick.count == 3);
}

TEST_CASE("timer: a callback may free its own timer", "[S180][timer]") {
  context c{0};
  auto* mortal = new chain;
  mortal->timer.function = [](void*, timer_list& self) { delete &from_timer<&chain::timer>(self); };
  c.timers.add_timer(mortal->timer, second);
  CHECK(c.run(2 * second) == 1);
}

TEST_CASE("timer: other ticks keep the same promises", "[S180][timer]") {
  timer_wheel<5> fine;
  timer_wheel<20> coarse;
  u32 fired = 0;
  timer_list t{.function = [](void* ctx, timer_list&) { ++*static_cast<u32*>(ctx); }};
  for (u64 ahead : {u64{1}, second, day, 4000 * day}) {
    fine.init(day);
    fine.add_timer(t, day + ahead);
    CHECK(fine.run(day + ahead - 1, &fired) == 0);
    CHECK(fine.run(day + ahead + fine.tick_ns, &fired) == 1);
    coarse.init(day);
    coarse.add_timer(t, day + ahead);
    CHECK(coarse.run(day + ahead - 1, &fired) == 0);
    CHECK(coarse.run(day + ahead + coarse.tick_ns, &fired) == 1);
  }
  CHECK(fired == 8);
}

/// The reference: timers sorted by the tick at which they are due.
struct model {
  struct entry {
    timer_list timer{.function = nullptr};
    std::multimap<u64, entry*>::iterator at;
    bool armed = false;
  };
  std::multimap<u64, entry*> sorted;
  std::vector<entry> entries;
  explicit model(std::size_t n) : entries(n) {}

  void arm(entry& e, u64 due) {
    if (e.armed) sorted.erase(e.at);
    e.at = sorted.emplace(due, &e);
    e.armed = true;
  }
  void disarm(entry& e) {
    if (e.armed) sorted.erase(e.at);
    e.armed = false;
  }
};

struct property : context {
  model reference{5000};
  std::mt19937_64 rng{20240607};
  u64 last_tick = 0;
  u64 errors = 0;
  u64 fires = 0;
  using context::context;

  u64 random_expiry() {
    switch (rng() % 8) {
      case 0: return now - std::min(now, rng() % second);
      case 1: return now + rng() % (4 * tick);
      case 2: return now + rng() % (100 * hour);
      case 3: return now + rng() % (2000 * day);
      default: return now + rng() % second;
    }
  }
  void arm(model::entry& e, u64 expires) {
    bool const was = timers.mod_timer(e.timer, expires);
    errors += was != e.armed;
    // What is past already is due as soon as the clock is, and counts as the tick of that moment.
    reference.arm(e, std::max(tick_after(expires), now / tick));
  }
  void fire(timer_list& timer) {
    auto& e = from_timer<&model::entry::timer>(timer);
    u64 const due = e.armed ? e.at->first : 0;
    errors += !e.armed || due > now / tick || due < last_tick || timer.expires > now;
    last_tick = due;
    ++fires;
    reference.disarm(e);
    auto& other = reference.entries[rng() % reference.entries.size()];
    switch (rng() % 8) {
      case 0: arm(e, now + 1 + rng() % second); break;  // after this run: a periodic timer
      case 1:
        errors += timers.del_timer(other.timer) != other.armed;
        reference.disarm(other);
        break;
      case 2:
        if (&other != &e) arm(other, now + tick + rng() % hour);
        break;
      default: break;
    }
  }
};

TEST_CASE("timer: 10^6 mixed operations agree with a sorted multimap", "[S180][timer]") {
  property p{123 * second};
  for (auto& e : p.reference.entries)
    e.timer.function = [](void* ctx, timer_list& t) { static_cast<property*>(static_cast<context*>(ctx))->fire(t); };

  for (u32 op = 0; op < 1'000'000; ++op) {
    auto& e = p.reference.entries[p.rng() % p.reference.entries.size()];
    u64 const kind = p.rng() % 16;
    if (kind < 10) {
      p.arm(e, p.random_expiry());
    } else if (kind < 13) {
      p.errors += p.timers.del_timer(e.timer) != e.armed;
      p.reference.disarm(e);
    } else {
      u64 const step[] = {p.rng() % tick, p.rng() % (64 * tick), p.rng() % second, p.rng() % (3 * hour)};
      u64 const roll = p.rng() % 1024;
      p.last_tick = 0;
      p.now += step[roll == 0 ? 3 : roll < 8 ? 2 : roll % 2];
      p.timers.run(p.now, static_cast<context*>(&p));
      auto const& left = p.reference.sorted;
      p.errors += !left.empty() && left.begin()->first <= p.now / tick;  // one was missed
    }
    auto const& sorted = p.reference.sorted;
    p.errors += p.timers.size() != sorted.size();
    auto const next = p.timers.next_expiry();
    p.errors += next.has_value() == sorted.empty();
    if (next && !sorted.empty()) p.errors += *next / tick > sorted.begin()->first;  // would be slept through
    if (p.errors) FAIL("first disagreement at operation " << op);
  }
  CHECK(p.fires > 100'000);

  // Waiting for next_expiry() alone reaches every timer at its own tick, in a bounded number of steps.
  u64 wakeups = 0;
  p.fires = 0;
  u64 const pending = p.reference.sorted.size();
  for (auto& e : p.reference.entries)
    e.timer.function = [](void* ctx, timer_list& t) {
      auto& on = *static_cast<property*>(static_cast<context*>(ctx));
      auto& e2 = from_timer<&model::entry::timer>(t);
      on.errors += e2.at->first != on.now / tick;
      on.reference.disarm(e2);
      ++on.fires;
    };
  while (auto const next = p.timers.next_expiry()) {
    p.now = std::max(p.now, *next);
    p.timers.run(p.now, static_cast<context*>(&p));
    ++wakeups;
  }
  CHECK(p.errors == 0);
  CHECK(p.fires == pending);
  CHECK(wakeups <= pending * 9);
}

}  // namespace
