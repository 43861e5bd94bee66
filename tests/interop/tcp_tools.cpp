// SPDX-License-Identifier: BSL-1.0
// Linux's own programs talk TCP with examples/inetd, over TAP and over AF_XDP, on clean wires and on ones that lose and
// reorder, in network namespaces of the test's own: curl, nc, iperf3, ab, nmap; tshark reads what was on the wire, and
// the kernel's table of sockets is held against ours. And examples/http_get fetches from a server of Linux.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <regex>
#include <set>
#include <tuple>

#include "netstack/base/asan.hpp"
#include "support/ethtool.hpp"
#include "support/inetd.hpp"

namespace {

using namespace netstack::test;
using netstack::asan_enabled;

/// What one fetch brings: a gibibyte, but where each load is checked.
constexpr std::uint64_t page_bytes = asan_enabled ? 8'000'000 : std::uint64_t{1} << 30;

/// True, after a visible skip, when a program of the system is missing.
bool skip_without_program(char const* name) {
  if (netns::attempt(std::string("command -v ") + name).status == 0) return false;
  skip("needs " + std::string(name) + " (scripts/install-deps installs it)");
  return true;
}

/// Linux is 192.0.2.1, inetd 192.0.2.2, on a wire of this kind.
struct rig {
  netns ns;
  scratch dir;
  std::unique_ptr<program> inetd;

  explicit rig(std::string const& kind, std::vector<std::string> const& more = {}) {
    if (kind == "xdp")
      ns.run("ip link add nst0 type veth peer name nst1 && ip link set nst0 up && ip link set nst1 up");
    // The kernel leaves checksums of its own veth pairs unfinished.
    if (kind == "xdp") ethtool_set("nst1", ethtool_stxcsum, false);
    inetd = std::make_unique<program>(inetd_on(kind + ":nst0", more));
    REQUIRE(inetd->prints("ready"));
    ns.run(std::string("ip addr add 192.0.2.1/24 dev ") + (kind == "xdp" ? "nst1" : "nst0"));
  }
  /// What a shell command prints; it must succeed.
  [[nodiscard]] std::string run(std::string const& command) const {
    return netns::run("cd " + dir.path + " && " + command);
  }
};
std::string const curl = "curl -s --noproxy '*' --max-time 120 ";

/// Of /bytes/N, as the server's page says it is, the bytes from `at` on, a multiple of 8: words of eight bytes, least
/// byte first.
std::string page(std::uint64_t n, std::uint64_t at = 0) {
  std::string bytes((n + 7) / 8 * 8, '\0');
  for (std::uint64_t w = 0; w < bytes.size() / 8; ++w) {
    std::uint64_t x = (at / 8 + w + 1) * 0x9e3779b97f4a7c15u;
    x ^= x >> 32;
    for (unsigned i = 0; i < 8; ++i) bytes[w * 8 + i] = static_cast<char>(x >> 8 * i);
  }
  bytes.resize(n);
  return bytes;
}
std::string hash_of(rig const& r, std::uint64_t n) {
  constexpr std::uint64_t piece = 1 << 20;
  FILE* const sum = ::popen(("sha256sum > " + r.dir.path + "/expected").c_str(), "w");
  REQUIRE(sum);
  for (std::uint64_t at = 0; at < n; at += piece) {
    std::string const bytes = page(std::min(piece, n - at), at);
    REQUIRE(std::fwrite(bytes.data(), 1, bytes.size(), sum) == bytes.size());
  }
  REQUIRE(::pclose(sum) == 0);
  return r.run("cat expected");
}

/// A stream socket of the kernel, connected to a service of the stack.
struct stream {
  int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  explicit stream(std::uint16_t port) {
    timeval const tv{20, 0};
    REQUIRE(::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv) == 0);
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    REQUIRE(::inet_pton(AF_INET, "192.0.2.2", &in.sin_addr) == 1);
    REQUIRE(::connect(fd, reinterpret_cast<sockaddr const*>(&in), sizeof in) == 0);
  }
  ~stream() { ::close(fd); }
  stream(stream const&) = delete;
  void say(std::string const& text) const {
    REQUIRE(::send(fd, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size()));
  }
  /// Until the peer ends; errno's text in brackets follows if that was no orderly end.
  [[nodiscard]] std::string hear() const {
    std::string all;
    char buf[65536];
    for (;;) {
      ssize_t const n = ::recv(fd, buf, sizeof buf, 0);
      if (n < 0) return all + "[" + std::strerror(errno) + "]";
      if (n == 0) return all;
      all.append(buf, static_cast<std::size_t>(n));
    }
  }
  [[nodiscard]] std::uint16_t local_port() const {
    sockaddr_in in{};
    socklen_t len = sizeof in;
    REQUIRE(::getsockname(fd, reinterpret_cast<sockaddr*>(&in), &len) == 0);
    return ntohs(in.sin_port);
  }
};
std::string first_line(std::string const& text) { return text.substr(0, text.find("\r\n")); }
/// What the server answers to these bytes, until it ends the connection.
std::string ask(std::string const& request) {
  stream const s(80);
  s.say(request);
  return s.hear();
}

