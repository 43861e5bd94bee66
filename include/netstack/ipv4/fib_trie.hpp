// SPDX-License-Identifier: BSL-1.0
// Decides: how the longest matching prefix is found: a multibit trie, six bits a node, paths compressed. [S130]
//
//   level 0: bits 0–5, prefixes /0–/6    level 1: bits 6–11, /7–/12    …    level 5: bits 30–31, /31–/32
//
//   entry   [ key | index | node? | length ]    a node, or the value of a prefix that is alone in its subtree
//   node    [ child | has | run ]  then an entry for each bit of child, a value for each bit of run
//
// A node has 64 slots and three maps of them: which lead on; in which one of its own prefixes matches; in which of
// these the longest match is another than in the slot before. What a map's bits stand for lies packed, found by
// counting ones. An entry tells which addresses it is for, so a lookup never enters a node in vain and reads no route
// object. n prefixes make fewer than n nodes. A table of thousands of prefixes gets a directory: its first 12 bits
// index an array instead of two levels of nodes.
// rx, tx: called by ipv4/fib
// Linux: net/ipv4/fib_trie.c (a binary trie, level and path compressed)
// W. Eatherton et al.: "Tree bitmap" (2004); H. Asai, Y. Ohara: "Poptrie" (2015), for counting ones as an index
#pragma once
#include <algorithm>
#include <bit>
#include <iterator>
#include <new>
#include <utility>

#include "netstack/ipv4/detail/fib_lines.hpp"
#include "netstack/ipv4/detail/fib_node.hpp"

namespace netstack {

/// One table: 24 bytes, all zero when empty, written by fib_trie only.
struct fib_root {
  u64 entry = 0;      // of the whole table, unless it has a directory
  u64 met = 0;        // a bit for each value of an address's first six that a prefix has met since the table was empty
  u32 directory = 0;  // its index and one
  u32 prefixes = 0;

  /// False if no prefix contains addr; most addresses pass a host's own ones, the local table, with this question.
  [[nodiscard]] bool meets(u32 addr) const { return met >> (addr >> 26) & 1; }
};

/// Any number of tables, together of at most Prefixes prefixes. A value is a number from 1 to 2^21 - 1; `prefix_of`
/// tells the prefix that a value was inserted with. Plain memory: call init() first.
template <u32 Prefixes>
class fib_trie {
  // n prefixes need fewer than n lines: a node with k of them below it takes at most k - 1. The rest is for fragments.
  using lines_type = detail::fib_lines<Prefixes + Prefixes / 4 + 16>;
  using entry = detail::fib_entry;
  using node = detail::fib_node;
  using image = detail::fib_image;
  // A table with this many prefixes gets a directory, if not too many others have shrunk since they got theirs.
  static constexpr u32 directory_threshold = 8192;
  static_assert(lines_type::capacity() <= entry::max_index, "netstack: config.max_route is at most 1,600,000");

  static constexpr u32 directories = Prefixes / directory_threshold;
  static constexpr unsigned directory_bits = directories > 0 ? 12 : 1;  // without: next to nothing
  struct directory {
    struct slot {
      u64 entry;
      u32 value;  // of the longest prefix that covers the slot, at most directory_bits long
    } slots[1U << directory_bits];
  };

 public:
  void init() {
    lines_.init();
    free_directory_ = used_directories_ = 0;
  }

  /// The value whose prefix is the longest that contains addr, or 0.
  [[nodiscard]] NETSTACK_INLINE u32 lookup(fib_root const& root, u32 addr) const {
    entry e{root.entry};
    u32 value = 0;
    if (directories > 0 && root.directory != 0) {
      auto const& slot = directories_[root.directory - 1].slots[addr >> (32 - directory_bits)];
      e.raw = slot.entry;
      value = slot.value;
    }
    u64 const addr4 = u64{addr} << 4;
    node const* best = nullptr;  // the last node in which a prefix matched, and where
    u64 best_slot = 0;
    while (e.is_node()) {
      u64 const slot = e.distance(addr4);
      if (slot > 63) return longest_of(best, best_slot, value);
      node const& n = at(e);
      bool const has = n.has >> slot & 1;
      best = has ? &n : best;
      best_slot = has ? slot : best_slot;
      if (!(n.child >> slot & 1)) return longest_of(best, best_slot, value);
      e.raw = n.entries()[rank(n.child, slot)];
    }
    return e.distance(addr4) == 0 && e.index() != 0 ? e.index() : longest_of(best, best_slot, value);
  }

