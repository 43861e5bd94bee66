// SPDX-License-Identifier: BSL-1.0
// Fuzzes the whole way in of a host: ARP, IP with options, ICMP, UDP, sockets. An input is a byte of settings and then
// a program: frames, singly or in bursts and cut into pieces at will, and between them what users and time do.
// tests/fuzz/seeds.py writes such programs by name, and says what each step is made of.
#include "fuzz/host.hpp"

namespace {

using namespace netstack;

struct host : stack<host, presets::host, fuzz::wire, fuzz::sizes> {};

/// Who is talked to: whatever the stack distinguishes.
constexpr std::array places{
    ipv4_addr("192.0.2.9"),        // a peer
    ipv4_addr("192.0.2.1"),        // ourselves
    ipv4_addr("192.0.2.255"),      // the link's broadcast
    ipv4_addr("198.51.100.9"),     // a peer on the other link
    ipv4_addr("203.0.113.9"),      // behind a router, if there is a route
    ipv4_addr("127.0.0.1"),        // loopback
    ipv4_addr("224.0.0.1"),        // a group
    ipv4_addr("255.255.255.255"),  // everybody here
    ipv4_addr("0.0.0.0"),          // nobody
    ipv4_addr("192.0.2.77"),       // a peer who never answers
};

/// A typed socket: it takes bursts from under the poll, and answers, keeps or leaves each packet; it may end itself.
class answerer {
  net<host>& net_;
  udp_socket<net<host>> socket_;
  u8 how_ = 0;
  skb_ptr kept_;

  static void take(void* self, skb_list& burst) {
    auto& my = *static_cast<answerer*>(self);
    u8 const how = my.how_;
    for (u8 n = 0; !burst.empty() && n < how % 8; ++n) {
      skb_ptr skb{burst.pop_front()};
      sockaddr_in const from = udp_source(*skb);
      if (how & 8)
        my.kept_ = std::move(skb);
      else
        (void)my.socket_.send(skb, from);
    }
    if (how & 16) my.socket_.close();
  }
  static void ready(void* self) {
    auto& my = *static_cast<answerer*>(self);
    if (auto d = my.socket_.receive()) (void)my.socket_.send(d->skb, d->from, d->to);
    if (my.how_ & 16) my.socket_.close();
  }

 public:
  explicit answerer(net<host>& net) : net_(net), socket_(net) {}
  void close() {
    kept_.reset();
    socket_.close();
  }
  void open(u8 how) {
    close();
    how_ = how;
    if (!socket_.open()) return;
    (void)socket_.bind(inet_addr_of({}, 8));
    if (how & 32) (void)setsockopt(net_, socket_.fd(), sol::ip, ip_opt::pktinfo, 1);
    if (how & 64)
      socket_.on_data_ready(ready, this);
    else
      socket_.on_datagrams(take, this);
  }
};

constexpr std::array levels{sol::socket, sol::ip, sol::udp};

class program {
  fuzz::rig<host> rig_;
  fuzz::input in_;
  int fds_[4]{-1, -1, -1, -1};
  answerer answerer_{rig_.net()};

  auto& net() { return rig_.net(); }
  be32 place() { return places[in_.byte() % places.size()]; }
  int& slot() { return fds_[in_.byte() % std::size(fds_)]; }
  sockaddr_in name() {
    be32 const addr = place();
    return inet_addr_of(addr, in_.word());
  }