void fetches(std::string const& kind, std::vector<std::string> const& faults, std::uint64_t bytes) {
  rig r(kind, faults);
  auto const expected = hash_of(r, bytes);
  auto const got = r.run(curl + "http://192.0.2.2/bytes/" + std::to_string(bytes) + " | sha256sum");
  CHECK(got == expected);
  auto const state = r.run(curl + "http://192.0.2.2/");
  if (faults.empty()) {
    // A peer that gets no processor for a while is asked whether the last segment was lost, and no more.
    CHECK(snmp(state, "Tcp", "RetransSegs") <= snmp(state, "TcpExt", "TCPLossProbes"));
    CHECK(snmp(state, "TcpExt", "TCPTimeouts") == 0);
    CHECK(snmp(state, "Tcp", "InErrs") == 0);
  } else {
    CHECK(snmp(state, "Tcp", "RetransSegs") > 0);
  }
  (void)end_well(*r.inetd);
}

/// nc as the client of each of the old services.
void old_services(std::string const& kind, std::vector<std::string> const& faults) {
  rig r(kind, faults);
  CHECK(r.run("head -c 3000000 /dev/urandom > sent && nc -N -w 20 192.0.2.2 7 < sent | cmp - sent && echo same") ==
        "same\n");
  CHECK(r.run("nc -N -w 20 192.0.2.2 9 < sent").empty());
  auto const time = r.run("nc -N -w 20 192.0.2.2 13 < /dev/null");
  INFO(time);
  CHECK(std::regex_match(time, std::regex(R"([A-Z][a-z]+, [A-Z][a-z]+ \d\d, \d{4} \d\d:\d\d:\d\d-UTC\r\n)")));
  auto const chars = r.run("nc -w 20 192.0.2.2 19 < /dev/null | head -c 200000 | tail -c 74");
  CHECK(chars.size() == 74);
  CHECK(chars.find_first_not_of("\r\n" + [] {
    std::string printable;
    for (char c = ' '; c < 127; ++c) printable += c;
    return printable;
  }()) == std::string::npos);
  (void)end_well(*r.inetd);
}

/// ab, with short connections and then with ones that stay.
void many_requests(std::string const& kind, std::vector<std::string> const& faults, int brief, int kept) {
  rig r(kind, faults);
  for (bool const keep : {false, true}) {
    auto const n = std::to_string(keep ? kept : brief);
    auto const text =
        r.run("ab -q -s 20 -c 50 " + std::string(keep ? "-k " : "") + "-n " + n + " http://192.0.2.2/bytes/1000");
    INFO(text);
    CHECK(says(text, "Failed requests:        0\n"));
    CHECK(says(text, "Complete requests:      " + n + "\n"));
    CHECK_FALSE(says(text, "Non-2xx"));
  }
  auto const report = end_well(*r.inetd);
  CHECK(snmp(report, "Tcp", "PassiveOpens") >= brief + 25);  // not each of the 50 that stay gets to ask
  CHECK(snmp(report, "Tcp", "EstabResets") == 0);
}

