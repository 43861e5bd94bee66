// SPDX-License-Identifier: BSL-1.0
// A router between two links: three stacks on one thread, left — router — right, joined by pipes. The left host sends a
// datagram to the right one, which sends it back; then one whose time to live ends on the way.
// RUN:
// OUTPUT: ^left got "hello" back$
// OUTPUT: ^left was told: No route to host$
// OUTPUT: ^the router forwarded 2 datagrams and let 1 expire$
// OUTPUT: ^0 packets in use$
#include <netstack/netstack.hpp>

#include <cstdio>
#include <cstring>

using namespace netstack;

struct host : stack<host, presets::host, drivers::pipe> {};
struct router : stack<router, presets::router, drivers::pipe> {};

/// Plugs a stack into one end of a cable and gives it an address there.
template <class Host>
bool plug(Host& h, drivers::pipe_cable& cable, u8 end, char const* cidr) {
  auto& net = h.init_net();
  auto dev = register_netdev<drivers::pipe>(net, "eth%d", {.cables = &cable, .end = end, .wakeup = false});
  return dev && dev_open(net, **dev) && inet_addr_add(net, (*dev)->ifindex, ipv4_cidr(cidr));
}

int main() {
  drivers::pipe_cable west, east;
  host left, right;
  router middle;
  if (!left.boot() || !right.boot() || !middle.boot()) return 1;
  auto const run = [&] {
    while (left.poll() + middle.poll() + right.poll() != 0) continue;
  };

  if (!plug(left, west, 0, "192.0.2.2/24") || !plug(middle, west, 1, "192.0.2.1/24")) return 1;
  if (!plug(middle, east, 0, "198.51.100.1/24") || !plug(right, east, 1, "198.51.100.2/24")) return 1;
  // What makes a host a router, and what makes the others use it.
  if (!sysctl_write(middle.init_net(), "net/ipv4/ip_forward", "1")) return 1;
  if (!ip_route_add(left.init_net(), {.fc_gw4 = ipv4_addr("192.0.2.1")})) return 1;
  if (!ip_route_add(right.init_net(), {.fc_gw4 = ipv4_addr("198.51.100.1")})) return 1;
  run();

  // There and back. A blocking call would drive its own stack only, so these do not wait.
  auto &here = left.init_net(), &there = right.init_net();
  auto const client = socket(here, af::inet, sock_type::dgram), server = socket(there, af::inet, sock_type::dgram);
  auto const echo = inet_addr_of(ipv4_addr("198.51.100.2"), 7);
  if (!client || !server || !bind(there, *server, echo) || !connect(here, *client, echo)) return 1;
  char text[64];
  sockaddr_in from{};
  if (!send(here, *client, "hello", 5)) return 1;
  run();
  auto const n = recvfrom(there, *server, text, sizeof text, msg::dontwait, from);
  if (!n || !sendto(there, *server, text, *n, 0, from)) return 1;
  run();
  if (auto const got = recv(here, *client, text, sizeof text, msg::dontwait))
    std::printf("left got \"%.*s\" back\n", static_cast<int>(*got), text);

  // One hop is not enough: the router sends ICMP time exceeded, and the socket, which asked for errors, is told.
  if (!setsockopt(here, *client, sol::ip, ip_opt::recverr, 1)) return 1;
  if (!setsockopt(here, *client, sol::ip, ip_opt::ttl, 1)) return 1;
  if (!send(here, *client, "hello", 5)) return 1;
  run();
  if (auto const got = recv(here, *client, text, sizeof text, msg::dontwait); !got)
    std::printf("left was told: %s\n", std::strerror(static_cast<int>(got.error())));

  auto const forwarded = snmp_get(middle.init_net(), "Ip", "ForwDatagrams");
  auto const expired = snmp_get(middle.init_net(), "IcmpMsg", "OutType11");
  std::printf("the router forwarded %d datagrams and let %d expire\n", static_cast<int>(forwarded.value_or(0)),
              static_cast<int>(expired.value_or(0)));
  if (!close(here, *client) || !close(there, *server)) return 1;  // with the error that nobody fetched
  run();
  u32 const in_use = left.worker().pool.in_use() + middle.worker().pool.in_use() + right.worker().pool.in_use();
  std::printf("%u packets in use\n", in_use);
  return in_use == 0 ? 0 : 1;
}
