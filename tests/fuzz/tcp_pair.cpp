// SPDX-License-Identifier: BSL-1.0
// Fuzzes two TCP stacks against each other: an input is two bytes of settings and a program of what both applications
// do and of what happens to the frames between them: kept, lost, doubled, overtaken. By the settings frames arrive one
// by one or in bursts that are merged (GRO), and leave as segments or as super-segments for the device to cut (GSO),
// which changes nothing of the bytes. Then the wire is good and both say
// goodbye: whatever happened, each must have read what the other wrote, to the last byte, and both give all back. Every
// fourth input is also run over a wire that is good from the start.
#include <memory>

#include "fuzz/host.hpp"
#include "netstack/tcp/tcp.hpp"
#include "netstack/tcp/tcp_offload.hpp"

namespace {

using namespace netstack;
using fuzz::require;

inline constexpr config tcp_sizes = [] {
  config c = fuzz::small;
  c.skb_pool = 512;
  c.max_request = c.max_timewait = 4;
  return c;
}();
struct host : stack<host, ipv4, udp, tcp, ipv4_offload, tcp_offload, fuzz::wire, sizes<tcp_sizes>> {};

constexpr be32 addr_of_a = ipv4_addr("192.0.2.1"), addr_of_b = ipv4_addr("192.0.2.2");

struct side {
  fuzz::rig<host> rig;
  int listener = -1, fd = -1;
  u32 written = 0, read = 0;
  bool said_all = false, heard_all = false;

  side(u8 number, ipv4_prefix const& addr) : rig(number, addr) {}
  auto& net() { return rig.net(); }
  std::vector<fuzz::bytes>& sent() { return netdev_priv<fuzz::wire>(*rig.eth[0]).tx; }
};
constexpr u8 byte_at(int side, u32 n) { return static_cast<u8>(n * 7 + n / 251 + static_cast<u32>(side) * 101); }

class program {
  std::unique_ptr<side> side_[2]{std::make_unique<side>(u8{0}, ipv4_cidr("192.0.2.1/24")),
                                 std::make_unique<side>(u8{2}, ipv4_cidr("192.0.2.2/24"))};
  fuzz::input in_;
  bool const good_;                    ///< the wire, whatever the input says
  bool bursts_ = false;                ///< what arrives together is polled, and merged, together
  std::deque<fuzz::bytes> flying_[2];  ///< from this side to the other

