// SPDX-License-Identifier: BSL-1.0
// What a program sees of a TCP socket: urgent data, the bytes that wait either way, the bits of poll(), what TCP_INFO
// tells, and what holds a writer back.
#include "netstack/tcp/tcp_info.hpp"

#include "netstack/stack/sysctl.hpp"
#include "support/tcp_script.hpp"

using namespace netstack;
using namespace netstack::test;
using std::errc;

namespace {

tcp_info info_of(tcp_script& t, int fd) { return getsockopt<tcp_info>(t.net(), fd, sol::tcp, tcp_opt::info).value(); }
int ask(tcp_script& t, int fd, u32 cmd) {
  int n = -1;
  REQUIRE(ioctl(t.net(), fd, cmd, &n));
  return n;
}
u32 poll_bits(tcp_script& t, int fd) {
  pollfd p{.fd = fd,
           .events = static_cast<short>(poll_ev::in | poll_ev::out | poll_ev::pri | poll_ev::rdhup | poll_ev::rdnorm |
                                        poll_ev::wrnorm),
           .revents = 0};
  REQUIRE(poll(t.net(), {&p, 1}, 0));
  return static_cast<u32>(p.revents);
}
constexpr u32 readable = poll_ev::in | poll_ev::rdnorm, writable = poll_ev::out | poll_ev::wrnorm;
/// One recv(): what it answers, and the bytes.
std::pair<int, std::string> take(tcp_script& t, int fd, std::size_t n, u32 flags = 0) {
  std::string buf(n, '\0');
  auto const r = recv(t.net(), fd, buf.data(), n, flags | msg::dontwait);
  buf.resize(r ? *r : 0);
  t.collect();
  return {r ? static_cast<int>(*r) : -static_cast<int>(r.error()), buf};
}
std::string bytes_from(u32 from, u32 to) {
  std::string s;
  for (u32 i = from; i < to; ++i) s += static_cast<char>(tcp_script_byte(i));
  return s;
}
constexpr int again = -static_cast<int>(errc::resource_unavailable_try_again),
              invalid = -static_cast<int>(errc::invalid_argument);

}  // namespace

// --- urgent data: RFC 9293 §3.8.5, RFC 6093

TEST_CASE("an urgent byte is read by itself, and what is around it in two calls", "[S92][MUST-30]") {
  tcp_script t;
  int const fd = t.accepted();
  CHECK(take(t, fd, 1, msg::oob).first == invalid);
  t.in("PU. 1:6 ack 1 urg 3");  // the third is urgent: the pointer is behind it
  CHECK(poll_bits(t, fd) == (readable | writable | poll_ev::pri));
  CHECK(ask(t, fd, sioc::inq) == 2);
  CHECK(ask(t, fd, sioc::atmark) == 0);
  CHECK(take(t, fd, 10, msg::oob | msg::peek) == std::pair{1, bytes_from(3, 4)});
  CHECK(take(t, fd, 10) == std::pair{2, bytes_from(1, 3)});
  CHECK(ask(t, fd, sioc::atmark) == 1);
  CHECK(take(t, fd, 10, msg::oob) == std::pair{1, bytes_from(3, 4)});
  CHECK(take(t, fd, 10, msg::oob).first == invalid);  // once
  CHECK(poll_bits(t, fd) == (readable | writable));
  CHECK(take(t, fd, 10, msg::peek) == std::pair{2, bytes_from(4, 6)});
  CHECK(take(t, fd, 10) == std::pair{2, bytes_from(4, 6)});
  CHECK(ask(t, fd, sioc::atmark) == 0);
  t.got = 6;
  t.in("P. 6:8 ack 1");
  t.read(fd, 2);
  t.over();
}

TEST_CASE("with SO_OOBINLINE it stays in the stream, and the mark is where it lies", "[MUST-33][RFC 6093]") {
  tcp_script t;
  int const fd = t.accepted();
  REQUIRE(setsockopt(t.net(), fd, sol::socket, so::oobinline, 1));
  t.in("PU. 1:6 ack 1 urg 3");
  CHECK(ask(t, fd, sioc::inq) == 5);
  CHECK(take(t, fd, 1, msg::oob).first == invalid);
  CHECK(take(t, fd, 10) == std::pair{2, bytes_from(1, 3)});
  CHECK(ask(t, fd, sioc::atmark) == 1);
  CHECK(take(t, fd, 10) == std::pair{3, bytes_from(3, 6)});
  t.over();
}

TEST_CASE("an urgent byte that was told of and is not here yet is waited for; it may come out of order", "[MUST-32]") {
  tcp_script t;
  int const fd = t.accepted("mss 1460 sackok");
  t.in("PU. 1:3 ack 1 urg 5");
  CHECK(take(t, fd, 1, msg::oob).first == again);
  CHECK(!(poll_bits(t, fd) & poll_ev::pri));
  t.in("P. 5:8 ack 1");  // before what is before it
  CHECK(take(t, fd, 1, msg::oob) == std::pair{1, bytes_from(5, 6)});
  t.in("P. 3:5 ack 1");
  CHECK(take(t, fd, 10) == std::pair{4, bytes_from(1, 5)});
  CHECK(take(t, fd, 10) == std::pair{2, bytes_from(6, 8)});
  t.over();
}