/// What inetd recorded of curl and nc, read by tshark.
void nothing_amiss(std::string const& kind) {
  scratch dir;
  std::string const file = dir.path + "/frames.pcap";
  rig r(kind, {"--pcap", file});
  CHECK(r.run(curl + "http://192.0.2.2/bytes/3000000 -o /dev/null -w '%{http_code}'") == "200");
  CHECK(r.run("head -c 1000000 /dev/urandom > sent && nc -N -w 20 192.0.2.2 7 < sent | cmp - sent && echo same") ==
        "same\n");
  CHECK(r.run("nc -N -w 20 192.0.2.2 13 < /dev/null | wc -l") == "1\n");
  long const probes = snmp(r.run(curl + "http://192.0.2.2/"), "TcpExt", "TCPLossProbes");
  (void)end_well(*r.inetd);
  auto const found = [&](std::string const& what) {
    return netns::attempt("tshark -r " + file + " -o ip.check_checksum:TRUE -o tcp.check_checksum:TRUE -Y '" + what +
                          "' 2>/dev/null | head -n 20")
        .text;
  };
  auto const faults = found(
      "_ws.malformed || ip.checksum.status == 0 || ip.src == 192.0.2.2 && (tcp.checksum.status == 0 || "
      "tcp.analysis.flags && !(tcp.analysis.window_update || tcp.analysis.window_full || "
      "tcp.analysis.retransmission))");
  INFO(faults);
  CHECK(faults.empty());
  // A peer that gets no processor for a while is asked whether the last segment was lost, and no more.
  auto const again = found("ip.src == 192.0.2.2 && tcp.analysis.retransmission");
  INFO(again);
  CHECK(std::count(again.begin(), again.end(), '\n') <= probes);
  CHECK_FALSE(found("ip.src == 192.0.2.2 && tcp.flags.syn == 1 && tcp.flags.ack == 1").empty());
}

/// A table of sockets as the kernel writes it: local, remote and state of each.
std::set<std::string> sockets_of(std::string const& table, bool swapped) {
  std::set<std::string> all;
  std::regex const row(R"(\d+: ([0-9A-F:]{13}) ([0-9A-F:]{13}) ([0-9A-F]{2}) )");
  for (auto it = std::sregex_iterator(table.begin(), table.end(), row); it != std::sregex_iterator(); ++it)
    all.insert((*it)[swapped ? 2 : 1].str() + " " + (*it)[swapped ? 1 : 2].str() + " " + (*it)[3].str());
  return all;
}

}  // namespace

TEST_CASE("curl fetches a gibibyte, and its hash is right: over TAP", "[S92][S100]") {
  if (cannot_run_inetd() || skip_without_program("curl")) return;
  fetches("tap", {}, page_bytes);
}
TEST_CASE("curl fetches a gibibyte, and its hash is right: over AF_XDP", "[S92][S100]") {
  if (cannot_run_inetd() || skip_without_program("curl")) return;
  fetches("xdp", {}, page_bytes);
}
TEST_CASE("curl fetches megabytes over wires that lose 1 % and reorder 2 % of the frames", "[S147]") {
  if (cannot_run_inetd() || skip_without_program("curl")) return;
  // A frame may hold 64 KB: of fewer bytes now and then none is lost.
  for (char const* kind : {"tap", "xdp"}) fetches(kind, {"--loss", "1", "--reorder", "2"}, 64'000'000);
}

