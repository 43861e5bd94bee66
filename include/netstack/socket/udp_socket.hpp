// SPDX-License-Identifier: BSL-1.0
// Decides: UDP without a copy. A udp_socket hands out the received packet itself and sends one that was filled in
// place; its callbacks run inside the worker's poll(), or inside the call that causes them, so that adapters
// (coroutines, event loops) can be built on them. A call that would have to wait answers resource_deadlock_would_occur
// there. It is an ordinary socket underneath: handle, options, /proc row, accounting up to the moment the packet
// changes hands.
//
//   udp_socket<Net> s{net};
//   if (auto r = s.open(); !r) …                       // then s.bind(…), s.connect(…), options through s.fd()
//   s.on_data_ready(+[](void* self) { … }, this);
//   while (auto d = s.receive()) { auto [skb, from] = *std::move(d); skb->data … skb->len bytes … s.send(skb, from); }
//
// rx: packets come from core/sock_queue; tx: calls udp_send_skb
// Linux: none (its nearest: MSG_ZEROCOPY and AF_XDP)
#pragma once
#include "netstack/core/skb_transfer.hpp"
#include "netstack/skb/skb_checksum.hpp"
#include "netstack/skb/skb_ptr.hpp"
#include "netstack/socket/socket_handle.hpp"
#include "netstack/udp/udp.hpp"

namespace netstack {

/// One received datagram: payload from skb->data on (for_each_piece when it lies in several frames).
struct udp_datagram {
  skb_ptr skb;
  sockaddr_in from{};
  be32 to{};  ///< our address that the answer should come from; zero unless the socket has ip_opt::pktinfo

  [[nodiscard]] std::span<u8 const> payload() const { return {skb->data, skb->headlen()}; }
};

template <class Net>
class udp_socket : public socket_handle<Net> {
  using handle = socket_handle<Net>;
  using handle::net, handle::sk;

 public:
  using list_callback = void (*)(void* ctx, skb_list& datagrams);
  using handle::is_open, handle::fd;

  explicit udp_socket(Net& in) : handle(in) {}
  ~udp_socket() { this->close(); }  // while its callbacks are there

  /// Errors: those of socket(); already_connected when it is open.
  result<void> open() {
    auto const made = this->make(sock_type::dgram, ipproto::udp);
    if (made) hook_datagrams();
    return made;
  }

  result<void> bind(sockaddr_in const& addr) { return netstack::bind(net(), fd(), addr); }
  result<void> connect(sockaddr_in const& addr) { return netstack::connect(net(), fd(), addr); }
  result<sockaddr_in> local() const { return netstack::getsockname(net(), fd()); }

  /// Instead of a queue and on_data_ready: run inside poll() with the datagrams of one burst, in order, each packet's
  /// data at its payload. What is left in the list when it returns is freed. udp_source(skb) tells whom one is from.
  void on_datagrams(list_callback f, void* ctx) {
    datagrams_ = {f, ctx};
    if (is_open()) hook_datagrams();
  }

  /// The next datagram, without waiting: the packet itself, no longer charged to the socket. Errors:
  /// resource_unavailable_try_again (none there), bad_file_descriptor, the socket's pending error.
  result<udp_datagram> receive(u32 flags = msg::dontwait) {
    if (!is_open()) return failure{std::errc::bad_file_descriptor};
    enter(net().worker());
    sock& s = sk();
    u32 off = 0;
    auto const got = __skb_recv_datagram(net(), s, flags & ~msg::peek, off);
    if (!got) return failure{got.error()};
    if (!*got) return failure{std::errc::resource_unavailable_try_again};  // shut down for reading
    sk_buff& skb = **got;
    ++UDP_STATS(net()).InDatagrams;
    skb_orphan(skb);
    bool const asked = (inet_sk(s).cmsg_flags & ip_cmsg::pktinfo) != 0;
    return udp_datagram{skb_ptr{&skb}, udp_source(skb), asked ? INET_SKB_RCV(skb).spec_dst : be32{}};
  }

