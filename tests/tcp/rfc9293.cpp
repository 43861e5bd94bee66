// SPDX-License-Identifier: BSL-1.0
// Each of the eleven states against each kind of segment, wherever it lies and whatever it acknowledges: some thousand
// conversations, each held to an oracle that was written from RFC 9293 §3.10.7 and RFC 5961 and knows nothing of the
// code. Where netstack keeps to something else than the letter, `differences` says so, and why.
#include <map>

#include "netstack/tcp/tcp_input.hpp"
#include "support/tcp_script.hpp"

using namespace netstack;
using namespace netstack::test;

namespace {

// --- the connection, in each state: what the peer has from us, and we from it

/// RFC 9293 §3.3.1, in numbers relative to both SYNs.
struct numbers {
  s64 una = 0, nxt = 0, rcv = 0, wnd = 0;
};
struct situation {
  char const* state;
  char const* name;
  numbers at;
  std::string script;
};

std::string const open_passively = "listen\n > S 0 mss 1460\n < S. 0 ack 1\n";
/// Ten bytes are sent, five of them acknowledged.
std::string const established = open_passively + " > . 1 ack 1\n accept\n write 10\n < P. 1:11 ack 1\n > . 1 ack 6\n";
std::string const fin_wait1 = established + "shutdown\n < F. 11 ack 1\n";
std::string const fin_wait2 = fin_wait1 + " > . 1 ack 12\n";
std::string const close_wait = established + " > F. 1 ack 6\n +6\n < . 11 ack 2\n";

std::vector<situation> const& situations() {
  static std::vector<situation> const all{
      {"CLOSED", "CLOSED", {}, ""},
      {"LISTEN", "LISTEN", {}, "listen"},
      {"SYN-SENT", "SYN-SENT", {0, 1}, "connect\n < S 0"},
      {"SYN-RECEIVED", "SYN-RECEIVED, passive", {0, 1, 1}, open_passively},
      {"SYN-RECEIVED", "SYN-RECEIVED, both at once", {0, 1, 1}, "connect\n < S 0\n > S 0 mss 1460\n < S. 0 ack 1"},
      {"ESTABLISHED", "ESTABLISHED", {6, 11, 1}, established},
      {"FIN-WAIT-1", "FIN-WAIT-1", {6, 12, 1}, fin_wait1},
      {"FIN-WAIT-2", "FIN-WAIT-2", {12, 12, 1}, fin_wait2},
      {"CLOSE-WAIT", "CLOSE-WAIT", {6, 11, 2}, close_wait},
      {"CLOSING", "CLOSING", {6, 12, 2}, fin_wait1 + " > F. 1 ack 6\n < . 12 ack 2"},
      {"LAST-ACK", "LAST-ACK", {6, 12, 2}, close_wait + "shutdown\n < F. 11 ack 2"},
      {"TIME-WAIT", "TIME-WAIT", {12, 12, 2}, fin_wait2 + " > F. 1 ack 12\n < . 12 ack 2"},
  };
  return all;
}

// --- the segments

struct segment {
  std::string flags;
  s64 seq = 0, data = 0, ack = 0;
  std::string place{}, about{};

