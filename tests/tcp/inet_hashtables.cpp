// SPDX-License-Identifier: BSL-1.0
// Who may have which port, which listener gets a SYN, and what strangers can tell of ports and sequence numbers. That
// bind(), listen() and connect() have the kernel's answers is tests/interop/socket_oracle.cpp's.
#include "netstack/tcp/inet_hashtables.hpp"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "netstack/stack/sysctl.hpp"
#include "support/tcp_script.hpp"

using namespace netstack;
using namespace netstack::test;
using std::errc;

namespace {

constexpr be32 second_addr = ipv4_addr("192.0.2.2");

/// What bind() answers for a socket with these options.
struct claim {
  be32 addr{};
  bool reuse = false, reuseport = false, listens = false;
};
int bound(tcp_script& t, claim const& c, errc* why = nullptr, u16 port = 80) {
  int const fd = t.stream();
  REQUIRE(setsockopt(t.net(), fd, sol::socket, so::reuseaddr, int{c.reuse}));
  REQUIRE(setsockopt(t.net(), fd, sol::socket, so::reuseport, int{c.reuseport}));
  auto r = bind(t.net(), fd, inet_addr_of(c.addr, port));
  if (r && c.listens) r = listen(t.net(), fd, 8);
  if (why) *why = r ? errc{} : r.error();
  return fd;
}
/// May the second one bind, and listen?
bool together(claim const& first, claim const& second) {
  tcp_script t;
  REQUIRE(inet_addr_add(t.net(), t.rig.eth0->ifindex, ipv4_cidr("192.0.2.2/24")));
  errc why{};
  bound(t, first, &why);
  REQUIRE(why == errc{});
  bound(t, second, &why);
  CHECK((why == errc{} || why == errc::address_in_use));
  t.over();
  return why == errc{};
}
/// The SYN of a connection from this port.
void knock(tcp_script& t, u16 from) {
  t.from_port = from;
  t.our_isn_known = false;
  t.in("S 0 mss 1460");
}

/// A connection between these ports has ended.
void enter_time_wait(tcp_script& t, u16 peer_port, u16 port, u64 ns) {
  auto& w = tcp_worker_of(t.net());
  auto& tw = *w.timewaits.alloc();
  tw.netns = static_cast<u8>(t.net().index), tw.saddr = peer_addr, tw.daddr = our_addr, tw.sport = be16{peer_port};
  tw.hnum = port;
  detail::inet_ehash_insert(t.net(), tw, inet_ehashfn(t.net(), tw.key()));
  inet_bind_bucket_of(t.net(), port).timewaits.push_front(w.timewaits, tw);
  inet_twsk_schedule(t.net(), tw, ns);
}

}  // namespace

TEST_CASE("two sockets on one port: addresses that meet, SO_REUSEADDR until one listens, SO_REUSEPORT", "[S98]") {
  auto const any = be32{}, one = our_addr, two = second_addr;
  CHECK(!together({any}, {any}));
  CHECK(!together({any}, {one}));
  CHECK(!together({one}, {any}));
  CHECK(!together({one}, {one}));
  CHECK(together({one}, {two}));
  CHECK(together({one, false, false, true}, {two, false, false, true}));
  CHECK(!together({any, true}, {any}));
  CHECK(!together({any}, {any, true}));
  CHECK(together({any, true}, {any, true}));
  CHECK(!together({any, true, false, true}, {any, true}));
  CHECK(together({any, true}, {any, true, false, true}));
  CHECK(!together({any, true, false, true}, {any, true, false, true}));
  CHECK(together({any, false, true}, {any, false, true}));
  CHECK(together({any, false, true, true}, {any, false, true, true}));
  CHECK(!together({any, false, true, true}, {any}));
  CHECK(!together({any, false, true, true}, {any, true}));
  CHECK(!together({any, true, false, true}, {any, false, true}));
}

TEST_CASE("two that share a port before either listens: the second listen() finds it taken", "[S148]") {
  tcp_script t;
  int const a = bound(t, {{}, true}), b = bound(t, {{}, true});
  REQUIRE(listen(t.net(), a, 1));
  CHECK(listen(t.net(), b, 1).error() == errc::address_in_use);
  t.close(a);
  CHECK(listen(t.net(), b, 1));
  t.over();
}

