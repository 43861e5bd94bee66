// SPDX-License-Identifier: BSL-1.0
// Decides: how a module adds members of its own to every sk_buff. It says `using skb_ext = my_ext;`; the composition
// makes one skb_ext_layout of all of them, and its size becomes the pool's ExtensionBytes. Without extensions an
// sk_buff is not a byte larger. They lie behind cb, are zero in a fresh packet, and are copied by skb_clone and
// skb_copy. [S50]
// Linux: include/linux/skbuff.h (struct skb_ext; nfct, nf_bridge, sp, secmark and their #ifdefs before it)
#pragma once
#include <initializer_list>
#include <type_traits>

#include "netstack/skb/skb_pool.hpp"

namespace netstack {

namespace detail {

struct ext_shape {
  std::size_t size, align;
};
/// Where the n-th of these lies behind the ones before it.
constexpr std::size_t ext_offset(std::initializer_list<ext_shape> shapes, std::size_t n) {
  std::size_t end = 0, at = 0, i = 0;
  for (auto const& shape : shapes) {
    at = (end + shape.align - 1) / shape.align * shape.align;
    if (i++ == n) break;
    end = at + shape.size;
  }
  return at;
}

template <class E, class... Exts>
constexpr std::size_t ext_index() {
  std::size_t i = 0;
  (void)((std::is_same_v<E, Exts> ? true : (++i, false)) || ...);
  return i;
}

}  // namespace detail

/// Where each extension lies, counted from the end of cb.
template <class... Exts>
struct skb_ext_layout {
  static_assert((std::is_trivially_copyable_v<Exts> && ...),
                "netstack: an skb_ext is copied with its packet as bytes: make it trivially copyable");
  static_assert(((alignof(Exts) <= 8) && ...), "netstack: an skb_ext lies behind cb: align it to 8 bytes at most");

  template <class E>
  static constexpr bool contains = (std::is_same_v<E, Exts> || ...);

  template <class E>
  requires contains<E>  // who asks for another one: list the module that has `using skb_ext = E`
  static constexpr std::size_t offset =
      detail::ext_offset({{sizeof(Exts), alignof(Exts)}...}, detail::ext_index<E, Exts...>());

  /// The pool's ExtensionBytes.
  static constexpr std::size_t size = detail::ext_offset({{sizeof(Exts), alignof(Exts)}..., {0, 8}}, sizeof...(Exts));
};

namespace detail {
template <class LayoutOrNet>
struct skb_ext_layout_of {
  using type = typename LayoutOrNet::skb_ext_layout;
};
template <class... Exts>
struct skb_ext_layout_of<skb_ext_layout<Exts...>> {
  using type = skb_ext_layout<Exts...>;
};
}  // namespace detail

/// True if packets have the extension: `if constexpr (has_skb_ext<secmark, Net>)`. LayoutOrNet is an skb_ext_layout, or
/// has one as a member type of that name.
template <class E, class LayoutOrNet>
inline constexpr bool has_skb_ext = detail::skb_ext_layout_of<LayoutOrNet>::type::template contains<E>;

/// The packet's extension E.
template <class E, class LayoutOrNet>
[[nodiscard]] E& skb_ext(LayoutOrNet const&, sk_buff const& skb) {
  using layout = typename detail::skb_ext_layout_of<LayoutOrNet>::type;
  auto* const first = reinterpret_cast<std::byte*>(const_cast<sk_buff*>(&skb)) + skb.pool->ext_offset();
  return *reinterpret_cast<E*>(first + layout::template offset<E>);
}

}  // namespace netstack