TEST_CASE("the web server: pages, statuses, connections that stay, requests that cannot be") {
  if (cannot_run_inetd() || skip_without_program("curl")) return;
  rig r("tap");
  // Somebody who never finishes asking, and somebody who never reads, are thrown out while the others are served.
  stream const dawdler(80), deaf(80);
  dawdler.say("GET /bytes/1 HTTP/1.1\r\n");
  deaf.say("GET /bytes/1000000000 HTTP/1.1\r\nHost: x\r\n\r\n");

  CHECK(r.run(curl + "http://192.0.2.2/bytes/100000") == page(100000));
  CHECK(r.run(curl +
              "-o /dev/null -o /dev/null -o /dev/null -w '%{http_code} %{num_connects} ' http://192.0.2.2/bytes/0 "
              "http://192.0.2.2/bytes/1 http://192.0.2.2/nothing") == "200 1 200 0 404 0 ");
  auto const head = r.run(curl + "-I http://192.0.2.2/bytes/12345678901");
  CHECK(says(head, "HTTP/1.1 200 OK\r\n"));
  CHECK(says(head, "Content-Length: 12345678901\r\n"));
  CHECK(r.run(curl + "-o /dev/null -w '%{http_code}' -X DELETE http://192.0.2.2/") == "405");
  CHECK(r.run(curl + "-o /dev/null -w '%{http_code}' -d content http://192.0.2.2/") == "405");

  std::string const host = "Host: x\r\n";
  for (char const* bad : {"nonsense\r\n\r\n", "GET /\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "GET nowhere HTTP/1.0\r\n\r\n",
                          "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "GET / HTTP/1.0\r\nName : value\r\n\r\n",
                          "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "GET / HTTP/x.1\r\n\r\n"}) {
    INFO(bad);
    CHECK((first_line(ask(bad)) == "HTTP/1.1 400 Bad Request" || says(ask(bad), " 505 ")));
  }
  {
    stream const half(80);  // it says half of what it wants, and that this is all
    half.say("GET / HTTP/1.1\r\nHost");
    REQUIRE(::shutdown(half.fd, SHUT_WR) == 0);
    CHECK(first_line(half.hear()) == "HTTP/1.1 400 Bad Request");
  }
  CHECK(first_line(ask("GET / HTTP/2.0\r\n\r\n")) == "HTTP/1.1 505 HTTP Version Not Supported");
  CHECK(first_line(ask("GET / HTTP/1.1\r\n" + std::string(5000, 'x'))) ==
        "HTTP/1.1 431 Request Header Fields Too Large");
  // A close among other words, and last; the whole address, as proxies are asked; parameters.
  for (char const* good : {"GET /bytes/3 HTTP/1.1\r\nHost: x\r\nConnection: te, Close\r\n\r\n",
                           "GET http://x/bytes/3 HTTP/1.0\r\nConnection: close,keep-alive\r\n\r\n",
                           "GET HTTP://x:80/bytes/3?a=b HTTP/1.0\r\n\r\n"}) {
    INFO(good);
    auto const answer = ask(good);
    CHECK(first_line(answer) == "HTTP/1.1 200 OK");
    CHECK(says(answer, "Connection: close\r\n"));
    CHECK(says(answer, "\r\n\r\n" + page(3)));
  }
  CHECK(first_line(ask("GET http://x HTTP/1.0\r\n\r\n")) == "HTTP/1.1 200 OK");
  // One after another without waiting; the second ends the connection.
  auto const two = ask("GET /bytes/3 HTTP/1.1\r\n" + host + "\r\nGET /bytes/5 HTTP/1.1\r\nConnection: close\r\n" +
                       host + "\r\nGET /bytes/7 HTTP/1.1\r\n" + host + "\r\n");
  CHECK(says(two, "Connection: keep-alive\r\nContent-Type: application/octet-stream\r\nContent-Length: 3\r\n\r\n" +
                      page(3) + "HTTP/1.1 200 OK\r\n"));
  CHECK(two.substr(two.size() - 9) == "\r\n\r\n" + page(5));

  auto const state = r.run(curl + "http://192.0.2.2/");
  for (char const* what : {"--- /proc/net/snmp\nIp: ", "--- /proc/net/tcp\n  sl  local_address",
                           "--- /proc/net/drop_reasons\n", "\nTcpExt: "})
    CHECK(says(state, what));
  CHECK(snmp(state, "Tcp", "ActiveOpens") == 0);
  CHECK(snmp(state, "Tcp", "PassiveOpens") > 10);

  CHECK(dawdler.hear() == "[Connection reset by peer]");
  pollfd thrown_out{.fd = deaf.fd, .events = 0, .revents = 0};
  CHECK(::poll(&thrown_out, 1, 20'000) == 1);
  (void)end_well(*r.inetd);
}

TEST_CASE("nc ends its half first and hears all that it said", "[S148]") {
  if (cannot_run_inetd() || skip_without_program("nc")) return;
  for (char const* kind : {"tap", "xdp"}) {
    old_services(kind, {});
    old_services(kind, {"--loss", "1", "--reorder", "2"});
  }
}

TEST_CASE("iperf3 measures either way and both at once, and with 64 streams") {
  if (cannot_run_inetd() || skip_without_program("iperf3")) return;
  std::pair<char const*, std::vector<char const*>> const ways[] = {
      {"tap", {"", "-R -P 4", "--bidir", "-P 64", "-R -P 64", "--bidir -P 64"}}, {"xdp", {"-R", "-P 4"}}};
  for (auto const& [kind, each] : ways) {
    rig r(kind);
    for (char const* way : each) {
      auto const text = r.run(std::string("iperf3 -c 192.0.2.2 -t 1 -J ") + way);
      INFO(text.substr(0, 20000));
      std::smatch m;
      auto const sum = text.substr(text.find("\"end\""));
      REQUIRE(std::regex_search(sum, m, std::regex(R"("sum_received":\s*\{[^}]*"bytes":\s*(\d+))")));
      CHECK(std::stoull(m[1]) > 1'000'000);
      if (way != std::string("--bidir")) continue;
      REQUIRE(std::regex_search(sum, m, std::regex(R"("sum_received_bidir_reverse":\s*\{[^}]*"bytes":\s*(\d+))")));
      CHECK(std::stoull(m[1]) > 1'000'000);
    }
    CHECK(netns::attempt("iperf3 -c 192.0.2.2 -t 1 -u").status != 0);
    (void)end_well(*r.inetd);
  }
}

TEST_CASE("who asks iperf3's server for a test and begins none leaves its place to others") {
  if (cannot_run_inetd() || skip_without_program("iperf3") || skip_without_program("nc")) return;
  rig r("tap");
  CHECK(netns::attempt(
            "exec 2>/dev/null\n(printf %037d 0; sleep 14) 2>/dev/null | nc 192.0.2.2 5201 >/dev/null 2>&1 & sleep 0.5\n"
            "iperf3 -c 192.0.2.2 -n 1M && exit 1\n"
            "for i in $(seq 13); do sleep 1; iperf3 -c 192.0.2.2 -n 1M && exit 0; done; exit 2")
            .status == 0);
  (void)end_well(*r.inetd);
}

TEST_CASE("ab makes thousands of short connections, and of requests on ones that stay", "[S102]") {
  if (cannot_run_inetd() || skip_without_program("ab")) return;
  for (char const* kind : {"tap", "xdp"}) many_requests(kind, {}, 4000, asan_enabled ? 4000 : 20000);
}
TEST_CASE("ab makes hundreds of short connections over wires that lose 1 % and reorder 2 % of the frames", "[S147]") {
  if (cannot_run_inetd() || skip_without_program("ab")) return;
  for (char const* kind : {"tap", "xdp"}) many_requests(kind, {"--loss", "1", "--reorder", "2"}, 400, 400);
}

TEST_CASE("tshark finds nothing amiss in what was on a clean wire") {
  if (cannot_run_inetd() || skip_without_program("tshark") || skip_without_program("curl")) return;
  for (char const* kind : {"tap", "xdp"}) nothing_amiss(kind);
}

TEST_CASE("nmap sees the ports that are open, and no others") {
  if (cannot_run_inetd() || skip_without_program("nmap")) return;
  for (char const* kind : {"tap", "xdp"}) {
    rig r(kind);
    for (char const* scan : {"-sT", "-sS"}) {
      auto const text = r.run(std::string("nmap -n -Pn ") + scan + " -p 1-100,5201 192.0.2.2");
      INFO(text);
      std::string open;
      std::regex const row(R"((\d+)/tcp +open )");
      for (auto it = std::sregex_iterator(text.begin(), text.end(), row); it != std::sregex_iterator(); ++it)
        open += (*it)[1].str() + " ";
      CHECK(open == "7 9 13 19 80 5201 ");
      CHECK((says(text, "95 closed tcp ports") || says(text, "95 closed ports")));
    }
    (void)end_well(*r.inetd);
  }
}

TEST_CASE("the kernel's table of connections and ours are each other's mirror", "[S166]") {
  if (cannot_run_inetd() || skip_without_program("curl")) return;
  for (char const* kind : {"tap", "xdp"}) {
    rig r(kind);
    std::vector<std::unique_ptr<stream>> open;
    for (int port : {7, 7, 9, 80, 5201}) open.push_back(std::make_unique<stream>(static_cast<std::uint16_t>(port)));
    ::shutdown(open[2]->fd, SHUT_RD);
    auto const ours = r.run(curl + "http://192.0.2.2/");
    auto const table = ours.substr(ours.find("--- /proc/net/tcp\n"));
    auto const mine = sockets_of(table.substr(0, table.find("--- /proc/net/udp")), false);
    for (char const* port : {"0007", "0009", "000D", "0013", "0050", "1451"})
      CHECK(mine.count(std::string("00000000:") + port + " 00000000:0000 0A") == 1);
    auto const theirs = sockets_of(r.run("cat /proc/thread-self/net/tcp"), true);
    for (auto const& s : open) {
      char row[64];
      std::snprintf(row, sizeof row, " 010200C0:%04X 01", s->local_port());
      auto const has = [&](std::set<std::string> const& all) {
        return std::count_if(all.begin(), all.end(), [&](auto const& line) { return says(line, row); });
      };
      CHECK(has(mine) == 1);
      CHECK(has(theirs) == 1);
    }
    open.clear();
    (void)end_well(*r.inetd);
  }
}

TEST_CASE("http_get fetches from a web server of Linux, over TAP and over AF_XDP", "[S148]") {
  if (cannot_run_inetd() || skip_without_example("http_get")) return;
  netns ns;
  scratch dir;
  ns.run("head -c 20000000 /dev/urandom > " + dir.path + "/file");
  ns.run("ip tuntap add nst2 mode tap && ip addr add 198.51.100.1/24 dev nst2 && ip link set nst2 up");
  ns.run(
      "ip link add nst0 type veth peer name nst1 && ip link set nst0 up && ip link set nst1 up && "
      "ip addr add 192.0.2.1/24 dev nst1");
  ethtool_set("nst1", ethtool_stxcsum, false);
  program server({"python3", "-u", "-m", "http.server", "--directory", dir.path, "8000"});
  bool up = false;
  for (int i = 0; i < 100 && !up; ++i) {
    up = says(ns.run("cat /proc/thread-self/net/tcp"), ":1F40 ");
    if (!up) ::usleep(100'000);
  }
  REQUIRE(up);
  for (std::string const dev : {"tap:nst2", "xdp:nst0"}) {
    std::string const net = dev == "xdp:nst0" ? "192.0.2" : "198.51.100";
    auto const get = example("http_get") + " --dev " + dev + " --addr " + net + ".2/24 " + net + ".1:8000";
    auto const text =
        ns.run(get + "/file --output " + dir.path + "/got 2>&1 && cmp " + dir.path + "/file " + dir.path + "/got");
    INFO(text);
    CHECK(says(text, "200 OK: 20000000 bytes in "));
    auto const disturbed = ns.run(get + "/file --loss 1 --reorder 2 --output " + dir.path + "/got 2>&1 && cmp " +
                                  dir.path + "/file " + dir.path + "/got");
    CHECK(says(disturbed, "200 OK: 20000000 bytes in "));
    auto const missing = ns.attempt(get + "/nothing --output /dev/null");
    CHECK(missing.status != 0);
    CHECK(says(missing.text, " 404 "));
  }
}

TEST_CASE("http_get tells a page from an answer that is none, and fetches no more than the page", "[RFC 9112]") {
  if (cannot_run_inetd() || skip_without_example("http_get")) return;
  netns ns;
  ns.run("ip tuntap add nst2 mode tap && ip addr add 198.51.100.1/24 dev nst2 && ip link set nst2 up");
  program server({"python3", "-c",  // answers with what the path says in hexadecimal
                  "import socketserver as s\n"
                  "class h(s.StreamRequestHandler):\n"
                  "  def handle(self): self.wfile.write(bytes.fromhex(self.rfile.readline().split()[1].decode()[1:]))\n"
                  "s.TCPServer(('', 8001), h).serve_forever()\n"});
  for (int i = 0; i < 100 && !says(ns.run("cat /proc/thread-self/net/tcp"), ":1F41 "); ++i) ::usleep(100'000);
  struct {
    char const *answer, *page;  // no page: it fails
  } const all[]{{"200 OK\r\n\r\nhello", "hello"},
                {"200\r\nContent-Length: 2 \r\n\r\nhello", "he"},
                {"200 OK\r\nContent-Length: 20\r\n\r\nhello", nullptr},
                {"200 OK\r\nContent-Length: -5\r\n\r\nhello", nullptr},
                {"200 OK\r\nContent-Length: five\r\n\r\nhello", nullptr},
                {"200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nhello", nullptr},
                {"500 Only 200 will do\r\n\r\nhello", nullptr},
                {"2000 OK\r\n\r\nhello", nullptr},
                {"\r\n\r\nhello", nullptr}};
  for (auto const& one : all) {
    CAPTURE(one.answer);
    std::string hex;
    for (char const c : "HTTP/1.1 " + std::string(one.answer)) {
      constexpr char digits[] = "0123456789abcdef";
      hex += digits[static_cast<unsigned char>(c) >> 4], hex += digits[c & 15];
    }
    auto const got =
        ns.attempt(example("http_get") + " --dev tap:nst2 --addr 198.51.100.2/24 198.51.100.1:8001/" + hex);
    CHECK((got.status == 0) == (one.page != nullptr));
    if (one.page) CHECK(got.text.rfind(one.page + std::string("HTTP/1.1 200"), 0) == 0);  // and what was fetched
  }
}

TEST_CASE("http_get says when a page cannot be written, and what it cannot fetch") {
  if (skip_without_example("http_get")) return;
  auto const get = [](std::string const& output, std::string const& url) {
    return netns::attempt(example("http_get") + " --dev pipe --addr 192.0.2.2/24 --serve --output " + output + " " +
                          url);
  };
  CHECK(get("/dev/null", "127.0.0.1:80/bytes/3000000").status == 0);
  for (char const* const page : {"/bytes/10", "/bytes/3000000"}) {
    auto const full = get("/dev/full", std::string("127.0.0.1") + page);
    CHECK((full.status != 0 && says(full.text, "cannot be written")));
  }
  for (char const* const port : {"80x", "99999", "0", ""})
    CHECK(get("/dev/null", std::string("127.0.0.1:") + port + "/bytes/10").status != 0);
}

TEST_CASE("http_get does not wait for a page when its interface is gone, or down") {
  if (cannot_run_inetd() || skip_without_example("http_get")) return;
  netns ns;
  ns.run("ip tuntap add nst2 mode tap && ip addr add 198.51.100.1/24 dev nst2 && ip link set nst2 up");
  auto const made = [&] {
    ns.run(
        "ip link add nst0 type veth peer name nst1 && ip link set nst0 up && ip link set nst1 up && "
        "ip addr add 192.0.2.1/24 dev nst1");
    ethtool_set("nst1", ethtool_stxcsum, false);
  };
  for (auto const& [dev, end, why] :
       {std::tuple{"tap:nst2", "ip link del nst2", "Linux's interface was deleted"},
        {"pcap:nst0", "ip link del nst0", "Linux's interface is gone"},
        {"xdp:nst0", "ip link set nst0 down", "Linux's interface is down: bring it up"}}) {
    INFO(dev);
    bool const tap = std::string(dev) == "tap:nst2";
    if (!tap) made();
    std::string const net = tap ? "198.51.100" : "192.0.2";
    // Who asks is connected, and hears nothing: nobody accepts.
    int const deaf = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in here{};
    socklen_t len = sizeof here;
    here.sin_family = AF_INET;
    REQUIRE(::bind(deaf, reinterpret_cast<sockaddr const*>(&here), sizeof here) == 0);
    REQUIRE(::getsockname(deaf, reinterpret_cast<sockaddr*>(&here), &len) == 0);
    REQUIRE(::listen(deaf, 8) == 0);
    program get({example("http_get"), "--dev", dev, "--addr", net + ".2/24",
                 net + ".1:" + std::to_string(ntohs(here.sin_port)) + "/page"});
    pollfd asked{.fd = deaf, .events = POLLIN, .revents = 0};
    REQUIRE(::poll(&asked, 1, program::patience_ms) == 1);
    auto const before = std::chrono::steady_clock::now();
    ns.run(end);
    auto const told = get.wait();
    INFO(told.text);
    CHECK(std::chrono::steady_clock::now() - before < std::chrono::seconds(20));  // of 30
    CHECK(told.code == 1);
    CHECK(says(told.text, std::string("http_get: ") + dev + ": " + why));
    (void)ns.attempt("ip link del nst0");
    ::close(deaf);
  }
}
