// SPDX-License-Identifier: BSL-1.0
// What RFC 9293 and its companions ask for, as figures: each script is a conversation, and its name says which
// requirement of RFC 9293's Appendix B it shows (docs/rfc.md lists them). Hostile conversations are at the end.
#include <set>

#include "netstack/tcp/tcp.hpp"
#include "support/tcp_script.hpp"

using namespace netstack;
using namespace netstack::test;
using std::errc;

namespace {

struct script {
  char const* name;
  char const* text;
};

/// Passive, with MSS 1000 and no options besides; `accept` has been called.
std::string const opened = "listen\n > S 0 mss 1000\n < S. 0 ack 1\n > . 1 ack 1\n accept\n";

void play(std::span<script const> scripts) {
  bool const shorts = GENERATE(false, true);
  CAPTURE(shorts);
  for (auto const& s : scripts) {
    DYNAMIC_SECTION(s.name) {
      tcp_script t;
      t.shorts(shorts);
      std::string const text = s.text;
      bool const goes_on = text.starts_with("...");
      t.play((goes_on ? opened : "") + text.substr(goes_on ? 3 : 0));
      t.over();
    }
  }
}

constexpr script opening[]{
    {"MUST-10 MUST-11: both open at once; a RST ends it, since nobody listens", R"(
      connect
      < S 0
      > S 0 mss 1000
      < S. 0 ack 1
      = SYN-RECEIVED
      > R 1
      = CLOSED
      gives 104)"},
    {"MUST-11: a passive open goes back to LISTEN, and another can come", R"(
      listen
      > S 0 mss 1000
      < S. 0 ack 1
      > R 1
      = LISTEN
      > S 0 mss 1000
      < S. 0 ack 1
      > . 1 ack 1
      accept
      = ESTABLISHED)"},
    {"SHLD-5 MAY-3 MUST-14 MUST-67: our MSS is what the link carries without both headers, and is always told", R"(
      listen
      > S 0
      < S. 0 ack 1 mss 1460)"},
    {"MUST-15: without the option a segment carries 536 bytes", R"(
      listen
      > S 0
      < S. 0 ack 1
      > . 1 ack 1
      accept
      write 600
      < . 1:537 ack 1
      < P. 537:601 ack 1
      > . 1 ack 601)"},
    {"MUST-16: the time stamp takes twelve bytes of each segment", R"(
      listen
      > S 0 mss 1000 ts 1 0
      < S. 0 ack 1 ts * 1
      > . 1 ack 1 ts 2 0
      accept
      write 1000
      < . 1:989 ack 1 ts * 2
      < P. 989:1001 ack 1 ts * 2
      > . 1 ack 1001 ts 3 0)"},
    {"MUST-64: options are read wherever they stand", R"(
      listen
      > S 0 opt 010204020801030302010402   # a no-op, MSS 520, a no-op, scale 2, a no-op, SACK permitted
      < S. 0 ack 1 mss 1460 sackok ws 1
      > . 1 ack 1
      accept
      write 521
      < . 1:521 ack 1
      < P. 521:522 ack 1
      > . 1 ack 522)"},
    {"MUST-6 MUST-5: unknown options are stepped over, in any segment", R"(
      listen
      > S 0 opt fd04abcd020401f4
      < S. 0 ack 1
      > . 1 ack 1 opt 6306000000000000
      accept
      > P. 1:6 ack 1 opt fe0a12345678
      < . 1 ack 6
      read 5
      write 501
      < . 1:501 ack 6
      < P. 501:502 ack 6
      > . 6 ack 502)"},
    {"MUST-7, AMNESIA:33: an option of length 0, of 1, of more than there is", R"(
      listen
      > S 0 opt 02000000
      < S. 0 ack 1
      > . 1 ack 1
      accept
      write 537                            # as if the option were not there
      < . 1:537 ack 1
      < P. 537:538 ack 1
      > P. 1:6 ack 538 opt 0801ffff
      < . 538 ack 6
      > P. 6:11 ack 538 opt 05ff0000
      < . 538 ack 11
      read 10)"},
    {"RFC 9293 §3.4, figure 8: an old SYN is answered, refused, and the true one is taken", R"(
      listen
      > S 90 mss 1000
      < S. 0 ack 91
      > R 91
      = LISTEN
      > S 0 mss 1000
      < S. 0 ack 1
      > . 1 ack 1
      accept
      = ESTABLISHED)"},
    {"RFC 9293 §3.5.1, figure 9: the peer has forgotten us; its SYN is challenged and its RST believed", R"(...
      > S 400
      < . 1 ack 1
      > R 1
      = CLOSED
      gives 104)"},
    {"MUST-23 MUST-22 RFC 6298: SYNs for 255 seconds, if the application asks for it", R"(
      connect
      set syncnt 7
      < S 0
      +1010
      < S 0
      +1010
      < S 0
      +1010
      < S 0
      +1010
      < S 0
      +1010
      < S 0
      +2010
      < S 0
      +4010
      < S 0
      +8010
      < S 0
      +16010
      < S 0
      +32010
      < S 0
      +64010
      < S 0
      +100000
      = SYN-SENT
      +30000
      gives 110)"},
};

constexpr script data[]{
    {"SHLD-27 MAY-16 MUST-61 MUST-60: what was written while a segment was out leaves together, its end marked", R"(...
      write 10
      < P. 1:11 ack 1
      write 10
      write 10
      > . 1 ack 11
      < P. 11:31 ack 1
      > . 1 ack 31)"},
    {"SHLD-28: large segments as long as there are bytes for them", R"(...
      write 3500
      < . 1:1001 ack 1
      < . 1001:2001 ack 1
      < . 2001:3001 ack 1
      < P. 3001:3501 ack 1
      > . 1 ack 3501)"},
    {"SHLD-7: Nagle; MUST-17: the application turns it off", R"(...
      write 1
      < P. 1:2 ack 1
      write 1
      set nodelay 1
      < P. 2:3 ack 1
      write 1
      < P. 3:4 ack 1
      > . 1 ack 4)"},
    {"MUST-38: a window that opens by little is not filled by little", R"(...
      > . 1 ack 1 win 0
      write 2000
      > . 1 ack 1 win 10
      +100
      > . 1 ack 1 win 1000
      < . 1:1001 ack 1
      > . 1 ack 1001 win 1000
      < P. 1001:2001 ack 1
      > . 1 ack 2001)"},
    {"SHLD-18 MUST-40: one segment alone is acknowledged after a while, of less than half a second", R"(...
      > . 1:1001 ack 1
      < *
      set quickack 0
      > P. 1001:1011 ack 1
      +30
      +20
      < . 1 ack 1011
      read 1010
      < *)"},
    {"SHLD-31 MAY-13 MUST-59: segments out of order wait, and are acknowledged together once the gap is filled", R"(...
      > . 101:201 ack 1
      < . 1 ack 1
      > . 201:301 ack 1
      < . 1 ack 1
      > . 301:401 ack 1
      < . 1 ack 1
      > . 1:101 ack 1
      < . 1 ack 401
      read 400)"},
    {"MUST-65: only a SYN of ours tells an MSS", R"(...
      write 5
      < P. 1:6 ack 1
      > . 1 ack 6)"},
    {"a repetition that brings more than was lost: the new part counts", R"(...
      > . 1:101 ack 1
      < . 1 ack 101
      > . 51:151 ack 1
      < . 1 ack 151
      > P. 1:201 ack 1
      < . 1 ack 201
      read 200)"},
};

constexpr script windows[]{
    {"SHLD-15 SHLD-16 MUST-34: a peer takes its window back: nothing new leaves, the old is repeated", R"(...
      write 4000
      < . 1:1001 ack 1
      < . 1001:2001 ack 1
      < . 2001:3001 ack 1
      < P. 3001:4001 ack 1
      write 1000
      < P. 4001:5001 ack 1
      > . 1 ack 1001 win 1500       # 2501 on is outside now
      +250
      < . 1001:2001 ack 1
      > . 1 ack 2001 win 5000
      < *
      > . 1 ack 5001)"},
    {"MUST-35 MUST-36 SHLD-29 SHLD-30: a closed window is asked about, ever more rarely", R"(...
      > . 1 ack 1 win 0
      write 100
      +195
      +10
      < . 0 ack 1
      > . 1 ack 1 win 0
      +390
      +20
      < . 0 ack 1
      > . 1 ack 1 win 0
      +790
      +20
      < . 0 ack 1
      > . 1 ack 1 win 100
      < P. 1:101 ack 1
      > . 1 ack 101)"},
};

constexpr script closing[]{
    {"MUST-13: TIME-WAIT lasts", R"(...
      close
      < F. 1 ack 1
      > . 1 ack 2
      = FIN-WAIT-2
      > F. 1 ack 2
      < . 2 ack 2
      = TIME-WAIT
      +59000
      = TIME-WAIT
      +1100
      = LISTEN)"},
    {"MAY-2: TIME-WAIT takes a SYN that is newer", R"(...
      close
      < F. 1 ack 1
      > F. 1 ack 2
      < . 2 ack 2
      = TIME-WAIT
      > S 1                          # not newer
      < . 2 ack 2
      = TIME-WAIT)"},
    {"SHLD-4: with time stamps a later clock is newer, whatever the number", R"(
      listen
      > S 0 mss 1000 ts 100 0
      < S. 0 ack 1 ts * 100
      > . 1 ack 1 ts 101 0
      accept
      close
      < F. 1 ack 1
      > F. 1 ack 2 ts 102 0
      < . 2 ack 2
      = TIME-WAIT
      > S 1 ts 103 0
      < S. 65539 ack 2
      = SYN-RECEIVED)"},
    {"MAY-1 SHLD-3: closed for both directions: data that comes is answered with a RST", R"(...
      close
      < F. 1 ack 1
      > . 1 ack 2
      > P. 1:6 ack 2
      < R 2
      = LISTEN)"},
    {"MUST-12: a reset is told, and is no orderly end", R"(...
      > P. 1:6 ack 1
      < . 1 ack 6
      > R 6
      read 5
      gives 104
      gives 0)"},
    {"SHLD-2: a RST may carry data, which says why", R"(...
      > R 1:20
      = CLOSED
      gives 104)"},
    {"a FIN is repeated until it is acknowledged, and the peer's answered meanwhile", R"(...
      > F. 1 ack 1
      +3
      +3
      < . 1 ack 2
      close
      < F. 1 ack 2
      = LAST-ACK
      +205
      < F. 1 ack 2
      > F. 1 ack 1
      < . 2 ack 2
      +405
      < F. 1 ack 2
      > . 2 ack 2
      = LISTEN)"},
    {"FIN-WAIT-2 that nobody holds is given up after a minute", R"(...
      close
      < F. 1 ack 1
      > . 1 ack 2
      = FIN-WAIT-2
      +59000
      = FIN-WAIT-2
      +2000
      = LISTEN
      > F. 1 ack 2                   # too late
      < R 2)"},
    {"data and FIN from both at once: RFC 9293 figure 13, with data", R"(...
      write 10
      < P. 1:11 ack 1
      shutdown
      < F. 11 ack 1
      = FIN-WAIT-1
      > FP. 1:6 ack 1
      < . 12 ack 7
      = CLOSING
      > . 7 ack 12
      = TIME-WAIT
      read 5
      gives 0)"},
    {"what lies behind the peer's FIN is not taken, in the window or across its edge", R"(...
      > F. 1 ack 1
      +6
      < . 1 ack 2
      > P. 2:7 ack 1
      > P. 0:7 ack 1
      > FP. 1:7 ack 1
      < *
      = CLOSE-WAIT
      gives 0
      write 3
      < P. 1:4 ack 2
      > . 2 ack 4)"},
    {"a FIN is no byte, and comes again", R"(...
      > FP. 1:6 ack 1
      +39
      +6
      < . 1 ack 7
      > FP. 1:6 ack 1
      < . 1 ack 7
      > F. 6 ack 1
      < . 1 ack 7
      read 5
      gives 0)"},
    {"the acknowledgment of a FIN is our own FIN, if that comes soon", R"(...
      > FP. 1:6 ack 1
      read 5
      gives 0
      +39
      close
      < F. 1 ack 7
      > . 7 ack 2
      = LISTEN)"},
    {"… or data of ours, which the peer goes on reading", R"(...
      > F. 1 ack 1
      write 3
      < P. 1:4 ack 2
      > . 2 ack 4
      +1000
      = CLOSE-WAIT)"},
    {"a FIN that comes again before it was acknowledged is answered at once, and only once", R"(...
      > P. 1:6 ack 1
      < . 1 ack 6
      > F. 6 ack 1
      > F. 6 ack 1
      < . 1 ack 7
      +1000
      = CLOSE-WAIT)"},
    {"what comes while the acknowledgment of a FIN is due soon is acknowledged with it, at once", R"(...
      > F. 1 ack 1
      > . 2 ack 1
      < . 1 ack 2
      +1000
      = CLOSE-WAIT)"},
    {"a FIN behind more than a full segment is acknowledged with it, and one that fills a gap", R"(...
      > . 1:1001 ack 1
      < . 1 ack 1001
      > FP. 1501:1601 ack 1
      < . 1 ack 1001
      > P. 1001:1501 ack 1
      < . 1 ack 1602)"},
    {"a FIN with a full segment makes it more than that", R"(...
      > . 1:1001 ack 1
      < . 1 ack 1001
      > FP. 1001:2001 ack 1
      < . 1 ack 2002)"},
};

constexpr script failing[]{
    {"MUST-20 SHLD-11: given up after a quarter of an hour", R"(...
      write 10
      < P. 1:11 ack 1
      +800000
      < *
      = ESTABLISHED
      +160000
      < *
      gives 110)"},
    {"MUST-21: the application says after how long", R"(...
      set user_timeout 5000
      write 10
      < P. 1:11 ack 1
      +4000
      < *
      = ESTABLISHED
      +3000
      < *
      gives 110)"},
    {"MUST-24 MUST-26 MUST-27 MUST-29 SHLD-12: keepalive after two idle seconds, patient with what is lost", R"(...
      set keepidle 2
      set keepintvl 3
      set keepcnt 2
      set keepalive 1
      +1900
      +150
      < . 0 ack 1                    # no data
      +3000
      < . 0 ack 1
      > . 1 ack 1                    # the first answer was lost
      +2900
      +150
      < . 0 ack 1
      +3000
      < . 0 ack 1
      = ESTABLISHED
      +3000
      < R. 1 ack 1
      gives 110)"},
    {"MUST-25 MUST-28: nobody is asked unless the application wants it, and then after two hours", R"(...
      +7300000
      set keepalive 1
      +7190000
      +20000
      < . 0 ack 1
      > . 1 ack 1)"},
    {"MUST-29: a probe of the peer's is answered", R"(...
      > . 0 ack 1
      < . 1 ack 1
      +600
      > . 0:1 ack 1
      < . 1 ack 1)"},
    {"MUST-54 MUST-56 SHLD-25: unreachable, time exceeded, parameter problem do not end a connection", R"(...
      write 10
      < P. 1:11 ack 1
      icmp 3 0 1
      icmp 3 1 1
      icmp 3 5 1
      icmp 11 0 1
      icmp 12 0 1
      = ESTABLISHED
      > . 1 ack 11
      = ESTABLISHED)"},
    {"RFC 5927: neither does a hard error that anybody could have sent; one about nothing in flight is not even looked "
     "at",
     R"(...
      write 10
      < P. 1:11 ack 1
      icmp 3 3 1
      icmp 3 2 1
      icmp 3 3 12
      icmp 3 3 -5
      = ESTABLISHED
      > . 1 ack 11)"},
    {"MUST-55: a source quench is passed over", R"(...
      write 10
      < P. 1:11 ack 1
      icmp 4 0 1
      > . 1 ack 11
      = ESTABLISHED)"},
    {"MUST-47 SHLD-20: errors that pass are told to who asks for them", R"(...
      set recverr 1
      write 10
      < P. 1:11 ack 1
      icmp 3 1 1
      gives 113
      gives 11
      = ESTABLISHED
      > . 1 ack 11)"},
    {"SHLD-26: a port unreachable refuses an open", R"(
      connect
      < S 0
      icmp 3 3 0
      = CLOSED
      gives 111)"},
    {"RFC 5927: but not one about another SYN", R"(
      connect
      < S 0
      icmp 3 3 5
      icmp 3 3 -1
      = SYN-SENT
      > S. 0 ack 1
      < . 1 ack 1
      = ESTABLISHED)"},
};

constexpr script hostile[]{
    {"LAND: a SYN that claims to come from the connection itself", R"(...
      > S 0 mss 1000
      < . 1 ack 1
      > S. 0 ack 1                    # RFC 5961, section 7: not so soon again
      +500
      > S. 0 ack 1
      < . 1 ack 1
      = ESTABLISHED)"},
    {"optimistic ACK: what was not sent is not acknowledged", R"(...
      write 10
      < P. 1:11 ack 1
      > . 1 ack 12
      < . 11 ack 1
      +250
      < P. 1:11 ack 1                # still owed
      > . 1 ack 11)"},
    {"URGENT/11: pointers to nothing, to everything, behind the end", R"(...
      > U. 1 ack 1 urg 0
      > UP. 1:2 ack 1 urg 65535
      < . 1 ack 2
      > UF. 2:4 ack 1 urg 1
      +45
      < . 1 ack 5
      = CLOSE-WAIT)"},
    {"flags that go together nowhere", R"(...
      > SF 1
      < . 1 ack 1
      > SFRPU. 1 ack 1
      = CLOSED)"},
    {"SACK Panic: an MSS of 48 is not obeyed to the letter", R"(
      listen
      > S 0 mss 48 sackok
      < S. 0 ack 1
      > . 1 ack 1
      accept
      write 200
      < . 1:89 ack 1
      < . 89:177 ack 1
      < P. 177:201 ack 1
      > . 1 ack 1 sack 89-177
      < *
      > . 1 ack 201)"},
    {"an MSS of nothing", R"(
      listen
      > S 0 mss 1 sackok
      < S. 0 ack 1
      > . 1 ack 1
      accept
      write 100
      < . 1:89 ack 1
      < P. 89:101 ack 1
      > . 1 ack 101)"},
    {"a window scaled beyond what is allowed is one of fourteen bits", R"(
      listen
      > S 0 opt 03030fff
      < S. 0 ack 1 ws 1
      > . 1 ack 1 win 1
      accept
      write 2000
      < . 1:537 ack 1
      < . 537:1073 ack 1
      < . 1073:1609 ack 1
      < P. 1609:2001 ack 1
      > . 1 ack 2001 win 1)"},
};

}  // namespace