TEST_CASE("the pointer by RFC 9293's letter: net/ipv4/tcp_stdurg", "[MUST-62]") {
  tcp_script t;
  REQUIRE(sysctl_write(t.net(), "net/ipv4/tcp_stdurg", "1"));
  int const fd = t.accepted();
  t.in("PU. 1:6 ack 1 urg 3");
  CHECK(take(t, fd, 1, msg::oob) == std::pair{1, bytes_from(4, 5)});
  t.over();
}

TEST_CASE("TCP_INQ tells what is left with an urgent byte that is read by itself, too", "[S92][S103]") {
  tcp_script t;
  int const fd = t.accepted();
  REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::inq, 1));
  t.in("PU. 1:6 ack 1 urg 3");
  char byte = 0;
  iovec const part{&byte, 1};
  alignas(8) std::byte told[32];
  msghdr m{.msg_iov = {&part, 1}, .msg_control = told};
  REQUIRE(recvmsg(t.net(), fd, m, msg::oob).value() == 1);
  int left = 0;
  CHECK(for_each_cmsg(std::span(told).first(m.msg_controllen), [&](cmsg_view const& c) {
    CHECK((c.level == sol::tcp && c.type == tcp_opt::inq));
    left = c.as<int>();
    return true;
  }));
  CHECK(left == 5);
  REQUIRE(!recvmsg(t.net(), fd, m, msg::oob));
  CHECK(m.msg_controllen == 0);
  t.over();
}

TEST_CASE("MSG_OOB sends its last byte as urgent until that is acknowledged", "[S92][MUST-31]") {
  tcp_script t;
  int const fd = t.accepted("mss 1000");
  REQUIRE(t.write(fd, 2));
  t.out("P. 1:3");
  REQUIRE(t.write(fd, 3, msg::oob).value() == 3);
  t.out("PU. 3:6 urg 3").silent();  // Nagle does not hold it
  t.in(". 1 ack 3");
  t.after(300).out("PU. 3:6 urg 3");
  t.in(". 1 ack 6");
  REQUIRE(t.write(fd, 2));
  t.out("P. 6:8 urg 0").silent();
  t.in(". 1 ack 8 win 0");
  REQUIRE(t.write(fd, 1, msg::oob));
  t.after(1000);
  t.out("U. 8 urg 1").out("U. 7 urg 2");  // a closed window does not hide it
  t.over();
}

// --- bytes that wait

TEST_CASE("SIOCINQ, SIOCOUTQ and SIOCOUTQNSD count what waits either way") {
  tcp_script t;
  t.default_win = 1000;
  int const fd = t.accepted("mss 500");
  REQUIRE(t.write(fd, 3000));
  CHECK(ask(t, fd, sioc::outq) == 3000);
  CHECK(ask(t, fd, sioc::outqnsd) == 2000);
  t.in(". 1 ack 501");
  CHECK(ask(t, fd, sioc::outq) == 2500);
  CHECK(ask(t, fd, sioc::outqnsd) == 1500);
  t.in("P. 1:11 ack 501");
  CHECK(ask(t, fd, sioc::inq) == 10);
  t.in("F. 11 ack 501");
  CHECK(ask(t, fd, sioc::inq) == 10);  // the end is no byte
  t.pending.clear();
  int n = 0;
  CHECK(ioctl(t.net(), t.listener, sioc::inq, &n).error() == errc::invalid_argument);
  CHECK(ioctl(t.net(), t.listener, sioc::outqnsd, &n).error() == errc::invalid_argument);
  CHECK(ioctl(t.net(), t.listener, sioc::atmark, &n));
  t.over();
}

TEST_CASE("the bits of poll() in every state", "[S114]") {
  tcp_script t;
  int const fresh = t.stream();
  CHECK(poll_bits(t, fresh) == (writable | poll_ev::hup));
  CHECK(t.connect(fresh) == errc::operation_in_progress);
  t.out("S 0");
  CHECK(poll_bits(t, fresh) == 0);
  t.in("R. 0 ack 1");
  CHECK(poll_bits(t, fresh) == (readable | writable | poll_ev::hup | poll_ev::rdhup | poll_ev::err));
  CHECK(getsockopt(t.net(), fresh, sol::socket, so::error).value() == static_cast<int>(errc::connection_refused));
  CHECK(getsockopt(t.net(), fresh, sol::socket, so::error).value() == 0);
  REQUIRE(close(t.net(), fresh));

  t.our_isn_known = false;
  t.our_port = tcp_script::port;
  int const fd = t.accepted();
  CHECK(poll_bits(t, t.listener) == 0);
  CHECK(poll_bits(t, fd) == writable);
  t.in("P. 1:6 ack 1");
  CHECK(poll_bits(t, fd) == (readable | writable));
  REQUIRE(setsockopt(t.net(), fd, sol::socket, so::rcvlowat, 6));
  CHECK(poll_bits(t, fd) == writable);
  t.in("P. 6:7 ack 1");
  CHECK(poll_bits(t, fd) == (readable | writable));
  t.read(fd, 6);
  t.in("F. 7 ack 1");
  CHECK(poll_bits(t, fd) == (readable | writable | poll_ev::rdhup));
  t.shutdown(fd, shut::wr);
  CHECK(poll_bits(t, fd) == (readable | writable | poll_ev::rdhup | poll_ev::hup));
  t.over();
}