  /// Adds a prefix that the table does not have. False, with nothing changed, when there is no room.
  template <class PrefixOf>
  [[nodiscard]] bool insert(fib_root& root, fib_prefix p, u32 value, PrefixOf const& prefix_of) {
    if (root.directory != 0 && p.len <= directory_bits) {
      cover(directories_[root.directory - 1], p, value, prefix_of);
    } else if (!add(start(root, p), p, value, prefix_of)) {
      return false;
    }
    root.met |= (p.len >= 6 ? 1 : ~u64{0} >> (64 - (64U >> p.len))) << slot_of(p.key, 0);
    if (++root.prefixes >= directory_threshold && root.directory == 0) make_directory(root, prefix_of);
    return true;
  }

  /// Lets the prefix of `old` have another value.
  void replace(fib_root& root, fib_prefix p, u32 old, u32 value) {
    if (root.directory != 0 && p.len <= directory_bits) return recover(directories_[root.directory - 1], p, old, value);
    u64* link = start(root, p);
    while (entry{*link}.is_node() && entry{*link}.len() != shift_of(p.len)) link = child_of(*link, p.key);
    if (!entry{*link}.is_node()) {
      *link = entry::leaf(p, value).raw;
      return;
    }
    node& n = at(entry{*link});
    for (u32 i = 0; i < detail::ones(n.run); ++i)
      if (n.values()[i] == old) n.values()[i] = value;
  }

  /// Removes the prefix of `value`; never needs memory. `shorter(len)` is the value that the table has for the same key
  /// cut to this length, or 0.
  template <class PrefixOf, class Shorter>
  void remove(fib_root& root, fib_prefix p, u32 value, PrefixOf const& prefix_of, Shorter const& shorter) {
    if (root.directory != 0 && p.len <= directory_bits) {
      recover(directories_[root.directory - 1], p, value, heir(p.len, 0, shorter));
    } else {
      take(start(root, p), p, value, prefix_of, shorter);
    }
    if (--root.prefixes == 0) clear(root);
  }

  /// Cache lines in use, of how many.
  [[nodiscard]] u32 lines_in_use() const { return lines_.in_use(); }
  static constexpr u32 lines_capacity() { return lines_type::capacity(); }

 private:
  /// Bits above the node in which a prefix of this length lies.
  static constexpr unsigned shift_of(unsigned len) { return len == 0 ? 0 : (len - 1) / 6 * 6; }
  static constexpr u32 slot_of(u32 key, unsigned shift) { return key << shift >> 26; }
  static constexpr unsigned rank(u64 map, u64 slot) { return detail::ones(map & ((u64{1} << slot) - 1)); }

  node& at(entry e) { return *std::launder(reinterpret_cast<node*>(lines_.line(e.index()))); }
  [[nodiscard]] node const& at(entry e) const {
    return *std::launder(reinterpret_cast<node const*>(lines_.line(e.index())));
  }
  NETSTACK_INLINE static u32 longest_of(node const* best, u64 slot, u32 otherwise) {
    return best ? best->values()[detail::ones(best->run << (63 - slot)) - 1] : otherwise;
  }

  /// Where the entry lies below which p does or would.
  u64* start(fib_root& root, fib_prefix p) {
    return root.directory == 0 ? &root.entry
                               : &directories_[root.directory - 1].slots[p.key >> (32 - directory_bits)].entry;
  }
  u64* child_of(u64 link, u32 key) {
    entry const e{link};
    node& n = at(e);
    return &n.entries()[rank(n.child, slot_of(key, e.len()))];
  }
  template <class Shorter>
  static u32 heir(unsigned len, unsigned least, Shorter const& shorter) {
    u32 value = 0;
    while (value == 0 && len-- > least) value = shorter(len);
    return value;
  }

  // — nodes —

