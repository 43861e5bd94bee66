// SPDX-License-Identifier: BSL-1.0
// examples/inetd as a program on a TAP and on a TUN device, with the Linux kernel as the peer, in a network namespace
// of the test's own: floods, every size of datagram, the four services, 65 addresses, its recording read by tcpdump,
// hostile frames, its end, and what it says when it cannot start. l2fwd between two veth pairs. pcap_replay with files
// that it cannot use. And the demo: as root, without veth, without privileges.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdio>
#include <cstring>
#include <ctime>

#include "support/ethtool.hpp"
#include "support/inetd.hpp"

namespace {

using namespace netstack::test;

/// A UDP socket of the kernel, connected to a service of the stack, so an ICMP error about it is an errno.
struct client {
  int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  client(char const* addr, std::uint16_t port, int patience_ms = 2000) {
    timeval const tv{patience_ms / 1000, patience_ms % 1000 * 1000};
    REQUIRE(::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv) == 0);
    sockaddr_in in{};
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    REQUIRE(::inet_pton(AF_INET, addr, &in.sin_addr) == 1);
    REQUIRE(::connect(fd, reinterpret_cast<sockaddr const*>(&in), sizeof in) == 0);
  }
  ~client() { ::close(fd); }
  client(client const&) = delete;
  /// What came back; errno's text in brackets when nothing did.
  [[nodiscard]] std::string ask(std::string const& text) const {
    if (::send(fd, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) return "[send failed]";
    char answer[2048];
    ssize_t const n = ::recv(fd, answer, sizeof answer, 0);
    if (n < 0) return std::string("[") + std::strerror(errno) + "]";
    return {answer, static_cast<std::size_t>(n)};
  }
};

std::string pattern(std::size_t n) {
  std::string s(n, '\0');
  for (std::size_t i = 0; i < n; ++i) s[i] = static_cast<char>((i + n) * 31 + i / 256);
  return s;
}

/// The four services, and a port that has none.
void check_services() {
  client const echo("192.0.2.2", 7);
  std::size_t wrong = 0;
  for (std::size_t n = 0; n <= 1472; ++n) wrong += echo.ask(pattern(n)) != pattern(n);
  CHECK(wrong == 0);
  CHECK(client("192.0.2.2", 9, 100).ask("away with it") == "[Resource temporarily unavailable]");
  CHECK(client("192.0.2.2", 11).ask("who is there?") == "[Connection refused]");
  auto const time = client("192.0.2.2", 13).ask("what time is it?");
  INFO(time);
  std::tm tm{};
  char const* const rest = ::strptime(time.c_str(), "%A, %B %d, %Y %H:%M:%S-UTC", &tm);
  REQUIRE(rest != nullptr);
  CHECK(std::string(rest) == "\r\n");
  CHECK(std::abs(std::difftime(::timegm(&tm), std::time(nullptr))) <= 5);
  auto const chars = client("192.0.2.2", 19).ask("go on");
  CHECK(chars.size() == 512);
  CHECK(chars.substr(0, 74) == " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefg\r\n");
  CHECK(chars.substr(74, 4) == "!\"#$");
}

/// tcpdump, and tshark where it is, find every frame in order.
void check_recording(std::string const& file, long pings, long datagrams) {
  auto const count = [&](std::string const& what) {
    return std::stol(netns::attempt("tcpdump -nn -vv -r " + file + " 2>/dev/null | grep -cE '" + what + "'").text);
  };
  CHECK(count("ICMP echo request") == pings);
  CHECK(count("ICMP echo reply") == pings);
  CHECK(count(R"(192\.0\.2\.2\.7: .*UDP, length)") == datagrams);
  CHECK(count(R"(192\.0\.2\.2\.7 > .*UDP, length)") == datagrams);
  // Without the lines of bytes: a random link-layer address in them can end in "bad", too.
  auto const faults = netns::attempt("tcpdump -nn -vv -r " + file +
                                     " 2>&1 | grep -vE '^[[:space:]]*0x[0-9a-f]{4}:' | "
                                     "grep -iE 'bad |wrong |incorrect|truncated|malformed|\\[\\||invalid'")
                          .text;
  INFO(faults.substr(0, 2000));
  CHECK(faults.empty());
  if (netns::attempt("command -v tshark").status != 0) return;
  auto const found = netns::attempt(
      "tshark -r " + file +
      " -o ip.check_checksum:TRUE -o udp.check_checksum:TRUE -Y '_ws.malformed || ip.checksum.status == 0 || "
      "udp.checksum.status == 0 || icmp.checksum.status == 0' 2>/dev/null | head -n 5");
  INFO(found.text);
  CHECK(found.text.empty());
}

void serves(std::string const& kind) {
  netns ns;
  scratch dir;
  std::string const recording = dir.path + "/frames.pcap";
  program inetd(inetd_on(kind + ":nst0", {"--pcap", recording}));
  REQUIRE(inetd.prints("ready"));
  ns.run("ip addr add 192.0.2.1/24 dev nst0");
  auto const flood = ns.run("ping -n -q -f -c 10000 192.0.2.2");
  INFO(flood);
  CHECK(says(flood, "10000 packets transmitted, 10000 received, 0% packet loss"));
  check_services();
  auto const report = end_well(inetd);
  CHECK(snmp(report, "Icmp", "InEchos") == 10000);
  CHECK(snmp(report, "Icmp", "OutEchoReps") == 10000);
  CHECK(snmp(report, "Udp", "InDatagrams") == 1473 + 3);
  CHECK(snmp(report, "Udp", "OutDatagrams") == 1473 + 2);
  CHECK(snmp(report, "Udp", "NoPorts") == 1);
  check_recording(recording, 10000, 1473);
}

/// How a program that cannot start ends: one line that says what to do, and an exit code that is not 0.
std::string refusal(std::vector<std::string> const& command, std::string const& name = "inetd") {
  program refused(command);
  auto const end = refused.wait();
  INFO(end.text);
  CHECK(end.code > 0);
  CHECK(end.code != 127);
  CHECK(end.text.rfind(name + ": ", 0) == 0);
  CHECK(end.text.find('\n') == end.text.size() - 1);
  return end.text;
}

}  // namespace

