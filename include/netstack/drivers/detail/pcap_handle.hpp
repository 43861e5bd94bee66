// SPDX-License-Identifier: BSL-1.0
// Decides: how an interface or a capture file is opened with libpcap, and what its refusals mean. A live handle hands
// over frames where the kernel left them; a file is read one frame ahead, since its time may not have come.
// pcap/bpf.h and linux/bpf.h, which libbpf needs, both define struct bpf_insn, so the CMake target has pcap/pcap.h
// leave the former out, and nothing here needs it. libpcap: pcap(3), pcap-filter(7)
#pragma once
#include <fcntl.h>
#include <pcap/dlt.h>
#include <pcap/pcap.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "netstack/base/result.hpp"
#include "netstack/skb/skb_walk.hpp"

namespace netstack::drivers {

/// Which frames of an interface are taken: those that came in, those that Linux itself sent there, or both.
enum class pcap_direction : u8 { in, out, in_and_out };
/// How fast a file is replayed.
enum class pcap_speed : u8 { recorded, full };

namespace detail {

/// What a live handle is told when it is opened.
struct pcap_setup {
  char const* filter = nullptr;
  pcap_direction direction = pcap_direction::in;
  u32 snaplen = 0;
  u32 buffer_bytes = 0;
};

class pcap_handle {
  ::pcap_t* pcap_ = nullptr;
  ::pcap_pkthdr* header_ = nullptr;  // of the frame that was read ahead
  u8 const* bytes_ = nullptr;
  bool more_ = false;

 public:
  pcap_handle() = default;
  pcap_handle(pcap_handle const&) = delete;
  pcap_handle& operator=(pcap_handle const&) = delete;
  ~pcap_handle() { close(); }

  void close() {
    if (pcap_) ::pcap_close(std::exchange(pcap_, nullptr));
    more_ = false;
  }
  [[nodiscard]] bool is_open() const { return pcap_ != nullptr; }
  [[nodiscard]] int link_type() const { return ::pcap_datalink(pcap_); }
  [[nodiscard]] int fd() const { return pcap_ ? ::pcap_get_selectable_fd(pcap_) : -1; }

  /// Errors: no_such_device, operation_not_permitted, network_down (the interface is), invalid_argument (the filter),
  /// io_error (libpcap's other complaints).
  result<void> open_live(char const* ifname, pcap_setup const& setup) {
    char text[PCAP_ERRBUF_SIZE];
    pcap_ = ::pcap_create(ifname, text);
    if (!pcap_) return failure{std::errc::not_enough_memory};
    ::pcap_set_snaplen(pcap_, static_cast<int>(setup.snaplen));
    ::pcap_set_immediate_mode(pcap_, 1);
    ::pcap_set_buffer_size(pcap_, static_cast<int>(setup.buffer_bytes));
    ::pcap_set_tstamp_precision(pcap_, PCAP_TSTAMP_PRECISION_NANO);
    std::errc why = meaning_of(::pcap_activate(pcap_));
    bool const inward = setup.direction == pcap_direction::in;
    auto const way = inward ? PCAP_D_IN : setup.direction == pcap_direction::out ? PCAP_D_OUT : PCAP_D_INOUT;
    if (why == std::errc{} && (::pcap_setnonblock(pcap_, 1, text) != 0 || ::pcap_setdirection(pcap_, way) != 0))
      why = std::errc::io_error;
    // libpcap would have the kernel copy what we send, only to skip it. (Linux 4.20; PACKET_IGNORE_OUTGOING)
    constexpr int sol_packet = 263, ignore_outgoing = 23, on = 1;
    if (why == std::errc{} && inward)
      (void)::setsockopt(::pcap_fileno(pcap_), sol_packet, ignore_outgoing, &on, sizeof on);
    return end_of_open(why, setup.filter);
  }
  /// Errors: those of open(2), bad_message (no capture file), invalid_argument (the filter).
  result<void> open_file(char const* path, char const* filter) {
    int const readable = ::open(path, O_RDONLY | O_CLOEXEC);
    if (readable < 0) return failure{static_cast<std::errc>(errno)};
    ::close(readable);
    char text[PCAP_ERRBUF_SIZE];
    pcap_ = ::pcap_open_offline_with_tstamp_precision(path, PCAP_TSTAMP_PRECISION_NANO, text);
    if (!pcap_) return failure{std::errc::bad_message};
    auto r = end_of_open({}, filter);
    if (r) read_ahead();
    return r;
  }

