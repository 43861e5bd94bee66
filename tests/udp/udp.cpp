// SPDX-License-Identifier: BSL-1.0
// The module: what it registers, its limits, and what it needs.
#include "netstack/udp/udp.hpp"

#include "netstack/stack/sysctl.hpp"
#include "support/inet_host.hpp"
#include "support/proc_text.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

struct host : stack<host, ipv4, udp> {};
struct large : stack<large, ipv4, udp, sizes<config{.skb_pool = 16384}>> {};
struct without : stack<without, ipv4> {};

}  // namespace

TEST_CASE("udp_prot has exactly the ops of the matrix, and /proc/net/protocols shows it", "[S90][S93]") {
  inet_host<host> h;
  auto const rows = lines_of(proc_text(h.net(), "net/protocols"));
  REQUIRE(rows.size() == 2);
  auto const words = words_of(rows[1]);
  REQUIRE(words.size() == 27);
  CHECK(words[0] == "UDP");
  std::string letters;
  for (std::size_t i = 8; i < words.size(); ++i) letters += words[i];
  CHECK(letters == "yyynynynyyyyynyyyyn");
}

TEST_CASE("udp_mem follows from the pool's size; the minimum per socket is a page", "[S150]") {
  // 4096 frames of 2 KiB are 2048 pages: an eighth is 256.
  CHECK(udp_mem_limit<config{}> == 256);
  CHECK(udp_mem_limit<config{.skb_pool = 1024}> == 128);  // never less
  CHECK(udp_mem_limit<config{.skb_pool = 16384}> == 1024);
  inet_host<large> h;
  auto& net = h.net();
  auto const read = [&](char const* path) {
    char text[64];
    auto const n = sysctl_read(net, path, text);
    REQUIRE(n);
    return std::string(text, *n);
  };
  CHECK(read("net/ipv4/udp_mem") == "768\t1024\t1536\n");
  CHECK(read("net/ipv4/udp_rmem_min") == "4096\n");
  CHECK(read("net/ipv4/udp_wmem_min") == "4096\n");
  CHECK(sysctl_write(net, "net/ipv4/udp_rmem_min", "0").error() == std::errc::invalid_argument);
}

TEST_CASE("a composition without UDP has none of it", "[S9]") {
  inet_host<without> h;
  CHECK(netstack::net<without>::proto_list.empty());
  CHECK(netstack::net<without>::inet_protos[ipproto::udp] == nullptr);
  CHECK(netstack::socket(h.net(), af::inet, sock_type::dgram).error() == static_cast<std::errc>(94));
  char text[64];
  CHECK(sysctl_read(h.net(), "net/ipv4/udp_mem", text).error() == std::errc::no_such_file_or_directory);
}

TEST_CASE("the control block and the sock fit what they are made for") {
  STATIC_REQUIRE(sizeof(inet_skb_rcv) <= 48);
  STATIC_REQUIRE(sizeof(sock_exterr_skb) <= 48);
  STATIC_REQUIRE(offsetof(sock, sk_receive_queue) == cache_line);
  STATIC_REQUIRE(sizeof(udp_sock) <= 1024);
}