TEST_CASE("inetd on a TAP device: floods, every size, four services, a clean recording and end") {
  if (cannot_run_inetd()) return;
  serves("tap");
}

TEST_CASE("inetd on a TUN device: floods, every size, four services, a clean recording and end") {
  if (cannot_run_inetd()) return;
  serves("tun");
}

TEST_CASE("inetd with 65 addresses: each is pinged, and answers as itself", "[S130]") {
  if (cannot_run_inetd()) return;
  netns ns;
  std::vector<std::string> more;
  for (int i = 10; i < 74; ++i) more.insert(more.end(), {"--addr", "192.0.2." + std::to_string(i) + "/24"});
  program inetd(inetd_on("tap:nst0", more));
  REQUIRE(inetd.prints("ready"));
  ns.run("ip addr add 192.0.2.1/24 dev nst0");
  auto const lost =
      ns.run("for i in 2 $(seq 10 73); do ping -n -q -c 1 -W 2 192.0.2.$i >/dev/null || echo lost $i; done");
  CHECK(lost.empty());
  for (int i = 10; i < 74; ++i) {
    // A connected socket takes nothing from any other address.
    std::string const addr = "192.0.2." + std::to_string(i);
    CHECK(client(addr.c_str(), 7).ask(addr) == addr);
  }
  CHECK(snmp(end_well(inetd), "Icmp", "InEchos") == 65);
}

TEST_CASE("inetd under hostile frames by scapy", "[AMNESIA:33][Ripple20][INFRA:HALT][LAND]") {
  if (cannot_run_inetd()) return;
  if (std::system("/usr/bin/python3 -c 'import scapy' 2>/dev/null") != 0)
    return netstack::test::skip("needs python3-scapy");
  char const* source = std::getenv("NETSTACK_SOURCE");  // CTest says where the sources lie
  std::string const script = std::string(source ? source : ".") + "/tests/interop/hostile_ip.py";
  netns ns;
  program inetd(inetd_on("tap:nst0"));
  REQUIRE(inetd.prints("ready"));
  ns.run("ip addr add 192.0.2.1/24 dev nst0");
  auto const sent = ns.run("/usr/bin/python3 '" + script + "' nst0 ip udp arp ether");
  INFO(sent);
  CHECK(says(sent, "sent "));
  // The senders that ARP made up fill the neighbour table, and as on Linux none younger than five seconds makes room.
  bool back = false;
  for (int i = 0; i < 20 && !back; ++i) back = ns.attempt("ping -n -q -c 1 -W 1 192.0.2.2").status == 0;
  CHECK(back);
  auto const ping = ns.attempt("ping -n -c 3 -i 0.1 -W 2 192.0.2.2").text;
  INFO(ping);
  CHECK(says(ping, "3 received, 0% packet loss"));
  CHECK(client("192.0.2.2", 7).ask("still there?") == "still there?");
  auto const report = end_well(inetd);
  for (char const* reason : {"IP_HDR", "IP_CSUM", "UDP_CSUM", "NO_SOCKET", "ARP_HDR", "UNHANDLED_PROTO", "OTHERHOST"})
    CHECK(says(report, std::string("\n") + reason + " "));
  CHECK(snmp(report, "Udp", "InErrors") > 0);
}

