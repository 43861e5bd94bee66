// SPDX-License-Identifier: BSL-1.0
// The main job, shown: what a composition resolves to and its memory bound; then, as root, Linux pings the stack and
// exchanges UDP with it, over a TAP device and over AF_XDP on a veth pair, each in a network namespace that ends with
// this program; without root, two stacks in one process do the same. Last the counters, the drop reasons and the pool's
// balance. The exchange over TAP, or of the two stacks, is left in demo.pcap.
// RUN:
// OUTPUT: ^memory bound \d+ B
// OUTPUT: ^demo: \d+ of \d+ datagrams came back byte for byte
// OUTPUT: ^demo: (Linux pings 192.0.2.2 over AF_XDP|AF_XDP is not shown: .+)$
// OUTPUT: ^demo: everything is back in the pool
#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>

#include "netstack/drivers/af_xdp.hpp"
#include "netstack/drivers/pcap_writer.hpp"
#include "netstack/drivers/pipe.hpp"
#include "netstack/drivers/tap.hpp"
#include "pinger.hpp"
#include "services.hpp"

using namespace netstack;
using tap = drivers::pcap_writer<drivers::tap>;
using pipe_end = drivers::pcap_writer<drivers::pipe>;
using drivers::af_xdp;

struct host : stack<host, presets::host, services::pinger, tap, af_xdp, pipe_end, drivers::pipe> {};
using net_t = net<host>;

static constexpr char const* pcap_file = "demo.pcap";
static constexpr u32 datagrams = 1473;  // of 0 … 1472 bytes

static bool all_came_back(u32 good) {
  std::printf("demo: %u of %u datagrams came back byte for byte\n", good, datagrams);
  return good == datagrams;
}

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

/// Linux, 192.0.2.1 on that interface, pings the stack and exchanges datagrams with it; false: something was lost.
static bool talk_with_linux(host& h, char const* ifname, char const* medium) {
  char const* const address[] = {"ip", "addr", "add", "192.0.2.1/24", "dev", ifname, nullptr};
  char const* const ping[] = {"ping", "-c", "3", "-i", "0.2", "-W", "2", "192.0.2.2", nullptr};
  if (run_program(h, address, 5'000'000'000) != 0) return false;
  std::printf("demo: Linux pings 192.0.2.2 over %s\n", medium);
  std::fflush(stdout);
  bool const pinged = run_program(h, ping, 10'000'000'000) == 0;
  return all_came_back(exchange_with_linux(h)) && pinged;
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

/// A device that is done with; its interface in Linux is free again.
static void remove_device(net_t& net, char const* name) {
  if (auto* dev = net.dev_get_by_name(name)) unregister_netdev(net, *dev);
}

static bool over_tap(host& h) {
  auto& net = h.init_net();
  auto dev = register_netdev<tap>(net, "eth0", {.inner = {.ifname = "nst0", .bring_up = true}, .path = pcap_file});
  if (!dev) return std::printf("demo: %s\n", drivers::tap::explain(dev.error()).data()), false;
  bool const good = configure(net, dev, "192.0.2.2/24") && talk_with_linux(h, "nst0", "TAP");
  remove_device(net, "eth0");
  return good;
}

/// The stack takes over one end of a veth pair. Where the kernel lacks what that needs, nothing is lost: true.
static bool over_af_xdp(host& h) {
  auto& net = h.init_net();
  auto const not_shown = [](std::string_view why) {
    return std::printf("demo: AF_XDP is not shown: %.*s\n", static_cast<int>(why.size()), why.data()), true;
  };
  if (::unshare(CLONE_NEWNET) != 0) return not_shown(std::strerror(errno));
  char const* const veth[] = {
      "sh", "-c", "ip link add nst0 type veth peer nst1 && ip link set nst0 up && ip link set nst1 up", nullptr};
  if (run_program(h, veth, 5'000'000'000) != 0) return not_shown("this kernel makes no veth pair");
  // Between its own two ends Linux leaves checksums unfinished.
  auto dev = register_netdev<af_xdp>(net, "eth0", {.ifname = "nst0", .trust_checksums = true});
  if (!dev) return not_shown(af_xdp::explain(dev.error()));
  bool good = configure(net, dev, "192.0.2.2/24");
  for (int i = 0; i < 3000 && good && !(*dev)->carrier_ok(); ++i) h.poll(), h.wait(1'000'000);
  good = good && talk_with_linux(h, "nst1", "AF_XDP");
  std::printf("demo: AF_XDP in %s mode, %s\n", af_xdp::native(**dev) ? "native" : "skb",
              af_xdp::zero_copy(**dev) ? "zero copy" : "the kernel copies");
  remove_device(net, "eth0");
  return good;
}

/// Without root: a second stack in this process.
static bool over_pipe(host& h, drivers::pipe_cable& cable) {
  std::printf(
      "demo: not root, so two stacks in this process talk over a pipe; as root it would be Linux over TAP\n"
      "demo: AF_XDP is not shown: it needs root\n");
  host second;
  if (!second.boot()) return false;
  auto a = register_netdev<pipe_end>(h.init_net(), "eth0", {.inner = {.cables = &cable, .end = 0}, .path = pcap_file});
  auto b = register_netdev<drivers::pipe>(second.init_net(), "eth0", {.cables = &cable, .end = 1});
  if (!configure(h.init_net(), a, "192.0.2.2/24") || !configure(second.init_net(), b, "192.0.2.1/24")) return false;
  u32 const answers = ping_between_stacks(h, second);
  std::printf("demo: %u of 3 pings of the second stack were answered\n", answers);
  bool const good = all_came_back(exchange_between_stacks(h, second)) && answers == 3;
  remove_device(h.init_net(), "eth0");
  return good;
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
  host h;
  if (!h.boot()) return 1;
  auto& net = h.init_net();
  bool good = false;
  {
    services::inetd<net_t> services{net};
    if (!services.start()) return 1;
    if (::geteuid() == 0 && ::unshare(CLONE_NEWNET) == 0)
      good = over_tap(h) && over_af_xdp(h);
    else
      good = over_pipe(h, cable);
  }
  h.poll();
  bool const clean = services::report(net) && net.worker().pool.lent() == 0;
  std::printf("demo: %s in the pool; the exchange is in %s\n", clean ? "everything is back" : "something is missing",
              pcap_file);
  return clean && good ? 0 : 1;
}