TEST_CASE("bind() to port 0 gives one that nobody has, whatever may be shared; a connect() avoids bound ones",
          "[S32]") {
  tcp_script t;
  auto& range = t.rig.ns().ip_local_ports;
  range[0] = 40000, range[1] = 40003;
  std::set<u16> given;
  for (int i = 0; i < 4; ++i) {
    int const fd = bound(t, {{}, true}, nullptr, 0);
    given.insert(getsockname(t.net(), fd)->sin_port.host());
  }
  CHECK(given == std::set<u16>{40000, 40001, 40002, 40003});
  errc why{};
  bound(t, {{}, true}, &why, 0);
  CHECK(why == errc::address_in_use);
  int const fd = t.stream();
  CHECK(t.connect(fd) == errc::address_not_available);
  t.over();
}

TEST_CASE("connections of ours share ports as long as their peers differ", "[S98]") {
  tcp_script t;
  auto& range = t.rig.ns().ip_local_ports;
  range[0] = 40000, range[1] = 40001;
  auto const to = [&](u16 port) {
    auto const r = netstack::connect(t.net(), t.stream(), inet_addr_of(peer_addr, port));
    return r ? errc{} : r.error();
  };
  for (u16 port : std::array<u16, 4>{4000, 4000, 4001, 4001}) CHECK(to(port) == errc::operation_in_progress);
  CHECK(to(4000) == errc::address_not_available);
  CHECK(to(4001) == errc::address_not_available);
  t.over();
}

TEST_CASE("a port that connect() chose is taken for who wants it alone, and free again afterwards", "[S98]") {
  tcp_script t;
  t.rig.ns().ip_local_ports[0] = t.rig.ns().ip_local_ports[1] = 40000;
  int const fd = t.stream();
  REQUIRE(t.connect(fd) == errc::operation_in_progress);
  errc why{};
  bound(t, {}, &why, 40000);
  CHECK(why == errc::address_in_use);
  bound(t, {}, &why, 0);
  CHECK(why == errc::address_in_use);
  t.close(fd);
  bound(t, {}, &why, 40000);
  CHECK(why == errc{});
  t.over();
}

TEST_CASE("a port whose listener is gone stays with its connections", "[S98]") {
  tcp_script t;
  int const l = bound(t, {{}, false, false, true});
  t.listener = l;
  t.in("S 0 mss 1460").out("S. 0 ack 1").in(". 1 ack 1");
  int const fd = t.accept();
  t.close(l);
  t.listener = -1;
  errc why{};
  bound(t, {}, &why);
  CHECK(why == errc::address_in_use);
  t.in("R 1");
  t.close(fd);
  bound(t, {}, &why);
  CHECK(why == errc{});
  t.over();
}

// --- SO_REUSEPORT