TEST_CASE("inetd that cannot start says in one line what to do") {
  if (cannot_run_inetd()) return;
  netns ns;
  scratch dir;
  // Where an unprivileged user may run it.
  std::string const copy = dir.path + "/inetd";
  ns.run("install -m 755 '" + example("inetd") + "' " + copy);
  auto const nobody = refusal({"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", copy, "--dev", "tap:nst0",
                               "--addr", "192.0.2.2/24"});
  CHECK(says(nobody, "run as root"));
  auto const missing = refusal({"unshare", "-m", "sh", "-c", "mount -t tmpfs none /dev/net && exec \"$0\" \"$@\"",
                                example("inetd"), "--dev", "tap:nst0", "--addr", "192.0.2.2/24"});
  CHECK(says(missing, "/dev/net/tun is missing: "));

  program first(inetd_on("tap:nst0"));
  REQUIRE(first.prints("ready"));
  CHECK(says(refusal(inetd_on("tap:nst0")), "another program uses this interface: stop it, or choose another name"));
  CHECK(says(refusal(inetd_on("tap:lo")), "an interface of this name exists, but is of another kind"));
  (void)end_well(first);

  program bereft(inetd_on("tap:nst0"));
  REQUIRE(bereft.prints("ready"));
  ns.run("ip link del nst0");
  auto const end = bereft.wait();
  CHECK(end.code == 1);
  CHECK(says(end.text, "inetd: tap:nst0: Linux's interface was deleted"));

  CHECK(says(refusal(inetd_on("wifi:nst0")), "a device is tap:NAME, tun:NAME, xdp:IFACE[:QUEUE], pcap:IFACE or pipe"));
  CHECK(says(refusal(inetd_on("tap:a-name-that-is-too-long")), "at most 15 characters"));
  CHECK(says(refusal(inetd_on("tap:nst0", {"--addr", "192.0.2.300/24"})), "an address looks like 192.0.2.2/24"));
  CHECK(says(refusal(inetd_on("tap:nst0", {"--gateway", "gate"})), "a gateway looks like 192.0.2.1"));
  CHECK(says(refusal(inetd_on("tap:nst0", {"--gateway", "198.51.100.1"})), "no --addr is on this gateway's network"));
  CHECK(says(refusal(inetd_on("tap:nst0", {"--addr", "224.0.0.1/24"})), "no host can have this address"));
  CHECK(says(refusal(inetd_on("tap:nst0", {"--addr", "192.0.2.2/24"})), "this address is given twice"));
  CHECK(says(refusal(inetd_on("tap:a/b")), "none of them a slash"));
  CHECK(says(refusal(inetd_on("tap:nst0", {"--pcap", dir.path + "/none/such.pcap"})), "cannot be written"));
}

TEST_CASE("inetd on a Linux interface, by AF_XDP and by pcap, serves the other end of a veth pair") {
  if (cannot_run_inetd()) return;
  netns ns;
  ns.run("ip link add nst0 type veth peer name nst1 && ip link set nst0 up && ip link set nst1 up");
  netstack::test::ethtool_set("nst1", netstack::test::ethtool_stxcsum, false);
  for (std::string const dev : {"xdp:nst0", "xdp:nst0:0", "pcap:nst0"}) {
    program inetd(inetd_on(dev));
    REQUIRE(inetd.prints("ready"));
    ns.run("ip addr replace 192.0.2.1/24 dev nst1");
    auto const ping = ns.run("ping -n -q -f -c 1000 192.0.2.2");
    INFO(ping);
    CHECK(says(ping, " 0% packet loss"));
    check_services();
    if (dev == "xdp:nst0") CHECK(says(refusal(inetd_on(dev)), "another program has this queue"));
    auto const report = end_well(inetd);
    CHECK(snmp(report, "Udp", "InErrors") == 0);
  }
  CHECK(says(refusal(inetd_on("xdp:nst0:5")), "has no such queue"));
  for (std::string const queue : {"", "x", "0x", "-1", " 0", "0:0", "4294967296"})
    CHECK(says(refusal(inetd_on("xdp:nst0:" + queue)), "a queue is a number, as in xdp:IFACE:0"));
  CHECK(says(refusal(inetd_on("pcap:nst9")), "there is no such interface here"));
  CHECK_FALSE(says(ns.run("ip link show nst0"), "xdp"));
}

