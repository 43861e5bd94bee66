// SPDX-License-Identifier: BSL-1.0
// Fetches a page over a device of your choice with calls that wait, and says how fast it came.
//   http_get --dev … --addr A/P [--gateway G] ADDRESS[:PORT]/PATH [--output FILE] [--serve]
// The page goes to standard output or into a file. With --serve the same stack also has inetd's services, so that
// 127.0.0.1 is somebody to ask. Exit 0: it was there, and came whole.
// RUN: --dev pipe --addr 192.0.2.2/24 --serve --output /dev/null 127.0.0.1/bytes/3000000
// OUTPUT: ^HTTP/1.1 200 OK: 3000000 bytes in \d+\.\d\d\d s, \d+ Mbit/s$
#include <CLI/CLI.hpp>
#include <charconv>
#include <optional>

#include "device.hpp"
#include "netstack/drivers/af_xdp.hpp"  // by these lines CMake knows the libraries
#include "netstack/drivers/pcap.hpp"
#include "services.hpp"

using namespace netstack;

struct host : stack<host, presets::full, services::devices, sizes<config{.skb_pool = 16384}>> {};
using net_t = net<host>;

/// ADDRESS[:PORT]/PATH.
struct url {
  netstack::sockaddr_in at{};
  std::string path;
};
static std::optional<url> parse_url(std::string const& text) {
  auto const slash = text.find('/'), colon = text.find(':');
  if (slash == text.npos) return {};
  bool const has_port = colon < slash;
  auto const addr = parse_ipv4(text.substr(0, has_port ? colon : slash));
  u16 port = 80;
  char const* const end = text.c_str() + slash;
  if (has_port)
    if (auto const [last, why] = std::from_chars(text.c_str() + colon + 1, end, port);
        why != std::errc{} || last != end)
      return {};
  if (!addr || port == 0) return {};
  return url{inet_addr_of(*addr, port), text.substr(slash)};
}

/// An answer's beginning; empty: it is none, or too long.
struct answer {
  std::string status;         // the first line
  std::optional<u64> length;  // of the page; none: until the connection ends
  std::string got_more;       // the page's first bytes
  [[nodiscard]] bool is_http() const { return status.rfind("HTTP/1.", 0) == 0; }
  [[nodiscard]] bool ok() const {
    return status.size() >= 12 && status.compare(8, 4, " 200") == 0 && (status.size() == 12 || status[12] == ' ');
  }
};
/// RFC 9110 §8.6: digits alone.
static std::optional<u64> parse_length(std::string_view field) {
  field.remove_prefix(std::min(field.find_first_not_of(" \t"), field.size()));
  field = field.substr(0, field.find_last_not_of(" \t") + 1);
  u64 length = 0;
  auto const [last, why] = std::from_chars(field.data(), field.data() + field.size(), length);
  return why == std::errc{} && last == field.data() + field.size() ? std::optional(length) : std::nullopt;
}
static std::optional<answer> read_head(net_t& net, int fd) {
  std::string text;
  std::size_t end;
  while ((end = text.find("\r\n\r\n")) == text.npos) {
    char buf[2048];
    auto const n = recv(net, fd, buf, sizeof buf);
    if (!n || *n == 0 || text.size() > 16384) return {};
    text.append(buf, *n);
  }
  answer a{text.substr(0, text.find("\r\n")), {}, text.substr(end + 4)};
  for (std::size_t at = text.find("\r\n"), next; at < end; at = next) {
    next = text.find("\r\n", at + 2);
    auto const line = std::string_view(text).substr(at + 2, next - at - 2);
    if (!services::detail::same_word(line.substr(0, 15), "content-length:")) continue;
    a.length = parse_length(line.substr(15));
    if (!a.length) return {};
  }
  return a;
}

/// The page, into `out`; how many bytes, none: it broke off, or has no room there.
static std::optional<u64> read_page(net_t& net, int fd, answer const& a, std::FILE* out) {
  u64 const length = a.length.value_or(~u64{0});
  static constexpr std::size_t most = 65536;
  char buf[most];
  u64 got = std::min<u64>(a.got_more.size(), length);
  std::fwrite(a.got_more.data(), 1, got, out);
  while (got < length) {
    auto const n = recv(net, fd, buf, std::min<u64>(most, length - got));
    if (!n || std::ferror(out)) return {};
    if (*n == 0) break;
    std::fwrite(buf, 1, *n, out);
    got += *n;
  }
  return !a.length || got == length ? std::optional(got) : std::nullopt;
}

