// SPDX-License-Identifier: BSL-1.0
// Linux's own TCP at the rows of testing/detail/bench_tcp.hpp: one thread, both ends in network namespaces of this
// program's own with a veth between them. linux/tcp/bulk without the veth's offloads, linux/tcp/bulk_gso with them.
// Needs root and the programs ip and ethtool; built and run by scripts/bench.
#include <arpa/inet.h>
#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

namespace {

constexpr int ports = 64;
int ns[2]{-1, -1};
int listeners[ports];

void enter(int end) { (void)setns(ns[end], CLONE_NEWNET); }
bool run(std::string const& command) { return std::system((command + " >/dev/null 2>&1").c_str()) == 0; }
sockaddr_in name(int port) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(7000 + port));
  inet_pton(AF_INET, "192.0.2.2", &to.sin_addr);
  return to;
}
bool set_up() {
  for (int& fd : ns) {
    if (unshare(CLONE_NEWNET) != 0) return false;
    fd = open("/proc/thread-self/ns/net", O_RDONLY);
    if (!run("ip link set lo up")) return false;
  }
  auto const far = "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(ns[0]);
  if (!run("ip link add nst1 type veth peer name nst0 && ip link set nst0 netns " + far +
           " && ip addr add 192.0.2.2/24 dev nst1 && ip link set nst1 up"))
    return false;
  for (int i = 0; i < ports; ++i) {
    int const fd = listeners[i] = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    auto const at = name(i);
    if (bind(fd, reinterpret_cast<sockaddr const*>(&at), sizeof at) != 0 || listen(fd, 1024) != 0) return false;
  }
  enter(0);
  return run("ip addr add 192.0.2.1/24 dev nst0 && ip link set nst0 up");
}
bool offloads(bool on) {
  bool good = true;
  for (int end : {1, 0}) {
    enter(end);
    good = run("ethtool -K nst" + std::to_string(end) + (on ? " tso on gso on gro on" : " tso off gso off gro off")) &&
           good;
  }
  return good;
}

struct pair {
  int client = -1, server = -1;
  pair() {
    static int next = 0;
    int const port = next++ % ports, on = 1;
    auto const to = name(port);
    client = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(client, reinterpret_cast<sockaddr const*>(&to), sizeof to) != 0) return;
    server = accept(listeners[port], nullptr, nullptr);
    for (int fd : {client, server}) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  ~pair() { close(client), close(server); }
  pair(pair const&) = delete;
  pair& operator=(pair const&) = delete;
};

void bulk(benchmark::State& state, std::size_t write, std::size_t round, bool super) {
  if (!offloads(super)) return state.SkipWithError("ethtool failed");
  pair p;
  std::vector<char> out(write, 0x5a), in(1 << 20);
  for (int fd : {p.client, p.server}) fcntl(fd, F_SETFL, O_NONBLOCK);
  std::size_t sent = 0, got = 0;
  while (state.KeepRunningBatch(static_cast<benchmark::IterationCount>(round / 1448))) {
    std::size_t left = round;
    while (left != 0 || got != sent) {
      while (left != 0) {
        auto const n = send(p.client, out.data(), std::min(left, write), 0);
        if (n <= 0) break;
        left -= static_cast<std::size_t>(n), sent += static_cast<std::size_t>(n);
      }
      while (true) {
        auto const n = recv(p.server, in.data(), in.size(), 0);
        if (n <= 0) break;
        got += static_cast<std::size_t>(n);
      }
    }
  }
}
void rr(benchmark::State& state, int at_once) {
  std::vector<std::unique_ptr<pair>> all;
  for (int i = 0; i < at_once; ++i) all.push_back(std::make_unique<pair>());
  char byte;
  while (state.KeepRunningBatch(at_once)) {
    bool well = true;
    for (auto const& p : all) well &= send(p->client, &byte, 1, 0) == 1;
    for (auto const& p : all) well &= recv(p->server, &byte, 1, 0) == 1 && send(p->server, &byte, 1, 0) == 1;
    for (auto const& p : all) well &= recv(p->client, &byte, 1, 0) == 1;
    if (!well) return state.SkipWithError("bytes were lost");
  }
}
void connect_close(benchmark::State& state, int open, int at_once) {
  std::vector<std::unique_ptr<pair>> idle, all(static_cast<std::size_t>(at_once));
  for (int i = 0; i < open; ++i) idle.push_back(std::make_unique<pair>());
  while (state.KeepRunningBatch(at_once)) {
    for (auto& p : all) p = std::make_unique<pair>();
    bool well = true;
    for (auto const& p : all) well &= p->server >= 0 && shutdown(p->client, SHUT_WR) == 0;
    char byte;
    for (auto const& p : all) well &= recv(p->server, &byte, 1, 0) == 0;
    if (!well) return state.SkipWithError("connections did not end");
    for (auto& p : all) p.reset();
  }
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (!set_up()) return 1;
  struct {
    char const* name;
    std::size_t write, round;
  } const rows[]{{"1460", 1448, 44 * 1448},
                 {"1460/single", 1448, 1448},
                 {"16K", 11 * 1448, 44 * 1448},
                 {"16K/single", 11 * 1448, 11 * 1448},
                 {"64K", 44 * 1448, 44 * 1448}};
  for (auto const& [name, write, round] : rows) {
    benchmark::RegisterBenchmark((std::string("linux/tcp/bulk/") + name).c_str(), bulk, write, round, false);
    benchmark::RegisterBenchmark((std::string("linux/tcp/bulk_gso/") + name).c_str(), bulk, write, round, true);
  }
  for (auto const& [how, at_once] : {std::pair{"", 32}, {"/single", 1}}) {
    benchmark::RegisterBenchmark((std::string("linux/tcp/rr/1") + how).c_str(), rr, at_once);
    benchmark::RegisterBenchmark((std::string("linux/tcp/connect_close/64") + how).c_str(), connect_close, 64, at_once);
  }
  benchmark::RunSpecifiedBenchmarks();
}
