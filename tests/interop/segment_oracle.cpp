// SPDX-License-Identifier: BSL-1.0
// The kernel as the oracle of TCP's wire: a peer's random segments, right, wrong, in order and not, go to a connection
// of the kernel's and to one of the stack's, with the same calls between them. Both must answer with the same segments
// at once, the calls with the same results, and TCP_INFO with the same state. What takes time (delayed acknowledgments,
// repetitions) is not compared, and what differs once because the kernel's timers ran is played again.
#include <sys/socket.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <random>
#include <tuple>

#include "netstack/stack/sysctl.hpp"
#include "netstack/tcp/tcp_info.hpp"
#include "support/kernel_tap.hpp"
#include "support/linux_udp.hpp"
#include "support/proc_text.hpp"
#include "support/tcp_script.hpp"

namespace {

using namespace netstack;
using namespace netstack::test;

class both {
  kernel_tap kernel_;
  basic_tcp_script<> ours_, codec_;  // codec_ reads and writes the kernel's segments
  int listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  int theirs_ = -1, fd_ = -1;
  u32 written_ = 1, our_ack_ = 0, their_ack_ = 0;
  bool parted_ = false;  ///< … have ever differed
  std::string trace_;

 public:
  u32 nxt = 0, snd = 0;      ///< relative: what the peer is expected to send next, what was sent to it
  std::vector<u32> ends{1};  ///< of segments that were sent
  bool differs = false;
  bool ended = false;   ///< the peer has sent a FIN
  bool strict = false;  ///< an acknowledgment leaves at once with both, or with none
  u32 unsent = 0;
  u8 state = 0;                        ///< the connection's, as long as it is open
  std::vector<std::string> columns{};  ///< of TcpExt, which play() compares, too

  both() {
    kernel_.run("ip link set nst0 gso_max_segs 1");  // it would wait until there is more for a super-segment
    set("net/ipv4/tcp_autocorking", "0");            // depends on when a frame is taken from the TAP
    set("net/ipv4/tcp_early_retrans", "0");          // a timer
    set("net/ipv4/tcp_invalid_ratelimit", "0");
    set("net/ipv4/tcp_congestion_control", "reno");
    set("net/ipv4/tcp_rmem", "4096 131072 6291456");
    auto const at = inet_addr_of({}, basic_tcp_script<>::port);
    int const one = 1;
    REQUIRE(::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0);
    REQUIRE(::bind(listener_, reinterpret_cast<::sockaddr const*>(&at), sizeof at) == 0);
    REQUIRE(::listen(listener_, 64) == 0);
    ours_.listen(64);
  }
  ~both() { ::close(listener_); }
  both(both const&) = delete;

  void set(std::string const& path, char const* value) {
    kernel_.set(path, value);
    REQUIRE(sysctl_write(ours_.net(), path, value));
  }
  [[nodiscard]] std::string const& trace() const { return trace_; }
  /// Both have acknowledged the same.
  [[nodiscard]] bool parted() const { return parted_; }
  [[nodiscard]] bool agree() const { return our_ack_ == their_ack_; }
  [[nodiscard]] bool is_open() const { return fd_ >= 0; }