TEST_CASE("inetd on a Linux interface waits for one that is down, ends with one that is gone, and tells of checksums") {
  if (cannot_run_inetd()) return;
  netns ns;
  for (std::string const dev : {"xdp:nst0", "pcap:nst0"}) {
    ns.run(
        "ip link add nst0 type veth peer name nst1 && ip link set nst0 up && ip link set nst1 up && "
        "ip addr add 192.0.2.1/24 dev nst1");
    program inetd(inetd_on(dev));
    REQUIRE(inetd.prints("ready"));
    ns.run("ip link set nst0 down");
    ::usleep(400'000);
    CHECK(inetd.running());
    ns.run("ip link set nst0 up && ping -n -q -c 3 -i 0.2 -W 5 192.0.2.2");
    CHECK(client("192.0.2.2", 7, 100).ask("unfinished") == "[Resource temporarily unavailable]");
    CHECK(inetd.prints(
        "wrong checksums came in: if the peer leaves them to its interface, `ethtool -K PEER tx off` there"));
    ns.run("ip link del nst0");
    auto const end = inetd.wait();
    INFO(end.text);
    CHECK(end.code == 1);
    CHECK(says(end.text, "inetd: " + dev + ": Linux's interface is gone: start again when there is one\n"));
  }
}

TEST_CASE("inetd takes a queue back whose owner was killed") {
  if (cannot_run_inetd()) return;
  netns ns;
  ns.run(
      "ip link add nst0 type veth peer name nst1 && ip link set nst0 up && ip link set nst1 up && "
      "ip addr add 192.0.2.1/24 dev nst1");
  {
    program killed(inetd_on("xdp:nst0"));
    REQUIRE(killed.prints("ready"));
    CHECK(says(ns.run("ip link show nst0"), "xdp"));
  }  // by SIGKILL
  program inetd(inetd_on("xdp:nst0"));
  REQUIRE(inetd.prints("ready"));
  CHECK(says(ns.run("ping -n -q -c 3 -i 0.1 -W 2 192.0.2.2"), "3 received, 0% packet loss"));
  (void)end_well(inetd);
  CHECK_FALSE(says(ns.run("ip link show nst0"), "xdp"));
}

TEST_CASE("l2fwd is a wire between two interfaces, in native and in skb mode, and gives them back") {
  if (cannot_run_inetd() || netstack::test::skip_without_example("l2fwd")) return;
  netns ns;
  // nst1 - nst0 = l2fwd = nst2 - nst3, the last in a namespace that a process holds.
  program beyond({"unshare", "-n", "sh", "-c", "echo ready && exec sleep 60"});
  REQUIRE(beyond.prints("ready"));
  auto const pid = std::to_string(beyond.pid());
  ns.run(
      "ip link add nst0 type veth peer name nst1 && ip link add nst2 type veth peer name nst3 netns " + pid +
      " && ip link set nst0 up && ip link set nst1 up && ip link set nst2 up && ip addr add 192.0.2.1/24 dev nst1 && "
      "nsenter -n -t " +
      pid + " sh -c 'ip addr add 192.0.2.3/24 dev nst3 && ip link set nst3 up'");
  for (std::string const& mode : {std::string("native mode"), std::string("skb mode")}) {
    std::vector<std::string> command{example("l2fwd"), "nst0", "nst2"};
    if (mode == "skb mode") command.emplace_back("--skb-mode");
    program l2fwd(command);
    REQUIRE(l2fwd.prints("ready"));
    CHECK(says(ns.run("ip link show nst0"), "xdp"));
    for (char const* size : {"56", "1472"}) {
      auto const text = ns.run(std::string("ping -n -q -f -c 2000 -M do -s ") + size + " 192.0.2.3");
      INFO(text);
      CHECK(says(text, " 0% packet loss"));
    }
    auto const end = l2fwd.terminate();
    INFO(end.text);
    CHECK(end.code == 0);
    CHECK(says(end.text, "nst0: " + mode));
    CHECK(says(end.text, "every frame is back in the pool"));
    CHECK_FALSE(says(ns.run("ip link show nst0"), "xdp"));
    CHECK_FALSE(says(ns.run("ip link show nst2"), "xdp"));
  }
}

TEST_CASE("l2fwd says in one line why it cannot work, and ends with an interface") {
  if (cannot_run_inetd() || netstack::test::skip_without_example("l2fwd")) return;
  netns ns;
  ns.run(
      "ip link add nst0 type veth peer name nst1 && ip link add nst2 type veth peer name nst3 && "
      "ip link set nst0 up && ip link set nst1 up && ip link set nst2 up && ip link set nst3 up && ip link set lo up");
  auto const told = [](std::vector<std::string> const& ends) {
    std::vector<std::string> command{example("l2fwd")};
    command.insert(command.end(), ends.begin(), ends.end());
    program l2fwd(command);
    auto const end = l2fwd.wait();
    CHECK(end.code == 1);
    return end.text;
  };
  CHECK(told({"nst0", "nst0"}) == "l2fwd: nst0: a wire has two ends: name two interfaces\n");
  CHECK(says(told({"nst0", "a-name-that-is-too-long"}), "long: an interface's name has 1 to 15 characters\n"));
  CHECK(says(told({"nst0", "lo"}), "l2fwd: lo: the kernel or the interface cannot do this: "));
  CHECK(says(told({"nst0", "xdp:a"}), "l2fwd: xdp:a: there is no such interface here: see `ip link`\n"));
  CHECK(says(told({"nst0", "nst2", "--queue", "5"}), "l2fwd: nst0: the interface has no such queue: "));
  program l2fwd({example("l2fwd"), "nst0", "nst2"});
  REQUIRE(l2fwd.prints("ready"));
  ns.run("ip link set nst2 down");
  ::usleep(400'000);
  CHECK(l2fwd.running());
  ns.run("ip link del nst2");
  auto const end = l2fwd.wait();
  INFO(end.text);
  CHECK(end.code == 1);
  CHECK(says(end.text, "l2fwd: nst2: Linux's interface is gone"));
  CHECK(says(end.text, "every frame is back in the pool"));
}

TEST_CASE("pcap_replay plays a recording to the host that was recorded, and says what it could not keep") {
  if (netstack::test::skip_without_example("pcap_replay")) return;
  scratch dir;
  std::string const in = dir.path + "/in.pcap";
  auto const replay = [&](std::vector<std::string> const& more) {
    std::vector<std::string> command{example("pcap_replay"), in, "--full-speed"};
    command.insert(command.end(), more.begin(), more.end());
    return command;
  };
  auto const told = [&](std::vector<std::string> const& more, int code) {
    program p(replay(more));
    auto const end = p.wait();
    CHECK(end.code == code);
    return end.text;
  };
  // The sample: ARP and three pings to 02:00:00:00:00:01, one of them damaged.
  netns::run("cd " + dir.path + " && '" + example("pcap_replay") + "' --self-test && mv pcap_replay.pcap in.pcap");
  CHECK(says(told({"--mac", "02:00:00:00:00:01"}, 0), "received 4 frames, answered with 3\n"));
  auto const others = told({"--mac", "02:00:00:00:00:07"}, 0);
  CHECK(says(others, "received 4 frames, answered with 1\n"));
  CHECK(says(others, "3 frames were for other hosts: --mac makes this host one of them"));

  std::string const out = dir.path + "/out.pcapng", link = dir.path + "/link.pcap", full = dir.path + "/full.pcapng";
  netns::run("ln " + in + " " + link + " && ln -s /dev/full " + full + " && cp " + in + " " + dir.path + "/copy");
  for (auto const* option : {"--answers", "--drops"}) {
    CHECK(says(refusal(replay({option, in}), "pcap_replay"), "this is the same file as " + in));
    CHECK(says(refusal(replay({option, link}), "pcap_replay"), link + ": this is the same file as " + in));
    CHECK(says(refusal(replay({option, dir.path + "/none/such"}), "pcap_replay"),
               "/none/such: this file cannot be written"));
    CHECK(says(told({option, full}, 1), "pcap_replay: " + full + ": "));
    CHECK(says(told({option, full}, 1), " could not be written: is the disk full?"));
  }
  CHECK(says(refusal(replay({"--answers", out, "--drops", out}), "pcap_replay"), "this is the same file as " + out));
  CHECK(says(refusal(replay({"--answers", "/dev/full"}), "pcap_replay"), "/dev/full: there is no room for the file"));
  CHECK(says(refusal(replay({"--mac", "02:00"}), "pcap_replay"), "Ethernet address looks like"));
  // What cannot be played leaves no files behind; one that was there stays as it was.
  std::string const fresh = dir.path + "/new.pcap";
  for (std::string const& none : {dir.path + "/none.pcap", dir.path, std::string("/dev/null")})
    CHECK_FALSE(
        refusal({example("pcap_replay"), none, "--answers", fresh, "--drops", dir.path + "/new.pcapng"}, "pcap_replay")
            .empty());
  CHECK_FALSE(
      refusal({example("pcap_replay"), in, "--addr", "192.0.2.2/33", "--answers", fresh}, "pcap_replay").empty());
  CHECK(netns::attempt("ls " + dir.path + "/new*").status != 0);
  CHECK_FALSE(refusal({example("pcap_replay"), dir.path + "/none.pcap", "--answers", link}, "pcap_replay").empty());
  CHECK(says(told({"--answers", fresh}, 0), "received 4 frames"));
  CHECK(netns::attempt("test -s " + fresh).status == 0);
  CHECK(netns::attempt("cmp " + in + " " + dir.path + "/copy").status == 0);
}

TEST_CASE("the demo of root: Linux over TAP and over AF_XDP, or one line about what is missing for the latter") {
  if (cannot_run_inetd() || netstack::test::skip_without_example("demo")) return;
  scratch dir;
  // An `ip` that makes no veth pair, where the demo finds it first.
  netns::run("printf '#!/bin/sh\\ncase \"$*\" in *veth*) exit 2; esac\\nexec '$(command -v ip)' \"$@\"\\n' > " +
             dir.path + "/ip && chmod 755 " + dir.path + "/ip && install -m 755 '" + example("demo") + "' " + dir.path +
             "/demo");
  for (bool const veth : {true, false}) {
    auto const path = veth ? std::string() : dir.path + ":";
    program demo({"sh", "-c", "cd " + dir.path + " && PATH=" + path + "$PATH exec ./demo 16777216"});
    auto const end = demo.wait();
    INFO(end.text);
    CHECK(end.code == 0);
    CHECK(says(end.text, "demo: Linux pings 192.0.2.2 over TAP\n"));
    CHECK(says(end.text, "demo: everything is back in the pool; the exchange is in demo.pcap"));
    long const media = veth ? 2 : 1;
    CHECK(says(end.text, "demo: Linux pings 192.0.2.2 over AF_XDP\n") == veth);
    CHECK(says(end.text, "demo: curl fetched 16777216 bytes from the stack over TAP: "));
    CHECK(says(end.text, "demo: curl fetched 16777216 bytes from the stack over AF_XDP: ") == veth);
    CHECK(says(end.text, "demo: curl fetched 16777216 bytes from Linux itself, over the same veth pair: ") == veth);
    CHECK_FALSE(says(end.text, "WRONG"));
    CHECK(says(end.text, "demo: AF_XDP is not shown: this kernel makes no veth pair\n") == !veth);
    CHECK(snmp(end.text, "Icmp", "InEchos") == 3 * media);
    CHECK(snmp(end.text, "Udp", "InDatagrams") == 1473 * media);
    CHECK(snmp(end.text, "Udp", "InErrors") == 0);
    check_recording(dir.path + "/demo.pcap", 3, 1473);
  }
}

TEST_CASE("the demo of a user without privileges: two stacks in one process, and it says so") {
  if (cannot_run_inetd() || netstack::test::skip_without_example("demo")) return;
  scratch dir;
  netns::run("chmod 777 " + dir.path + " && install -m 755 '" + example("demo") + "' " + dir.path + "/demo");
  program demo(
      {"sh", "-c", "cd " + dir.path + " && exec setpriv --reuid=65534 --regid=65534 --clear-groups ./demo 16777216"});
  auto const end = demo.wait();
  INFO(end.text);
  CHECK(end.code == 0);
  CHECK(says(end.text, "demo: not root, so two stacks in this process talk over a pipe"));
  CHECK(says(end.text, "demo: AF_XDP is not shown: it needs root\n"));
  CHECK(says(end.text, "demo: 1473 of 1473 datagrams came back byte for byte"));
  CHECK(says(end.text, "demo: everything is back in the pool; the exchange is in demo.pcap"));
  CHECK(says(end.text, "demo: 3 of 3 pings of the second stack were answered"));
  CHECK(says(end.text, "demo: the second stack fetched 16777216 bytes from the first, each as it must be: "));
  check_recording(dir.path + "/demo.pcap", 3, 1473);
}
