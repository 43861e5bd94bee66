// SPDX-License-Identifier: BSL-1.0
// The main job, shown: what a composition resolves to and its memory bound; then, as root, Linux pings the stack,
// exchanges UDP with it and fetches BYTES (1 GiB) from its web server with curl, over a TAP device and over AF_XDP on a
// veth pair, each in a network namespace that ends with this program, and last from itself over the same pair; without
// root, two stacks in one process do the same. Then the counters, the drop reasons and the pool's balance. The exchange
// over TAP, or of the two stacks, without the large fetch, is left in demo.pcap.
//   demo [BYTES]
// RUN: 8388608
// OUTPUT: ^memory bound \d+ B
// OUTPUT: ^demo: \d+ of \d+ datagrams came back byte for byte
// OUTPUT: ^demo: .*8388608 bytes .* \d+ MB/s
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

struct host : stack<host, presets::full, services::pinger, tap, drivers::tap, af_xdp, pipe_end, drivers::pipe,
                    sizes<config{.skb_pool = 16384}>> {};
using net_t = net<host>;

static constexpr char const* pcap_file = "demo.pcap";
static constexpr u32 datagrams = 1473;  // of 0 … 1472 bytes

static bool all_came_back(u32 good) {
  std::printf("demo: %u of %u datagrams came back byte for byte\n", good, datagrams);
  return good == datagrams;
}