  void frame() { receive(in_.byte(), false); }
  /// A datagram that ends where the frame ends, whatever its header said: what lies behind a transport's header that is
  /// cut short is then not even there.
  void fitted_frame() { receive(in_.byte(), true); }
  void receive(u8 how, bool fit) {
    auto const taken = in_.take(in_.word());
    fuzz::bytes content(taken.begin(), taken.end());
    if (fit && content.size() >= eth_hlen + sizeof(iphdr)) {
      be16 const length{static_cast<u16>(content.size() - eth_hlen)};
      std::memcpy(content.data() + eth_hlen + offsetof(iphdr, tot_len), &length, sizeof length);
    }
    rig_.receive(how & 1, {.content = std::move(content), .linear = how / 2u});
  }
  void deliver() { rig_.run(); }
  void advance() { rig_.run_for(u64{1'000'000} << in_.byte() % 20); }
  void open() {
    int& fd = slot();
    if (fd >= 0) return;
    if (auto made = socket(net(), af::inet, sock_type::dgram | sock_type::nonblock)) fd = *made;
  }
  void bind_to() {
    int const fd = slot();
    (void)bind(net(), fd, name());
  }
  void connect_to() {
    int const fd = slot();
    sockaddr_in to = name();
    if (to.sin_port.host() == 0xffff) to.sin_family = af::unspec;  // connected no more
    (void)connect(net(), fd, to);
  }
  void send_some() {
    int const fd = slot();
    u32 const flags = msg::dontwait | (in_.byte() & 1 ? msg::more : 0);
    sockaddr_in const to = name();
    static constexpr char payload[16384]{};
    std::size_t const n = in_.word() % sizeof payload;
    auto const control = in_.take(in_.byte());
    std::vector<std::byte> copy(control.size());
    if (!control.empty()) std::memcpy(copy.data(), control.data(), control.size());
    iovec const part{const_cast<char*>(payload), n};
    msghdr m{.msg_iov = {&part, 1}, .msg_control = copy, .msg_flags = flags};
    sockaddr_in target = to;
    if (to.sin_addr.s_addr) m.msg_name = &target, m.msg_namelen = sizeof target;
    (void)sendmsg(net(), fd, m);
  }
  void receive_some() {
    int const fd = slot();
    u8 const how = in_.byte();
    u32 const flags =
        msg::dontwait | (how & 1 ? msg::peek : 0) | (how & 2 ? msg::trunc : 0) | (how & 4 ? msg::errqueue : 0);
    std::vector<char> payload(how & 8 ? 2048 : in_.byte());
    std::vector<std::byte> control(how & 16 ? 256 : in_.byte());
    iovec const part{payload.data(), payload.size()};
    sockaddr_in from;
    msghdr m{.msg_name = &from, .msg_namelen = sizeof from, .msg_iov = {&part, 1}, .msg_control = control};
    auto const n = recvmsg(net(), fd, m, flags);
    fuzz::require(m.msg_controllen <= control.size(), "control messages stay in their room");
    fuzz::require(!n || *n <= payload.size() || (flags & msg::trunc), "a payload stays in its buffer");
  }
  void set_option() {
    int const fd = slot(), level = levels[in_.byte() % levels.size()], option = in_.byte();
    auto const value = in_.take(in_.byte() % 64);
    fuzz::bytes const copy(value.begin(), value.end());
    (void)setsockopt(net(), fd, level, option, copy.data(), copy.size());
  }
  void get_option() {
    int const fd = slot(), level = levels[in_.byte() % levels.size()], option = in_.byte();
    fuzz::bytes value(in_.byte() % 64);
    auto len = static_cast<u32>(value.size());
    (void)getsockopt(net(), fd, level, option, value.data(), &len);
    fuzz::require(len <= 64, "an option says how long it is");
  }
  void end() {
    int& fd = slot();
    u8 const how = in_.byte();
    if (how < 3) return (void)shutdown(net(), fd, how);
    (void)close(net(), fd);
    fd = -1;
  }
  void link() {
    u8 const how = in_.byte();
    net_device& dev = *rig_.eth[how & 1];
    how & 2 ? (void)dev_open(net(), dev) : dev_close(net(), dev);
  }
  void neighbour() {
    u8 const how = in_.byte();
    u32 const ifindex = rig_.eth[how & 1]->ifindex;
    be32 const addr = place();
    if (how & 2)
      (void)neigh_del(net(), ifindex, addr);
    else
      (void)neigh_add(net(), ifindex, addr, {{2, 0, 0, 0, 0, 9}}, how & 4 ? nud::reachable : nud::stale);
  }
  void route() {
    static constexpr std::array prefixes{ipv4_cidr("0.0.0.0/0"), ipv4_cidr("203.0.113.0/24"),
                                         ipv4_cidr("198.51.100.128/25"), ipv4_cidr("203.0.113.9/32")};
    u8 const how = in_.byte();
    auto const& to = prefixes[how % prefixes.size()];
    fib_config cfg{.fc_dst_len = to.len(), .fc_type = static_cast<rtn>(how / 8 % 10), .fc_dst = to.addr()};
    if (cfg.fc_type <= rtn::unicast) cfg.fc_gw4 = place();
    cfg.fc_mtu = in_.word();
    how & 4 ? (void)ip_route_del(net(), cfg) : (void)ip_route_add(net(), cfg);
  }
  void answer() { answerer_.open(in_.byte()); }
  /// Which frames of a device its driver lets protocols recognise, from now on.
  void edge() {
    u8 const how = in_.byte();
    netdev_priv<fuzz::wire>(*rig_.eth[how & 1]).at_edge = static_cast<fuzz::wire::edge>(how / 2 % 3);
  }
  void look() {
    int const fd = slot();
    pollfd waited{fd, poll_ev::in | poll_ev::out | poll_ev::pri, 0};
    (void)poll(net(), {&waited, 1}, 0);
    int amount = 0;
    for (u32 what : {sioc::inq, sioc::outq})
      fuzz::require(!ioctl(net(), fd, what, &amount) || amount >= 0, "an amount is one");
    (void)getsockname(net(), fd);
    (void)getpeername(net(), fd);
    for (auto const& entry : std::remove_reference_t<decltype(net())>::proc_entries)
      (void)proc_print(net(), entry.name, [](std::string_view) {});
  }