  /// An empty packet with room for the headers in front: fill it with skb->put(n). Errors: no_buffer_space.
  result<skb_ptr> allocate() {
    sk_buff* skb = net().worker().pool.alloc_skb(headroom);
    if (!skb) return failure{std::errc::no_buffer_space};
    return skb_ptr{skb};
  }

  /// Sends the packet's data as one datagram to `to` (default: the peer), from our address `from` (default: the
  /// socket's, or the route's). The packet is taken unless the answer is resource_unavailable_try_again: then the send
  /// buffer is full, and it stays with the caller until write_space. A packet that others look at too, without room
  /// in front, or of another worker's pool, moves to another frame. Errors: those of sendto().
  result<void> send(skb_ptr& skb, sockaddr_view to = {}, be32 from = {}) {
    if (!is_open()) return failure{std::errc::bad_file_descriptor};
    enter(net().worker());
    sock& s = sk();
    if (detail::udp_way* way = way_of(s, to); way && skb->len + udp_hlen <= detail::udp_way_room(net(), *way))
        [[likely]] {
      net_device const& dev = *way->ip.rt->dev;
      u32 const csum = sum_of(*skb, detail::udp_csum_mode_of(s, dev));
      if (!make_own(skb, detail::udp_headroom(dev, 0))) {
        skb.reset();
        return failure{std::errc::no_buffer_space};
      }
      sk_buff* out = skb.release();
      skb_set_owner_w(*out, s);
      return detail::udp_way_send(net(), udp_sk(s), *out, *way, csum);
    }
    if (auto r = sock_wait_for_wmem(net(), s, 0); !r) return r;
    if (auto r = inet_autobind(net(), s); !r) return r;
    detail::udp_flow flow;
    msghdr m{.msg_name = const_cast<void*>(to.data()), .msg_namelen = to.size(), .msg_flags = msg::dontwait};
    std::byte control[cmsg_space(sizeof(in_pktinfo))];
    if (from) {
      m.msg_control = control;
      put_cmsg(m, sol::ip, ip_opt::pktinfo, in_pktinfo{.ipi_spec_dst = {from}});
    }
    if (auto r = detail::udp_prepare(net(), s, m, skb->len, flow); !r) {
      skb.reset();
      return r;
    }
    if (!make_own(skb, detail::udp_headroom(*flow.rt->dev, flow.tx.optlen))) {
      skb.reset();
      return failure{std::errc::no_buffer_space};
    }
    detail::udp_way_keep(net(), udp_sk(s), flow);
    sk_buff* out = skb.release();
    skb_set_owner_w(*out, s);
    return udp_send_skb(net(), s, *out, flow, sum_of(*out, flow.csum_mode));
  }

  /// Appends bytes to a packet of allocate(), or of the pool; into an empty one it sums them on the way for send().
  /// What is filled must not be changed by other means after that.
  void fill(sk_buff& skb, std::span<u8 const> bytes) {
    auto const n = static_cast<u32>(bytes.size());
    bool const empty = skb.len == 0;
    u8* const to = skb.put(n);
    // Where the last datagram went a guess is good enough: send() sums what has no sum.
    if (!empty || (is_open() && udp_sk(sk()).way.csum_mode != detail::udp_csum_mode::software)) {
      if (n != 0) std::memcpy(to, bytes.data(), n);
      skb.ip_summed = ip_summed::none;
      return;
    }
    skb.csum = csum_partial_copy(to, bytes.data(), n, 0);
    skb.ip_summed = ip_summed::complete;
  }

  /// Sends each packet of the burst as one datagram to `to` (default: the peer), as send() would: how many were taken.
  /// What is left in the list did not fit into the send buffer. Errors: send()'s, for the first packet only.
  result<u32> send(skb_list& burst, sockaddr_view to = {}) {
    if (!is_open()) return failure{std::errc::bad_file_descriptor};
    enter(net().worker());
    u32 taken = 0;
    while (!burst.empty()) {
      if (detail::udp_way* way = way_of(sk(), to)) taken += send_run(burst, *way);
      if (burst.empty()) break;
      skb_ptr one{burst.pop_front()};
      if (auto r = send(one, to); !r) {
        if (one) push_front(burst, *one.release());
        if (taken == 0) return failure{r.error()};
        break;
      }
      ++taken;
    }
    return taken;
  }

