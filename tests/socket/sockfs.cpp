// SPDX-License-Identifier: BSL-1.0
// The handle table: numbers, inodes, exhaustion and reuse; what sock_init does and undoes.
#include "netstack/socket/sockfs.hpp"

#include <set>
#include <string>
#include <vector>

#include "netstack/stack/stack.hpp"
#include "support/catch.hpp"
#include "support/toy_family.hpp"

namespace {

using namespace netstack;
using test::af_toy;
using test::toy_family;

struct small : stack<small, toy_family, sizes<config{.max_sock = 100, .max_handle = 70}>> {};
struct few_socks : stack<few_socks, toy_family, sizes<config{.max_sock = 3, .max_handle = 8}>> {};
struct two_workers : stack<two_workers, toy_family, sizes<config{.workers = 2}>> {};

std::vector<std::string> steps(std::span<boot_event const> trace, std::string_view what) {
  std::vector<std::string> out;
  for (auto const& e : trace)
    if (what == e.what) out.emplace_back(e.name);
  return out;
}

}  // namespace

TEST_CASE("a handle is the lowest free number, and the table's end is ENFILE", "[S24]") {
  small h;
  REQUIRE(h.boot());
  auto& net = h.init_net();
  for (int i = 0; i < 70; ++i) REQUIRE(socket(net, af_toy, sock_type::dgram).value() == i);
  CHECK(socket(net, af_toy, sock_type::dgram).error() == std::errc::too_many_files_open_in_system);
  for (int fd : {66, 3, 64}) REQUIRE(close(net, fd));
  CHECK(socket(net, af_toy, sock_type::dgram).value() == 3);
  CHECK(socket(net, af_toy, sock_type::dgram).value() == 64);
  CHECK(socket(net, af_toy, sock_type::dgram).value() == 66);
  CHECK(socket(net, af_toy, sock_type::dgram).error() == std::errc::too_many_files_open_in_system);
  CHECK(sockfs::table_of(net).open_count() == 70);
}

TEST_CASE("a slot is built once and comes back clean", "[S24]") {
  small h;
  REQUIRE(h.boot());
  auto& net = h.init_net();
  auto& table = sockfs::table_of(net);
  CHECK(table.constructed() == 0);
  for (int round = 0; round < 1000; ++round) {
    int const a = socket(net, af_toy, sock_type::dgram | sock_type::nonblock).value();
    int const b = socket(net, af_toy, sock_type::dgram).value();
    REQUIRE((a == 0 && b == 1));
    auto* handle = table.find(b);
    REQUIRE(handle != nullptr);
    CHECK_FALSE(handle->nonblock);  // nothing is left of the handle that had the slot before
    REQUIRE(close(net, a));
    int const again = socket(net, af_toy, sock_type::dgram).value();
    CHECK(again == 0);
    CHECK_FALSE(table.find(again)->nonblock);
    REQUIRE(close(net, again));
    REQUIRE(close(net, b));
  }
  CHECK(table.constructed() == 2);
  CHECK(table.open_count() == 0);
  CHECK(net.sock_inuse == 0);
}

TEST_CASE("no free sock is ENOMEM, and leaves no handle behind", "[S24][S102]") {
  few_socks h;
  REQUIRE(h.boot());
  auto& net = h.init_net();
  for (int i = 0; i < 3; ++i) REQUIRE(socket(net, af_toy, sock_type::dgram));
  CHECK(socket(net, af_toy, sock_type::dgram).error() == std::errc::not_enough_memory);
  CHECK(sockfs::table_of(net).open_count() == 3);
  REQUIRE(close(net, 1));
  CHECK(socket(net, af_toy, sock_type::dgram).value() == 1);
}

TEST_CASE("no two sockets of a stack ever have the same inode number", "[S27]") {
  two_workers h;
  REQUIRE(h.boot());
  std::set<u64> seen;
  for (int round = 0; round < 100; ++round)
    for (u32 w = 0; w < 2; ++w) {
      auto& net = h.init_net(w);
      int const fd = socket(net, af_toy, sock_type::dgram).value();
      auto const st = fstat(net, fd);
      REQUIRE(st);
      CHECK(st->mode == 0140777u);
      CHECK(seen.insert(st->ino).second);
      REQUIRE(close(net, fd));
    }
  CHECK(seen.count(0) == 0);
}

TEST_CASE("sock_init's steps run in Linux's order, before devices", "[S22]") {
  small h;
  REQUIRE(h.boot());
  CHECK(steps(h.boot_trace(), "init") == std::vector<std::string>{"net_ns_init", "net_sysctl_init", "skb_init",
                                                                  "init_inodecache", "register_filesystem",
                                                                  "kern_mount", "net_dev_init"});
  CHECK(std::string_view(netstack::net<small>::file_systems[0].name) == "sockfs");
}

