// SPDX-License-Identifier: BSL-1.0
// Decides: how a conversation with our TCP is written down as an RFC's figure is: segments as text, in both directions,
// with socket calls between them, on a virtual clock. Sequence numbers count from each side's own SYN.
//
//   tcp_script t;
//   t.listen();
//   t.in("S 0 mss 1460");              // the peer's: flags, sequence number (with `:end` if it has data), then what
//   t.out("S. 0 ack 1 mss 1460");      // ours: of the next segment that was sent, whatever is named must be so
//   t.in(". 1 ack 1");
//   int fd = t.accept();
//   t.in("P. 1:6 ack 1");              // five bytes; each byte is a function of its number
//   t.read(fd, 5);
//   t.after(40).out(". 1 ack 6");      // 40 ms later
//   t.silent();                        // and nothing else
//
// or as one text, a step a line; what it does not say, did not happen:
//   t.play(R"(listen
//             > S 0 mss 1460
//             < S. 0 ack 1
//             > . 1 ack 1
//             accept
//             = ESTABLISHED)");
// `>` the peer's segment, `<` ours (`< *`: whatever we sent), `+MS` time passes, `=` the connection's state; `listen`,
// `connect`, `accept`, `write N`, `read N`, `close`, `shutdown` (for writing), `set OPTION N`, `gives ERRNO` (of a
// read: 0 is the end), `icmp TYPE CODE SEQ` (an error that quotes our segment), `drops N` (segments refused so far,
// whatever for). `#` begins a remark. Before time passes or the peer speaks again, all that we sent must have been
// named.
//
// Flags: S F R P U E(CE) C(WR) and . for ACK; - for none. Fields: ecn N (of the IP header: 2 ECT(0), 3 CE), ack N, win
// N, mss N, ws N, sackok, ts VAL ECR (of ours: only whether they are there and what is echoed: `ts * ECR`), sack A-B …,
// opt HEX (bytes of options as they are), uto N (RFC 5482's field; of ours: that or none), fo WHAT: Fast Open's `ask`,
// `cookie` (the script's), `wrong`. A SYN's data begins behind it: `S 0:5` is a SYN with the bytes 1 to 5.
#pragma once
#include <deque>
#include <sstream>
#include <string>

#include "netstack/socket/socket.hpp"
#include "netstack/tcp/tcp.hpp"
#include "support/ip_rig.hpp"

namespace netstack::test {

/// A segment as it was written, or sent. Sequence numbers are relative.
struct tcp_seg {
  std::string flags{};
  u32 seq = 0, len = 0;
  std::optional<u32> ack{}, win{}, mss{}, ws{}, tsecr{}, tsval{}, urg{}, ecn{};
  u32 uto = 0;
  std::optional<std::string> fo{};
  bool sackok = false, ts = false;
  std::vector<std::pair<u32, u32>> sacks{};
  std::vector<u8> raw{};  ///< options of the peer's as they are, behind those that are named