  template <class PrefixOf>
  [[nodiscard]] bool add(u64* link, fib_prefix p, u32 value, PrefixOf const& prefix_of) {
    while (entry{*link}.is_node()) {
      entry const e{*link};
      node& n = at(e);
      if (shift_of(p.len) < e.len() || !e.contains(p.key)) break;
      if (shift_of(p.len) == e.len() || !(n.child >> slot_of(p.key, e.len()) & 1)) {
        image to = unpack(n);
        place(to, e.len(), p, value, prefix_of);
        return pack(*link, to);
      }
      link = child_of(*link, p.key);
    }
    if (*link != 0) return split(*link, p, value, prefix_of);
    *link = entry::leaf(p, value).raw;
    return true;
  }

  template <class PrefixOf, class Shorter>
  void take(u64* link, fib_prefix p, u32 value, PrefixOf const& prefix_of, Shorter const& shorter) {
    u64* above = nullptr;
    while (entry{*link}.is_node() && entry{*link}.len() != shift_of(p.len)) {
      above = link;
      link = child_of(*link, p.key);
    }
    if (entry const e{*link}; e.is_node()) {
      image to = unpack(at(e));
      u32 const next = heir(p.len, e.len() == 0 ? 0 : e.len() + 1, shorter);
      std::replace(std::begin(to.value), std::end(to.value), value, next);
      shrink(*link, to, prefix_of);
    } else if (above) {
      image to = unpack(at(entry{*above}));
      to.entry[slot_of(p.key, entry{*above}.len())] = 0;
      shrink(*above, to, prefix_of);
    } else {
      *link = 0;
    }
  }

  static image unpack(node const& n) {
    image to;
    u64 const* next_entry = n.entries();
    for (u64 left = n.child; left; left &= left - 1) to.entry[std::countr_zero(left)] = *next_entry++;
    u32 const* next_value = n.values();
    u32 value = 0;
    for (u32 slot = 0; slot < 64; ++slot) {
      if (n.run >> slot & 1) value = *next_value++;
      if (n.has >> slot & 1) to.value[slot] = value;
    }
    return to;
  }

  /// Writes the image into the node of this entry. False, with nothing changed, when the node has outgrown its block
  /// and there is no larger one.
  [[nodiscard]] bool pack(u64& link, image const& from) {
    entry const e{link};
    node head{};
    for (u32 slot = 0; slot < 64; ++slot) {
      u32 const value = from.value[slot];
      head.child |= u64{from.entry[slot] != 0} << slot;
      head.has |= u64{value != 0} << slot;
      head.run |= u64{value != 0 && (slot == 0 || value != from.value[slot - 1])} << slot;
    }
    head.children = static_cast<u8>(detail::ones(head.child));
    auto const bytes = sizeof(node) + head.children * sizeof(u64) + detail::ones(head.run) * sizeof(u32);
    head.lines = static_cast<u8>((bytes + cache_line - 1) / cache_line);

    u32 block = e.index();
    u32 const had = at(e).lines;
    if (head.lines > had) {
      block = lines_.alloc(head.lines);
      if (block == 0) return false;
      lines_.free(e.index(), had);
      link = entry::node(e.key(), e.len(), block).raw;
    } else if (head.lines < had) {
      lines_.free(block + head.lines, had - head.lines);
    }
    node& n = *::new (lines_.line(block)) node{head};
    u64* next_entry = n.entries();
    for (u64 left = n.child; left; left &= left - 1) *next_entry++ = from.entry[std::countr_zero(left)];
    u32* next_value = n.values();
    for (u64 left = n.run; left; left &= left - 1) *next_value++ = from.value[std::countr_zero(left)];
    return true;
  }

  /// Puts a prefix into the image of a node that covers it.
  template <class PrefixOf>
  static void place(image& to, unsigned shift, fib_prefix p, u32 value, PrefixOf const& prefix_of) {
    u32 const first = slot_of(p.key, shift);
    if (shift_of(p.len) > shift) {
      to.entry[first] = entry::leaf(p, value).raw;
      return;
    }
    for (u32 slot = first; slot < first + (64U >> (p.len - shift)); ++slot)
      if (to.value[slot] == 0 || prefix_of(to.value[slot]).len < p.len) to.value[slot] = value;
  }

