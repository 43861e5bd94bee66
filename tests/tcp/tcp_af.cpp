// SPDX-License-Identifier: BSL-1.0
// An IP version of sixteen-byte addresses joins TCP by what docs/adr/0008-where-ipv6-joins.md names, and by nothing
// else: a key of its own to look up by, and its rows for half-open connections. Beside it IPv4 goes on.
#include "support/tcp_script.hpp"

using namespace netstack;
using namespace netstack::test;

namespace netstack::test {
namespace {

struct far_host : rig_stack<far_host, tcp> {};
using far_net = net<far_host>;

using far_addr = std::array<u8, 16>;
/// Its addresses lie beside; where IPv4 has its own, a number of theirs stands, as a group, which no connection has.
constexpr std::array<far_addr, 2> far_addrs{far_addr{0x20, 1, 0xd, 0xb8, 1}, far_addr{0x20, 1, 0xd, 0xb8, 2}};
constexpr far_addr const &far_ours = far_addrs[0], &far_theirs = far_addrs[1];

struct far_key {
  far_addr saddr, daddr;
  be16 sport;
  u16 hnum;
  u32 dif;
};
constexpr be32 kept_as(far_addr const& a) { return be32{0xe000'0000u + (a == far_addrs[0] ? 0 : 1)}; }
constexpr inet_ehash_key kept_as(far_key const& k) {
  return {.saddr = kept_as(k.saddr), .daddr = kept_as(k.daddr), .sport = k.sport, .hnum = k.hnum, .dif = k.dif};
}

// --- found by inet_hashtables.hpp
u32 inet_ends_hash(far_net& net, far_key const& key, multilinear_key const& secret) {
  return netstack::inet_ends_hash(net, kept_as(key), secret);
}
template <class Kept>
bool inet_ends_equal(far_net& net, Kept const& kept, far_key const& key) {
  return netstack::inet_ends_equal(net, kept, kept_as(key));
}

struct {
  int answers, resets, destroyed;
  tcp_header_fields header;
  tcp_out_options opts;
} said;

void far_init_req(far_net&, tcp_request_sock& req, sk_buff const& skb) {
  auto const& th = *skb.transport_hdr<tcphdr>();
  req.key = kept_as(far_key{far_theirs, far_ours, th.source, th.dest.host(), 0});
}
bool far_route_req(far_net&, tcp_request_sock&, sk_buff const&) { return true; }
tcp_seq_and_ts_off far_init_seq(far_net& net, tcp_request_sock const& req) {
  return secure_tcp_seq_and_ts_off(net, req.key);
}
result<void> far_send_synack(far_net&, tcp_request_sock const&, tcp_header_fields const& f,
                             tcp_out_options const& opts) {
  ++said.answers, said.header = f, said.opts = opts;
  return {};
}
void far_send_reset(far_net&, sk_buff const&, tcp_rx const&) { ++said.resets; }
void far_destructor(far_net&, tcp_request_sock&) { ++said.destroyed; }

constexpr tcp_request_sock_ops<far_net> far_request_ops{
    .init_req = far_init_req,
    .route_req = far_route_req,
    .init_seq_and_ts_off = far_init_seq,
    .cookie_init_seq = cookie_v4_init_sequence<far_net>,
    .cookie_check = cookie_v4_check<far_net>,
    .send_synack = far_send_synack,
    .send_reset = far_send_reset,
    .destructor = far_destructor,
    .net_header_len = 40,
};

}  // namespace
}  // namespace netstack::test

/// Two versions: a half-open connection is told by its addresses which it came by.
template <>
tcp_request_sock_ops<far_net> const& netstack::tcp_rsk_ops<far_net>(tcp_request_sock const& req) {
  return ipv4_is_multicast(req.key.saddr) ? far_request_ops : tcp_request_sock_ipv4_ops<far_net>;
}

namespace {

struct far_script : basic_tcp_script<far_host> {
  far_key const ends{far_theirs, far_ours, be16{peer_port}, port, 0};
  [[nodiscard]] inet_link found() { return inet_lookup(net(), ends, inet_ehashfn(net(), ends)); }