  /// Copies each piece into a packet of its own and sends it as one datagram to `to` (default: the peer), as many
  /// sendto() without waiting would: how many were taken (Linux's sendmmsg). Errors: sendto()'s, for the first only.
  result<u32> send(std::span<iovec const> datagrams, sockaddr_view to = {}) {
    if (!is_open()) return failure{std::errc::bad_file_descriptor};
    enter(net().worker());
    u32 taken = 0;
    while (taken < datagrams.size()) {
      if (detail::udp_way* way = way_of(sk(), to)) taken += copy_run(datagrams.subspan(taken), *way);
      if (taken == datagrams.size()) break;
      iovec const& next = datagrams[taken];
      auto const r = netstack::sendto(net(), fd(), next.iov_base, next.iov_len, msg::dontwait, to);
      if (!r && taken == 0) return failure{r.error()};
      if (!r) break;
      ++taken;
    }
    return taken;
  }

 private:
  static constexpr u32 headroom =
      128;  ///< Ethernet, IPv4 with options and UDP fit, and the payload starts a cache line

  static void hand_over(sock& sk, skb_list& list) {
    auto const h = static_cast<udp_socket const&>(handle::of(sk)).datagrams_;
    h.f(h.ctx, list);
  }
  void hook_datagrams() { udp_sk(sk()).encap_rcv = datagrams_.f ? hand_over : nullptr; }