  static tcp_seg parse(std::string const& text) {
    tcp_seg s;
    std::istringstream in(text);
    std::string word;
    in >> s.flags >> word;
    auto const colon = word.find(':');
    s.seq = number(word.substr(0, colon));
    if (colon != std::string::npos) s.len = number(word.substr(colon + 1)) - s.seq;
    while (in >> word) {
      auto const value = [&] {
        std::string v;
        in >> v;
        return v;
      };
      if (word == "ack")
        s.ack = number(value());
      else if (word == "win")
        s.win = number(value());
      else if (word == "mss")
        s.mss = number(value());
      else if (word == "ws")
        s.ws = number(value());
      else if (word == "urg")
        s.urg = number(value());
      else if (word == "ecn")
        s.ecn = number(value());
      else if (word == "uto")
        s.uto = number(value());
      else if (word == "fo")
        s.fo = value();
      else if (word == "sackok")
        s.sackok = true;
      else if (word == "opt")
        s.raw = bytes_of_hex(value());
      else if (word == "ts") {
        s.ts = true;
        auto const val = value(), ecr = value();
        if (val != "*") s.tsval = number(val);
        if (ecr != "*") s.tsecr = number(ecr);
      } else if (word == "sack") {
        auto const v = value();
        auto const dash = v.find('-');
        s.sacks.emplace_back(number(v.substr(0, dash)), number(v.substr(dash + 1)));
      } else {
        FAIL("not a field: " << word);
      }
    }
    return s;
  }
  [[nodiscard]] u8 bits() const {
    u8 b = 0;
    for (char c : flags)
      b |= c == 'S'   ? tcp_flag::syn
           : c == 'F' ? tcp_flag::fin
           : c == 'R' ? tcp_flag::rst
           : c == 'P' ? tcp_flag::psh
           : c == 'U' ? tcp_flag::urg
           : c == 'E' ? tcp_flag::ece
           : c == 'C' ? tcp_flag::cwr
           : c == '.' ? tcp_flag::ack
                      : u8{0};
    return b;
  }
  [[nodiscard]] std::string text() const {
    std::ostringstream out;
    out << flags << ' ' << seq;
    if (len != 0) out << ':' << seq + len;
    auto const field = [&](char const* name, std::optional<u32> v) {
      if (v) out << ' ' << name << ' ' << *v;
    };
    field("ack", ack), field("win", win), field("mss", mss), field("ws", ws);
    if (urg.value_or(0) != 0) field("urg", urg);
    field("ecn", ecn);
    if (sackok) out << " sackok";
    if (uto != 0) out << " uto " << uto;
    if (fo) out << " fo " << *fo;
    if (ts) out << " ts " << tsval.value_or(0) << ' ' << tsecr.value_or(0);
    for (auto const& [a, b] : sacks) out << " sack " << a << '-' << b;
    return out.str();
  }

 private:
  static std::vector<u8> bytes_of_hex(std::string const& hex) {
    std::vector<u8> all;
    for (std::size_t at = 0; at + 1 < hex.size(); at += 2)
      all.push_back(static_cast<u8>(std::stoi(hex.substr(at, 2), nullptr, 16)));
    return all;
  }
  static u32 number(std::string const& text) { return static_cast<u32>(std::stoll(text)); }
};

struct tcp_script_host : rig_stack<tcp_script_host, tcp> {};

/// The byte with this relative sequence number, of either side.
constexpr u8 tcp_script_byte(u32 seq) { return static_cast<u8>(seq * 7 + seq / 251); }

template <class Host = tcp_script_host>
struct basic_tcp_script {
  static constexpr u16 port = 80, peer_port = 4000;
  ip_rig<Host> rig;
  u32 peer_isn = 1'000'000;
  u32 our_isn = 0;
  bool our_isn_known = false;
  u32 our_tsval = 0;  ///< of the last segment of ours that was looked at
  std::array<u8, tcpopt::fastopen_max> cookie{1, 2, 3, 4, 5, 6, 7, 8};  ///< ours once we gave one
  u16 our_port = port;
  u16 from_port = peer_port;
  u32 default_win = 65535;
  u32 told_edge = 0;  ///< the right edge of our window as the peer heard it, if it is not scaled
  std::deque<sent_frame> pending;

  explicit basic_tcp_script(u64 seed = 1) : rig(seed) {}
  [[nodiscard]] auto& net() { return rig.net(); }
  [[nodiscard]] auto& mib() { return TCP_STATS(net()); }
  [[nodiscard]] auto& ext() { return NET_STATS(net()); }
  [[nodiscard]] u64 drops(drop_reason why) { return rig.drops(why); }

  /// What is amiss is answered, however often it comes.
  void answer_always() { tcp_pernet(net()).sysctl_tcp_invalid_ratelimit = 0; }