TEST_CASE("MSG_PEEK, MSG_TRUNC and MSG_WAITALL without waiting give what is there") {
  tcp_script t;
  int const fd = t.accepted();
  t.in("P. 1:6 ack 1");
  CHECK(take(t, fd, 3, msg::peek) == std::pair{3, bytes_from(1, 4)});
  CHECK(take(t, fd, 2, msg::trunc).first == 2);  // thrown away
  CHECK(take(t, fd, 10, msg::waitall) == std::pair{3, bytes_from(3, 6)});
  CHECK(take(t, fd, 1).first == again);
  t.over();
}

TEST_CASE("an error behind data is told by the next call") {
  tcp_script t;
  int const fd = t.accepted();
  t.in("P. 1:6 ack 1").in("R. 6 ack 1");
  CHECK(take(t, fd, 10) == std::pair{5, bytes_from(1, 6)});
  CHECK(take(t, fd, 10).first == -static_cast<int>(errc::connection_reset));
  CHECK(take(t, fd, 10).first == 0);
  t.over();
}

// --- times of arrival

TEST_CASE("SO_TIMESTAMP and its like tell when the last byte came that a call read", "[S28]") {
  tcp_script t;
  int const fd = t.accepted();
  auto& worker = t.net().worker();
  using stamps = std::vector<std::pair<int, u64>>;  // the messages, and the ns since 1970 in each
  auto const told = [&](std::size_t room) {
    std::string buf(room, '\0');
    alignas(8) std::byte control[300];
    iovec const part{buf.data(), buf.size()};
    msghdr m{.msg_iov = {&part, 1}, .msg_control = control};
    REQUIRE(recvmsg(t.net(), fd, m, msg::dontwait));
    stamps all;
    auto const ns = [](auto sec, auto rest) { return static_cast<u64>(sec) * 1'000'000'000 + static_cast<u64>(rest); };
    for_each_cmsg(std::span(control).first(m.msg_controllen), [&](cmsg_view const& c) {
      if (c.type == scm::timestampns) all.emplace_back(c.type, ns(c.as<timespec>().tv_sec, c.as<timespec>().tv_nsec));
      if (c.type == scm::timestamp)
        all.emplace_back(c.type, ns(c.as<timeval>().tv_sec, c.as<timeval>().tv_usec * 1000));
      if (c.type == scm::timestamping)
        all.emplace_back(c.type, ns(c.as<scm_timestamping>().ts[0].tv_sec, c.as<scm_timestamping>().ts[0].tv_nsec));
      return true;
    });
    t.collect();
    return all;
  };
  t.in("P. 1:6 ack 1");
  CHECK(told(10).empty());
  REQUIRE(setsockopt(t.net(), fd, sol::socket, so::timestampns, 1));
  t.in("P. 6:11 ack 1");
  u64 const first = worker.now_real;
  t.after(5);
  CHECK(told(10) == stamps{{scm::timestampns, first}});
  t.in("P. 11:16 ack 1").after(5).in("P. 16:21 ack 1");  // frames of the script have no room for both
  u64 const second = worker.now_real;
  t.after(5);
  CHECK(told(3) == stamps{{scm::timestampns, second - 5'000'000}});
  CHECK(told(20) == stamps{{scm::timestampns, second}});
  REQUIRE(setsockopt(t.net(), fd, sol::socket, so::timestamp, 1));
  t.in("P. 26:31 ack 1").after(5).in("P. 31:36 ack 1");
  u64 const late = worker.now_real;
  t.after(5).in("P. 21:26 ack 1");
  u64 const gap = worker.now_real;
  t.after(5);
  CHECK(told(5) == stamps{{scm::timestamp, gap / 1000 * 1000}});
  CHECK(told(20) == stamps{{scm::timestamp, late / 1000 * 1000}});
  REQUIRE(setsockopt(t.net(), fd, sol::socket, so::timestamp, 0));
  REQUIRE(setsockopt(t.net(), fd, sol::socket, so::timestamping,
                     static_cast<int>(sof_timestamping::rx_software | sof_timestamping::software)));
  t.in("P. 36:41 ack 1");
  u64 const last = worker.now_real;
  CHECK(told(20) == stamps{{scm::timestamping, last}});
  t.got = 41;
  t.over();
}

// --- what holds a writer back

TEST_CASE("TCP_NOTSENT_LOWAT bounds what waits to be sent", "[S100]") {
  tcp_script t;
  t.default_win = 3000;
  int const fd = t.accepted("mss 1000");
  REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::notsent_lowat, 2500));
  CHECK(getsockopt(t.net(), fd, sol::tcp, tcp_opt::notsent_lowat).value() == 2500);
  CHECK(t.write(fd, 100'000).value() == 6000);  // three in flight, and the last that was begun below the mark
  t.pending.clear();
  CHECK(t.write(fd, 1).error() == errc::resource_unavailable_try_again);
  CHECK(!(poll_bits(t, fd) & writable));
  t.in(". 1 ack 2001");
  t.pending.clear();
  CHECK((poll_bits(t, fd) & writable) == writable);  // 1000 are left: less than half
  t.over();
}

TEST_CASE("while a driver is busy small writes go together, a tenth of a millisecond later: net/ipv4/tcp_autocorking") {
  tcp_script t;
  int const fd = t.accepted("mss 1000");
  REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::nodelay, 1));
  netdev_priv<rig_dev>(*t.rig.eth0).keeps = true;
  REQUIRE(t.write(fd, 2000));
  t.out(". 1:1001").out("P. 1001:2001");
  for (int i = 0; i < 5; ++i) REQUIRE(t.write(fd, 10));
  t.silent();
  CHECK(t.ext().TCPAutoCorking.read() == 5);
  t.after(1).out("P. 2001:2051").silent();
  REQUIRE(t.write(fd, 1010));
  t.out(". 2051:3051").silent();  // what is full does not wait
  t.after(1).out("P. 3051:3061");
  t.in(". 1 ack 3061");
  REQUIRE(t.write(fd, 2000));
  t.out(". 3061:4061").out("P. 4061:5061");
  REQUIRE(t.write(fd, 10));
  t.in(". 1 ack 4061").out("P. 5061:5071").silent();  // an acknowledgment does not wait
  REQUIRE(sysctl_write(t.net(), "net/ipv4/tcp_autocorking", "0"));
  REQUIRE(t.write(fd, 10));
  t.out("P. 5071:5081").silent();
  t.in(". 1 ack 5081");
  CHECK(rig_dev::complete(*t.rig.eth0) == 0);
  netdev_priv<rig_dev>(*t.rig.eth0).keeps = false;
  REQUIRE(sysctl_write(t.net(), "net/ipv4/tcp_autocorking", "1"));
  REQUIRE(t.write(fd, 10));
  REQUIRE(t.write(fd, 10));
  t.out("P. 5081:5091").out("P. 5091:5101").silent();  // the driver is done
  t.in(". 1 ack 5101");
  t.over();
}