  /// Puts a new node above what the link leads to, because p does not lie in it.
  template <class PrefixOf>
  [[nodiscard]] bool split(u64& link, fib_prefix p, u32 value, PrefixOf const& prefix_of) {
    u32 const line = lines_.alloc(1);
    if (line == 0) return false;
    ::new (lines_.line(line)) node{.child = 0, .has = 0, .run = 0, .children = 0, .lines = 1, .unused = {}};
    entry const other{link};
    unsigned const apart = static_cast<unsigned>(std::countl_zero((p.key ^ other.key()) | 1)) / 6 * 6;
    unsigned const other_shift = other.is_node() ? other.len() : shift_of(other.len());
    unsigned const shift = std::min({shift_of(p.len), other_shift, apart});
    image to;
    place(to, shift, p, value, prefix_of);
    if (other.is_node()) {
      to.entry[slot_of(other.key(), shift)] = other.raw;
    } else {
      place(to, shift, {other.key(), static_cast<u8>(other.len())}, other.index(), prefix_of);
    }
    link = entry::node(p.key, shift, line).raw;
    return pack(link, to);  // two entries, or an entry and a value, or three values: they fit into one line
  }

  /// Packs a smaller image; a node that stands for one thing only makes way for it.
  template <class PrefixOf>
  void shrink(u64& link, image const& to, PrefixOf const& prefix_of) {
    BUG_ON(!pack(link, to), "a shrinking FIB node asked for memory");
    entry const e{link};
    node const& n = at(e);
    if (n.children + detail::ones(n.run) != 1) return;
    link = n.children ? n.entries()[0] : entry::leaf(prefix_of(n.values()[0]), n.values()[0]).raw;
    lines_.free(e.index(), n.lines);
  }

  // — directories —

  template <class F>
  static void each_slot(directory& d, fib_prefix p, F const& f) {
    u32 const first = p.key >> (32 - directory_bits);
    for (u32 i = first; i < first + ((1U << directory_bits) >> p.len); ++i) f(d.slots[i].value);
  }
  template <class PrefixOf>
  static void cover(directory& d, fib_prefix p, u32 value, PrefixOf const& prefix_of) {
    each_slot(d, p, [&](u32& v) {
      if (v == 0 || prefix_of(v).len < p.len) v = value;
    });
  }
  static void recover(directory& d, fib_prefix p, u32 old, u32 value) {
    each_slot(d, p, [&](u32& v) {
      if (v == old) v = value;
    });
  }

  void clear(fib_root& root) {
    if (root.directory != 0)
      directories_[root.directory - 1].slots[0].value = std::exchange(free_directory_, root.directory);
    root = {};
  }

  template <class PrefixOf>
  void make_directory(fib_root& root, PrefixOf const& prefix_of) {
    if constexpr (directories > 0) {
      u32 const index = free_directory_ ? free_directory_ : used_directories_ < directories ? ++used_directories_ : 0;
      if (index == 0) return;
      directory& d = directories_[index - 1];
      if (index == free_directory_) free_directory_ = d.slots[0].value;
      for (auto& slot : d.slots) slot = {};
      root.directory = index;
      spread(d, entry{std::exchange(root.entry, 0)}, prefix_of);
    }
  }

  /// Hangs what a subtree of the first levels holds into the directory, and frees its nodes.
  template <class PrefixOf>
  void spread(directory& d, entry e, PrefixOf const& prefix_of) {
    if (!e.is_node() && e.len() <= directory_bits)
      return cover(d, {e.key(), static_cast<u8>(e.len())}, e.index(), prefix_of);
    if (e.len() >= directory_bits) {
      d.slots[e.key() >> (32 - directory_bits)].entry = e.raw;
      return;
    }
    node const& n = at(e);
    image const from = unpack(n);
    lines_.free(e.index(), n.lines);
    for (u32 slot = 0; slot < 64; ++slot) {
      fib_prefix const part{e.key() | slot << (26 - e.len()), static_cast<u8>(e.len() + 6)};
      if (from.value[slot]) each_slot(d, part, [&](u32& v) { v = from.value[slot]; });
      if (from.entry[slot]) spread(d, entry{from.entry[slot]}, prefix_of);
    }
  }

  u32 free_directory_;    // index and one of a directory given back; the next one's lies in its first slot; 0: none
  u32 used_directories_;  // directories from here on were never used
  lines_type lines_;
  alignas(cache_line) directory directories_[directories ? directories : 1];
};

}  // namespace netstack