TEST_CASE("a failing step of sock_init undoes those before it", "[S22][S26]") {
  // 0 net_ns_init, 1 net_sysctl_init, 2 skb_init, 3 init_inodecache, 4 register_filesystem, 5 kern_mount, 6
  // net_dev_init
  struct {
    int fail_at;
    std::vector<std::string> undone;
  } const cases[] = {
      {4, {"init_inodecache", "skb_init", "net_sysctl_init", "net_ns_init"}},
      {5, {"register_filesystem", "init_inodecache", "skb_init", "net_sysctl_init", "net_ns_init"}},
      {6, {"kern_mount", "register_filesystem", "init_inodecache", "skb_init", "net_sysctl_init", "net_ns_init"}},
  };
  for (auto const& c : cases) {
    small h;
    CHECK_FALSE(h.boot({.fail_initcall = c.fail_at}));
    CHECK(steps(h.boot_trace(), "exit") == c.undone);
    REQUIRE(h.boot());  // nothing is left that a second boot could trip over
    CHECK(socket(h.init_net(), af_toy, sock_type::dgram));
  }
}

TEST_CASE("before sockfs is mounted there are no sockets", "[S26]") {
  small h;
  REQUIRE(h.boot());
  auto& net = h.init_net();
  detail::unmount_sockfs(net);
  CHECK(socket(net, af_toy, sock_type::dgram).error() == std::errc::no_such_device);
  REQUIRE(detail::mount_sockfs(net));
  CHECK(socket(net, af_toy, sock_type::dgram));
}

TEST_CASE("a namespace that goes takes its sockets along, and nobody else's") {
  small h;
  REQUIRE(h.boot());
  auto& init_net = h.init_net();
  auto made = h.copy_net_ns();
  REQUIRE(made);
  auto& other = **made;
  int const mine = socket(init_net, af_toy, sock_type::dgram).value();
  int const theirs = socket(other, af_toy, sock_type::dgram).value();
  REQUIRE(send(other, theirs, "unread", 6).value() == 6);
  CHECK(init_net.sock_inuse == 1);
  CHECK(other.sock_inuse == 1);
  h.put_net(other);
  h.poll();
  CHECK(sockfs::table_of(init_net).find(theirs) == nullptr);
  CHECK(sockfs::table_of(init_net).find(mine) != nullptr);
  CHECK(h.worker().pool.in_use() == 0);
  CHECK(test::toy_of(init_net).socks.in_use() == 1);
}

TEST_CASE("a proto without a place for what few ask for: that cannot be asked for, and all else is as ever") {
  small h;
  REQUIRE(h.boot());
  auto& net = h.init_net();
  int const fd = socket(net, af_toy, sock_type::dgram | sock_type::nonblock).value();
  static_assert(!test::toy_prot<netstack::net<small>>.rare);
  timeval const second{1, 0};
  linger const at_once{1, 0};
  auto const refused = [&](int option, auto value) {
    INFO("option " << option);
    auto const r = setsockopt(net, fd, sol::socket, option, value);
    CHECK((!r && r.error() == std::errc::no_protocol_option));
  };
  refused(so::rcvtimeo, second), refused(so::sndtimeo, second), refused(so::linger, at_once);
  for (int const option : {so::timestamp, so::timestampns, so::timestamping, so::peek_off, so::busy_poll,
                           so::max_pacing_rate, so::incoming_cpu})
    refused(option, 1);
  // What is read back is what no socket was told.
  CHECK(getsockopt<int>(net, fd, sol::socket, so::peek_off).value() == -1);
  CHECK(getsockopt<int>(net, fd, sol::socket, so::timestamp).value() == 0);
  CHECK(getsockopt<timeval>(net, fd, sol::socket, so::rcvtimeo).value().tv_sec == 0);
  // The others are its own.
  REQUIRE(setsockopt(net, fd, sol::socket, so::priority, 3));
  REQUIRE(setsockopt(net, fd, sol::socket, so::rcvbuf, 5000));
  CHECK(getsockopt<int>(net, fd, sol::socket, so::rcvbuf).value() == 10'000);
  char text[8];
  REQUIRE(send(net, fd, "netstack", 8));
  CHECK(recv(net, fd, text, sizeof text).value() == 8);
  CHECK(recv(net, fd, text, sizeof text).error() == std::errc::resource_unavailable_try_again);
  // No error waits in a queue that it has not.
  sock& sk = *sockfs::table_of(net).find(fd)->sk;
  sk_buff* const skb = net.worker().pool.alloc_skb(0);
  REQUIRE(skb);
  CHECK_FALSE(sock_queue_err_skb(sk, *skb));
  consume_skb(*skb);
  REQUIRE(close(net, fd));
}