  [[nodiscard]] bool has(char f) const { return flags.find(f) != std::string::npos; }
  [[nodiscard]] s64 len() const { return data + has('S') + has('F'); }
  [[nodiscard]] std::string text() const {
    std::string t = flags + " " + std::to_string(seq);
    if (data != 0) t += ":" + std::to_string(seq + data);
    return has('.') ? t + " ack " + std::to_string(ack) : t;
  }
};

constexpr s64 max_window = 65535;  ///< the largest that the peer told: MAX.SND.WND

/// Every kind at every place with every acknowledgment that has a name of its own.
std::vector<segment> segments(numbers const& n) {
  std::vector<segment> all;
  for (auto const& [flags, data] : {std::pair{"-", 0},
                                    {".", 0},
                                    {"S", 0},
                                    {"S.", 0},
                                    {"R", 0},
                                    {"R.", 0},
                                    {"F", 0},
                                    {"F.", 0},
                                    {"P", 4},
                                    {"P.", 4},
                                    {"FP.", 4},
                                    {"SF", 0},
                                    {"SR", 0},
                                    {"R", 4}}) {
    segment const kind{.flags = flags, .data = data};
    s64 const len = kind.len();
    std::vector<std::pair<char const*, s64>> places{
        {"long past", -1000},  {"just past", len ? -len : -1},  {"next", 0},
        {"inside", 100},       {"the last", n.wnd - 1},         {"at the edge", n.wnd},
        {"beyond", n.wnd + 1}, {"far beyond", n.wnd + 100'000}, {"opposite", 0x7fff'0000}};
    if (len > 1) places.emplace_back("half past", -1);
    std::vector<std::pair<char const*, s64>> acks{{"none", 0}};
    if (kind.has('.'))
      acks = {{"too old", n.una - max_window - 1},
              {"old", n.una - 1},
              {"nothing", n.una},
              {"all", n.nxt},
              {"too much", n.nxt + 1},
              {"far too much", n.nxt + 0x3fff'ffff}};
    if (kind.has('.') && n.nxt - n.una > 2) acks.emplace_back("some", n.una + 2);
    for (auto const& [place, seq] : places)
      for (auto const& [about, ack] : acks)
        all.push_back({.flags = flags, .seq = n.rcv + seq, .data = data, .ack = ack, .place = place, .about = about});
  }
  return all;
}

// --- the oracle

/// What is to be seen: what was answered, the state after, and how far the peer's data was taken.
struct answer {
  std::string reply;  ///< as in a script, without the window; empty: silence
  std::string state;
  s64 rcv = 0;
  [[nodiscard]] answer in(char const* other) const { return {reply, other, rcv}; }
  [[nodiscard]] std::string text() const {
    return (reply.empty() ? "silence" : reply) + ", then " + state + ", RCV.NXT " + std::to_string(rcv);
  }
};
std::string ack_of(s64 seq, s64 ack) { return ". " + std::to_string(seq) + " ack " + std::to_string(ack); }

struct oracle {
  situation const& s;
  segment const& g;
  bool tolerant = false;  ///< not the letter: see `differences`
  answer out{"", s.state, s.at.rcv};

  answer silence() { return out; }
  answer acknowledged() { return out.reply = ack_of(s.at.nxt, out.rcv), out; }
  answer ends_in(char const* state) { return out.state = state, out; }
  /// §3.5.2: what a RST of ours looks like.
  answer refused() {
    out.reply = g.has('.') ? "R " + std::to_string(g.ack) : "R. 0 ack " + std::to_string(g.seq + g.len());
    return out;
  }

  /// §3.10.7.1
  answer closed() { return g.has('R') ? silence() : refused(); }
  /// §3.10.7.2
  answer listen() {
    if (g.has('R')) return silence();
    if (g.has('.')) return refused();
    if (!g.has('S')) return silence();
    out.reply = "S. 0 ack " + std::to_string(g.seq + 1);
    out.rcv = g.seq + 1;
    return ends_in("SYN-RECEIVED");
  }
  /// §3.10.7.3
  answer syn_sent() {
    bool const acceptable = g.has('.') && g.ack > s.at.una && g.ack <= s.at.nxt;
    if (g.has('.') && !acceptable) return g.has('R') ? silence() : refused();
    if (g.has('R')) return acceptable ? ends_in("CLOSED") : silence();
    if (!g.has('S')) return silence();
    out.rcv = g.seq + 1;
    if (acceptable) return out.reply = ack_of(1, out.rcv), ends_in("ESTABLISHED");
    out.reply = "S. 0 ack " + std::to_string(out.rcv);
    return ends_in("SYN-RECEIVED");
  }

  /// §3.10.7.4, first: table 6.
  bool acceptable() {
    auto const in = [&](s64 seq) { return seq >= s.at.rcv && seq < s.at.rcv + s.at.wnd; };
    bool const at_an_edge = g.seq == s.at.rcv + s.at.wnd || (g.len() > 0 && g.seq + g.len() == s.at.rcv);
    return in(g.seq) || (g.len() > 0 && in(g.seq + g.len() - 1)) || (tolerant && at_an_edge);
  }
  answer synchronized() {
    std::string const state = s.state;
    bool const passive = std::string(s.name) == "SYN-RECEIVED, passive";
    if (!acceptable()) return g.has('R') ? silence() : acknowledged();  // RFC 5961 §4.2 for SYN as well
    if (g.has('R')) {
      if (g.seq != s.at.rcv) return acknowledged();  // RFC 5961 §3.2: a challenge
      return ends_in(passive ? "LISTEN" : "CLOSED");
    }
    if (g.has('S')) return passive ? ends_in("LISTEN") : acknowledged();  // RFC 5961 §4.2
    if (!g.has('.')) return silence();
    if (state == "SYN-RECEIVED") {
      if (g.ack <= s.at.una || g.ack > s.at.nxt) return refused();
      return data("ESTABLISHED");
    }
    // Fifth, with RFC 5961 §5.2.
    if (g.ack > s.at.nxt || g.ack < s.at.una - max_window) return acknowledged();
    bool const all = g.ack == s.at.nxt;
    if (state == "FIN-WAIT-1" && all) return data("FIN-WAIT-2");
    if (all && state == "CLOSING") return ends_in("TIME-WAIT");
    if (all && state == "LAST-ACK") return ends_in("CLOSED");
    return data(state);
  }
  /// Seventh and eighth.
  answer data(std::string const& state) {
    out.state = state;
    if (g.len() == 0) return silence();
    if (g.seq + g.len() <= s.at.rcv) return acknowledged();  // nothing new
    if (s.at.rcv == 2) return silence();                     // nothing comes behind the peer's FIN
    if (g.seq > s.at.rcv) return acknowledged();             // it waits, SHLD-31
    out.rcv = g.seq + g.len();
    if (g.has('F')) {
      static std::map<std::string, char const*> const after{
          {"ESTABLISHED", "CLOSE-WAIT"}, {"FIN-WAIT-1", "CLOSING"}, {"FIN-WAIT-2", "TIME-WAIT"}};
      out.state = after.at(state);
    }
    return acknowledged();
  }
  answer operator()() {
    std::string const state = s.state;
    if (state == "CLOSED") return closed();
    if (state == "LISTEN") return listen();
    if (state == "SYN-SENT") return syn_sent();
    return synchronized();
  }
};

// --- where we differ from the letter

struct difference {
  char const* why;
  bool (*holds)(situation const&, segment const&);
  answer (*instead)(situation const&, segment const&);
};
bool is(situation const& s, char const* state) { return std::string(s.state) == state; }
bool is_request(situation const& s) { return std::string(s.name) == "SYN-RECEIVED, passive"; }
bool is_synchronized(situation const& s) {
  return !is(s, "CLOSED") && !is(s, "LISTEN") && !is(s, "SYN-SENT") && !is(s, "TIME-WAIT") && !is_request(s);
}
answer silence(situation const& s, segment const& g) { return oracle{s, g}.silence(); }
answer tolerantly(situation const& s, segment const& g) { return oracle{s, g, true}(); }

difference const differences[]{
    {"a SYN with a FIN is no honest one",
     [](auto& s, auto& g) { return is(s, "LISTEN") && g.has('S') && g.has('F') && !g.has('R'); }, silence},

    {"whoever acknowledges something else in SYN-SENT is asked again at once, not after a timeout, as in Linux",
     [](auto& s, auto& g) { return is(s, "SYN-SENT") && g.has('.') && g.ack != s.at.nxt; },
     [](auto& s, auto& g) {
       answer a = oracle{s, g}();
       a.reply += a.reply.empty() ? "S 0" : " | S 0";
       return a;
     }},

    // SYN-RECEIVED of a passive open, which is no connection yet.
    {"RFC 9293 §3.5.2 goes before §3.10.7.4: a wrong ACK is refused wherever it lies",
     [](auto& s, auto& g) { return is_request(s) && g.has('.') && !g.has('R') && g.ack != s.at.nxt; },
     [](auto& s, auto& g) {
       return oracle{s, g}.refused();
     }},
    {"the SYN again: the peer did not hear our answer",
     [](auto& s, auto& g) {
       return is_request(s) && g.seq == s.at.rcv - 1 && g.has('S') && !g.has('.') && !g.has('R');
     },
     [](auto& s, auto&) {
       return answer{"S. 0 ack 1", s.state, s.at.rcv};
     }},
    {"another SYN ends it, and its sender is told",
     [](auto& s, auto& g) {
       return is_request(s) && g.has('S') && !g.has('R') && oracle{s, g}.acceptable();
     },
     [](auto& s, auto& g) {
       return oracle{s, g}.refused().in("LISTEN");
     }},
    {"the window's edge is in it for a segment without data: a peer that has filled the window speaks from there",
     [](auto& s, auto& g) { return is_request(s) && g.len() == 0; }, tolerantly},

    // A connection.
    {"a SYN-ACK for a SYN that crossed ours completes the connection, as figure 7 shows",
     [](auto& s, auto& g) {
       return is(s, "SYN-RECEIVED") && !is_request(s) && g.flags == "S." && g.seq == s.at.rcv - 1 && g.ack == s.at.nxt;
     },
     [](auto& s, auto& g) {
       return oracle{s, g}.acknowledged().in("ESTABLISHED");
     }},
    {"a RST is believed behind the peer's FIN from who does not count that, as in Linux",
     [](auto& s, auto& g) { return s.at.rcv == 2 && !is(s, "TIME-WAIT") && g.has('R') && g.seq == s.at.rcv - 1; },
     [](auto& s, auto& g) {
       return oracle{s, g}.silence().in("CLOSED");
     }},
    {"without ACK, SYN or RST nobody is answered: it is not the peer",
     [](auto& s, auto& g) { return is_synchronized(s) && !g.has('.') && !g.has('S') && !g.has('R'); }, silence},
    {"what is before our first byte was never sent, however large the window: an ACK of it is a guess (RFC 5961 §5.2)",
     [](auto& s, auto& g) {
       s64 const first = std::string(s.script).find("connect") == 0 ? 0 : 1;  // our SYN was acknowledged by itself
       return is_synchronized(s) && !is(s, "SYN-RECEIVED") && g.has('.') && !g.has('S') && !g.has('R') &&
              g.ack < first && oracle{s, g, true}.acceptable();
     },
     [](auto& s, auto& g) {
       return oracle{s, g}.acknowledged();
     }},
    {"both edges are in the window: a peer that has filled it speaks from there, and what it repeats may bring a new "
     "ACK",
     [](auto& s, auto&) { return is_synchronized(s); }, tolerantly},

    // TIME-WAIT remembers two numbers, and looks at no acknowledgment.
    {"RFC 6191, MAY-2: a newer SYN begins a new connection, beyond all numbers of the old one",
     [](auto& s, auto& g) { return is(s, "TIME-WAIT") && g.flags == "S" && g.seq > s.at.rcv; },
     [](auto& s, auto& g) {
       return answer{"S. 65549 ack " + std::to_string(g.seq + 1), "SYN-RECEIVED", s.at.rcv};
     }},
    {"a RST that is not exact is not worth a challenge; other things are answered, but for what is exactly next",
     [](auto& s, auto&) { return is(s, "TIME-WAIT"); },
     [](auto& s, auto& g) {
       oracle o{s, g};
       if (g.has('R')) return g.seq == s.at.rcv ? o.ends_in("CLOSED") : o.silence();
       return g.seq == s.at.rcv && g.len() == 0 ? o.silence() : o.acknowledged();
     }},
};

answer expected(situation const& s, segment const& g) {
  for (auto const& d : differences)
    if (d.holds(s, g)) return d.instead(s, g);
  return oracle{s, g}();
}

/// What really happens. Delayed acknowledgments are waited for; retransmissions are later.
answer observed(situation const& s, segment const& g, s64 rcv, bool shorts) {
  tcp_script t;
  t.shorts(shorts);
  t.play(s.script);
  t.in(g.text()).after(45);
  answer a{"", t.state_name(), rcv};
  for (auto const& frame : std::exchange(t.pending, {})) {
    auto const sent = t.read_segment(frame);
    if (!a.reply.empty()) a.reply += " | ";
    bool const from_nobody = sent.seq + t.our_isn == 0;  // <SEQ=0>
    a.reply += sent.flags + " " + std::to_string(from_nobody ? 0 : static_cast<s32>(sent.seq));
    if (sent.len != 0) a.reply += " with data";
    if (sent.ack) a.reply += " ack " + std::to_string(static_cast<s32>(*sent.ack));
  }
  bool const lives = t.figure >= 0 && t.state(t.figure) != tcp_state::close && a.state != "SYN-SENT";
  if (lives) a.rcv = static_cast<s32>(t.tp(t.figure).rcv_nxt - t.peer_isn);
  return a;
}

}  // namespace

TEST_CASE("every state, every kind of segment, every place, every acknowledgment: RFC 9293 §3.10.7",
          "[S147][RFC 5961]") {
  bool const shorts = GENERATE(false, true);
  CAPTURE(shorts);
  for (situation s : situations()) {
    DYNAMIC_SECTION(s.name) {
      tcp_script once;
      once.shorts(shorts);
      once.play(s.script);
      REQUIRE(once.state_name() == s.state);
      s.at.wnd = s.at.rcv != 0 ? once.told_edge - s.at.rcv : 1000;
      std::string wrong;
      u32 count = 0, failed = 0;
      for (auto const& g : segments(s.at)) {
        auto const want = expected(s, g), got = observed(s, g, want.rcv, shorts);
        ++count;
        if (want.reply == got.reply && want.state == got.state && want.rcv == got.rcv) continue;
        if (++failed <= 60)
          wrong += "> " + g.text() + " (" + g.place + ", ack " + g.about + "): wanted " + want.text() + "; saw " +
                   got.text() + "\n";
      }
      INFO(failed << " of " << count << "\n" << wrong);
      CHECK(failed == 0);
      CHECK(count > 400);
    }
  }
}