  /// f(a segment, its header): as whoever receives for that version has it, once its own header is dealt with.
  void segment(std::string const& text, auto f) {
    sk_buff& skb = *rig.host.worker().pool.alloc_skb();
    bytes const packet = datagram{.protocol = ipproto::tcp, .payload = bytes_of(tcp_seg::parse(text))}.build();
    std::memcpy(skb.put(static_cast<u32>(packet.size())), packet.data(), packet.size());
    skb.reset_network_header();
    skb.pull(static_cast<u32>(ip_hlen_min));
    skb.reset_transport_header();
    skb.dev = rig.eth0, skb.skb_iif = rig.eth0->ifindex;
    tcp_rx rx;
    REQUIRE(detail::tcp_read_header(skb, rx));
    rx.hash = inet_ehashfn(net(), ends);
    finish(skb, f(skb, rx));
    collect();
  }
  void syn() {
    segment("S 0 mss 1460", [&](sk_buff& skb, tcp_rx const& rx) {
      return tcp_conn_request<far_request_ops>(net(), sk(listener), skb, rx);
    });
  }
  sock* check_req(std::string const& text) {
    sock* child = nullptr;
    segment(text, [&](sk_buff& skb, tcp_rx const& rx) {
      auto& req = tcp_worker_of(net()).requests.at(found().index());
      verdict v = verdict::consumed();
      child = tcp_check_req(net(), skb, rx, req, v);
      return child ? detail::tcp_child_process(net(), sk(listener), *child, skb, rx) : v;
    });
    return child;
  }
};

}  // namespace

TEST_CASE("a second IP version's connections are half open, open and in TIME-WAIT beside IPv4's", "[S146]") {
  said = {};
  far_script t;
  t.listen();
  REQUIRE(t.found() == inet_link{});
  t.syn();
  REQUIRE(said.answers == 1);
  CHECK(said.header.source == be16{80});
  CHECK(said.header.dest == be16{t.peer_port});
  CHECK(said.header.flags == (tcp_flag::syn | tcp_flag::ack));
  CHECK(said.header.ack_seq == t.peer_isn + 1);
  CHECK(said.opts.mss == 1500 - 40 - 20);
  t.silent();  // by IPv4 nothing was said
  CHECK(t.found().kind() == inet_kind::request);

  // The same ports over IPv4 are another connection's.
  t.in("S 0 mss 1460").out("S. 0 ack 1 mss 1460").in(". 1 ack 1");
  int const other = t.accept();
  CHECK(said.answers == 1);
  CHECK(t.found().kind() == inet_kind::request);

  t.after(1100).silent();  // its SYN-ACK again
  CHECK(said.answers == 2);
  t.our_isn = said.header.seq, t.our_isn_known = true;
  CHECK(t.check_req(". 1 ack 7") == nullptr);
  CHECK(said.resets == 1);
  REQUIRE(said.destroyed == 0);

  sock* const child = t.check_req(". 1 ack 1");
  REQUIRE(child);
  CHECK(said.destroyed == 1);
  CHECK(child->sk_state == tcp_state::established);
  CHECK(inet_lookup_established(t.net(), t.ends) == child);
  CHECK(inet_lookup_established(t.net(), inet_key_of(t.sk(other))) == &t.sk(other));
  int const fd = t.accept();
  REQUIRE(&t.sk(fd) == child);

  tcp_time_wait(t.net(), *child, tcp_state::time_wait, 0);
  REQUIRE(t.found().kind() == inet_kind::timewait);
  inet_twsk_kill(t.net(), tcp_worker_of(t.net()).timewaits.at(t.found().index()));
  CHECK(t.found() == inet_link{});
  t.close(fd);
  CHECK(t.state(other) == tcp_state::established);
  CHECK(said.answers == 2);
  CHECK(said.resets == 1);
}
