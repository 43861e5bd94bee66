// SPDX-License-Identifier: BSL-1.0
// Everything at once: packets, clones and copies are split, joined, moved, cut and written in random order, in a pool
// that keeps running out, each against a plain vector. What one packet is told must never show in another.
#include "netstack/skb/skb_ops.hpp"

#include "skb/fixture.hpp"

using namespace netstack;
using namespace netstack::test;

namespace {

constexpr config fuzz{.skb_pool = 160, .skb_clones = 24};

struct account {
  s64 charged = 0;
};
/// As a socket does it: what was charged is what the destructor gives back.
void set_owner(sk_buff& skb, account& owner) {
  skb_orphan(skb);
  skb.sk = reinterpret_cast<sock*>(&owner);
  skb.destructor = [](sk_buff& s) { reinterpret_cast<account*>(s.sk)->charged -= s.truesize; };
  owner.charged += skb.truesize;
}

struct live {
  sk_buff* skb;
  bytes data;
};

class machine {
  pool_of<fuzz> pool_;
  std::mt19937 random_;
  std::vector<live> all_;
  account owner_;

 public:
  u32 failures = 0, coalesced = 0, splits = 0, pulled = 0;
  u32 ops[20] = {};

  explicit machine(u32 seed) : random_(seed) {}

  u32 up_to(std::size_t n) { return static_cast<u32>(random_() % (n + 1)); }
  live& any() { return all_[up_to(all_.size() - 1)]; }

  /// Adds a packet, or counts that there was none.
  void add(sk_buff* skb, bytes data) {
    if (!skb) {
      ++failures;
      return;
    }
    if (up_to(1)) set_owner(*skb, owner_);
    all_.push_back({skb, std::move(data)});
  }
  void count(bool done) { failures += !done; }
  /// Replaces p.skb, or forgets it: the operation freed the original then.
  void replace(live& p, sk_buff* n) {
    if (n) {
      p.skb = n;
      return;
    }
    ++failures;
    p = std::move(all_.back());
    all_.pop_back();
  }