/// A connection that ends with its interface: no call waits for what cannot come. One that is only down gets a while,
/// as long as those take that are down themselves at first when a program is attached.
struct connection {
  net_t& net;
  services::device_options const& options;
  net_device& dev;
  int fd = -1;
  char const* gone = nullptr;  // what to do about the interface
  u64 seen = net.worker().now;
  timer_list timer{};

  void watch() {
    timer.function = [](void*, timer_list& t) { from_timer<&connection::timer>(t).look(); };
    look();
  }
  ~connection() {
    net.worker().timers.del_timer(timer);
    if (fd >= 0) (void)close(net, fd);
  }

 private:
  void look() {
    u64 const now = net.worker().now;
    char const* const down = services::interface_down(options, dev);
    if (!down) seen = now;
    gone = services::interface_gone(options, dev);
    if (!gone && now - seen >= 5'000'000'000) gone = down;
    if (gone)
      (void)shutdown(net, fd, shut::rdwr);
    else
      net.worker().timers.mod_timer(timer, now + 100'000'000);
  }
};

static int fetch(connection& c, url const& what, std::FILE* out, services::complaint const& says) {
  auto& net = c.net;
  auto const fail = [&](std::string const& where, auto why) {
    return c.gone ? says(c.options.dev, c.gone) : says(where, why);
  };
  char const* const where = what.path.c_str();
  auto const fd = socket(net, af::inet, sock_type::stream);
  if (!fd) return fail("socket", fd.error());
  c.fd = *fd;
  c.watch();
  if (auto r = setsockopt(net, *fd, sol::socket, so::rcvtimeo, timeval{30, 0}); !r) return fail("socket", r.error());
  if (auto r = setsockopt(net, *fd, sol::socket, so::sndtimeo, timeval{30, 0}); !r) return fail("socket", r.error());
  if (auto r = connect(net, *fd, what.at); !r) return fail("connect", r.error());
  u64 const start = net.worker().now;
  // HTTP/1.0: the end of the connection may be the end of the page, and no page comes in pieces.
  std::string const request = "GET " + what.path + " HTTP/1.0\r\nHost: netstack\r\nConnection: close\r\n\r\n";
  if (auto r = send(net, *fd, request.data(), request.size()); !r) return fail("send", r.error());
  auto const a = read_head(net, *fd);
  if (!a || !a->is_http()) return fail(where, "no answer that HTTP knows");
  auto const got = read_page(net, *fd, *a, out);
  if (std::fflush(out) != 0 || std::ferror(out)) return fail(where, "the page cannot be written where it should go");
  if (!got) return fail(where, "the connection ended before the page did");
  double const seconds = std::max(static_cast<double>(net.worker().now - start) / 1e9, 1e-6);
  std::fprintf(stderr, "%s: %llu bytes in %.3f s, %.0f Mbit/s\n", a->status.c_str(),
               static_cast<unsigned long long>(*got), seconds, static_cast<double>(*got) * 8 / seconds / 1e6);
  return a->ok() ? 0 : 1;
}

int main(int argc, char** argv) {
  CLI::App app{"An HTTP client on netstack"};
  services::device_options options;
  std::string address, output;
  bool serve = false;
  options.add_to(app);
  app.add_option("URL", address, "ADDRESS[:PORT]/PATH")->required();
  app.add_option("--output", output, "keep the page here");
  app.add_flag("--serve", serve, "answer on this stack too");
  CLI11_PARSE(app, argc, argv);
  services::complaint const fail{"http_get"};

  auto const what = parse_url(address);
  if (!what) return fail(address, "what to fetch looks like 192.0.2.1:80/path");
  std::FILE* const out = output.empty() ? stdout : std::fopen(output.c_str(), "wb");
  if (!out) return fail(output, "this file cannot be written");

  drivers::pipe_cable cable;
  host h;
  if (auto r = h.boot(); !r) return fail("boot", r.error());
  auto& net = h.init_net();
  (void)dev_open(net, *net.loopback_dev);
  net_device* const dev = services::plug_in(net, options, cable, fail);
  if (!dev) return 1;
  int code;
  {
    std::optional<services::inetd<net_t>> services;
    if (serve)
      if (auto r = services.emplace(net).start(); !r) return fail("services", r.error());
    connection c{.net = net, .options = options, .dev = *dev};
    code = fetch(c, *what, out, fail);
  }
  if (std::fclose(out) != 0) return fail(output, "this file cannot be written");
  // What was said last gets a second to arrive.
  for (u64 const end = h.worker().now + 1'000'000'000; net.worker().pool.in_use() != 0 && h.worker().now < end;)
    if (h.poll() == 0) h.wait(1'000'000);
  return code;
}