TEST_CASE("a SO_REUSEPORT group: flows are spread by their hash, and stay; who leaves, leaves its share", "[S98]") {
  tcp_script t;
  constexpr u32 members = 4, flows = 4000;
  std::array<int, members> fds{};
  for (int& fd : fds) fd = bound(t, {{}, false, true, true});
  auto const pick = [&](u32 flow) {
    return inet_lookup_listener(t.net(), {.saddr = peer_addr,
                                          .daddr = our_addr,
                                          .sport = be16{static_cast<u16>(10'000 + flow)},
                                          .hnum = 80,
                                          .dif = t.rig.eth0->ifindex});
  };
  std::array<sock*, flows> first{};
  std::array<u32, members> share{};
  for (u32 i = 0; i < flows; ++i) {
    first[i] = pick(i);
    REQUIRE(first[i] == pick(i));
    for (u32 m = 0; m < members; ++m) share[m] += first[i] == &t.sk(fds[m]);
  }
  for (u32 const n : share) {
    CHECK(n > flows / members * 8 / 10);
    CHECK(n < flows / members * 12 / 10);
  }
  // One of another address is no member: it is more exact.
  REQUIRE(inet_addr_add(t.net(), t.rig.eth0->ifindex, ipv4_cidr("192.0.2.2/24")));
  // A connection of one that leaves lives on.
  knock(t, 10'000), t.out("S. 0 ack 1").in(". 1 ack 1");
  u32 const owner = static_cast<u32>(
      std::find_if(fds.begin(), fds.end(), [&](int fd) { return first[0] == &t.sk(fd); }) - fds.begin());
  t.listener = fds[owner];
  int const fd = t.accept();
  sock* const gone = &t.sk(fds[owner]);
  t.close(fds[owner]);
  t.in("P. 1:4 ack 1").out(". 1 ack 4");
  t.read(fd, 3);
  std::array<u32, members> after{};
  for (u32 i = 0; i < flows; ++i) {
    sock* const now = pick(i);
    REQUIRE(now != gone);
    for (u32 m = 0; m < members; ++m) after[m] += m != owner && now == &t.sk(fds[m]);
  }
  for (u32 m = 0; m < members; ++m)
    if (m != owner) CHECK(after[m] > flows / (members - 1) * 8 / 10);
  t.listener = -1;
  t.over();
}

TEST_CASE("the listener that asks for more of what a SYN has is preferred", "[S146]") {
  tcp_script t;
  int const any = bound(t, {{}, false, false, false});
  (void)any;
  t.close(any);
  int const exact = bound(t, {our_addr, false, true, true}), wide = bound(t, {{}, false, true, true});
  inet_ehash_key const key{.saddr = peer_addr, .daddr = our_addr, .sport = be16{1}, .hnum = 80, .dif = 2};
  CHECK(inet_lookup_listener(t.net(), key) == &t.sk(exact));
  auto other = key;
  other.daddr = second_addr;
  CHECK(inet_lookup_listener(t.net(), other) == &t.sk(wide));
  other.hnum = 81;
  CHECK(inet_lookup_listener(t.net(), other) == nullptr);
  t.over();
}

TEST_CASE("one chain of connections, half-open ones and those in TIME-WAIT does what a vector does", "[S145]") {
  tcp_script t;
  auto& net = t.net();
  auto& w = tcp_worker_of(net);
  constexpr u32 hash = 7;  // of all of them, as far as the slot goes
  auto const hash_of = [](u16 port) { return hash | static_cast<u32>(port % 5) << 29; };
  struct member {
    inet_link link;
    u16 port = 0;
  };
  auto const key_of = [](u16 port) {
    return inet_ehash_key{.saddr = peer_addr, .daddr = our_addr, .sport = be16{port}, .hnum = 80};
  };
  auto const link_of = [](auto& slab, auto& object) {
    return inet_link{std::remove_reference_t<decltype(object)>::kind, slab.index_of(&object)};
  };
  auto const sock_of = [&](u16 port) -> tcp_sock& {
    auto& sk = *w.socks.alloc();
    sk.sk_net = &net, sk.sk_hash = hash_of(port), sk.sk_daddr = peer_addr, sk.sk_rcv_saddr = our_addr;
    sk.sk_dport = be16{port}, sk.sk_num = 80;
    return sk;
  };
  auto const timewait_of = [&](u16 port) -> tcp_timewait_sock& {
    auto& tw = *w.timewaits.alloc();
    tw.netns = static_cast<u8>(net.index), tw.saddr = peer_addr, tw.daddr = our_addr, tw.sport = be16{port},
    tw.hnum = 80;
    return tw;
  };
  std::vector<member> members;  // the latest first
  auto const insert = [&](u16 port) {
    auto const put = [&](auto& slab, auto& object) {
      detail::inet_ehash_insert(net, object, hash_of(port));
      members.insert(members.begin(), {link_of(slab, object), port});
    };
    if (port % 3 == 0) {
      put(w.socks, sock_of(port));
    } else if (port % 3 == 1) {
      auto& req = *w.requests.alloc();
      req.net = &net, req.key = key_of(port);
      put(w.requests, req);
    } else {
      put(w.timewaits, timewait_of(port));
    }
  };
  auto const erase = [&](std::size_t which) {
    inet_link const link = members[which].link;
    auto const take = [&](auto& slab) {
      auto& object = slab.at(link.index());
      detail::inet_ehash_erase(net, object);
      slab.free(&object);
    };
    if (link.kind() == inet_kind::sock) take(w.socks);
    if (link.kind() == inet_kind::request) take(w.requests);
    if (link.kind() == inet_kind::timewait) take(w.timewaits);
    members.erase(members.begin() + static_cast<std::ptrdiff_t>(which));
  };
  // A half-open one becomes a connection, and that ends.
  auto const replace = [&](std::size_t which) {
    auto& [link, port] = members[which];
    auto const take = [&](auto& slab, auto& slab_after, u32 index, auto& object) {
      detail::inet_ehash_replace(net, slab.at(index), object);
      slab.free(&slab.at(index));
      return link_of(slab_after, object);
    };
    if (link.kind() == inet_kind::request)
      link = take(w.requests, w.socks, link.index(), sock_of(port));
    else if (link.kind() == inet_kind::sock)
      link = take(w.socks, w.timewaits, link.index(), timewait_of(port));
  };
  auto const same = [&](auto& slab, inet_kind kind, auto const& range) {
    std::vector<u32> seen, expected;
    for (auto& each : range) seen.push_back(link_of(slab, each).word);
    for (auto const& m : members)
      if (m.link.kind() == kind) expected.push_back(m.link.word);
    return seen == expected;
  };
  std::mt19937 random(80);
  u16 port = 0;
  for (int step = 0; step < 600; ++step) {
    if (members.size() < 10 && random() % 2 == 0)  // no more than fit without a slot more for them
      insert(++port);
    else if (!members.empty() && random() % 2 == 0)
      replace(random() % members.size());
    else if (!members.empty())
      erase(random() % members.size());
    inet_link const slot = detail::inet_ehash_slot(net, hash);
    REQUIRE(w.hashinfo.used.test(w.hashinfo.slot(hash)) == !members.empty());
    REQUIRE(same(w.socks, inet_kind::sock, inet_chain_of<tcp_sock>(w, slot)));
    REQUIRE(same(w.requests, inet_kind::request, inet_chain_of<tcp_request_sock>(w, slot)));
    REQUIRE(same(w.timewaits, inet_kind::timewait, inet_chain_of<tcp_timewait_sock>(w, slot)));
    for (auto const& m : members) REQUIRE(inet_lookup(net, key_of(m.port), hash_of(m.port)) == m.link);
    for (u16 other = 0; other < 5; ++other) REQUIRE(inet_lookup(net, key_of(0), hash_of(other)) == inet_link{});
    // Each link tells what would need a look otherwise.
    inet_link at = slot;
    for (auto const& m : members) {
      REQUIRE(at.may_have(hash_of(m.port)));
      REQUIRE(at.is_last() == (&m == &members.back()));
      at = w.hashinfo.next(at);
    }
    REQUIRE(at == inet_link{});
  }
  // The body of a loop may take away the one that it is given.
  while (!members.empty()) erase(0);
  for (u16 n = 1; n <= 9; ++n) insert(n);
  for (auto& req : inet_chain_of<tcp_request_sock>(w, detail::inet_ehash_slot(net, hash)))
    detail::inet_ehash_erase(net, req), w.requests.free(&req);
  CHECK(w.requests.in_use() == 0);
  std::erase_if(members, [](member const& m) { return m.link.kind() == inet_kind::request; });
  CHECK(members.size() == 6);
  while (!members.empty()) erase(members.size() - 1);
  CHECK(detail::inet_ehash_slot(net, hash) == inet_link{});
  t.over();
}

TEST_CASE("the table has twice as many slots as entries, and finds whom it found", "[S145]") {
  tcp_script t;
  auto& net = t.net();
  auto& w = tcp_worker_of(net);
  auto& info = w.hashinfo;
  u32 const room = static_cast<u32>(std::size(info.ehash));
  u32 const before = info.size;
  REQUIRE(before < room / 4);
  auto const key_of = [](u32 n) {
    return inet_ehash_key{.saddr = be32{0xcb007100u + n}, .daddr = our_addr, .sport = be16{7}, .hnum = 80};
  };
  std::map<u32, tcp_timewait_sock*> members;  // by n
  std::mt19937 random(145);
  for (u32 n = 0; n < room + 100; ++n) {
    auto& tw = *w.timewaits.alloc();
    auto const key = key_of(n);
    tw.netns = static_cast<u8>(net.index), tw.saddr = key.saddr, tw.daddr = key.daddr, tw.sport = key.sport,
    tw.hnum = key.hnum;
    detail::inet_ehash_insert(net, tw, inet_ehashfn(net, key));
    members[n] = &tw;
    if (random() % 4 == 0) {
      auto const gone = std::next(members.begin(), static_cast<std::ptrdiff_t>(random() % members.size()));
      detail::inet_ehash_erase(net, *gone->second);
      w.timewaits.free(gone->second);
      members.erase(gone);
    }
    REQUIRE(info.entries == members.size());
    REQUIRE(info.size >= std::min(2 * static_cast<u32>(members.size()), room));
    if (n % 16 != 0 && n > 100) continue;
    for (auto const& [m, member] : members) {
      inet_link const link{inet_kind::timewait, w.timewaits.index_of(member)};
      REQUIRE(inet_lookup(net, key_of(m), inet_ehashfn(net, key_of(m))) == link);
    }
  }
  CHECK(info.size == room);
  u32 longest = 0, seen = 0;
  for (u32 i = 0; i < info.size; ++i) {
    inet_link const slot = info.ehash[i];
    CHECK(info.used.test(i) == (slot != inet_link{}));
    u32 length = 0;
    for ([[maybe_unused]] auto const& each : inet_chain_of<tcp_timewait_sock>(w, slot)) ++length;
    longest = std::max(longest, length), seen += length;
  }
  CHECK(seen == members.size());
  CHECK(longest <= 8);
  for (auto const& [m, member] : members) {
    detail::inet_ehash_erase(net, *member);
    w.timewaits.free(member);
  }
  CHECK(info.entries == 0);
  for (u32 i = 0; i < info.size; ++i) CHECK(!info.used.test(i));
  t.over();
}

TEST_CASE("a connect() that chooses its port takes one of an empty slot, if it need not look for long", "[S145][S32]") {
  tcp_script t;
  auto& info = tcp_worker_of(t.net()).hashinfo;
  auto const used = [&] {
    return std::count_if(info.slots().begin(), info.slots().end(), [](inet_link at) { return at != inet_link{}; });
  };
  constexpr int many = 60;
  for (bool const grown : {false, true}) {  // the second time, the table has all slots that it needs
    std::vector<int> fds;
    while (fds.size() < many) REQUIRE(t.connect(fds.emplace_back(t.stream())) == errc::operation_in_progress);
    CHECK(info.entries == many);
    if (grown) CHECK(used() >= many - 2);  // at random 47 of them
    for (int const fd : fds) t.close(fd);
    CHECK(used() == 0);
  }
  t.over();
}

TEST_CASE("a connect() that found one port in TIME-WAIT and takes another leaves the first alone", "[S98]") {
  for (u16 taken : {u16{40000}, u16{40001}}) {
    tcp_script t;
    auto& w = tcp_worker_of(t.net());
    t.rig.ns().ip_local_ports[0] = 40000, t.rig.ns().ip_local_ports[1] = 40001;
    for (u16 to = 4000; to < 4020; ++to) {
      enter_time_wait(t, to, taken, 60'000'000'000);
      int const fd = t.stream();
      auto const r = netstack::connect(t.net(), fd, inet_addr_of(peer_addr, to));
      CHECK((!r && r.error() == errc::operation_in_progress));
      CHECK(getsockname(t.net(), fd)->sin_port.host() == (taken ^ 1));
      CHECK(w.timewaits.in_use() == to - 3999u);
    }
    t.over();
  }
}

TEST_CASE("of many in TIME-WAIT all go whose time has come, at once, and no others", "[S104]") {
  tcp_script t;
  auto& net = t.net();
  auto& w = tcp_worker_of(net);
  for (u16 port = 1; port <= 50; ++port)
    enter_time_wait(t, port, static_cast<u16>(port % 3), port <= 37 ? 1'000'000'000 : 2'000'000'000);
  t.after(999);
  CHECK(w.timewaits.in_use() == 50);
  t.after(2);
  CHECK(w.timewaits.in_use() == 13);
  CHECK(w.hashinfo.entries == 13);
  t.after(1000);
  CHECK(w.timewaits.in_use() == 0);
  CHECK(w.hashinfo.entries == 0);
  for (u16 port = 0; port < 3; ++port) CHECK(inet_bind_bucket_of(net, port).timewaits.empty());
  t.over();
}

TEST_CASE("whoever shares a port as a connection is found by who wants it alone, however many have come since",
          "[S98]") {
  for (u32 stays = 0; stays < 3; ++stays) {
    tcp_script t;
    t.rig.ns().ip_local_ports[0] = t.rig.ns().ip_local_ports[1] = 40000;
    std::array<int, 3> fds{};
    for (u16 i = 0; i < 3; ++i) {
      fds[i] = t.stream();
      auto const r = netstack::connect(t.net(), fds[i], inet_addr_of(peer_addr, static_cast<u16>(4000 + i)));
      REQUIRE((!r && r.error() == errc::operation_in_progress));
    }
    errc why{};
    for (u32 i : {stays + 1, stays + 2}) {
      t.close(fds[i % 3]);
      bound(t, {}, &why, 40000);
      CHECK(why == errc::address_in_use);
    }
    t.close(fds[stays]);
    bound(t, {}, &why, 40000);
    CHECK(why == errc{});
    t.over();
  }
}

TEST_CASE("/proc/net/tcp lists once who stays while it is read, though the table grows", "[S166]") {
  tcp_script t;
  auto& net = t.net();
  auto& w = tcp_worker_of(net);
  std::vector<tcp_timewait_sock*> all;
  auto const add = [&](u32 n) {
    auto& tw = *w.timewaits.alloc();
    tw.netns = static_cast<u8>(net.index), tw.saddr = be32{0xcb007100u + n}, tw.daddr = our_addr, tw.sport = be16{7},
    tw.hnum = 80;
    detail::inet_ehash_insert(net, tw, inet_ehashfn(net, tw.key()));
    all.push_back(&tw);
  };
  for (u32 n = 0; n < 60; ++n) add(n);
  std::map<u64, int> times;  // place: how often
  char room[seq_record_max];
  seq_cursor at;
  for (u32 n = 60;; ++n) {
    seq_file m{room};
    if (!tcp4_seq_show(net, m, at)) break;
    std::string_view const line(room, m.count());
    ++times[std::strtoull(std::string(line.substr(line.find_last_not_of(" \n") - 15, 16)).c_str(), nullptr, 16)];
    if (n < 200) add(n), add(n + 1000);
  }
  for (u32 i = 0; i < 60; ++i) CHECK(times[u64{w.timewaits.index_of(all[i])} + 1] == 1);
  for (auto const& [place, n] : times) CHECK(n == 1);
  for (auto* tw : all) detail::inet_ehash_erase(net, *tw), w.timewaits.free(tw);
  t.over();
}

// --- what strangers can tell

TEST_CASE("ports of connections cannot be foretold: RFC 6056", "[S32][SAD DNS]") {
  tcp_script t;
  std::vector<u16> ports;
  for (int i = 0; i < 300; ++i) {
    int const fd = t.stream();
    (void)t.connect(fd);
    ports.push_back(t.our_port);
    t.close(fd);
  }
  std::set<int> steps, distinct(ports.begin(), ports.end());
  u32 low = 0;
  for (std::size_t i = 1; i < ports.size(); ++i) steps.insert(ports[i] - ports[i - 1]);
  for (u16 port : ports) low += port < (32768 + 60999) / 2;
  CHECK(steps.size() > 290);  // no step repeats itself but by chance
  CHECK(distinct.size() > 290);
  CHECK((low > 100 && low < 200));  // both halves of the range
  tcp_script u(2);
  (void)u.connect(u.stream());
  CHECK(u.our_port != ports[0]);  // another secret
  t.over();
}

TEST_CASE("initial sequence numbers: growing for one pair of ends, unrelated for others: RFC 6528", "[NUMBER:JACK]") {
  tcp_script t, other(2);
  auto const isn = [](tcp_script& of, u16 port) {
    inet_ehash_key const ends{.saddr = peer_addr, .daddr = our_addr, .sport = be16{port}, .hnum = 80};
    return secure_tcp_seq_and_ts_off(of.net(), ends).seq;
  };
  u32 last = isn(t, 4000);
  u64 grown = 0;
  for (int i = 0; i < 1000; ++i) {
    t.after(1);
    u32 const next = isn(t, 4000);
    REQUIRE(after(next, last));
    grown += next - last;
    last = next;
  }
  CHECK(grown / 1000 > 1'000'000 / 70);  // RFC 9293 §3.4.1: a tick of 4 us or faster
  std::set<u32> steps, high;
  for (u16 port = 1; port <= 10'000; ++port) {
    u32 const a = isn(t, port);
    steps.insert(isn(t, static_cast<u16>(port + 1)) - a);
    high.insert(a >> 24);
  }
  CHECK(steps.size() > 9'990);
  CHECK(high.size() == 256);
  CHECK(isn(t, 4000) - isn(other, 4000) != 0);
  // The same of the SYN-ACKs that go out.
  t.listen();
  std::set<u32> sent;
  for (u16 port = 5000; port < 5008; ++port) knock(t, port), t.out("S. 0 ack 1"), sent.insert(t.our_isn >> 16);
  CHECK(sent.size() == 8);
  t.over();
}

// --- TIME-WAIT and who comes after it

namespace {
/// A connection of ours to the peer that ended, and waits: its local port.
u16 time_wait(tcp_script& t, std::string const& options) {
  int const fd = t.connected(options);
  std::string const ts = options.find("ts") == std::string::npos ? "" : " ts 7 0";
  t.close(fd);
  t.pending.clear();
  t.in("F. 1 ack 2" + ts);
  t.pending.clear();
  REQUIRE(tcp_worker_of(t.net()).timewaits.in_use() == 1);
  return t.our_port;
}
}  // namespace

TEST_CASE("tcp_tw_reuse: a connection follows one in TIME-WAIT if time stamps tell them apart: RFC 6191", "[S98]") {
  for (auto const& [reuse, delay, options, wait, may] :
       {std::tuple{1, "1000", "mss 1460 ts 5 0", 1100, true},
        {1, "1000", "mss 1460 ts 5 0", 500, false},
        {1, "300", "mss 1460 ts 5 0", 500, true},
        {1, "1000", "mss 1460", 1100, false},
        {0, "1000", "mss 1460 ts 5 0", 1100, false},
        {2, "1000", "mss 1460 ts 5 0", 1100, false} /* not within this host */}) {
    tcp_script t;
    REQUIRE(sysctl_write(t.net(), "net/ipv4/tcp_tw_reuse_delay", delay));
    tcp_pernet(t.net()).sysctl_tcp_tw_reuse = static_cast<u8>(reuse);
    t.rig.ns().ip_local_ports[0] = t.rig.ns().ip_local_ports[1] = 40000;
    CHECK(time_wait(t, options) == 40000);
    u32 const old = t.our_isn;
    t.after(static_cast<u64>(wait));
    int const fd = t.stream();
    errc const r = t.connect(fd);
    CHECK(r == (may ? errc::operation_in_progress : errc::address_not_available));
    CHECK(t.ext().TWRecycled.read() == may);
    if (may) {
      t.our_isn_known = false;
      t.out("S 0 ts * 7");
      CHECK(t.our_isn == old + 2 + 65535 + 2);
      CHECK(tcp_worker_of(t.net()).timewaits.in_use() == 0);
    }
    t.over();
  }
}

TEST_CASE("a port in TIME-WAIT may be bound again by who said so, and so had its connection", "[S98]") {
  for (bool const before_it : {false, true})
    for (bool const now : {false, true}) {
      tcp_script t;
      int const l = bound(t, {{}, before_it, false, true});
      t.listener = l;
      t.in("S 0 mss 1460").out("S. 0 ack 1").in(". 1 ack 1");
      t.close(t.accept());
      t.out("F. 1 ack 1").in("F. 1 ack 2").out(". 2 ack 2");
      t.close(l);
      errc why{};
      bound(t, {{}, now, false, true}, &why);
      CHECK(why == (before_it && now ? errc{} : errc::address_in_use));
      t.over();
    }
}

TEST_CASE("early demux: a known flow's segments come with their socket; nothing else differs", "[S117]") {
  for (u8 const on : {u8{0}, u8{1}}) {
    tcp_script t;
    tcp_pernet(t.net()).sysctl_tcp_early_demux = on;
    int const fd = t.accepted();
    t.in("P. 1:6 ack 1");
    sk_buff* const skb = t.rig.host.worker().pool.alloc_skb();
    bytes const packet =
        datagram{.protocol = ipproto::tcp, .payload = t.bytes_of(tcp_seg::parse("P. 6:9 ack 1"))}.build();
    std::memcpy(skb->put(static_cast<u32>(packet.size())), packet.data(), packet.size());
    skb->reset_network_header();
    skb->dev = t.rig.eth0, skb->skb_iif = t.rig.eth0->ifindex;
    skb->pkt_type = pkt_type::host;
    tcp_v4_early_demux(t.net(), *skb);
    CHECK(skb->sk == (on ? &t.sk(fd) : nullptr));
    CHECK((skb->dst == t.sk(fd).sk_rx_dst) == (on == 1));
    skb->pkt_type = pkt_type::otherhost;
    consume_skb(*skb);
    t.pending.clear();
    t.in("P. 6:9 ack 1");
    t.read(fd, 8);
    t.over();
  }
}