/// What TCP_INFO tells in us is counted in ticks of about a millisecond.
static constexpr bool about(u64 us, u64 ms) { return us + 2100 > ms * 1000 && us < ms * 1000 + 2100; }

TEST_CASE("TCP_INFO tells of no options until the peer has answered", "[S92]") {
  tcp_script t;
  int const fd = t.stream();
  (void)t.connect(fd);
  auto const i = info_of(t, fd);
  CHECK((i.tcpi_state == tcp_state::syn_sent && i.tcpi_options == 0 && i.tcpi_rcv_wscale == 0));
  t.pending.clear();
  t.in("R. 0 ack 1").over();
}

TEST_CASE("TCP_INFO is true to what happened: a transfer with a loss", "[S92]") {
  tcp_script t;
  REQUIRE(sysctl_write(t.net(), "net/ipv4/tcp_early_retrans", "0"));  // no probe of the tail
  int const fd = t.accepted("mss 1000 sackok ts 1 0 ws 7");
  t.after(50);
  REQUIRE(t.write(fd, 5000));
  t.pending.clear();
  auto i = info_of(t, fd);
  CHECK(i.tcpi_state == tcp_state::established);
  CHECK(i.tcpi_options == (tcpi_opt::timestamps | tcpi_opt::sack | tcpi_opt::wscale));
  CHECK(i.tcpi_snd_wscale == 7);
  CHECK(i.tcpi_snd_mss == 988);
  CHECK(i.tcpi_advmss == 1448);
  CHECK(i.tcpi_pmtu == 1500);
  CHECK(i.tcpi_unacked == 6);
  CHECK(i.tcpi_bytes_sent == 5000);
  CHECK(i.tcpi_data_segs_out == 6);
  CHECK(i.tcpi_bytes_acked == 0);
  CHECK(i.tcpi_notsent_bytes == 0);
  CHECK(i.tcpi_rto == inet_csk(t.sk(fd)).icsk_rto);
  t.after(300);  // nobody answers: the first goes again
  t.pending.clear();
  i = info_of(t, fd);
  CHECK(i.tcpi_ca_state == static_cast<u8>(tcp_ca_state::loss));
  CHECK(i.tcpi_retransmits == 1);
  CHECK(i.tcpi_backoff == 1);
  CHECK(i.tcpi_total_retrans == 1);
  CHECK(i.tcpi_bytes_retrans == 988);
  CHECK(i.tcpi_bytes_sent == 5988);
  CHECK(i.tcpi_retrans == 1);
  CHECK(i.tcpi_lost == 6);
  CHECK(i.tcpi_snd_cwnd == 1);
  CHECK(i.tcpi_total_rto == 1);
  CHECK(i.tcpi_total_rto_recoveries == 1);
  CHECK(i.tcpi_total_rto_time > 50);
  t.in(". 1 ack 989 ts 2 0").after(30);  // a part of it: it goes on
  u32 const so_far = info_of(t, fd).tcpi_total_rto_time;
  CHECK(so_far >= i.tcpi_total_rto_time + 30);
  t.in(". 1 ack 5001 ts 2 0").after(30);
  CHECK(info_of(t, fd).tcpi_total_rto_time == so_far);
  t.pending.clear();
  t.in("P. 1:101 ack 5001 ts 3 0").in("P. 201:301 ack 5001 ts 3 0");
  t.after(10);
  i = info_of(t, fd);
  CHECK(i.tcpi_bytes_acked == 5000);
  CHECK(i.tcpi_delivered == 7);  // and the SYN-ACK
  CHECK(i.tcpi_unacked == 0);
  CHECK(i.tcpi_bytes_received == 100);
  CHECK(i.tcpi_data_segs_in == 2);
  CHECK(i.tcpi_segs_in == 6);  // and the SYN
  CHECK(i.tcpi_rcv_ooopack == 1);
  CHECK(i.tcpi_last_data_recv == 10);
  CHECK(i.tcpi_last_ack_recv == 10);
  CHECK(about(i.tcpi_busy_time, 330));
  CHECK(i.tcpi_rwnd_limited == 0);
  t.over();
}

