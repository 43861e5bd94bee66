// SPDX-License-Identifier: BSL-1.0
// What the sender of a stream is told of its bytes: when they were queued, left and arrived.
#include "netstack/tcp/tcp_stamps.hpp"

#include "netstack/core/timestamping.hpp"
#include "support/tcp_script.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;
namespace sof = sof_timestamping;
using errc = std::errc;

constexpr u32 everything = sof::software | sof::tx_software | sof::tx_sched | sof::tx_ack | sof::opt_id;

struct told {
  u32 what = 0, byte = 0;
  std::size_t len = 0;
  bool timed = false, more = false;
};

struct stamped_script : tcp_script {
  int fd = -1;
  explicit stamped_script(u32 flags = everything, std::string const& options = "mss 1460") {
    fd = accepted(options);
    ask(flags);
  }
  void ask(u32 flags) { REQUIRE(setsockopt(net(), fd, sol::socket, so::timestamping, static_cast<int>(flags))); }
  /// The oldest message of the error queue; .what = ~0: there is none.
  told next() {
    std::string buf(4000, '\0');
    alignas(8) std::byte control[300];
    iovec const part{buf.data(), buf.size()};
    msghdr m{.msg_iov = {&part, 1}, .msg_control = control};
    told t;
    auto const n = recvmsg(net(), fd, m, msg::dontwait | msg::errqueue);
    if (!n) return t.what = ~0u, t;
    t.len = *n;
    for_each_cmsg(std::span(control).first(m.msg_controllen), [&](cmsg_view const& c) {
      if (c.level == sol::socket && c.type == scm::timestamping) t.timed = c.as<scm_timestamping>().ts[0].tv_sec != 0;
      if (c.level == sol::ip && c.type == ip_opt::recverr) {
        auto const ee = c.as<sock_extended_err>();
        CHECK((ee.ee_origin == so_ee_origin::timestamping && ee.ee_errno == static_cast<u32>(errc::no_message)));
        t.what = ee.ee_info, t.byte = ee.ee_data;
      }
      return true;
    });
    CHECK((m.msg_flags & msg::errqueue));
    return t;
  }
  void tells(u32 what, u32 byte, std::size_t len) {
    INFO("told of " << what << ", byte " << byte);
    told const t = next();
    CHECK(t.what == what);
    CHECK(t.byte == byte);
    CHECK(t.len == len);
    CHECK(t.timed);
  }
  void tells_nothing() { CHECK(next().what == ~0u); }
};
using scm_tstamp::ack;
using scm_tstamp::sched;
using scm_tstamp::snd;
constexpr std::size_t headers = eth_hlen + ip_hlen_min + tcp_hlen_min;

}  // namespace

TEST_CASE("the last byte of each call is told of: when it is queued, leaves and arrives", "[S28]") {
  bool const stamps = GENERATE(false, true);  // the common segment, and the other
  stamped_script t(everything, stamps ? "mss 1460 ts 1 0" : "mss 1460");
  std::size_t const front = headers + (stamps ? tcpopt::tstamp_aligned : 0);
  REQUIRE(t.write(t.fd, 3));
  t.out("P. 1:4");
  t.tells(sched, 2, front + 3), t.tells(snd, 2, front + 3), t.tells_nothing();
  t.after(100).in(". 1 ack 4");
  t.tells(ack, 2, 3), t.tells_nothing();
  REQUIRE(t.write(t.fd, 5));
  t.out("P. 4:9").after(10).in(". 1 ack 9");
  t.tells(sched, 7, front + 5), t.tells(snd, 7, front + 5), t.tells(ack, 7, 5), t.tells_nothing();
  t.over();
}

TEST_CASE("of a call that fills several segments the last is watched, wherever it is cut", "[S28]") {
  stamped_script t(everything | sof::opt_tsonly, "mss 1000");
  REQUIRE(t.write(t.fd, 2500));
  t.out(". 1:1001").out(". 1001:2001").out("P. 2001:2501");
  t.tells(sched, 2499, 0), t.tells(snd, 2499, 0), t.tells_nothing();
  t.after(50).in(". 1 ack 2001");
  t.tells_nothing();
  t.in(". 1 ack 2201");  // part of it, but not that byte
  t.tells_nothing();
  t.in(". 1 ack 2501");
  t.tells(ack, 2499, 0), t.tells_nothing();
  // A segment that is made smaller gives it to its end.
  REQUIRE(t.write(t.fd, 1000));
  t.out("P. 2501:3501");
  t.tells(sched, 3499, 0), t.tells(snd, 3499, 0);
  sk_buff& skb = *t.sk(t.fd).sk_write_queue.peek();
  REQUIRE(tcp_fragment(t.net(), t.sk(t.fd), skb, 400));
  CHECK(skb.tx_flags == 0);
  ++t.tp(t.fd).packets_out;  // as who cuts it counts it
  t.in(". 1 ack 2901");
  t.tells_nothing();
  t.in(". 1 ack 3501");
  t.tells(ack, 3499, 0), t.tells_nothing();
  t.over();
}

TEST_CASE("a repetition is told of again, and who does not read what he is told does not hold it up", "[S28]") {
  stamped_script t;
  REQUIRE(t.write(t.fd, 3));
  t.out("P. 1:4").after(300).out("P. 1:4");
  CHECK(t.ext().TCPTimeouts.read() == 1);
  t.in(". 1 ack 4");
  t.tells(sched, 2, headers + 3), t.tells(snd, 2, headers + 3);
  t.tells(sched, 2, headers + 3), t.tells(snd, 2, headers + 3);
  t.tells(ack, 2, 3), t.tells_nothing();
  t.over();
}

TEST_CASE("bytes are counted from where it was asked, and only a stream has some to count", "[S28]") {
  stamped_script t(0);
  REQUIRE(setsockopt(t.net(), t.fd, sol::tcp, tcp_opt::nodelay, 1));
  REQUIRE(t.write(t.fd, 10));
  t.out("P. 1:11");
  t.tells_nothing();
  t.ask(everything);  // from the oldest that is in flight
  REQUIRE(t.write(t.fd, 5));
  t.out("P. 11:16");
  CHECK(t.next().byte == 14);
  t.in(". 1 ack 16");
  while (t.next().what != ~0u) {
  }
  t.ask(0);
  t.ask(everything | sof::opt_id_tcp);  // … from the next that is written
  REQUIRE(t.write(t.fd, 5));
  t.out("P. 16:21").in(". 1 ack 21");
  CHECK(t.next().byte == 4);
  while (t.next().what != ~0u) {
  }
  t.ask(0);  // not any more
  REQUIRE(t.write(t.fd, 5));
  t.out("P. 21:26").in(". 1 ack 26");
  t.tells_nothing();
  auto const asked = [&](int fd, u32 flags) {
    auto const r = setsockopt(t.net(), fd, sol::socket, so::timestamping, static_cast<int>(flags));
    return r ? std::errc{} : r.error();
  };
  CHECK(asked(t.fd, sof::opt_id_tcp) == errc::invalid_argument);
  CHECK(asked(t.listener, sof::opt_id) == errc::invalid_argument);
  CHECK(asked(t.listener, sof::tx_ack | sof::software) == std::errc{});
  t.over();
}