TEST_CASE("scripts of opening", "[S147][S148]") { play(opening); }
TEST_CASE("scripts of data", "[S147]") { play(data); }
TEST_CASE("scripts of windows", "[S147]") { play(windows); }
TEST_CASE("scripts of closing", "[S147][S148]") { play(closing); }
TEST_CASE("scripts of failing", "[S147]") { play(failing); }
TEST_CASE("scripts of strangers", "[S147][LAND][URGENT/11][SACK Panic][RFC 5927]") { play(hostile); }

TEST_CASE("a window is an unsigned number of 32 bits: more than half of 65535 is filled", "[MUST-1][REC-1]") {
  tcp_script t;
  int const fd = t.accepted("mss 1000");
  t.tp(fd).snd_cwnd = 100;
  t.tp(fd).sk_sndbuf = 1 << 20;
  REQUIRE(t.write(fd, 80'000).value() == 80'000);
  CHECK(t.pending.size() == 65);
  CHECK(t.tp(fd).snd_nxt - t.tp(fd).snd_una == 65'000);
  t.pending.clear();
  t.in(". 1 ack 65001");
  CHECK(t.pending.size() == 15);
  t.over();
}

TEST_CASE("a peer that takes its window back may keep it closed for as long as it answers",
          "[SHLD-17][MUST-37][RFC 6429]") {
  for (bool const sent : {true, false}) {  // before it closed the window, or not
    tcp_script t;
    int const fd = t.accepted("mss 1000");
    if (!sent) t.in(". 1 ack 1 win 0");
    REQUIRE(t.write(fd, 2000));
    if (sent) t.out(". 1:1001").out("P. 1001:2001").in(". 1 ack 1001 win 0");
    std::string const answer = sent ? ". 1 ack 1001 win 0" : ". 1 ack 1 win 0";
    for (int i = 0; i < 40; ++i) {
      t.after(130'000);  // longer than any wait between two questions
      CHECK(!t.pending.empty());
      t.pending.clear();
      t.in(answer);
    }
    CHECK(t.state(fd) == tcp_state::established);
    t.in(sent ? ". 1 ack 1001" : ". 1 ack 1").after(130'000);
    t.pending.clear();
    t.in(". 1 ack 2001").silent();
    CHECK(t.state(fd) == tcp_state::established);
    t.over();
  }
}

TEST_CASE("with our window closed a RST and a FIN's probe are heard; the window never shrinks",
          "[MUST-66][SHLD-14][MAY-8]") {
  for (bool const reset : {true, false}) {
    tcp_script t;
    int const fd = t.accepted("mss 1460");
    u32 at = 1, edge = 0;
    for (; tcp_receive_window(t.tp(fd)) != 0 && at < 1'000'000; t.pending.clear()) {
      u32 const n = std::min(1460u, tcp_receive_window(t.tp(fd)));
      t.in(". " + std::to_string(at) + ":" + std::to_string(at + n) + " ack 1");
      at += n;
      u32 const now = t.tp(fd).rcv_wup + t.tp(fd).rcv_wnd;
      CHECK((edge == 0 || !before(now, edge)));
      edge = now;
    }
    REQUIRE(tcp_receive_window(t.tp(fd)) == 0);
    std::string const next = std::to_string(at);
    t.after(100).pending.clear();  // an acknowledgment that was delayed
    t.quiet(3'600'000);            // nobody reads for an hour
    CHECK(t.state(fd) == tcp_state::established);
    t.in(". " + next + ":" + std::to_string(at + 1) + " ack 1").out(". 1 ack " + next + " win 0");
    if (reset) {
      t.in("R " + next).silent();
      CHECK(t.state(fd) == tcp_state::close);
    } else {
      t.in("U. " + next + " ack 1 urg 5");
      t.read(fd, at - 1);
      t.pending.clear();
      t.in("F. " + next + " ack 1").quiet(39).after(6).out(". 1 ack " + std::to_string(at + 1));
    }
    t.over();
  }
}

TEST_CASE("initial sequence numbers: a clock, and a secret of both ends",
          "[MUST-8][MUST-9][SHLD-1][RFC 6528][NUMBER:JACK]") {
  auto const isn = [](u64 seed, u16 from, u64 ms) {
    tcp_script t{seed};
    t.from_port = from;
    t.listen();
    t.after(ms);
    t.in("S 0").out("S. 0 ack 1");
    return t.our_isn;
  };
  u32 const step = isn(1, 4000, 1'000) - isn(1, 4000, 0);
  CHECK((step > 1'000'000'000 / 64 - 1000 && step < 1'000'000'000 / 64 + 1000));  // 64 ns each
  CHECK(isn(1, 4000, 0) != isn(2, 4000, 0));
  std::set<u32> deltas;
  u32 last = 0;
  for (u16 from = 4001; from < 4065; ++from) {
    u32 const now = isn(1, from, 0);
    deltas.insert(now - last);
    last = now;
  }
  CHECK(deltas.size() == 64);  // what one port got tells nothing of the next
}

TEST_CASE("an open to many is refused, a SYN from or to many is dropped without a word",
          "[MUST-46][MUST-57][MUST-63]") {
  tcp_script t;
  t.listen();
  for (auto const addr : {ipv4_addr("224.0.0.1"), ipv4_addr("255.255.255.255"), ipv4_addr("192.0.2.255")}) {
    int const fd = t.stream();
    CHECK(connect(t.net(), fd, inet_addr_of(addr, 80)).error() == errc::network_unreachable);
    bytes const syn = t.bytes_of(tcp_seg::parse("S 0 mss 1460"));
    t.rig.inject({.saddr = addr, .protocol = ipproto::tcp, .payload = syn});
    t.rig.inject({.daddr = addr, .protocol = ipproto::tcp, .payload = syn}, mac_broadcast);
    t.collect();
    t.silent();
  }
  CHECK(t.state_name() == "LISTEN");
  t.over();
}

TEST_CASE("listeners of one port on several addresses, and connections beside them",
          "[MUST-41][MUST-42][MUST-43][MUST-44][MUST-45]") {
  tcp_script t;
  REQUIRE(inet_addr_add(t.net(), t.rig.eth0->ifindex, ipv4_cidr("192.0.2.7/24")));
  int const first = t.listen(), second = t.stream(), third = t.stream();
  REQUIRE(close(t.net(), first));
  REQUIRE(bind(t.net(), second, inet_addr_of(ipv4_addr("192.0.2.7"), 80)));
  REQUIRE(bind(t.net(), third, inet_addr_of(our_addr, 80)));
  REQUIRE(netstack::listen(t.net(), second, 4));
  REQUIRE(netstack::listen(t.net(), third, 4));
  t.listener = third;
  t.in("S 0 mss 1000").out("S. 0 ack 1").in(". 1 ack 1");
  int const fd = t.accept();
  CHECK(getsockname(t.net(), fd)->sin_addr.s_addr == our_addr);
  CHECK(netstack::accept(t.net(), second, nullptr, nullptr, sock_type::nonblock).error() ==
        errc::resource_unavailable_try_again);
  CHECK(t.state(second) == tcp_state::listen);
  int const out = t.stream();  // an active open from an address of choice
  REQUIRE(bind(t.net(), out, inet_addr_of(ipv4_addr("192.0.2.7"), 0)));
  (void)t.connect(out);
  REQUIRE(t.pending.size() == 1);
  CHECK(t.pending[0].ip().saddr == ipv4_addr("192.0.2.7"));
  t.pending.clear();
  (void)t.connect(t.stream());  // MUST-44: else IP chooses it
  REQUIRE(t.pending.size() == 1);
  CHECK(t.pending[0].ip().saddr == our_addr);
  t.pending.clear();
  t.over();
}

TEST_CASE("TTL, DSCP and IP options are the application's; what comes with options is taken",
          "[MUST-48][MUST-49][MUST-50][SHLD-21][SHLD-22]") {
  tcp_script t;
  int const fd = t.accepted();
  REQUIRE(setsockopt(t.net(), fd, sol::ip, ip_opt::ttl, 7));
  REQUIRE(setsockopt(t.net(), fd, sol::ip, ip_opt::tos, 0xb8));
  REQUIRE(t.write(fd, 5));
  REQUIRE(t.pending.size() == 1);
  CHECK(t.pending[0].ip().ttl == 7);
  CHECK(t.pending[0].ip().tos == 0xb8);
  CHECK(t.pending[0].ip().saddr == our_addr);
  t.out("P. 1:6");
  REQUIRE(setsockopt(t.net(), fd, sol::ip, ip_opt::tos, 0x20));
  t.after(250);
  CHECK(t.pending[0].ip().tos == 0x20);
  t.out("P. 1:6");
  // A record of the route, which nobody asked for, and an option that nobody knows.
  bytes const options{7, 7, 4, 0, 0, 0, 0, 0x9e, 3, 0};
  t.rig.inject({.protocol = ipproto::tcp, .options = options, .payload = t.bytes_of(tcp_seg::parse("P. 1:6 ack 6"))});
  t.collect();
  t.out(". 6 ack 6");
  t.read(fd, 5);
  t.over();
}

TEST_CASE("sockstress: peers that never open their windows are bounded, and go when the application closes",
          "[sockstress][RFC 6429]") {
  tcp_script t;
  t.listen(64);
  std::vector<int> all;
  for (u16 from = 5000; from < 5032; ++from) {
    t.from_port = from, t.our_isn_known = false, t.written = 1;
    t.in("S 0 mss 1000 win 0");
    if (t.pending.empty()) break;  // memory is used up: who is connected goes before who is not
    t.out("S. 0 ack 1").in(". 1 ack 1 win 0");
    all.push_back(t.accept());
    (void)t.write(all.back(), 100'000);
    t.silent();
  }
  CHECK(all.size() > 4);
  CHECK((all.size() == 32 || t.drops(drop_reason::proto_mem) > 0));
  auto& w = tcp_worker_of(t.net());
  CHECK(w.memory.allocated <= tcp_mem_limit<decltype(t.rig.host)::sizes>);
  t.after(60'000);  // probes
  t.pending.clear();
  for (int fd : all) {
    REQUIRE(setsockopt(t.net(), fd, sol::socket, so::linger, linger{1, 0}));
    t.close(fd);
  }
  CHECK(w.socks.in_use() == 1);
  CHECK(w.memory.allocated == 0);
  t.over();
}

TEST_CASE("a path of the application's choice, and what it wants recorded on the way", "[MUST-51][MAY-10][MAY-11]") {
  tcp_script t;
  auto const stop = ipv4_addr("192.0.2.77");
  t.rig.know(*t.rig.eth0, stop, peer_mac);
  auto const syn_with = [&](bytes const& options) {
    int const fd = t.stream();
    REQUIRE(setsockopt(t.net(), fd, sol::ip, ip_opt::options, options.data(), options.size()));
    (void)t.connect(fd);
    REQUIRE(t.pending.size() == 1);
    auto const frame = t.pending.front();
    t.pending.clear();
    return frame;
  };
  auto const routed = syn_with({131, 7, 4, 192, 0, 2, 77, 0});
  CHECK(routed.ip().daddr == stop);
  CHECK(routed.options()[0] == 131);
  auto const recorded = syn_with({7, 7, 4, 0, 0, 0, 0, 0});
  CHECK(recorded.ip().daddr == peer_addr);
  CHECK(recorded.options()[0] == 7);
  CHECK(syn_with({68, 8, 5, 0, 0, 0, 0, 0}).options()[0] == 68);
  t.over();
}

TEST_CASE("who came by a source route is answered by it, reversed, from the first segment to the last",
          "[MUST-52][MUST-53]") {
  std::string const how = GENERATE("", "a cookie", "Fast Open");
  CAPTURE(how);
  tcp_script t;
  auto const stop = ipv4_addr("192.0.2.77"), other = ipv4_addr("192.0.2.78");
  t.rig.know(*t.rig.eth0, stop, peer_mac);
  t.rig.know(*t.rig.eth0, other, peer_mac);
  t.rig.ns().devconf_all.accept_source_route = 1;
  if (how == "a cookie") tcp_pernet(t.net()).sysctl_tcp_syncookies = 2;
  if (how == "Fast Open") tcp_pernet(t.net()).sysctl_tcp_fastopen = tfo::server_enable | tfo::server_cookie_not_reqd;
  // All that we send goes to `stop`, and from there to the peer; its sum is that of its last destination.
  auto const sent = [&](u8 flags, be32 way) {
    t.collect();
    REQUIRE(t.pending.size() == 1);
    auto const frame = t.pending.front();
    t.pending.clear();
    t.read_segment(frame);
    CHECK(frame.at<tcphdr>(frame.l4()).flags == flags);
    CHECK(frame.ip().daddr == way);
    CHECK(frame.options() == bytes{131, 7, 4, 192, 0, 2, 9, 0});
    bytes const body = frame.payload();
    CHECK(csum_tcpudp_magic(our_addr, peer_addr, static_cast<u32>(body.size()), ipproto::tcp,
                            csum_partial(body.data(), body.size(), 0)) == sum16{});
  };
  auto const in = [&](std::string const& segment, u8 last_stop = 77) {
    bytes const by{131, 7, 8, 192, 0, 2, last_stop, 0};
    t.rig.inject({.protocol = ipproto::tcp, .options = by, .payload = t.bytes_of(tcp_seg::parse(segment))});
  };
  constexpr u8 syn_ack = tcp_flag::syn | tcp_flag::ack, psh_ack = tcp_flag::psh | tcp_flag::ack;
  auto const& saved = worker_generic<ipv4>(t.net().worker()).ip_options;
  t.listen();
  bool const early = how == "Fast Open";  // with data
  if (early) REQUIRE(setsockopt(t.net(), t.listener, sol::tcp, tcp_opt::fastopen, 4));
  auto const next = [&](u32 n) { return std::to_string(n + (early ? 5 : 0)); };
  in(early ? "S 0:5 mss 1460" : "S 0 mss 1460");
  sent(syn_ack, stop);
  CHECK(saved.in_use() == (how == "a cookie" ? 0 : 1));
  if (how.empty()) {
    in("S 0 mss 1460");
    sent(syn_ack, stop);  // the peer did not hear it
    t.rig.run_for(1'200'000'000);
    sent(syn_ack, stop);  // nor that
  }
  in(". " + next(1) + " ack 1");
  int const fd = t.accept();
  CHECK(saved.in_use() == 1);  // the connection's
  if (early) t.read(fd, 5);
  REQUIRE(t.write(fd, 5));
  sent(psh_ack, stop);
  in("P. " + next(1) + ":" + next(6) + " ack 6", 78);  // another way does not change ours (SHLD-24)
  t.rig.run_for(50'000'000);
  sent(tcp_flag::ack, stop);
  t.read(fd, 5);
  REQUIRE(t.write(fd, 5));
  sent(psh_ack, stop);
  bytes const by_other{131, 7, 4, 192, 0, 2, 78, 0};  // but the application's word does: MUST-52
  REQUIRE(setsockopt(t.net(), fd, sol::ip, ip_opt::options, by_other.data(), by_other.size()));
  t.rig.run_for(300'000'000);
  t.collect();
  REQUIRE(!t.pending.empty());
  CHECK(t.pending.front().ip().daddr == other);
  t.over();
}

TEST_CASE("of routes that half-open connections came by, no more are kept than there is room for", "[MUST-53]") {
  tcp_script t;
  t.listen(64);
  bytes const record{7, 7, 4, 0, 0, 0, 0, 0};
  auto& saved = worker_generic<ipv4>(t.net().worker()).ip_options;
  auto const syn = [&](u16 from, bytes const& with) {
    t.from_port = from, t.our_isn_known = false;
    t.rig.inject({.protocol = ipproto::tcp, .options = with, .payload = t.bytes_of(tcp_seg::parse("S 0 mss 1460"))});
    t.collect();
    auto const answers = t.pending.size();
    t.pending.clear();
    return answers;
  };
  for (u16 from = 5000; from < 5000 + saved.capacity() / 2; ++from) CHECK(syn(from, record) == 1);
  CHECK(syn(6000, record) == 0);
  CHECK(t.drops(drop_reason::tcp_request_full) == 1);
  CHECK(t.ext().ListenDrops.read() == 1);
  CHECK(syn(6001, {}) == 1);
  t.over();
}

TEST_CASE("our MSS follows the device; R1 is three repetitions", "[SHLD-6][SHLD-10]") {
  tcp_script t;
  CHECK(tcp_pernet(t.net()).sysctl_tcp_retries1 == 3);
  t.rig.eth0->mtu = 1200;
  t.listen();
  t.in("S 0 mss 1460").out("S. 0 ack 1 mss 1160");
  t.over();
}

TEST_CASE("the ports of active opens tell nothing of the next", "[RFC 6056]") {
  tcp_script t;
  std::set<s32> steps;
  u16 last = 0;
  for (int i = 0; i < 32; ++i) {
    int const fd = t.stream();
    (void)t.connect(fd);
    steps.insert(s32{t.our_port} - last);
    last = t.our_port;
  }
  CHECK(steps.size() > 24);
  t.over();
}

TEST_CASE("the timeout is the smoothed round trip and what it varies by, and settles where that settles: RFC 6298 §2") {
  tcp_script t;
  int const fd = t.accepted("mss 1000");
  for (u32 i = 0; i < 40; ++i) {
    REQUIRE(t.write(fd, 10));
    t.out("P. " + std::to_string(1 + 10 * i) + ":" + std::to_string(11 + 10 * i)).quiet(100);
    t.in(". 1 ack " + std::to_string(11 + 10 * i)).silent();
  }
  u32 const rto = inet_csk(t.sk(fd)).icsk_rto;
  CHECK((rto > 295'000 && rto < 320'000));  // us; at least 200 ms above the round trip
  t.over();
}
