// SPDX-License-Identifier: BSL-1.0
// TCP without a copy: what is read is shown where it lies, what is sent leaves from where it was written, and the frame
// is held until it is acknowledged and the driver is done with it.
#include "netstack/socket/tcp_socket.hpp"

#include "support/tcp_script.hpp"

using namespace netstack;
using namespace netstack::test;
using std::errc;

namespace {

using net_t = netstack::net<tcp_script_host>;

/// A packet with the next `n` bytes.
skb_ptr filled(tcp_script& t, tcp_socket<net_t>& s, u32 n) {
  auto skb = s.allocate();
  REQUIRE(skb);
  u8* const at = (*skb)->put(n);
  for (u32 i = 0; i < n; ++i) at[i] = tcp_script_byte(t.written + i);
  t.written += n;
  return std::move(*skb);
}
rig_dev::priv& dev_of(tcp_script& t) { return netdev_priv<rig_dev>(*t.rig.eth0); }

}  // namespace

TEST_CASE("a packet leaves from the frame it was filled in, and the frame is held until it is acknowledged", "[S101]") {
  tcp_script t;
  tcp_socket<net_t> s(t.net());
  REQUIRE(s.adopt(t.accepted("mss 1000")));
  CHECK(s.segment() == 1000);
  dev_of(t).keeps = true;
  skb_ptr skb = filled(t, s, 700);
  frame_hold const sent{*skb};
  u8 const* const bytes_at = skb->data;
  CHECK(!sent.alone());
  REQUIRE(s.send(skb));
  CHECK(!skb);
  t.collect();
  t.out("P. 1:701");
  // What the driver has is that very frame: nothing was copied.
  REQUIRE(dev_of(t).kept.size() == 1);
  sk_buff const& on_wire = *dev_of(t).kept[0].first;
  CHECK(on_wire.frame == sent.frame());
  CHECK(on_wire.data + on_wire.len - 700 == bytes_at);
  CHECK(!sent.alone());
  t.in(". 1 ack 701");
  CHECK(!sent.alone());  // the driver reads it still
  CHECK(rig_dev::complete(*t.rig.eth0) == 0);
  CHECK(sent.alone());
  dev_of(t).keeps = false;
}

TEST_CASE("a driver that is done after a second: repetitions write other headers, no frame of its changes", "[S101]") {
  tcp_script t;
  tcp_socket<net_t> s(t.net());
  REQUIRE(s.adopt(t.accepted("mss 1000 sackok ts 1 0")));
  dev_of(t).keeps = true;
  std::vector<frame_hold> sent;
  for (int i = 0; i < 3; ++i) {
    skb_ptr skb = filled(t, s, 988);
    sent.emplace_back(*skb);
    REQUIRE(s.send(skb, i < 2 ? msg::more : 0));
  }
  t.collect();
  t.out(". 1:989").out(". 989:1977").out("P. 1977:2965");
  t.after(1000);  // two timeouts meanwhile
  REQUIRE(t.pending.size() == 2);
  t.out(". 1:989").out(". 1:989");
  REQUIRE(dev_of(t).kept.size() == 5);
  CHECK(dev_of(t).kept[3].first->frame != sent[0].frame());  // headers of its own
  auto const& again = *dev_of(t).kept[3].first;
  REQUIRE(skb_shinfo(again).nr_frags == 0);  // the device takes one piece, so the core made it one at the edge
  CHECK(rig_dev::complete(*t.rig.eth0) == 0);
  for (auto const& hold : sent) CHECK(!hold.alone());  // not acknowledged
  dev_of(t).keeps = false;
  t.in(". 1 ack 2965 ts 2 0");
  for (auto const& hold : sent) CHECK(hold.alone());
}

TEST_CASE("received bytes are shown where they lie, and given back as far as they were used", "[S96]") {
  tcp_script t;
  tcp_socket<net_t> s(t.net());
  int const fd = t.accepted();
  REQUIRE(s.adopt(fd));
  u32 told = 0;
  s.on_data_ready(
      +[](void* n) { ++*static_cast<u32*>(n); }, &told);
  CHECK(s.read([](std::span<u8 const>) { return 0u; }).error() == errc::resource_unavailable_try_again);
  u32 at = 1;
  for (u32 i = 0; i < 20; ++i, at += 1460)
    t.in("P. " + std::to_string(at) + ":" + std::to_string(at + 1460) + " ack 1");
  t.pending.clear();
  CHECK(told == 20);
  u32 const queued = t.sk(fd).sk_rmem_alloc;
  sk_buff const& head = *t.sk(fd).sk_receive_queue.peek();
  // Half of the first piece is used: the packet stays.
  u8 const* shown = nullptr;
  u32 const half = head.len / 2;
  CHECK(s.read([&](std::span<u8 const> piece) {
           return shown = piece.data(), static_cast<u32>(piece.size()) / 2;
         }).value() == half);
  CHECK(shown == head.data);
  CHECK(t.sk(fd).sk_rmem_alloc == queued);
  u32 next = 1 + half;
  bool right = true;
  CHECK(s.read([&](std::span<u8 const> piece) {
           for (u8 byte : piece) right = right && byte == tcp_script_byte(next++);
           return static_cast<u32>(piece.size());
         }).value() == at - 1 - half);
  CHECK(right);
  CHECK(next == at);
  CHECK(t.sk(fd).sk_rmem_alloc == 0);
  t.in("F. " + std::to_string(at) + " ack 1");
  CHECK(s.read([](std::span<u8 const>) { return 0u; }).value() == 0);
}

TEST_CASE("what cannot be sent stays with the caller", "[S100]") {
  tcp_script t;
  t.default_win = 2000;
  tcp_socket<net_t> s(t.net());
  skb_ptr early = std::move(s.allocate().value());
  early->put(1);
  CHECK(s.send(early).error() == errc::bad_file_descriptor);
  REQUIRE(s.open());
  CHECK(s.send(early).error() == errc::broken_pipe);
  s.close();
  REQUIRE(s.adopt(t.accepted("mss 1000")));
  CHECK(s.adopt(s.fd()).error() == errc::already_connected);
  skb_ptr empty = std::move(s.allocate().value());
  CHECK(s.send(empty).error() == errc::message_size);
  empty->put(1001);
  CHECK(s.send(empty).error() == errc::message_size);
  skb_ptr other{skb_clone(*early)};
  CHECK(s.send(early).error() == errc::invalid_argument);  // somebody else reads it
  REQUIRE(early);
  // The send buffer fills; room is told of once.
  u32 told = 0, queued = 0;
  s.on_write_space(
      +[](void* n) { ++*static_cast<u32*>(n); }, &told);
  t.tp(s.fd()).sk_sndbuf = 30'000;
  sock_set_flag(t.sk(s.fd()), sock_flags::sndbuf_lock);
  skb_ptr skb;
  for (;; ++queued) {
    skb = filled(t, s, 1000);
    if (auto const r = s.send(skb); !r) {
      CHECK(r.error() == errc::resource_unavailable_try_again);
      break;
    }
    REQUIRE(queued < 100);
  }
  REQUIRE(skb);
  CHECK(queued > 2);
  CHECK(told == 0);
  t.collect();
  t.pending.clear();
  for (u32 i = 1; i <= queued; ++i) t.in(". 1 ack " + std::to_string(1 + i * 1000));
  CHECK(told == 1);
  REQUIRE(s.send(skb));
}
