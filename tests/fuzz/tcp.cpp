// SPDX-License-Identifier: BSL-1.0
// Fuzzes one TCP connection: an input is two bytes of settings and a program of the peer's segments, whatever they
// claim, of calls and of time. Both sides' bytes are a function of their sequence number, so whatever the order, what
// is read must be the peer's stream and what is sent must be ours. tests/fuzz/seeds.py writes such programs by name.
#include "netstack/tcp/tcp.hpp"
#include "fuzz/host.hpp"

namespace {

using namespace netstack;
using fuzz::require;

inline constexpr config tcp_sizes = [] {
  config c = fuzz::small;
  c.max_request = c.max_timewait = 4;
  return c;
}();
struct host : stack<host, ipv4, udp, tcp, fuzz::wire, sizes<tcp_sizes>> {};

constexpr be32 us = ipv4_addr("192.0.2.1"), peer = ipv4_addr("192.0.2.9");
constexpr mac_addr peer_mac{{2, 0, 0, 0, 0, 9}};
constexpr u16 our_port = 80, peer_port = 4000;

constexpr u8 byte_at(u32 seq) { return static_cast<u8>(seq * 7 + seq / 251); }

class program {
  fuzz::rig<host> rig_;
  fuzz::input in_;
  int listener_ = -1, fd_ = -1;
  u16 local_port_ = our_port;
  u32 peer_isn_ = 1'000'000, our_isn_ = 0;     ///< of the connection that is spoken of
  u32 rcv_nxt_ = 0, snd_nxt_ = 0, tsval_ = 0;  ///< what our segments said last
  u32 written_ = 1;                            ///< the next byte's number, from our_isn_
  bool timestamps_ = false, closed_ = false;

  auto& net() { return rig_.net(); }
  s32 offset() { return static_cast<std::int16_t>(in_.word()); }

  // --- the wire

  void run() {
    rig_.run();
    for (auto const& frame : std::exchange(netdev_priv<fuzz::wire>(*rig_.eth[0]).tx, {})) look(frame);
    check_connection();
  }
  /// What we send is well formed, summed, and of our stream.
  void look(fuzz::bytes const& frame) {
    auto const& iph = *reinterpret_cast<iphdr const*>(frame.data() + eth_hlen);
    if (reinterpret_cast<ethhdr const*>(frame.data())->h_proto != be16{eth_p::ip} || iph.protocol != ipproto::tcp)
      return;
    u8 const* const segment = frame.data() + eth_hlen + iph.header_len();
    std::size_t const len = frame.size() - eth_hlen - iph.header_len();
    require(len >= tcp_hlen_min, "a segment has a header");
    auto const& th = *reinterpret_cast<tcphdr const*>(segment);
    require(th.header_len() >= tcp_hlen_min && th.header_len() <= len, "a header ends within its segment");
    require(csum_tcpudp_magic(iph.saddr, iph.daddr, static_cast<u32>(len), ipproto::tcp,
                              csum_partial(segment, len, 0)) == sum16{},
            "a segment is summed");
    require(!(th.syn() && th.rst()) && !(th.syn() && th.fin()), "flags of ours go together");
    tcp_options_received rx;
    require(tcp_parse_options(rx, segment + tcp_hlen_min, th.header_len() - tcp_hlen_min, th.syn()),
            "options are whole");
    if (th.dest.host() != peer_port || th.rst()) return;
    if (th.syn()) our_isn_ = th.seq.host(), snd_nxt_ = our_isn_ + 1, written_ = 1;
    if (th.ack()) rcv_nxt_ = th.ack_seq.host();
    if (rx.saw_tstamp) tsval_ = rx.rcv_tsval;
    u32 const seq = th.seq.host(), data = static_cast<u32>(len - th.header_len());
    if (after(seq + data + th.fin(), snd_nxt_)) snd_nxt_ = seq + data + th.fin();
    for (u32 i = 0; i < data; ++i)
      require(segment[th.header_len() + i] == byte_at(seq - our_isn_ + i), "a byte that is sent is that of its number");
  }
  void inject(u8 flags, u32 seq, u32 ack, u16 window, std::span<u8 const> options, u32 data, u16 urgent) {
    fuzz::bytes block(options.begin(),
                      options.begin() + static_cast<std::ptrdiff_t>(std::min(options.size(), tcpopt::max_len)));
    while (block.size() % 4) block.push_back(0);
    auto const hlen = static_cast<u32>(tcp_hlen_min + block.size());
    fuzz::bytes frame(eth_hlen + sizeof(iphdr) + hlen + data);
    iphdr iph{.tot_len = be16{static_cast<u16>(sizeof(iphdr) + hlen + data)},
              .ttl = 64,
              .protocol = ipproto::tcp,
              .saddr = peer,
              .daddr = us};
    iph.check = ip_header_csum(iph);
    tcphdr th{.source = be16{peer_port},
              .dest = be16{local_port_},
              .seq = be32{seq},
              .ack_seq = be32{ack},
              .flags = flags,
              .window = be16{window},
              .urg_ptr = be16{urgent}};
    th.set_doff(static_cast<u8>(hlen / 4));
    ethhdr const eth{rig_.eth[0]->dev_addr, peer_mac, be16{eth_p::ip}};
    u8* at = frame.data();
    std::memcpy(at, &eth, sizeof eth), at += eth_hlen;
    std::memcpy(at, &iph, sizeof iph), at += sizeof iph;
    std::memcpy(at, &th, sizeof th), at += tcp_hlen_min;
    if (!block.empty()) std::memcpy(at, block.data(), block.size());
    at += block.size();
    u32 const first = seq + ((flags & tcp_flag::syn) != 0);
    for (u32 i = 0; i < data; ++i) at[i] = byte_at(first + i);
    rig_.receive(0, {.content = std::move(frame)});
    run();
  }