TEST_CASE("TCP_INFO knows how long nothing was heard, however old the connection is", "[S92]") {
  tcp_script t;
  bool const passive = GENERATE(true, false);
  constexpr u64 day = 86'400'000;
  int const fd = passive ? t.accepted() : t.connected();
  t.after(5), t.pending.clear();
  auto i = info_of(t, fd);
  CHECK((i.tcpi_last_data_sent == 5 && i.tcpi_last_data_recv == 5 && i.tcpi_last_ack_recv == 5));
  t.after(49 * day);
  REQUIRE(t.write(fd, 1));
  t.in("P. 1:2 ack 2");
  t.read(fd, 1);
  t.after(2 * day), t.pending.clear();  // milliseconds of 51 days are more than 32 bits hold
  i = info_of(t, fd);
  CHECK((i.tcpi_last_data_sent == 2 * day && i.tcpi_last_data_recv == 2 * day && i.tcpi_last_ack_recv == 2 * day));
  t.over();
}

TEST_CASE("TCP_INFO knows for how long what held us back: RFC 4898") {
  tcp_script t;
  t.default_win = 1000;
  int const fd = t.accepted("mss 1000");
  REQUIRE(t.write(fd, 2000));
  t.pending.clear();
  t.after(30).in(". 1 ack 1001");  // the window was in the way for 30 ms
  t.after(20).in(". 1 ack 2001");  // the path was slow for 20 ms
  t.after(1000);
  auto const i = info_of(t, fd);
  CHECK(about(i.tcpi_busy_time, 50));
  CHECK(about(i.tcpi_rwnd_limited, 30));
  CHECK(i.tcpi_sndbuf_limited == 0);
  t.default_win = 60'000;
  REQUIRE(setsockopt(t.net(), fd, sol::socket, so::sndbuf, 1));  // the least there is
  while (t.write(fd, 1000)) t.pending.clear();
  t.after(40).in(". 1 ack " + std::to_string(t.written));
  CHECK(about(info_of(t, fd).tcpi_sndbuf_limited, 40));
  CHECK(about(info_of(t, fd).tcpi_busy_time, 90));
  t.over();
}

TEST_CASE("TCP_INFO of a listener is its queue; a short buffer gets the beginning") {
  tcp_script t;
  t.listen(5);
  t.in("S 0 mss 1460").out("S. 0 ack 1").in(". 1 ack 1");
  auto const i = info_of(t, t.listener);
  CHECK(i.tcpi_state == tcp_state::listen);
  CHECK(i.tcpi_unacked == 1);
  CHECK(i.tcpi_sacked == 5);
  u8 room[3]{};
  u32 len = sizeof room;
  REQUIRE(getsockopt(t.net(), t.listener, sol::tcp, tcp_opt::info, room, &len));
  CHECK(len == 3);
  CHECK(room[0] == tcp_state::listen);
  t.over();
}

TEST_CASE("what a connection costs, and how near each other the numbers lie that a segment touches", "[S92][S102]") {
  constexpr auto line_of = [](std::size_t offset) { return offset / cache_line; };
  STATIC_REQUIRE(sizeof(tcp_sock) <= 704);
  STATIC_REQUIRE(sizeof(tcp_ofo) <= cache_line);
  STATIC_REQUIRE(sizeof(tcp_request_sock) <= 128);
  STATIC_REQUIRE(sizeof(tcp_timewait_sock) == cache_line);
  STATIC_REQUIRE(sizeof(inet_link) == 4);
  STATIC_REQUIRE(sizeof(sockfs::socket) <= 48);
  STATIC_REQUIRE(sizeof(icsk_listening) <= tcp_ca_priv_size);
  STATIC_REQUIRE(sizeof(tcp_numbers) + sizeof(tcp_flow) + sizeof(tcp_counts) == 3 * cache_line);
  STATIC_REQUIRE(line_of(offsetof(sock, sk_receive_queue)) == line_of(offsetof(sock, sk_memory)));
  STATIC_REQUIRE(line_of(offsetof(sock, sk_wmem_alloc)) == line_of(offsetof(sock, sk_backlog_len)));
  STATIC_REQUIRE(line_of(offsetof(sock, sk_wmem_alloc)) == line_of(offsetof(sock, sk_backlog)));
}

