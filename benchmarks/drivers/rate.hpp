// SPDX-License-Identifier: BSL-1.0
// Decides: what a driver's benchmark is told, what it answers, and where it takes place: a network namespace of the
// process's own, which goes when the process does, with the interface nst0 in it, and a feeder at its far end, on a
// processor of its own.
#pragma once
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace rates {

inline constexpr unsigned burst = 64;     // frames that both sides handle at a time
inline constexpr unsigned frames = 8192;  // of memory
inline constexpr char const* ifname = "nst0";
inline constexpr char const* far_ifname = "nst1";

[[noreturn]] inline void fail(char const* what) {
  std::perror(what);
  std::exit(1);
}
inline void must(bool holds, char const* what) {
  if (!holds) fail(what);
}

inline double seconds_of(clockid_t clock) {
  timespec t;
  must(::clock_gettime(clock, &t) == 0, "clock_gettime");
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}
inline double now() { return seconds_of(CLOCK_MONOTONIC); }

/// The first or the last processor that this process may use.
inline void pin(bool last) {
  static cpu_set_t const allowed = [] {
    cpu_set_t set;
    must(::sched_getaffinity(0, sizeof set, &set) == 0, "sched_getaffinity");
    return set;
  }();
  int found = -1;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &allowed) && (last || found < 0)) found = cpu;
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(found, &one);
  must(::sched_setaffinity(0, sizeof one, &one) == 0, "sched_setaffinity");
}

inline void command(std::string const& text) {
  if (std::system(text.c_str()) != 0) {
    std::fprintf(stderr, "failed: %s\n", text.c_str());
    std::exit(1);
  }
}

inline void enter_namespace() {
  must(::unshare(CLONE_NEWNET) == 0, "unshare");
  command("echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6 2>/dev/null; ip link set lo up");
}
/// nst0 and nst1. What is sent to nst1 is not for its address, so that Linux is soon done with it.
inline void make_veth() {
  command(
      "ip link add nst0 address 02:00:00:00:00:01 type veth peer name nst1 address 02:00:00:00:00:03"
      " && ip link set nst0 up && ip link set nst1 up");
}

/// Sends one frame again and again until the process ends.
class feeder {
  std::vector<std::uint8_t> frame_;

  /// In bulk from within the kernel, out by `ifname`; its peer must have an XDP program in its driver.
  void by_xdp(int ifindex) const {
    bpf_insn code[5]{};
    code[0].code = BPF_ALU64 | BPF_MOV | BPF_K, code[0].dst_reg = 1, code[0].imm = ifindex;
    code[1].code = BPF_ALU64 | BPF_MOV | BPF_K, code[1].dst_reg = 2;
    code[2].code = BPF_JMP | BPF_CALL, code[2].imm = BPF_FUNC_redirect;
    code[3].code = BPF_JMP | BPF_EXIT;
    int const program = ::bpf_prog_load(BPF_PROG_TYPE_XDP, "feeder", "Dual BSD/GPL", code, 4, nullptr);
    must(program >= 0, "the feeder's program");
    xdp_md context{};
    context.data_end = static_cast<std::uint32_t>(frame_.size());
    for (;;) {
      bpf_test_run_opts options{};
      options.sz = sizeof options;
      options.data_in = frame_.data();
      options.data_size_in = context.data_end;
      options.ctx_in = &context;
      options.ctx_size_in = sizeof context;
      options.repeat = 1 << 20;
      options.flags = 1u << 1;  // BPF_F_TEST_XDP_LIVE_FRAMES
      options.batch_size = burst;
      must(::bpf_prog_test_run_opts(program, &options) == 0, "the feeder");
    }
  }
  /// By a packet socket.
  void by_socket(int ifindex) const {
    int const fd = ::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    must(fd >= 0, "the feeder's socket");
    int const one = 1;
    must(::setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one) == 0, "PACKET_QDISC_BYPASS");
    sockaddr_ll to{};
    to.sll_family = AF_PACKET;
    to.sll_ifindex = ifindex;
    must(::bind(fd, reinterpret_cast<sockaddr*>(&to), sizeof to) == 0, "the feeder's interface");
    iovec piece{const_cast<std::uint8_t*>(frame_.data()), frame_.size()};
    mmsghdr messages[burst]{};
    for (auto& m : messages) m.msg_hdr.msg_iov = &piece, m.msg_hdr.msg_iovlen = 1;
    for (;;) (void)::sendmmsg(fd, messages, burst, 0);  // a full queue drops, and says so
  }

 public:
  enum kind { xdp, socket };
  clockid_t clock{};  ///< the time that it had a processor for

  feeder(kind how, char const* by, std::span<std::uint8_t const> frame) : frame_(frame.begin(), frame.end()) {
    int const ifindex = static_cast<int>(::if_nametoindex(by));
    must(ifindex != 0, by);
    std::thread thread([this, how, ifindex] {
      pin(false);
      how == xdp ? by_xdp(ifindex) : by_socket(ifindex);
    });
    must(::pthread_getcpuclockid(thread.native_handle(), &clock) == 0, "pthread_getcpuclockid");
    thread.detach();
  }
};

/// What step() handles (it answers how many frames) in so many seconds. The clocks are the processors' own, so that who
/// else uses the machine matters little.
class meter {
  double seconds_;
  std::uint64_t n_ = 0;
  double busy_ = 0, fed_ = 0;

  template <class Step>
  void run(feeder const* far, Step step) {
    double const deadline = now() + 5;
    while (step() == 0)
      if (now() > deadline) fail("no frame came");
    for (double const end = now() + 0.05; now() < end;) step();
    double const end = now() + seconds_, fed = far ? seconds_of(far->clock) : 0;
    for (double t = seconds_of(CLOCK_THREAD_CPUTIME_ID), before; now() < end;) {
      auto const got = step();
      before = std::exchange(t, seconds_of(CLOCK_THREAD_CPUTIME_ID));
      if (got != 0 || !far) busy_ += t - before;
      n_ += got;
    }
    if (far) fed_ = seconds_of(far->clock) - fed;
  }
  double rate(double time) const { return static_cast<double>(n_) / time; }

 public:
  explicit meter(double seconds) : seconds_(seconds) {}
  /// Sending: nothing but step() takes time.
  template <class Step>
  double sent(Step step) {
    run(nullptr, step);
    return rate(busy_);
  }
  /// Receiving: the slower of who handles frames and of the feeder, in whose time the kernel brings them.
  template <class Step>
  double received(feeder const& far, Step step) {
    run(&far, step);
    return rate(busy_ > fed_ ? busy_ : fed_);
  }
  /// Forwarding: there are always more frames than can be handled.
  template <class Step>
  double forwarded(feeder const& far, Step step) {
    run(&far, step);
    return rate(busy_);
  }
};

}  // namespace rates