  // --- sockets -----------------------------------------------------------------------------------------------------
  /// Short frames are no packets from now on (ndo_short_begin), or are.
  void shorts(bool on = true) { netdev_priv<rig_dev>(*rig.eth0).shorts = on; }
  int stream() { return socket(net(), af::inet, sock_type::stream | sock_type::nonblock).value(); }
  int listen(int backlog = 8) {
    int const fd = stream();
    REQUIRE(bind(net(), fd, inet_addr_of({}, port)));
    REQUIRE(netstack::listen(net(), fd, backlog));
    return listener = fd;
  }
  int listener = -1;
  int accept() {
    auto const fd = netstack::accept(net(), listener, nullptr, nullptr, sock_type::nonblock);
    REQUIRE(fd);
    return *fd;
  }
  /// The handshake of a passive open, with these options.
  int accepted(std::string const& options = "mss 1460") {
    if (listener < 0) listen();
    in("S 0 " + options);
    out("S. 0 ack 1");
    in(". 1 ack 1");
    silent();
    return accept();
  }
  /// connect(), which does not wait; what it answers.
  std::errc connect(int fd) {
    auto const r = netstack::connect(net(), fd, inet_addr_of(peer_addr, peer_port));
    collect();
    our_port = getsockname(net(), fd)->sin_port.host();
    return r ? std::errc{} : r.error();
  }
  /// The handshake of an active open.
  int connected(std::string const& options = "mss 1460") {
    int const fd = stream();
    REQUIRE(connect(fd) == std::errc::operation_in_progress);
    out("S 0");
    in("S. 0 ack 1 " + options);
    out(". 1 ack 1");
    REQUIRE(connect(fd) == std::errc{});
    return fd;
  }
  /// Writes `n` bytes that follow what was written before.
  result<std::size_t> write(int fd, std::size_t n, u32 flags = 0) {
    std::string text(n, '\0');
    for (std::size_t i = 0; i < n; ++i) text[i] = static_cast<char>(tcp_script_byte(written + static_cast<u32>(i)));
    auto const r = send(net(), fd, text.data(), n, flags);
    if (r) written += static_cast<u32>(*r);
    collect();
    return r;
  }
  u32 written = 1;  ///< relative number of the next byte
  /// Reads exactly `n` bytes, which must be the next ones.
  void read(int fd, std::size_t n) {
    std::vector<u8> buf(n + 1);
    auto const r = recv(net(), fd, buf.data(), n, msg::dontwait);
    INFO("errno " << (r ? 0 : static_cast<int>(r.error())));
    REQUIRE(r);
    REQUIRE(*r == n);
    for (std::size_t i = 0; i < n; ++i)
      if (buf[i] != tcp_script_byte(got + static_cast<u32>(i))) FAIL("byte " << got + i << " is wrong");
    got += static_cast<u32>(n);
    collect();
  }
  u32 got = 1;
  /// What a read answers when there is nothing: the errno, or 0 for the end.
  int read_error(int fd) {
    char c;
    auto const r = recv(net(), fd, &c, 1, msg::dontwait);
    return r ? static_cast<int>(*r) : static_cast<int>(r.error());
  }
  void close(int fd) {
    REQUIRE(netstack::close(net(), fd));
    collect();
  }
  void shutdown(int fd, int how) {
    REQUIRE(netstack::shutdown(net(), fd, how));
    collect();
  }
  sock& sk(int fd) { return *sockfs::table_of(net()).find(fd)->sk; }
  tcp_sock& tp(int fd) { return tcp_sk(sk(fd)); }
  u8 state(int fd) { return sk(fd).sk_state; }