  void begin(u16 from_port, u16 our_port) {
    trace_.clear();
    differs = parted_ = ended = false;
    nxt = snd = unsent = our_ack_ = their_ack_ = 0;
    ends = {1};
    written_ = 1;
    for (auto* side : {&ours_, &codec_})
      side->our_isn_known = false, side->from_port = from_port, side->our_port = our_port;
  }
  /// The peer asks for the connection, and has it.
  void accepted(u16 from_port, std::string const& options) {
    begin(from_port, basic_tcp_script<>::port);
    in(tcp_seg::parse("S 0 " + options));
    in(tcp_seg::parse(". 1 ack 1 win 30000" +
                      std::string(options.find(" ts ") != std::string::npos ? " ts 100 0" : "")));
    take();
  }
  /// Ours do.
  void connecting(u16 to_port, u16 our_port) {
    begin(to_port, our_port);
    theirs_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    fd_ = ours_.stream();
    auto const here = inet_addr_of({}, our_port), there = inet_addr_of(peer_addr, to_port);
    REQUIRE(::bind(theirs_, reinterpret_cast<::sockaddr const*>(&here), sizeof here) == 0);
    REQUIRE(bind(ours_.net(), fd_, here));
    int const k = ::connect(theirs_, reinterpret_cast<::sockaddr const*>(&there), sizeof there);
    call("connect", k < 0 ? -errno : k, connect(ours_.net(), fd_, there));
  }
  /// The next connection that waits for it.
  void take() {
    theirs_ = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    auto const fd = netstack::accept(ours_.net(), ours_.listener, nullptr, nullptr, sock_type::nonblock);
    fd_ = fd.value_or(-1);
    same("accept", theirs_ >= 0, fd_ >= 0);
  }
  void let_go() {
    if (theirs_ >= 0) ::close(std::exchange(theirs_, -1));
    if (fd_ >= 0) (void)netstack::close(ours_.net(), std::exchange(fd_, -1));
  }
  /// Both ends are closed, and forget each other.
  void end() {
    do {
      let_go();
      take();  // what a SYN in its midst began
    } while (theirs_ >= 0 || fd_ >= 0);
    for (u32 const seq : {nxt, nxt + 1}) in(tcp_seg::parse("R " + std::to_string(seq)), false);
    ours_.rig.run_for(1'000'000'000);
    ours_.collect();
    ours_.pending.clear();
    (void)kernel_.sent();
  }

  // --- steps

  void in(tcp_seg const& s, bool compare = true) {
    trace_ += "> " + s.text() + '\n';
    auto const frame = [&](basic_tcp_script<>& side) {
      bytes f;
      append(f, ethhdr{our_mac, peer_mac, be16{eth_p::ip}});
      return f + datagram{.protocol = ipproto::tcp, .payload = side.bytes_of(s)}.build();
    };
    kernel_.receive(frame(codec_));
    ours_.rig.receive(*ours_.rig.eth0, frame(ours_));
    if (compare) look();
  }
  /// A router says that what began with `seq` did not arrive; `mtu`: of the link that was too narrow for it.
  void icmp(u8 type, u8 code, u32 mtu, u32 seq) {
    trace_ += "icmp " + std::to_string(type) + '/' + std::to_string(code) + " mtu " + std::to_string(mtu) + " seq " +
              std::to_string(seq) + '\n';
    auto const frame = [&](basic_tcp_script<>& side) {
      bytes quoted = datagram{.saddr = our_addr, .daddr = peer_addr, .protocol = ipproto::tcp}.build();
      append(quoted,
             tcphdr{.source = be16{side.our_port}, .dest = be16{side.from_port}, .seq = be32{side.our_isn + seq}});
      quoted.resize(quoted.size() - 12);  // RFC 792: eight bytes of it
      bytes f;
      append(f, ethhdr{our_mac, peer_mac, be16{eth_p::ip}});
      return f + datagram{.protocol = ipproto::icmp, .payload = icmp_message(type, code, mtu, quoted)}.build();
    };
    kernel_.receive(frame(codec_));
    ours_.rig.receive(*ours_.rig.eth0, frame(ours_));
    look();
  }
  void write(std::size_t n, u32 flags = 0) {
    std::string text(n, '\0');
    for (std::size_t i = 0; i < n; ++i) text[i] = static_cast<char>(tcp_script_byte(written_ + static_cast<u32>(i)));
    auto const k = ::send(theirs_, text.data(), n, static_cast<int>(flags) | MSG_NOSIGNAL | MSG_DONTWAIT);
    call((flags ? "more " : "write ") + std::to_string(n), k < 0 ? -errno : k,
         netstack::send(ours_.net(), fd_, text.data(), n, flags | msg::dontwait));
    if (k > 0) written_ += static_cast<u32>(k);
  }
  void read(std::size_t n, u32 flags) {
    std::string theirs(n, '\0'), ours(n, '\0');
    auto const k = ::recv(theirs_, theirs.data(), n, static_cast<int>(flags | MSG_DONTWAIT));
    call("read " + std::to_string(n) + (flags ? " flags " + std::to_string(flags) : ""), k < 0 ? -errno : k,
         netstack::recv(ours_.net(), fd_, ours.data(), n, flags | msg::dontwait));
    same("bytes", theirs == ours, true);
  }
  void wait(std::size_t ms) {
    trace_ += "wait " + std::to_string(ms) + '\n';
    ::usleep(static_cast<unsigned>(ms) * 1000);
    ours_.rig.run_for(ms * 1'000'000);
    look();
  }
  void shutdown(int how) {
    int const k = ::shutdown(theirs_, how);
    call("shutdown " + std::to_string(how), k < 0 ? -errno : k, netstack::shutdown(ours_.net(), fd_, how));
  }
  void option(int level, int name, int value) {
    int const k = ::setsockopt(theirs_, level, name, &value, sizeof value);
    call("option " + std::to_string(level) + '/' + std::to_string(name) + " = " + std::to_string(value),
         k < 0 ? -errno : k, netstack::setsockopt(ours_.net(), fd_, level, name, value));
  }
  void get(int level, int name) {
    int value = -1;
    ::socklen_t len = sizeof value;
    int const k = ::getsockopt(theirs_, level, name, &value, &len);
    call("get " + std::to_string(level) + '/' + std::to_string(name), k < 0 ? -errno : value,
         netstack::getsockopt<int>(ours_.net(), fd_, level, name));
  }
  /// A connection that was accepted, and on each line a step.
  void play(u16 from_port, std::string const& script, std::string const& options = "mss 1460") {
    accepted(from_port, options);
    auto const before = counts();
    std::istringstream steps(script);
    for (std::string what, rest; steps >> what && !differs;) {
      if (what == "close" || what == "abort" || what == "disconnect") {
        if (what == "abort") linger();
        what == "disconnect" ? disconnect() : close_it();
        continue;
      }
      if (what == "nodelay" || what == "cork") {
        option(sol::tcp, what == "cork" ? tcp_opt::cork : tcp_opt::nodelay, 1);
        continue;
      }
      std::getline(steps, rest);
      std::size_t n = 0;
      u32 mtu = 0;
      std::istringstream(rest) >> n >> mtu;
      what == ">"          ? in(tcp_seg::parse(rest))
      : what == "write"    ? write(n)
      : what == "more"     ? write(n, msg::more)
      : what == "read"     ? read(n, 0)
      : what == "wait"     ? wait(n)
      : what == "icmp"     ? icmp(icmp_type::dest_unreach, static_cast<u8>(n), mtu, snd - 1)
      : what == "discover" ? option(sol::ip, ip_opt::mtu_discover, static_cast<int>(n))
                           : shutdown(SHUT_WR);
    }
    auto const after = counts();
    for (std::size_t i = 0; i < columns.size(); ++i)
      same(columns[i].c_str(), after[i].first - before[i].first, after[i].second - before[i].second);
    end();
  }
  /// connect() to nobody: what the peer hears of it, and what the socket says then.
  void disconnect() {
    ::sockaddr const nobody{};
    int const k = ::connect(theirs_, &nobody, sizeof nobody);
    call("disconnect", k < 0 ? -errno : k, connect(ours_.net(), fd_, sockaddr_view{&nobody, sizeof nobody}));
    ::pollfd p{theirs_, POLLIN | POLLOUT | POLLPRI | POLLRDHUP, 0};
    netstack::pollfd q{.fd = fd_, .events = p.events, .revents = 0};
    (void)::poll(&p, 1, 0);
    (void)netstack::poll(ours_.net(), std::span(&q, 1), 0);
    same("poll", p.revents, q.revents);
    int error = 0;
    ::socklen_t len = sizeof error;
    REQUIRE(::getsockopt(theirs_, SOL_SOCKET, SO_ERROR, &error, &len) == 0);
    same("SO_ERROR", error, netstack::getsockopt<int>(ours_.net(), fd_, sol::socket, so::error).value());
    read(10, 0);
    write(3);
  }
  /// What is closed now is thrown away.
  void linger() {
    ::linger const now{1, 0};
    REQUIRE(::setsockopt(theirs_, SOL_SOCKET, SO_LINGER, &now, sizeof now) == 0);
    REQUIRE(setsockopt(ours_.net(), fd_, sol::socket, so::linger, now));
  }
  void close_it() {
    int const k = ::close(std::exchange(theirs_, -1));
    call("close", k, netstack::close(ours_.net(), std::exchange(fd_, -1)));
  }

 private:
  /// Of each of `columns` the kernel's, and ours.
  std::vector<std::pair<long, long>> counts() {
    std::vector<std::pair<long, long>> all;
    auto const value = [](std::string const& text, std::string const& column) {
      auto const lines = lines_of(text);
      auto const names = words_of(lines.at(0)), values = words_of(lines.at(1));
      auto const at = std::find(names.begin(), names.end(), column) - names.begin();
      return std::stol(values.at(static_cast<std::size_t>(at)));
    };
    for (auto const& column : columns)
      all.emplace_back(value(host_text("/proc/thread-self/net/netstat"), column),
                       value(proc_text(ours_.net(), "net/netstat"), column));
    return all;
  }
  template <class T>
  void call(std::string const& what, long theirs, result<T> const& ours) {
    trace_ += what + '\n';
    long answer = ours ? 0 : -static_cast<long>(ours.error());
    if constexpr (!std::is_void_v<T>)
      if (ours) answer = static_cast<long>(*ours);
    same(what.c_str(), theirs, answer);
    look();
  }
  void same(char const* what, long theirs, long ours) {
    if (theirs == ours || differs) return;
    differs = true;
    trace_ += std::string("*** ") + what + ": ours " + std::to_string(ours) + ", the kernel's " +
              std::to_string(theirs) + '\n';
  }
  struct told {
    tcp_seg s;
    std::string text;
  };
  [[nodiscard]] told tell(basic_tcp_script<>& side, sent_frame const& f) const {
    auto const th = f.at<tcphdr>(f.l4());
    if (th.syn()) side.our_isn_known = false;  // it may be another connection
    auto s = side.read_segment(f);
    std::erase(s.flags, 'P');  // where a write ends is not told alike
    // What a frame costs differs, and so do buffers.
    if (*s.win != 0) s.win.reset();
    if (s.ws) s.ws = 0;
    if (th.seq.host() == 0) s.seq = 0;  // a RST that answers no ACK
    s.tsval.reset();
    // Once one has acknowledged more than the other, time stamps and what came twice are told at other times.
    if (parted_) s.tsecr.reset();
    if (parted_ || ended)
      s.sacks.clear();  // and Linux forgets at a FIN what it had beyond it, before or after it answers
    auto const body = f.payload(th.header_len());
    auto const sum = csum_fold(csum_partial(body.data(), body.size(), 0)).raw();
    return {s, "  < " + s.text() + " sum " + std::to_string(sum) +
                   ((f.ip().frag_off.host() & ip_df) != 0 ? " df" : "") + " tos " + std::to_string(f.ip().tos) + '\n'};
  }
  /// … and not of a connection that was left.
  [[nodiscard]] bool is_of_this(sent_frame const& f) const {
    return f.is_ip() && f.ip().protocol == ipproto::tcp && f.at<tcphdr>(f.l4()).dest.host() == codec_.from_port;
  }
  /// The kernel has data that it has not sent, or nobody can tell.
  [[nodiscard]] bool has_unsent() const {
    if (theirs_ < 0) return true;
    netstack::tcp_info info{};
    ::socklen_t len = sizeof info;
    return ::getsockopt(theirs_, sol::tcp, tcp_opt::info, &info, &len) == 0 && info.tcpi_notsent_bytes != 0;
  }
  void note(tcp_seg const& s, u32& acked) {
    if (s.flags.find('R') != std::string::npos) return;
    if (s.ack) acked = *s.ack;
    if (static_cast<s32>(acked - nxt) > 0) nxt = acked;
    u32 const end =
        s.seq + s.len +
        static_cast<u32>(std::count_if(s.flags.begin(), s.flags.end(), [](char c) { return c == 'S' || c == 'F'; }));
    if (static_cast<s32>(end - snd) > 0) snd = end, ends.push_back(end);
  }
  /// What both sent, and how both stand.
  void look() {
    std::vector<told> k, o;
    for (u32 tries = 0; tries < 5; ++tries) {
      for (auto& frame : kernel_.sent()) {
        sent_frame const f{std::move(frame), 0, eth_hlen};
        if (is_of_this(f)) k.push_back(tell(codec_, f));
      }
      if (!has_unsent()) break;
      ::usleep(100);  // more leaves as the device gives back what it had
    }
    ours_.rig.run_for(20'000);
    ours_.collect();
    for (auto const& f : std::exchange(ours_.pending, {}))
      if (is_of_this(f)) o.push_back(tell(ours_, f));
    // Whether what is new is acknowledged at once or a little later depends on what each believes of the peer.
    auto const may_wait = [](std::vector<told> const& all, std::vector<told> const& others, u32 acked) {
      auto const& s = all.size() == others.size() + 1 ? all.back().s : tcp_seg{};
      return s.flags == "." && s.len == 0 && static_cast<s32>(*s.ack - acked) > 0;
    };
    bool const ours_only = !strict && may_wait(o, k, our_ack_), theirs_only = !strict && may_wait(k, o, their_ack_);
    for (auto const& one : k) note(one.s, their_ack_);
    for (auto const& one : o) note(one.s, our_ack_);
    parted_ = parted_ || !agree();
    if (ours_only) o.pop_back();
    if (theirs_only) trace_ += k.back().text, k.pop_back();
    auto const text = [](std::vector<told> const& all) {
      std::string t;
      for (auto const& one : all) t += one.text;
      return t;
    };
    if (text(k) != text(o) && !differs) {
      differs = true;
      trace_ += "*** the kernel:\n" + text(k) + "*** ours:\n" + text(o);
    } else {
      trace_ += text(k);
    }
    if (differs || theirs_ < 0 || fd_ < 0) return;
    netstack::tcp_info theirs{};
    ::socklen_t len = sizeof theirs;
    REQUIRE(::getsockopt(theirs_, sol::tcp, tcp_opt::info, &theirs, &len) == 0);
    auto const ours = netstack::getsockopt<netstack::tcp_info>(ours_.net(), fd_, sol::tcp, tcp_opt::info).value();
    same("tcpi_state", theirs.tcpi_state, ours.tcpi_state);
    state = theirs.tcpi_state;
    if (theirs.tcpi_state == tcp_state::close) return;
    same("tcpi_unacked", theirs.tcpi_unacked, ours.tcpi_unacked);
    same("tcpi_lost", theirs.tcpi_lost, ours.tcpi_lost);
    same("tcpi_snd_cwnd", theirs.tcpi_snd_cwnd, ours.tcpi_snd_cwnd);
    same("tcpi_retrans", theirs.tcpi_retrans, ours.tcpi_retrans);
    unsent = theirs.tcpi_notsent_bytes;
    same("tcpi_notsent_bytes", theirs.tcpi_notsent_bytes, ours.tcpi_notsent_bytes);
    same("tcpi_bytes_received", static_cast<long>(theirs.tcpi_bytes_received),
         static_cast<long>(ours.tcpi_bytes_received));
    ::pollfd p{theirs_, POLLIN | POLLOUT | POLLPRI | POLLRDHUP, 0};
    netstack::pollfd q{.fd = fd_, .events = p.events, .revents = 0};
    (void)::poll(&p, 1, 0);
    (void)netstack::poll(ours_.net(), std::span(&q, 1), 0);
    // How much room to send is left differs, too.
    auto const full = static_cast<short>(theirs.tcpi_unacked + theirs.tcpi_notsent_bytes != 0 ? POLLOUT : 0);
    same("poll", p.revents | full, q.revents | full);
  }
};

/// One round: a connection, and what happens to it.
class round_of {
  both& two_;
  std::mt19937 random_;
  bool rare_;
  bool stamps_ = false, sack_ = false;  ///< the peer's segments bear them, may

  u32 below(u32 n) { return static_cast<u32>(random_() % n); }
  template <std::size_t N>
  auto any(auto const (&from)[N]) {
    return from[below(N)];
  }
  tcp_seg segment() {
    static constexpr char const* kinds[]{".",  ".",  ".", "P.", "P.",  ".",  "F.", "R",  "R.",  "S",
                                         "S.", "U.", "-", "F",  "FP.", "SR", "E.", "C.", "FR.", "SFRPUEC."};
    static constexpr s64 near[]{0, 0, 0, 0, 0, 0, 1, -1, 5, -5, 100, -100, 1000, -1000, 3000, 0x10000000, -0x10000000};
    static constexpr s64 far[]{1, 5, 1000, 40000, 0x10000000, -0x10000000};
    static constexpr u32 sizes[]{0, 0, 0, 1, 5, 100, 100, 536, 1000, 1400};
    tcp_seg s;
    s.flags = below(3) ? "." : any(kinds);
    if (below(4) == 0) s.flags = any(kinds);
    s.seq = two_.nxt + static_cast<u32>(any(near));
    s.len = any(sizes);
    // Acknowledged are whole segments, of which Linux has several in a packet; and what is before our first byte it
    // refuses but where it predicts the header.
    // Linux takes no time stamp of a segment whose acknowledgment is old, RFC 7323 §4.3 does.
    // Which acknowledgments count as duplicates differs.
    u32 ack = stamps_ || !sack_ || below(4) ? two_.snd : two_.ends[below(static_cast<u32>(two_.ends.size()))];
    if (below(4) == 0) ack = two_.snd + static_cast<u32>(any(far));
    if (static_cast<s32>(ack) < 1) ack = stamps_ || !sack_ ? two_.snd : 1;
    // What lies behind the end RFC 9293 ignores; Linux resets the connection.
    auto const has = [&](char flag) { return s.flags.find(flag) != std::string::npos; };
    bool const plain = !has('S') && !has('F') && !has('R');
    bool is_old = static_cast<s32>(s.seq - two_.nxt) < 0;
    if (two_.ended || (!two_.is_open() && is_old)) s.len = 0;
    if (is_old && !two_.agree()) s.seq = two_.nxt, is_old = false;  // one has told the peer of less than the other
    // A pure acknowledgment from beyond is a duplicate to RFC 5681, and none to Linux. Of a FIN that brings old data
    // Linux does not tell that the data came twice.
    if (plain ? s.len == 0 && !is_old : has('F')) s.seq = two_.nxt;
    if (two_.ended && plain) ack = two_.snd;  // Linux counts no duplicate behind a FIN either
    if (has('F')) two_.ended = true;
    if (has('.') || below(4) == 0) s.ack = ack;
    s.win = sack_ || below(8) ? 30000 : 0;  // into less Linux sends what Nagle and RFC 9293 §3.8.6.2 would hold back
    // An urgent byte that is yet to come Linux takes from the header of what comes instead.
    if (s.len == 0) std::erase(s.flags, 'U');
    if (has('U')) s.urg = 1 + below(s.len);
    // Who crosses our SYN offers all that we offer; of anything else we offer less then, Linux does not.
    if (has('S') && !has('.') && !has('R') && two_.is_open() && two_.state == tcp_state::syn_sent)
      return stamps_ = sack_ = true, tcp_seg::parse("S 0 win 30000 mss 1460 sackok ws 7 ts 100 0");
    // RFC 7323 §5.2 looks at no time stamp of a RST, Linux sometimes does.
    if (!has('R') && (stamps_ ? below(12) != 0 : below(24) == 0)) {
      s.ts = true;
      // In tens: Linux takes a time stamp that is one too old, RFC 7323 §5.3 does not.
      u32 const later = 10 * (below(8) ? below(3) : static_cast<u32>(any(near)));
      s.tsval = two_.parted() ? 120 : 100 + later;
      s.tsecr = 0;
    }
    return s;
  }
  void router() {
    static constexpr u32 mtus[]{1400, 1000, 576, 552, 296, 68, 20, 0, 1500, 9000};
    static constexpr u8 codes[]{0, 1, 2, 3, 4, 4, 4, 4, 5, 9, 10, 13, 15, 16};
    u32 const seq = below(3) ? two_.snd - (two_.snd > 1) : below(2) ? two_.snd + 5 : two_.snd - 3000;
    if (below(6) == 0)
      return two_.icmp(below(2) ? icmp_type::time_exceeded : icmp_type::parameterprob, static_cast<u8>(below(2)), 0,
                       seq);
    if (below(8) == 0) return two_.icmp(icmp_type::source_quench, 0, 0, seq);
    // What waits may be a whole segment of a narrower path: it leaves with whatever comes next, in Linux not with what
    // is amiss.
    u8 const code = any(codes);
    if (code != icmp_code::frag_needed || two_.unsent == 0) two_.icmp(icmp_type::dest_unreach, code, any(mtus), seq);
  }
  void option() {
    struct setting {
      int level, name, value;
    };
    static constexpr setting settings[]{{sol::socket, so::rcvlowat, 1},       {sol::socket, so::rcvlowat, 200},
                                        {sol::socket, so::keepalive, 1},      {sol::socket, so::oobinline, 1},
                                        {sol::socket, so::oobinline, 0},      {sol::ip, ip_opt::tos, 8},
                                        {sol::ip, ip_opt::ttl, 33},           {sol::ip, ip_opt::mtu_discover, 0},
                                        {sol::ip, ip_opt::mtu_discover, 2},   {sol::ip, ip_opt::mtu_discover, 3},
                                        {sol::ip, ip_opt::mtu_discover, 4},   {sol::ip, ip_opt::mtu_discover, 5},
                                        {sol::ip, ip_opt::recverr, 1},        {sol::ip, ip_opt::minttl, 255},
                                        {sol::ip, ip_opt::minttl, 0},         {sol::tcp, tcp_opt::maxseg, 700},
                                        {sol::tcp, tcp_opt::quickack, 1},     {sol::tcp, tcp_opt::keepcnt, 1},
                                        {sol::tcp, tcp_opt::defer_accept, 1}, {sol::tcp, tcp_opt::user_timeout, 5000}};
    auto const& to = any(settings);
    two_.option(to.level, to.name, to.value);
  }
  /// What belongs to programs that ask for more, and to networks with routers.
  void rare_step() {
    static constexpr std::pair<int, int> asked[]{{sol::socket, so::error},
                                                 {sol::ip, ip_opt::mtu},
                                                 {sol::socket, so::rcvlowat},
                                                 {sol::tcp, tcp_opt::notsent_lowat},
                                                 {sol::ip, ip_opt::mtu_discover}};
    switch (below(6)) {
      case 0: return router();
      case 1: return option();
      case 2: return std::apply([this](int level, int name) { two_.get(level, name); }, any(asked));
      case 3: return two_.write(1 + below(600));
      case 4: return below(3) == 0 ? two_.write(1 + below(10), msg::oob) : void();
      default: return below(10) == 0 ? two_.disconnect() : void();
    }
  }
  void step() {
    u32 const what = below(two_.is_open() ? rare_ ? 26 : 20 : 10);
    if (what >= 20) return rare_step();
    if (what < 10) return two_.in(segment());
    // With SACK blocks coming and going, full segments change their size, in Linux also those that wait.
    if (what < 13 && two_.unsent > 3000) return;  // buffers differ
    if (what < 13) return two_.write(1 + below(sack_ ? 1000 : below(4) ? 2000 : 6000));
    if (what < 17) return two_.read(1 + below(2000), below(6) ? 0 : below(2) ? msg::peek : msg::oob);
    if (what == 17 && below(3) == 0) return two_.shutdown(static_cast<int>(below(3)));
    if (what == 18 && below(4) == 0) return two_.close_it();
    if (what == 19)
      return two_.option(sol::tcp, below(2) ? tcp_opt::nodelay : tcp_opt::cork, static_cast<int>(below(2)));
  }

 public:
  /// `rare`: with ICMP errors, options and what else few programs do.
  round_of(both& two, u32 seed, bool rare) : two_(two), random_(seed), rare_(rare) {}
  void play(u16 port, bool passive) {
    static constexpr char const* offers[]{"mss 1460", "mss 536", "mss 1460 sackok", "mss 1460 ws 7",
                                          "mss 1460 sackok ws 7"};
    stamps_ = below(3) == 0;
    std::string options = any(offers);
    sack_ = options.find("sackok") != std::string::npos;
    if (stamps_) options += " ts 100 0";
    if (passive)
      two_.accepted(port, options);
    else
      two_.connecting(port, static_cast<u16>(port ^ 0x4000));
    for (u32 n = 0; n < 30 && !two_.differs; ++n)
      if (two_.is_open() && two_.state == tcp_state::syn_sent && below(2))
        two_.in(tcp_seg::parse("S. 0 ack 1 win 30000 " + options));
      else
        step();
    two_.end();
  }
};

/// What the comparison knows of is Linux 6.18's; earlier ones challenge less and answer more.
bool kernel_is_known() {
  ::utsname kernel{};
  int major = 0, minor = 0;
  REQUIRE(::uname(&kernel) == 0);
  return std::sscanf(kernel.release, "%d.%d", &major, &minor) == 2 && (major > 6 || (major == 6 && minor >= 18));
}

bool cannot_compare() {
  if (skip_without_root("makes a network namespace") || skip_without_file("/dev/net/tun")) return true;
  if (kernel_is_known()) return false;
  WARN("the running kernel is older than 6.18: nothing is compared");
  return true;
}

void compare(bool passive, u32 first_seed, u32 rounds, bool rare = false) {
  if (cannot_compare()) return;
  std::optional<both> hosts(std::in_place);
  u32 compared = 0;
  u16 port = 1024;
  for (u32 seed = first_seed; seed < first_seed + rounds; ++seed) {
    using clock = std::chrono::steady_clock;
    clock::duration took{};
    for (u32 tries = 0; tries == 0 || (hosts->differs && tries < 5); ++tries) {
      if (rare) hosts.emplace();  // which have not heard of a narrow path
      auto const start = clock::now();
      round_of(*hosts, seed, rare).play(++port, passive);
      took = clock::now() - start;
    }
    both& two = *hosts;
    if (two.differs && took > std::chrono::milliseconds(20)) continue;
    ++compared;
    INFO("seed " << seed << '\n' << two.trace());
    CHECK(!two.differs);
  }
  CHECK(compared > rounds / 2);
}

}  // namespace

TEST_CASE("random segments have the kernel's answers: of a connection that was accepted", "[S92][S96][S97][S147]") {
  compare(true, 200, 800);
}
TEST_CASE("… and of one that was asked for", "[S92][S96][S97][S147]") { compare(false, 1'000'000, 800); }
TEST_CASE("… and with ICMP errors, options and connect() to nobody in between", "[S92][S118][S147]") {
  compare(true, 3'000, 60, true);
  compare(false, 1'000'600, 60, true);
}

TEST_CASE("the peer's FIN is acknowledged at once where the kernel does that, and else with what comes next",
          "[S147]") {
  if (cannot_compare()) return;
  static constexpr char const* scripts[]{"> F. 1 ack 1\n close",
                                         "> F. 1 ack 1\n write 3\n > . 2 ack 4\n close",
                                         "> F. 1 ack 1\n > . 2 ack 1\n shutdown",
                                         "> F. 1 ack 1\n > F. 1 ack 1",
                                         "> FP. 1:6 ack 1\n read 5\n close",
                                         "> FP. 1:6 ack 1\n close",
                                         "> P. 1:6 ack 1\n > F. 6 ack 1\n > P. 1:6 ack 1",
                                         "> P. 1:6 ack 1\n > F. 6 ack 1\n read 5\n read 1\n write 3",
                                         "> . 1:1461 ack 1\n > FP. 1461:2921 ack 1",
                                         "> . 1:1461 ack 1\n > FP. 1461:1466 ack 1\n close",
                                         "> F. 6 ack 1\n > P. 1:6 ack 1",
                                         "> FP. 6:11 ack 1\n > P. 1:6 ack 1",
                                         "write 3\n > . 1 ack 4\n > F. 1 ack 4",
                                         "write 3\n > F. 1 ack 1\n > . 2 ack 4",
                                         "shutdown\n > F. 1 ack 1",
                                         "shutdown\n > F. 1 ack 2",
                                         "shutdown\n > . 1 ack 2\n > F. 1 ack 2",
                                         "close\n > F. 1 ack 1\n > . 2 ack 2",
                                         "close\n > F. 1 ack 2",
                                         "close\n > . 1 ack 2\n > F. 1 ack 2"};
  both two;
  two.strict = true;
  u16 port = 1024;
  for (char const* const script : scripts) {
    // Between two steps the kernel's timer may run.
    for (u32 tries = 0; tries == 0 || (two.differs && tries < 200); ++tries) two.play(++port, script);
    INFO(script << '\n' << two.trace());
    CHECK(!two.differs);
  }
}

TEST_CASE("the peer's FIN is no segment that was predicted, nor is it with the kernel", "[S147][S164]") {
  if (cannot_compare()) return;
  both two;
  two.columns = {"TCPHPHits"};
  u16 port = 1024;
  for (char const* const script :
       {"> F. 1 ack 1 win 30000", "> FP. 1:6 ack 1 win 30000", "> F. 1 ack 1 win 30000\n > F. 1 ack 1 win 30000"}) {
    for (u32 tries = 0; tries == 0 || (two.differs && tries < 20); ++tries) two.play(++port, script);
    INFO(script << '\n' << two.trace());
    CHECK(!two.differs);
  }
}

TEST_CASE("a FIN counts among what is sent anew, and joins what waits to be read, as with the kernel", "[S164]") {
  if (cannot_compare()) return;
  both two;
  two.columns = {"TCPOrigDataSent", "TCPRcvCoalesce"};
  u16 port = 1024;
  for (char const* const script :
       {"shutdown", "write 3\n shutdown", "write 3\n > . 1 ack 4\n close", "> F. 1 ack 1\n close",
        "> P. 1:6 ack 1\n > F. 6 ack 1", "> P. 1:6 ack 1\n read 5\n > F. 6 ack 1", "> F. 6 ack 1\n > P. 1:6 ack 1",
        "> . 1 ack 1 win 0\n shutdown\n > . 1 ack 1 win 30000"}) {
    for (u32 tries = 0; tries == 0 || (two.differs && tries < 20); ++tries) two.play(++port, script);
    INFO(script << '\n' << two.trace());
    CHECK(!two.differs);
  }
}

TEST_CASE("an ICMP error that was waited out is told by SO_ERROR, also after connect() to nobody", "[S118]") {
  if (cannot_compare()) return;
  both two;
  u16 port = 1024;
  for (char const* const script : {"write 3\n icmp 1\n disconnect", "write 3\n icmp 3\n > . 1 ack 4\n disconnect",
                                   "shutdown\n icmp 1\n disconnect", "shutdown\n > F. 1 ack 1\n icmp 9\n disconnect"}) {
    for (u32 tries = 0; tries == 0 || (two.differs && tries < 20); ++tries) two.play(++port, script);
    INFO(script << '\n' << two.trace());
    CHECK(!two.differs);
  }
}

TEST_CASE("IP_MTU_DISCOVER says whether a narrower path is believed, as with the kernel", "[S118][RFC 1191]") {
  if (cannot_compare()) return;
  for (char const* const how : {"0", "1", "2", "3", "4", "5"}) {
    both two;  // another path
    std::string const script = std::string("discover ") + how + "\n write 1400\n icmp 4 1000\n write 3\n" +
                               "> . 1 ack 1404\n write 1400\n > . 1 ack 2804\n write 1000";
    two.play(1025, script);
    INFO(script << '\n' << two.trace());
    CHECK(!two.differs);
  }
}

TEST_CASE("connect() to nobody, and close(), tell the peer and the socket what the kernel tells them, in each state",
          "[S98][S104]") {
  if (cannot_compare()) return;
  static constexpr char const* states[]{"",  // established
                                        "write 3",
                                        "write 3\n > . 1 ack 4",
                                        "> P. 1:6 ack 1",
                                        "> . 1 ack 1 win 0\n write 3",
                                        "shutdown",  // FIN-WAIT-1
                                        "write 3\n shutdown",
                                        "> . 1 ack 1 win 0\n write 3\n shutdown",
                                        "shutdown\n > . 1 ack 2",   // FIN-WAIT-2
                                        "shutdown\n > F. 1 ack 1",  // CLOSING
                                        "write 3\n shutdown\n > F. 1 ack 1",
                                        "write 3\n shutdown\n > F. 1 ack 4",
                                        "> . 1 ack 1 win 0\n write 3\n shutdown\n > F. 1 ack 1 win 0",
                                        "> F. 1 ack 1",  // CLOSE-WAIT
                                        "> F. 1 ack 1\n write 3",
                                        "> F. 1 ack 1\n shutdown",  // LAST-ACK
                                        "> F. 1 ack 1\n write 3\n shutdown",
                                        "> FP. 1:6 ack 1\n shutdown",
                                        "> F. 1 ack 1 win 0\n write 3\n shutdown",
                                        "> F. 1 ack 1 win 0\n shutdown",
                                        "> F. 1 ack 1\n shutdown\n > . 2 ack 2",  // CLOSED
                                        "shutdown\n > F. 1 ack 2",
                                        "> R 1",
                                        "> P. 1:6 ack 1\n > R 6"};
  both two;
  u16 port = 1024;
  for (char const* const state : states)
    for (char const* const end : {"disconnect", "close", "abort"}) {
      std::string const script = std::string(state) + "\n " + end;
      for (u32 tries = 0; tries == 0 || (two.differs && tries < 20); ++tries) two.play(++port, script);
      INFO(script << '\n' << two.trace());
      CHECK(!two.differs);
    }
}

TEST_CASE("what MSG_MORE keeps waiting leaves with the segments with which the kernel lets it", "[S100][RFC 896]") {
  if (cannot_compare()) return;
  // Data that finds no memory set aside for it goes the kernel's slow way, on which the rest leaves, too: it is not
  // here.
  static constexpr char const* scripts[]{
      "more 3\n > P. 1:6 ack 1 win 30000",
      "more 3\n > . 1 ack 1 win 30000",
      "more 3\n > . 1 ack 1 win 40000",
      "more 3\n > . 1 ack 1 win 0\n > . 1 ack 1 win 30000",
      "more 3\n > P. 1:6 ack 1 win 40000",
      "more 3\n > P. 6:11 ack 1 win 30000",
      "> P. 6:11 ack 1 win 30000\n more 3\n > P. 1:6 ack 1 win 30000",
      "> P. 6:11 ack 1 win 30000\n > P. 1:6 ack 1 win 30000\n more 3\n > P. 11:16 ack 1 win 30000",
      "write 3\n more 3\n > . 1 ack 4 win 30000",
      "write 3\n more 3\n > P. 1:6 ack 1 win 30000",
      "write 3\n more 3\n > P. 1:6 ack 4 win 30000",
      "write 3\n write 3\n more 3\n > P. 1:6 ack 4 win 30000",
      "write 3\n write 1460\n more 3\n > P. 1:6 ack 4 win 30000",
      "more 2000\n > P. 1:6 ack 1449 win 30000",
      "more 2000\n > . 1 ack 1449 win 30000",
      "more 4000\n > . 1 ack 1449 win 30000\n > . 1 ack 2897 win 30000",
      "more 3\n > P. 1:6 ack 1 win 30000\n read 5",
      "more 3\n > P. 1:6 ack 1 win 30000\n write 3",
      "more 3\n > U. 1:6 ack 1 urg 3 win 30000",
      "more 3\n > F. 1 ack 1 win 30000",
      "more 3\n > FP. 1:6 ack 1 win 30000",
      "> F. 1 ack 1 win 30000\n more 3\n > . 2 ack 1 win 30000",
      "more 3\n > P. 1:6 ack 1 win 30000\n shutdown",
      "nodelay\n more 3\n > P. 1:6 ack 1 win 30000",
      "nodelay\n write 3\n more 3\n > P. 1:6 ack 1 win 30000",
      "nodelay\n write 3\n more 3\n > . 1 ack 4 win 30000",
      "cork\n write 3\n > P. 1:6 ack 1 win 30000\n > . 6 ack 1 win 30000",
      "cork\n write 2000\n > P. 1:6 ack 1449 win 30000"};
  both two;
  u16 port = 1024;
  for (char const* const options : {"mss 1448", "mss 1460 ts 100 0"})
    for (std::string script : scripts) {
      if (std::string_view(options).find("ts") != std::string_view::npos)
        for (std::size_t at = 0; (at = script.find("win", at)) != std::string::npos; at += 10)
          script.insert(at, "ts 100 0 ");
      for (u32 tries = 0; tries == 0 || (two.differs && tries < 20); ++tries) two.play(++port, script, options);
      INFO(script << '\n' << two.trace());
      CHECK(!two.differs);
    }
}

TEST_CASE("what is amiss is answered as rarely as the kernel answers it, and counted as there", "[S147][RFC 5961]") {
  if (cannot_compare()) return;
  static constexpr char const* scripts[]{
      "> R 2\n > R 2\n > S 5\n > . 99999 ack 1\n > P. 99999:100000 ack 1\n > P. 1:5 ack 100\n wait 600\n > S 5\n > R 2",
      "> . 99999 ack 1\n > . 99999 ack 1\n > R 2\n wait 300\n > . 99999 ack 1\n wait 300\n > . 99999 ack 1",
      "> P. 99999:100000 ack 1\n > . 99999 ack 1\n > P. 99999:100000 ack 1\n > S 1",
      "> F. 99999 ack 1\n > F. 99999 ack 1\n > R 5",
      "> P. 1:5 ack 100\n > P. 1:5 ack 100\n > P. 1:5 ack -70000\n > P. 1:5 ack 0",
      "> S 5:10\n > S 5:10\n > R 5:10",
      "> R 99999\n > R 0\n > R 5",
      "> S. 0 ack 1\n > S 0\n > S 1",
      "shutdown\n > . 1 ack 100\n > . 1 ack 100\n > R 5\n > S 5",
      "shutdown\n > . 1 ack 2\n > R 5\n > R 5\n > S 5\n > . 99999 ack 2",
      "> F. 1 ack 1\n > R 5\n > S 5\n > . 99999 ack 1\n wait 600\n > . 2 ack 100",
      "> F. 1 ack 1\n shutdown\n > . 2 ack 100\n > S 5\n > . 99999 ack 1",
      "close\n > . 1 ack 2\n > . 99999 ack 2\n > . 99999 ack 2",
      "close\n > F. 1 ack 2\n > . 99999 ack 2\n > . 99999 ack 2\n > F. 1 ack 2\n wait 600\n > . 5 ack 2"};
  both two;
  two.set("net/ipv4/tcp_invalid_ratelimit", "500");
  two.columns = {"TCPChallengeACK",
                 "TCPSYNChallenge",
                 "TCPACKSkippedSynRecv",
                 "TCPACKSkippedPAWS",
                 "TCPACKSkippedSeq",
                 "TCPACKSkippedChallenge",
                 "TCPACKSkippedFinWait2",
                 "TCPACKSkippedTimeWait",
                 "PAWSEstab",
                 "PAWSOldAck",
                 "EmbryonicRsts"};
  u16 port = 1024;
  auto const compare = [&](std::string const& script, char const* options) {
    for (u32 tries = 0; tries == 0 || (two.differs && tries < 5); ++tries) two.play(++port, script, options);
    INFO(script << '\n' << two.trace());
    CHECK(!two.differs);
  };
  for (char const* const script : scripts) compare(script, "mss 1460");
  for (char const* const script :
       {"> . 1 ack 1 ts 50 0\n > . 1 ack 1 ts 50 0\n > P. 1:5 ack 1 ts 50 0\n > R 5 ts 50 0\n > S 5 ts 50 0",
        "> P. 1:5 ack 1 ts 200 0\n > . 1 ack 1 ts 50 0\n > . 5 ack 1 win 20000 ts 50 0\n > R 7\n > . 99999 ack 1 ts "
        "200 0"})
    compare(script, "mss 1460 ts 100 0");
}