  // --- steps

  /// A segment of any kind: numbers near what is expected, or anywhere.
  void segment() {
    u8 const how = in_.byte(), flags = in_.byte();
    u32 const seq = how & 1 ? u32{in_.word()} << 16 | in_.word() : rcv_nxt_ + static_cast<u32>(offset());
    u32 const ack = how & 2 ? u32{in_.word()} << 16 | in_.word() : snd_nxt_ + static_cast<u32>(offset());
    u16 const window = in_.word();
    u32 const data = how & 4 ? in_.word() % 1400 : 0;
    u16 const urgent = how & 8 ? in_.word() : u16{0};
    std::array<u8, tcpopt::max_len> options{};
    std::size_t len = 0;
    if (how & 16) {
      auto const raw = in_.take(in_.byte() % (tcpopt::max_len + 1));
      std::copy(raw.begin(), raw.end(), options.begin());
      len = raw.size();
    } else if (how & 32) {
      tcp_out_options o;
      o.tstamp = timestamps_, o.tsval = 100 + in_.byte(), o.tsecr = tsval_ - (how & 64 ? in_.byte() : 0);
      for (o.num_sacks = static_cast<u8>(in_.byte() % 4); auto& b : std::span(o.sacks).first(o.num_sacks)) {
        b.start_seq = snd_nxt_ + static_cast<u32>(offset());
        b.end_seq = b.start_seq + in_.word();
      }
      if (o.size() > tcpopt::max_len) o.num_sacks = 3;
      tcp_options_write(options.data(), o);
      len = o.size();
    }
    inject(flags, seq, ack, window, std::span(options).first(len), data, urgent);
  }
  /// The peer as it should be: the next data, everything acknowledged.
  void honest() { honest(in_.byte() * 8u); }
  void honest(u32 data) {
    std::array<u8, tcpopt::tstamp_aligned> options{};
    tcp_out_options o;
    o.tstamp = timestamps_, o.tsval = 1'000, o.tsecr = tsval_;
    if (timestamps_) tcp_options_write(options.data(), o);
    inject(tcp_flag::ack, rcv_nxt_, snd_nxt_, 30'000, std::span(options).first(o.size()), data, 0);
  }
  void write() {
    char text[4096];
    std::size_t const n = in_.word() % sizeof text;
    for (std::size_t i = 0; i < n; ++i) text[i] = static_cast<char>(byte_at(written_ + static_cast<u32>(i)));
    auto const r = send(net(), fd_, text, n, msg::dontwait | (in_.byte() & 1 ? msg::more : 0));
    if (r) written_ += static_cast<u32>(*r);
    run();
  }
  void read() {
    u8 buf[4096];
    u8 const how = in_.byte();
    auto* const tp = connection();
    u32 const peeked = how & 1 && tp ? static_cast<u32>(std::max(tp->sk_rare->peek_off, 0)) : 0;  // SO_PEEK_OFF
    u32 const before = tp ? tp->copied_seq + peeked : 0;
    bool const urgent = tp && tp->urg_data;  // its byte is left out, so a peek may begin one later
    auto const r = recv(net(), fd_, buf, std::size_t{how} * 16, msg::dontwait | (how & 1 ? msg::peek : 0));
    u32 const n = r ? static_cast<u32>(*r) : 0;
    if (n && !(how & 1 && urgent)) {
      require(tp, "only a connection has bytes");
      bool const end = sock_flag(*tp, sock_flags::done) && tp->copied_seq == tp->rcv_nxt;  // the FIN was read as well
      u32 const first = how & 1 ? before : tp->copied_seq - n - end;
      require(first == before || (urgent && first == before + 1), "what is read is what comes next");
      for (u32 i = 0; i < n; ++i) require(buf[i] == byte_at(first + i), "a byte that is read is that of its number");
    }
    run();
  }
  void end() {
    u8 const how = in_.byte();
    if (how % 4 < 3) {
      (void)shutdown(net(), fd_, how % 4);
    } else {
      if (how & 128) (void)setsockopt(net(), fd_, sol::socket, so::linger, linger{1, 0});
      (void)close(net(), fd_);
      closed_ = true;
    }
    run();
  }
  void time() {
    rig_.run_for(u64{1'000'000} << in_.byte() % 18);
    run();
  }
  void option() {
    static constexpr std::array levels{sol::socket, sol::ip, sol::tcp};
    int const level = levels[in_.byte() % levels.size()], name = in_.byte();
    int const value = offset();
    // Bound to a device that does not bring them, a connection leaves its segments to another one of the same two ends.
    bool const second = name == so::bindtoifindex, no_room = name == so::rcvbuf && value <= 0;
    bool const crawls = name == so::max_pacing_rate && value > 0 && value < 1'000;  // would not end in time
    if (level != sol::socket || !(second || no_room || crawls)) (void)setsockopt(net(), fd_, level, name, value);
    run();
  }
  void icmp() {
    u8 const type = in_.byte() % 2 ? icmp_type::dest_unreach : in_.byte(), code = in_.byte() % 16;
    icmphdr icmph{.type = type, .code = code, .un = std::bit_cast<icmp_un>(be32{in_.word()})};
    iphdr quoted{.tot_len = be16{576}, .ttl = 60, .protocol = ipproto::tcp, .saddr = us, .daddr = peer};
    quoted.check = ip_header_csum(quoted);
    tcphdr const th{
        .source = be16{local_port_}, .dest = be16{peer_port}, .seq = be32{snd_nxt_ + static_cast<u32>(offset())}};
    fuzz::bytes message(sizeof icmph + sizeof quoted + 8);
    std::memcpy(message.data(), &icmph, sizeof icmph);
    std::memcpy(message.data() + sizeof icmph, &quoted, sizeof quoted);
    std::memcpy(message.data() + sizeof icmph + sizeof quoted, &th, 8);
    iphdr iph{.tot_len = be16{static_cast<u16>(sizeof(iphdr) + message.size())},
              .ttl = 64,
              .protocol = ipproto::icmp,
              .saddr = peer,
              .daddr = us};
    iph.check = ip_header_csum(iph);
    ethhdr const eth{rig_.eth[0]->dev_addr, peer_mac, be16{eth_p::ip}};
    fuzz::bytes frame(eth_hlen + sizeof iph);
    std::memcpy(frame.data(), &eth, eth_hlen);
    std::memcpy(frame.data() + eth_hlen, &iph, sizeof iph);
    frame.insert(frame.end(), message.begin(), message.end());
    rig_.receive(0, {.content = std::move(frame)});
    run();
  }
  void adopt() {
    auto const made = accept(net(), listener_, nullptr, nullptr, sock_type::nonblock);
    if (!made || (fd_ >= 0 && !closed_)) return made ? (void)close(net(), *made) : void();
    fd_ = *made, closed_ = false;
  }

  // --- what holds at any time

  tcp_sock* connection() {
    auto const* const handle = fd_ >= 0 && !closed_ ? sockfs::table_of(net()).find(fd_) : nullptr;
    return handle && handle->sk->sk_state != tcp_state::listen ? &tcp_sk(*handle->sk) : nullptr;
  }
  void check_connection() {
    if (!connection()) return;
    tcp_sock& tp = *connection();
    sock& sk = tp;
    if (sk.sk_state == tcp_state::close) return;
    require(!after(tp.snd_una, tp.snd_nxt) && !after(tp.snd_nxt, tp.write_seq), "una, nxt and write_seq are in order");
    require(!after(tp.copied_seq, tp.rcv_nxt), "nothing is read before it has come");
    require(tcp_left_out(tp) <= tp.packets_out && tp.retrans_out <= tp.packets_out, "what is counted is in flight");
    require(tp.snd_cwnd >= 1, "the congestion window lets something out");
    u32 charged = 0;
    for (sk_buff* skb = sk.sk_write_queue.peek(); skb; skb = sk.sk_write_queue.after(*skb)) charged += skb->truesize;
    require(charged == tp.sk_wmem_queued, "what is queued is charged");
    u32 end = tp.rcv_nxt;
    require(!tp.ofo || !tp.ofo->queue.empty(), "what keeps nothing is given back");
    if (!tp.ofo) return;
    for (auto& skb : tp.ofo->queue) {
      require(after(TCP_SKB_CB(skb).end_seq, end), "what waits lies beyond what came, in order");
      end = TCP_SKB_CB(skb).end_seq;
    }
  }

  void furnish(u8 how, u8 more) {
    (void)neigh_add(net(), rig_.eth[0]->ifindex, peer, peer_mac, nud::permanent);
    netdev_priv<fuzz::wire>(*rig_.eth[0]).at_edge = static_cast<fuzz::wire::edge>(how / 64 % 3);
    if (how & 16) peer_isn_ = 0xffff'ff00;
    timestamps_ = how & 2;
    listener_ = socket(net(), af::inet, sock_type::stream | sock_type::nonblock).value_or(-1);
    (void)bind(net(), listener_, inet_addr_of({}, our_port));
    (void)listen(net(), listener_, 2);
    if (how & 32) (void)setsockopt(net(), listener_, sol::socket, so::rcvbuf, 4096);
    tcp_out_options o{.mss = 1460};
    o.tstamp = timestamps_, o.tsval = 99, o.sack_ok = how & 4, o.wscale_ok = how & 8, o.wscale = 3;
    std::array<u8, tcpopt::max_len> options{};
    if (how & 1) {
      fd_ = socket(net(), af::inet, sock_type::stream | sock_type::nonblock).value_or(-1);
      (void)connect(net(), fd_, inet_addr_of(peer, peer_port));
      if (auto const name = getsockname(net(), fd_)) local_port_ = name->sin_port.host();
      run();
      o.tsecr = tsval_;
    }
    tcp_options_write(options.data(), o);
    rcv_nxt_ = peer_isn_;
    if (more & 1) return;  // the input opens it
    bool const active = how & 1;
    inject(active ? tcp_flag::syn | tcp_flag::ack : tcp_flag::syn, peer_isn_, snd_nxt_, 30'000,
           std::span(options).first(o.size()), 0, 0);
    if (active) return;
    honest(0);
    adopt();
    if (more & 2) (void)setsockopt(net(), fd_, sol::tcp, tcp_opt::nodelay, 1);
  }

 public:
  program(u8 const* data, std::size_t size) : in_(data, size) {}

  void run_all() {
    static constexpr std::array<void (program::*)(), 10> steps{
        &program::segment, &program::honest, &program::write, &program::read,  &program::end,
        &program::time,    &program::option, &program::icmp,  &program::adopt, &program::segment};
    u8 const how = in_.byte();
    furnish(how, in_.byte());
    for (int n = 0; n < 128 && !in_.empty(); ++n) (this->*steps[in_.byte() % steps.size()])();
    for (u32 fd = 0; fd < tcp_sizes.max_handle; ++fd) (void)close(net(), static_cast<int>(fd));
    closed_ = true;
    rig_.run_for(3'000'000'000'000);  // longer than an orphan's last repetition
    auto& w = tcp_worker_of(net());
    require(w.socks.in_use() == 0 && w.requests.in_use() == 0 && w.timewaits.in_use() == 0, "every connection ends");
    require(w.memory.allocated == 0 && tcp_pernet(net()).orphan_count == 0, "and gives back what it had");
    (void)neigh_del(net(), rig_.eth[0]->ifindex, peer);
    rig_.still_answers();
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(u8 const* data, std::size_t size) {
  program(data, size).run_all();
  return 0;
}