/// Runs a program of the system and polls the stack meanwhile, at most `limit_ns`; its exit code. `out`: what it
/// printed, if it is not much.
static int run_program(host& h, char const* const* argv, u64 limit_ns, std::string* out = nullptr) {
  int pipe[2] = {-1, -1};
  if (out && ::pipe2(pipe, O_CLOEXEC | O_NONBLOCK) != 0) return 1;
  pid_t const child = ::fork();
  if (child == 0) {
    if (out) ::dup2(pipe[1], STDOUT_FILENO);
    ::execvp(argv[0], const_cast<char* const*>(argv));
    ::_exit(127);
  }
  u64 const end = h.worker().now + limit_ns;
  int status = 0;
  while (::waitpid(child, &status, WNOHANG) == 0) {
    if (h.worker().now > end) ::kill(child, SIGKILL);
    if (h.poll() == 0) h.wait(1'000'000);
  }
  if (out) {
    char text[512];
    if (ssize_t const n = ::read(pipe[0], text, sizeof text); n > 0) out->assign(text, static_cast<std::size_t>(n));
    ::close(pipe[0]), ::close(pipe[1]);
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
static int run_shell(host& h, std::string const& command, u64 limit_ns, std::string* out = nullptr) {
  char const* const argv[] = {"sh", "-c", command.c_str(), nullptr};
  return run_program(h, argv, limit_ns, out);
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

// --- a large fetch

/// What sha256sum says of the page.
static std::string hash_of_page(u64 bytes) {
  int in[2], out[2];
  if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0) return "?";
  pid_t const child = ::fork();
  if (child == 0) {
    ::dup2(in[0], STDIN_FILENO), ::dup2(out[1], STDOUT_FILENO);
    ::execlp("sha256sum", "sha256sum", nullptr);
    ::_exit(127);
  }
  ::close(in[0]), ::close(out[1]);
  static u8 chunk[65536];
  for (u64 at = 0; at < bytes; at += sizeof chunk) {
    std::size_t const n = std::min<u64>(sizeof chunk, bytes - at);
    services::fill_bytes(at, {chunk, n});
    if (::write(in[1], chunk, n) != static_cast<ssize_t>(n)) break;
  }
  ::close(in[1]);
  char text[64]{};
  (void)!::read(out[0], text, sizeof text);
  ::close(out[0]);
  ::waitpid(child, nullptr, 0);
  return {text, sizeof text};
}

/// curl fetches the page twice: for the time and for the hash.
static bool fetch_with_curl(host& h, u64 bytes, char const* from) {
  static std::string const expected = hash_of_page(bytes);
  std::string const curl = "curl -s -f --noproxy '*' --max-time 100 http://192.0.2.2/bytes/" + std::to_string(bytes);
  std::string speed, hash;
  int const code = run_shell(h, curl + " -o /dev/null -w '%{speed_download}'", 110'000'000'000, &speed);
  if (code == 127) return std::printf("demo: curl is missing: no fetch is shown\n"), true;
  bool good = code == 0 && run_shell(h, curl + " | sha256sum", 110'000'000'000, &hash) == 0;
  good = good && hash.substr(0, expected.size()) == expected;
  std::printf("demo: curl fetched %llu bytes %s: %.0f MB/s, the hash is %s\n", static_cast<unsigned long long>(bytes),
              from, std::strtod(speed.c_str(), nullptr) / 1e6, good ? "right" : "WRONG");
  std::fflush(stdout);
  for (int i = 0; i < 20; ++i) h.poll(), h.wait(1'000'000);  // the connections end
  return good;
}

/// Linux's own TCP serves the page, in a namespace that has the other end of the veth pair.
[[noreturn]] static void serve_as_linux(int ready) {
  if (::unshare(CLONE_NEWNET) != 0 || ::write(ready, "1", 1) != 1) ::_exit(1);
  while (std::system("ip link show nst0 >/dev/null 2>&1") != 0) ::usleep(10'000);
  if (std::system("ip addr add 192.0.2.2/24 dev nst0 && ip link set nst0 up") != 0) ::_exit(1);
  int const listener = ::socket(AF_INET, SOCK_STREAM, 0);
  ::sockaddr_in const here{.sin_family = AF_INET, .sin_port = ::htons(80), .sin_addr = {}, .sin_zero = {}};
  if (::bind(listener, reinterpret_cast<::sockaddr const*>(&here), sizeof here) != 0) ::_exit(1);
  if (::listen(listener, 4) != 0 || ::write(ready, "2", 1) != 1) ::_exit(1);
  for (;;) {
    int const fd = ::accept(listener, nullptr, nullptr);
    static char request[4096];
    static u8 chunk[65536];
    ssize_t const n = ::recv(fd, request, sizeof request - 1, 0);
    request[n > 0 ? n : 0] = 0;
    u64 const bytes = std::strtoull(request + std::strlen("GET /bytes/"), nullptr, 10);
    char head[128];
    int const size =
        std::snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %llu\r\n\r\n",
                      static_cast<unsigned long long>(bytes));
    bool good = ::send(fd, head, static_cast<std::size_t>(size), MSG_NOSIGNAL) == size;
    for (u64 at = 0; at < bytes && good;) {
      std::size_t const part = std::min<u64>(sizeof chunk, bytes - at);
      services::fill_bytes(at, {chunk, part});
      ssize_t const sent = ::send(fd, chunk, part, MSG_NOSIGNAL);
      good = sent > 0;
      if (good) at += static_cast<u64>(sent);
    }
    ::close(fd);
  }
}
static bool fetch_from_linux(host& h, u64 bytes) {
  int ready[2];
  if (::pipe2(ready, O_CLOEXEC) != 0) return false;
  pid_t const child = ::fork();
  if (child == 0) serve_as_linux(ready[1]);
  ::close(ready[1]);
  char step;
  bool good = ::read(ready[0], &step, 1) == 1 &&
              run_shell(h, "ip link set nst0 netns " + std::to_string(child), 5'000'000'000) == 0 &&
              ::read(ready[0], &step, 1) == 1;
  good = good && fetch_with_curl(h, bytes, "from Linux itself, over the same veth pair");
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  ::close(ready[0]);
  return good;
}

/// A second stack fetches the page, with its own socket calls, and looks at each byte.
static bool fetch_between_stacks(host& a, host& b, u64 bytes) {
  auto& net = b.init_net();
  auto const fd = socket(net, af::inet, sock_type::stream | sock_type::nonblock);
  if (!fd) return false;
  a.poll(), b.poll();  // each end sees that the other is up
  (void)connect(net, *fd, inet_addr_of(ipv4_addr("192.0.2.2"), 80));
  std::string const request = "GET /bytes/" + std::to_string(bytes) + " HTTP/1.0\r\n\r\n";
  std::string head;
  static u8 in[65536], out[65536];
  bool asked = false, good = true;
  u64 at = 0;
  u64 const start = b.worker().now, limit = start + 100'000'000'000;
  while (at < bytes && good && b.worker().now < limit) {
    a.poll(), b.poll();
    if (!asked) asked = send(net, *fd, request.data(), request.size()).has_value();
    auto const n = recv(net, *fd, in, sizeof in);
    if (!n && n.error() == std::errc::resource_unavailable_try_again) continue;
    if (!n || *n == 0) break;
    u8 const* from = in;
    std::size_t size = *n;
    if (auto const end = head.find("\r\n\r\n"); end == head.npos) {  // the answer's head comes in one piece
      head.assign(reinterpret_cast<char const*>(in), std::min<std::size_t>(size, 1024));
      std::size_t const skip = head.find("\r\n\r\n") + 4;
      good = head.find(" 200 OK") != head.npos && skip <= size;
      from += skip, size -= skip;
    }
    services::fill_bytes(at, {out, size});
    good = good && std::memcmp(from, out, size) == 0;
    at += size;
  }
  double const seconds = std::max(static_cast<double>(b.worker().now - start) / 1e9, 1e-6);
  std::printf("demo: the second stack fetched %llu bytes from the first, %s: %.0f MB/s\n",
              static_cast<unsigned long long>(at), good && at == bytes ? "each as it must be" : "NOT as they must be",
              static_cast<double>(at) / 1e6 / seconds);
  (void)close(net, *fd);
  for (int i = 0; i < 1000; ++i) a.poll(), b.poll();
  return good && at == bytes;
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

static bool over_tap(host& h, u64 bytes) {
  auto& net = h.init_net();
  auto dev = register_netdev<tap>(net, "eth0", {.inner = {.ifname = "nst0", .bring_up = true}, .path = pcap_file});
  if (!dev) return std::printf("demo: %s\n", drivers::tap::explain(dev.error()).data()), false;
  bool good = configure(net, dev, "192.0.2.2/24") && talk_with_linux(h, "nst0", "TAP");
  remove_device(net, "eth0");
  // The large fetch is not recorded.
  auto plain = register_netdev<drivers::tap>(net, "eth0", {.ifname = "nst0", .bring_up = true});
  good = good && configure(net, plain, "192.0.2.2/24") &&
         run_shell(h, "ip addr add 192.0.2.1/24 dev nst0", 5'000'000'000) == 0 &&
         fetch_with_curl(h, bytes, "from the stack over TAP");
  remove_device(net, "eth0");
  return good;
}

/// The stack takes over one end of a veth pair. Where the kernel lacks what that needs, nothing is lost: true.
static bool over_af_xdp(host& h, u64 bytes) {
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
  good = good && talk_with_linux(h, "nst1", "AF_XDP") && fetch_with_curl(h, bytes, "from the stack over AF_XDP");
  std::printf("demo: AF_XDP in %s mode, %s\n", af_xdp::native(**dev) ? "native" : "skb",
              af_xdp::zero_copy(**dev) ? "zero copy" : "the kernel copies");
  remove_device(net, "eth0");
  return good && fetch_from_linux(h, bytes);
}

/// Without root: a second stack in this process.
static bool over_pipe(host& h, drivers::pipe_cable& cable, u64 bytes) {
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
  bool good = all_came_back(exchange_between_stacks(h, second)) && answers == 3;
  remove_device(h.init_net(), "eth0");
  // The large fetch is not recorded.
  auto plain = register_netdev<drivers::pipe>(h.init_net(), "eth0", {.cables = &cable, .end = 0});
  good = good && configure(h.init_net(), plain, "192.0.2.2/24") && fetch_between_stacks(h, second, bytes);
  remove_device(h.init_net(), "eth0");
  return good;
}

int main(int argc, char** argv) {
  u64 const bytes = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : u64{1} << 30;
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
      good = over_tap(h, bytes) && over_af_xdp(h, bytes);
    else
      good = over_pipe(h, cable, bytes);
  }
  bool const clean = services::report(h, *net.loopback_dev) && net.worker().pool.lent() == 0;
  std::printf("demo: %s in the pool; the exchange is in %s\n", clean ? "everything is back" : "something is missing",
              pcap_file);
  return clean && good ? 0 : 1;
}