  /// Sockets that are there from the start: one for anybody, one connected to the peer, both told everything.
  void furnish() {
    for (int i = 0; i < 2; ++i) {
      auto made = socket(net(), af::inet, sock_type::dgram | sock_type::nonblock);
      fuzz::require(made.has_value(), "a new host has sockets");
      fds_[i] = *made;
      int const on = 1;
      for (int option : {ip_opt::recverr, ip_opt::pktinfo, ip_opt::recvttl, ip_opt::recvtos, ip_opt::recvopts,
                         ip_opt::retopts, ip_opt::recvorigdstaddr})
        (void)setsockopt(net(), fds_[i], sol::ip, option, on);
      for (int option : {so::timestampns, so::rxq_ovfl, so::broadcast})
        (void)setsockopt(net(), fds_[i], sol::socket, option, on);
    }
    (void)bind(net(), fds_[0], inet_addr_of({}, 7));
    (void)bind(net(), fds_[1], inet_addr_of({}, 9));
    (void)connect(net(), fds_[1], inet_addr_of(places[0], 9));
  }
  void set(u8 settings) {
    auto& ns = ipv4_net(net());
    ns.devconf_all.accept_source_route = settings & 1;
    for (auto* dev : rig_.eth) {
      in_dev_get(*dev)->cnf.forwarding = settings >> 1 & 1;
      netdev_priv<fuzz::wire>(*dev).summed = settings & 4 ? ip_summed::unnecessary : ip_summed::none;
      in_dev_get(*dev)->cnf.arp_accept = in_dev_get(*dev)->cnf.arp_notify = settings >> 3 & 1;
    }
    ns.sysctl_icmp_echo_ignore_broadcasts = !(settings & 16);
    if (settings & 32) ns.sysctl_icmp_ratemask = 0;
    if (settings & 64) (void)neigh_add(net(), rig_.eth[0]->ifindex, places[0], {{2, 0, 0, 0, 0, 9}}, nud::reachable);
    if (settings & 128) furnish();
  }

 public:
  program(u8 const* data, std::size_t size) : in_(data, size) {}

  void run() {
    static constexpr std::array steps{&program::frame,      &program::deliver,      &program::advance,
                                      &program::open,       &program::bind_to,      &program::connect_to,
                                      &program::send_some,  &program::receive_some, &program::set_option,
                                      &program::get_option, &program::end,          &program::link,
                                      &program::neighbour,  &program::route,        &program::look,
                                      &program::answer,     &program::fitted_frame, &program::edge};
    set(in_.byte());
    for (int n = 0; n < 256 && !in_.empty(); ++n) (this->*steps[in_.byte() % steps.size()])();
    rig_.run();
    answerer_.close();
    rig_.still_answers();
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(u8 const* data, std::size_t size) {
  program(data, size).run();
  return 0;
}