  // --- live ---------------------------------------------------------------------------------------------------------
  /// Calls f(header, bytes) for up to n frames that wait; how many.
  template <class F>
  u32 dispatch(u32 n, F&& f) {
    using function = std::remove_reference_t<F>;
    int const got = ::pcap_dispatch(
        pcap_, static_cast<int>(n),
        [](u_char* self, ::pcap_pkthdr const* header, u_char const* bytes) {
          (*reinterpret_cast<function*>(self))(*header, bytes);
        },
        reinterpret_cast<u_char*>(&f));
    return got > 0 ? static_cast<u32>(got) : 0;
  }
  /// False with errno: not sent.
  bool inject(sk_buff const& skb) const {
    if (!skb.is_nonlinear()) [[likely]]
      return ::pcap_inject(pcap_, skb.data, skb.len) == static_cast<int>(skb.len);
    // libpcap wants one piece; its socket does not.
    ::iovec pieces[max_skb_frags + 1];
    int n = 0;
    pieces[n++] = {skb.data, skb.headlen()};
    auto const& info = skb_shinfo(skb);
    for (u8 i = 0; i < info.nr_frags; ++i) pieces[n++] = {skb_frag_address(skb, info.frags[i]), info.frags[i].size};
    return ::writev(::pcap_fileno(pcap_), pieces, n) == static_cast<ssize_t>(skb.len);
  }
  /// Linear frames from the front of a list, with one system call; how many were sent. None: errno says why.
  u32 inject(skb_list const& frames) const {
    constexpr u32 most = 64;
    ::iovec pieces[most];
    ::mmsghdr messages[most];
    u32 n = 0;
    for (sk_buff* skb = frames.first; skb && n < most; skb = skb->next, ++n) {
      pieces[n] = {skb->data, skb->len};
      messages[n] = {};
      messages[n].msg_hdr.msg_iov = &pieces[n];
      messages[n].msg_hdr.msg_iovlen = 1;
    }
    int const sent = ::sendmmsg(::pcap_fileno(pcap_), messages, n, 0);
    return sent > 0 ? static_cast<u32>(sent) : 0;
  }
  /// Frames that found no room in the kernel's buffer, since the handle was opened.
  [[nodiscard]] u64 lost() const {
    ::pcap_stat s{};
    return ::pcap_stats(pcap_, &s) == 0 ? s.ps_drop : 0;
  }

  // --- a file -------------------------------------------------------------------------------------------------------
  /// There is a frame: header() and bytes().
  [[nodiscard]] bool more() const { return more_; }
  [[nodiscard]] ::pcap_pkthdr const& header() const { return *header_; }
  [[nodiscard]] u8 const* bytes() const { return bytes_; }
  void read_ahead() { more_ = ::pcap_next_ex(pcap_, &header_, &bytes_) == 1; }

  /// ns since 1970: with nanosecond precision the second member counts those.
  static u64 time_of(::pcap_pkthdr const& h) {
    return static_cast<u64>(h.ts.tv_sec) * 1'000'000'000u + static_cast<u64>(h.ts.tv_usec);
  }

 private:
  static std::errc meaning_of(int answer) {
    switch (answer) {
      case PCAP_ERROR_NO_SUCH_DEVICE: return std::errc::no_such_device;
      case PCAP_ERROR_PERM_DENIED:
      case PCAP_ERROR_PROMISC_PERM_DENIED: return std::errc::operation_not_permitted;
      case PCAP_ERROR_IFACE_NOT_UP: return std::errc::network_down;
      default: return answer < 0 ? std::errc::io_error : std::errc{};  // above 0: a warning
    }
  }
  result<void> end_of_open(std::errc why, char const* filter) {
    if (why == std::errc{} && filter) {
      struct {  // struct bpf_program
        unsigned len = 0;
        void* instructions = nullptr;
      } code;
      auto* const program = reinterpret_cast<::bpf_program*>(&code);
      bool good = ::pcap_compile(pcap_, program, filter, 1, PCAP_NETMASK_UNKNOWN) == 0;
      good = good && ::pcap_setfilter(pcap_, program) == 0;
      ::pcap_freecode(program);
      if (!good) why = std::errc::invalid_argument;
    }
    if (why == std::errc{}) return {};
    close();
    return failure{why};
  }
};

}  // namespace detail
}  // namespace netstack::drivers