  void step() {
    if (all_.empty() || (all_.size() < 40 && up_to(4) == 0)) {
      auto data = pattern(up_to(up_to(3) ? 3000 : 12000), random_());
      return add(scattered(pool_, data, random_), data);
    }
    live& p = any();
    sk_buff& skb = *p.skb;
    u32 const op = up_to(18);
    ++ops[op];
    switch (op) {
      case 0: {
        consume_skb(skb);
        p = std::move(all_.back());
        all_.pop_back();
        break;
      }
      case 1: {
        bytes copy = p.data;
        return add(skb_clone(skb), std::move(copy));
      }
      case 2: {
        bytes copy = p.data;
        return add(skb_copy(skb), std::move(copy));
      }
      case 3: {
        bytes copy = p.data;
        return add(pskb_copy(skb), std::move(copy));
      }
      case 4: return replace(p, skb_unshare(skb));
      case 5: {
        // One more holder, who then wants it alone: with a clone, or by being the last.
        skb_get(skb);
        sk_buff* n = skb_share_check(skb);
        if (n)
          consume_skb(*n);
        else
          ++failures;
        break;
      }
      case 6: {
        u32 const n = up_to(p.data.size() + 20);
        bool const done = pskb_may_pull(skb, n);
        if (n > p.data.size() ? done : done && skb.headlen() < n) FAIL("pskb_may_pull");
        pulled += done && skb.is_nonlinear();
        count(done);
        break;
      }
      case 7: {
        u32 const n = up_to(p.data.size() / 2);
        bool const done = pskb_pull(skb, n);
        if (done) p.data.erase(p.data.begin(), p.data.begin() + n);
        count(done);
        break;
      }
      case 8: {
        u32 const n = static_cast<u32>(p.data.size()) - up_to(p.data.size() / 4);
        bool const done = pskb_trim(skb, n).has_value();
        if (done) p.data.resize(n);
        count(done);
        break;
      }
      case 9: {
        bool const done = skb_linearize(skb).has_value();
        if (done == skb.is_nonlinear()) FAIL("skb_linearize");
        count(done);
        break;
      }
      case 10: {
        u32 const nhead = up_to(64), before = skb.headroom(), truesize = skb.truesize;
        bool const done = pskb_expand_head(skb, nhead, up_to(64)).has_value();
        if (skb.headroom() != before + (done ? nhead : 0) || (done && skb_cloned(skb)) || skb.truesize != truesize)
          FAIL("pskb_expand_head");
        count(done);
        break;
      }
      case 11: {  // a header in front
        u32 const n = 1 + up_to(39);
        bool const done = skb_cow_head(skb, n).has_value();
        if (done) {
          auto header = pattern(n, random_());
          std::memcpy(skb.push(n), header.data(), n);
          p.data.insert(p.data.begin(), header.begin(), header.end());
        }
        count(done);
        break;
      }
      case 12: {  // a header rewritten
        u32 const n = up_to(std::min<std::size_t>(p.data.size(), 100));
        bool const done = skb_ensure_writable(skb, n).has_value();
        if (done) {
          auto header = pattern(n, random_());
          std::copy(header.begin(), header.end(), skb.data);
          std::copy(header.begin(), header.end(), p.data.begin());
        }
        count(done);
        break;
      }
      case 13: {  // a trailer
        u32 const n = 1 + up_to(50);
        if (skb_unclone(skb) && skb.tailroom() >= n) {
          auto trailer = pattern(n, random_());
          std::copy(trailer.begin(), trailer.end(), skb.put(n));
          p.data.insert(p.data.end(), trailer.begin(), trailer.end());
        }
        break;
      }
      case 14: {
        u32 const at = up_to(p.data.size());
        sk_buff* rest = pool_->alloc_skb(up_to(256));
        if (!rest) return count(false);
        if (!skb_split(skb, *rest, at)) {
          if (rest->len) FAIL("a failed split moved bytes");
          consume_skb(*rest);
          return count(false);
        }
        ++splits;
        bytes tail(p.data.begin() + at, p.data.end());
        p.data.resize(at);
        return add(rest, std::move(tail));
      }
      case 15: {
        live& q = any();
        if (&p == &q) break;
        s32 delta = 0;
        u32 const before = skb.truesize;
        if (!skb_try_coalesce(skb, *q.skb, delta)) {
          if (delta) FAIL("a refused coalesce has a cost");
          break;
        }
        ++coalesced;
        if (skb.truesize != before + static_cast<u32>(delta)) FAIL("delta_truesize");
        if (skb.destructor) owner_.charged += delta;
        p.data.insert(p.data.end(), q.data.begin(), q.data.end());
        consume_skb(*q.skb);
        q = std::move(all_.back());
        all_.pop_back();
        break;
      }
      case 16: {  // join as a frag list, as reassembly does
        live& q = any();
        if (&p == &q || skb_cloned(skb) || skb_shared(*q.skb)) break;
        skb_orphan(*q.skb);
        bool const owned = skb.destructor != nullptr;
        sk_buff** link = &skb_edit_shinfo(skb).frag_list;
        // Only a list that nobody shares may be made longer.
        bool shared = false;
        for (; *link; link = &(*link)->next) shared |= skb_shared(**link);
        if (shared) break;
        *link = q.skb;
        skb.len += q.skb->len, skb.data_len += q.skb->len, skb.truesize += q.skb->truesize;
        if (owned) owner_.charged += q.skb->truesize;
        p.data.insert(p.data.end(), q.data.begin(), q.data.end());
        q = std::move(all_.back());
        all_.pop_back();
        break;
      }
      case 17: {
        u32 const from = up_to(p.data.size()), n = up_to(p.data.size() - from);
        bytes out(n);
        if (!skb_copy_bits(skb, from, out.data(), n) || !std::equal(out.begin(), out.end(), p.data.begin() + from))
          FAIL("skb_copy_bits");
        break;
      }
      case 18: skb_orphan(skb); break;
    }
  }

  void check() {
    for (auto const& p : all_) {
      if (auto why = broken(*p.skb); !why.empty()) FAIL(why);
      if (p.skb->len != p.data.size()) FAIL("len " << p.skb->len << ", not " << p.data.size());
      if (bytes_of(*p.skb) != p.data) FAIL("other bytes");
    }
  }

  void end() {
    while (!all_.empty()) {
      std::swap(any(), all_.back());
      consume_skb(*all_.back().skb);
      all_.pop_back();
    }
    CHECK(owner_.charged == 0);
    CHECK(pool_.balanced());
    skb_list list;
    CHECK(pool_->alloc_bulk(fuzz.skb_pool, list) == fuzz.skb_pool);
    pool_->free_bulk(list);
  }
};

}  // namespace

TEST_CASE("split, join, cut, move and write in any order: every packet keeps its bytes", "[S39][S46]") {
  u32 failures = 0, coalesced = 0, splits = 0, pulled = 0;
  for (u32 seed = 1; seed <= 60; ++seed) {
    machine m(seed);
    CAPTURE(seed);
    for (int i = 0; i < 1500; ++i) {
      m.step();
      m.check();
    }
    m.end();
    failures += m.failures, coalesced += m.coalesced, splits += m.splits, pulled += m.pulled;
  }
  // The run went where it should.
  CHECK(failures > 1000);
  CHECK(coalesced > 300);
  CHECK(splits > 300);
  CHECK(pulled > 300);
}