  static void push_front(skb_list& list, sk_buff& skb) {
    skb.next = list.first;
    list.first = &skb;
    if (!list.last) list.last = &skb;
    ++list.count;
  }
  /// Packets from the front of the burst that are the caller's alone and fit; how many.
  u32 send_run(skb_list& burst, detail::udp_way const& way) {
    auto& s = udp_sk(sk());
    u32 const most = detail::udp_way_room(net(), way);
    auto const mode = detail::udp_csum_mode_of(s, *way.ip.rt->dev);
    ip_way_burst<Net> out{net(), way.ip, detail::udp_way_summed(mode)};
    if (most < udp_hlen || !out.ready()) return 0;
    constexpr u32 front = ip_way_burst<Net>::headroom + static_cast<u32>(udp_hlen);
    detail::udp_way_header header{way, mode, 0};
    u32 const room = s.sk_sndbuf - std::min(sk_wmem_alloc_get(s), s.sk_sndbuf);
    u32 taken = 0, charged = 0, len = ~u32{0};
    sk_buff *skb = burst.first, *last = nullptr;
    auto const& pool = net().worker().pool;
    for (; skb && charged < room && skb->pool == &pool && skb_is_own(*skb, most - static_cast<u32>(udp_hlen), front);
         skb = skb->next) {
      if (skb->len != len) {
        len = skb->len;
        header = {way, mode, len};
        out.begin(len + static_cast<u32>(udp_hlen));
      }
      u32 const csum = mode == detail::udp_csum_mode::software ? payload_sum(*skb) : 0;
      if (skb->destructor) [[unlikely]]
        skb_orphan(*skb);
      if (skb->dst) skb_dst_drop(*skb);
      charged += skb->truesize;
      skb->sk = &s;
      skb->destructor = sock_wfree;
      out.push(*skb, header.write(*skb, skb->data, mode, csum));
      last = skb;
      ++taken;
    }
    if (taken == 0) return 0;
    sk_buff& first = *std::exchange(burst.first, skb);
    burst.count -= taken;
    if (!skb) burst.last = nullptr;
    s.sk_wmem_alloc += charged;
    UDP_STATS(net()).OutDatagrams += out.send(first, *last, taken);
    return taken;
  }
  /// Pieces from the front that fit, each copied, summed and given its headers in one go; how many.
  u32 copy_run(std::span<iovec const> pieces, detail::udp_way const& way) {
    auto& s = udp_sk(sk());
    auto& pool = net().worker().pool;
    u32 const most = std::min(detail::udp_way_room(net(), way), pool.frame_size() - pool.rx_headroom());
    auto const mode = detail::udp_csum_mode_of(s, *way.ip.rt->dev);
    ip_way_burst<Net> out{net(), way.ip, detail::udp_way_summed(mode)};
    constexpr u32 front = ip_way_burst<Net>::headroom + static_cast<u32>(udp_hlen);
    if (most < udp_hlen || pool.rx_headroom() < front || !out.ready()) return 0;
    u32 const room = s.sk_sndbuf - std::min(sk_wmem_alloc_get(s), s.sk_sndbuf), cost = pool.frame_truesize();
    u64 const limit = std::min({u64{pieces.size()}, (u64{room} + cost - 1) / cost, u64{pool.available()}});
    auto const* const end = pieces.data() + limit;
    auto const* last = pieces.data();
    for (u64 const longest = most - udp_hlen; last != end; ++last)
      if (last->iov_len > longest || (!last->iov_base && last->iov_len != 0)) break;
    u32 const n = static_cast<u32>(last - pieces.data());
    if (n == 0) return 0;
    auto const at = static_cast<u16>(pool.rx_headroom() - udp_hlen - ip_hlen_min);
    detail::udp_way_header header{way, mode, 0};
    u32 len = ~u32{0};
    iovec const* piece = pieces.data();
    skb_list burst;
    u32 const taken = pool.alloc_bulk(n, burst, [&](sk_buff& skb, u8* data) NETSTACK_INLINE_LAMBDA {
      auto const* const from = static_cast<u8 const*>(piece->iov_base);
      auto const size = static_cast<u32>(piece->iov_len);
      ++piece;
      if (size != len) {
        len = size;
        header = {way, mode, len};
        out.begin(len + static_cast<u32>(udp_hlen));
      }
      u32 csum = 0;
      if (mode == detail::udp_csum_mode::software)
        csum = csum_partial_copy(data, from, size, 0);
      else if (size != 0)
        std::memcpy(data, from, size);
      skb.tail = data + size;
      skb.sk = &s;
      skb.destructor = sock_wfree;
      out.push(skb, header.write(skb, data, mode, csum), at, {});
    });
    s.sk_wmem_alloc += taken * cost;
    UDP_STATS(net()).OutDatagrams += out.send(*burst.first, *burst.last, taken);
    return taken;
  }
  /// A packet that never was a frame has the sum that fill() made.
  NETSTACK_INLINE static u32 payload_sum(sk_buff const& skb) {
    if (skb.ip_summed == ip_summed::complete && !skb.mac_header_was_set()) return skb.csum;
    return skb.is_nonlinear() ? skb_checksum(skb, 0, skb.len, 0) : csum_partial(skb.data, skb.len, 0);
  }
  /// … of where it came from.
  static void forget(sk_buff& skb) {
    skb_orphan(skb);
    skb_dst_drop(skb);
    skb.dev = nullptr;
    skb.pkt_type = pkt_type::host;
    skb_checksum_none_assert(skb);
    detail::skb_forget_arrival(skb);
  }
  /// How the last datagram left, if this one goes there too.
  detail::udp_way* way_of(sock& s, sockaddr_view to) {
    return detail::udp_way_of(
        net(), s, {.msg_name = const_cast<void*>(to.data()), .msg_namelen = to.size(), .msg_iov = {&nothing, 1}});
  }
  static constexpr iovec nothing{};

  static u32 sum_of(sk_buff const& skb, detail::udp_csum_mode mode) {
    return mode == detail::udp_csum_mode::software ? payload_sum(skb) : 0;
  }

  /// The packet itself, forgetful of where it came from, with headers' room of its own in front: moved to another frame
  /// where others read this one, or where it is another pool's. False: the pool is empty.
  bool make_own(skb_ptr& held, u32 needed) {
    auto& pool = net().worker().pool;
    if (held->pool != &pool || skb_shared(*held)) {
      sk_buff* twin = held->pool != &pool ? skb_copy_to_pool(pool, *held, 0) : skb_clone(*held);
      if (!twin) return false;
      held.reset(twin);
    }
    sk_buff& skb = *held;
    if (!skb_cow_head(skb, needed)) return false;
    forget(skb);
    return true;
  }

  struct {
    list_callback f = nullptr;
    void* ctx = nullptr;
  } datagrams_;
};

}  // namespace netstack
