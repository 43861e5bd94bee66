// SPDX-License-Identifier: BSL-1.0
// The main job, shown: what a composition resolves to and its memory bound; then, as root, Linux pings the stack over a
// TAP device and exchanges UDP with it, in a network namespace that this program makes; without root, two stacks in one
// process do the same. Last the counters, the drop reasons and the pool's balance. The exchange is left in demo.pcap.
// RUN:
// OUTPUT: ^memory bound \d+ B
// OUTPUT: ^demo: \d+ of \d+ datagrams came back byte for byte
// OUTPUT: ^demo: everything is back in the pool
#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>

#include "netstack/drivers/pcap_writer.hpp"
#include "netstack/drivers/pipe.hpp"
#include "netstack/drivers/tap.hpp"
#include "pinger.hpp"
#include "services.hpp"

using namespace netstack;
using tap = drivers::pcap_writer<drivers::tap>;
using pipe_end = drivers::pcap_writer<drivers::pipe>;

struct host : stack<host, presets::host, services::pinger, tap, pipe_end, drivers::pipe> {};
using net_t = net<host>;

static constexpr char const* pcap_file = "demo.pcap";
static constexpr u32 datagrams = 1473;  // of 0 … 1472 bytes

/// Runs a program of the system and polls the stack meanwhile, at most `limit_ns`; its exit code.
static int run_program(host& h, char const* const* argv, u64 limit_ns) {
  pid_t const child = ::fork();
  if (child == 0) {
    ::execvp(argv[0], const_cast<char* const*>(argv));
    ::_exit(127);
  }
  u64 const end = h.worker().now + limit_ns;
  int status = 0;
  while (::waitpid(child, &status, WNOHANG) == 0) {
    if (h.worker().now > end) ::kill(child, SIGKILL);
    if (h.poll() == 0) h.wait(1'000'000);
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/// A Linux socket sends datagrams of every size to our echo service; how many came back as they were sent.
static u32 exchange_with_linux(host& h) {
  int const fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  ::sockaddr_in to{
      .sin_family = AF_INET, .sin_port = ::htons(7), .sin_addr = {::inet_addr("192.0.2.2")}, .sin_zero = {}};
  u8 out[1472], in[2048];
  for (u32 i = 0; i < sizeof out; ++i) out[i] = static_cast<u8>(i * 7);
  u32 good = 0;
  for (u32 n = 0; n < datagrams; ++n) {
    ::sendto(fd, out, n, 0, reinterpret_cast<::sockaddr*>(&to), sizeof to);
    ssize_t got = -1;
    for (int i = 0; i < 1000 && got < 0; ++i) {
      if (h.poll() == 0) h.wait(1'000'000);
      got = ::recv(fd, in, sizeof in, 0);
    }
    good += got == static_cast<ssize_t>(n) && std::memcmp(in, out, n) == 0;
  }
  ::close(fd);
  return good;
}

/// A second stack pings the first; how many of three answers came.
static u32 ping_between_stacks(host& a, host& b) {
  auto const& answers = net_generic<services::pinger>(b.init_net()).answers;
  for (u16 n = 1; n <= 3; ++n) {
    (void)services::pinger::ask(b.init_net(), ipv4_addr("192.0.2.2"), n);
    for (int i = 0; i < 1000 && answers < n; ++i) a.poll(), b.poll();
  }
  return answers;
}

/// The same datagrams from a second stack, with its own socket calls.
static u32 exchange_between_stacks(host& a, host& b) {
  auto& net = b.init_net();
  auto const fd = socket(net, af::inet, sock_type::dgram);
  auto const to = inet_addr_of(ipv4_addr("192.0.2.2"), 7);
  if (!fd) return 0;
  u8 out[1472], in[2048];
  for (u32 i = 0; i < sizeof out; ++i) out[i] = static_cast<u8>(i * 7);
  u32 good = 0;
  for (u32 n = 0; n < datagrams; ++n) {
    (void)sendto(net, *fd, out, n, 0, to);
    result<std::size_t> got = failure{std::errc::timed_out};
    for (int i = 0; i < 1000 && !got; ++i) {
      a.poll(), b.poll();
      got = recv(net, *fd, in, sizeof in, msg::dontwait);
    }
    good += got && *got == n && std::memcmp(in, out, n) == 0;
  }
  (void)close(net, *fd);
  return good;
}

/// An address on a device that is up.
static bool configure(net_t& net, result<net_device*> const& dev, char const* prefix) {
  return dev && dev_open(net, **dev) && inet_addr_add(net, (*dev)->ifindex, *parse_prefix(prefix));
}

int main() {
  host::describe([](std::string_view text) { std::fwrite(text.data(), 1, text.size(), stdout); });
  if (FILE* f = std::fopen(pcap_file, "wb"))
    std::fclose(f);
  else
    return std::printf("demo: %s cannot be written here (%s): start it in a folder of yours\n", pcap_file,
                       std::strerror(errno)),
           1;
  drivers::pipe_cable cable;  // outlives the stacks that are plugged into it
  host h, second;
  if (!h.boot()) return 1;
  auto& net = h.init_net();
  u32 good = 0;
  bool pinged = true;
  {
    services::inetd<net_t> services{net};
    if (!services.start()) return 1;
    bool const root = ::geteuid() == 0 && ::unshare(CLONE_NEWNET) == 0;
    if (root) {
      auto dev = register_netdev<tap>(net, "eth0", {.inner = {.ifname = "nst0", .bring_up = true}, .path = pcap_file});
      if (!dev) return std::printf("demo: %s\n", drivers::tap::explain(dev.error()).data()), 1;
      char const* const address[] = {"ip", "addr", "add", "192.0.2.1/24", "dev", "nst0", nullptr};
      char const* const ping[] = {"ping", "-c", "3", "-i", "0.2", "-W", "2", "192.0.2.2", nullptr};
      if (!configure(net, dev, "192.0.2.2/24") || run_program(h, address, 5'000'000'000) != 0) return 1;
      std::printf("demo: Linux pings 192.0.2.2 over TAP\n");
      std::fflush(stdout);
      pinged = run_program(h, ping, 10'000'000'000) == 0;
      good = exchange_with_linux(h);
    } else {
      std::printf(
          "demo: not root, so two stacks in this process talk over a pipe; as root it would be Linux over TAP\n");
      if (!second.boot()) return 1;
      auto a = register_netdev<pipe_end>(net, "eth0", {.inner = {.cables = &cable, .end = 0}, .path = pcap_file});
      auto b = register_netdev<drivers::pipe>(second.init_net(), "eth0", {.cables = &cable, .end = 1});
      if (!configure(net, a, "192.0.2.2/24") || !configure(second.init_net(), b, "192.0.2.1/24")) return 1;
      u32 const answers = ping_between_stacks(h, second);
      std::printf("demo: %u of 3 pings of the second stack were answered\n", answers);
      pinged = answers == 3;
      good = exchange_between_stacks(h, second);
    }
  }
  std::printf("demo: %u of %u datagrams came back byte for byte\n", good, datagrams);
  if (auto* dev = net.dev_get_by_name("eth0")) dev_close(net, *dev);
  h.poll();
  bool const clean = services::report(net);
  std::printf("demo: %s in the pool; the exchange is in %s\n", clean ? "everything is back" : "something is missing",
              pcap_file);
  return clean && pinged && good == datagrams ? 0 : 1;
}