TEST_CASE("who asks for what few ask for has it beside it, and so have connections of such a listener") {
  tcp_script t;
  auto& rares = tcp_worker_of(t.net()).rares;
  t.listen();
  t.in("S 0 mss 1460").out("S. 0 ack 1").in(". 1 ack 1");
  int const plain = t.accept();
  REQUIRE(setsockopt(t.net(), t.listener, sol::tcp, tcp_opt::maxseg, 0));  // nothing new
  CHECK(rares.in_use() == 0);
  CHECK(setsockopt(t.net(), t.listener, sol::tcp, tcp_opt::keepidle, 0).error() == errc::invalid_argument);
  REQUIRE(setsockopt(t.net(), t.listener, sol::tcp, tcp_opt::keepidle, 77));
  CHECK(rares.in_use() == 1);
  t.from_port = 4001, t.our_isn_known = false;
  t.in("S 0 mss 1460").out("S. 0 ack 1").in(". 1 ack 1");
  int const asked = t.accept();
  CHECK(rares.in_use() == 2);
  CHECK(getsockopt(t.net(), asked, sol::tcp, tcp_opt::keepidle).value() == 77);
  CHECK(getsockopt(t.net(), plain, sol::tcp, tcp_opt::keepidle).value() == 7200);
  t.over();
}

TEST_CASE("so it is with options of SOL_SOCKET and IP", "[S100]") {
  tcp_script t;
  auto& net = t.net();
  auto& rares = tcp_worker_of(net).sock_rares;
  t.listen();
  t.in("S 0 mss 1460").out("S. 0 ack 1").in(". 1 ack 1");
  int const plain = t.accept();
  REQUIRE(setsockopt(net, t.listener, sol::ip, ip_opt::unicast_if, 0));  // nothing new
  CHECK(setsockopt(net, t.listener, sol::ip, ip_opt::multicast_ttl, 2).error() == errc::invalid_argument);
  CHECK(rares.in_use() == 0);
  REQUIRE(setsockopt(net, t.listener, sol::socket, so::peek_off, 7));
  REQUIRE(setsockopt(net, t.listener, sol::ip, ip_opt::local_port_range, 0x2000'1000));
  REQUIRE(setsockopt(net, t.listener, sol::socket, so::incoming_cpu, 3));
  CHECK(rares.in_use() == 1);
  t.from_port = 4001, t.our_isn_known = false;
  t.in("S 0 mss 1460").out("S. 0 ack 1").in(". 1 ack 1");
  int const asked = t.accept();
  CHECK(rares.in_use() == 2);
  CHECK(getsockopt(net, asked, sol::socket, so::peek_off).value() == 7);
  CHECK(getsockopt(net, asked, sol::ip, ip_opt::local_port_range).value() == 0x2000'1000);
  CHECK(getsockopt(net, asked, sol::socket, so::incoming_cpu).value() == -1);  // the listener's alone
  CHECK(getsockopt(net, plain, sol::socket, so::peek_off).value() == -1);
  REQUIRE(setsockopt(net, asked, sol::ip, ip_opt::recverr, 1));
  t.over();
  CHECK(rares.in_use() == 0);
}

TEST_CASE("what TCP_INFO counts of repetitions and of data out of order lies beside, too") {
  tcp_script t;
  int const fd = t.accepted();
  auto& rares = tcp_worker_of(t.net()).rares;
  CHECK(info_of(t, fd).tcpi_total_retrans == 0);
  CHECK(rares.in_use() == 0);
  t.in("P. 11:21 ack 1").out(". 1 ack 1");
  CHECK(rares.in_use() == 1);
  CHECK(info_of(t, fd).tcpi_rcv_ooopack == 1);
  t.over();
  CHECK(rares.in_use() == 0);
}

// --- options that show on the wire; their ranges: tests/interop/tcp_oracle.cpp

TEST_CASE("TCP_WINDOW_CLAMP and SO_RCVBUF bound the window, SO_RCVLOWAT makes room for what is waited for", "[S100]") {
  tcp_script t;
  t.listen();
  REQUIRE(setsockopt(t.net(), t.listener, sol::tcp, tcp_opt::window_clamp, 5000));
  t.in("S 0 mss 1460").out("S. 0 ack 1 win 5000").in(". 1 ack 1");
  int const fd = t.accept();
  CHECK(getsockopt(t.net(), fd, sol::tcp, tcp_opt::window_clamp).value() == 5000);
  t.in("P. 1:1001 ack 1").out(". 1 ack 1001 win 5000");
  t.read(fd, 1000);
  t.in("P. 1001:1011 ack 1").out(". 1 ack 1011 win 4990");
  REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::window_clamp, 60'000));
  u32 const before_buf = t.sk(fd).sk_rcvbuf, most = static_cast<u32>(tcp_pernet(t.net()).sysctl_tcp_rmem[2]);
  REQUIRE(setsockopt(t.net(), fd, sol::socket, so::rcvlowat, 0x7fffffff));
  CHECK(getsockopt(t.net(), fd, sol::socket, so::rcvlowat).value() == static_cast<int>(most / 2));
  CHECK(t.sk(fd).sk_rcvbuf > before_buf);
  CHECK(tcp_full_space(t.sk(fd)) >= std::min(most / 2, tcp_win_from_space(t.sk(fd), most)));
  REQUIRE(setsockopt(t.net(), fd, sol::socket, so::rcvbuf, 20'000));
  REQUIRE(setsockopt(t.net(), fd, sol::socket, so::rcvlowat, 0x7fffffff));
  CHECK(getsockopt(t.net(), fd, sol::socket, so::rcvlowat).value() == 20'000);  // what the buffer can hold
  CHECK(t.sk(fd).sk_rcvbuf == 40'000);
  t.read(fd, 10);
  t.over();
}

TEST_CASE("TCP_SYNCNT bounds how long connect() tries") {
  tcp_script t;
  int const fd = t.stream();
  REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::syncnt, 2));
  CHECK(t.connect(fd) == errc::operation_in_progress);
  t.out("S 0").after(5500);
  for (int i = 0; i < 5; ++i) t.out("S 0");
  t.quiet(2000);  // no longer than three SYNs with twice as much time between them would have taken
  CHECK(t.connect(fd) == errc::timed_out);
  t.over();
}

TEST_CASE("TCP_QUICKACK: what waits is acknowledged, and what comes next at once; without, after a while", "[S147]") {
  tcp_script t;
  int const fd = t.accepted("mss 1000");
  REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::quickack, 0));
  t.in("P. 1:11 ack 1");
  t.pending.clear();
  REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::quickack, 0));
  t.in("P. 11:21 ack 1").silent();
  REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::quickack, 1));
  t.collect();
  t.out(". 1 ack 21");
  t.in("P. 21:31 ack 1").out(". 1 ack 31").silent();
  REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::quickack, 0));
  t.in("P. 31:41 ack 1").quiet(39).after(2).out(". 1 ack 41");
  t.read(fd, 40);
  t.over();
}