  // --- the wire ----------------------------------------------------------------------------------------------------
  basic_tcp_script& in(std::string const& text) {
    INFO("-> " << text);
    auto const s = tcp_seg::parse(text);
    rig.inject({.protocol = ipproto::tcp, .tos = static_cast<u8>(s.ecn.value_or(0)), .payload = bytes_of(s)});
    collect();
    return *this;
  }
  /// The next segment of ours is this one.
  basic_tcp_script& out(std::string const& text) {
    INFO("expected <- " << text);
    REQUIRE(!pending.empty());
    auto const frame = pending.front();
    pending.pop_front();
    check(tcp_seg::parse(text), frame);
    return *this;
  }
  /// We sent nothing that was not looked at.
  basic_tcp_script& silent() {
    std::string all;
    for (auto const& frame : pending) all += read_segment(frame).text() + "\n";
    INFO("sent all the same:\n" << all);
    CHECK(pending.empty());
    pending.clear();
    return *this;
  }
  basic_tcp_script& after(u64 ms) {
    rig.run_for(ms * 1'000'000);
    collect();
    return *this;
  }
  /// Nothing for so long.
  basic_tcp_script& quiet(u64 ms) { return after(ms).silent(); }
  void collect() {
    rig.run();
    for (auto& frame : rig.sent())
      if (frame.is_ip() && frame.ip().protocol == ipproto::tcp) pending.push_back(std::move(frame));
  }
  // --- figures -----------------------------------------------------------------------------------------------------
  int figure = -1;  ///< the connection of play()
  basic_tcp_script& play(std::string const& text) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      std::istringstream words(line.substr(0, line.find('#')));
      std::string what, rest;
      if (!(words >> what)) continue;
      std::getline(words >> std::ws, rest);
      rest.erase(rest.find_last_not_of(' ') + 1);
      INFO("at: " << line);
      step(what, rest);
    }
    return silent();
  }
  /// The state that RFC 9293 says the connection is in, wherever it is kept.
  std::string state_name() {
    static constexpr char const* names[]{"",           "ESTABLISHED", "SYN-SENT",  "SYN-RECEIVED",
                                         "FIN-WAIT-1", "FIN-WAIT-2",  "TIME-WAIT", "CLOSED",
                                         "CLOSE-WAIT", "LAST-ACK",    "LISTEN",    "CLOSING"};
    auto& w = tcp_worker_of(net());
    u8 found = tcp_state::close;
    if (listener >= 0 && sockfs::table_of(net()).find(listener)) found = tcp_state::listen;
    if (figure >= 0 && sockfs::table_of(net()).find(figure)) found = state(figure);
    if (w.requests.in_use() != 0) found = tcp_state::syn_recv;
    for (inet_link const slot : w.hashinfo.slots()) {
      for (auto& sk : inet_chain_of<tcp_sock>(w, slot)) found = sk.sk_state;
      for (auto& tw : inet_chain_of<tcp_timewait_sock>(w, slot)) found = tw.substate();
    }
    return names[found];
  }

  /// The end: sockets are closed, time passes, and nothing is left.
  void over() {
    for (int fd = 0; fd < 64; ++fd)
      if (sockfs::table_of(net()).find(fd)) (void)netstack::close(net(), fd);
    rig.run_for(1'500'000'000'000);  // longer than any timer of ours
    pending.clear();
    rig.still_alive();
    auto& w = tcp_worker_of(net());
    CHECK(w.socks.in_use() == 0);
    CHECK(w.requests.in_use() == 0);
    CHECK(w.ofos.in_use() == 0);
    CHECK(w.repairs.in_use() == 0);
    CHECK(w.rares.in_use() == 0);
    CHECK(w.sock_rares.in_use() == 0);
    CHECK(w.cas.in_use() == 0);
    CHECK(w.timewaits.in_use() == 0);
    CHECK(worker_generic<ipv4>(net().worker()).ip_options.in_use() == 0);
    CHECK(w.memory.allocated == 0);
    CHECK(tcp_pernet(net()).orphan_count == 0);
    CHECK(mib().CurrEstab.read() == 0);
  }

  /// A segment of the peer's on the wire, checksum right.
  bytes bytes_of(tcp_seg const& s) {
    tcp_out_options opts;
    if (s.mss) opts.mss = static_cast<u16>(*s.mss);
    if (s.ws) opts.wscale_ok = true, opts.wscale = static_cast<u8>(*s.ws);
    opts.sack_ok = s.sackok;
    opts.user_timeout = static_cast<u16>(s.uto);
    if (s.ts) opts.tstamp = true, opts.tsval = s.tsval.value_or(0), opts.tsecr = s.tsecr.value_or(0);
    for (auto const& [a, b] : s.sacks) opts.sacks[opts.num_sacks++] = {our_isn + a, our_isn + b};
    if (s.fo) {
      opts.fastopen = true;
      opts.fastopen_len = *s.fo == "ask" ? 0 : 8;
      if (*s.fo == "cookie") opts.cookie = cookie;
    }
    tcphdr th{.source = be16{from_port},
              .dest = be16{our_port},
              .seq = be32{peer_isn + s.seq},
              .ack_seq = be32{s.ack ? our_isn + *s.ack : 0},
              .flags = s.bits(),
              .window = be16{static_cast<u16>(s.win.value_or(default_win))},
              .urg_ptr = be16{static_cast<u16>(s.urg.value_or(0))}};
    std::size_t const hlen = tcp_hlen_min + (opts.size() + s.raw.size() + 3) / 4 * 4;
    th.set_doff(static_cast<u8>(hlen / 4));
    bytes out;
    append(out, th);
    out.resize(hlen);
    tcp_options_write(out.data() + tcp_hlen_min, opts);
    std::copy(s.raw.begin(), s.raw.end(), out.begin() + static_cast<std::ptrdiff_t>(tcp_hlen_min + opts.size()));
    for (u32 i = 0; i < s.len; ++i) out.push_back(tcp_script_byte(s.seq + th.syn() + i));
    sum16 const check = csum_tcpudp_magic(peer_addr, our_addr, static_cast<u32>(out.size()), ipproto::tcp,
                                          csum_partial(out.data(), out.size(), 0));
    std::memcpy(out.data() + offsetof(tcphdr, check), &check, sizeof check);
    return out;
  }

 private:
  void step(std::string const& what, std::string const& rest) {
    auto const number = [&] { return rest.empty() ? 0 : std::stoi(rest); };
    std::istringstream words(rest);
    if (what == ">")
      silent().in(rest);
    else if (what == "<" && rest == "*")
      pending.clear();
    else if (what == "<")
      out(rest);
    else if (what[0] == '+')
      silent().after(std::stoull(what.substr(1)));
    else if (what == "=")
      CHECK(state_name() == rest);
    else if (what == "listen")
      listen(rest.empty() ? 8 : number());
    else if (what == "connect")
      CHECK(connect(figure = stream()) == std::errc::operation_in_progress);
    else if (what == "accept")
      figure = accept();
    else if (what == "write")
      CHECK(write(figure, static_cast<std::size_t>(number())));
    else if (what == "read")
      read(figure, static_cast<std::size_t>(number()));
    else if (what == "close")
      close(std::exchange(figure, -1));
    else if (what == "shutdown")
      shutdown(figure, shut::wr);
    else if (what == "gives")
      CHECK(read_error(figure) == number());
    else if (what == "drops")
      CHECK(all_drops() == static_cast<u64>(number()));
    else if (what == "set")
      set_option(words);
    else if (what == "icmp")
      icmp_error(words);
    else
      FAIL("not a step: " << what);
  }
  u64 all_drops() {
    u64 n = 0;
    for (auto const& count : net().drops) n += count.read();
    return n - drops(drop_reason::not_specified);
  }
  void set_option(std::istringstream& words) {
    static constexpr struct {
      char const* name;
      int level, option;
    } known[]{{"nodelay", sol::tcp, tcp_opt::nodelay},
              {"cork", sol::tcp, tcp_opt::cork},
              {"keepidle", sol::tcp, tcp_opt::keepidle},
              {"keepintvl", sol::tcp, tcp_opt::keepintvl},
              {"keepcnt", sol::tcp, tcp_opt::keepcnt},
              {"keepalive", sol::socket, so::keepalive},
              {"linger2", sol::tcp, tcp_opt::linger2},
              {"user_timeout", sol::tcp, tcp_opt::user_timeout},
              {"quickack", sol::tcp, tcp_opt::quickack},
              {"sndbuf", sol::socket, so::sndbuf},
              {"rcvbuf", sol::socket, so::rcvbuf},
              {"maxseg", sol::tcp, tcp_opt::maxseg},
              {"syncnt", sol::tcp, tcp_opt::syncnt},
              {"tos", sol::ip, ip_opt::tos},
              {"ttl", sol::ip, ip_opt::ttl},
              {"window_clamp", sol::tcp, tcp_opt::window_clamp},
              {"recverr", sol::ip, ip_opt::recverr}};
    std::string name;
    int value = 0;
    words >> name >> value;
    for (auto const& o : known)
      if (name == o.name) {
        CHECK(setsockopt(net(), figure, o.level, o.option, value));
        return collect();
      }
    FAIL("not an option: " << name);
  }
  /// From a router on the way, about a segment of ours that began with this number.
  void icmp_error(std::istringstream& words) {
    unsigned type = 0, code = 0, rest = 0;
    s64 seq = 0;
    words >> type >> code >> seq >> rest;
    bytes quoted = datagram{.saddr = our_addr, .daddr = peer_addr, .protocol = ipproto::tcp}.build();
    tcphdr const th{.source = be16{our_port}, .dest = be16{from_port}, .seq = be32{our_isn + static_cast<u32>(seq)}};
    append(quoted, th);
    quoted.resize(quoted.size() - 12);  // RFC 792: eight bytes of it
    rig.inject({.payload = icmp_message(static_cast<u8>(type), static_cast<u8>(code), rest, quoted)});
    collect();
  }

 public:
  /// What a frame of ours said.
  tcp_seg read_segment(sent_frame const& frame) {
    auto const th = frame.at<tcphdr>(frame.l4());
    tcp_seg s;
    for (auto const& [bit, letter] : {std::pair{tcp_flag::syn, 'S'},
                                      {tcp_flag::fin, 'F'},
                                      {tcp_flag::rst, 'R'},
                                      {tcp_flag::psh, 'P'},
                                      {tcp_flag::urg, 'U'},
                                      {tcp_flag::ece, 'E'},
                                      {tcp_flag::cwr, 'C'},
                                      {tcp_flag::ack, '.'}})
      if (th.flags & bit) s.flags += letter;
    if (th.syn() && !our_isn_known) our_isn = th.seq.host(), our_isn_known = true;
    s.seq = th.seq.host() - our_isn;
    s.len = static_cast<u32>(frame.payload(th.header_len()).size());
    if (th.ack()) s.ack = th.ack_seq.host() - peer_isn;
    s.win = th.window.host();
    s.urg = th.urg() ? th.urg_ptr.host() : 0;
    if (s.ack && !th.rst()) told_edge = *s.ack + *s.win;
    s.ecn = frame.ip().tos & inet_ecn::mask;
    tcp_options_received rx;
    bytes const options = [&] {
      bytes const all = frame.payload(tcp_hlen_min);
      return bytes(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(th.header_len() - tcp_hlen_min));
    }();
    CHECK(tcp_parse_options(rx, options.data(), options.size(), th.syn()));
    if (rx.mss) s.mss = rx.mss;
    if (rx.wscale_ok) s.ws = rx.snd_wscale;
    if (rx.fastopen) s.fo = rx.fastopen_len == 0 ? "ask" : "cookie";
    if (rx.fastopen_len == 8) cookie = rx.cookie;
    s.sackok = rx.sack_ok;
    s.uto = rx.user_timeout;
    s.ts = rx.saw_tstamp;
    if (s.ts) s.tsval = our_tsval = rx.rcv_tsval, s.tsecr = rx.rcv_tsecr;
    for (u8 i = 0; i < rx.num_sacks; ++i)
      s.sacks.emplace_back(rx.sacks[i].start_seq - peer_isn, rx.sacks[i].end_seq - peer_isn);
    return s;
  }

 private:
  void check(tcp_seg const& want, sent_frame const& frame) {
    tcp_seg const sent = read_segment(frame);
    INFO("     sent <- " << sent.text());
    bytes const body = frame.payload();
    CHECK(csum_tcpudp_magic(frame.ip().saddr, frame.ip().daddr, static_cast<u32>(body.size()), ipproto::tcp,
                            csum_partial(body.data(), body.size(), 0)) == sum16{});
    CHECK(want.bits() == sent.bits());
    CHECK(want.seq == sent.seq);
    CHECK(want.len == sent.len);
    auto const same = [](std::optional<u32> a, std::optional<u32> b) { return !a || a == b; };
    CHECK(same(want.ack, sent.ack));
    CHECK(same(want.win, sent.win));
    CHECK(same(want.mss, sent.mss));
    CHECK(same(want.urg, sent.urg));
    CHECK(same(want.ws, sent.ws));
    CHECK(same(want.tsecr, sent.tsecr));
    CHECK(same(want.ecn, sent.ecn));
    CHECK(want.uto == sent.uto);
    CHECK(want.fo == sent.fo);
    CHECK((!want.sackok || sent.sackok));
    CHECK((!want.ts || sent.ts));
    if (!want.sacks.empty()) CHECK(want.sacks == sent.sacks);
    u32 const hlen = static_cast<u32>(frame.at<tcphdr>(frame.l4()).header_len());
    bytes const data = frame.payload(hlen);
    for (u32 i = 0; i < data.size(); ++i)
      if (data[i] != tcp_script_byte(sent.seq + (sent.bits() & tcp_flag::syn ? 1 : 0) + i))
        FAIL("byte " << sent.seq + i << " is wrong on the wire");
  }
};
using tcp_script = basic_tcp_script<>;

}  // namespace netstack::test