  side& at(int n) { return *side_[n & 1]; }
  void settle() {
    for (int n : {0, 1}) {
      at(n).rig.run();
      for (auto& frame : std::exchange(at(n).sent(), {})) flying_[n].push_back(std::move(frame));
    }
  }
  void deliver(int n, std::size_t which) {
    auto const it = flying_[n].begin() + static_cast<std::ptrdiff_t>(which);
    at(n + 1).rig.receive(0, {.content = std::move(*it)});
    flying_[n].erase(it);
    settle();
  }
  /// The first `most`, if they are so many.
  void deliver_first(int n, std::size_t most) {
    for (; most > 0 && !flying_[n].empty(); --most) {
      if (!bursts_) {
        deliver(n, 0);
        continue;
      }
      at(n + 1).rig.receive(0, {.content = std::move(flying_[n].front())});
      flying_[n].pop_front();
    }
    settle();
  }
  void deliver_all() {
    for (int i = 0; bursts_ && i < 10'000 && !(flying_[0].empty() && flying_[1].empty()); ++i)
      for (int n : {0, 1}) deliver_first(n, 64);
    for (int i = 0; i < 10'000 && !(flying_[0].empty() && flying_[1].empty()); ++i) deliver(flying_[0].empty(), 0);
  }
  /// Both clocks go on together, by timers.
  void pass(u64 ns) {
    u64 const end = at(0).rig.clock.now + ns;
    while (at(0).rig.clock.now < end) {
      u64 next = end;
      for (int n : {0, 1})
        if (auto const t = at(n).rig.worker().timers.next_expiry()) next = std::min(next, *t);
      for (int n : {0, 1}) at(n).rig.clock.now = std::max(at(n).rig.clock.now, next);
      settle();
      if (good_ || ending_) {
        deliver_all();
        if (ending_) finish_some();
      }
    }
  }
  bool ending_ = false;

  // --- steps

  void write() {
    int const n = in_.byte() & 1;
    say(n, in_.word() % 6000, in_.byte() & 1 ? msg::more : 0);
  }
  void say(int n, std::size_t bytes, u32 flags) {
    side& s = at(n);
    if (s.said_all || s.fd < 0) return;
    std::vector<u8> text(bytes);
    for (std::size_t i = 0; i < bytes; ++i) text[i] = byte_at(n, s.written + static_cast<u32>(i));
    if (auto const r = send(s.net(), s.fd, text.data(), bytes, msg::dontwait | flags))
      s.written += static_cast<u32>(*r);
    settle();
  }
  void read() {
    int const n = in_.byte() & 1;
    hear(n, in_.word() % 8192);
  }
  void hear(int n, std::size_t bytes) {
    side& s = at(n);
    if (s.fd < 0) return;
    std::vector<u8> text(bytes + 1);
    auto const r = recv(s.net(), s.fd, text.data(), bytes + 1, msg::dontwait);
    for (u32 i = 0; r && i < *r; ++i)
      require(text[i] == byte_at(n ^ 1, s.read + i), "a byte that is read is the one that was written");
    if (r) s.read += static_cast<u32>(*r);
    if (r && *r == 0) s.heard_all = true;
    settle();
  }
  void move() {
    int const n = in_.byte() & 1;
    deliver_first(n, in_.byte() % 32u);
  }
  void lose() {
    int const n = in_.byte() & 1;
    u8 const which = in_.byte();
    if (!good_ && !flying_[n].empty())
      flying_[n].erase(flying_[n].begin() + which % static_cast<int>(flying_[n].size()));
  }
  void overtake() {
    int const n = in_.byte() & 1;
    u8 const which = in_.byte();
    if (!flying_[n].empty()) deliver(n, good_ ? 0 : which % flying_[n].size());
  }
  void twice() {
    int const n = in_.byte() & 1;
    u8 const which = in_.byte();
    if (!good_ && !flying_[n].empty()) flying_[n].push_back(flying_[n][which % flying_[n].size()]);
  }
  void time() { pass(u64{1'000'000} << in_.byte() % 9); }  // less in all than a half-open connection waits
  void stop_saying() {
    int const n = in_.byte() & 1;
    if (in_.byte() % 8 == 0) quiet(n);
  }
  void quiet(int n) {
    side& s = at(n);
    if (at(1).fd < 0 || std::exchange(s.said_all, true)) return;  // to end what is not there yet is to give it up
    (void)shutdown(s.net(), s.fd, shut::wr);
    settle();
  }
  void finish_some() {
    adopt();
    for (int n : {0, 1}) quiet(n), hear(n, 8192);
  }
  void adopt() {
    side& b = at(1);
    if (b.fd < 0) b.fd = accept(b.net(), b.listener, nullptr, nullptr, sock_type::nonblock).value_or(-1);
  }

 public:
  program(u8 const* data, std::size_t size, bool good) : in_(data, size), good_(good) {}

  void run() {
    static constexpr std::array steps{&program::write,    &program::read,  &program::move, &program::lose,
                                      &program::overtake, &program::twice, &program::time, &program::stop_saying,
                                      &program::adopt,    &program::move};
    u8 const how = in_.byte(), mtu = in_.byte();
    for (int n : {0, 1}) {
      auto& ns = tcp_pernet(at(n).net());
      ns.sysctl_tcp_timestamps = how >> (n ? 0 : 1) & 1;
      ns.sysctl_tcp_sack = how >> (n ? 2 : 3) & 1;
      ns.sysctl_tcp_window_scaling = how >> (n ? 4 : 5) & 1;
    }
    bursts_ = (mtu & 2) != 0;
    for (int n : {0, 1}) {
      net_device& dev = *at(n).rig.eth[0];
      if (!bursts_) dev.features &= ~netif_f::gro;
      if (mtu & 4) dev.features |= netif_f::hw_csum | netif_f::sg | netif_f::fraglist | netif_f::gso;
    }
    if (mtu & 1) at(0).rig.eth[0]->mtu = at(1).rig.eth[0]->mtu = 576u + mtu;
    side &a = at(0), &b = at(1);
    (void)neigh_add(a.net(), a.rig.eth[0]->ifindex, addr_of_b, b.rig.eth[0]->dev_addr, nud::permanent);
    (void)neigh_add(b.net(), b.rig.eth[0]->ifindex, addr_of_a, a.rig.eth[0]->dev_addr, nud::permanent);
    b.listener = socket(b.net(), af::inet, sock_type::stream | sock_type::nonblock).value();
    (void)bind(b.net(), b.listener, inet_addr_of({}, 80));
    (void)listen(b.net(), b.listener, 2);
    if (how & 64) (void)setsockopt(b.net(), b.listener, sol::socket, so::rcvbuf, 6000);
    a.fd = socket(a.net(), af::inet, sock_type::stream | sock_type::nonblock).value();
    if (how & 128) (void)setsockopt(a.net(), a.fd, sol::tcp, tcp_opt::nodelay, 1);
    (void)setsockopt(a.net(), a.fd, sol::tcp, tcp_opt::syncnt, 30);
    (void)connect(a.net(), a.fd, inet_addr_of(addr_of_b, 80));
    settle();
    for (int n = 0; n < 200 && !in_.empty(); ++n) (this->*steps[in_.byte() % steps.size()])();
    // From now on the wire is good, and both say goodbye.
    ending_ = true;
    deliver_all();
    for (int i = 0; i < 400 && !(a.heard_all && b.heard_all); ++i) pass(1'000'000'000);
    require(a.heard_all && b.heard_all, "both hear the other's end");
    require(a.read == b.written && b.read == a.written, "all that was written is read");
    for (int n : {0, 1})
      for (u32 fd = 0; fd < tcp_sizes.max_handle; ++fd) (void)close(at(n).net(), static_cast<int>(fd));
    a.fd = b.fd = -1;
    pass(300'000'000'000);
    for (int n : {0, 1}) {
      auto& w = tcp_worker_of(at(n).net());
      require(w.socks.in_use() == 0 && w.requests.in_use() == 0 && w.timewaits.in_use() == 0, "every connection ends");
      require(w.memory.allocated == 0, "and gives back what it had");
    }
    (void)neigh_del(a.net(), a.rig.eth[0]->ifindex, addr_of_b);
    a.rig.still_answers();
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(u8 const* data, std::size_t size) {
  program(data, size, false).run();
  if (size != 0 && data[0] % 4 == 0) program(data, size, true).run();
  return 0;
}
