// SPDX-License-Identifier: BSL-1.0
// Decides: how fast each driver could be: the same system calls and rings without a stack. Each answers frames a
// second.
#pragma once
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/if_xdp.h>
#include <pcap/pcap.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <array>

#include "netstack/drivers/detail/xdp_attachment.hpp"
#include "rate.hpp"

namespace rates::raw {

using frame = std::span<std::uint8_t const>;

/// A ring of AF_XDP: `mine` is the index that we advance, `theirs` the kernel's.
template <class Slot>
struct ring {
  static constexpr unsigned size = 2048;
  unsigned *producer = nullptr, *consumer = nullptr, *flags = nullptr;
  Slot* slots = nullptr;
  unsigned mine = 0;

  void map(int fd, std::uint64_t at, xdp_ring_offset const& offset) {
    void* const p = ::mmap(nullptr, offset.desc + size * sizeof(Slot), PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_POPULATE, fd, static_cast<off_t>(at));
    must(p != MAP_FAILED, "a ring");
    auto* const base = static_cast<char*>(p);
    producer = reinterpret_cast<unsigned*>(base + offset.producer);
    consumer = reinterpret_cast<unsigned*>(base + offset.consumer);
    flags = reinterpret_cast<unsigned*>(base + offset.flags);
    slots = reinterpret_cast<Slot*>(base + offset.desc);
  }
  Slot& slot(unsigned ahead) { return slots[(mine + ahead) & (size - 1)]; }
  // We produce.
  unsigned room() const { return size - (mine - __atomic_load_n(consumer, __ATOMIC_ACQUIRE)); }
  void submit(unsigned n) { __atomic_store_n(producer, mine += n, __ATOMIC_RELEASE); }
  bool needs_wakeup() const { return *flags & XDP_RING_NEED_WAKEUP; }
  // We consume.
  unsigned waiting() const {
    unsigned const n = __atomic_load_n(producer, __ATOMIC_ACQUIRE) - mine;
    return n < burst ? n : burst;
  }
  void release(unsigned n) { __atomic_store_n(consumer, mine += n, __ATOMIC_RELEASE); }
};

/// Queue 0 of nst0, and the frames that neither ring nor kernel has.
struct xsk {
  static constexpr std::uint64_t frame_size = 2048;
  int fd = ::socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
  ring<std::uint64_t> fill, completion;
  ring<xdp_desc> rx, tx;
  netstack::drivers::detail::xdp_attachment program;
  std::uint8_t* memory = nullptr;
  std::array<std::uint64_t, frames> free;
  unsigned nr_free = 0;