// --- the path's MTU, as ICMP tells it: RFC 1191, RFC 5927. What is found by trying: tests/integration/tcp_paths.cpp

TEST_CASE("what is too long for the path goes again in smaller pieces, at once and with the same window",
          "[RFC 1191]") {
  tcp_script t;
  t.figure = t.accepted("mss 1460");
  REQUIRE(t.write(t.figure, 3000));
  t.out(". 1:1461").out(". 1461:2921").out("P. 2921:3001");
  t.play(R"(icmp 3 4 1 1000
            < . 1:961
            < . 961:1461
            < . 1461:2421
            < . 2421:2921)");
  CHECK(t.tp(t.figure).mss_cache == 960);
  CHECK(t.tp(t.figure).snd_cwnd == 10);
  CHECK(t.tp(t.figure).snd_ssthresh == tcp_infinite_ssthresh);
  CHECK(info_of(t, t.figure).tcpi_pmtu == 1000);
  CHECK(getsockopt(t.net(), t.figure, sol::ip, ip_opt::mtu).value() == 1000);
  for (u32 const ack : {961u, 1461u, 2421u, 2921u, 3001u}) {  // nor does it shrink afterwards
    t.in(". 1 ack " + std::to_string(ack)).silent();
    CHECK(t.tp(t.figure).snd_cwnd >= 10);
    CHECK(t.tp(t.figure).snd_ssthresh == tcp_infinite_ssthresh);
  }
  REQUIRE(t.write(t.figure, 960));
  t.out("P. 3001:3961");
  t.in(". 1 ack 3961");
  CHECK(t.tp(t.figure).ca_state == tcp_ca_state::open);
  t.over();
}

TEST_CASE(
    "a message about what is not in flight, or that asks for less than is reasonable, is not believed: RFC 5927") {
  tcp_script t;
  t.figure = t.accepted("mss 1460");
  REQUIRE(t.write(t.figure, 1460));
  t.out("P. 1:1461");
  t.play("icmp 3 4 100000 1000");
  t.play("icmp 3 4 -5 1000");
  CHECK(t.ext().OutOfWindowIcmps.read() == 2);
  CHECK(t.tp(t.figure).mss_cache == 1460);
  t.play(R"(icmp 3 4 1 68
            < . 1:513
            < . 513:1025
            < P. 1025:1461)");
  CHECK(info_of(t, t.figure).tcpi_pmtu == ipv4_net(t.net()).ip_rt_min_pmtu);
  t.in(". 1 ack 1461");
  REQUIRE(t.write(t.figure, 10));
  CHECK(t.pending.front().ip().frag_off == be16{0});  // routers may cut it
  t.out("P. 1461:1471").in(". 1 ack 1471");
  t.over();
}