  explicit xsk(frame content) {
    must(fd >= 0, "AF_XDP");
    void* const p =
        ::mmap(nullptr, frames * frame_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    must(p != MAP_FAILED, "the frames");
    memory = static_cast<std::uint8_t*>(p);
    for (; nr_free < frames; ++nr_free) {
      free[nr_free] = nr_free * frame_size;
      std::memcpy(memory + nr_free * frame_size, content.data(), content.size());
    }
    xdp_umem_reg umem{};
    umem.addr = reinterpret_cast<std::uintptr_t>(memory);
    umem.len = frames * frame_size;
    umem.chunk_size = frame_size;
    set(XDP_UMEM_REG, umem);
    for (int which : {XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_RX_RING, XDP_TX_RING})
      set(which, ring<xdp_desc>::size);
    xdp_mmap_offsets at{};
    socklen_t size = sizeof at;
    must(::getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, &at, &size) == 0, "XDP_MMAP_OFFSETS");
    fill.map(fd, XDP_UMEM_PGOFF_FILL_RING, at.fr);
    completion.map(fd, XDP_UMEM_PGOFF_COMPLETION_RING, at.cr);
    rx.map(fd, XDP_PGOFF_RX_RING, at.rx);
    tx.map(fd, XDP_PGOFF_TX_RING, at.tx);
    sockaddr_xdp to{};
    to.sxdp_family = AF_XDP;
    to.sxdp_flags = XDP_COPY | XDP_USE_NEED_WAKEUP;
    to.sxdp_ifindex = ::if_nametoindex(ifname);
    must(::bind(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0, "bind");
    int const budget = 256, room = 64 << 20;
    (void)::setsockopt(fd, SOL_XDP, 9, &budget, sizeof budget);  // XDP_MAX_TX_SKB_BUDGET, where the kernel has it
    (void)::setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
    must(program.open(to.sxdp_ifindex, {}, netstack::drivers::xdp_mode::native, 1000).has_value() &&
             program.redirect(0, fd),
         "the XDP program");
  }
  template <class T>
  void set(int option, T const& value) const {
    must(::setsockopt(fd, SOL_XDP, option, &value, sizeof value) == 0, "setsockopt(SOL_XDP)");
  }
  void refill() {
    unsigned n = fill.room();
    if (n > nr_free) n = nr_free;
    for (unsigned i = 0; i < n; ++i) fill.slot(i) = free[--nr_free];
    if (n) fill.submit(n);
  }
  void kick() const { (void)::sendto(fd, nullptr, 0, MSG_DONTWAIT, nullptr, 0); }
  void wake_rx() const {
    if (fill.needs_wakeup()) (void)::recvfrom(fd, nullptr, 0, MSG_DONTWAIT, nullptr, nullptr);
  }
  unsigned reap() {
    unsigned const n = completion.waiting();
    for (unsigned i = 0; i < n; ++i) free[nr_free++] = completion.slot(i) & ~(frame_size - 1);
    if (n) completion.release(n);
    return n;
  }
};

inline double xdp_rx(meter m, frame f) {
  make_veth();
  xsk s{f};
  s.refill();
  feeder const far{feeder::xdp, far_ifname, f};
  unsigned seen = 0;
  return m.received(far, [&] {
    unsigned const n = s.rx.waiting();
    if (n == 0) return s.wake_rx(), 0u;
    for (unsigned i = 0; i < n; ++i) {
      auto const& d = s.rx.slot(i);
      seen += *static_cast<std::uint8_t volatile*>(s.memory + d.addr);
      s.free[s.nr_free++] = d.addr & ~(xsk::frame_size - 1);
    }
    s.rx.release(n);
    s.refill();
    return n;
  });
}

inline double xdp_tx(meter m, frame f) {
  make_veth();
  xsk s{f};
  return m.sent([&] {
    unsigned n = 0;
    if (s.tx.room() >= burst && s.nr_free >= burst) {
      for (; n < burst; ++n) s.tx.slot(n) = {s.free[--s.nr_free], static_cast<std::uint32_t>(f.size()), 0};
      s.tx.submit(n);
    }
    if (s.tx.needs_wakeup()) s.kick();
    s.reap();
    return n;
  });
}

/// Back by where it came from, with its addresses exchanged.
inline double xdp_l2fwd(meter m, frame f) {
  make_veth();
  xsk s{f};
  s.refill();
  feeder const far{feeder::xdp, far_ifname, f};
  return m.forwarded(far, [&] {
    unsigned n = s.rx.waiting();
    if (n > s.tx.room()) n = s.tx.room();
    for (unsigned i = 0; i < n; ++i) {
      auto const& d = s.rx.slot(i);
      std::uint8_t* const eth = s.memory + d.addr;
      std::uint8_t address[6];
      std::memcpy(address, eth, 6);
      std::memcpy(eth, eth + 6, 6);
      std::memcpy(eth + 6, address, 6);
      s.tx.slot(i) = {d.addr, d.len, 0};
    }
    if (n) s.rx.release(n), s.tx.submit(n);
    if (s.tx.room() != s.tx.size && s.tx.needs_wakeup()) s.kick();
    if (n == 0) s.wake_rx();
    s.reap();
    s.refill();
    return n;
  });
}

/// As drivers::pcap opens it.
inline pcap_t* open_pcap() {
  char error[PCAP_ERRBUF_SIZE];
  pcap_t* const p = ::pcap_create(ifname, error);
  must(p != nullptr, "pcap_create");
  ::pcap_set_snaplen(p, 2048);
  ::pcap_set_immediate_mode(p, 1);
  ::pcap_set_buffer_size(p, 8 << 20);
  ::pcap_set_tstamp_precision(p, PCAP_TSTAMP_PRECISION_NANO);  // which the kernel then looks up for every frame
  must(::pcap_activate(p) >= 0, "pcap_activate");
  must(::pcap_setnonblock(p, 1, error) == 0 && ::pcap_setdirection(p, PCAP_D_IN) == 0, "pcap_setnonblock");
  return p;
}

inline double pcap_rx(meter m, frame f) {
  make_veth();
  pcap_t* const p = open_pcap();
  feeder const far{feeder::socket, far_ifname, f};
  unsigned char seen = 0;
  auto const look = [](u_char* sum, pcap_pkthdr const*, u_char const* bytes) {
    *sum = static_cast<u_char>(*sum + *bytes);
  };
  return m.received(far, [&] {
    int const n = ::pcap_dispatch(p, burst, look, &seen);
    return n > 0 ? static_cast<unsigned>(n) : 0u;
  });
}

/// The frames of a burst, each in memory of its own, as those of a program are that sends what it was given; `room`
/// zeros in front of each.
class burst_of {
  static constexpr std::size_t frame_size = 2048;
  std::vector<std::uint8_t> bytes_;

 public:
  explicit burst_of(frame f, std::size_t room = 0) : bytes_(burst * frame_size) {
    for (unsigned i = 0; i < burst; ++i) std::memcpy(at(i) + room, f.data(), f.size());
  }
  std::uint8_t* at(unsigned i) { return bytes_.data() + i * frame_size; }
};

inline double pcap_inject(meter m, frame f) {
  make_veth();
  pcap_t* const p = open_pcap();
  burst_of out{f};
  return m.sent([&] {
    unsigned n = 0;
    for (unsigned i = 0; i < burst; ++i) n += ::pcap_inject(p, out.at(i), f.size()) == static_cast<int>(f.size());
    return n;
  });
}

/// With the header in front of each frame that says what is left to the other side, as drivers::tap has it.
inline constexpr std::size_t vnet_hdr = 10;
inline int open_tap() {
  int const fd = ::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  ifreq request{};
  std::strcpy(request.ifr_name, ifname);
  request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
  must(fd >= 0 && ::ioctl(fd, TUNSETIFF, &request) == 0, "/dev/net/tun");
  command("ip link set nst0 up");
  return fd;
}

inline double tap_rx(meter m, frame f) {
  int const fd = open_tap();
  feeder const far{feeder::socket, ifname, f};
  return m.received(far, [&] {
    std::uint8_t in[2048];
    unsigned n = 0;
    while (n<burst&& ::read(fd, in, sizeof in)> 0) ++n;
    return n;
  });
}

inline double tap_tx(meter m, frame f) {
  int const fd = open_tap();
  burst_of out{f, vnet_hdr};
  std::size_t const size = vnet_hdr + f.size();
  return m.sent([&] {
    unsigned n = 0;
    for (unsigned i = 0; i < burst; ++i) n += ::write(fd, out.at(i), size) == static_cast<ssize_t>(size);
    return n;
  });
}

}  // namespace rates::raw