TEST_CASE("IP_MTU_DISCOVER says whether a message is listened to, and whether a router may cut") {
  tcp_script t;
  t.figure = t.accepted("mss 1460");
  auto const df = [&] { return (t.pending.front().ip().frag_off.host() & ip_df) != 0; };
  REQUIRE(t.write(t.figure, 1460));
  CHECK(df());
  t.out("P. 1:1461");
  REQUIRE(setsockopt(t.net(), t.figure, sol::ip, ip_opt::mtu_discover, static_cast<int>(ip_pmtudisc::interface)));
  t.play("icmp 3 4 1 1000");  // nothing goes again
  t.in(". 1 ack 1461");
  REQUIRE(t.write(t.figure, 1460));  // … but the path is known
  CHECK(!df());
  t.out(". 1461:2421").out("P. 2421:2921");
  t.in(". 1 ack 2921");
  REQUIRE(setsockopt(t.net(), t.figure, sol::ip, ip_opt::mtu_discover, static_cast<int>(ip_pmtudisc::probe)));
  REQUIRE(t.write(t.figure, 960));
  t.out("P. 2921:3881");
  t.play(R"(icmp 3 4 2921 600
            < . 2921:3481
            < P. 3481:3881)");
  t.in(". 1 ack 3881");
  REQUIRE(setsockopt(t.net(), t.figure, sol::ip, ip_opt::mtu_discover, static_cast<int>(ip_pmtudisc::dont)));
  REQUIRE(t.write(t.figure, 10));
  CHECK(!df());
  t.out("P. 3881:3891");
  t.in(". 1 ack 3891");
  t.over();
}

TEST_CASE("TCP_MAXSEG bounds what we ask for and what we send: RFC 9293 §3.7.1") {
  tcp_script t;
  t.listen();
  REQUIRE(setsockopt(t.net(), t.listener, sol::tcp, tcp_opt::maxseg, 700));
  t.in("S 0 mss 1460").out("S. 0 ack 1 mss 700").in(". 1 ack 1");
  int const fd = t.accept();
  REQUIRE(t.write(fd, 1000));
  t.out(". 1:701").out("P. 701:1001").silent();
  t.in(". 1 ack 1001");
  t.over();
}

// --- RFC 5482

TEST_CASE("the user timeout option: off, as in Linux, nothing is said or heard of it", "[RFC 5482]") {
  tcp_script t;
  int const fd = t.stream();
  REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::user_timeout, 2'000'000));
  REQUIRE(t.connect(fd) == errc::operation_in_progress);
  t.out("S 0").in("S. 0 ack 1 mss 1460 uto 3000").out(". 1 ack 1").silent();
  CHECK(t.tp(fd).rare->user_timeout == 2'000'000);
  t.over();
}

TEST_CASE("a user timeout is told with the SYN, with what follows it, and when it changes", "[RFC 5482]") {
  tcp_script t;
  REQUIRE(sysctl_write(t.net(), "net/ipv4/tcp_user_timeout_option", "1"));
  int const fd = t.stream();
  REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::user_timeout, 2'000'000));
  REQUIRE(t.connect(fd) == errc::operation_in_progress);
  t.out("S 0 uto 2000").in("S. 0 ack 1 mss 1000 ts 1 0 uto 3000").out(". 1 ack 1 uto 2000").silent();
  CHECK(t.tp(fd).rare->user_timeout == 2'000'000);  // the application has said what it wants: §3.1
  REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::nodelay, 1));
  REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::user_timeout, 120'000'000));
  REQUIRE(t.write(fd, 1000 - 12));
  t.out("P. 1:989").silent();  // full: it has no room for it
  REQUIRE(t.write(fd, 10));
  t.out("P. 989:999 uto " + std::to_string(0x8000 + 2000)).silent();  // in minutes
  REQUIRE(t.write(fd, 10));
  t.out("P. 999:1009").silent();
  t.over();
}

TEST_CASE("the peer's user timeout makes ours longer, within bounds, and never shorter", "[RFC 5482]") {
  tcp_script t;
  REQUIRE(sysctl_write(t.net(), "net/ipv4/tcp_user_timeout_option", "1"));
  int const fd = t.accepted("mss 1000 uto 5000");  // noted while it is half open
  auto const adopted = [&] { return t.tp(fd).rare->user_timeout / 1000; };
  CHECK(adopted() == 5000);
  t.in(". 1 ack 1 uto 2000");
  CHECK(adopted() == 2000);
  t.in("P. 1:6 ack 1 uto 5");  // 5 s; R2 is 924
  CHECK(adopted() == 924);
  t.in("P. 6:11 ack 1 uto " + std::to_string(0x8000 + 30'000));
  CHECK(adopted() == 86'400);
  t.in(". 11 ack 1 uto " + std::to_string(0x8000));  // no time at all
  CHECK(adopted() == 86'400);
  REQUIRE(setsockopt(t.net(), fd, sol::tcp, tcp_opt::user_timeout, 7000));
  t.in(". 11 ack 1 uto 2000");
  CHECK(adopted() == 7);
  // Who listens may have said what it wants.
  REQUIRE(setsockopt(t.net(), t.listener, sol::tcp, tcp_opt::user_timeout, 9000));
  t.from_port = 5000, t.our_isn_known = false, t.pending.clear();
  CHECK(t.tp(t.accepted("mss 1000 uto 5000")).rare->user_timeout == 9000);
  t.pending.clear();
  t.over();
}
